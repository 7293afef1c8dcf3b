//! The latent space of the flow: data and prior points correspond one to one, so points can be taken there, moved, and taken back.

use super::ascent::Ascent;
use crate::flow::Flow;
use crate::rk::tableau::DP5;
use crate::sampler::CountedScore;
use crate::{Coef, Job, MethodInfo, Observer, Sampler, SolveError, SolveStats, State};

/// The probability flow from data up to the prior (Song et al. 2021, arXiv:2011.13456, appendix D.3), by Dormand and Prince's pair
/// with one step size a row. Give it the data as the state at the start; times run up, in errors and for observers as well. Made by
/// [`super::LikelihoodConfig::encoder`]; the way back is [`super::LikelihoodConfig::decoder`].
///
/// Observers see a round of attempts as a step, the rows at times of their own (the smallest is told), or, with `save_at`, all rows at
/// the times given there. Where one stops the run, the state is the one shown and [`SolveStats::stop`] says so, as for every sampler.
#[derive(Debug, Clone, PartialEq)]
pub struct Encode(pub(super) Ascent);

impl<S: State> Sampler<S> for Encode {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "encode",
            order: f64::from(DP5.order),
            evaluations: DP5.stages() as u32 - 1,
            stochastic: false,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.0.from
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let score = CountedScore::new(job.score);
        observer.start(&self.0.start(job.first_row), x);
        let flow = Flow::new(job.sde, &score);
        let stats = self
            .0
            .run(flow, job.first_row, x, &mut |info, x| observer.step(info, x))?;
        observer.end(&stats, x);
        Ok(stats)
    }
}

/// `out <- (1 - share) a + share b`, row by row.
pub fn lerp<S: State>(a: &S, b: &S, share: f64, out: &mut S) {
    out.lincomb(&[(Coef::All(1.0 - share), a), (Coef::All(share), b)]);
}

/// `out[row] <- (sin((1 - share) w) a + sin(share w) b)/sin w`, `w` the angle between the two rows (Shoemake 1985): the way along
/// the sphere, on which nearly all of a Gaussian's mass lies in high dimension. Rows of different lengths pass through the lengths
/// between.
///
/// Falls back to [`lerp`] for rows that are parallel, opposite (where no way is the shortest) or zero: where the sine of the angle
/// is below 1e-5. For parallel rows that is the limit.
pub fn slerp<S: State>(a: &S, b: &S, share: f64, out: &mut S) {
    let rows = a.rows();
    let [mut aa, mut bb, mut ab] = [(); 3].map(|()| vec![0.0; rows]);
    a.dot_rows(a, &mut aa);
    b.dot_rows(b, &mut bb);
    a.dot_rows(b, &mut ab);
    for ((aa, bb), ab) in aa.iter_mut().zip(&mut bb).zip(&ab) {
        let cos = (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0);
        let sin = ((1.0 - cos) * (1.0 + cos)).sqrt();
        (*aa, *bb) = if sin > 1e-5 {
            let angle = sin.atan2(cos);
            (((1.0 - share) * angle).sin() / sin, (share * angle).sin() / sin)
        } else {
            // NaN, from a row of zeros, comes here too.
            (1.0 - share, share)
        };
    }
    out.lincomb(&[(Coef::PerRow(&aa), a), (Coef::PerRow(&bb), b)]);
}
