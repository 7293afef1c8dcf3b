//! NumPy's array files: `.npy` (one array) and `.npz` (a zip archive of named arrays).
//!
//! Format: NumPy Enhancement Proposal 1 (`numpy.lib.format`). Writers are atomic and write C order; readers
//! take either order, check the size that the header claims against the bytes present before they allocate,
//! and read bytes (`uint8`), `int32`, `int64`, `float32` and `float64`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use ndarray::{ArrayBase, ArrayD, Data, Dimension};
use ndarray_npy::{NpzWriter, ReadNpyExt, WritableElement, WriteNpyExt};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::{ReportError, atomic};

/// The name of the array in an archive of samples, the one that `numpy.savez` gives to its first array.
pub const FIRST_ARRAY: &str = "arr_0";

/// An array as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// `uint8`.
    U8(ArrayD<u8>),
    /// `int32` and `int64`.
    I64(ArrayD<i64>),
    /// `float32`.
    F32(ArrayD<f32>),
    /// `float64`.
    F64(ArrayD<f64>),
}

impl Values {
    /// The extent of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::U8(a) => a.shape(),
            Self::I64(a) => a.shape(),
            Self::F32(a) => a.shape(),
            Self::F64(a) => a.shape(),
        }
    }

    /// The values in `f64`, unscaled: a byte 255 becomes 255.0.
    pub fn into_f64(self) -> ArrayD<f64> {
        match self {
            Self::U8(a) => a.mapv(f64::from),
            Self::I64(a) => a.mapv(|value| value as f64),
            Self::F32(a) => a.mapv(f64::from),
            Self::F64(a) => a,
        }
    }

    /// The values in `f32`, unscaled; wider values are rounded to nearest.
    pub fn into_f32(self) -> ArrayD<f32> {
        match self {
            Self::U8(a) => a.mapv(f32::from),
            Self::I64(a) => a.mapv(|value| value as f32),
            Self::F32(a) => a,
            Self::F64(a) => a.mapv(|value| value as f32),
        }
    }
}

/// Writes one array as `.npy`, atomically.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_npy<A, S, D>(path: &Path, array: &ArrayBase<S, D>) -> Result<(), ReportError>
where
    A: WritableElement + Clone,
    S: Data<Elem = A>,
    D: Dimension,
{
    // In C order whatever the layout in memory: `to_owned` alone would keep Fortran order.
    let array = array.as_standard_layout();
    atomic::write(path, |file| array.write_npy(file).map_err(io::Error::other))
}

/// Writes one array, named [`FIRST_ARRAY`], as an uncompressed `.npz`, atomically. The same array gives the
/// same bytes: the archive carries no time.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_npz<A, S, D>(path: &Path, array: &ArrayBase<S, D>) -> Result<(), ReportError>
where
    A: WritableElement + Clone,
    S: Data<Elem = A>,
    D: Dimension,
{
    let array = array.as_standard_layout();
    atomic::write(path, |file| {
        let mut archive = NpzWriter::new(file);
        archive.add_array(FIRST_ARRAY, &array).map_err(io::Error::other)?;
        archive.finish().map_err(io::Error::other)?.flush()
    })
}

/// Writes arrays under their names as an uncompressed `.npz`, atomically. The same arrays give the same bytes.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_arrays(path: &Path, arrays: &[(&str, Values)]) -> Result<(), ReportError> {
    fn add<A: WritableElement + Clone>(
        archive: &mut NpzWriter<&mut BufWriter<File>>,
        name: &str,
        array: &ArrayD<A>,
    ) -> io::Result<()> {
        let array = array.as_standard_layout();
        archive.add_array(name, &array).map_err(io::Error::other)
    }
    atomic::write(path, |file| {
        let mut archive = NpzWriter::new(file);
        for (name, values) in arrays {
            match values {
                Values::U8(array) => add(&mut archive, name, array)?,
                Values::I64(array) => add(&mut archive, name, array)?,
                Values::F32(array) => add(&mut archive, name, array)?,
                Values::F64(array) => add(&mut archive, name, array)?,
            }
        }
        archive.finish().map_err(io::Error::other)?.flush()
    })
}

/// Reads a `.npy` file, or the array [`FIRST_ARRAY`] of a `.npz` file (the only array, if there is but one of
/// another name). The kind of file is told by its first bytes, not by its name.
///
/// # Errors
/// [`ReportError::Io`] if the file cannot be read; [`ReportError::Format`] if it is neither, is cut off,
/// holds trailing bytes, or an element type other than bytes, `int32`, `int64`, `float32`, `float64`.
pub fn read(path: &Path) -> Result<Values, ReportError> {
    read_array(path, None)
}

/// Reads a `.npy` file, or the array of this name of a `.npz` file; as [`read`] where there is none.
///
/// # Errors
/// As [`read`]; [`ReportError::Format`] also where a name is given for a `.npy` file or the archive has no such array: it lists
/// those that it has.
pub fn read_array(path: &Path, name: Option<&str>) -> Result<Values, ReportError> {
    let format_error = |reason| ReportError::Format {
        path: path.to_owned(),
        reason,
    };
    let bytes = match (open(path)?, name) {
        (Opened::Archive(archive), name) => member(archive, name).map_err(format_error)?,
        (Opened::Array(bytes), None) => bytes,
        (Opened::Array(_), Some(name)) => {
            return Err(format_error(format!(
                "holds one array without a name, no archive with an array {name}"
            )));
        }
    };
    parse(&bytes).map_err(format_error)
}

