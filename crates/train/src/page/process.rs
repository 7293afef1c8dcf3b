//! The forward process and the way back: schedules over time, and the steps of the sampler.

use std::num::NonZeroUsize;
use std::sync::Arc;

use report::Page;
use report::plot::{LineChart, Series, lines};
use sde_core::{Gaussian, Sde, SdeConfig};
use solvers::observe::Trajectory;
use solvers::{HostBatch, HostOptions, MixtureScore, Sampler, SolveError, SolveStats, sample_chunks};

use super::{count, digits};
use crate::{RunConfig, TrainError};

/// Points of a schedule.
const POINTS: usize = 240;
/// A schedule whose values have a larger ratio is drawn on a logarithmic axis.
const WIDE: f64 = 500.0;

/// Caption, axis, value at a time, and whether the axis may be logarithmic.
type Schedule<'a> = (&'a str, &'a str, &'a dyn Fn(f64) -> f64, bool);

/// The coefficients of the process against time.
pub(super) fn add_schedules(page: Page, config: &RunConfig) -> Result<Page, TrainError> {
    let sde = config.sde.build()?;
    let domain = sde.domain();
    let is_noise_level = matches!(config.sde, SdeConfig::Edm(_));
    let (unit, from) = if is_noise_level {
        ("t, the noise level (data units)", domain.sample_eps)
    } else {
        ("t (dimensionless)", domain.sample_eps)
    };
    let times: Vec<f64> = (0..=POINTS)
        .map(|i| {
            let share = i as f64 / POINTS as f64;
            match is_noise_level {
                true => from * (domain.t_end / from).powf(share),
                false => from + (domain.t_end - from) * share,
            }
        })
        .collect();
    let mut page = page.section("Forward process").text(&format!(
        "sde.kind = {}: dx = a(t) x dt + g(t) dw from the data at t = 0 to the prior, a normal of standard deviation {}, \
         at t = {}; x at time t given x0 is normal with mean mean_coef x0 and standard deviation std. Training draws \
         times down to {}, samplers stop at {}. Data units are those after data.scaling.",
        kind(&config.sde),
        digits(sde.prior_std()),
        digits(domain.t_end),
        digits(domain.train_eps),
        digits(domain.sample_eps),
    ));
    let schedules: [Schedule; 5] = [
        (
            "Mean coefficient of the kernel",
            "mean_coef (dimensionless)",
            &|t| sde.marginal(t).mean_coef,
            false,
        ),
        (
            "Standard deviation of the kernel",
            "std (data units)",
            &|t| sde.marginal(t).std,
            true,
        ),
        (
            "Log signal-to-noise ratio",
            "log_snr = ln(mean_coef² / std²) (nats)",
            &|t| sde.log_snr(t),
            false,
        ),
        (
            "Noise-to-signal ratio",
            "sigma = std / mean_coef (data units)",
            &|t| sde.sigma(t),
            true,
        ),
        (
            "Rate of the added noise",
            match config.sde {
                SdeConfig::Vp(_) => "beta = g² (data units² per unit of time)",
                _ => "g² (data units² per unit of time)",
            },
            &|t| sde.diffusion_sq(t),
            true,
        ),
    ];
    for (caption, y_label, value, may_be_log) in schedules {
        let points: Vec<(f64, f64)> = times.iter().map(|&t| (t, value(t))).collect();
        let (low, high) = points
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(l, h), p| (l.min(p.1), h.max(p.1)));
        let chart = LineChart {
            title: format!("{caption} against time"),
            x_label: unit.to_owned(),
            y_label: y_label.to_owned(),
            x_log: is_noise_level,
            y_log: may_be_log && low > 0.0 && (is_noise_level || high > WIDE * low),
            series: vec![Series::new("", points)],
            ..LineChart::default()
        };
        page = page.figure_svg(caption, &lines(&chart)?);
    }
    Ok(page)
}

