//! The safetensors format: written whole or not at all, read strictly.
//!
//! Files are mapped into memory by libtorch and copied once, from the mapping into the tensors, a piece at a time, so
//! that a load needs little memory beyond the tensors. A file must not be cut short by another process meanwhile;
//! [`save`] never does that, it renames whole files.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use tch::{Device, Kind, TchError, Tensor};

use super::WeightsError;
use super::assign::{Described, check_finite, copy, matching, torch};
use super::header::{Info, read_header};

fn dtype_of(kind: Kind) -> Option<Dtype> {
    Some(match kind {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        Kind::Int => Dtype::I32,
        Kind::Int16 => Dtype::I16,
        Kind::Int8 => Dtype::I8,
        Kind::Uint8 => Dtype::U8,
        Kind::Bool => Dtype::BOOL,
        _ => return None,
    })
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    use Kind::{BFloat16, Bool, Double, Float, Half, Int, Int8, Int16, Int64, Uint8};
    let kinds = [
        Float, Double, Half, BFloat16, Int64, Int, Int16, Int8, Uint8, Bool,
    ];
    kinds.into_iter().find(|&kind| dtype_of(kind) == Some(dtype))
}

/// The name of a type, as the format has it.
pub(super) fn dtype_name(kind: Kind) -> String {
    dtype_of(kind).map_or_else(|| format!("{kind:?}"), |dtype| dtype.to_string())
}

/// Writes the tensors to `path`: to a temporary file in the same folder, flushed to the disk, then renamed, so
/// that at any moment the old file or the whole new one is there. The file names its format (`pt`), as the Python
/// libraries expect. The same tensors give the same bytes. Takes the memory of the largest tensor.
///
/// # Errors
/// [`WeightsError`]; the old file is then untouched and no temporary file is left.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), WeightsError> {
    let mut typed = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let kind = tensor.f_kind().map_err(|e| torch(path, name, &e))?;
        let dtype = dtype_of(kind).ok_or_else(|| WeightsError::Torch {
            file: path.into(),
            tensor: name.clone(),
            reason: format!("type {kind:?} has no place in a safetensors file"),
        })?;
        typed.push((dtype, name, tensor));
    }
    // The order of the public package: wide types first, so that all values are aligned.
    typed.sort_by(|a, b| (Reverse(a.0), a.1).cmp(&(Reverse(b.0), b.1)));
    let mut names: Vec<&String> = tensors.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(WeightsError::Duplicate {
            file: path.into(),
            tensor: pair[0].clone(),
        });
    }
    let header = header_of(&typed).map_err(|reason| WeightsError::Header {
        file: path.into(),
        reason,
    })?;
    write_atomically(path, |file| {
        let io = |source| WeightsError::Io {
            file: path.into(),
            what: "cannot write",
            source,
        };
        file.write_all(&header).map_err(io)?;
        let mut bytes = Vec::new();
        for (_, name, tensor) in &typed {
            read_bytes(tensor, &mut bytes).map_err(|e| torch(path, name, &e))?;
            file.write_all(&bytes).map_err(io)?;
        }
        Ok(())
    })
}

