//! The residual block.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::layers::{Activation, Conv2d, GroupNorm, Linear, add_into};
use super::resample::Resample;

/// What all residual blocks of a network share.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResnetShared {
    /// Size of the time embedding.
    pub(super) embed: i64,
    pub(super) eps: f64,
    pub(super) dropout: f64,
    pub(super) act: Activation,
    /// Whether the time enters as factor and offset.
    pub(super) scale_shift: bool,
}

/// What such a block is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResnetSpec {
    pub(super) input: i64,
    pub(super) output: i64,
    /// Groups of the first normalisation.
    pub(super) groups: i64,
    /// Groups of the second normalisation.
    pub(super) groups_out: i64,
    /// The sum with the residual is divided by this.
    pub(super) scale: f64,
    pub(super) resample: Resample,
    /// Whether the residual passes a 1x1 convolution.
    pub(super) shortcut: bool,
    pub(super) shared: ResnetShared,
}

impl ResnetSpec {
    fn embed_width(&self) -> i64 {
        self.output * if self.shared.scale_shift { 2 } else { 1 }
    }

    pub(super) fn param_count(&self) -> u64 {
        let shortcut = match self.shortcut {
            true => Conv2d::param_count(self.input, self.output, 1),
            false => 0,
        };
        GroupNorm::param_count(self.input)
            + Conv2d::param_count(self.input, self.output, 3)
            + Linear::param_count(self.shared.embed, self.embed_width())
            + GroupNorm::param_count(self.output)
            + Conv2d::param_count(self.output, self.output, 3)
            + shortcut
    }
}

/// `(shortcut(r(x)) + conv2(dropout(act(norm2(conv1(r(act(norm1(x)))) + time))))) / scale`, `r` the change of
/// resolution (Ho et al. 2020, arXiv:2006.11239, appendix B; with it Brock et al. 2019, arXiv:1809.11096); with
/// `scale_shift` the time enters as `(1 + factor) norm2(h) + offset` (Dhariwal and Nichol 2021, arXiv:2105.05233).
#[derive(Debug)]
pub(super) struct ResnetBlock2d {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    spec: ResnetSpec,
}

impl ResnetBlock2d {
    pub(super) fn new(vs: &Path, spec: ResnetSpec) -> Result<Self, TchError> {
        let (input, output, shared) = (spec.input, spec.output, spec.shared);
        Ok(ResnetBlock2d {
            norm1: GroupNorm::new(&(vs / "norm1"), input, spec.groups, shared.eps)?,
            conv1: Conv2d::new(&(vs / "conv1"), input, output, 3)?,
            time_emb_proj: Linear::new(&(vs / "time_emb_proj"), shared.embed, spec.embed_width())?,
            norm2: GroupNorm::new(&(vs / "norm2"), output, spec.groups_out, shared.eps)?,
            conv2: Conv2d::new(&(vs / "conv2"), output, output, 3)?,
            conv_shortcut: match spec.shortcut {
                true => Some(Conv2d::new(&(vs / "conv_shortcut"), input, output, 1)?),
                false => None,
            },
            spec,
        })
    }

    /// `x` is `[rows, input, height, width]`, `time` the embedding after the nonlinearity, `[rows, embed]` or
    /// `[1, embed]`.
    pub(super) fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let ResnetSpec {
            resample,
            scale,
            shared,
            ..
        } = self.spec;
        let mut h = shared.act.apply(self.norm1.forward(x)?)?;
        let mut residual = x.shallow_clone();
        if resample != Resample::Keep {
            (h, residual) = (resample.apply(&h)?, resample.apply(x)?);
        }
        let h = self.conv1.forward(&h)?;
        let time = self
            .time_emb_proj
            .forward(time)?
            .f_unsqueeze(-1)?
            .f_unsqueeze(-1)?;
        let h = match shared.scale_shift {
            false => self.norm2.forward(&add_into(h, &time)?)?,
            true => {
                let parts = time.f_chunk(2, 1)?;
                let normed = self.norm2.forward(&h)?;
                add_into(normed.f_mul(&parts[0].f_add_scalar(1.0)?)?, &parts[1])?
            }
        };
        let mut h = shared.act.apply(h)?;
        if train && shared.dropout > 0.0 {
            h = h.f_dropout(shared.dropout, true)?;
        }
        if let Some(shortcut) = &self.conv_shortcut {
            residual = shortcut.forward(&residual)?;
        }
        let mut out = add_into(self.conv2.forward(&h)?, &residual)?;
        match scale {
            1.0 => Ok(out),
            scale => out.f_div_scalar_(scale),
        }
    }
}
