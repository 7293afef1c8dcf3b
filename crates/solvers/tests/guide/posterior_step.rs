//! Diffusion posterior sampling as published, after each step of a sampler.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::Array2;
use sde_core::{Mixture, Sde};
use solvers::guide::{Mask, Measurement, PosteriorStep};
use solvers::{
    Coef, HostOptions, Observer, Sampler, ScoreFn, ScoreVjp, SolveError, SolveStats, State, StepInfo,
    StopReason, sample_chunks,
};

use crate::common::{Batch, batch, job, mixture, prior, rows, run, sampler, sde, sdes, seeded};
use crate::problems::{Counting, moments, sampled, score_of};

/// Says that all is at its place: the score is 0, so that under a kernel of mean 1 the estimate is the state.
struct Still;

impl ScoreFn<Batch> for Still {
    fn score(&self, _x: &Batch, _t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        out.scale(Coef::All(0.0));
        Ok(())
    }
}

impl ScoreVjp<Batch> for Still {
    fn score_vjp(
        &self,
        _x: &Batch,
        _t: Coef,
        _v: &Batch,
        score: &mut Batch,
        vjp: &mut Batch,
    ) -> Result<(), SolveError> {
        score.scale(Coef::All(0.0));
        vjp.scale(Coef::All(0.0));
        Ok(())
    }
}

/// Each row goes `scale` a step towards its measurement, whatever its distance and that of the others, and a row that is there stays.
#[test]
fn rows_go_the_same_length_and_a_row_that_is_there_stays() {
    let sde = sde("kind = \"edm\"");
    let euler = sampler("kind = \"euler\"\nsteps = 3\nfinal = \"none\"", &*sde);
    let measured = Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.0], 0.3).unwrap();
    let guided = PosteriorStep::new(euler, Still, measured, 0.25).unwrap();
    let starts = [0.0, 1e-200, 5e-324, 2.0, -1e160, -7.0];
    let mut x = batch(6, 2, |row, d| if d == 0 { starts[row] } else { 4.0 });
    let noise = seeded(0);
    run(&guided, &*sde, &Still, &noise, &mut x).unwrap();
    assert_eq!(x.plane(0)[0].to_bits(), 0);
    // Two that stand a hair away step over it and back, and then are there.
    for row in [1, 2] {
        assert_eq!(x.plane(0)[row], 0.0);
    }
    assert_eq!(&x.plane(0)[3..], [1.25, -1e160, -6.25]);
    assert!(x.plane(1)[..6].iter().all(|other| *other == 4.0));
}

/// Everything with a grid can be corrected; nothing else can, and says so. A scale of 0 leaves the bits alone.
#[test]
fn any_sampler_with_a_grid_is_corrected() {
    let measured = || Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.3], 0.3).unwrap();
    let tables = [
        "kind = \"pc\"\nsteps = 7",
        "kind = \"pc\"\npredictor = \"reverse-diffusion\"\ncorrector = \"langevin\"\nsteps = 40",
        "kind = \"ode\"\nmethod = \"rk4\"\nsteps = 7",
        "kind = \"heun\"\nsteps = 7",
        "kind = \"ddim\"\nsteps = 7\neta = 1.0",
        "kind = \"dpm-solver\"\nsteps = 7",
        "kind = \"euler-ancestral\"\nsteps = 7",
        "kind = \"dpmpp-2m-sde\"\nsteps = 7",
        "kind = \"unipc\"\nsteps = 7",
        "kind = \"lms\"\nsteps = 7",
    ];
    for (name, sde) in sdes() {
        let score = Counting::new(score_of(mixture(), &sde));
        let drawn = |sampler: &dyn Sampler<Batch>, score: &dyn ScoreFn<Batch>| {
            let noise = seeded(2);
            let mut x = prior(sampler, &*sde, &noise, 5, 2);
            run(sampler, &*sde, score, &noise, &mut x).map(|stats| (rows(&x), stats))
        };
        for table in tables {
            let free = drawn(&*sampler(table, &*sde), &score.score).unwrap();
            let guided = |scale| {
                let guided =
                    PosteriorStep::new(sampler(table, &*sde), &score.score, measured(), scale).unwrap();
                drawn(&guided, &score.score).unwrap()
            };
            assert_eq!(guided(0.0), free, "{name} {table}");
            let moved = guided(0.2);
            assert_ne!(moved.0, free.0, "{name} {table}");
            assert_eq!(moved.1, free.1, "statistics are the sampler's: {name} {table}");
        }
        for table in [
            "kind = \"ode\"",
            "kind = \"ode\"\nsave_at = [0.5]",
            "kind = \"adaptive-sde\"",
            "kind = \"dpm-solver\"\nmode = \"adaptive\"",
        ] {
            let guided = PosteriorStep::new(sampler(table, &*sde), &score.score, measured(), 0.2).unwrap();
            let error = drawn(&guided, &score.score).unwrap_err().to_string();
            assert!(
                error.contains("guide.sampler = ") && error.contains("take a sampler with a grid"),
                "{table}: {error}"
            );
        }
    }
}

