//! A weighting that is learned along (Karras et al. 2024, arXiv:2312.02696, equations 14 and 21; after Kendall et al. 2018,
//! arXiv:1705.07115).

use std::sync::Arc;

use score_nets::ScoreNet;
use sde_core::Sde;
use solvers::noise::{Draw, Purpose, normal_at, uniform_at};
use tch::{Device, Kind, TchError, Tensor};

use super::{Loss, TrainDraw};
use crate::TrainError;
use crate::config::Reduction;

/// Number of Fourier features of the noise level.
const FEATURES: usize = 128;

/// `loss/exp(u) + u`, where `u` is a function of the noise level that is trained with the network: `exp(u)` becomes the mean loss at
/// that level, so that all levels pull the shared weights equally, whatever the weighting. With the sum as reduction, both terms are
/// `d` times as large.
///
/// `u = b + sum_i w_i cos(2 pi f_i c + phase_i) sqrt(2/n)`, `c = -lambda/4` (`ln(sigma)/4`), with `n = 128` frequencies `f_i ~ N(0, 1)`
/// and phases drawn once from the seed; `w` and `b` start at zero, as the plain loss. Held-out rows are measured by the plain loss:
/// the figures stay comparable while `u` moves.
#[derive(Debug)]
pub struct LearnedWeighting {
    inner: Box<dyn Loss>,
    sde: Arc<dyn Sde>,
    reduction: Reduction,
    frequencies: Tensor,
    phases: Tensor,
    weight: Tensor,
    bias: Tensor,
}

impl LearnedWeighting {
    /// A weighting of the rows of `inner`, whose mean must be positive, on one device.
    ///
    /// # Errors
    /// libtorch cannot allocate.
    pub fn new(
        inner: Box<dyn Loss>,
        sde: Arc<dyn Sde>,
        reduction: Reduction,
        seed: u64,
        device: Device,
    ) -> Result<Self, TrainError> {
        let address = Draw {
            step: u32::MAX,
            purpose: Purpose::Training,
        };
        let frequencies = (0..FEATURES).map(|i| normal_at(seed, address, 0, FEATURES, i));
        let phases = (0..FEATURES).map(|i| uniform_at(seed, address, 0, i) as f32);
        let turns = |values: Vec<f32>| {
            Tensor::f_from_slice(&values)?
                .f_mul_scalar(std::f64::consts::TAU)?
                .f_to_device(device)
        };
        let trained =
            |n: i64| Tensor::f_zeros([n], (Kind::Float, device)).and_then(|t| t.f_set_requires_grad(true));
        let fail = TrainError::tensor("the learned weighting");
        Ok(Self {
            inner,
            sde,
            reduction,
            frequencies: turns(frequencies.collect()).map_err(&fail)?,
            phases: turns(phases.collect()).map_err(&fail)?,
            weight: trained(FEATURES as i64).map_err(&fail)?,
            bias: trained(1).map_err(&fail)?,
        })
    }

    /// `u` at some times, `[times]`.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn log_level(&self, times: &[f64]) -> Result<Tensor, TchError> {
        let levels: Vec<f32> = times
            .iter()
            .map(|t| (-0.25 * self.sde.lambda(*t)) as f32)
            .collect();
        let levels = Tensor::f_from_slice(&levels)?.f_to_device(self.weight.device())?;
        let features = levels
            .f_unsqueeze(1)?
            .f_mul(&self.frequencies)?
            .f_add(&self.phases)?
            .f_cos()?;
        let scaled = self.weight.f_mul_scalar((2.0 / FEATURES as f64).sqrt())?;
        features.f_mv(&scaled)?.f_add(&self.bias)
    }
}

impl Loss for LearnedWeighting {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let plain = self.inner.per_row(net, x0, draw)?;
        if !draw.train {
            return Ok(plain);
        }
        let values = match self.reduction {
            Reduction::Mean => 1,
            Reduction::Sum => x0.size()[1..].iter().product(),
        };
        let weighted = || {
            let level = self.log_level(&draw.times)?.f_to_kind(plain.kind())?;
            plain
                .f_mul(&level.f_neg()?.f_exp()?)?
                .f_add(&level.f_mul_scalar(values as f64)?)
        };
        weighted().map_err(TrainError::tensor("the learned weighting"))
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        vec![
            ("weight".to_owned(), self.weight.shallow_clone()),
            ("bias".to_owned(), self.bias.shallow_clone()),
        ]
    }
}
