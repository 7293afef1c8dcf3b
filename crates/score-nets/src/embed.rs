//! Time embeddings: a number becomes a vector that a network can read.

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use crate::layers::{Linear, silu};

/// Which frequencies a time embedding has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Embedding {
    /// `sin(f_i t), cos(f_i t)` with `f_i = 10000^(-i/(n-1))`: for times that run to about a thousand
    /// (Vaswani et al. 2017, arXiv:1706.03762, as in Ho et al. 2020), and smooth for times of order one.
    Sinusoidal,
    /// `sin(2 pi w_i t), cos(2 pi w_i t)` with `w_i ~ N(0, fourier_scale^2)` drawn once and kept
    /// (Tancik et al. 2020, arXiv:2006.10739; NCSN++ of Song et al. 2021): for log noise levels of order one.
    Fourier,
}

/// Frequencies, saved as a buffer and never trained, then two linear maps with SiLU.
#[derive(Debug)]
pub struct TimeEmbedding {
    frequencies: Tensor,
    linear1: Linear,
    linear2: Linear,
}

/// Longest period of the sinusoidal embedding, in units of the time input, over `2 pi`.
const MAX_PERIOD: f64 = 10_000.0;

impl TimeEmbedding {
    /// `features` (even, at least 4) sines and cosines, to an embedding of size `embed`.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(
        vs: &Path,
        kind: Embedding,
        features: i64,
        embed: i64,
        fourier_scale: f64,
    ) -> Result<Self, TchError> {
        let half = features / 2;
        let frequencies = match kind {
            Embedding::Sinusoidal => {
                let step = -MAX_PERIOD.ln() / (half - 1) as f64;
                let values: Vec<f64> = (0..half).map(|i| (step * i as f64).exp()).collect();
                Tensor::f_from_slice(&values)?
            }
            Embedding::Fourier => Tensor::f_randn(half, (Kind::Double, tch::Device::Cpu))?
                .f_mul_scalar(2.0 * std::f64::consts::PI * fourier_scale)?,
        };
        // f32 first: an MPS device has no f64.
        let frequencies = frequencies.f_to_kind(vs.kind())?.f_to_device(vs.device())?;
        Ok(TimeEmbedding {
            frequencies: vs.add("frequencies", frequencies, false),
            linear1: Linear::new(&(vs / "linear1"), 2 * half, embed, 1.0)?,
            linear2: Linear::new(&(vs / "linear2"), embed, embed, 1.0)?,
        })
    }

    /// Number of trained parameters of such an embedding.
    pub fn param_count(features: i64, embed: i64) -> u64 {
        Linear::param_count(features, embed) + Linear::param_count(embed, embed)
    }

    /// `sin` of all frequencies, then `cos`: `[rows]` to `[rows, features]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn features(&self, time: &Tensor) -> Result<Tensor, TchError> {
        let phase = time
            .f_to_kind(self.frequencies.kind())?
            .f_unsqueeze(1)?
            .f_mul(&self.frequencies)?;
        Tensor::f_cat(&[phase.f_sin()?, phase.f_cos()?], 1)
    }

    /// `silu(linear2(silu(linear1(features))))`, `[rows, embed]`; `[1, embed]` when `time` is one value expanded
    /// over the rows.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, time: &Tensor) -> Result<Tensor, TchError> {
        let shared = time.size1()? > 1 && time.stride1()? == 0;
        let features = match shared {
            true => self.features(&time.f_narrow(0, 0, 1)?)?,
            false => self.features(time)?,
        };
        let h = silu(self.linear1.forward(&features)?)?;
        silu(self.linear2.forward(&h)?)
    }
}
