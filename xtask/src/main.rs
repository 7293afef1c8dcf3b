//! The project's own commands: `cargo xtask COMMAND`.
//!
//! This program links no crate of the workspace, so that it builds in seconds on a machine that has nothing
//! else yet. What needs libtorch finds or provisions it first (`setup`), builds the `sde` program and becomes it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod ci;
mod doctor;
mod failure;
mod libtorch;
mod process;
mod reader;
mod readme;
mod sde;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::{Failure, Outcome};

const USAGE: &str = "\
usage: cargo xtask COMMAND [ARGUMENTS]

libtorch
  setup        find libtorch 2.13.0 or download it once into the cache; prints what is used
  doctor       versions, library paths and devices, and for each fault its remedy

handed to the sde program, built in release mode first (--help after the command shows its arguments)
  train        train a model:   cargo xtask train [--config FILE] [--out DIR] [--KEY.PATH VALUE]...
  sample       draw samples:    cargo xtask sample --run RUN_DIR|--model DIR [--n N]
  data         list, describe or fetch data sets
  checkpoint   what the checkpoints of a run hold
  eval         measure samples against data: cargo xtask eval --run RUN_DIR
  likelihood   log likelihood of rows, in nats and bits per dimension: cargo xtask likelihood --run RUN_DIR
  report       write a page that shows a run: cargo xtask report --run RUN_DIR
  import       make a model folder of another program's files:
               cargo xtask import --from diffusers|score-sde PATH [--model-config FILE] --out DIR
  export       write a model for another program: cargo xtask export --to diffusers --model DIR --out DIR
  net          describe or evaluate a network: cargo xtask net info|forward --model DIR

the project's own checks
  test         the whole test suite
  ci           fmt, clippy, tidy, README, test, docs: what a change must pass
  tidy         the architecture's rules
  bench        the benchmarks of the solvers (no libtorch needed); arguments go to cargo bench

environment
  LIBTORCH               a libtorch 2.13.0 of your own, the folder that holds include/ and lib/
  LIBTORCH_USE_PYTORCH=1 take it from the Python package torch 2.13.0
  SDE_CACHE              where the download is kept (default: the user's cache folder)
";

/// What `sde` answers to.
pub const SDE_COMMANDS: [&str; 10] = [
    "train",
    "sample",
    "data",
    "checkpoint",
    "report",
    "import",
    "export",
    "net",
    "likelihood",
    "eval",
];
/// What this program does itself.
pub const OWN_COMMANDS: [&str; 6] = ["setup", "doctor", "test", "ci", "tidy", "bench"];

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match dispatch(&command.to_string_lossy(), rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(command: &str, rest: &[std::ffi::OsString]) -> Outcome<()> {
    let root = workspace_root();
    let takes_none = || match rest.first() {
        None => Ok(()),
        Some(extra) => Err(Failure::usage(format!(
            "{command} takes no argument, got {extra:?}"
        ))),
    };
    match command {
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        "setup" => takes_none().and_then(|()| libtorch::setup(&root)),
        "doctor" => takes_none().and_then(|()| doctor::run(&root)),
        "tidy" => takes_none().and_then(|()| tidy::run(&root)),
        "test" => takes_none().and_then(|()| ci::test(&root)),
        "ci" => takes_none().and_then(|()| ci::run(&root)),
        "bench" => ci::bench(&root, rest),
        name if SDE_COMMANDS.contains(&name) => sde::run(&root, name, rest),
        other => Err(Failure::usage(format!(
            "unknown command {other:?}; `cargo xtask help` lists the commands"
        ))),
    }
}

/// The folder of the workspace's Cargo.toml: cargo tells it to the programs that it runs.
fn workspace_root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(|| own.clone(), Path::to_path_buf)
}
