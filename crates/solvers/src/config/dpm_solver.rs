//! `kind = "dpm-solver"`.

use sde_core::Sde;
use serde::{Deserialize, Serialize};

use super::check::{StepKeys, adaptive_ends, check_order, order_within, refuse, usual_lambda_grid};
use super::tables::table;
use crate::exponential::{
    Curvature, Ddim, DpmAdaptive, DpmMultistep, DpmSingleStep, MultistepOptions, Prediction, StagedOrder,
};
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
        let reason = "belongs to mode = \"adaptive\"; the others have fixed steps";
        self.step_keys().refuse_all(reason)?;
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
        let options = MultistepOptions {
            prediction,
            order,
            curvature: self.curvature.unwrap_or_default(),
            lower_order_final: lower.unwrap_or(true),
            final_step,
        };
        Ok(Box::new(DpmMultistep::new(sde, grid, &options)))
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
        let (t_start, t_end) = adaptive_ends(&common, sde)?;
        let way = sde.lambda(t_end) - sde.lambda(t_start);
        let usual = Tolerance {
            atol: 0.0078,
            rtol: 0.05,
        };
        let limits = self
            .step_keys()
            .limits::<S>(usual, ("way to cover in lambda", way))?;
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
