//! Finding libtorch: the user's own, the Python package's, the workspace's, or a download into the cache.

pub mod cache;
pub mod pins;
pub mod provision;
pub mod version;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process;
use version::Version;

/// A libtorch that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder that holds `include/` and `lib/`.
    pub folder: PathBuf,
    /// Where it comes from, for people.
    pub source: Source,
}

/// The places in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `LIBTORCH_USE_PYTORCH`: the Python package torch.
    Python,
    /// `LIBTORCH` of the environment.
    User,
    /// `.libtorch/` of the workspace: a link into the cache, or a folder that the user placed there.
    Workspace,
}

impl Source {
    /// The place in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Python => "the Python package torch (LIBTORCH_USE_PYTORCH is set)",
            Self::User => "LIBTORCH of your environment",
            Self::Workspace => "the workspace's .libtorch",
        }
    }
}

impl Found {
    /// Tells cargo's build scripts where this libtorch is.
    pub fn export(&self, command: &mut Command) {
        if self.source != Source::Python {
            command.env("LIBTORCH", &self.folder);
        }
    }

    /// The folder of the shared libraries.
    pub fn lib(&self) -> PathBuf {
        self.folder.join("lib")
    }
}

/// `cargo xtask setup`: makes libtorch available and says what is used.
pub fn setup(root: &Path) -> Outcome<()> {
    let (compiler, compiler_version) = require_compiler()?;
    drop_damaged_link(root)?;
    let found = ensure(root)?;
    let real = found
        .folder
        .canonicalize()
        .unwrap_or_else(|_| found.folder.clone());
    println!(
        "libtorch {}: {} ({})",
        pins::VERSION,
        real.display(),
        found.source.describe()
    );
    println!("compiler: {compiler} ({compiler_version})");
    println!("ready: `cargo xtask train` trains the default model, `cargo xtask test` runs all tests");
    Ok(())
}

/// Looks closer than every build does: a link into the cache whose target has lost files is removed, so that
/// the target is made anew.
fn drop_damaged_link(root: &Path) -> Outcome<()> {
    let link = workspace_folder(root);
    let target = link.canonicalize().ok().filter(|_| link.is_symlink());
    match target.as_deref().and_then(Path::parent) {
        Some(folder) if cache::is_stamped(folder) && !cache::is_whole(folder) => {
            std::fs::remove_file(&link).map_err(|error| Failure::io("remove", &link, &error))
        }
        _ => Ok(()),
    }
}

/// Finds libtorch or provisions it.
///
/// # Errors
/// A libtorch that was asked for but is wrong; a download that is impossible.
pub fn ensure(root: &Path) -> Outcome<Found> {
    match find(root)? {
        Some(found) => Ok(found),
        None => {
            require_compiler()?;
            let cached = provision::into_cache()?;
            link(root, &cached)?;
            find(root)?.ok_or_else(|| {
                Failure::new(format!(
                    "{} is not usable after setup",
                    workspace_folder(root).display()
                ))
            })
        }
    }
}

/// Looks in the three places without downloading; `None` if a download is due.
///
/// # Errors
/// A libtorch that the user asked for by name but that cannot be used is an error, never a silent download.
pub fn find(root: &Path) -> Outcome<Option<Found>> {
    if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return python_torch().map(Some);
    }
    let own = workspace_folder(root);
    // Cargo's configuration sets LIBTORCH to the workspace's folder; anything else is the user's.
    if let Some(user) = std::env::var_os("LIBTORCH")
        .map(PathBuf::from)
        .filter(|user| !is_workspace_folder(user, root))
    {
        let remedy = format!(
            "point LIBTORCH at a libtorch {} (the folder that holds include/ and lib/), or unset it: then `cargo xtask setup` provides one",
            pins::VERSION
        );
        check(&user).map_err(|reason| {
            Failure::new(format!("LIBTORCH={}: {reason}", user.display())).remedy(remedy)
        })?;
        return Ok(Some(Found {
            folder: user,
            source: Source::User,
        }));
    }
    let is_link = own
        .symlink_metadata()
        .is_ok_and(|data| data.file_type().is_symlink());
    if is_link || !own.exists() {
        // The link into the cache: made by setup, and remade when what it points at is gone or damaged.
        let whole = own
            .canonicalize()
            .is_ok_and(|real| real.parent().is_none_or(cache::is_usable))
            && check(&own).is_ok();
        return Ok(whole.then_some(Found {
            folder: own,
            source: Source::Workspace,
        }));
    }
    check(&own).map_err(|reason| {
        Failure::new(format!("{}: {reason}", own.display())).remedy(
            "this folder was not made by setup: remove it, and `cargo xtask setup` provides a libtorch",
        )
    })?;
    Ok(Some(Found {
        folder: own,
        source: Source::Workspace,
    }))
}

