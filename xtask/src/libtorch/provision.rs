//! Downloading libtorch into the cache, once for all checkouts.
//!
//! Order of steps, so that nothing half-made is ever used: lock; download each wheel to a temporary folder and
//! check its hash before it gets its name; extract into a temporary folder; write the stamp; rename; remove
//! the wheels. Whatever an interrupted run leaves is either a whole wheel, which the next run uses, or a
//! temporary, which it removes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::cache;
use super::pins::{self, Wheel};
use crate::failure::{Failure, Outcome};
use crate::process;

/// What a user without the means to download can do instead.
const OWN_LIBTORCH: &str = "or set LIBTORCH to a libtorch 2.13.0 of your own";

/// Makes sure that the cache holds a whole libtorch and returns its folder.
pub fn into_cache() -> Outcome<PathBuf> {
    let system = (std::env::consts::OS, std::env::consts::ARCH);
    let wheels = pins::wheels(system.0, system.1).ok_or_else(|| {
        Failure::new(format!(
            "no libtorch can be downloaded for {} on {}",
            system.0, system.1
        ))
        .remedy("set LIBTORCH to a libtorch 2.13.0 of your own")
    })?;
    let cache = cache::folder()?;
    fs::create_dir_all(&cache).map_err(|error| Failure::io("create", &cache, &error))?;
    let _lock = lock(&cache.join("libtorch.lock"))?;
    let place = cache::libtorch_folder(&cache);
    if cache::is_whole(&place) {
        return Ok(place);
    }
    let python = require_pip()?;
    eprintln!(
        "libtorch {} is not in {} yet: providing it once (540 MB to download)",
        pins::VERSION,
        cache.display()
    );
    let store = cache.join("wheels");
    let temporary = cache.join("incoming");
    for leftover in [&temporary, &place] {
        remove(leftover)?;
    }
    fs::create_dir_all(&store).map_err(|error| Failure::io("create", &store, &error))?;
    require_space(&cache, &store, wheels)?;
    let mut files = Vec::new();
    for wheel in wheels {
        files.push(obtain(wheel, &store, &temporary, |wheel, folder| {
            download(&python, wheel, folder)
        })?);
    }
    extract(&files, &temporary)?;
    cache::write_stamp(&temporary, pins::essential(system.0))
        .map_err(|error| Failure::new(format!("the wheels do not hold what they should: {error}")))?;
    fs::rename(&temporary, &place).map_err(|error| Failure::io("create", &place, &error))?;
    remove(&store)?;
    Ok(place)
}

/// One setup at a time for each cache; the system releases the lock of a process that dies.
fn lock(path: &Path) -> Outcome<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.map_err(|error| Failure::io("create", path, &error))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("another setup is at work; waiting for it"),
        Err(TryLockError::Error(_)) => {}
    }
    match file.lock() {
        // Some network file systems have no locks: go on without.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(Failure::io("lock", path, &error)),
        _ => Ok(file),
    }
}

fn remove(path: &Path) -> Outcome<()> {
    let outcome = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Refuses to start what the disk cannot hold.
fn require_space(cache: &Path, store: &Path, wheels: &[Wheel]) -> Outcome<()> {
    let present: u64 = wheels
        .iter()
        .filter_map(|wheel| fs::metadata(store.join(wheel.file)).ok())
        .map(|data| data.len() >> 20)
        .sum();
    let needed = pins::NEEDED_MIB.saturating_sub(present);
    let report = process::capture("df", &[Path::new("-Pk"), cache]);
    match report.as_deref().and_then(free_mib) {
        Some(free) if free < needed => Err(Failure::new(format!(
            "{} has {free} MiB of free space; libtorch needs {needed} MiB while it is unpacked",
            cache.display()
        ))
        .remedy("free some space, or set SDE_CACHE to a folder on a larger disk")),
        _ => Ok(()),
    }
}

/// The available MiB in the output of `df -Pk`: the fourth field of the last line.
fn free_mib(report: &str) -> Option<u64> {
    let kib: u64 = report.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib >> 10)
}

