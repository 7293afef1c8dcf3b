//! Ranges of the values that serde cannot check.

use std::fmt::Display;

use solvers::HostBatch;

use super::{RunConfig, Sources};
use crate::TrainError;
use crate::ema::power::is_length;

impl RunConfig {
    /// Checks every value that can be checked without the data, the device and the network.
    ///
    /// # Errors
    /// [`TrainError::Config`] with the first key whose value is out of range.
    pub fn check(&self, sources: &Sources) -> Result<(), TrainError> {
        let (o, e, t, c) = (&self.optim, &self.ema, &self.train, &self.condition);
        let all = [
            range(
                "optim.lr",
                o.lr,
                o.lr > 0.0 && o.lr.is_finite(),
                "need a positive number",
            ),
            range(
                "optim.betas",
                format!("{:?}", o.betas),
                o.betas.iter().all(|b| (0.0..1.0).contains(b)),
                UNIT,
            ),
            range(
                "optim.eps",
                o.eps,
                o.eps > 0.0 && o.eps.is_finite(),
                "need a positive number",
            ),
            range(
                "optim.weight_decay",
                o.weight_decay,
                natural(o.weight_decay),
                "need 0 or a positive number",
            ),
            range(
                "optim.clip",
                o.clip,
                natural(o.clip),
                "need a positive number, or 0 for no clipping",
            ),
            range(
                "optim.final_lr",
                o.final_lr,
                (0.0..=1.0).contains(&o.final_lr),
                "need a number in [0, 1]",
            ),
            range("ema.decay", e.decay, (0.0..1.0).contains(&e.decay), UNIT),
            range(
                "ema.power",
                format!("{:?}", e.power),
                e.power.iter().all(|length| is_length(*length)),
                "need lengths above 0 and up to 0.288, parts of the run",
            ),
            range(
                "ema.length",
                shown(e.length),
                e.length.is_none_or(is_length),
                "need a length above 0 and up to 0.288, a part of the run",
            ),
            range(
                "train.images",
                shown(t.images),
                t.images != Some(0),
                "need 1 or more",
            ),
            range(
                "train.steps",
                shown(t.steps),
                t.steps != Some(0),
                "need 1 or more",
            ),
            range(
                "train.seconds",
                shown(t.seconds),
                t.seconds.is_none_or(|s| s > 0.0 && s.is_finite()),
                POSITIVE,
            ),
            range(
                "train.holdout",
                t.holdout,
                (0.0..=0.5).contains(&t.holdout),
                "need a share of the rows in [0, 0.5]",
            ),
            range(
                "condition.dropout",
                c.dropout,
                (0.0..=1.0).contains(&c.dropout),
                "need a probability in [0, 1]",
            ),
            range(
                "condition.labels",
                format!("{:?}", c.labels),
                c.labels.iter().all(|label| *label >= -1),
                "need classes from 0, or -1 for none",
            ),
            range(
                "condition.guidance_scale",
                c.guidance_scale,
                c.guidance_scale.is_finite(),
                "need a finite number; 1 is no guidance",
            ),
            range(
                "condition.guidance_interval",
                format!("{:?}", c.guidance_interval),
                c.guidance_interval
                    .is_none_or(|[low, high]| low >= 0.0 && low < high),
                "need two noise levels, the smaller first",
            ),
            range("train.batch", t.batch, t.batch > 0, "need 1 or more"),
            range(
                "train.accumulate",
                t.accumulate,
                (1..=1 << 20).contains(&t.accumulate),
                "need 1 or more batches a step, at most 2^20",
            ),
            range("train.keep", t.keep, t.keep > 0, "need 1 or more"),
            range("log.every", self.log.every, self.log.every > 0, "need 1 or more"),
        ];
        match all.into_iter().flatten().next() {
            None => self.check_parts(sources),
            Some((key, value, reason)) => Err(TrainError::Config {
                key: key.to_string(),
                value,
                reason: reason.to_string(),
                origin: sources.get(key),
            }),
        }
    }

    /// Builds what needs neither data nor a network.
    fn check_parts(&self, sources: &Sources) -> Result<(), TrainError> {
        let refuse = |e| sources.refuse(e);
        self.data.check().map_err(refuse)?;
        let sde = self.sde.build().map_err(refuse)?;
        self.precond.build(sde.clone()).map_err(refuse)?;
        self.loss.check(&self.sde, &sde).map_err(refuse)?;
        let sampler = self.sampler.build::<HostBatch<f32>>(sde.as_ref());
        sampler.map(drop).map_err(|e| sources.refuse_solve(e))
    }
}

const UNIT: &str = "need a number of at least 0 and below 1";
const POSITIVE: &str = "need a positive number";

type Refusal = Option<(&'static str, String, &'static str)>;

fn range(key: &'static str, value: impl Display, ok: bool, reason: &'static str) -> Refusal {
    (!ok).then(|| (key, value.to_string(), reason))
}

fn natural(v: f64) -> bool {
    v >= 0.0 && v.is_finite()
}

fn shown<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_string(), |v| v.to_string())
}
