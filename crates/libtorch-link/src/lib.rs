//! For build scripts of packages with programs that load libtorch.
//!
//! Cargo hands what the linker is told on to no other package, so that each package with a program, test or example that loads libtorch has
//! a build script:
//!
//! ```no_run
//! libtorch_link::link();
//! ```
//!
//! It needs `torch-sys` among the direct dependencies of the package, of which alone Cargo tells where libtorch is. Then the programs
//!
//! - find libtorch at run time by themselves, without `LD_LIBRARY_PATH`, since its folder is in their run path;
//! - load its CUDA half where there is one. Nothing refers to a name in it, for which reason linkers leave it out, and then there is no
//!   CUDA device, without a word.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The variable by which torch-sys tells its direct dependents the folder of the libraries.
const LIB: &str = "DEP_TCH_LIBTORCH_LIB";

/// Tells Cargo how to link the programs of this package, and where the libraries of libtorch are. `None`, with a warning of Cargo's, if
/// torch-sys does not say.
#[expect(clippy::print_stdout, reason = "Cargo reads it there")]
pub fn link() -> Option<PathBuf> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={LIB}");
    let Some(lib) = env::var_os(LIB).map(PathBuf::from) else {
        println!(
            "cargo::warning=torch-sys names no folder of libraries (is it a direct dependency?): programs will need LD_LIBRARY_PATH"
        );
        return None;
    };
    // A CUDA half may come or go.
    println!("cargo::rerun-if-changed={}", lib.display());
    for argument in arguments(&lib) {
        println!("cargo::rustc-link-arg={argument}");
    }
    Some(lib)
}

/// What the linker is told.
fn arguments(lib: &Path) -> Vec<String> {
    let folder = lib.display();
    let mut arguments = vec![format!("-Wl,-rpath,{folder}")];
    if has_cuda(lib) {
        arguments.extend([
            format!("-L{folder}"),
            "-Wl,--push-state,--no-as-needed".to_owned(),
            "-ltorch_cuda".to_owned(),
            "-Wl,--pop-state".to_owned(),
        ]);
    }
    arguments
}

/// Whether this libtorch has a CUDA half.
pub fn has_cuda(lib: &Path) -> bool {
    lib.join("libtorch_cuda.so").exists()
}

/// `2.13.0`: the version of the libtorch whose headers stand in this folder; `None` if the file that says so is absent or no such file.
pub fn version(include: &Path) -> Option<String> {
    let text = fs::read_to_string(include.join("torch/headeronly/version.h")).ok()?;
    let part = |name: &str| defined(&text, &format!("TORCH_VERSION_{name}"));
    Some(format!(
        "{}.{}.{}",
        part("MAJOR")?,
        part("MINOR")?,
        part("PATCH")?
    ))
}

/// What a header defines a name as, on one line.
pub fn defined<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let define = format!("#define {name} ");
    text.lines()
        .find_map(|line| line.strip_prefix(&define))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_is_kept_where_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lib = folder.path();
        let without = arguments(lib);
        assert_eq!(without, [format!("-Wl,-rpath,{}", lib.display())]);
        fs::write(lib.join("libtorch_cuda.so"), "").expect("a file");
        let with_cuda = arguments(lib);
        assert_eq!(with_cuda[0], without[0]);
        let place = |wanted: &str| with_cuda.iter().position(|argument| argument.contains(wanted));
        assert!(place("--no-as-needed") < place("-ltorch_cuda"));
        assert!(place("-ltorch_cuda") < place("--pop-state"));
    }

    #[test]
    fn the_version_is_that_of_the_header() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let header = folder.path().join("torch/headeronly");
        fs::create_dir_all(&header).expect("a folder");
        assert_eq!(version(folder.path()), None);
        let parts = ["MAJOR 2", "MINOR 13", "PATCH 0"].map(|part| format!("#define TORCH_VERSION_{part}\n"));
        fs::write(header.join("version.h"), parts.concat()).expect("a file");
        assert_eq!(version(folder.path()), Some("2.13.0".to_owned()));
        fs::write(header.join("version.h"), parts[..2].concat()).expect("a file");
        assert_eq!(version(folder.path()), None);
    }
}
