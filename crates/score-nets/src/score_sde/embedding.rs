//! The time embedding.

use tch::nn::Path;
use tch::{Kind, TchError, Tensor};

use super::config::{EmbeddingType, Nonlinearity};
use crate::layers::Linear;

/// Longest period of the positional embedding, in units of the time input, over `2 pi`.
const MAX_PERIOD: f64 = 10_000.0;

/// Sines and cosines of the time.
#[derive(Debug)]
pub(super) enum Features {
    /// `sin(2 pi w ln(time)), cos(2 pi w ln(time))` with `w` a saved tensor that is not trained.
    Fourier(Tensor),
    /// `sin(f_i time), cos(f_i time)` with `f_i = 10000^(-i/(n-1))`, always in f32, and a zero if their number is odd.
    Positional { frequencies: Tensor, size: i64 },
}

impl Features {
    /// `nf` frequencies from a normal of standard deviation `scale`.
    pub(super) fn fourier(vs: &Path, nf: i64, scale: f64) -> Result<Self, TchError> {
        let weight = Tensor::f_randn([nf], (Kind::Float, tch::Device::Cpu))?.f_mul_scalar(scale)?;
        let weight = weight.f_to_kind(vs.kind())?.f_to_device(vs.device())?;
        Ok(Features::Fourier(vs.add("W", weight, false)))
    }

    /// `nf` features, at least 4.
    pub(super) fn positional(nf: i64) -> Result<Self, TchError> {
        let half = nf / 2;
        let step = MAX_PERIOD.ln() / (half - 1) as f64;
        // In f32, with the operations of the reference: a phase of 999 shows the last bit of a frequency.
        let numbers = Tensor::f_arange(half, (Kind::Float, tch::Device::Cpu))?;
        Ok(Features::Positional {
            frequencies: numbers.f_mul_scalar(-step)?.f_exp()?,
            size: nf,
        })
    }

    /// Whether the time must have a logarithm.
    pub(super) fn is_fourier(&self) -> bool {
        matches!(self, Features::Fourier(_))
    }

    /// How many for `nf` frequencies.
    pub(super) fn size(kind: EmbeddingType, nf: i64) -> i64 {
        match kind {
            EmbeddingType::Fourier => 2 * nf,
            EmbeddingType::Positional => nf,
        }
    }

    /// `[rows]` to `[rows, features]`, of the type `kind`.
    fn forward(&self, time: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        match self {
            Features::Fourier(weight) => {
                let phase = time
                    .f_to_kind(weight.kind())?
                    .f_log()?
                    .f_unsqueeze(1)?
                    .f_mul(weight)?
                    .f_mul_scalar_(2.0)?
                    .f_mul_scalar_(std::f64::consts::PI)?;
                Tensor::f_cat(&[phase.f_sin()?, phase.f_cos()?], 1)
            }
            Features::Positional { frequencies, size } => {
                let frequencies = frequencies.f_to_device(time.device())?;
                let phase = time.f_to_kind(Kind::Float)?.f_unsqueeze(1)?.f_mul(&frequencies)?;
                let features = Tensor::f_cat(&[phase.f_sin()?, phase.f_cos()?], 1)?;
                let features = match size % 2 {
                    0 => features,
                    _ => features.f_constant_pad_nd([0, 1])?,
                };
                features.f_to_kind(kind)
            }
        }
    }
}

/// `act(linear_1(act(linear_0(features))))`: what every block reads. The reference activates the embedding anew in
/// each block; here once.
#[derive(Debug)]
pub(super) struct TimeEmbedding {
    pub(super) features: Features,
    pub(super) linear_0: Linear,
    pub(super) linear_1: Linear,
    pub(super) nonlinearity: Nonlinearity,
}

impl TimeEmbedding {
    /// `[rows]` to `[rows, embed]`; `[1, embed]` when `time` is one value expanded over the rows.
    pub(super) fn forward(&self, time: &Tensor) -> Result<Tensor, TchError> {
        let shared = time.size1()? > 1 && time.stride1()? == 0;
        let features = match shared {
            true => self
                .features
                .forward(&time.f_narrow(0, 0, 1)?, self.linear_0.kind())?,
            false => self.features.forward(time, self.linear_0.kind())?,
        };
        let h = self.nonlinearity.apply(self.linear_0.forward(&features)?)?;
        self.nonlinearity.apply(self.linear_1.forward(&h)?)
    }
}