/// The Python interpreter, if it has pip.
fn require_pip() -> Outcome<String> {
    let python = process::python();
    let install =
        "`apt-get install python3 python3-pip` (Debian, Ubuntu), `dnf install python3-pip` (Fedora)";
    if process::capture(python, &["--version"]).is_none() {
        return Err(
            Failure::new(format!("{python} does not run; it downloads libtorch"))
                .remedy(format!("install Python 3 with pip: {install}; {OWN_LIBTORCH}")),
        );
    }
    if process::capture(python, &["-m", "pip", "--version"]).is_none() {
        return Err(
            Failure::new(format!("{python} has no pip; it downloads libtorch"))
                .remedy(format!("{install}, or `{python} -m ensurepip`; {OWN_LIBTORCH}")),
        );
    }
    Ok(python.to_owned())
}

/// A wheel whose hash is right: the one that an earlier run left, or a fresh one. A bad download is tried once
/// more.
fn obtain(
    wheel: &Wheel,
    store: &Path,
    temporary: &Path,
    mut fetch: impl FnMut(&Wheel, &Path) -> Outcome<()>,
) -> Outcome<PathBuf> {
    let place = store.join(wheel.file);
    if place.exists() {
        if sha256(&place)? == wheel.sha256 {
            eprintln!("{}: already downloaded", wheel.file);
            return Ok(place);
        }
        eprintln!("{}: an earlier download is damaged; repeating it", wheel.file);
        remove(&place)?;
    }
    let mut seen = String::new();
    for attempt in 1..=2 {
        remove(temporary)?;
        fs::create_dir_all(temporary).map_err(|error| Failure::io("create", temporary, &error))?;
        fetch(wheel, temporary)?;
        let fresh = temporary.join(wheel.file);
        if !fresh.is_file() {
            return Err(Failure::new(format!("pip did not bring {}", wheel.file)).remedy(OWN_LIBTORCH));
        }
        seen = sha256(&fresh)?;
        if seen == wheel.sha256 {
            fs::rename(&fresh, &place).map_err(|error| Failure::io("create", &place, &error))?;
            remove(temporary)?;
            return Ok(place);
        }
        eprintln!("{}: the download is damaged (attempt {attempt})", wheel.file);
    }
    remove(temporary)?;
    Err(Failure::new(format!(
        "{}: SHA-256 is {seen}, expected {}",
        wheel.file, wheel.sha256
    ))
    .remedy(format!(
        "try again on another network or index (PIP_INDEX_URL); {OWN_LIBTORCH}"
    )))
}

/// One wheel by pip, which knows the user's index and proxy. Each wheel needs a call of its own, since the
/// platform tags are matched exactly.
fn download(python: &str, wheel: &Wheel, folder: &Path) -> Outcome<()> {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
    ]);
    // Without pip's own cache: half a gigabyte twice, and a damaged entry would come back.
    pip.args([
        "--no-cache-dir",
        "--no-input",
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
    ]);
    for abi in wheel.abis {
        pip.args(["--abi", abi]);
    }
    for platform in wheel.platforms {
        pip.args(["--platform", platform]);
    }
    pip.arg("--dest").arg(folder).arg(wheel.requirement);
    // pip collects its download in the temporary folder of the system, which may be small.
    pip.env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(io::stderr());
    process::run(&mut pip).map_err(|_| {
        Failure::new(format!(
            "pip could not download {} (see above)",
            wheel.requirement
        ))
        .remedy(format!(
            "check the network, or point pip at an index that you reach (PIP_INDEX_URL); {OWN_LIBTORCH}"
        ))
    })
}

