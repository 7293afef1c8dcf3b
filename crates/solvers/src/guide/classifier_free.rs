use sde_core::Sde;

use super::work::{Pool, refuse_value};
use crate::score::{evaluate, same_shape};
use crate::{Coef, ScoreFn, ScoreVjp, SolveError, State};

/// Classifier-free guidance: `s_u + guidance_scale (s_c - s_u)` of a conditional score `s_c` and an unconditional one `s_u`.
///
/// Scale 1 is the conditional score, bit for bit, and 0 the unconditional one; each costs one evaluation, all others two. (Codes that
/// call `guidance_scale - 1` the weight exist.) With an interval of noise levels the scale holds inside it and is 1 outside, where
/// one evaluation is saved. Above 1 the result is the score of no noised distribution: samples then depend on the method and on the
/// number of steps in the limit too.
///
/// Sources: Ho and Salimans 2022, arXiv:2207.12598, equation 6 (their `w` is `guidance_scale - 1`); interval: Kynkäänniemi et al.
/// 2024, arXiv:2404.07724, equation 5.
#[derive(Debug)]
pub struct ClassifierFree<S, C, U> {
    conditional: C,
    unconditional: U,
    guidance_scale: f64,
    /// Times between which the scale holds.
    times: (f64, f64),
    pool: Pool<S>,
    vjp_pool: Pool<S>,
}

impl<S: State, C, U> ClassifierFree<S, C, U> {
    /// Guidance at all noise levels.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.guidance_scale` where it is not finite.
    pub fn new(conditional: C, unconditional: U, guidance_scale: f64) -> Result<Self, SolveError> {
        if !guidance_scale.is_finite() {
            return Err(refuse_value(
                "guidance_scale",
                guidance_scale,
                "must be a finite number",
            ));
        }
        Ok(Self {
            conditional,
            unconditional,
            guidance_scale,
            times: (f64::NEG_INFINITY, f64::INFINITY),
            pool: Pool::new(1),
            vjp_pool: Pool::new(2),
        })
    }

    /// The same, between two noise levels `std/mean_coef` only, ends included. `sigma_min` may be 0 and `sigma_max` infinite.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `guide.sigma_min` where it is negative or not below `sigma_max`.
    pub fn within(self, sde: &dyn Sde, sigma_min: f64, sigma_max: f64) -> Result<Self, SolveError> {
        if !(sigma_min >= 0.0 && sigma_min < sigma_max) {
            let reason = format!("must not be negative and lie below sigma_max = {sigma_max}");
            return Err(refuse_value("sigma_min", sigma_min, reason));
        }
        let lowest = if sigma_min > 0.0 {
            sde.time_at_sigma(sigma_min)
        } else {
            f64::NEG_INFINITY
        };
        let highest = if sigma_max.is_finite() {
            sde.time_at_sigma(sigma_max)
        } else {
            f64::INFINITY
        };
        Ok(Self {
            times: (lowest, highest),
            ..self
        })
    }

    /// Which of the two scores are needed.
    fn plan(&self, t: Coef) -> Plan {
        if self.guidance_scale == 1.0 {
            return Plan::Conditional;
        }
        let inside = |t: f64| self.times.0 <= t && t <= self.times.1;
        let (some, all) = match t {
            Coef::All(t) => (inside(t), inside(t)),
            Coef::PerRow(times) => (times.iter().any(|t| inside(*t)), times.iter().all(|t| inside(*t))),
        };
        match (some, all) {
            (false, _) => Plan::Conditional,
            (true, true) if self.guidance_scale == 0.0 => Plan::Unconditional,
            (true, true) => Plan::Both,
            (true, false) => Plan::ByRow,
        }
    }

    /// `conditional <- unconditional + guidance_scale (conditional - unconditional)`, in the rows inside the interval.
    fn blend(&self, t: Coef, by_row: bool, conditional: &mut S, unconditional: &mut S, memory: Memory) {
        let scale = self.guidance_scale;
        if !by_row {
            conditional.scale(Coef::All(scale));
            conditional.axpy(Coef::All(1.0 - scale), unconditional);
            return;
        }
        let Memory { flags, numbers, rows } = memory;
        flags.clear();
        flags.extend(
            (0..conditional.rows()).map(|row| !(self.times.0 <= t.at(row) && t.at(row) <= self.times.1)),
        );
        numbers.clear();
        numbers.extend(flags.iter().map(|outside| if *outside { 1.0 } else { scale }));
        rows.clear();
        rows.extend(numbers.iter().map(|scale| 1.0 - scale));
        // Nothing of the unconditional score enters a row outside, not even a NaN.
        unconditional.select_rows(flags, conditional);
        conditional.scale(Coef::PerRow(numbers));
        conditional.axpy(Coef::PerRow(rows), unconditional);
    }
}

#[derive(PartialEq)]
enum Plan {
    Conditional,
    Unconditional,
    Both,
    ByRow,
}

struct Memory<'a> {
    flags: &'a mut Vec<bool>,
    numbers: &'a mut Vec<f64>,
    rows: &'a mut Vec<f64>,
}

impl<S: State, C: ScoreFn<S>, U: ScoreFn<S>> ScoreFn<S> for ClassifierFree<S, C, U> {
    fn score(&self, x: &S, t: Coef, out: &mut S) -> Result<(), SolveError> {
        let plan = self.plan(t);
        if plan == Plan::Unconditional {
            return evaluate(&self.unconditional, x, t, out);
        }
        evaluate(&self.conditional, x, t, out)?;
        if plan == Plan::Conditional {
            return Ok(());
        }
        self.pool.with(x, |work| {
            let other = &mut work.states[0];
            evaluate(&self.unconditional, x, t, other)?;
            let (flags, numbers, rows) = (&mut work.flags, &mut work.numbers, &mut work.rows);
            let memory = Memory { flags, numbers, rows };
            self.blend(t, plan == Plan::ByRow, out, other, memory);
            Ok(())
        })
    }

    fn takes_any_rows(&self) -> bool {
        self.conditional.takes_any_rows() && self.unconditional.takes_any_rows()
    }
}

impl<S: State, C: ScoreVjp<S>, U: ScoreVjp<S>> ScoreVjp<S> for ClassifierFree<S, C, U> {
    fn score_vjp(&self, x: &S, t: Coef, v: &S, score: &mut S, vjp: &mut S) -> Result<(), SolveError> {
        let plan = self.plan(t);
        if plan == Plan::Unconditional {
            return self.unconditional.score_vjp(x, t, v, score, vjp);
        }
        self.conditional.score_vjp(x, t, v, score, vjp)?;
        if plan == Plan::Conditional {
            return Ok(());
        }
        self.vjp_pool.with(x, |work| {
            let (first, second) = work.states.split_at_mut(1);
            let (other, other_vjp) = (&mut first[0], &mut second[0]);
            self.unconditional.score_vjp(x, t, v, other, other_vjp)?;
            for (own, other) in [(score, other), (vjp, other_vjp)] {
                same_shape(x, own, "output of the score function")?;
                same_shape(x, other, "output of the score function")?;
                let (flags, numbers, rows) = (&mut work.flags, &mut work.numbers, &mut work.rows);
                let memory = Memory { flags, numbers, rows };
                self.blend(t, plan == Plan::ByRow, own, other, memory);
            }
            Ok(())
        })
    }
}