#[test]
fn a_step_costs_one_score_and_one_product() {
    let sde = sde("kind = \"vp\"");
    let of_steps = score_of(mixture(), &sde);
    let of_corrections = Counting::new(score_of(mixture(), &sde));
    let measured = Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.3], 0.3).unwrap();
    let inner = sampler("kind = \"pc\"\nsteps = 9", &*sde);
    // A model that no two threads may use: `Cell` counts.
    let guided = PosteriorStep::new(inner, &of_corrections, measured, 0.1).unwrap();
    let noise = seeded(1);
    let job = job(&*sde, &of_steps, &noise);
    let mut x = batch(3, 2, |row, d| (row + d) as f64 - 1.0);
    let mut ends = Ends::default();
    let stats = guided.run(&job, &mut x, &mut ends).unwrap();
    assert_eq!(of_corrections.taken(), (9, 9));
    assert_eq!((stats.nfe, ends.steps, ends.stops), (10, 9, vec![stats.stop]));
    ends = Ends {
        most: 4,
        ..Ends::default()
    };
    let stats = guided.run(&job, &mut x, &mut ends).unwrap();
    assert_eq!(of_corrections.taken(), (4, 4));
    assert_eq!((stats.stop, ends.steps), (StopReason::Stopped, 4));
}

/// Counts steps and ends, and stops after `most`.
struct Ends {
    steps: u64,
    most: u64,
    stops: Vec<StopReason>,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            steps: 0,
            most: u64::MAX,
            stops: Vec::new(),
        }
    }
}