/// `.libtorch/torch` of the workspace, the value of LIBTORCH in `.cargo/config.toml`.
pub fn workspace_folder(root: &Path) -> PathBuf {
    root.join(".libtorch").join("torch")
}

/// Whether a value of LIBTORCH is the workspace's own, also when the checkout is reached through a link.
fn is_workspace_folder(value: &Path, root: &Path) -> bool {
    let own = workspace_folder(root);
    let above = value
        .ends_with(".libtorch/torch")
        .then(|| value.parent()?.parent()?.canonicalize().ok())
        .flatten();
    *value == own || above.is_some() && above == root.canonicalize().ok()
}

/// Checks a folder: the library, the headers, the version. The reason is a sentence's end.
pub fn check(folder: &Path) -> Result<(), String> {
    if !folder.is_dir() {
        return Err("there is no such folder".to_owned());
    }
    let library = folder.join("lib").join(pins::main_library());
    if !library.is_file() {
        let hint = if folder.join(pins::main_library()).is_file() {
            "; name the folder above lib"
        } else {
            ""
        };
        return Err(format!("it has no lib/{}{hint}", pins::main_library()));
    }
    if !folder
        .join("include/torch/csrc/api/include/torch/torch.h")
        .is_file()
    {
        return Err(
            "it has no include/torch/csrc/api/include/torch/torch.h (the headers are missing)".to_owned(),
        );
    }
    match version::of(folder) {
        Some(version) if version == Version::wanted() => Ok(()),
        Some(version) => Err(format!(
            "it is version {version}; this project needs exactly {}",
            pins::VERSION
        )),
        None => Err(format!(
            "its version cannot be told; this project needs exactly {}",
            pins::VERSION
        )),
    }
}

/// The Python package's libtorch.
fn python_torch() -> Outcome<Found> {
    let python = process::python();
    let remedy = format!(
        "install it (`{python} -m pip install torch=={}`) or unset LIBTORCH_USE_PYTORCH",
        pins::VERSION
    );
    let script = "import os, torch; print(torch.__version__); print(os.path.dirname(torch.__file__))";
    let printed = process::capture(python, &["-c", script]).ok_or_else(|| {
        Failure::new(format!(
            "LIBTORCH_USE_PYTORCH is set, but {python} has no package torch"
        ))
        .remedy(remedy.clone())
    })?;
    let mut lines = printed.lines();
    let (version, folder) = (
        lines.next().unwrap_or_default(),
        PathBuf::from(lines.next().unwrap_or_default()),
    );
    if Version::parse(version) != Some(Version::wanted()) {
        let message = format!(
            "LIBTORCH_USE_PYTORCH is set, but {python} has torch {version}, not {}",
            pins::VERSION
        );
        return Err(Failure::new(message).remedy(remedy));
    }
    check(&folder)
        .map_err(|reason| Failure::new(format!("{}: {reason}", folder.display())).remedy(remedy))?;
    Ok(Found {
        folder,
        source: Source::Python,
    })
}

/// torch-sys compiles C++ wrappers.
fn require_compiler() -> Outcome<(String, String)> {
    process::compiler().ok_or_else(|| {
        Failure::new("no C++ compiler: neither c++, g++ nor clang++ runs (nor what CXX names)").remedy(
            "install one: `apt-get install g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora), `xcode-select --install` (macOS)",
        )
    })
}

