//! Wrappers that hold nothing for a row say so where what they wrap does, and adaptive methods then let rows leave.

use std::cell::Cell;

use solvers::guide::{
    Classifier, ClassifierFree, Clip, ClippedScore, Mask, Measurement, PosteriorSampling, Pseudoinverse,
};
use solvers::{Coef, MixtureScore, ScoreFn, ScoreVjp, SolveError, State};

use crate::common::{Batch, mixture, prior, rows, run, sampler, sde, seeded};

/// Says whether it takes any rows, and counts those it is given.
struct Says<'a> {
    score: &'a MixtureScore<f64>,
    any: bool,
    taken: Cell<usize>,
}

impl ScoreFn<Batch> for Says<'_> {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        self.taken.set(self.taken.get() + x.rows());
        self.score.score(x, t, out)
    }

    fn takes_any_rows(&self) -> bool {
        self.any
    }
}

impl ScoreVjp<Batch> for Says<'_> {
    fn score_vjp(
        &self,
        x: &Batch,
        t: Coef,
        v: &Batch,
        score: &mut Batch,
        vjp: &mut Batch,
    ) -> Result<(), SolveError> {
        self.score.score_vjp(x, t, v, score, vjp)
    }
}

#[test]
fn wrappers_pass_it_through_and_rows_leave_without_a_change_of_bits() {
    let sde = sde("kind = \"vp\"");
    let model = MixtureScore::new(mixture(), sde.clone());
    let says = |any| Says {
        score: &model,
        any,
        taken: Cell::new(0),
    };
    let (yes, no) = (says(true), says(false));
    let measured = || Measurement::new(Mask::new(&[true, false]).unwrap(), &[0.3], 0.5).unwrap();
    let clip = Clip::Static { min: -1.0, max: 1.0 };
    // Each wrapper around two scores of which the second, where it has one, says something else.
    let pairs = [(&yes, &yes), (&yes, &no), (&no, &yes)];
    for (first, second) in pairs {
        let both = first.any && second.any;
        let wrappers: [(Box<dyn ScoreFn<Batch> + '_>, bool); 5] = [
            (Box::new(ClippedScore::new(first, &*sde, clip)), first.any),
            (Box::new(ClassifierFree::new(first, second, 1.7).unwrap()), both),
            (Box::new(Classifier::new(first, second, 0.1).unwrap()), both),
            (
                Box::new(PosteriorSampling::new(first, &*sde, measured(), 0.5).unwrap()),
                first.any,
            ),
            (
                Box::new(Pseudoinverse::new(first, &*sde, measured(), 0.6).unwrap()),
                first.any,
            ),
        ];
        for (number, (wrapper, want)) in wrappers.iter().enumerate() {
            assert_eq!(wrapper.takes_any_rows(), *want, "wrapper {number}");
        }
    }

    let sampler = sampler("kind = \"ode\"\nrtol = 1e-4\natol = 1e-4", &*sde);
    let sampled = |score: &dyn ScoreFn<Batch>| {
        let noise = seeded(3);
        let mut x = prior(&*sampler, &*sde, &noise, 200, 2);
        run(&*sampler, &*sde, score, &noise, &mut x).unwrap();
        rows(&x)
    };
    for number in 0..5 {
        let of = |score: &Says| {
            score.taken.set(0);
            let samples = match number {
                0 => sampled(&ClippedScore::new(score, &*sde, clip)),
                1 => sampled(&ClassifierFree::new(score, score, 1.7).unwrap()),
                2 => sampled(&Classifier::new(score, score, 0.1).unwrap()),
                3 => sampled(&PosteriorSampling::new(score, &*sde, measured(), 0.5).unwrap()),
                _ => sampled(&Pseudoinverse::new(score, &*sde, measured(), 0.6).unwrap()),
            };
            (samples, score.taken.get())
        };
        let ((left, fewer), (stayed, all)) = (of(&yes), of(&no));
        assert_eq!(left, stayed, "wrapper {number}");
        assert!(
            fewer < all,
            "wrapper {number}: {fewer} rows evaluated, {all} where they stay"
        );
    }
}
