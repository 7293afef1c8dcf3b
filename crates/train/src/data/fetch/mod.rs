//! Brings a data set into the cache: through the package manager that has it, or from files at hand. Every file is
//! unpacked, checked by hash, written to a temporary name, synced and renamed: the cache never holds half a file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::cache;
use super::files::{damaged, open_unpacked, read_error};
use super::mnist::find_file;
use super::sets::{Pack, SetFile, SetInfo};
use crate::TrainError;
use crate::hash::hex;

mod archive;
mod download;

use archive::unpack;
use download::download;

/// What a fetch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Folder in the cache.
    pub folder: PathBuf,
    /// Whether the files were there already, whole.
    pub present: bool,
}

/// How deep folders are searched for the files: Debian's package has them at the fifth level.
const DEPTH: u32 = 6;

/// Fetches a data set; `from` is a folder (searched six levels deep) or an archive (`.tgz`, `.tar.gz`, `.tar`, `.deb`,
/// `.whl`, `.zip`)
/// of the user's.
///
/// # Errors
/// [`TrainError::Data`] for a set that has no files; [`TrainError::Tool`] for an absent or failing package manager;
/// [`TrainError::Format`] for a file with another hash; [`TrainError::Io`].
pub fn fetch(set: &SetInfo, from: Option<&Path>) -> Result<Fetched, TrainError> {
    if set.files.is_empty() {
        let reason = "there is nothing to fetch, it can be used as it is".to_string();
        return Err(TrainError::Data {
            name: set.name.to_string(),
            reason,
        });
    }
    fetch_into(cache::data_folder(set.name)?, set, from)
}

fn fetch_into(folder: PathBuf, set: &SetInfo, from: Option<&Path>) -> Result<Fetched, TrainError> {
    let whole = |file: &SetFile| hash_file(&folder.join(file.name)).is_ok_and(|hash| hash == file.sha256);
    if from.is_none() && set.files.iter().all(whole) {
        return Ok(Fetched {
            folder,
            present: true,
        });
    }
    let done = place(&folder, set, from);
    if done.is_err() {
        // Succeeds only where this fetch made the folder and left nothing in it.
        let _ = fs::remove_dir(&folder);
    }
    done.map(|()| Fetched {
        folder,
        present: false,
    })
}

fn place(folder: &Path, set: &SetInfo, from: Option<&Path>) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    let work = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(folder)
        .map_err(TrainError::io("create a temporary folder in", folder))?;
    let source = match from {
        Some(path) if path.is_dir() => path.to_path_buf(),
        Some(path) => unpack(path, set, &work)?,
        None => download(set, &work)?,
    };
    // All are checked before the first is placed.
    let mut ready = Vec::new();
    for file in set.files {
        let found = search(&source, file.name, DEPTH);
        let found = match (found, set.pack) {
            (None, Some(pack)) => packed(&source, pack, &work.path().join(file.name))?,
            (found, _) => found,
        };
        let found = found.ok_or_else(|| {
            let from = from.unwrap_or(&source);
            damaged(from, &format!("holds no {} (or {}.gz)", file.name, file.name))
        })?;
        ready.push((
            checked_copy(&found, file, folder, set.name)?,
            folder.join(file.name),
        ));
    }
    for (copy, target) in ready {
        copy.persist(&target).map_err(|e| TrainError::Io {
            action: "write",
            path: target.clone(),
            source: e.error,
        })?;
    }
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(TrainError::io("sync", folder))?;
    Ok(())
}

/// Whether all files are in the cache; their hashes are not checked.
///
/// # Errors
/// There is no cache folder.
pub fn is_cached(set: &SetInfo) -> Result<bool, TrainError> {
    let folder = cache::data_folder(set.name)?;
    Ok(!set.files.is_empty() && set.files.iter().all(|f| folder.join(f.name).is_file()))
}

/// Makes the file of the cache from the files of the package; `None` where there are none.
fn packed(source: &Path, pack: Pack, out: &Path) -> Result<Option<PathBuf>, TrainError> {
    let mut members = Vec::new();
    members_below(source, pack, DEPTH, &mut members);
    if members.is_empty() {
        return Ok(None);
    }
    members.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    (pack.make)(&members, out)?;
    Ok(Some(out.to_path_buf()))
}

fn members_below(folder: &Path, pack: Pack, depth: u32, members: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.ok()?.path()));
    for path in entries {
        if path.is_dir() && depth > 0 {
            members_below(&path, pack, depth - 1, members);
        } else if (pack.is_member)(&path) {
            members.push(path);
        }
    }
}

/// A wanted file in a folder or below it.
fn search(folder: &Path, name: &str, depth: u32) -> Option<PathBuf> {
    if let Some(found) = find_file(folder, name) {
        return Some(found);
    }
    if depth == 0 {
        return None;
    }
    let mut below: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    below.retain(|p| p.is_dir());
    below.sort();
    below.iter().find_map(|p| search(p, name, depth - 1))
}

/// Unpacks a file next to its target, synced, with its hash checked.
fn checked_copy(from: &Path, file: &SetFile, folder: &Path, set: &str) -> Result<NamedTempFile, TrainError> {
    let (mut source, packed) = open_unpacked(from)?;
    let copy = tempfile::Builder::new()
        .prefix(".part-")
        .tempfile_in(folder)
        .map_err(TrainError::io("create a temporary file in", folder))?;
    let mut tee = Hashing {
        hash: Sha256::new(),
        to: copy,
    };
    let target = folder.join(file.name);
    copy_between(&mut source, &mut tee, from, packed, &target)?;
    let got = hex(tee.hash.finalize());
    if got != file.sha256 {
        return Err(damaged(
            from,
            &format!(
                "is not the {} of {set}: its SHA-256 is {got}, need {}",
                file.name, file.sha256
            ),
        ));
    }
    tee.to
        .as_file()
        .sync_all()
        .map_err(TrainError::io("sync", &target))?;
    share(tee.to.as_file()).map_err(TrainError::io("set the permissions of", &target))?;
    Ok(tee.to)
}

/// Temporary files are private; data in the cache may be read by all.
#[cfg(unix)]
fn share(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_file: &File) -> std::io::Result<()> {
    Ok(())
}

struct Hashing {
    hash: Sha256,
    to: NamedTempFile,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// `std::io::copy` whose errors say which side failed.
fn copy_between(
    from: &mut dyn Read,
    to: &mut dyn Write,
    source: &Path,
    packed: bool,
    target: &Path,
) -> Result<(), TrainError> {
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let got = super::files::fill(from, &mut buffer).map_err(|e| read_error(source, packed, e))?;
        if got == 0 {
            return to.flush().map_err(TrainError::io("write", target));
        }
        to.write_all(&buffer[..got])
            .map_err(TrainError::io("write", target))?;
    }
}

fn hash_file(path: &Path) -> Result<String, TrainError> {
    let mut file = File::open(path).map_err(TrainError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        match super::files::fill(&mut file, &mut buffer).map_err(TrainError::io("read", path))? {
            0 => return Ok(hex(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests;
