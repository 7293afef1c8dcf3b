//! The adaptive solver of the reverse SDE: its limits, its costs, and the path on which its steps lie.

use std::cell::Cell;

use solvers::noise::{BrownianTree, Increments, Split};
use solvers::{Coef, Draw, HostNoise, NoiseSource, Purpose, ScoreFn, SolveError, State};

use crate::common::{Batch, oracle, prior, rows, run, sampler, sde, sdes, seeded};
use crate::gaussian::GaussianScore;
use crate::stochastic::preset;

pub const ADAPTIVE: &str = "kind = \"adaptive-sde\"";

/// The limits of the adaptive method are typed errors that name the row; preset noise is refused.
#[test]
fn limits_of_the_adaptive_method() {
    let vp = sde("kind = \"vp\"");
    let noise = seeded(4);
    let error = |lines: &str, noise: &dyn NoiseSource<Batch>| {
        let sampler = sampler(&format!("{ADAPTIVE}\n{lines}"), &*vp);
        let mut x = prior(&*sampler, &*vp, &seeded(4), 3, 2);
        run(&*sampler, &*vp, &oracle(&vp), noise, &mut x).expect_err("out of the limits")
    };
    let limit = error("max_steps = 5", &noise);
    assert!(
        matches!(limit, SolveError::StepLimit { steps: 5, t, .. } if t > 1e-3 && t < 1.0),
        "{limit}"
    );
    let small = error("rtol = 1e-5\natol = 1e-5\nmin_step = 0.001", &noise);
    assert!(
        matches!(small, SolveError::StepTooSmall { step_size, .. } if step_size < 1e-3),
        "{small}"
    );
    let tight = error("rtol = 1e-14\natol = 1e-14", &noise);
    assert!(
        matches!(
            tight,
            SolveError::StepTooSmall { .. } | SolveError::StepLimit { .. }
        ),
        "{tight}"
    );
    let refused = error("", &preset(100)).to_string();
    assert!(refused.starts_with("noise = 100 preset draws: "), "{refused}");
}

/// A score that asserts the times at which it is evaluated.
struct Within<'a, F: ScoreFn<Batch>> {
    score: F,
    ends: (f64, f64),
    most: &'a Cell<u64>,
}

impl<F: ScoreFn<Batch>> ScoreFn<Batch> for Within<'_, F> {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        for row in 0..x.rows() {
            assert!(
                t.at(row) <= self.ends.0 && t.at(row) >= self.ends.1,
                "{}",
                t.at(row)
            );
        }
        self.most.set(self.most.get() + 1);
        self.score.score(x, t, out)
    }
}

/// The adaptive method never evaluates outside its ends, for every SDE, and counts its evaluations.
#[test]
fn evaluations_of_the_adaptive_method() {
    let mut counts = Vec::new();
    for (name, sde) in sdes() {
        for (tolerance, eta) in [(0.05, 1.0), (0.01, 1.0), (0.01, 0.0)] {
            let table = format!("{ADAPTIVE}\nrtol = {tolerance}\natol = {tolerance}\neta = {eta:?}");
            let sampler = sampler(&table, &*sde);
            let noise = seeded(6);
            let most = Cell::new(0);
            let score = Within {
                score: oracle(&sde),
                ends: (sde.domain().t_end, sde.domain().sample_eps),
                most: &most,
            };
            let mut x = prior(&*sampler, &*sde, &noise, 16, 2);
            let stats = run(&*sampler, &*sde, &score, &noise, &mut x).expect("the problem is regular");
            assert_eq!(stats.nfe, most.get(), "{name} {table}");
            assert_eq!(stats.row_evaluations % 2, 0);
            counts.push((stats.nfe, stats.steps, stats.rejected));
        }
    }
    println!("adaptive-sde on 16 rows: (evaluations, steps, rejected) {counts:?}");
    assert_eq!(counts, PINNED);
}

const PINNED: [(u64, u64, u64); 12] = [
    (115, 48, 125),
    (315, 129, 372),
    (71, 28, 63),
    (117, 48, 115),
    (327, 133, 376),
    (73, 29, 77),
    (263, 110, 251),
    (881, 361, 910),
    (111, 49, 30),
    (249, 101, 298),
    (813, 338, 937),
    (105, 40, 157),
];

/// The path of a [`BrownianTree`] as the noise of a method with the steps of `times`.
struct Path {
    tree: BrownianTree,
    times: Vec<f64>,
    noise: HostNoise,
}

impl NoiseSource<Batch> for Path {
    fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
        assert_eq!(draw.purpose, Purpose::Predictor);
        let (from, to) = (self.times[draw.step as usize], self.times[draw.step as usize + 1]);
        let count = out.rows();
        self.tree
            .increment(&self.noise, &vec![from; count], &vec![to; count], out)?;
        out.scale(Coef::All(1.0 / (from - to).sqrt()));
        Ok(())
    }
}

