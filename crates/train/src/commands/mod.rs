//! What the commands of the `sde` program do.

mod checkpoint;
mod sample;
mod train;

pub use checkpoint::checkpoint;
pub use sample::sample;
pub use train::train;

use serde::Serialize;

use crate::TrainError;
use crate::cli::print_line;

/// Sets the number of libtorch's threads; one a core if none is given.
fn set_threads(threads: Option<u16>) {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.map_or_else(cores, usize::from);
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

/// Prints a result as one line of JSON.
fn print_json(value: &impl Serialize) -> Result<(), TrainError> {
    print_line(&serde_json::to_string(value).expect("invariant: results are numbers, texts and paths"))
}
