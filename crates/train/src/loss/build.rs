//! From the table `[loss]` to a loss.

use std::sync::Arc;

use sde_core::{ConfigError, Precond, Sde};
use tch::Device;

use super::{Dsm, Implicit, LearnedWeighting, Loss, Objective, Sliced};
use crate::TrainError;
use crate::config::{DsmConfig, LossConfig, SdeConfig};

impl LossConfig {
    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// [`ConfigError`] at a key of `[loss]`.
    pub fn check(&self, config: &SdeConfig, sde: &Arc<dyn Sde>) -> Result<(), ConfigError> {
        if let Some((kind, need)) = self.misplaced(config) {
            let reason = format!("is for sde.kind = \"{need}\" alone; use loss.kind = \"dsm\"");
            return Err(ConfigError::new("loss.kind", kind, reason));
        }
        let common = self.common();
        common.weighting.build(Arc::clone(sde))?;
        common.time.build(Arc::clone(sde))?;
        match self {
            LossConfig::Dsm(dsm) | LossConfig::Edm(dsm) | LossConfig::Vp(dsm) | LossConfig::Ve(dsm) => {
                let below = dsm.control_variate;
                if !(below >= 0.0 && below.is_finite()) {
                    let reason = "need a noise std, or 0 for no control variate";
                    return Err(ConfigError::new("loss.control_variate", below, reason));
                }
            }
            LossConfig::Sliced(sliced) => {
                if !(1..=1024).contains(&sliced.projections) {
                    let reason = "need a number of projections from 1 to 1024";
                    return Err(ConfigError::new("loss.projections", sliced.projections, reason));
                }
            }
            LossConfig::Implicit(_) => {}
        }
        Ok(())
    }

    /// The loss for data with rows of this shape.
    ///
    /// # Errors
    /// [`TrainError::Table`] at a key of `[loss]`: a value is out of range, or the rows are too long for the kind.
    pub fn build(
        &self,
        sde: &Arc<dyn Sde>,
        precond: &Precond,
        shape: &[i64],
        seed: u64,
        device: Device,
    ) -> Result<Box<dyn Loss>, TrainError> {
        let common = self.common();
        let objective = Objective {
            sde: Arc::clone(sde),
            precond: precond.clone(),
            weighting: common.weighting.build(Arc::clone(sde))?,
            reduction: common.reduction,
        };
        match self {
            LossConfig::Dsm(dsm) | LossConfig::Edm(dsm) | LossConfig::Vp(dsm) | LossConfig::Ve(dsm) => {
                denoising(dsm, objective, seed, device)
            }
            LossConfig::Sliced(sliced) => {
                let projections = usize::try_from(sliced.projections).unwrap_or(usize::MAX);
                Ok(Box::new(Sliced::new(
                    objective,
                    sliced.projection,
                    projections,
                    sliced.variance_reduced,
                )))
            }
            LossConfig::Implicit(_) => {
                Implicit::check_dim(shape.iter().product())?;
                Ok(Box::new(Implicit::new(objective)))
            }
        }
    }
}

fn denoising(
    config: &DsmConfig,
    objective: Objective,
    seed: u64,
    device: Device,
) -> Result<Box<dyn Loss>, TrainError> {
    let (sde, reduction) = (Arc::clone(&objective.sde), objective.reduction);
    let dsm = Box::new(Dsm::of(objective).with_control_variate(config.control_variate));
    if !config.learned_weighting {
        return Ok(dsm);
    }
    Ok(Box::new(LearnedWeighting::new(
        dsm, sde, reduction, seed, device,
    )?))
}
