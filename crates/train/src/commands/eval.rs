//! `sde eval`.

use std::ops::ControlFlow;

use report::metrics::Options;

use super::print_json;
use super::ranks::join;
use super::sample::check_target;
use crate::TrainError;
use crate::cli::{DONE, EvalArgs, load_run, print_line};
use crate::dist;
use crate::evaluate::SCORES_FILE;
use crate::evaluate::scores::{COLUMNS, Scores};
use crate::trainer::artefacts::SAMPLES_FILE;

/// Scores samples of a run against its data; the answer is the exit code. `eval.json` goes into the run folder.
///
/// # Errors
/// The folder is no run, has no samples, or these do not fit the data.
pub fn eval(args: &EvalArgs) -> Result<u8, TrainError> {
    let comm = match join(&args.ranks)? {
        ControlFlow::Break(code) => return Ok(code),
        ControlFlow::Continue(joined) => joined.comm,
    };
    let config = load_run(&args.run, &[])?.config;
    let file = match &args.samples {
        Some(file) => file.clone(),
        None => args.run.join(SAMPLES_FILE),
    };
    if args.samples.is_none() && !file.exists() {
        return Err(TrainError::RunFolder {
            path: args.run.clone(),
            reason: format!(
                "holds no {SAMPLES_FILE}, which is written at the end of a run; draw samples with sde sample --run {} and name their \
                 file with --samples",
                args.run.display()
            ),
        });
    }
    check_target(&args.run.join(SCORES_FILE))?;
    set_threads(args.threads)?;
    let options = Options {
        seed: args.seed,
        max_rows: usize::try_from(args.max_rows).unwrap_or(usize::MAX),
        ..Options::default()
    };
    let scores = Scores::of(&args.run, &file, &config, &options, args.features, comm.as_ref())?;
    if !dist::leads(comm.as_ref()) {
        return Ok(DONE);
    }
    print_line(&scores.about())?;
    if let Some(features) = &scores.features {
        print_line(&features.sentence())?;
    }
    for line in lines(&scores) {
        print_line(&line)?;
    }
    let path = scores.write(&args.run)?;
    print_line(&format!("wrote {}", path.display()))?;
    if args.json {
        print_json(&scores)?;
    }
    Ok(DONE)
}

/// Sets the number of threads: that given, else `OMP_NUM_THREADS`, by which ranks on one machine share its cores, else one a core.
fn set_threads(given: Option<u16>) -> Result<(), TrainError> {
    let of_variable = || std::env::var("OMP_NUM_THREADS").ok()?.parse().ok();
    let Some(threads) = given.map(usize::from).or_else(of_variable) else {
        return Ok(());
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    pool.map_err(|error| TrainError::Usage(format!("--threads {threads}: {error}")))
}

/// The table in columns of even width.
fn lines(scores: &Scores) -> Vec<String> {
    let head: Vec<String> = COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(scores.table(short, short)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Four digits.
fn short(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-3..1e5).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}