/// Euler-Maruyama has strong order 1 here, since the noise is additive: errors on one path against 2048 steps on the same path.
#[test]
fn euler_maruyama_has_strong_order_one() {
    for kind in ["vp", "ve"] {
        let sde = sde(&format!("kind = \"{kind}\""));
        let score = GaussianScore {
            sde: sde.clone(),
            mean: 0.7,
            var: 0.09,
        };
        let (start, end) = (1.0, 0.2);
        let noise = seeded(12);
        let ends = |steps: usize| -> Vec<f64> {
            let table = format!(
                "kind = \"pc\"\nsteps = {steps}\nfinal = \"none\"\nt_end = {end}\n[grid]\nkind = \"uniform\""
            );
            let sampler = sampler(&table, &*sde);
            let times = (0..=steps)
                .map(|i| start + (end - start) * i as f64 / steps as f64)
                .collect();
            let path = Path {
                tree: BrownianTree::new(start, end),
                times,
                noise,
            };
            let mut x = prior(&*sampler, &*sde, &noise, 100, 1);
            run(&*sampler, &*sde, &score, &path, &mut x).expect("the problem is regular");
            rows(&x).concat()
        };
        let reference = ends(2048);
        let errors = [32, 64, 128, 256].map(|steps| {
            let squares = ends(steps)
                .into_iter()
                .zip(&reference)
                .map(|(x, exact)| (x - exact).powi(2));
            (squares.sum::<f64>() / 100.0).sqrt()
        });
        // Against 2048 steps of the same order the error of N steps is 1 - N/2048 of itself.
        let own = |index: usize, steps: f64| errors[index] / (1.0 - steps / 2048.0);
        let order = (own(1, 64.0) / own(3, 256.0)).ln() / 4f64.ln();
        println!("{kind}: strong errors {errors:?}, order {order:.3}");
        assert!((order - 1.0).abs() < 0.15, "{kind}: {errors:?} {order}");
    }
}

/// Noise that a rejected step draws anew, as the published code does: the parts of a split forget the whole.
struct Redrawn(HostNoise);

impl NoiseSource<Batch> for Redrawn {
    fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
        self.0.normal(draw, out)
    }

    fn increments<'a>(
        &'a self,
        like: &Batch,
        slots: u8,
    ) -> Result<Box<dyn Increments<Batch> + 'a>, SolveError>
    where
        Batch: 'a,
    {
        Ok(Box::new(Anew(self.0.increments(like, slots)?)))
    }
}

struct Anew<'a>(Box<dyn Increments<Batch> + 'a>);

impl Increments<Batch> for Anew<'_> {
    fn split(&mut self, splits: &[Split]) -> Result<(), SolveError> {
        let anew = |split: &Split, part: u32, to: Option<u8>| Split {
            share: 0.0,
            scale: split.scale
                * if split.node == 0 {
                    1.0
                } else {
                    std::f64::consts::SQRT_2
                },
            node: split.node ^ (part << 31),
            first: to,
            second: None,
            ..*split
        };
        let parts = |split: &Split| [anew(split, 0, split.first), anew(split, 1, split.second)];
        self.0.split(&splits.iter().flat_map(parts).collect::<Vec<_>>())
    }

    fn add(&self, slots: &[u8], a: &[f64], out: &mut Batch) {
        self.0.add(slots, a, out);
    }
}

/// The adaptive method approaches the exact law at its end as the tolerance is tightened, though it rejects one attempt in five. With
/// noise drawn anew after a rejection it does not: the accepted increments are chosen ones, and the variance is off by a fifth.
#[test]
fn rejected_steps_stay_on_their_path() {
    let sde = sde("kind = \"vp\"");
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var: 0.09,
    };
    let count = 10_000;
    let (mean, std) = score.noised(1e-3);
    let noise = seeded(9);
    // Variance of the samples over the exact one.
    let ratio = |tolerance: &str, source: &dyn NoiseSource<Batch>| {
        let table = format!("{ADAPTIVE}\nrtol = {tolerance}\natol = {tolerance}\nfinal = \"none\"");
        let sampler = sampler(&table, &*sde);
        let mut x = prior(&*sampler, &*sde, &noise, count, 1);
        let stats = run(&*sampler, &*sde, &score, source, &mut x).expect("the problem is regular");
        let squares = rows(&x).concat().into_iter().map(|x| ((x - mean) / std).powi(2));
        let ratio = squares.sum::<f64>() / count as f64;
        println!("tolerance {tolerance}: variance ratio {ratio:.4}, {stats:?}");
        assert!(stats.rejected > 4 * count as u64);
        ratio
    };
    let error = (2.0 / count as f64).sqrt();
    let (coarse, fine) = (ratio("0.1", &noise), ratio("0.02", &noise));
    assert!((fine - 1.0).abs() < 0.02 + 4.5 * error && (fine - 1.0).abs() < 0.4 * (coarse - 1.0).abs());
    let anew = ratio("0.02", &Redrawn(noise));
    assert!((anew - 1.0).abs() > 0.02 + 10.0 * error, "{anew}");
}
