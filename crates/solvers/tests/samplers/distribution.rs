//! Samples against the exact marginals: means, second moments and characteristic functions of a mixture, with bounds from the
//! sample size; and the stationary law of the correctors.

use sde_core::{Marginal, NoisedMixture};
use solvers::correct::{AnnealedLangevin, BatchLangevin, Corrector, Langevin, sigma_rule, step_ratio};
use solvers::sampler::{CountedScore, Scratch, StepCtx};
use solvers::{Draw, NoiseSource, Purpose, SolveError, State};

use crate::common::{Batch, batch, job, mixture, oracle, rows, samples, sde, seeded};
use crate::gaussian::GaussianScore;

const ROWS: usize = 2000;

/// Exact expectation of `cos(w x)` or `sin(w x)` under the noised mixture.
fn characteristic(noised: &Marginal, w: [f64; 2]) -> (f64, f64) {
    let data = mixture();
    let (mut real, mut imaginary) = (0.0, 0.0);
    for k in 0..data.components() {
        let (mean, cov) = (data.component_mean(k), data.component_cov(k));
        let phase = noised.mean_coef * (w[0] * mean[0] + w[1] * mean[1]);
        let quadratic = w[0] * (cov[0] * w[0] + cov[1] * w[1]) + w[1] * (cov[2] * w[0] + cov[3] * w[1]);
        let spread = noised.mean_coef * noised.mean_coef * quadratic
            + noised.std * noised.std * (w[0] * w[0] + w[1] * w[1]);
        let size = data.weight(k) * (-0.5 * spread).exp();
        real += size * phase.cos();
        imaginary += size * phase.sin();
    }
    (real, imaginary)
}

/// Mean of a function of the rows against its exact value: within 4.5 standard errors and the bias allowed.
fn check(what: &str, values: &[f64], exact: f64, bias: f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let bound = 4.5 * (variance / n).sqrt() + bias;
    assert!(
        (mean - exact).abs() < bound,
        "{what}: {mean} for {exact}, bound {bound}"
    );
}

pub fn check_against(name: &str, x: &Batch, marginal: Marginal, bias: f64) {
    let x = rows(x);
    for (w0, w1) in [(0.7, 0.0), (0.0, 0.9), (1.5, 1.0), (-1.2, 2.0), (3.0, 0.5)] {
        let (real, imaginary) = characteristic(&marginal, [w0, w1]);
        let phases: Vec<f64> = x.iter().map(|row| w0 * row[0] + w1 * row[1]).collect();
        let cosines: Vec<f64> = phases.iter().map(|p| p.cos()).collect();
        let sines: Vec<f64> = phases.iter().map(|p| p.sin()).collect();
        check(&format!("{name}: cos({w0} x + {w1} y)"), &cosines, real, bias);
        check(&format!("{name}: sin({w0} x + {w1} y)"), &sines, imaginary, bias);
    }
    let data = mixture();
    let (mean, cov) = (data.mean(), data.cov());
    for i in 0..2 {
        let values: Vec<f64> = x.iter().map(|row| row[i]).collect();
        check(
            &format!("{name}: mean {i}"),
            &values,
            marginal.mean_coef * mean[i],
            bias,
        );
        for j in 0..=i {
            let exact = marginal.mean_coef.powi(2) * (cov[2 * i + j] + mean[i] * mean[j])
                + if i == j { marginal.std.powi(2) } else { 0.0 };
            let values: Vec<f64> = x.iter().map(|row| row[i] * row[j]).collect();
            check(&format!("{name}: moment {i}{j}"), &values, exact, bias);
        }
    }
}

