//! `kind = "ode"`.

use sde_core::Sde;
use sde_core::grid::GridConfig;
use serde::{Deserialize, Serialize};

use super::check::{SMALLEST_TOLERANCE, check_end, refuse, usual_ode_grid};
use super::tables::{Common, table};
use crate::rk::adaptive::Limits;
use crate::rk::tableau::{DP5, EULER, HEUN, MIDPOINT, RK4, Tableau};
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
    /// Order 5, six evaluations a step, adaptive.
    #[default]
    Dp5,
}

table! {
    /// Table of `kind = "ode"`: 100 steps by default. `steps` and `grid` belong to the fixed methods; `rtol`, `atol`, `max_steps` and
    /// `min_step` to `dp5`.
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
    }
}

impl OdeConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let final_step = common.ending();
        let tableau: &'static Tableau = match self.method {
            OdeMethod::Euler => &EULER,
            OdeMethod::Heun => &HEUN,
            OdeMethod::Midpoint => &MIDPOINT,
            OdeMethod::Rk4 => &RK4,
            OdeMethod::Dp5 => return self.adaptive(sde, &common, final_step),
        };
        let foreign = [
            ("rtol", self.rtol.map(|v| v.to_string())),
            ("atol", self.atol.map(|v| v.to_string())),
            ("max_steps", self.max_steps.map(|v| v.to_string())),
            ("min_step", self.min_step.map(|v| v.to_string())),
        ];
        if let Some((key, value)) = foreign.into_iter().find_map(|(key, value)| Some((key, value?))) {
            let reason = format!("{} has fixed steps; only dp5 is adaptive", tableau.name);
            return Err(refuse(key, value, reason));
        }
        let grid = common.true_grid("ode", sde, usual_ode_grid(sde, common.ends(sde)), 100)?;
        if tableau.stages() > 1 {
            check_end(sde, grid.end())?;
        }
        Ok(Box::new(FixedOde {
            tableau,
            grid,
            final_step,
        }))
    }

    fn adaptive<S: State>(
        &self,
        sde: &dyn Sde,
        common: &Common,
        final_step: Final,
    ) -> Result<Box<dyn Sampler<S>>, SolveError> {
        if let Some(steps) = self.steps {
            let reason = "dp5 chooses its steps by rtol and atol; remove this key or take a fixed method";
            return Err(refuse("steps", steps, reason));
        }
        if common.grid.is_some() {
            return Err(refuse(
                "grid",
                "given",
                "dp5 chooses its own times; remove this table",
            ));
        }
        let (t_start, t_end) = common.ends(sde);
        // One span: only its ends are wanted, with their checks.
        GridConfig::Uniform {}.build(sde, 1, t_start, t_end)?;
        check_end(sde, t_end)?;
        let tolerance = Tolerance {
            atol: self.atol.unwrap_or(1e-5),
            rtol: self.rtol.unwrap_or(1e-5),
        };
        for (key, value) in [("rtol", tolerance.rtol), ("atol", tolerance.atol)] {
            if !(value.is_finite() && value >= SMALLEST_TOLERANCE) {
                let reason =
                    format!("must be a finite number >= {SMALLEST_TOLERANCE:e}, what rounding allows");
                return Err(refuse(key, value, reason));
            }
        }
        let max_steps = self.max_steps.unwrap_or(10_000);
        if max_steps == 0 {
            return Err(refuse("max_steps", max_steps, "must be at least 1"));
        }
        let min_step = self.min_step.unwrap_or(0.0);
        if !(min_step >= 0.0 && min_step < t_start - t_end) {
            let reason = format!("must be >= 0 and below the time to cover, {}", t_start - t_end);
            return Err(refuse("min_step", min_step, reason));
        }
        let limits = Limits {
            tolerance,
            max_steps,
            min_step,
        };
        Ok(Box::new(AdaptiveOde {
            tableau: &DP5,
            t_start,
            t_end,
            limits,
            final_step,
        }))
    }
}
