//! The disk, for files that stand beside weights: read with a limit, folders made whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The bytes of a file of at most `limit`.
pub(crate) fn read_at_most(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let too_long = format!("more than {limit} bytes, too long for a configuration");
        return Err(io::Error::new(io::ErrorKind::InvalidData, too_long));
    }
    Ok(bytes)
}

/// Length of a file in bytes.
pub(crate) fn length(file: &Path) -> io::Result<u64> {
    fs::metadata(file).map(|facts| facts.len())
}

/// Writes a text.
pub(crate) fn write_text(file: &Path, text: &str) -> io::Result<()> {
    fs::write(file, text)
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Makes a folder of what `fill` writes into a temporary one beside it; what fails leaves nothing. The folder must not
/// exist yet, or be empty; `refuse` makes an error of what was tried and why it failed.
pub(crate) fn make_whole<E>(
    folder: &Path,
    refuse: impl Fn(&'static str, io::Error) -> E,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let Some(name) = folder.file_name() else {
        return Err(refuse(
            "not the name of a folder",
            io::ErrorKind::InvalidInput.into(),
        ));
    };
    let full = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if full || folder.is_file() {
        let there = io::ErrorKind::AlreadyExists.into();
        return Err(refuse("is there already, and not empty", there));
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| refuse("cannot create the folder above", e))?;
    let temporary = parent.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = fill(&temporary).and_then(|()| {
        fs::rename(&temporary, folder).map_err(|e| refuse("cannot rename the finished folder", e))
    });
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}
