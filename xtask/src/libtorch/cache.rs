//! The cache folder, and the stamp by which a whole libtorch in it is known.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::pins;
use crate::failure::{Failure, Outcome};

/// The stamp's name inside a libtorch folder of the cache.
const STAMP: &str = "setup-stamp.txt";

/// `$SDE_CACHE`, else `sde` in the user's cache folder.
///
/// # Errors
/// None of the variables that name it is set.
pub fn folder() -> Outcome<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder_from(variable, cfg!(target_os = "macos")).ok_or_else(|| {
        Failure::new("no cache folder is known: HOME is not set").remedy("set SDE_CACHE to a folder")
    })
}

fn folder_from(variable: impl Fn(&str) -> Option<PathBuf>, macos: bool) -> Option<PathBuf> {
    let own = variable("SDE_CACHE");
    let home = |below: &str| variable("HOME").map(|home| home.join(below));
    let platform = || {
        if macos {
            home("Library/Caches")
        } else {
            variable("XDG_CACHE_HOME").or_else(|| home(".cache"))
        }
    };
    let chosen = own.or_else(|| platform().map(|caches| caches.join("sde")))?;
    // A relative folder would mean another place after each `cd`.
    std::path::absolute(chosen).ok()
}

/// Where libtorch lies in the cache for this system.
pub fn libtorch_folder(cache: &Path) -> PathBuf {
    cache.join(format!(
        "libtorch-{}-{}-{}",
        pins::VERSION,
        std::env::consts::OS,
        std::env::consts::ARCH
    ))
}

/// Writes the stamp, the last step before a folder is moved to its place: the libraries with their sizes and
/// the number of all files.
pub fn write_stamp(folder: &Path, essential: &[&str]) -> io::Result<()> {
    let mut stamp = format!("libtorch {}\nfiles {}\n", pins::VERSION, count_files(folder)?);
    for name in essential {
        stamp.push_str(&format!("{} {name}\n", fs::metadata(folder.join(name))?.len()));
    }
    let path = folder.join(STAMP);
    fs::write(&path, stamp)?;
    fs::File::open(path)?.sync_all()
}

/// Whether setup made this folder.
pub fn is_stamped(folder: &Path) -> bool {
    folder.join(STAMP).is_file()
}

/// Whether a folder may be used as far as its stamp tells, in a few `stat` calls. A folder without a stamp was
/// not made by setup; others checks decide about it.
pub fn is_usable(folder: &Path) -> bool {
    match fs::read_to_string(folder.join(STAMP)) {
        Ok(stamp) => sizes_agree(folder, &stamp),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether a folder of the cache is whole: stamped, sizes as stamped, no file missing. Counts all files.
pub fn is_whole(folder: &Path) -> bool {
    let Ok(stamp) = fs::read_to_string(folder.join(STAMP)) else {
        return false;
    };
    let stamped = stamp
        .lines()
        .find_map(|line| line.strip_prefix("files ")?.parse::<usize>().ok());
    // The stamp itself was not there yet when files were counted.
    let present = count_files(folder).ok().map(|count| count - 1);
    sizes_agree(folder, &stamp) && stamped.is_some() && stamped == present
}

fn sizes_agree(folder: &Path, stamp: &str) -> bool {
    let mut lines = stamp.lines();
    let is_version = lines.next() == Some(&format!("libtorch {}", pins::VERSION));
    let mut libraries = lines.skip(1).map(|line| line.split_once(' ')).peekable();
    is_version
        && libraries.peek().is_some()
        && libraries.all(|entry| {
            entry.is_some_and(|(size, name)| {
                fs::metadata(folder.join(name)).is_ok_and(|data| Some(data.len()) == size.parse().ok())
            })
        })
}

fn count_files(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() {
            count_files(&entry.path())?
        } else {
            1
        };
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_follows_the_environment() {
        let with = |pairs: &'static [(&str, &str)], macos| {
            folder_from(
                move |name| {
                    pairs
                        .iter()
                        .find(|pair| pair.0 == name)
                        .map(|pair| PathBuf::from(pair.1))
                },
                macos,
            )
        };
        assert_eq!(
            with(&[("SDE_CACHE", "/c"), ("HOME", "/h")], false),
            Some(PathBuf::from("/c"))
        );
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], false),
            Some(PathBuf::from("/x/sde"))
        );
        assert_eq!(
            with(&[("HOME", "/h")], false),
            Some(PathBuf::from("/h/.cache/sde"))
        );
        assert_eq!(
            with(&[("HOME", "/h")], true),
            Some(PathBuf::from("/h/Library/Caches/sde"))
        );
        assert_eq!(with(&[], false), None);
        assert!(with(&[("SDE_CACHE", "relative")], false).is_some_and(|path| path.is_absolute()));
    }

    #[test]
    fn a_stamp_tells_damage() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        assert!(is_usable(path) && !is_whole(path), "without a stamp");
        fs::create_dir_all(path.join("torch/lib")).expect("a folder");
        fs::write(path.join("torch/lib/a.so"), "library").expect("a file");
        fs::write(path.join("torch/header.h"), "header").expect("a file");
        write_stamp(path, &["torch/lib/a.so"]).expect("writable");
        assert!(is_usable(path) && is_whole(path));
        fs::write(path.join("torch/lib/a.so"), "libra").expect("a file");
        assert!(!is_usable(path) && !is_whole(path), "a truncated library");
        fs::write(path.join("torch/lib/a.so"), "library").expect("a file");
        fs::remove_file(path.join("torch/header.h")).expect("removable");
        assert!(
            is_usable(path) && !is_whole(path),
            "a missing header shows in the count"
        );
        for stamp in [
            "",
            "libtorch 2.12.0\nfiles 1\n",
            &format!("libtorch {}\nfiles 1\n", pins::VERSION),
        ] {
            fs::write(path.join(STAMP), stamp).expect("a file");
            assert!(!is_usable(path) && !is_whole(path), "{stamp:?}");
        }
    }
}
