//! Files that are either whole or absent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ReportError;

/// Makes names of temporary files unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes a file through a temporary neighbour: write, fsync, rename, fsync of the folder.
///
/// A reader sees the old file or the whole new one, never a part, also after a power cut. The folder must
/// exist. When `fill` or the disk fails, the temporary file is removed and an existing file at `path` stays.
///
/// # Errors
/// [`ReportError::Io`] naming `path`.
pub fn write<F>(path: &Path, fill: F) -> Result<(), ReportError>
where
    F: FnOnce(&mut BufWriter<File>) -> io::Result<()>,
{
    let io_error = |source| ReportError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let temporary = temporary_name(path).map_err(io_error)?;
    let outcome = fill_and_rename(&temporary, path, fill);
    if outcome.is_err() {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    outcome.map_err(io_error)
}

/// [`write()`] with the content at hand.
///
/// # Errors
/// As [`write()`].
pub fn write_bytes(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    write(path, |file| file.write_all(content))
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".{}-{number}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn fill_and_rename<F>(temporary: &Path, path: &Path, fill: F) -> io::Result<()>
where
    F: FnOnce(&mut BufWriter<File>) -> io::Result<()>,
{
    let mut writer = BufWriter::new(File::create(temporary)?);
    fill(&mut writer)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    sync_folder(path)
}

/// Makes the rename itself durable. Only Unix lets a folder be opened and synchronised.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("the test's own folder")
            .map(|entry| {
                entry
                    .expect("the test's own folder")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.bin");
        write_bytes(&path, b"old").expect("writable");
        let error = write(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        })
        .expect_err("fill fails");
        assert!(error.to_string().contains("a.bin: disk full"), "{error}");
        assert_eq!(fs::read(&path).expect("readable"), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
        write_bytes(&path, b"new").expect("writable");
        assert_eq!(fs::read(&path).expect("readable"), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_missing_folder_and_a_nameless_path_are_errors() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let missing = folder.path().join("no").join("a.bin");
        assert!(matches!(write_bytes(&missing, b"x"), Err(ReportError::Io { .. })));
        assert!(matches!(
            write_bytes(Path::new("/"), b"x"),
            Err(ReportError::Io { .. })
        ));
    }

    #[test]
    fn a_folder_in_the_way_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.bin");
        fs::create_dir(&path).expect("a folder");
        assert!(write_bytes(&path, b"x").is_err());
        assert_eq!(names(folder.path()), ["a.bin"]);
    }
}
