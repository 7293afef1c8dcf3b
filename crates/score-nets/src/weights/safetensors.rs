//! The safetensors format: written whole or not at all, read strictly.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use tch::{Kind, TchError, Tensor};

use super::WeightsError;
use crate::error::first_line;

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

struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// Writes the tensors to `path`: to a temporary file in the same folder, flushed to the disk, then renamed, so
/// that at any moment the old file or the whole new one is there. The file names its format (`pt`), as the Python
/// libraries expect. The same tensors give the same bytes.
///
/// # Errors
/// [`WeightsError`]; the old file is then untouched and no temporary file is left.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), WeightsError> {
    let mut views = BTreeMap::new();
    for (name, tensor) in tensors {
        let view = bytes_of(tensor).map_err(|reason| WeightsError::Torch {
            file: path.into(),
            tensor: name.clone(),
            reason,
        })?;
        if views.insert(name.clone(), view).is_some() {
            return Err(WeightsError::Duplicate {
                file: path.into(),
                tensor: name.clone(),
            });
        }
    }
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| WeightsError::Header {
        file: path.into(),
        reason: e.to_string(),
    })?;
    write_atomically(path, &bytes)
}

fn bytes_of(tensor: &Tensor) -> Result<Bytes, String> {
    let copy = || -> Result<(Kind, Vec<u8>), TchError> {
        let host = tensor.detach().f_to_device(tch::Device::Cpu)?.f_contiguous()?;
        let kind = host.f_kind()?;
        let mut data = vec![0; host.numel() * kind.elt_size_in_bytes()];
        host.f_copy_data_u8(&mut data, host.numel())?;
        Ok((kind, data))
    };
    let (kind, data) = copy().map_err(|e| first_line(&e))?;
    let dtype = dtype_of(kind).ok_or_else(|| format!("type {kind:?} has no place in a safetensors file"))?;
    Ok(Bytes {
        dtype,
        shape: tensor.size().iter().map(|&n| n as usize).collect(),
        data,
    })
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
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
        file.write_all(bytes).map_err(io("cannot write"))?;
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
    let bytes = read_bytes(path)?;
    let mut tensors: Vec<_> = parse(path, &bytes)?.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
        .into_iter()
        .map(|(name, view)| Ok((name.clone(), to_tensor(path, &name, &view)?)))
        .collect()
}

/// Reads a file into the tensors given, which must be exactly those of the file: same names, shapes and types,
/// every value finite. All or nothing: the tensors change only after everything has been checked.
///
/// # Errors
/// [`WeightsError`], naming file and tensor; the tensors are then as before.
pub fn load(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), WeightsError> {
    let bytes = read_bytes(path)?;
    let file = parse(path, &bytes)?;
    let views: BTreeMap<String, TensorView> = file.tensors().into_iter().collect();
    let mut missing = tensors
        .iter()
        .filter(|(name, _)| !views.contains_key(name))
        .peekable();
    if let Some((name, _)) = missing.peek() {
        let tensor = name.clone();
        return Err(WeightsError::Missing {
            file: path.into(),
            tensor,
            count: missing.count(),
        });
    }
    let mut extra = views
        .keys()
        .filter(|name| !tensors.iter().any(|(own, _)| own == *name))
        .peekable();
    if let Some(name) = extra.peek() {
        let tensor = name.to_string();
        return Err(WeightsError::Extra {
            file: path.into(),
            tensor,
            count: extra.count(),
        });
    }
    for (name, tensor) in tensors {
        check(path, name, &views[name], tensor)?;
    }
    let staged: Vec<Tensor> = tensors
        .iter()
        .map(|(name, _)| to_tensor(path, name, &views[name]))
        .collect::<Result<_, WeightsError>>()?;
    tch::no_grad(|| {
        for ((name, tensor), new) in tensors.iter().zip(&staged) {
            tensor
                .shallow_clone()
                .f_copy_(new)
                .map_err(|e| torch(path, name, &e))?;
        }
        Ok(())
    })
}

fn torch(path: &Path, name: &str, error: &TchError) -> WeightsError {
    WeightsError::Torch {
        file: path.into(),
        tensor: name.into(),
        reason: first_line(error),
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, WeightsError> {
    fs::read(path).map_err(|source| WeightsError::Io {
        file: path.into(),
        what: "cannot read",
        source,
    })
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, WeightsError> {
    use safetensors::SafeTensorError::{HeaderTooLarge, HeaderTooSmall, InvalidHeaderLength};
    SafeTensors::deserialize(bytes).map_err(|error| {
        let file = path.to_path_buf();
        let have = bytes.len() as u64;
        let prefix = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
        match (&error, prefix) {
            (HeaderTooSmall, _) => WeightsError::Length { file, have, need: 8 },
            (InvalidHeaderLength, Some(header)) if header <= 100_000_000 => WeightsError::Length {
                file,
                have,
                need: header + 8,
            },
            (HeaderTooLarge, Some(header)) => WeightsError::Header {
                file,
                reason: format!("its first eight bytes promise a header of {header} bytes"),
            },
            (safetensors::SafeTensorError::MetadataIncompleteBuffer, Some(header)) => {
                match described_length(bytes, header) {
                    Some(need) => WeightsError::Length { file, have, need },
                    None => WeightsError::Header {
                        file,
                        reason: error.to_string(),
                    },
                }
            }
            _ => WeightsError::Header {
                file,
                reason: error.to_string(),
            },
        }
    })
}

/// The length that a valid header describes: prefix, header and the last byte of any tensor.
fn described_length(bytes: &[u8], header: u64) -> Option<u64> {
    let text = bytes.get(8..usize::try_from(header).ok()?.checked_add(8)?)?;
    let metadata: safetensors::tensor::Metadata = serde_json::from_slice(text).ok()?;
    Some(8 + header + metadata.data_len() as u64)
}

fn check(path: &Path, name: &str, view: &TensorView, own: &Tensor) -> Result<(), WeightsError> {
    let have: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    let need = own.size();
    if have != need {
        let sorted = |shape: &[i64]| {
            let mut sorted = shape.to_vec();
            sorted.sort_unstable();
            sorted
        };
        let transposed = sorted(&have) == sorted(&need);
        return Err(WeightsError::Shape {
            file: path.into(),
            tensor: name.into(),
            have,
            need,
            transposed,
        });
    }
    if kind_of(view.dtype()) != Some(own.kind()) {
        return Err(WeightsError::Dtype {
            file: path.into(),
            tensor: name.into(),
            have: view.dtype().to_string(),
            need: dtype_of(own.kind()).map_or_else(|| format!("{:?}", own.kind()), |dtype| dtype.to_string()),
        });
    }
    Ok(())
}

fn to_tensor(path: &Path, name: &str, view: &TensorView) -> Result<Tensor, WeightsError> {
    let kind = kind_of(view.dtype()).ok_or_else(|| WeightsError::Dtype {
        file: path.into(),
        tensor: name.into(),
        have: view.dtype().to_string(),
        need: "one that libtorch has".into(),
    })?;
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    let read = || -> Result<(Tensor, bool), TchError> {
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        let finite = match kind {
            Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => {
                tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0
            }
            _ => true,
        };
        Ok((tensor, finite))
    };
    match read().map_err(|e| torch(path, name, &e))? {
        (tensor, true) => Ok(tensor),
        (_, false) => Err(WeightsError::NonFinite {
            file: path.into(),
            tensor: name.into(),
        }),
    }
}