/// Points `.libtorch/{torch,nvidia}` at the cache. Links are replaced by renaming, so that another build sees
/// the old or the new one; a folder that setup did not make is never touched.
fn link(root: &Path, cached: &Path) -> Outcome<()> {
    let folder = root.join(".libtorch");
    std::fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
    for name in ["nvidia", "torch"] {
        let (target, place) = (cached.join(name), folder.join(name));
        if !target.exists() {
            continue;
        }
        let temporary = folder.join(format!(".{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&temporary);
        symlink(&target, &temporary)
            .and_then(|()| std::fs::rename(&temporary, &place))
            .map_err(|error| Failure::io("link", &place, &error))?;
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, _place: &Path) -> std::io::Result<()> {
    Err(std::io::Error::other(
        "links are made on Linux and macOS only; set LIBTORCH to a libtorch of your own",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn fake(version_header: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let headers = folder.path().join("include/torch/csrc/api/include/torch");
        fs::create_dir_all(&headers).expect("a folder");
        fs::create_dir_all(folder.path().join("lib")).expect("a folder");
        fs::write(headers.join("torch.h"), "").expect("a file");
        fs::write(folder.path().join("lib").join(pins::main_library()), "").expect("a file");
        fs::write(headers.join("version.h"), version_header).expect("a file");
        folder
    }

    const RIGHT: &str =
        "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 0\n";

    #[test]
    fn a_whole_libtorch_of_the_right_version_passes() {
        let folder = fake(RIGHT);
        assert_eq!(check(folder.path()), Ok(()));
        // The build-version file, where there is one, has the last word.
        fs::write(folder.path().join("build-version"), "2.13.0+cpu\n").expect("a file");
        assert_eq!(check(folder.path()), Ok(()));
        fs::write(folder.path().join("build-version"), "2.12.1+cu129\n").expect("a file");
        assert!(
            check(folder.path()).is_err_and(|reason| reason.contains("2.12.1") && reason.contains("2.13.0"))
        );
    }

    #[test]
    fn every_lack_is_named() {
        let reason = |folder: &Path| check(folder).expect_err("a fault");
        assert!(reason(Path::new("/nonexistent/libtorch")).contains("no such folder"));
        let folder = fake("");
        assert!(reason(folder.path()).contains("version cannot be told"));
        assert!(reason(&folder.path().join("lib")).contains("name the folder above lib"));
        fs::remove_dir_all(folder.path().join("include")).expect("removable");
        assert!(reason(folder.path()).contains("headers"));
        fs::remove_dir_all(folder.path().join("lib")).expect("removable");
        assert!(reason(folder.path()).contains(pins::main_library()));
    }

    #[test]
    #[cfg(unix)]
    fn a_checkout_reached_through_a_link_is_the_same_workspace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (root, alias) = (folder.path().join("root"), folder.path().join("alias"));
        fs::create_dir(&root).expect("a folder");
        symlink(&root, &alias).expect("a link");
        assert!(is_workspace_folder(&workspace_folder(&root), &root));
        assert!(is_workspace_folder(&workspace_folder(&alias), &root));
        assert!(!is_workspace_folder(&workspace_folder(folder.path()), &root));
        assert!(!is_workspace_folder(&root, &root));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_replaced_and_folders_are_not() {
        let (root, old, new) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
        let (root, old, new) = (
            root.expect("a folder"),
            old.expect("a folder"),
            new.expect("a folder"),
        );
        for cached in [&old, &new] {
            fs::create_dir_all(cached.path().join("torch")).expect("a folder");
            fs::create_dir_all(cached.path().join("nvidia")).expect("a folder");
            link(root.path(), cached.path()).expect("linked");
            assert_eq!(
                fs::read_link(workspace_folder(root.path())).expect("a link"),
                cached.path().join("torch")
            );
        }
        assert_eq!(
            fs::read_dir(root.path().join(".libtorch"))
                .expect("a folder")
                .count(),
            2
        );
        let place = workspace_folder(root.path());
        fs::remove_file(&place).expect("removable");
        fs::create_dir(&place).expect("a folder");
        fs::write(place.join("mine"), "").expect("a file");
        assert!(link(root.path(), new.path()).is_err());
        assert!(place.join("mine").exists());
    }
}
