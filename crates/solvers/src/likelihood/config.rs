//! Settings of a likelihood.

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use super::ascent::Ascent;
use super::{Divergence, Encode, Likelihood, ProbeLaw};
use crate::config::{OdeConfig, limits_within, refuse_in};
use crate::rk::adaptive::Limits;
use crate::sampler::Final;
use crate::{Sampler, SolveError, State, Tolerance};

/// Probes that are kept in memory at a time.
const MOST_PROBES: u32 = 65_536;

/// The `[likelihood]` table. The times are the SDE's own, `likelihood_eps` and `t_end`.
///
/// ```toml
/// [likelihood]
/// probes = 16            # exact divergence where absent
/// probe_law = "gaussian" # "rademacher" where absent
/// rtol = 1e-5
/// atol = 1e-5
/// save_at = [0.1, 0.5] # what observers see; every round of attempts where absent
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LikelihoodConfig {
    /// Probes a row; the exact divergence where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
    /// Law of the probes; `rademacher`.
    pub probe_law: ProbeLaw,
    /// Relative tolerance; 1e-5.
    pub rtol: f64,
    /// Absolute tolerance, data units for the state and nats for the log density; 1e-5.
    pub atol: f64,
    /// Most attempted steps of a row; 10000.
    pub max_steps: u64,
    /// Smallest step in `t`; 0 (what the time axis resolves is always the limit).
    pub min_step: f64,
    /// Times, ascending, at which observers see the state, all rows at the same time. Where there are none they see every round of
    /// attempts, each row at its own time. The numbers that come out do not depend on it. The final state
    /// is shown in any case but without a time: a trajectory that shall know it ends the list with `t_end`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub save_at: Vec<f64>,
}

impl Default for LikelihoodConfig {
    fn default() -> Self {
        Self {
            probes: None,
            probe_law: ProbeLaw::default(),
            rtol: 1e-5,
            atol: 1e-5,
            max_steps: 10_000,
            min_step: 0.0,
            save_at: Vec::new(),
        }
    }
}

impl LikelihoodConfig {
    /// The checked method.
    ///
    /// # Errors
    /// [`SolveError::Config`] naming the dotted key.
    pub fn build(&self, sde: &dyn Sde) -> Result<Likelihood, SolveError> {
        let divergence = match self.probes {
            None => Divergence::Exact,
            Some(count) if (1..=MOST_PROBES).contains(&count) => Divergence::Probes {
                count,
                law: self.probe_law,
            },
            Some(count) => {
                let reason =
                    format!("must lie between 1 and {MOST_PROBES}; leave it out for the exact divergence");
                return Err(refuse_in("likelihood", "probes", count, reason));
            }
        };
        Ok(Likelihood {
            divergence,
            ascent: self.ascent(sde)?,
        })
    }

    /// The flow from data to prior, `likelihood_eps` to `t_end`, with these tolerances.
    ///
    /// # Errors
    /// As [`LikelihoodConfig::build`].
    pub fn encoder(&self, sde: &dyn Sde) -> Result<Encode, SolveError> {
        self.ascent(sde).map(Encode)
    }

    /// The flow from prior to data, `t_end` to `likelihood_eps`: the inverse of [`LikelihoodConfig::encoder`] within tolerance. It
    /// is the sampler `kind = "ode"`, `method = "dp5"`, `final = "none"`. Observers see the times `save_at` from the last to the first.
    ///
    /// # Errors
    /// As [`LikelihoodConfig::build`].
    pub fn decoder<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        self.ascent(sde)?;
        let limits = self.limits(sde)?;
        let save_at: Vec<f64> = self.save_at.iter().rev().copied().collect();
        let table = OdeConfig {
            t_end: Some(sde.domain().likelihood_eps),
            final_step: Some(Final::None),
            rtol: Some(limits.tolerance.rtol),
            atol: Some(limits.tolerance.atol),
            max_steps: Some(limits.max_steps),
            min_step: Some(limits.min_step),
            save_at: (!save_at.is_empty()).then_some(save_at),
            ..OdeConfig::default()
        };
        crate::config::SamplerConfig::Ode(table).build(sde)
    }

    fn ascent(&self, sde: &dyn Sde) -> Result<Ascent, SolveError> {
        Ascent::new(sde, self.limits(sde)?, &self.save_at)
    }

    fn limits(&self, sde: &dyn Sde) -> Result<Limits, SolveError> {
        let domain = sde.domain();
        let limits = Limits {
            tolerance: Tolerance {
                atol: self.atol,
                rtol: self.rtol,
            },
            max_steps: self.max_steps,
            min_step: self.min_step,
        };
        let span = domain.t_end - domain.likelihood_eps;
        limits_within("likelihood", limits, ("time to cover", span))
    }
}
