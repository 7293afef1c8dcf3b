//! `cargo xtask doctor`: what is installed, what is wrong, and what to do about it.

use std::path::Path;

use crate::failure::{Failure, Outcome};
use crate::libtorch::{self, Found, cache, pins};
use crate::process;

/// Collects what is printed.
#[derive(Default)]
struct Findings {
    faults: usize,
}

impl Findings {
    fn fact(&self, name: &str, value: &str) {
        println!("{name:<14} {value}");
    }

    fn note(&self, text: &str) {
        println!("  note         {text}");
    }

    fn fault(&mut self, text: &str, remedy: &str) {
        self.faults += 1;
        println!("  FAULT        {text}");
        println!("  remedy       {remedy}");
    }
}

/// Prints versions, library paths and devices; for each fault its remedy.
///
/// # Errors
/// If there is any fault, so that scripts can ask.
pub fn run(root: &Path) -> Outcome<()> {
    let mut findings = Findings::default();
    toolchain(&mut findings);
    let found = library(root, &mut findings);
    environment(&mut findings);
    if let Some(found) = &found {
        loading(found, &mut findings);
        program(root, found, &mut findings);
    }
    devices(found.as_ref(), &mut findings);
    match findings.faults {
        0 => {
            println!("no fault found");
            Ok(())
        }
        1 => Err(Failure::new("1 fault found, see above")),
        count => Err(Failure::new(format!("{count} faults found, see above"))),
    }
}

fn toolchain(findings: &mut Findings) {
    let version = |program: &str| process::capture(program, &["--version"]);
    let rustc = version("rustc").unwrap_or_else(|| "not found".to_owned());
    findings.fact("rustc", &rustc);
    findings.fact(
        "system",
        &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    match process::compiler() {
        Some((name, version)) => findings.fact("compiler", &format!("{name}: {version}")),
        None => findings.fault(
            "no C++ compiler: neither c++, g++ nor clang++ runs (nor what CXX names)",
            "`apt-get install g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora), `xcode-select --install` (macOS)",
        ),
    }
    let python = process::python();
    match version(python) {
        Some(text) => findings.fact("python", &format!("{python}: {text}")),
        None => {
            findings.note("no Python 3: setup cannot download libtorch; a LIBTORCH of your own still works")
        }
    }
    match process::capture(python, &["-m", "pip", "--version"]) {
        Some(text) => findings.fact("pip", text.split(" from ").next().unwrap_or(&text)),
        None => findings.note(
            "no pip: setup cannot download libtorch; `apt-get install python3-pip` or `python3 -m ensurepip`",
        ),
    }
}

/// The exact pairing of versions, the first thing that goes wrong.
fn library(root: &Path, findings: &mut Findings) -> Option<Found> {
    findings.fact(
        "wanted",
        &format!(
            "libtorch {} exactly: the tch crate binds one version",
            pins::VERSION
        ),
    );
    match cache::folder() {
        Ok(folder) => findings.fact("cache", &folder.display().to_string()),
        Err(failure) => findings.note(&failure.to_string()),
    }
    match libtorch::find(root) {
        Ok(Some(found)) => {
            findings.fact(
                "libtorch",
                &format!("{} ({})", found.folder.display(), found.source.describe()),
            );
            if let Ok(real) = found.folder.canonicalize() {
                findings.fact("library path", &real.join("lib").display().to_string());
                match real.parent().filter(|folder| cache::is_stamped(folder)) {
                    Some(folder) if !cache::is_whole(folder) => findings.fault(
                        &format!("{} has lost files", folder.display()),
                        "`cargo xtask setup` makes it anew",
                    ),
                    _ => {}
                }
            }
            Some(found)
        }
        Ok(None) => {
            let link = libtorch::workspace_folder(root);
            let state = if link.is_symlink() {
                "damaged, or its cache is gone"
            } else {
                "none yet"
            };
            findings.fact("libtorch", state);
            findings.note("`cargo xtask setup` downloads it, once for all checkouts; so does every command that needs it");
            None
        }
        Err(failure) => {
            findings.fault(
                &failure.to_string().replace("xtask: ", "").replace('\n', ";"),
                "see the line above",
            );
            None
        }
    }
}

/// Variables that torch-sys reads and that are often set wrongly.
fn environment(findings: &mut Findings) {
    let variable = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let parents = [("LIBTORCH_INCLUDE", "include"), ("LIBTORCH_LIB", "lib")];
    for (name, below) in parents {
        if let Some(folder) = variable(name) {
            findings.fact(name, &folder.display().to_string());
            if !folder.join(below).is_dir() {
                findings.fault(
                    &format!(
                        "{name} must name the folder above {below}/; {} has none",
                        folder.display()
                    ),
                    &format!("unset {name}, or set it to the parent: LIBTORCH alone is enough"),
                );
            }
        }
    }
    if variable("LIBTORCH_BYPASS_VERSION_CHECK").is_some() {
        findings.fault(
            "LIBTORCH_BYPASS_VERSION_CHECK is set: another version compiles and then fails in strange ways",
            "unset it",
        );
    }
    if let (Some(value), true) = (variable("LIBTORCH_USE_PYTORCH"), variable("LIBTORCH").is_some()) {
        findings.note(&format!(
            "LIBTORCH_USE_PYTORCH={} wins over LIBTORCH, whatever its value",
            value.display()
        ));
    }
    if let Some(value) = variable("LIBTORCH_STATIC") {
        findings.note(&format!(
            "LIBTORCH_STATIC={}: only shared libraries are tested here",
            value.display()
        ));
    }
    if let Some(value) = variable("LIBTORCH_CXX11_ABI").filter(|value| value.as_os_str() != "1") {
        findings.fault(
            &format!(
                "LIBTORCH_CXX11_ABI={}: libtorch {} is built with ABI 1",
                value.display(),
                pins::VERSION
            ),
            "unset it",
        );
    }
}

/// Whether the loader finds what libtorch itself needs.
fn loading(found: &Found, findings: &mut Findings) {
    let library = found.lib().join(pins::main_library());
    if let Some(missing) = missing_libraries(&library)
        && !missing.is_empty()
    {
        findings.fault(
            &format!("{} needs {}, which the loader does not find", pins::main_library(), missing.join(", ")),
            "a copied libtorch has lost its neighbours: keep the sibling folder nvidia/ beside it, or unset LIBTORCH and run `cargo xtask setup`",
        );
    }
}

/// Whether the built program finds libtorch without help.
fn program(root: &Path, found: &Found, findings: &mut Findings) {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), std::path::PathBuf::from);
    let program = root.join(target).join("release").join("sde");
    if !program.exists() {
        findings.fact("sde", "not built yet");
        return;
    }
    findings.fact("sde", &program.display().to_string());
    let Some(report) = process::capture("ldd", &[&program]) else {
        return;
    };
    let missing = not_found(&report);
    if !missing.is_empty() {
        findings.fault(
            &format!("sde would say `{}: cannot open shared object file`", missing.join(", ")),
            "it was linked against a libtorch that has moved: any `cargo xtask` command that uses it links it anew; do not copy the program without its libtorch",
        );
    } else if has_cuda(found) && !report.contains(CUDA) {
        findings.fault(
            &format!("sde was linked without {CUDA}, which this libtorch has: it finds no GPU"),
            "it was built against another libtorch: any `cargo xtask` command that uses it links it anew",
        );
    }
}

