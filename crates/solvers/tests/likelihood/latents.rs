//! Encoding, decoding and ways between latents.

use ndarray::{Array2, array};
use sde_core::Gaussian;
use solvers::likelihood::{LikelihoodConfig, lerp, slerp};
use solvers::{
    HostBatch, HostOptions, Job, MixtureScore, Observer, Sampler, SolveStats, State, StepInfo, sample_chunks,
};

use crate::common::{gaussian, largest, mixture, points, sdes};

fn config(tolerance: f64) -> LikelihoodConfig {
    LikelihoodConfig {
        rtol: tolerance,
        atol: tolerance,
        ..LikelihoodConfig::default()
    }
}

fn moved(
    sampler: &dyn Sampler<HostBatch<f64>>,
    sde: &dyn sde_core::Sde,
    model: &MixtureScore<f64>,
    from: &Array2<f64>,
) -> Array2<f64> {
    let options = HostOptions {
        init: Some(from.view()),
        ..HostOptions::default()
    };
    let (rows, dim) = from.dim();
    sample_chunks(sampler, sde, model, rows, dim, &options, |_| ())
        .expect("regular")
        .rows
}

/// Up and down again within some tens of the tolerance for draws of the data, for every SDE. (Not so for points in the deep valleys
/// between modes: there the way down takes neighbouring latents far apart, and their digits are lost.)
#[test]
fn forward_then_reverse() {
    for (name, sde) in sdes() {
        let data = mixture();
        let points = points(&data, &*sde, 100);
        let model = MixtureScore::<f64>::new(data, sde.clone());
        for tolerance in [1e-5, 1e-9] {
            let config = config(tolerance);
            let up = config.encoder(&*sde).expect("valid");
            let down = config.decoder::<HostBatch<f64>>(&*sde).expect("valid");
            let latents = moved(&up, &*sde, &model, &points);
            let back = moved(&*down, &*sde, &model, &latents);
            let apart = |row: usize| largest((0..2).map(|d| back[[row, d]] - points[[row, d]]));
            let worst = largest((0..100).filter(|row| row % 4 != 3).map(apart));
            let away = largest((0..100).filter(|row| row % 4 == 3).map(apart));
            println!(
                "{name:9} tolerance {tolerance:e}: back to {worst:.1e}, {away:.1e} for points away from data"
            );
            assert!(worst < 50.0 * tolerance, "{name} {tolerance:e}: {worst:e}");
            // Normal in the mean: 150 values, four standard errors of their variance.
            let drawn = (0..100).filter(|row| row % 4 != 3);
            let squares: f64 = drawn
                .flat_map(|row| latents.row(row).to_vec())
                .map(|z| z * z)
                .sum();
            let ratio = squares / 150.0 / sde.prior_std().powi(2);
            assert!((0.54..1.46).contains(&ratio), "{name}: {ratio}");
        }
    }
}

/// The latents of Gaussian data are known in closed form.
#[test]
fn latents_of_a_gaussian() {
    for (name, sde) in sdes() {
        let data = gaussian();
        let points = points(&data, &*sde, 20);
        let latents = moved(
            &config(1e-10).encoder(&*sde).expect("valid"),
            &*sde,
            &MixtureScore::new(data.clone(), sde.clone()),
            &points,
        );
        let exact = Gaussian::new(data.component_mean(0), data.component_cov(0)).expect("valid");
        let (from, to) = (
            sde.marginal(sde.domain().likelihood_eps),
            sde.marginal(sde.domain().t_end),
        );
        for (x, z) in points.rows().into_iter().zip(latents.rows()) {
            let mut known = [0.0; 3];
            exact.flow(from, to, &x.to_vec(), &mut known);
            let worst = largest(z.iter().zip(&known).map(|(a, b)| (a - b) / sde.prior_std()));
            assert!(worst < 1e-8, "{name}: {worst:e}");
        }
    }
}

