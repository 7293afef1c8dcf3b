//! Compiles the shim against libtorch's headers, and refuses a libtorch of another version than the one it was written for. Where that
//! libtorch is for CUDA, and the headers of CUDA and NCCL are found, NCCL is compiled in.

use std::env;
use std::path::{Path, PathBuf};

/// The version whose headers the shim is written for (that which tch 0.26 wants, too).
const VERSION: &str = "2.13.";
/// The first NCCL that libtorch's headers take.
const NCCL_FROM: (u32, u32) = (2, 23);

fn main() {
    println!("cargo::rerun-if-changed=shim");
    for name in [
        "LIBTORCH_INCLUDE",
        "LIBTORCH_CXX11_ABI",
        "CUDA_HOME",
        "NCCL_HOME",
        "C10D_NCCL",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let Some(lib) = libtorch_link::link() else {
        panic!("c10d: torch-sys names no library folder; set LIBTORCH (see `cargo xtask doctor`)");
    };
    let include = env::var_os("LIBTORCH_INCLUDE").map_or_else(
        || lib.parent().unwrap_or(Path::new("/")).join("include"),
        |folder| PathBuf::from(folder).join("include"),
    );
    let header = include.join("torch/headeronly/version.h");
    println!("cargo::rerun-if-changed={}", header.display());
    let found = libtorch_link::version(&include).unwrap_or_else(|| "unknown".to_owned());
    assert!(
        found.starts_with(VERSION),
        "c10d: {} says libtorch {found}, the shim is written for {VERSION}*; point LIBTORCH to that version (`cargo xtask setup` fetches it)",
        header.display()
    );
    let mut build = cc::Build::new();
    // C10D_NCCL=0 leaves NCCL out, for a libtorch for CUDA that was built without.
    if libtorch_link::has_cuda(&lib) && env::var("C10D_NCCL").as_deref() != Ok("0") {
        match nccl_headers(&lib) {
            Ok(folders) => {
                build.define("USE_C10D_NCCL", None).includes(folders);
                println!("cargo::rustc-link-lib=torch_cuda");
            }
            Err(lacks) => {
                println!(
                    "cargo::warning=this libtorch is for CUDA, but {lacks}: ranks sum the tensors of GPUs through the host"
                );
                // Once it lacks no longer, this is to be done again.
                if let Ok(packages) = lib.join("../../nvidia").canonicalize() {
                    println!("cargo::rerun-if-changed={}", packages.display());
                }
            }
        }
    }
    build
        .cpp(true)
        .std("c++20")
        .flag_if_supported("-Wno-unused-parameter")
        .opt_level(1)
        .warnings(false)
        .define("USE_C10D_GLOO", None)
        .define(
            "_GLIBCXX_USE_CXX11_ABI",
            env::var("LIBTORCH_CXX11_ABI").as_deref().unwrap_or("1"),
        )
        .include("shim")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("shim/shim.cpp")
        .file("shim/nccl.cpp")
        .compile("c10d_shim");
    println!("cargo::rustc-link-search=native={}", lib.display());
    println!("cargo::rustc-link-lib=torch_cpu");
    println!("cargo::rustc-link-lib=c10");
}

/// The folders of the headers of CUDA and of NCCL: of the Python packages beside libtorch's, of the user's variables, of the system.
fn nccl_headers(lib: &Path) -> Result<Vec<PathBuf>, String> {
    let packages = lib.join("../../nvidia");
    // Those beside libtorch are those that it was built with.
    let find = |package: &str, variable: &str, system: &str, files: &[&str], remedy: &str| {
        let of_user = env::var_os(variable).map(|home| PathBuf::from(home).join("include"));
        let of_packages = Some(packages.join(package).join("include"));
        let places = [of_packages, of_user, Some(PathBuf::from(system))];
        // CUDA's C++ headers stand in a folder of their own in newer toolkits.
        let has =
            |place: &Path, file: &&str| place.join(file).is_file() || place.join("cccl").join(file).is_file();
        let found = places
            .into_iter()
            .flatten()
            .find(|place| files.iter().all(|file| has(place, file)));
        found.ok_or_else(|| {
            let files = files.join(", ");
            format!(
                "no folder has {files} ({remedy}, or name the folder above such an include/ in {variable})"
            )
        })
    };
    let cuda = find(
        "cu13",
        "CUDA_HOME",
        "/usr/local/cuda/include",
        &["cuda_runtime_api.h", "crt/host_config.h", "nv/target"],
        "pip install nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85",
    )?;
    let nccl = find(
        "nccl",
        "NCCL_HOME",
        "/usr/include",
        &["nccl.h"],
        "pip install nvidia-nccl-cu13",
    )?;
    let header = nccl.join("nccl.h");
    let (major, minor) = NCCL_FROM;
    match nccl_version(&header) {
        Some(found) if found >= NCCL_FROM => Ok(vec![cuda.join("cccl"), cuda, nccl]),
        _ => Err(format!(
            "{} is not of NCCL {major}.{minor} or later (name another folder in NCCL_HOME)",
            header.display()
        )),
    }
}

/// Major and minor version in NCCL's header.
fn nccl_version(header: &Path) -> Option<(u32, u32)> {
    let text = std::fs::read_to_string(header).ok()?;
    let part = |name: &str| libtorch_link::defined(&text, name)?.parse().ok();
    Some((part("NCCL_MAJOR")?, part("NCCL_MINOR")?))
}
