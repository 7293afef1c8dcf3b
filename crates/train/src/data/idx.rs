//! The IDX format of MNIST: two zero bytes, a type, the number of axes, the axes as big-endian 32-bit numbers, the
//! values. Plain or gzip, by content.

use std::io::Read;
use std::path::Path;

use super::files::{damaged, fill, open_unpacked, read_error};
use crate::TrainError;

/// What an IDX file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdxKind {
    /// Bytes on three axes: number, height, width.
    Images,
    /// Bytes on one axis.
    Labels,
}

/// The content of an IDX file of unsigned bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Lengths of the axes.
    pub axes: Vec<usize>,
    /// Values, last axis fastest.
    pub values: Vec<u8>,
}

/// Reads a file and refuses whatever is not exactly what its header says.
///
/// # Errors
/// [`TrainError::Io`], or [`TrainError::Format`]: a folder, no IDX, the wrong kind, truncated, too long, empty.
pub fn read_idx(path: &Path, kind: IdxKind) -> Result<Idx, TrainError> {
    let (mut file, packed) = open_unpacked(path)?;
    let bad = |reason: String| damaged(path, &reason);
    let mut magic = [0u8; 4];
    let got = fill(&mut file, &mut magic).map_err(|e| read_error(path, packed, e))?;
    match (got, magic) {
        (0, _) => return Err(bad("is empty, need an IDX file".to_string())),
        (4, [0, 0, 0x08, 1 | 3]) => {}
        (4, [0, 0, 0x08, axes]) => {
            return Err(bad(format!(
                "is an IDX file of {axes} axes, need {}",
                kind.need()
            )));
        }
        (4, [0, 0, 0x09..=0x0e, _]) => {
            return Err(bad(
                "is an IDX file of values wider than a byte; need unsigned bytes".to_string(),
            ));
        }
        _ => {
            return Err(bad(format!(
                "is no IDX file: it starts with the bytes {:02x?}",
                &magic[..got]
            )));
        }
    }
    match (kind, magic[3]) {
        (IdxKind::Images, 1) => {
            return Err(bad(
                "holds labels (an IDX file of 1 axis), need images (3 axes)".into()
            ));
        }
        (IdxKind::Labels, 3) => {
            return Err(bad(
                "holds images (an IDX file of 3 axes), need labels (1 axis)".into()
            ));
        }
        _ => {}
    }
    let mut header = vec![0u8; 4 * usize::from(magic[3])];
    let got = fill(&mut file, &mut header).map_err(|e| read_error(path, packed, e))?;
    if got < header.len() {
        return Err(bad(format!(
            "is truncated: it ends inside the header, after {} bytes",
            4 + got
        )));
    }
    let axes: Vec<usize> = header
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let shown = axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let total = axes
        .iter()
        .try_fold(1usize, |product, &n| product.checked_mul(n))
        .filter(|&n| n < 1 << 40);
    let Some(total) = total else {
        return Err(bad(format!("is damaged: its header promises {shown} bytes")));
    };
    if total == 0 {
        return Err(bad(format!("is empty: its header says {shown}")));
    }
    let mut values = Vec::new();
    let mut limited = file.by_ref().take(total as u64 + 1);
    limited
        .read_to_end(&mut values)
        .map_err(|e| read_error(path, packed, e))?;
    if values.len() < total {
        return Err(bad(format!(
            "is truncated: its header says {shown} = {total} bytes, {} are there",
            values.len()
        )));
    }
    if values.len() > total {
        return Err(bad(format!(
            "is damaged: more bytes follow than the {shown} = {total} of its header"
        )));
    }
    Ok(Idx { axes, values })
}

impl IdxKind {
    fn need(self) -> &'static str {
        match self {
            IdxKind::Images => "images (3 axes)",
            IdxKind::Labels => "labels (1 axis)",
        }
    }
}
