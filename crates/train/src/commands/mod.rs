//! What the commands of the `sde` program do.

mod checkpoint;
mod eval;
mod export;
mod import;
mod likelihood;
mod net;
mod ranks;
mod report;
mod sample;
mod train;

pub use checkpoint::checkpoint;
pub use eval::eval;
pub use export::export;
pub use import::import;
pub use likelihood::likelihood;
pub use net::net;
pub use report::report;
pub use sample::sample;
pub use train::train;

use serde::Serialize;

use crate::TrainError;
use crate::cli::print_line;

/// Sets libtorch up: memory that is kept from step to step, and the number of threads. If none is given, `OMP_NUM_THREADS` decides, which libtorch reads itself, and
/// without that variable there is one a core.
fn set_up(threads: Option<u16>) {
    score_nets::keep_freed_memory();
    let threads = match threads {
        Some(threads) => usize::from(threads),
        None if std::env::var_os("OMP_NUM_THREADS").is_some() => return,
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

/// Prints a result as one line of JSON.
fn print_json(value: &impl Serialize) -> Result<(), TrainError> {
    let json = serde_json::to_string(value).map_err(|error| TrainError::Format {
        path: "--json".into(),
        reason: format!("the result cannot be written as JSON: {error}"),
    })?;
    print_line(&json)
}
