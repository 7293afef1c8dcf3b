//! Denoising score matching (Vincent 2011, Neural Computation 23(7), eq. 11; weighted over times as in Song et
//! al. 2021, arXiv:2011.13456, eq. 7).

use std::sync::Arc;

use score_nets::ScoreNet;
use sde_core::{Precond, Sde, Weighting};
use tch::{Kind, Tensor};

use super::{Loss, TrainDraw};
use crate::TrainError;
use crate::config::Reduction;

/// `weight(t) mean_i (std s_theta(x_t, t) + z)_i^2` with `x_t = mean_coef x_0 + std z`: by default the mean over the `d`
/// values of a row, so that the learning rate does not depend on `d`.
///
/// The network's raw output `F` enters the score linearly, so the residual is `std score_out (F - target)` with
/// `target = a x_0 + b z`; all factors are made per row in `f64`, in closed form, and rounded once. Nothing is divided by
/// a small `std` in `f32`.
#[derive(Debug)]
pub struct Dsm {
    sde: Arc<dyn Sde>,
    precond: Precond,
    weighting: Weighting,
    reduction: Reduction,
}

/// The numbers of one row, in `f64`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DsmCoefs {
    /// Factors of clean data and noise in the network's input.
    pub input: [f64; 2],
    /// Factors of clean data and noise in the regression target of the raw output.
    pub target: [f64; 2],
    /// The network's time input.
    pub time: f64,
    /// Factor of the squared difference between raw output and target.
    pub weight: f64,
}

impl Dsm {
    /// The objective for a process, a preconditioning made for it, and a weighting.
    pub fn new(sde: Arc<dyn Sde>, precond: Precond, weighting: Weighting, reduction: Reduction) -> Self {
        Self {
            sde,
            precond,
            weighting,
            reduction,
        }
    }

    /// The numbers of a row at time `t`, in (0, t_end].
    pub fn coefs(&self, t: f64) -> DsmCoefs {
        let marginal = self.sde.marginal(t);
        let (mean_coef, std) = (marginal.mean_coef, marginal.std);
        let net = self.precond.coefs(t);
        let (of_data, of_noise) = self.precond.target_coefs(t);
        // std score + z = std score_skip x_t + std score_out F + z = std score_out (F - target)
        let scale = std * net.score_out;
        DsmCoefs {
            input: [net.input * mean_coef, net.input * std],
            target: [of_data, of_noise],
            time: net.time,
            weight: self.weighting.weight(t) * scale * scale,
        }
    }
}

impl Loss for Dsm {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let rows = draw.times.len();
        // One upload for all coefficients: [6, rows].
        let mut table = vec![0.0_f32; 6 * rows];
        for (row, (&t, &ratio)) in draw.times.iter().zip(&draw.ratios).enumerate() {
            let c = self.coefs(t);
            let values = [
                c.input[0],
                c.input[1],
                c.target[0],
                c.target[1],
                c.time,
                c.weight * ratio,
            ];
            for (column, value) in values.into_iter().enumerate() {
                table[column * rows + row] = value as f32;
            }
        }
        let fail = TrainError::tensor("the denoising loss");
        let rows = i64::try_from(rows).expect("invariant: row counts fit i64");
        let table = Tensor::f_from_slice(&table)
            .and_then(|t| t.f_view([6, rows]))
            .map_err(&fail)?;
        let table = table.f_to_device(x0.device()).map_err(&fail)?;
        let mut spread = vec![1; x0.dim()];
        spread[0] = rows;
        let spread = spread.as_slice();
        let column = |index: i64| table.get(index).f_view(spread);
        let combine = |a: i64, b: i64| x0.f_mul(&column(a)?)?.f_addcmul(&draw.noise, &column(b)?);
        let input = combine(0, 1).map_err(&fail)?;
        let target = combine(2, 3).map_err(&fail)?;
        let output = net.forward_given(&input, &table.get(4), &draw.given, draw.train)?;
        let squared = output
            .f_sub(&target)
            .and_then(|difference| difference.f_square())
            .map_err(&fail)?;
        let squared = squared.f_flatten(1, -1).map_err(&fail)?;
        let one = match self.reduction {
            Reduction::Mean => squared.f_mean_dim(-1, false, Kind::Float),
            Reduction::Sum => squared.f_sum_dim_intlist(-1, false, Kind::Float),
        };
        one.and_then(|one| one.f_mul(&table.get(5))).map_err(&fail)
    }
}