fn kind(sde: &SdeConfig) -> &'static str {
    match sde {
        SdeConfig::Vp(_) => "vp",
        SdeConfig::SubVp(_) => "subvp",
        SdeConfig::Ve(_) => "ve",
        SdeConfig::Edm(_) => "edm",
    }
}

/// The sampler of the configuration and the times that it goes through.
pub(super) fn add_sampler(page: Page, config: &RunConfig) -> Result<Page, TrainError> {
    let sde = config.sde.build()?;
    let sampler: Box<dyn Sampler<HostBatch<f64>>> = config.sampler.build(sde.as_ref())?;
    let info = sampler.info();
    let mut rows: Vec<Vec<String>> = [
        ("sampler.kind", config.sampler.kind().to_owned()),
        ("method", info.name.to_owned()),
        ("order of convergence", digits(info.order)),
        ("network evaluations a step", count(info.evaluations.into())),
        ("draws noise on the way", yes(info.stochastic)),
        ("rows influence each other", yes(info.couples_rows)),
    ]
    .map(|(name, value)| vec![name.to_owned(), value])
    .to_vec();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let page = page.section("Sampler");
    let run = trial(sampler.as_ref(), &sde);
    let (times, stats) = match run {
        Ok(run) => run,
        Err(error) => {
            let text = format!(
                "Its times cannot be shown, since a trial of it on a normal variable failed: {error}"
            );
            return Ok(page.table(&[], &rows).text(&text));
        }
    };
    row("steps", count(stats.steps));
    row("network evaluations in all", count(stats.nfe));
    let ends = (sampler.t_start(), times.last().copied().unwrap_or(f64::NAN));
    row("time", format!("from {} to {}", digits(ends.0), digits(ends.1)));
    let over_steps = |value: &dyn Fn(f64) -> f64| {
        let point = |(i, &t): (usize, &f64)| (i as f64, value(t));
        times.iter().enumerate().map(point).collect::<Vec<_>>()
    };
    let mut page = page.table(&[], &rows);
    let spread = |points: &[(f64, f64)]| points.iter().all(|p| p.1 > 0.0 && p.1.is_finite());
    for (caption, y_label, points) in [
        (
            "Noise level at each step",
            "sigma = std / mean_coef (data units)",
            over_steps(&|t| sde.sigma(t)),
        ),
        ("Time at each step", "t", over_steps(&|t| t)),
    ] {
        let log = spread(&points[..points.len().saturating_sub(1)]) && y_label.starts_with("sigma");
        let chart = LineChart {
            title: format!("{caption} of the sampler"),
            x_label: "steps done".to_owned(),
            y_label: y_label.to_owned(),
            y_log: log,
            series: vec![Series::new("", points)],
            ..LineChart::default()
        };
        if let Ok(svg) = lines(&chart) {
            page = page.figure_svg(caption, &svg);
        }
    }
    Ok(page.text(
        "Steps, evaluations and times are those of a trial of the sampler on one standard normal variable in the \
         place of the model. A method that chooses its own steps takes others on the model.",
    ))
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// Takes the sampler over one row of data N(0, 1), whose score is known, and notes the times from the start on.
fn trial(
    sampler: &dyn Sampler<HostBatch<f64>>,
    sde: &Arc<dyn Sde>,
) -> Result<(Vec<f64>, SolveStats), SolveError> {
    let normal = Gaussian::isotropic(&[0.0], 1.0)?;
    let score = MixtureScore::<f64>::new(normal.mixture().clone(), Arc::clone(sde));
    let options = HostOptions {
        threads: Some(NonZeroUsize::MIN),
        ..HostOptions::default()
    };
    let run = sample_chunks(sampler, sde.as_ref(), &score, 1, 1, &options, |_| {
        Trajectory::new(1)
    })?;
    let mut times = run
        .observers
        .first()
        .map_or(Vec::new(), |kept| kept.times().to_vec());
    // The state after the final act is not that of a step.
    times.truncate(
        usize::try_from(run.stats.steps)
            .unwrap_or(usize::MAX)
            .saturating_add(1),
    );
    Ok((times, run.stats))
}