impl Observer<Batch> for Ends {
    fn step(&mut self, _info: &StepInfo, _x: &Batch) -> ControlFlow<()> {
        self.steps += 1;
        if self.steps >= self.most {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, stats: &SolveStats, _x: &Batch) {
        self.stops.push(stats.stop);
    }
}

/// The same bits for any threads and chunks.
#[test]
fn rows_do_not_see_each_other() {
    let sde = sde("kind = \"vp\"");
    let score = score_of(mixture(), &sde);
    let inner = sampler("kind = \"pc\"\npredictor = \"ancestral\"\nsteps = 60", &*sde);
    let measured = Measurement::new(Mask::new(&[false, true]).unwrap(), &[0.3], 0.3).unwrap();
    let guided = PosteriorStep::new(inner, &score, measured, 0.1).unwrap();
    let drawn = |threads: usize, chunk: usize| -> Array2<f64> {
        let options = HostOptions {
            seed: 8,
            threads: NonZeroUsize::new(threads),
            chunk: NonZeroUsize::new(chunk),
            ..HostOptions::default()
        };
        let run = sample_chunks(&guided, &*sde, &score, 75, 2, &options, |_| ()).unwrap();
        run.rows
    };
    let all = drawn(1, 75);
    for (threads, chunk) in [(1, 1), (2, 7), (2, 32), (1, 64)] {
        assert_eq!(drawn(threads, chunk), all, "{threads} threads, chunks of {chunk}");
    }
}

const ROWS: usize = 3000;

/// Shift of the mean in standard deviations of the posterior and ratio of the variances, coordinate by coordinate: the first one is
/// measured with noise 0.3.
fn bias(data: &Mixture, sde: &Arc<dyn Sde>, y: f64, steps: usize, scale: f64) -> [(f64, f64); 2] {
    let posterior = data.posterior(&[1.0, 0.0], &[y], 0.3).unwrap();
    let (want, want_cov) = (posterior.mean(), posterior.cov());
    let score = score_of(data.clone(), sde);
    let table =
        format!("kind = \"pc\"\npredictor = \"ancestral\"\nsteps = {steps}\ngrid = {{ kind = \"log-snr\" }}");
    let measured = Measurement::new(Mask::new(&[true, false]).unwrap(), &[y], 0.3).unwrap();
    let guided = PosteriorStep::new(sampler(&table, &**sde), &score, measured, scale).unwrap();
    let (mean, cov) = moments(&sampled(&guided, &**sde, &score, 7, ROWS, 2));
    let bias = [0, 1].map(|d| {
        (
            (mean[d] - want[d]) / want_cov[3 * d].sqrt(),
            cov[3 * d] / want_cov[3 * d],
        )
    });
    println!("steps {steps} scale {scale}: posterior {want:.3?} {want_cov:.3?}, {bias:.3?}");
    bias
}

/// Bounded from both sides, so that neither an error nor a claim of exactness slips in. The standard errors of 3000 rows are 0.018 (shift)
/// and 0.026 times the ratio.
#[test]
fn the_bias_is_as_stated() {
    let sde = sde("kind = \"vp\"");
    let within = |(shift, ratio): (f64, f64), want: (f64, f64)| {
        let error = (shift - want.0).abs().max((ratio / want.1 - 1.0).abs());
        assert!(error < 0.11, "({shift}, {ratio}) for {want:?}");
    };
    let var = 0.36;
    let round = Mixture::new(&[1.0], &[vec![0.2, -0.1]], &[vec![var, 0.0, 0.0, var]]).unwrap();
    for (steps, scale, want) in [
        (100, 0.01, (-1.06, 3.05)),
        (100, 0.1, (0.52, 0.046)),
        (1000, 0.1, (0.52, 0.046)),
        (1000, 0.3, (0.52, 0.415)),
    ] {
        let [measured, other] = bias(&round, &sde, 0.9, steps, scale);
        within(measured, want);
        within(other, (0.0, 1.0));
        if scale > 0.05 {
            // The spread of one correction.
            let exact_var = 1.0 / (1.0 / var + 1.0 / 0.09);
            within(measured, (0.52, scale * scale / 3.0 / exact_var));
        }
    }
    for (steps, measured, other) in [
        (100, (0.01, 0.034), (1.26, 1.75)),
        (1000, (0.01, 0.030), (1.13, 4.02)),
    ] {
        let found = bias(&mixture(), &sde, 0.3, steps, 0.1);
        within(found[0], measured);
        within(found[1], other);
    }
}

#[test]
fn mistakes_are_named() {
    let sde = sde("kind = \"vp\"");
    let score = score_of(mixture(), &sde);
    let guided = |scale: f64| {
        let measured = Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.3], 0.3).unwrap();
        PosteriorStep::new(
            sampler("kind = \"pc\"\nsteps = 5", &*sde),
            &score,
            measured,
            scale,
        )
    };
    for scale in [-0.1, f64::NAN, f64::INFINITY] {
        let error = guided(scale).err().unwrap().to_string();
        assert!(error.contains(&format!("guide.scale = {scale}")), "{error}");
    }
    let noise = seeded(0);
    let mut wide = batch(2, 3, |_, _| 0.1);
    let error = run(&guided(0.1).unwrap(), &*sde, &score, &noise, &mut wide).unwrap_err();
    let what = "rows that are measured";
    assert!(
        matches!(error, SolveError::Shape { what: w, .. } if w == what),
        "{error}"
    );
    // A scale that takes the state out of range is found at the step that does it, the last one included.
    for steps in [1, 5] {
        let table = format!("kind = \"pc\"\nsteps = {steps}\nfinal = \"none\"");
        let measured = Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.3], 0.3).unwrap();
        let guided = PosteriorStep::new(sampler(&table, &*sde), &score, measured, f64::MAX).unwrap();
        let mut x = batch(2, 2, |row, _| row as f64);
        let error = run(&guided, &*sde, &score, &noise, &mut x).unwrap_err();
        assert!(
            matches!(error, SolveError::NonFinite { step: 0, .. }),
            "{steps}: {error}"
        );
    }
}
