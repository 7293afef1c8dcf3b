//! Compiles the shim against libtorch's headers, and refuses a libtorch of another version than the one it was written for.
//! As in the other crates that load libtorch, its folder goes into the run path.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The version whose headers the shim is written for (that which tch 0.26 wants, too).
const VERSION: &str = "2.13";

fn main() {
    for path in ["build.rs", "shim"] {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in ["DEP_TCH_LIBTORCH_LIB", "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!("c10d: torch-sys names no library folder; set LIBTORCH (see `cargo xtask doctor`)");
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    let lib = PathBuf::from(lib);
    let include = env::var_os("LIBTORCH_INCLUDE").map_or_else(
        || lib.parent().unwrap_or(Path::new("/")).join("include"),
        |folder| PathBuf::from(folder).join("include"),
    );
    let header = include.join("torch/headeronly/version.h");
    println!("cargo::rerun-if-changed={}", header.display());
    let found = version(&header);
    assert!(
        found == VERSION,
        "c10d: {} says libtorch {found}, the shim is written for {VERSION}; point LIBTORCH to that version (`cargo xtask setup` fetches it)",
        header.display()
    );
    cc::Build::new()
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
        .compile("c10d_shim");
    println!("cargo::rustc-link-search=native={}", lib.display());
    println!("cargo::rustc-link-lib=torch_cpu");
    println!("cargo::rustc-link-lib=c10");
}

/// `2.13`, or what is wrong.
fn version(header: &Path) -> String {
    let Ok(text) = fs::read_to_string(header) else {
        return format!("unknown ({} cannot be read)", header.display());
    };
    let part = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("#define TORCH_VERSION_")?.strip_prefix(name))
            .map_or("?", str::trim)
            .to_owned()
    };
    format!("{}.{}", part("MAJOR"), part("MINOR"))
}
