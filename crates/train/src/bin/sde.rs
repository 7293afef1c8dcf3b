//! The `sde` program.

use std::process::ExitCode;

use train::cli::{Commands, run};
use train::commands;

/// Takes the place of the system's allocator for the whole process, libtorch included, which allocates each intermediate result anew:
/// glibc's took a tenth of a training step of a small U-Net.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let commands = Commands {
        train: commands::train,
        sample: commands::sample,
        likelihood: commands::likelihood,
        eval: commands::eval,
        checkpoint: commands::checkpoint,
        report: commands::report,
        import: commands::import,
        export: commands::export,
        net: commands::net,
    };
    run(std::env::args_os(), &commands)
}
