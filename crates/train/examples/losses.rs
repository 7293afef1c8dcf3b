//! The table of losses with their gradient checks: a linear network on correlated Gaussian data, for which the expected gradient is
//! known in closed form. `error` is the distance of the mean gradient over all rows from it, `expected` what an unbiased estimate
//! would be off by (the standard error), both over the norm of the exact gradient; `noise` is the standard deviation of a single row's
//! gradient over the same norm.
//!
//! `cargo run --release -p train --example losses [ROWS]`
#![allow(clippy::print_stdout)]

#[path = "../tests/losses/linear.rs"]
mod linear;

use std::sync::Arc;

use linear::{check, objective};
use tch::Device;
use train::TrainError;
use train::config::Reduction;
use train::loss::{Dsm, Implicit, LearnedWeighting, Loss, Objective, Projection, Sliced};

/// One row of the table: kind, options, loss.
type Row = (&'static str, String, Box<dyn Loss>);

fn losses(objective: &Objective) -> Result<Vec<Row>, TrainError> {
    let dsm = || Dsm::of(objective.clone());
    let (sde, reduction) = (Arc::clone(&objective.sde), objective.reduction);
    let learned = LearnedWeighting::new(Box::new(dsm()), sde, reduction, 0, Device::Cpu)?;
    let mut all: Vec<Row> = vec![
        ("dsm", String::new(), Box::new(dsm())),
        (
            "dsm",
            "learned_weighting, at its start".to_owned(),
            Box::new(learned),
        ),
        (
            "dsm",
            "control_variate = 0.3".to_owned(),
            Box::new(dsm().with_control_variate(0.3)),
        ),
        (
            "implicit",
            String::new(),
            Box::new(Implicit::new(objective.clone())),
        ),
    ];
    for projection in [Projection::Rademacher, Projection::Gaussian, Projection::Sphere] {
        for (projections, variance_reduced) in [(1, false), (1, true), (4, true)] {
            let options = format!("{projection:?}, {projections}, variance_reduced = {variance_reduced}");
            let loss = Sliced::new(objective.clone(), projection, projections, variance_reduced);
            all.push(("sliced", options, Box::new(loss)));
        }
    }
    Ok(all)
}

fn main() -> Result<(), TrainError> {
    tch::set_num_threads(1);
    let rows = std::env::args()
        .nth(1)
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(100_000);
    let (small, usual) = ([1e-4, 1e-3, 1e-2, 0.05], [0.1, 0.2, 0.4, 0.8]);
    for (sde, precond, weighting, times, shares) in [
        ("vp", "eps", "sigma2", "t = 0.1, 0.2, 0.4, 0.8", usual),
        ("vp", "eps", "sigma2", "t = 1e-4, 1e-3, 1e-2, 0.05", small),
        ("ve", "edm", "edm", "t = 0.1, 0.2, 0.4, 0.8", usual),
    ] {
        let objective = objective(sde, precond, weighting, Reduction::Mean);
        println!("sde {sde}, precond {precond}, weighting {weighting}, {times}, {rows} rows");
        println!(
            "{:<9} {:<42} {:>9} {:>9} {:>9}",
            "kind", "options", "error", "expected", "noise"
        );
        for (step, (kind, options, loss)) in losses(&objective)?.into_iter().enumerate() {
            let check = check(loss.as_ref(), &objective, shares, rows, step as u32);
            let (error, expected) = (check.relative_error(), check.standard_error());
            let noise = expected * (rows as f64).sqrt();
            println!("{kind:<9} {options:<42} {error:>9.5} {expected:>9.5} {noise:>9.2}");
        }
        println!();
    }
    Ok(())
}
