//! Reading files that may be compressed, with errors that name them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::TrainError;

/// Opens a file and unpacks it if it is gzip by content; the name does not matter.
pub(super) fn open_unpacked(path: &Path) -> Result<(Box<dyn Read>, bool), TrainError> {
    if path.is_dir() {
        return Err(damaged(path, "is a folder, need a file"));
    }
    let mut file = File::open(path).map_err(TrainError::io("open", path))?;
    let mut start = [0u8; 2];
    let got = fill(&mut file, &mut start).map_err(TrainError::io("read", path))?;
    let rest = io::Cursor::new(start[..got].to_vec()).chain(BufReader::with_capacity(1 << 16, file));
    let packed = start == [0x1f, 0x8b];
    Ok(if packed {
        (Box::new(MultiGzDecoder::new(rest)), true)
    } else {
        (Box::new(rest), false)
    })
}

/// Reads until the buffer is full or the end; the number of bytes read.
pub(super) fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

/// The error of a failed read: damage inside a gzip stream is the file's fault, all else the system's.
pub(super) fn read_error(path: &Path, packed: bool, error: io::Error) -> TrainError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof if packed => damaged(path, "is truncated: its gzip stream has no end"),
        InvalidData | InvalidInput if packed => damaged(path, &format!("is damaged: {error}")),
        _ => TrainError::Io {
            action: "read",
            path: path.to_path_buf(),
            source: error,
        },
    }
}

pub(super) fn damaged(path: &Path, reason: &str) -> TrainError {
    TrainError::Format {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}
