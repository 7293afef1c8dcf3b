//! Watching and stopping the way from data to prior.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use ndarray::s;
use sde_core::{Gaussian, Sde};
use solvers::likelihood::{
    GaussianPrior, Likelihood, LikelihoodConfig, LikelihoodJob, LogDensities, log_density_chunks,
    log_density_host,
};
use solvers::observe::{EarlyStop, StopFlag, Trajectory};
use solvers::{
    HostBatch, HostNoise, HostOptions, Job, MixtureScore, Observer, Sampler, SolveError, SolveStats,
    StepInfo, StopReason,
};

use crate::common::{gaussian, largest, mixture, points, sdes};

type Batch = HostBatch<f64>;

fn config(probes: Option<u32>, save_at: &[f64]) -> LikelihoodConfig {
    LikelihoodConfig {
        probes,
        save_at: save_at.to_vec(),
        rtol: 1e-7,
        atol: 1e-7,
        ..LikelihoodConfig::default()
    }
}

const FIRST_ROW: u64 = 7;

/// Log densities of the mixture at `x`, which becomes the latents.
fn observed(
    likelihood: &Likelihood,
    sde: &std::sync::Arc<dyn Sde>,
    x: &mut Batch,
    observer: &mut dyn Observer<Batch>,
) -> Result<LogDensities, SolveError> {
    let model = MixtureScore::<f64>::new(mixture(), sde.clone());
    let noise = HostNoise {
        seed: 5,
        first_row: FIRST_ROW,
    };
    let job = LikelihoodJob {
        sde: &**sde,
        model: &model,
        noise: &noise,
        terminal: &GaussianPrior::of(&**sde),
        first_row: FIRST_ROW,
    };
    likelihood.run_observed(&job, x, observer)
}

/// Times run up from data to prior, the last state is the latents, and neither observers nor saved times change a bit.
#[test]
fn observers_see_the_way_up_and_change_no_bit() {
    for (name, sde) in sdes() {
        let domain = sde.domain();
        let start = Batch::from_rows(points(&mixture(), &*sde, 9).view());
        for probes in [None, Some(2)] {
            let likelihood = config(probes, &[]).build(&*sde).expect("valid");
            let (mut plain_x, mut x) = (start.clone(), start.clone());
            let plain = observed(&likelihood, &sde, &mut plain_x, &mut ()).expect("regular");
            let mut path = Trajectory::new(1);
            let seen = observed(&likelihood, &sde, &mut x, &mut path).expect("regular");
            assert_eq!((&seen, &x), (&plain, &plain_x), "{name}");
            assert_eq!((&path.states()[0], path.states().last()), (&start, Some(&x)));
            let (times, states) = (path.times(), path.states());
            assert_eq!(
                (times[0], times.last()),
                (domain.likelihood_eps, Some(&domain.t_end))
            );
            assert!(
                times.windows(2).all(|pair| pair[0] <= pair[1]),
                "{name} {times:?}"
            );
            assert!(states.len() > 10 && times[1] > times[0] && times[times.len() / 2] < domain.t_end);

            let save_at = [0.01, 0.3, 0.9 * domain.t_end, domain.t_end];
            let saving = config(probes, &save_at).build(&*sde).expect("valid");
            let (mut saved, mut x) = (Trajectory::new(1), start.clone());
            let also = observed(&saving, &sde, &mut x, &mut saved).expect("regular");
            assert_eq!((&also.nats, &also.std_errors), (&plain.nats, &plain.std_errors));
            assert_eq!(x, plain_x, "{name}");
            assert_eq!(saved.times()[1..5], save_at, "{name}");
            assert_eq!(saved.states()[4], x, "{name}");
        }
    }
}

/// The saved states of a Gaussian are those of its flow, in closed form, up and down.
#[test]
fn saved_states_lie_on_the_path() {
    for (name, sde) in sdes() {
        let data = gaussian();
        let exact = Gaussian::new(data.component_mean(0), data.component_cov(0)).expect("valid");
        let points = points(&data, &*sde, 6);
        let config = LikelihoodConfig {
            save_at: vec![0.05, 0.4, 0.8],
            rtol: 1e-10,
            atol: 1e-10,
            ..LikelihoodConfig::default()
        };
        let model = MixtureScore::<f64>::new(data, sde.clone());
        let noise = HostNoise {
            seed: 0,
            first_row: 0,
        };
        let job = Job {
            sde: &*sde,
            score: &model,
            noise: &noise,
            first_row: 0,
        };
        let mut x = Batch::from_rows(points.view());
        let (mut up, mut down) = (Trajectory::new(1), Trajectory::new(1));
        let encoder = config.encoder(&*sde).expect("valid");
        encoder.run(&job, &mut x, &mut up).expect("regular");
        let decoder = config.decoder::<Batch>(&*sde).expect("valid");
        decoder.run(&job, &mut x, &mut down).expect("regular");
        assert_eq!(up.times()[1..4], [0.05, 0.4, 0.8]);
        assert_eq!(down.times()[1..4], [0.8, 0.4, 0.05]);
        let from = sde.marginal(sde.domain().likelihood_eps);
        for (k, t) in config.save_at.iter().enumerate() {
            for (way, state) in [("up", &up.states()[1 + k]), ("down", &down.states()[3 - k])] {
                let mut known = [0.0; 3];
                for (x, z) in points.rows().into_iter().zip(state.to_rows().rows()) {
                    exact.flow(from, sde.marginal(*t), &x.to_vec(), &mut known);
                    let scale = 1.0 + sde.marginal(*t).std;
                    let worst = largest(z.iter().zip(&known).map(|(a, b)| (a - b) / scale));
                    assert!(worst < 1e-7, "{name} {way} t {t}: {worst:e}");
                }
            }
        }
    }
}

