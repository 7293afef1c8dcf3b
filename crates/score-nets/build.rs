//! Lets every binary, test and example of this crate find libtorch at run time by itself: the folder that
//! torch-sys linked against goes into the run path. No environment variable is needed afterwards.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    match std::env::var("DEP_TCH_LIBTORCH_LIB") {
        Ok(folder) => println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}"),
        Err(_) => {
            println!("cargo::warning=torch-sys names no library folder: binaries will need LD_LIBRARY_PATH")
        }
    }
}
