//! The `sde` program.

use std::process::ExitCode;

use train::cli::{Commands, run};
use train::commands;

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