/// Names of the arrays of a `.npz` file, in its order; none for a `.npy` file.
///
/// # Errors
/// [`ReportError::Io`] if the file cannot be read; [`ReportError::Format`] if it is empty or no whole archive.
pub fn names(path: &Path) -> Result<Vec<String>, ReportError> {
    Ok(match open(path)? {
        Opened::Archive(archive) => array_names(&archive),
        Opened::Array(_) => Vec::new(),
    })
}

/// A file by its first bytes.
enum Opened {
    Archive(Archive),
    /// All of it.
    Array(Vec<u8>),
}

type Archive = ZipArchive<BufReader<File>>;

fn open(path: &Path) -> Result<Opened, ReportError> {
    let io_error = |source| ReportError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let format_error = |reason| ReportError::Format {
        path: path.to_owned(),
        reason,
    };
    let mut file = BufReader::new(File::open(path).map_err(io_error)?);
    let mut magic = [0; 2];
    file.read_exact(&mut magic)
        .map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => format_error("the file is empty".to_owned()),
            _ => io_error(source),
        })?;
    file.rewind().map_err(io_error)?;
    if &magic == b"PK" {
        let archive = ZipArchive::new(file);
        return archive
            .map(Opened::Archive)
            .map_err(|e| format_error(format!("not a whole .npz archive: {e}")));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error)?;
    Ok(Opened::Array(bytes))
}

fn array_names(archive: &Archive) -> Vec<String> {
    let names = archive.file_names();
    names
        .map(|name| name.strip_suffix(".npy").unwrap_or(name).to_owned())
        .collect()
}

/// The bytes of an array of the archive.
fn member(mut archive: Archive, wanted: Option<&str>) -> Result<Vec<u8>, String> {
    let member = format!("{}.npy", wanted.unwrap_or(FIRST_ARRAY));
    let files: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let name = match files.as_slice() {
        [only] if wanted.is_none() => only,
        files if files.contains(&member) => &member,
        _ => {
            return Err(format!(
                "no array named {}; the archive holds {}",
                wanted.unwrap_or(FIRST_ARRAY),
                array_names(&archive).join(", ")
            ));
        }
    };
    let mut bytes = Vec::new();
    let mut entry = archive
        .by_name(name)
        .map_err(|e: ZipError| format!("{name}: {e}"))?;
    entry
        .read_to_end(&mut bytes)
        .map_err(|e| format!("{name}: {e}"))?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Values, String> {
    let (header, data) = split_header(bytes)?;
    let descr = header_field(header, "descr").ok_or("the header names no element type")?;
    let descr = descr.trim_matches(['\'', '"']);
    let width = match descr {
        "|u1" | "<u1" | ">u1" | "u1" => 1,
        "<f4" | ">f4" | "<i4" | ">i4" => 4,
        "<f8" | ">f8" | "<i8" | ">i8" => 8,
        other => {
            return Err(format!(
                "element type {other} is not read: save the array as uint8, int32, int64, float32 or float64"
            ));
        }
    };
    // Before anything is allocated: a damaged header may claim any size.
    let claimed = header_shape(header)?
        .iter()
        .try_fold(width, |size: usize, &n| size.checked_mul(n));
    if claimed != Some(data.len()) {
        let claimed = claimed.map_or("more than the address space".to_owned(), |n| format!("{n} bytes"));
        return Err(format!(
            "the header claims {claimed} of data, the file holds {} bytes",
            data.len()
        ));
    }
    let read_error = |e: ndarray_npy::ReadNpyError| e.to_string();
    let whole = descr.contains('i');
    Ok(match width {
        1 => Values::U8(ArrayD::read_npy(bytes).map_err(read_error)?),
        4 if whole => {
            let array: ArrayD<i32> = ArrayD::read_npy(bytes).map_err(read_error)?;
            Values::I64(array.mapv(i64::from))
        }
        8 if whole => Values::I64(ArrayD::read_npy(bytes).map_err(read_error)?),
        4 => Values::F32(ArrayD::read_npy(bytes).map_err(read_error)?),
        _ => Values::F64(ArrayD::read_npy(bytes).map_err(read_error)?),
    })
}

/// The header's text and the data after it.
fn split_header(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let rest = bytes
        .strip_prefix(b"\x93NUMPY")
        .ok_or("neither a .npy file nor a .npz archive")?;
    let cut = "the header is cut off";
    let (start, length) = match rest {
        [1, _, a, b, ..] => (4, usize::from(u16::from_le_bytes([*a, *b]))),
        [_, _, a, b, c, d, ..] => (6, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err(cut.to_owned()),
    };
    let header = rest.get(start..).and_then(|rest| rest.get(..length)).ok_or(cut)?;
    let text = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
    Ok((text, &rest[start + length..]))
}

/// What follows `'name':` in the header's dictionary, up to the next comma outside brackets.
fn header_field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let at = header.find(&format!("'{name}'"))? + name.len() + 2;
    let value = header[at..].trim_start().strip_prefix(':')?.trim_start();
    let end = match value.strip_prefix('(') {
        Some(inside) => inside.find(')')? + 2,
        None => value.find([',', '}'])?,
    };
    Some(value[..end].trim_end())
}

fn header_shape(header: &str) -> Result<Vec<usize>, String> {
    let bad = || "the header names no shape".to_owned();
    let field = header_field(header, "shape").ok_or_else(bad)?;
    let inside = field
        .strip_prefix('(')
        .and_then(|f| f.strip_suffix(')'))
        .ok_or_else(bad)?;
    let extents = inside
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty());
    extents.map(|extent| extent.parse().map_err(|_| bad())).collect()
}

#[cfg(test)]
mod tests;
