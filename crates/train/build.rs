//! Lets every binary, test and example of this crate find libtorch at run time by itself: the folder that
//! torch-sys linked against goes into the run path. No environment variable is needed afterwards. Besides, tells the crate
//! which version that is.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let mut version = "unknown".to_owned();
    match std::env::var("DEP_TCH_LIBTORCH_LIB") {
        Ok(folder) => {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
            version = libtorch_version(Path::new(&folder)).unwrap_or(version);
        }
        Err(_) => {
            println!("cargo::warning=torch-sys names no library folder: binaries will need LD_LIBRARY_PATH")
        }
    }
    println!("cargo::rustc-env=SDE_LIBTORCH_VERSION={version}");
}

/// `2.13.0`, from the header beside the library's folder.
fn libtorch_version(folder: &Path) -> Option<String> {
    let header = folder.parent()?.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(header).ok()?;
    let part = |name: &str| {
        let rest = text
            .lines()
            .find_map(|line| line.strip_prefix("#define TORCH_VERSION_")?.strip_prefix(name));
        rest.map(str::trim)
    };
    Some(format!(
        "{}.{}.{}",
        part("MAJOR")?,
        part("MINOR")?,
        part("PATCH")?
    ))
}
