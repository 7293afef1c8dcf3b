//! Denoising score matching (Vincent 2011, Neural Computation 23(7), eq. 11; weighted over times as in Song et
//! al. 2021, arXiv:2011.13456, eq. 7).

use std::sync::Arc;

use score_nets::ScoreNet;
use sde_core::{Precond, Sde, Weighting};
use tch::{TchError, Tensor};

use super::objective::{Column, Noised, Objective, RowCoefs};
use super::{Loss, TrainDraw};
use crate::TrainError;
use crate::config::Reduction;

/// `weight(t) mean_i (std s_theta(x_t, t) + z)_i^2` with `x_t = mean_coef x_0 + std z`: by default the mean over the `d`
/// values of a row, so that the learning rate does not depend on `d`.
///
/// With a control variate, rows whose `std` is below a bound have
///
/// `weight(t) (2 z . std s_theta(mean_coef x_0, t) + |z|^2 - d) / d`
///
/// taken off. Given `x_0` and `t` its mean over `z` is zero, so that the expected loss and its gradient stay what they are; what is
/// left, `std^2 |s|^2 + 2 std z . (s_theta(x_t) - s_theta(mean_coef x_0)) + d`, lacks the term of order `std` that drowns the gradient
/// at small `std` (Song and Kingma 2021, arXiv:2101.03288, on denoising score matching, after Wang et al. 2020, arXiv:2002.07501). It
/// costs a second evaluation of the network on batches that have such a row. Dropout takes most of the gain away: the two
/// evaluations then differ by their masks.
#[derive(Debug)]
pub struct Dsm {
    objective: Objective,
    control_below: f64,
}

impl Dsm {
    /// The objective for a process, a preconditioning made for it, and a weighting.
    pub fn new(sde: Arc<dyn Sde>, precond: Precond, weighting: Weighting, reduction: Reduction) -> Self {
        Self::of(Objective {
            sde,
            precond,
            weighting,
            reduction,
        })
    }

    /// The same from its parts.
    pub fn of(objective: Objective) -> Self {
        Self {
            objective,
            control_below: 0.0,
        }
    }

    /// With a control variate at times whose `std` is below this bound, in the units of the data; 0 for none.
    #[must_use]
    pub fn with_control_variate(self, below: f64) -> Self {
        Self {
            control_below: below,
            ..self
        }
    }

    /// The numbers of a row at time `t`, in (0, t_end].
    pub fn coefs(&self, t: f64) -> RowCoefs {
        self.objective.coefs(t)
    }

    /// For each row 1 where the control variate is used, else 0; `None` if there is no such row.
    fn controlled(&self, draw: &TrainDraw) -> Option<Vec<f64>> {
        if self.control_below <= 0.0 {
            return None;
        }
        let small = |t: &f64| self.objective.sde.marginal(*t).std < self.control_below;
        let each: Vec<f64> = draw.times.iter().map(|t| f64::from(u8::from(small(t)))).collect();
        each.contains(&1.0).then_some(each)
    }

    /// `weight (2 z . std s(mean_coef x_0) + |z|^2 - d)`, reduced, of the rows that `chosen` names.
    fn control(
        &self,
        noised: &Noised,
        x0: &Tensor,
        output: &Tensor,
        chosen: &[f64],
    ) -> Result<Tensor, TchError> {
        let score = x0
            .f_mul(&noised.spread(Column::CleanData)?)?
            .f_addcmul(output, &noised.spread(Column::CleanNet)?)?;
        let values = score
            .f_mul_scalar(2.0)?
            .f_add(&noised.noise)?
            .f_mul(&noised.noise)?;
        let weight = noised.column(Column::Weight)?;
        let chosen = Tensor::f_from_slice(chosen)?
            .f_to_kind(weight.kind())?
            .f_to_device(weight.device())?;
        let reduced = self.objective.reduce(&values.f_sub_scalar(1.0)?)?;
        reduced.f_mul(&weight)?.f_mul(&chosen)
    }
}

/// What a batch without controlled rows needs, and one with such rows.
const PLAIN: &[Column] = &[Column::SquareWeight];
const CONTROLLED: &[Column] = &[
    Column::SquareWeight,
    Column::Weight,
    Column::CleanData,
    Column::CleanNet,
];

impl Loss for Dsm {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let fail = TrainError::tensor("the denoising loss");
        let chosen = self.controlled(draw);
        let columns = match &chosen {
            None => PLAIN,
            Some(_) => CONTROLLED,
        };
        let noised = self.objective.noised(x0, draw, columns)?;
        let output = noised.output(net, &noised.input, draw)?;
        let squared = output
            .f_sub(&noised.target)
            .and_then(|difference| self.objective.reduce(&difference.f_square()?))
            .and_then(|reduced| reduced.f_mul(&noised.column(Column::SquareWeight)?))
            .map_err(&fail)?;
        let Some(chosen) = chosen else {
            return Ok(squared);
        };
        let clean = x0
            .f_mul(&noised.spread(Column::DataIn).map_err(&fail)?)
            .map_err(&fail)?;
        let output = noised.output(net, &clean, draw)?;
        let control = self.control(&noised, x0, &output, &chosen).map_err(&fail)?;
        squared.f_sub(&control).map_err(&fail)
    }
}
