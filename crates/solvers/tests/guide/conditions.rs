//! Classifier-free and classifier guidance on a mixture whose components are the classes.

use sde_core::Mixture;
use solvers::guide::{Classifier, ClassifierFree};
use solvers::{Coef, FnScore, ScoreFn, ScoreVjp, SolveError, State};

use crate::common::{Batch, batch, mixture, sampler, sdes};
use crate::problems::{Counting, largest, largest_gap, sampled, score_of, visited};

/// The first component alone.
fn class() -> Mixture {
    let all = mixture();
    Mixture::new(
        &[1.0],
        &[all.component_mean(0).to_vec()],
        &[all.component_cov(0).to_vec()],
    )
    .unwrap()
}

#[test]
fn scale_one_is_the_conditional_and_zero_the_unconditional_to_the_bit() {
    for (name, sde) in sdes() {
        let conditional = Counting::new(score_of(class(), &sde));
        let unconditional = Counting::new(score_of(mixture(), &sde));
        for table in ["kind = \"pc\"\nsteps = 12", "kind = \"ode\"\nmethod = \"dp5\""] {
            let sampler = sampler(table, &*sde);
            for (scale, alone) in [(1.0, &conditional), (0.0, &unconditional)] {
                let guided = ClassifierFree::new(&conditional, &unconditional, scale).unwrap();
                let got = sampled(&*sampler, &*sde, &guided, 4, 7, 2);
                let calls = (conditional.taken().0, unconditional.taken().0);
                let want = sampled(&*sampler, &*sde, alone, 4, 7, 2);
                assert_eq!(got, want, "{name} {table}: scale {scale}");
                let alone = alone.taken().0;
                let want = if scale == 1.0 { (alone, 0) } else { (0, alone) };
                assert_eq!(calls, want, "{name} {table}: one evaluation at scale {scale}");
            }
        }
    }
}

#[test]
fn other_scales_extrapolate() {
    for (name, sde) in sdes() {
        let (conditional, unconditional) = (score_of(class(), &sde), score_of(mixture(), &sde));
        for (t, scale) in [(0.1, 2.5), (0.6, 7.0), (0.9, -0.5), (0.5, 0.5)] {
            let x = visited(&*sde, t, 5, 2);
            let (mut c, mut u, mut got) = (x.zeros_like(), x.zeros_like(), x.zeros_like());
            conditional.score(&x, Coef::All(t), &mut c).unwrap();
            unconditional.score(&x, Coef::All(t), &mut u).unwrap();
            let guided = ClassifierFree::new(&conditional, &unconditional, scale).unwrap();
            guided.score(&x, Coef::All(t), &mut got).unwrap();
            let want = batch(5, 2, |r, d| {
                u.plane(d)[r] + scale * (c.plane(d)[r] - u.plane(d)[r])
            });
            let size = largest(&c).max(largest(&u));
            assert!(
                largest_gap(&got, &want) < 1e-14 * size * (1.0 + scale.abs()),
                "{name} {t}"
            );
            // And so does the product with the Jacobian.
            let v = visited(&*sde, 0.3, 5, 2);
            let vjp = |score: &dyn ScoreVjp<Batch>| {
                let (mut s, mut j) = (x.zeros_like(), x.zeros_like());
                score.score_vjp(&x, Coef::All(t), &v, &mut s, &mut j).unwrap();
                (s, j)
            };
            let ((_, c), (_, u), (s, got)) = (vjp(&conditional), vjp(&unconditional), vjp(&guided));
            let j = batch(5, 2, |r, d| {
                u.plane(d)[r] + scale * (c.plane(d)[r] - u.plane(d)[r])
            });
            let size = largest(&c).max(largest(&u));
            assert!(
                largest_gap(&got, &j) < 1e-13 * size * (1.0 + scale.abs()),
                "{name} {t}"
            );
            assert!(
                largest_gap(&s, &want) < 1e-9 * (1.0 + largest(&want)),
                "{name} {t}"
            );
        }
    }
}

