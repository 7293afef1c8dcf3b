//! The header of a safetensors file, read strictly.
//!
//! Eight bytes of length, a JSON object `name -> { dtype, shape, data_offsets }`, then the values without gaps (format of
//! the public package `safetensors`). The package's own reader wants the whole file in memory and takes the last of two
//! equal names silently; this one reads the header alone and refuses what is not exactly right.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::Dtype;
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::WeightsError;

/// Bytes of a header at most, the format's own limit.
const LONGEST: u64 = 100_000_000;
/// Tensors at most.
const TENSORS: usize = 1 << 16;
/// Axes at most.
const AXES: usize = 64;

/// Where the values of a tensor lie, and what they are.
#[derive(Debug, Clone)]
pub(super) struct Info {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<i64>,
    /// First byte in the file.
    pub start: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// Reads and checks the header: the tensors, in the order of their values, which fill the file exactly.
pub(super) fn read_header(path: &Path) -> Result<Vec<Info>, WeightsError> {
    let io = |source| WeightsError::Io {
        file: path.into(),
        what: "cannot read",
        source,
    };
    let wrong = |reason: String| WeightsError::Header {
        file: path.into(),
        reason,
    };
    let short = |have, need| WeightsError::Length {
        file: path.into(),
        have,
        need,
    };
    let mut file = File::open(path).map_err(io)?;
    let have = file.metadata().map_err(io)?.len();
    let mut prefix = [0; 8];
    if have < 8 {
        // A folder says so here.
        file.read(&mut prefix).map_err(io)?;
        return Err(short(have, 8));
    }
    file.read_exact(&mut prefix).map_err(io)?;
    let length = u64::from_le_bytes(prefix);
    if length > LONGEST {
        return Err(wrong(format!(
            "its first eight bytes promise a header of {length} bytes"
        )));
    }
    if 8 + length > have {
        return Err(short(have, 8 + length));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(io)?;
    let Tensors(mut tensors) = serde_json::from_slice(&text).map_err(|e| wrong(format!("header: {e}")))?;
    let mut names = HashSet::new();
    if let Some(twice) = tensors.iter().find(|info| !names.insert(info.name.as_str())) {
        let (file, tensor) = (path.into(), twice.name.clone());
        return Err(WeightsError::Duplicate { file, tensor });
    }
    tensors.sort_by_key(|info| (info.start, info.bytes));
    let mut end = 0;
    for info in &mut tensors {
        let name = &info.name;
        let size = info
            .shape
            .iter()
            .try_fold(info.dtype.bitsize() as u64, |size, &n| size.checked_mul(n as u64));
        if size != info.bytes.checked_mul(8) {
            let (shape, dtype) = (&info.shape, info.dtype);
            let reason = format!(
                "tensor `{name}` of shape {shape:?} and type {dtype} has {} bytes",
                info.bytes
            );
            return Err(wrong(reason));
        }
        if info.start != end {
            return Err(wrong(format!(
                "tensor `{name}` starts at byte {}, not where another ends ({end})",
                info.start
            )));
        }
        end += info.bytes;
        info.start += 8 + length;
    }
    match 8 + length + end {
        need if need == have => Ok(tensors),
        need => Err(short(have, need)),
    }
}

struct Tensors(Vec<Info>);

/// What stands under a name.
#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (u64, u64),
}

struct Shape(Vec<i64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(size) = list.next_element::<u64>()? {
                    let size = i64::try_from(size).map_err(|_| A::Error::custom("a size beyond 2^63"))?;
                    shape.push(size);
                    if shape.len() > AXES {
                        return Err(A::Error::custom(format!("a tensor with more than {AXES} axes")));
                    }
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Tensors;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let entry = map.next_value::<Entry>();
                    let entry = entry
                        .map_err(|e| A::Error::custom(format!("tensor `{}`: {e}", name.escape_debug())))?;
                    let (start, end) = entry.data_offsets;
                    let bytes = end.checked_sub(start);
                    let bytes = bytes
                        .ok_or_else(|| A::Error::custom(format!("tensor `{name}` ends before it starts")))?;
                    tensors.push(Info {
                        name,
                        dtype: entry.dtype,
                        shape: entry.shape.0,
                        start,
                        bytes,
                    });
                    if tensors.len() > TENSORS {
                        return Err(A::Error::custom(format!("more than {TENSORS} tensors")));
                    }
                }
                Ok(Tensors(tensors))
            }
        }
        deserializer.deserialize_map(Names)
    }
}
