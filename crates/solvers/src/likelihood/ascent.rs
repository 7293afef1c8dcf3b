//! The way from data to prior, which every run here takes.

use std::ops::ControlFlow;

use sde_core::Sde;

use super::flow::{Upwards, in_time};
use crate::config::check_rounding;
use crate::config::refuse_in;
use crate::rk::Rhs;
use crate::rk::adaptive::{Limits, integrate_saving};
use crate::rk::tableau::DP5;
use crate::{SolveError, SolveStats, State, StepInfo, StopReason};

/// From `likelihood_eps` up to `t_end` by Dormand and Prince's pair, one step size a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ascent {
    pub from: f64,
    pub to: f64,
    limits: Limits,
    /// Times to show, negative: they descend, as the integrator runs.
    save_at: Vec<f64>,
}

impl Ascent {
    /// The way for an SDE; observers see the times `save_at`, or each round of attempts where there are none.
    ///
    /// # Errors
    /// [`SolveError::Config`] at `likelihood.save_at` for times that do not ascend or lie outside the way.
    pub fn new(sde: &dyn Sde, limits: Limits, save_at: &[f64]) -> Result<Self, SolveError> {
        let domain = sde.domain();
        let (from, to) = (domain.likelihood_eps, domain.t_end);
        for (index, t) in save_at.iter().enumerate() {
            let before = index.checked_sub(1).map_or(f64::NEG_INFINITY, |at| save_at[at]);
            if !(*t > before && (from..=to).contains(t)) {
                let reason = format!("times must ascend and lie in [{from}, {to}]");
                return Err(refuse_in("likelihood", "save_at", t, reason));
            }
        }
        Ok(Self {
            from,
            to,
            limits,
            save_at: save_at.iter().map(|t| -t).collect(),
        })
    }

    /// Where a run stands before its first step.
    pub fn start(&self, first_row: u64) -> StepInfo {
        StepInfo {
            step: 0,
            steps: None,
            t: self.from,
            nfe: 0,
            first_row,
        }
    }

    /// Takes `x` along `flow`; what `show` is told is in times that run up.
    ///
    /// # Errors
    /// A tolerance that the state does not resolve; those of the integrator and of the flow.
    pub fn run<S: State>(
        &self,
        flow: impl Rhs<S>,
        first_row: u64,
        x: &mut S,
        show: &mut dyn FnMut(&StepInfo, &S) -> ControlFlow<()>,
    ) -> Result<SolveStats, SolveError> {
        check_rounding::<S>("likelihood", self.limits.tolerance)?;
        let mut shown = self.from;
        let solved = integrate_saving(
            &DP5,
            &mut Upwards::new(flow),
            (-self.from, -self.to),
            self.limits,
            first_row,
            x,
            &self.save_at,
            &mut |info, x| {
                let t = info.t.abs();
                shown = t;
                show(&StepInfo { t, ..*info }, x)
            },
        )
        .map_err(in_time)?;
        Ok(SolveStats {
            nfe: solved.nfe,
            steps: solved.steps,
            rejected: solved.rejected,
            row_evaluations: solved.row_evaluations,
            stop: solved.stop,
            t: match solved.stop {
                StopReason::Finished => self.to,
                StopReason::Stopped => shown,
            },
        })
    }
}
