//! `sde likelihood`.

use std::ops::ControlFlow;
use std::time::Instant;

use ndarray::Array2;
use solvers::likelihood::LikelihoodConfig;

use super::ranks::{Joined, join};
use super::sample::check_target;
use super::{print_json, set_up};
use crate::TrainError;
use crate::cli::{DONE, DataArg, INTERRUPTED, LikelihoodArgs, load_run, print_line};
use crate::data::Scaling;
use crate::dist;
use crate::evaluate::likelihood::{Density, LikelihoodOptions, Mean, Measured};
use crate::evaluate::{BoundReport, LIKELIHOOD_FILE, LikelihoodFile, LikelihoodReport, Rows};
use crate::log::ProgressReport;
use crate::model::OpenModel;
use crate::trainer::StopFlag;

/// Up to so many values a row the exact divergence is the usual one.
const FEW_VALUES: usize = 8;

/// Measures the likelihood of rows under a model; the answer is the exit code. `likelihood.json` goes into the run or model folder,
/// unless the work is interrupted, in which case the figures of the rows that were done are said.
///
/// # Errors
/// The folder is no run and no model, or has no whole checkpoint; the rows are absent or refused; the flow of a row cannot be followed.
pub fn likelihood(args: &LikelihoodArgs) -> Result<u8, TrainError> {
    let Joined { comm, local_rank } = match join(&args.ranks)? {
        ControlFlow::Break(code) => return Ok(code),
        ControlFlow::Continue(joined) => joined,
    };
    let leads = dist::leads(comm.as_ref());
    set_up(args.machine.threads);
    let device = args.machine.device.resolve(local_rank)?;
    let stop = StopFlag::on_signals()?;
    let model = OpenModel::open(&args.place, device)?;
    let scaling = Scaling::of_card(&model.card.data);
    let (sde, precond) = model.card.process(&model.card_file())?;
    let run = args.place.run.as_deref().map(|run| load_run(run, &[]));
    let config = run.transpose()?.map(|loaded| loaded.config);
    let rows = match (&args.data, &config) {
        (DataArg::File(path), _) => Rows::file(path, &model.card.data.shape, scaling.levels())?,
        (DataArg::Test, Some(config)) => Rows::test(config)?,
        (DataArg::HeldOut, Some(config)) => Rows::held_out(config)?,
        (DataArg::Train, Some(config)) => Rows::train(config)?,
        (_, None) => {
            return Err(TrainError::Usage(
                "--data: a model folder has no rows of its own; name a file of rows with --data FILE.npy"
                    .to_owned(),
            ));
        }
    };
    if rows.shape() != model.card.data.shape {
        return Err(TrainError::Data {
            name: rows.name().to_owned(),
            reason: format!(
                "its {} have the shape {:?}, the model's {:?}",
                rows.part().rows(),
                rows.shape(),
                model.card.data.shape
            ),
        });
    }
    if args.repeats > 1 && scaling.levels().is_none() {
        return Err(TrainError::Usage(
            "--repeats: the data are real numbers, which are not dequantised; leave it out".to_owned(),
        ));
    }
    let of_rows = rows.numbers().len() as u64;
    let rows = rows
        .at_most(usize::try_from(args.rows).unwrap_or(usize::MAX))
        .telling(model.net.classes(), device)?;
    let dim = rows.row_len();
    let probes = match (args.exact, args.probes) {
        (true, _) => None,
        (false, None) if dim <= FEW_VALUES => None,
        (false, probes) => probes.or(Some(1)),
    };
    let options = LikelihoodOptions {
        flow: LikelihoodConfig {
            probes,
            rtol: args.rtol,
            atol: args.atol,
            ..LikelihoodConfig::default()
        },
        bound_times: args.bound_times,
        repeats: args.repeats,
        batch: usize::try_from(args.batch).unwrap_or(usize::MAX),
        seed: args.seed,
    };
    // Before minutes are spent on what shall go there.
    check_target(&model.folder.join(LIKELIHOOD_FILE))?;
    args.out.as_deref().map_or(Ok(()), check_target)?;
    dist::same_text(comm.as_ref(), "measurement", || {
        Ok(format!(
            "{options:?}\n{}\n{}",
            rows.fingerprint()?,
            model.fingerprint()?
        ))
    })?;
    let mut progress = match leads {
        true => ProgressReport::new("likelihood"),
        false => ProgressReport::silent(),
    };
    for note in &model.notes {
        progress.say(note);
    }
    progress.say(&format!(
        "{} of {of_rows} {} of {}, {} a row",
        rows.numbers().len(),
        rows.part().rows(),
        rows.name(),
        match probes {
            None => format!("{dim} backward passes an evaluation (exact divergence)"),
            Some(1) => "1 probe".to_owned(),
            Some(probes) => format!("{probes} probes"),
        }
    ));
    let density = Density {
        net: model.net.as_ref(),
        precond: &precond,
        sde: sde.as_ref(),
        scaling: &scaling,
        device,
        comm: comm.as_ref(),
    };
    let started = Instant::now();
    let count = rows.numbers().len();
    let mut show = |done: f64| progress.update(done, || format!("{count} rows"));
    let measured = density.measure(&rows, &options, &stop, &mut show)?;
    progress.finish();
    if !leads {
        return Ok(if measured.stopped { INTERRUPTED } else { DONE });
    }
    let Some(nll) = Mean::of(&measured.rows.nll) else {
        progress.say(&format!(
            "interrupted before the first {} rows were done",
            args.batch.min(count as u64)
        ));
        return Ok(INTERRUPTED);
    };
    let levels = scaling.levels();
    let bits = levels.map(|_| nll.bits(dim));
    let report = LikelihoodReport {
        run_dir: args.place.run.clone(),
        model_dir: args.place.model.clone(),
        step: model.card.origin.step,
        data: rows.name().to_owned(),
        part: rows.part(),
        rows: measured.rows.row.len() as u64,
        of_rows,
        dim,
        levels,
        dequantised: scaling.is_dequantised(),
        nll_nats: nll.mean,
        standard_error: nll.standard_error,
        bits_per_dim: bits.map(|bits| bits.mean),
        bits_standard_error: bits.and_then(|bits| bits.standard_error),
        bound: BoundReport::of(&measured.rows.bound, dim, levels.is_some(), args.bound_times),
        repeats: args.repeats,
        probes,
        rtol: args.rtol,
        atol: args.atol,
        t: sde.domain().likelihood_eps,
        seed: args.seed,
        nfe: measured.nfe,
        seconds: started.elapsed().as_secs_f64(),
        interrupted: measured.stopped,
    };
    for line in report.lines() {
        print_line(&line)?;
    }
    if !measured.stopped {
        if let Some(path) = &args.out {
            report::npy::write_npy(path, &table(&measured))?;
            progress.say(&format!("rows: {}", path.display()));
        }
        let file = LikelihoodFile {
            report: report.clone(),
            values: measured.rows,
        };
        let path = file.write(&model.folder)?;
        progress.say(&format!("wrote {}", path.display()));
    }
    if args.json {
        print_json(&report)?;
    }
    Ok(if report.interrupted { INTERRUPTED } else { DONE })
}

/// Number of the row, negative log likelihood, bound (NaN where there is none).
fn table(measured: &Measured) -> Array2<f64> {
    let rows = &measured.rows;
    Array2::from_shape_fn((rows.row.len(), 3), |(at, column)| match column {
        0 => rows.row[at] as f64,
        1 => rows.nll[at],
        _ => rows.bound.get(at).copied().unwrap_or(f64::NAN),
    })
}