#[test]
fn an_interval_holds_in_noise_levels_and_saves_evaluations_outside() {
    for (name, sde) in sdes() {
        let (lowest, highest) = (0.3, 1.7);
        let conditional = Counting::new(score_of(class(), &sde));
        let unconditional = Counting::new(score_of(mixture(), &sde));
        let guided = |scale: f64| {
            let guided = ClassifierFree::new(&conditional, &unconditional, scale).unwrap();
            guided.within(&*sde, lowest, highest).unwrap()
        };
        let sigmas = [0.29, 0.3, 1.0, 1.7, 1.71];
        let times = sigmas.map(|sigma| sde.time_at_sigma(sigma));
        let x = visited(&*sde, times[2], 5, 2);
        let mut by_row = x.zeros_like();
        guided(3.0).score(&x, Coef::PerRow(&times), &mut by_row).unwrap();
        assert_eq!((conditional.taken().0, unconditional.taken().0), (1, 1));
        for (row, (t, inside)) in times
            .into_iter()
            .zip([false, true, true, true, false])
            .enumerate()
        {
            let score = |f: &dyn ScoreFn<Batch>, t: Coef| {
                let mut out = x.zeros_like();
                f.score(&x, t, &mut out).unwrap();
                [0, 1].map(|d| out.plane(d)[row])
            };
            let all = score(&guided(3.0), Coef::All(t));
            let calls = (conditional.taken().0, unconditional.taken().0);
            assert_eq!(calls, (1, u32::from(inside)), "{name} sigma {}", sigmas[row]);
            // One time a row takes another kernel of the mixture's score: equal up to rounding.
            let size = all[0].abs() + all[1].abs();
            for (d, all) in all.iter().enumerate() {
                assert!((all - by_row.plane(d)[row]).abs() < 1e-10 * size, "{name}");
            }
            let alone = score(&conditional, Coef::PerRow(&times));
            if !inside {
                assert_eq!(
                    alone,
                    [0, 1].map(|d| by_row.plane(d)[row]),
                    "{name}: untouched outside"
                );
            }
            guided(0.0).score(&x, Coef::All(t), &mut x.zeros_like()).unwrap();
            let calls = (conditional.taken().0, unconditional.taken().0);
            let want = if inside { (1, 1) } else { (2, 0) };
            assert_eq!(calls, want, "{name}: scale 0, with the call before");
        }
        // Nothing of the other score enters rows outside, and rows inside show it.
        let broken = FnScore(|x: &Batch, _: Coef, out: &mut Batch| {
            *out = batch(x.rows(), 2, |_, _| f64::NAN);
            Ok(())
        });
        let guided = ClassifierFree::new(&conditional, &broken, 3.0).unwrap();
        let mut out = x.zeros_like();
        guided
            .within(&*sde, lowest, highest)
            .unwrap()
            .score(&x, Coef::PerRow(&times), &mut out)
            .unwrap();
        let finite: Vec<bool> = (0..5).map(|row| out.plane(0)[row].is_finite()).collect();
        assert_eq!(finite, [true, false, false, false, true], "{name}");
    }
}

/// `p(class | x)` of a mixture in closed form: with its gradient the score is that of the class.
#[test]
fn the_exact_classifier_gives_the_score_of_the_class() {
    for (name, sde) in sdes() {
        let (class, all) = (score_of(class(), &sde), score_of(mixture(), &sde));
        let gradient = FnScore(|x: &Batch, t: Coef, out: &mut Batch| {
            let mut other = x.zeros_like();
            class.score(x, t, out)?;
            all.score(x, t, &mut other)?;
            out.axpy(Coef::All(-1.0), &other);
            Ok(())
        });
        for t in [0.05, 0.4, 0.95] {
            let x = visited(&*sde, t, 6, 2);
            let score = |f: &dyn ScoreFn<Batch>| {
                let mut out = x.zeros_like();
                f.score(&x, Coef::All(t), &mut out).unwrap();
                out
            };
            let (alone, free) = (score(&class), score(&all));
            let guided = |scale| score(&Classifier::new(&all, &gradient, scale).unwrap());
            let size = largest(&alone) + largest(&free);
            assert!(largest_gap(&guided(1.0), &alone) < 1e-14 * size, "{name} {t}");
            assert_eq!(guided(0.0), free, "{name} {t}");
            let cfg = score(&ClassifierFree::new(&class, &all, 4.0).unwrap());
            assert!(
                largest_gap(&guided(4.0), &cfg) < 1e-13 * size,
                "{name} {t}: scale 4"
            );
        }
    }
}

#[test]
fn mistakes_are_named() {
    let (_, sde) = &sdes()[0];
    let score = score_of(mixture(), sde);
    let bad = ClassifierFree::<Batch, _, _>::new(&score, &score, f64::NAN).unwrap_err();
    assert!(bad.to_string().contains("guide.guidance_scale = NaN"), "{bad}");
    for (low, high) in [
        (-1.0, 1.0),
        (1.0, 1.0),
        (2.0, 1.0),
        (f64::NAN, 1.0),
        (0.0, f64::NAN),
    ] {
        let guided = ClassifierFree::<Batch, _, _>::new(&score, &score, 2.0).unwrap();
        let bad = guided.within(&**sde, low, high).unwrap_err();
        assert!(bad.to_string().contains("guide.sigma_min"), "{bad}");
    }
    let bad = Classifier::<Batch, _, _>::new(&score, &score, f64::INFINITY).unwrap_err();
    assert!(bad.to_string().contains("guide.scale = inf"), "{bad}");
    let other_shape = FnScore(|_: &Batch, _: Coef, out: &mut Batch| {
        *out = Batch::zeros(1, 9);
        Ok(())
    });
    let x = visited(&**sde, 0.5, 3, 2);
    for error in [
        ClassifierFree::new(&score, &other_shape, 2.0).unwrap().score(
            &x,
            Coef::All(0.5),
            &mut x.zeros_like(),
        ),
        ClassifierFree::new(&other_shape, &score, 2.0).unwrap().score(
            &x,
            Coef::All(0.5),
            &mut x.zeros_like(),
        ),
        Classifier::new(&score, &other_shape, 2.0)
            .unwrap()
            .score(&x, Coef::All(0.5), &mut x.zeros_like()),
    ] {
        assert!(matches!(error, Err(SolveError::Shape { .. })), "{error:?}");
    }
}
