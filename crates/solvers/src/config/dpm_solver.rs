//! `kind = "dpm-solver"`.

use sde_core::Sde;
use sde_core::grid::GridConfig;
use serde::{Deserialize, Serialize};

use super::check::{SMALLEST_TOLERANCE, check_end, check_order, order_within, refuse, usual_lambda_grid};
use super::tables::table;
use crate::exponential::{
    Curvature, Ddim, DpmAdaptive, DpmMultistep, DpmSingleStep, Prediction, StagedOrder,
};
use crate::rk::adaptive::Limits;
use crate::{Sampler, SolveError, State, Tolerance};

/// How a step of `kind = "dpm-solver"` comes by its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DpmMode {
    /// By evaluations inside the step, see [`DpmSingleStep`].
    #[serde(rename = "singlestep")]
    SingleStep,
    /// By the predictions of the steps before, see [`DpmMultistep`].
    #[default]
    Multistep,
    /// As `singlestep`, with a step size per row, see [`DpmAdaptive`].
    Adaptive,
}

table! {
    /// Table of `kind = "dpm-solver"`: 20 steps by default. Order 1 is [`Ddim`] with `eta = 0`. `steps` and `grid` belong to the modes with
    /// fixed steps; `rtol`, `atol`, `max_steps` and `min_step` to `adaptive`.
    DpmSolverConfig {
        /// 1, 2 or 3; 2, or 1 in multistep mode where there is one step only.
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<u8> = None,
        /// Where the order comes from; `multistep`.
        mode: DpmMode = DpmMode::default(),
        /// `dpmsolver` approximates the predicted noise, `dpmsolver++` the predicted data; `dpmsolver++`.
        algorithm: Prediction = Prediction::Data,
        /// Whether the last steps are of lower order. As published: in multistep mode true, which then applies to fewer than 10
        /// steps; in singlestep mode false, and true applies to any number of steps.
        #[serde(skip_serializing_if = "Option::is_none")]
        lower_order_final: Option<bool> = None,
        /// Weight of the second difference in multistep mode at order 3; `published`.
        #[serde(skip_serializing_if = "Option::is_none")]
        curvature: Option<Curvature> = None,
        /// Relative tolerance; 0.05.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtol: Option<f64> = None,
        /// Absolute tolerance, data units; 0.0078, two of 256 grey levels over [-1, 1].
        #[serde(skip_serializing_if = "Option::is_none")]
        atol: Option<f64> = None,
        /// Most attempted steps of a row; 10000.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_steps: Option<u64> = None,
        /// Smallest step in `lambda`; 0 (what rounding resolves is always the limit).
        #[serde(skip_serializing_if = "Option::is_none")]
        min_step: Option<f64> = None,
    }
}

impl DpmSolverConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let given = self.order.unwrap_or(2);
        check_order(usize::from(given), 3)?;
        let staged = |order| match order {
            1 => None,
            2 => Some(StagedOrder::Two),
            _ => Some(StagedOrder::Three),
        };
        if let Some(curvature) = self.curvature
            && (self.mode, given) != (DpmMode::Multistep, 3)
        {
            let reason = "belongs to mode = \"multistep\" with order = 3; remove this key";
            let value = match curvature {
                Curvature::Published => "published",
                Curvature::Full => "full",
            };
            return Err(refuse("curvature", value, reason));
        }
        if self.mode == DpmMode::Adaptive {
            return self.adaptive(sde, staged(given));
        }
        self.refuse_tolerances()?;
        let common = self.common();
        let grid = common.true_grid("dpm-solver", sde, usual_lambda_grid(sde, common.ends(sde)), 20)?;
        let final_step = common.ending();
        let (prediction, lower) = (self.algorithm, self.lower_order_final);
        let order = match self.mode {
            DpmMode::Multistep => {
                order_within(self.order.map(usize::from), usize::from(given), 3, grid.steps())? as u8
            }
            _ => given,
        };
        let Some(stages) = staged(order) else {
            return Ok(Box::new(Ddim {
                name: "dpm-solver",
                eta: 0.0,
                grid,
                final_step,
            }));
        };
        if self.mode == DpmMode::SingleStep {
            return Ok(Box::new(DpmSingleStep {
                prediction,
                order: stages,
                lower_order_final: lower.unwrap_or(false),
                grid,
                final_step,
            }));
        }
        Ok(Box::new(DpmMultistep {
            prediction,
            order,
            curvature: self.curvature.unwrap_or_default(),
            lower_order_final: lower.unwrap_or(true),
            grid,
            final_step,
        }))
    }

    fn refuse_tolerances(&self) -> Result<(), SolveError> {
        let foreign = [
            ("rtol", self.rtol.map(|v| v.to_string())),
            ("atol", self.atol.map(|v| v.to_string())),
            ("max_steps", self.max_steps.map(|v| v.to_string())),
            ("min_step", self.min_step.map(|v| v.to_string())),
        ];
        match foreign.into_iter().find_map(|(key, value)| Some((key, value?))) {
            None => Ok(()),
            Some((key, value)) => {
                let reason = "belongs to mode = \"adaptive\"; the others have fixed steps";
                Err(refuse(key, value, reason))
            }
        }
    }

    fn adaptive<S: State>(
        &self,
        sde: &dyn Sde,
        order: Option<StagedOrder>,
    ) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let Some(order) = order else {
            let reason = "mode = \"adaptive\" compares with the order below; take 2 or 3";
            return Err(refuse("order", 1, reason));
        };
        if let Some(steps) = self.steps {
            let reason = "mode = \"adaptive\" chooses its steps by rtol and atol; remove this key or take another mode";
            return Err(refuse("steps", steps, reason));
        }
        if self.grid.is_some() {
            let reason = "mode = \"adaptive\" chooses its own times; remove this table";
            return Err(refuse("grid", "given", reason));
        }
        if let Some(lower) = self.lower_order_final {
            let reason = "mode = \"adaptive\" keeps its order; remove this key";
            return Err(refuse("lower_order_final", lower, reason));
        }
        let common = self.common();
        let (t_start, t_end) = common.ends(sde);
        // One span: only its ends are wanted, with their checks.
        GridConfig::Uniform {}.build(sde, 1, t_start, t_end)?;
        check_end(sde, t_end)?;
        let tolerance = Tolerance {
            atol: self.atol.unwrap_or(0.0078),
            rtol: self.rtol.unwrap_or(0.05),
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
        let (min_step, way) = (
            self.min_step.unwrap_or(0.0),
            sde.lambda(t_end) - sde.lambda(t_start),
        );
        if !(min_step >= 0.0 && min_step < way) {
            let reason = format!("must be >= 0 and below the way to cover in lambda, {way}");
            return Err(refuse("min_step", min_step, reason));
        }
        let limits = Limits {
            tolerance,
            max_steps,
            min_step,
        };
        Ok(Box::new(DpmAdaptive {
            prediction: self.algorithm,
            order,
            t_start,
            t_end,
            limits,
            final_step: common.ending(),
        }))
    }
}