/// Without the final act the samples are those of `p_t` at the end time.
#[test]
fn samplers_reach_the_marginal_of_the_end_time() {
    // The bias allowed is that of the discretisation, in units of the data (spread 1).
    let cases = [
        ("vp", "kind = \"pc\"\nsteps = 300", 0.012),
        ("subvp", "kind = \"pc\"\nsteps = 300", 0.015),
        (
            "ve",
            "kind = \"pc\"\nsteps = 300\npredictor = \"reverse-diffusion\"",
            0.03,
        ),
        (
            "vp",
            "kind = \"pc\"\nsteps = 150\npredictor = \"ancestral\"\ncorrector = \"langevin\"",
            0.02,
        ),
        (
            "ve",
            "kind = \"pc\"\nsteps = 150\ncorrector = \"ald\"\nsnr = 0.1",
            0.02,
        ),
        (
            "edm",
            "kind = \"pc\"\nsteps = 150\npredictor = \"ancestral\"",
            0.03,
        ),
        ("vp", "kind = \"ode\"\nmethod = \"rk4\"\nsteps = 40", 0.01),
        ("edm", "kind = \"ode\"\nmethod = \"heun\"\nsteps = 60", 0.01),
        (
            "subvp",
            "kind = \"ode\"\nmethod = \"dp5\"\nrtol = 1e-4\natol = 1e-4",
            0.01,
        ),
        ("edm", "kind = \"heun\"\nsteps = 40", 0.01),
        ("vp", "kind = \"heun\"\nsteps = 40", 0.01),
        ("ve", "kind = \"heun\"\nsteps = 80\ns_churn = 30.0", 0.015),
    ];
    for (index, (kind, table, bias)) in cases.into_iter().enumerate() {
        let sde = sde(&format!("kind = \"{kind}\""));
        let table = format!("{table}\nfinal = \"none\"");
        let (x, _) = samples(&table, &*sde, &oracle(&sde), 11 + index as u64, ROWS, 2);
        check_against(
            &format!("{kind} {table}"),
            &x,
            sde.marginal(sde.domain().sample_eps),
            bias,
        );
    }
}

/// Annealed Langevin dynamics alone finds the modes and their weights, given enough levels.
#[test]
fn annealed_langevin_samples_the_mixture() {
    let sde = sde("kind = \"ve\"");
    let table = "kind = \"langevin\"\nsteps = 120\ncorrector_steps = 4\nsnr = 0.2\nfinal = \"none\"\n\
                 [grid]\nkind = \"log-snr\"";
    let (x, _) = samples(table, &*sde, &oracle(&sde), 5, 1500, 2);
    check_against("langevin", &x, sde.marginal(sde.domain().sample_eps), 0.05);
}

/// The Tweedie mean is that of the oracle: the run with the final act equals the run without it, and then the exact posterior
/// mean.
#[test]
fn tweedie_is_the_posterior_mean() {
    for kind in ["vp", "subvp", "ve", "edm"] {
        let sde = sde(&format!("kind = \"{kind}\""));
        let table = "kind = \"ode\"\nmethod = \"midpoint\"\nsteps = 30\nt_end = 0.05\nfinal = ";
        let (raw, _) = samples(&format!("{table}\"none\""), &*sde, &oracle(&sde), 3, 50, 2);
        let (done, _) = samples(&format!("{table}\"tweedie\""), &*sde, &oracle(&sde), 3, 50, 2);
        let noised: NoisedMixture = mixture().noised(sde.marginal(0.05));
        for (raw, done) in rows(&raw).iter().zip(rows(&done)) {
            let mut mean = [0.0; 2];
            noised.posterior_mean(raw, &mut mean);
            let error = (mean[0] - done[0]).abs().max((mean[1] - done[1]).abs());
            assert!(error < 1e-9, "{kind}: {mean:?} {done:?}");
        }
    }
}

/// Unit normals in row 2, none elsewhere.
struct UnitInRowTwo;

impl NoiseSource<Batch> for UnitInRowTwo {
    fn normal(&self, _draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
        out.plane_mut(0).copy_from_slice(&[0.0, 0.0, 1.0]);
        Ok(())
    }
}

/// On `N(0, s^2)` a Langevin step is `x' = rho x + c z` with the stationary variance `c^2/(1 - rho^2)`, which must be
/// `s^2/(1 - snr^2 ratio)`; `rho` and `c` are read from the corrector itself.
#[test]
fn langevin_has_the_known_stationary_variance() {
    for kind in ["vp", "subvp", "ve", "edm"] {
        let sde = sde(&format!("kind = \"{kind}\""));
        let score = GaussianScore {
            sde: sde.clone(),
            mean: 0.0,
            var: 0.0,
        };
        let job = job(&*sde, &score, &UnitInRowTwo);
        let counted = CountedScore::new(&score);
        for (snr, ratio) in [(0.16, 1.0), (0.01, 1.0), (0.16, 0.97), (0.7, 0.5)] {
            let correctors: [Box<dyn Corrector<Batch>>; 2] =
                [Box::new(Langevin { snr }), Box::new(AnnealedLangevin { snr })];
            for corrector in correctors {
                let t = 0.37;
                let mut x = batch(3, 1, |row, _| f64::from(u8::from(row == 1)));
                let mut w = Scratch::new(&x);
                let ctx = StepCtx::new(&job, &counted, 0);
                let draw = Draw {
                    step: 0,
                    purpose: Purpose::Corrector,
                };
                corrector
                    .step(&ctx, t, ratio, draw, &mut x, &mut w)
                    .expect("the problem is regular");
                let image = rows(&x);
                let (rho, c) = (image[1][0] - image[0][0], image[2][0] - image[0][0]);
                let law = sde.marginal(t).std.powi(2) / (1.0 - snr * snr * ratio);
                let stationary = c * c / (1.0 - rho * rho);
                assert!(
                    (stationary / law - 1.0).abs() < 1e-9,
                    "{kind} {snr} {ratio}: {stationary} {law}"
                );
            }
        }
    }
}