/// The half of libtorch that computes on NVIDIA GPUs.
const CUDA: &str = "libtorch_cuda.so";

fn has_cuda(found: &Found) -> bool {
    found.lib().join(CUDA).exists()
}

/// The libraries that the loader does not find, by `ldd`; `None` where there is no ldd.
fn missing_libraries(file: &Path) -> Option<Vec<String>> {
    process::capture("ldd", &[file]).map(|report| not_found(&report))
}

fn not_found(report: &str) -> Vec<String> {
    let missing = report.lines().filter(|line| line.contains("=> not found"));
    missing
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// Processors and accelerators, and whether this libtorch can use them.
fn devices(found: Option<&Found>, findings: &mut Findings) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    findings.fact("cpu", &format!("{threads} threads"));
    if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        findings.fact(
            "mps",
            "this Mac's GPU (--device mps); not verified by this project's checks",
        );
    }
    let Some(list) = process::capture("nvidia-smi", &["-L"]).filter(|list| !list.is_empty()) else {
        findings.fact("cuda", "no NVIDIA GPU (nvidia-smi does not run)");
        return;
    };
    for gpu in list.lines() {
        findings.fact("cuda", gpu);
    }
    if found.is_some_and(|found| !has_cuda(found)) {
        findings.note(
            "this libtorch is the CPU half: training runs on the CPU, silently as far as tch is concerned. \
             For the GPU: `pip install torch==2.13.0` into a virtual environment, activate it, and set LIBTORCH_USE_PYTORCH=1; see docs/GPU.md",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_libraries_are_read_from_ldd() {
        let report = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibtorch_cpu.so => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\tlibc10.so => not found\n";
        assert_eq!(not_found(report), ["libtorch_cpu.so", "libc10.so"]);
        assert!(not_found("\tstatically linked\n").is_empty());
    }
}
