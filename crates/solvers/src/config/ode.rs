//! `kind = "ode"`.

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use super::check::{StepKeys, adaptive_ends, check_end, refuse, usual_ode_grid};
use super::tables::{Common, table};
use crate::rk::tableau::{BOSH3, DP5, EULER, HEUN, MIDPOINT, RK4, TSIT5, Tableau};
use crate::sampler::{AdaptiveOde, Final, FixedOde};
use crate::{Sampler, SolveError, State, Tolerance};

/// Runge-Kutta method of `kind = "ode"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OdeMethod {
    /// Order 1, one evaluation a step.
    Euler,
    /// Order 2, two evaluations a step.
    Heun,
    /// Order 2, two evaluations a step.
    Midpoint,
    /// Order 4, four evaluations a step.
    Rk4,
    /// Bogacki-Shampine 3(2): order 3, three evaluations a step, adaptive or with given steps.
    Bosh3,
    /// Dormand-Prince 5(4): order 5, six evaluations a step, adaptive or with given steps.
    #[default]
    Dp5,
    /// Tsitouras 5(4): order 5, six evaluations a step, adaptive or with given steps.
    Tsit5,
}

impl OdeMethod {
    fn tableau(self) -> &'static Tableau {
        match self {
            Self::Euler => &EULER,
            Self::Heun => &HEUN,
            Self::Midpoint => &MIDPOINT,
            Self::Rk4 => &RK4,
            Self::Bosh3 => &BOSH3,
            Self::Dp5 => &DP5,
            Self::Tsit5 => &TSIT5,
        }
    }
}

table! {
    /// Table of `kind = "ode"`. `euler`, `heun`, `midpoint` and `rk4` have fixed steps, 100 by default. `bosh3`, `dp5` and `tsit5`
    /// choose their steps by `rtol` and `atol`, unless `steps` or `grid` gives them; then they are methods of order 3, 5 and 5 with
    /// fixed steps. `rtol`, `atol`, `max_steps`, `min_step` and `save_at` belong to adaptive steps.
    OdeConfig {
        /// The method; `dp5`.
        method: OdeMethod = OdeMethod::default(),
        /// Relative tolerance; 1e-5.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtol: Option<f64> = None,
        /// Absolute tolerance, data units; 1e-5.
        #[serde(skip_serializing_if = "Option::is_none")]
        atol: Option<f64> = None,
        /// Most attempted steps of a row; 10000.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_steps: Option<u64> = None,
        /// Smallest step in `t`; 0 (what the time axis resolves is always the limit).
        #[serde(skip_serializing_if = "Option::is_none")]
        min_step: Option<f64> = None,
        /// Times, descending, at which observers see the state, all rows at the same time; by default they see every round of
        /// attempts, each row at its own time.
        #[serde(skip_serializing_if = "Option::is_none")]
        save_at: Option<Vec<f64>> = None,
    }
}

impl OdeConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let final_step = common.ending();
        let tableau = self.method.tableau();
        let given = common.steps.is_some() || common.grid.is_some();
        if tableau.error.is_some() && !given {
            return self.adaptive(tableau, sde, &common, final_step);
        }
        let reason = if tableau.error.is_some() {
            format!(
                "{} has fixed steps where steps or grid gives them; remove those or this key",
                tableau.name
            )
        } else {
            format!(
                "{} has fixed steps; bosh3, dp5 and tsit5 are adaptive",
                tableau.name
            )
        };
        self.step_keys().refuse_all(&reason)?;
        if let Some(times) = &self.save_at {
            return Err(refuse("save_at", format!("{times:?}"), reason));
        }
        let grid = common.true_grid("ode", sde, usual_ode_grid(sde, common.ends(sde)), 100)?;
        if tableau.evaluations() > 1 {
            check_end(sde, grid.end())?;
        }
        Ok(Box::new(FixedOde {
            tableau,
            grid,
            final_step,
        }))
    }

    fn step_keys(&self) -> StepKeys {
        StepKeys {
            rtol: self.rtol,
            atol: self.atol,
            max_steps: self.max_steps,
            min_step: self.min_step,
        }
    }

    fn adaptive<S: State>(
        &self,
        tableau: &'static Tableau,
        sde: &dyn Sde,
        common: &Common,
        final_step: Final,
    ) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let (t_start, t_end) = adaptive_ends(common, sde)?;
        let usual = Tolerance {
            atol: 1e-5,
            rtol: 1e-5,
        };
        let limits = self
            .step_keys()
            .limits::<S>(usual, ("time to cover", t_start - t_end))?;
        let save_at = self.save_at.clone().unwrap_or_default();
        for (index, t) in save_at.iter().enumerate() {
            let before = index.checked_sub(1).map_or(f64::INFINITY, |index| save_at[index]);
            if !(*t < before && (t_end..=t_start).contains(t)) {
                let reason = format!("times must descend and lie in [{t_end}, {t_start}]");
                return Err(refuse("save_at", t, reason));
            }
        }
        Ok(Box::new(AdaptiveOde {
            tableau,
            t_start,
            t_end,
            limits,
            save_at,
            final_step,
        }))
    }
}
