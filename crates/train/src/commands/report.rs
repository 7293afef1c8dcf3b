//! `sde report`.

use crate::TrainError;
use crate::cli::{DONE, ReportArgs, print_line};
use crate::page;

/// Writes `report.html` into a run folder, from what lies in it; the answer is the exit code. Nothing else in the folder
/// changes, so that a run may go on meanwhile.
///
/// # Errors
/// The folder is no run, its configuration is refused, or the page cannot be written.
pub fn report(args: &ReportArgs) -> Result<u8, TrainError> {
    let config = args.load()?.config;
    let data = crate::data::open(&config.data);
    let path = page::write(&args.run, &config, data.as_deref())?;
    print_line(&format!("report: {}", path.display()))?;
    Ok(DONE)
}
