//! Lets every program, test and example of this crate find libtorch at run time by itself, and tells the crate which version that is.

fn main() {
    let lib = libtorch_link::link();
    let include = lib.and_then(|lib| Some(lib.parent()?.join("include")));
    let version = include.and_then(|include| libtorch_link::version(&include));
    println!(
        "cargo::rustc-env=SDE_LIBTORCH_VERSION={}",
        version.as_deref().unwrap_or("unknown")
    );
}