/// Remembers why it ended.
struct Stops<F>(EarlyStop<F>, Vec<StopReason>);

impl<F: FnMut(&StepInfo, &Batch) -> bool> Observer<Batch> for Stops<F> {
    fn step(&mut self, info: &StepInfo, x: &Batch) -> std::ops::ControlFlow<()> {
        self.0.step(info, x)
    }

    fn end(&mut self, stats: &SolveStats, _x: &Batch) {
        self.1.push(stats.stop);
    }
}

/// A stopped run gives an error with its place and no numbers; `x` is the state of that step.
#[test]
fn a_stopped_run_gives_no_numbers() {
    for (name, sde) in sdes() {
        let start = Batch::from_rows(points(&mixture(), &*sde, 4).view());
        for (probes, save_at) in [
            (None, &[][..]),
            (Some(3), &[]),
            (None, &[0.1, 0.2, 0.3, 0.4, 0.5]),
        ] {
            let likelihood = config(probes, save_at).build(&*sde).expect("valid");
            let mut path = Trajectory::new(1);
            let mut x = start.clone();
            observed(&likelihood, &sde, &mut x, &mut path).expect("regular");
            // The trajectory has the start before the steps, and the end once more behind them.
            for steps in [1, 4, path.states().len() - 2] {
                let mut stop = Stops(
                    EarlyStop(|info: &StepInfo, _: &Batch| info.step + 1 == steps as u64),
                    Vec::new(),
                );
                let mut x = start.clone();
                let error = observed(&likelihood, &sde, &mut x, &mut stop).expect_err("stopped");
                let want = SolveError::Stopped {
                    first_row: FIRST_ROW,
                    t: path.times()[steps],
                    steps: steps as u64,
                };
                assert_eq!(error, want, "{name}");
                assert!(error.to_string().contains("rows 7 and on"), "{error}");
                assert_eq!(x, path.states()[steps], "{name} {steps}");
                assert_eq!(stop.1, [StopReason::Stopped]);
            }
        }
    }
}

/// In chunks: the observers come back in order, a flag set elsewhere stops all, and one chunk's stop is an error for all.
#[test]
fn chunks_are_observed_and_stopped() {
    let (_, sde) = &sdes()[0];
    let points = points(&mixture(), &**sde, 70);
    let model = MixtureScore::<f64>::new(mixture(), sde.clone());
    let prior = GaussianPrior::of(&**sde);
    let likelihood = config(None, &[0.5, 1.0]).build(&**sde).expect("valid");
    let options = HostOptions {
        first_row: 100,
        threads: NonZeroUsize::new(2),
        chunk: NonZeroUsize::new(32),
        ..HostOptions::default()
    };
    let plain =
        log_density_host(&likelihood, &**sde, &model, &prior, points.view(), &options).expect("regular");
    let (run, paths) = log_density_chunks(
        &likelihood,
        &**sde,
        &model,
        &prior,
        points.view(),
        &options,
        |_| Trajectory::<Batch>::new(1),
    )
    .expect("regular");
    assert_eq!((&run.nats, &run.latents), (&plain.nats, &plain.latents));
    assert_eq!(paths.len(), 3);
    for (path, first) in paths.iter().zip([0, 32, 64]) {
        let end = 70.min(first + 32);
        assert_eq!(path.times(), [1e-5, 0.5, 1.0, 1.0]);
        assert_eq!(path.states()[0].to_rows(), points.slice(s![first..end, ..]));
        assert_eq!(
            path.states()[2].to_rows(),
            plain.latents.slice(s![first..end, ..])
        );
    }
    for (flags, first_row) in [([true, true, true], 100), ([false, true, true], 132)] {
        let flags = flags.map(AtomicBool::new);
        let error = log_density_chunks(
            &likelihood,
            &**sde,
            &model,
            &prior,
            points.view(),
            &options,
            |row| StopFlag(&flags[(row as usize - 100) / 32]),
        )
        .map(|_| ())
        .expect_err("stopped");
        let want = SolveError::Stopped {
            first_row,
            t: 0.5,
            steps: 1,
        };
        assert_eq!(error, want);
    }
}

#[test]
fn times_to_save_are_checked() {
    let (_, sde) = &sdes()[0];
    for bad in [
        &[0.5, 0.4][..],
        &[0.5, 0.5],
        &[0.0],
        &[1.1],
        &[f64::NAN],
        &[0.1, f64::INFINITY],
    ] {
        let config = config(None, bad);
        for error in [
            config.build(&**sde).err(),
            config.encoder(&**sde).err(),
            config.decoder::<Batch>(&**sde).err(),
        ] {
            let error = error.expect("refused").to_string();
            assert!(
                error.starts_with("likelihood.save_at = ") && error.contains("must ascend"),
                "{error}"
            );
        }
    }
    let table = toml::to_string(&config(None, &[0.25, 0.5])).expect("a table");
    assert_eq!(
        toml::from_str::<LikelihoodConfig>(&table).expect("read back"),
        config(None, &[0.25, 0.5])
    );
}