/// Observers see times that run up, and can stop the run.
#[test]
fn encoding_is_observed_upwards() {
    #[derive(Default)]
    struct Times(Vec<f64>, bool);
    impl Observer<HostBatch<f64>> for Times {
        fn start(&mut self, info: &StepInfo, _x: &HostBatch<f64>) {
            self.0.push(info.t);
        }
        fn step(&mut self, info: &StepInfo, _x: &HostBatch<f64>) -> std::ops::ControlFlow<()> {
            self.0.push(info.t);
            if self.0.len() > 6 {
                return std::ops::ControlFlow::Break(());
            }
            std::ops::ControlFlow::Continue(())
        }
        fn end(&mut self, stats: &SolveStats, _x: &HostBatch<f64>) {
            self.1 = stats.stop == solvers::StopReason::Stopped;
        }
    }
    let (_, sde) = &sdes()[0];
    let model = MixtureScore::<f64>::new(mixture(), sde.clone());
    let up = config(1e-8).encoder(&**sde).expect("valid");
    let mut x = HostBatch::from_rows(points(&mixture(), &**sde, 3).view());
    let noise = solvers::HostNoise {
        seed: 0,
        first_row: 0,
    };
    let job = Job {
        sde: &**sde,
        score: &model,
        noise: &noise,
        first_row: 0,
    };
    let mut times = Times::default();
    up.run(&job, &mut x, &mut times).expect("regular");
    assert!(
        times.1 && times.0.len() == 7 && times.0[0] == 1e-5,
        "{:?}",
        times.0
    );
    assert!(times.0.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", times.0);
}

#[test]
fn ways_between_latents() {
    let a = array![
        [1.0, 0.0, 0.0],
        [2.0, 0.0, 0.0],
        [1.0, 2.0, 2.0],
        [0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [3.0, 4.0, 0.0]
    ];
    let b = array![
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 4.0],
        [2.0, 4.0, 4.0],
        [1.0, 1.0, 0.0],
        [-1.0, 0.0, 0.0],
        [3.0, 4.0, 1e-7]
    ];
    let (a, b) = (HostBatch::from_rows(a.view()), HostBatch::from_rows(b.view()));
    let mut out = a.zeros_like();
    for share in [0.0, 0.25, 0.5, 1.0] {
        lerp(&a, &b, share, &mut out);
        let straight = out.to_rows();
        for (row, way) in straight.rows().into_iter().enumerate() {
            for (d, value) in way.iter().enumerate() {
                let exact = (1.0 - share) * a.plane(d)[row] + share * b.plane(d)[row];
                assert!((value - exact).abs() < 1e-15);
            }
        }
        slerp(&a, &b, share, &mut out);
        let way = out.to_rows();
        // A quarter circle: on the unit circle, and on an ellipse for lengths 2 and 4.
        let (sin, cos) = (share * std::f64::consts::FRAC_PI_2).sin_cos();
        assert!(largest([way[[0, 0]] - cos, way[[0, 1]] - sin, way[[0, 2]]]) < 1e-15);
        assert!(largest([way[[1, 0]] - 2.0 * cos, way[[1, 1]], way[[1, 2]] - 4.0 * sin]) < 1e-14);
        // Parallel, zero, opposite, nearly parallel: the straight way.
        for row in 2..6 {
            assert!(
                largest((0..3).map(|d| way[[row, d]] - straight[[row, d]])) < 1e-14,
                "row {row}"
            );
        }
        // The ends are the two latents, and the way is even: half the way from a to the middle is a quarter of the way to b.
        if share == 0.0 || share == 1.0 {
            let end = if share == 0.0 { &a } else { &b };
            assert!(largest(way.iter().zip(&end.to_rows()).map(|(x, y)| x - y)) < 1e-15);
        }
    }
    let (mut half, mut quarter, mut straight) = (a.zeros_like(), a.zeros_like(), a.zeros_like());
    slerp(&a, &b, 0.5, &mut half);
    slerp(&a, &half, 0.5, &mut quarter);
    slerp(&a, &b, 0.25, &mut straight);
    for d in 0..3 {
        assert!((quarter.plane(d)[0] - straight.plane(d)[0]).abs() < 1e-15);
    }
}