/// The hash of a file in hexadecimal.
fn sha256(path: &Path) -> Outcome<String> {
    let error = |error: io::Error| Failure::io("read", path, &error);
    let mut file = File::open(path).map_err(error)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(error)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Takes the members that a CPU build needs: all headers, the CPU libraries, the licences.
const EXTRACT: &str = include_str!("extract.py");

/// Extracts the wheels into a fresh folder. Python's zipfile checks the sum of every member that it reads.
fn extract(wheels: &[PathBuf], folder: &Path) -> Outcome<()> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    eprintln!("unpacking into {}", folder.display());
    let mut python = Command::new(process::python());
    python
        .args(["-I", "-c", EXTRACT])
        .arg(folder)
        .args(wheels)
        .stdin(Stdio::null());
    let output = python
        .output()
        .map_err(|error| Failure::new(format!("cannot run Python: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // Leaves no half gigabyte behind on a full disk.
    remove(folder)?;
    Err(Failure::new(format!(
        "cannot unpack libtorch into {}: {reason}",
        folder.display()
    ))
    .remedy("free some space, or set SDE_CACHE to a folder on a larger disk; then try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "whole" (from sha256sum).
    const WHOLE: &str = "5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099";

    fn wheel(sha256: &'static str) -> Wheel {
        Wheel {
            requirement: "a==1",
            file: "a-1.whl",
            sha256,
            platforms: &[],
            abis: &[],
        }
    }

    struct Folders {
        _guard: tempfile::TempDir,
        store: PathBuf,
        temporary: PathBuf,
    }

    fn folders() -> Folders {
        let guard = tempfile::tempdir().expect("a temporary folder");
        let (store, temporary) = (guard.path().join("wheels"), guard.path().join("incoming"));
        fs::create_dir(&store).expect("a folder");
        Folders {
            _guard: guard,
            store,
            temporary,
        }
    }

    #[test]
    fn a_damaged_wheel_is_replaced_and_a_whole_one_is_kept() {
        let f = folders();
        let place = f.store.join("a-1.whl");
        fs::write(&place, "who").expect("a file");
        let mut calls = 0;
        let mut fetch = |wheel: &Wheel, folder: &Path| {
            calls += 1;
            // The first answer is cut off.
            let content = if calls == 1 { "wh" } else { "whole" };
            fs::write(folder.join(wheel.file), content).map_err(|error| Failure::io("write", folder, &error))
        };
        assert_eq!(
            obtain(&wheel(WHOLE), &f.store, &f.temporary, &mut fetch),
            Ok(place.clone())
        );
        assert_eq!(
            obtain(&wheel(WHOLE), &f.store, &f.temporary, &mut fetch),
            Ok(place.clone())
        );
        assert_eq!(calls, 2);
        assert_eq!(fs::read(&place).expect("readable"), b"whole");
        assert!(!f.temporary.exists());
    }

    #[test]
    fn a_wheel_that_stays_wrong_is_refused() {
        let f = folders();
        let mut calls = 0;
        let fetch = |wheel: &Wheel, folder: &Path| {
            calls += 1;
            fs::write(folder.join(wheel.file), "another")
                .map_err(|error| Failure::io("write", folder, &error))
        };
        let failure = obtain(&wheel(WHOLE), &f.store, &f.temporary, fetch).expect_err("refused");
        assert!(failure.to_string().contains(WHOLE) && failure.to_string().contains("LIBTORCH"));
        assert_eq!(calls, 2);
        assert!(!f.store.join("a-1.whl").exists() && !f.temporary.exists());
        let nothing = |_: &Wheel, _: &Path| Ok(());
        assert!(obtain(&wheel(WHOLE), &f.store, &f.temporary, nothing).is_err());
    }

    #[test]
    fn free_space_is_read_from_df() {
        let report = "Filesystem 1024-blocks     Used Available Capacity Mounted on\n/dev/vda 263976072 14228612 81500000 15% /\n";
        assert_eq!(free_mib(report), Some(79589));
        assert_eq!(free_mib("df: no such file"), None);
        assert_eq!(free_mib(""), None);
    }

    #[test]
    fn the_lock_is_exclusive_while_held() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.lock");
        let held = lock(&path).expect("free");
        let other = File::options().write(true).open(&path).expect("a file");
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
    }
}