/// The published rule, means over the batch, agrees with the sigma rule where the rows are many and wide.
#[test]
fn batch_rule_is_the_sigma_rule_in_expectation() {
    let sde = sde("kind = \"ve\"");
    let t = 0.6;
    let std = sde.marginal(t).std;
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.0,
        var: 0.0,
    };
    let noise = seeded(4);
    let job = job(&*sde, &score, &noise);
    let counted = CountedScore::new(&score);
    let ctx = StepCtx::new(&job, &counted, 0);
    let mut start = Batch::zeros(64, 256);
    noise
        .normal(
            Draw {
                step: 0,
                purpose: Purpose::Prior,
            },
            &mut start,
        )
        .expect("addressed noise never runs out");
    start.scale(solvers::Coef::All(std));
    let draw = Draw {
        step: 1,
        purpose: Purpose::Corrector,
    };
    let after = |corrector: &dyn Corrector<Batch>| {
        let mut x = start.clone();
        corrector
            .step(&ctx, t, 1.0, draw, &mut x, &mut Scratch::new(&start))
            .expect("the problem is regular");
        x
    };
    let (ours, published) = (
        after(&Langevin { snr: 0.16 }),
        after(&BatchLangevin { snr: 0.16 }),
    );
    // Norms over 64 x 256 numbers are within 1 percent of their means; so is the step, and the states within 1 percent of the move.
    let moved = sigma_rule(&*sde, t, 0.16, 1.0).sqrt();
    let mut worst = 0.0_f64;
    for (a, b) in rows(&ours)
        .iter()
        .flatten()
        .zip(rows(&published).iter().flatten())
    {
        worst = worst.max((a - b).abs());
    }
    assert!(worst > 0.0 && worst < 0.1 * moved, "{worst} of {moved}");
}

/// Many corrector steps at one time lead to the marginal of that time from anywhere.
#[test]
fn correctors_converge_to_the_marginal_of_their_time() {
    let sde = sde("kind = \"vp\"");
    let t = 0.35;
    let score = oracle(&sde);
    let noise = seeded(8);
    let job = job(&*sde, &score, &noise);
    let counted = CountedScore::new(&score);
    let ctx = StepCtx::new(&job, &counted, 0);
    let mut x = batch(
        ROWS,
        2,
        |row, d| if d == 0 { 4.0 } else { -3.0 + (row % 7) as f64 },
    );
    let mut w = Scratch::new(&x);
    for step in 0..150 {
        let draw = Draw {
            step,
            purpose: Purpose::Corrector,
        };
        Langevin { snr: 0.2 }
            .step(&ctx, t, 1.0, draw, &mut x, &mut w)
            .expect("the problem is regular");
    }
    // The stationary bias of the step: 2 percent of the noise's variance.
    check_against("corrector", &x, sde.marginal(t), 0.025);
}

/// The factor of the step follows the steps that the grid makes.
#[test]
fn step_ratio_is_one_without_drift_and_the_chain_s_with_it() {
    let span = sde_core::Span {
        from: 0.5,
        to: 0.499,
        gap: 0.001,
    };
    for kind in ["ve", "edm"] {
        assert_eq!(step_ratio(&*sde(&format!("kind = \"{kind}\"")), span), 1.0);
    }
    let vp = sde("kind = \"vp\"");
    let beta = vp.diffusion_sq(0.4995) * 0.001;
    assert!((step_ratio(&*vp, span) - (-beta).exp()).abs() < 1e-12);
}