/// Length and JSON, filled up with spaces to a multiple of eight bytes.
fn header_of(tensors: &[(Dtype, &String, &Tensor)]) -> Result<Vec<u8>, String> {
    let mut end = 0;
    let infos = tensors.iter().map(|(dtype, name, tensor)| {
        let start = end;
        end += tensor.numel() * dtype.bitsize() / 8;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        let info = TensorInfo {
            dtype: *dtype,
            shape,
            data_offsets: (start, end),
        };
        (name.to_string(), info)
    });
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let metadata = Metadata::new(Some(format), infos.collect()).map_err(|e| e.to_string())?;
    let mut text = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

fn read_bytes(tensor: &Tensor, bytes: &mut Vec<u8>) -> Result<(), TchError> {
    let host = tensor.detach().f_to_device(Device::Cpu)?.f_contiguous()?;
    bytes.resize(host.numel() * host.f_kind()?.elt_size_in_bytes(), 0);
    host.f_copy_data_u8(bytes, host.numel())
}

pub(super) fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut File) -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    let io = |what| {
        move |source| WeightsError::Io {
            file: path.into(),
            what,
            source,
        }
    };
    let name = path
        .file_name()
        .ok_or_else(|| io("no file name")(io::ErrorKind::InvalidInput.into()))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let write = || {
        let mut file = File::create(&temporary).map_err(io("cannot create a file beside it"))?;
        content(&mut file)?;
        file.sync_all().map_err(io("cannot flush to the disk"))?;
        fs::rename(&temporary, path).map_err(io("cannot rename the finished file"))
    };
    let written = write();
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename itself must reach the disk too; folders cannot be opened on every platform.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Reads every tensor of a file to the host, sorted by name.
///
/// # Errors
/// [`WeightsError`] for a file that is not whole or holds values that are not finite.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, WeightsError> {
    let infos = read_header(path)?;
    let mut values = Values::new(path, &infos)?;
    let mut tensors = Vec::with_capacity(infos.len());
    for info in &infos {
        let kind = kind_of(info.dtype).ok_or_else(|| WeightsError::Dtype {
            file: path.into(),
            tensor: info.name.clone(),
            have: info.dtype.to_string(),
            need: "one that libtorch has".into(),
        })?;
        let view = values.view(info, kind)?;
        check_finite(path, &info.name, &view)?;
        let own =
            Tensor::f_empty(&info.shape, (kind, Device::Cpu)).map_err(|e| torch(path, &info.name, &e))?;
        copy(path, &info.name, &view, &own)?;
        tensors.push((info.name.clone(), own));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

/// Reads a file into the tensors given, which must be exactly those of the file: same names, shapes and types,
/// every value finite. All or nothing: the tensors change only after everything has been checked.
///
/// # Errors
/// [`WeightsError`], naming file and tensor; the tensors are then as before.
pub fn load(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), WeightsError> {
    let infos = read_header(path)?;
    let described = infos.iter().map(|info| Described {
        name: &info.name,
        shape: &info.shape,
        kind: kind_of(info.dtype),
        dtype: info.dtype.to_string(),
    });
    let order = matching(path, &described.collect::<Vec<_>>(), tensors)?;
    let mut wanted: Vec<(&Info, &Tensor)> = tensors
        .iter()
        .zip(order)
        .map(|((_, tensor), place)| (&infos[place], tensor))
        .collect();
    wanted.sort_by_key(|(info, _)| info.start);
    let mut values = Values::new(path, &infos)?;
    for (info, tensor) in &wanted {
        check_finite(path, &info.name, &values.view(info, tensor.kind())?)?;
    }
    for (info, tensor) in &wanted {
        copy(path, &info.name, &values.view(info, tensor.kind())?, tensor)?;
    }
    Ok(())
}

/// The values of a file, mapped into memory.
struct Values<'p> {
    path: &'p Path,
    length: u64,
    bytes: Option<Tensor>,
    /// Bytes looked at since the file was mapped.
    touched: u64,
}

impl<'p> Values<'p> {
    /// Bytes after which the mapping is renewed: pages that were looked at count as memory of the process until then.
    const WINDOW: u64 = 16 << 20;

    fn new(path: &'p Path, infos: &[Info]) -> Result<Self, WeightsError> {
        let length = infos.last().map_or(0, |info| info.start + info.bytes);
        let mut values = Values {
            path,
            length,
            bytes: None,
            touched: 0,
        };
        values.renew("")?;
        Ok(values)
    }

    fn renew(&mut self, name: &str) -> Result<(), WeightsError> {
        self.touched = 0;
        if self.length == 0 {
            return Ok(());
        }
        self.bytes = None;
        let options = (Kind::Uint8, Device::Cpu);
        self.bytes = Some(match self.path.to_str() {
            // A private mapping: the file never changes through it.
            Some(path) => Tensor::f_from_file(path, false, self.length as i64, options)
                .map_err(|e| torch(self.path, name, &e))?,
            // libtorch takes names in UTF-8 only.
            None => {
                let bytes = fs::read(self.path).map_err(|source| WeightsError::Io {
                    file: self.path.into(),
                    what: "cannot read",
                    source,
                })?;
                Tensor::f_from_slice(&bytes).map_err(|e| torch(self.path, name, &e))?
            }
        });
        Ok(())
    }

    /// The values of a tensor; valid as long as it lives.
    fn view(&mut self, info: &Info, kind: Kind) -> Result<Tensor, WeightsError> {
        if self.touched > Self::WINDOW && self.path.to_str().is_some() {
            self.renew(&info.name)?;
        }
        self.touched += info.bytes;
        let view = || -> Result<Tensor, TchError> {
            let bytes = match &self.bytes {
                Some(bytes) if info.bytes > 0 => bytes,
                _ => return Tensor::f_zeros(&info.shape, (kind, Device::Cpu)),
            };
            let mut own = bytes.f_narrow(0, info.start as i64, info.bytes as i64)?;
            if !info.start.is_multiple_of(kind.elt_size_in_bytes() as u64) {
                let mut aligned = Tensor::f_empty_like(&own)?;
                aligned.f_copy_(&own)?;
                own = aligned;
            }
            match kind {
                // A byte that is neither 0 nor 1 is no bool to the compiler.
                Kind::Bool => own.f_ne(0)?,
                _ => own.f_view_dtype(kind)?,
            }
            .f_view(&info.shape[..])
        };
        view().map_err(|e| torch(self.path, &info.name, &e))
    }
}
