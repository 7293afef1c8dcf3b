//! `sde report`.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::TrainError;
use crate::cli::{DONE, ReportArgs, print_line};
use crate::evaluate::{LIKELIHOOD_FILE, SCORES_FILE};
use crate::log::metrics::METRICS_FILE;
use crate::page;
use crate::trainer::StopFlag;
use crate::trainer::artefacts::{SAMPLES_FILE, TRAJECTORY_FILE};

/// Between two looks at the flag that a signal sets.
const LOOK: Duration = Duration::from_millis(100);

/// Writes `report.html` into a run folder, from what lies in it; the answer is the exit code. Nothing else in the folder
/// changes, so that a run may go on meanwhile. With `--watch` it writes the page again whenever the run has gone on, with a note to
/// browsers to load it again, until a signal ends that; the page that it leaves is an ordinary one.
///
/// # Errors
/// The folder is no run, its configuration is refused, or the page cannot be written.
pub fn report(args: &ReportArgs) -> Result<u8, TrainError> {
    let data = crate::data::open(&args.load()?.config.data);
    let data = data.as_deref();
    // A run that goes on may have another budget: its configuration is read for each page.
    let write = |refresh| page::write_live(&args.run, &args.load()?.config, data, refresh);
    if args.watch {
        let stop = StopFlag::on_signals()?;
        let mut shown = None;
        while !stop.is_set() {
            let now = changes(&args.run);
            if shown.as_ref() != Some(&now) {
                let path = write(Some(args.every))?;
                if shown.is_none() {
                    print_line(&format!(
                        "report: open {} in a browser; it follows the run until Ctrl-C here",
                        path.display()
                    ))?;
                }
                shown = Some(now);
            }
            let next = Instant::now() + Duration::from_secs(u64::from(args.every));
            while Instant::now() < next && !stop.is_set() {
                std::thread::sleep(LOOK);
            }
        }
    }
    let path = write(None)?;
    print_line(&format!("report: {}", path.display()))?;
    Ok(DONE)
}

/// When the files of a run that the page shows have last changed.
fn changes(run: &Path) -> Vec<Option<SystemTime>> {
    let files = [
        METRICS_FILE,
        SAMPLES_FILE,
        TRAJECTORY_FILE,
        SCORES_FILE,
        LIKELIHOOD_FILE,
    ];
    let changed = |file: &&str| {
        std::fs::metadata(run.join(file))
            .and_then(|file| file.modified())
            .ok()
    };
    files.iter().map(changed).collect()
}
