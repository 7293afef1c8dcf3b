//! The residual blocks.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::attention::NIN_SCALE;
use super::config::Nonlinearity;
use super::fir::Fir;
use super::nin::Nin;
use super::resample::{Direction, resample};
use crate::layers::{Conv, GroupNorm, Linear, Space};
use crate::precision;

/// How many groups a normalisation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// A quarter of the channels, at most 32.
    Quarter,
    /// Always 32.
    Fixed,
}

impl Groups {
    /// The number; `None` where such a normalisation does not exist.
    pub(super) fn of(self, channels: i64) -> Option<i64> {
        let groups = match self {
            Groups::Quarter => (channels / 4).min(32),
            Groups::Fixed => 32,
        };
        (groups > 0 && channels % groups == 0).then_some(groups)
    }
}

/// What all blocks of a network share.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockOptions {
    pub(super) groups: Groups,
    pub(super) nonlinearity: Nonlinearity,
    /// Size of the time embedding.
    pub(super) embed: i64,
    pub(super) dropout: f64,
    pub(super) skip_rescale: bool,
    pub(super) init_scale: f64,
}

/// Added to the variance in every normalisation.
const NORM_EPS: f64 = 1e-6;

impl BlockOptions {
    pub(super) fn norm(&self, vs: &Path, channels: i64) -> Result<GroupNorm, TchError> {
        // The plan refuses channels that the groups do not divide.
        GroupNorm::with_groups(vs, channels, self.groups.of(channels).unwrap_or(1), NORM_EPS)
    }

    /// `a + b`, over the square root of 2 with `skip_rescale`; into `a`, a result whose values no gradient needs.
    pub(super) fn add(&self, a: Tensor, b: &Tensor) -> Result<Tensor, TchError> {
        let mut sum = add_into(a, b)?;
        match self.skip_rescale {
            true => sum.f_div_scalar_(std::f64::consts::SQRT_2),
            false => Ok(sum),
        }
    }
}

/// `a + b` into `a`, a result whose values no gradient needs; a new tensor where their types differ, so that the sum is
/// of the wider one.
pub(super) fn add_into(mut a: Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    match a.kind() == b.kind() {
        true => a.f_add_(b),
        false => a.f_add(b),
    }
}

/// What the shortcut does where it is not the identity.
#[derive(Debug)]
enum Shortcut {
    Nin(Nin),
    Conv { weight: Tensor, bias: Tensor },
}

/// `shortcut(x) + conv_1(dropout(act(norm_1(conv_0(act(norm_0(x))) + dense(time)))))`; with a direction, both branches
/// change the resolution, the main one before its first convolution (Brock et al. 2018, arXiv:1809.11096).
#[derive(Debug)]
pub(super) struct Residual {
    norm_0: GroupNorm,
    conv_0: Conv,
    dense: Linear,
    norm_1: GroupNorm,
    conv_1: Conv,
    shortcut: Option<Shortcut>,
    resample: Option<(Direction, Option<Fir>)>,
    options: BlockOptions,
}

impl Residual {
    /// The block of DDPM: a shortcut where the number of channels changes.
    pub(super) fn ddpm(vs: &Path, input: i64, output: i64, options: BlockOptions) -> Result<Self, TchError> {
        let mut block = Residual::new(vs, input, output, options)?;
        if input != output {
            let nin = Nin::new(&(vs / "NIN_0"), input, output, NIN_SCALE)?;
            block.shortcut = Some(Shortcut::Nin(nin));
        }
        Ok(block)
    }

    /// The block of BigGAN: a shortcut also where the resolution changes.
    pub(super) fn biggan(
        vs: &Path,
        input: i64,
        output: i64,
        change: Option<(Direction, Option<&[f64]>)>,
        options: BlockOptions,
    ) -> Result<Self, TchError> {
        let mut block = Residual::new(vs, input, output, options)?;
        if input != output || change.is_some() {
            let (vs, dims) = (vs / "Conv_2", [output, input, 1, 1]);
            block.shortcut = Some(Shortcut::Conv {
                weight: vs.f_var("weight", &dims, crate::layers::fan_average(&dims, 1.0))?,
                bias: vs.f_zeros("bias", &[output])?,
            });
        }
        if let Some((direction, fir)) = change {
            block.resample = Some((direction, fir.map(Fir::new).transpose()?));
        }
        Ok(block)
    }

    fn new(vs: &Path, input: i64, output: i64, options: BlockOptions) -> Result<Self, TchError> {
        let conv = |name: &str, from, scale| Conv::new(&(vs / name), Space::Plane, from, output, 3, 1, scale);
        Ok(Residual {
            norm_0: options.norm(&(vs / "GroupNorm_0"), input)?,
            conv_0: conv("Conv_0", input, 1.0)?,
            dense: Linear::new(&(vs / "Dense_0"), options.embed, output, 1.0)?,
            norm_1: options.norm(&(vs / "GroupNorm_1"), output)?,
            conv_1: conv("Conv_1", output, options.init_scale)?,
            shortcut: None,
            resample: None,
            options,
        })
    }

    /// Number of parameters; `shortcut` says whether there is one.
    pub(super) fn param_count(input: i64, output: i64, embed: i64, shortcut: bool) -> u64 {
        let conv = |from| Conv::param_count(Space::Plane, from, output, 3);
        let shortcut = if shortcut {
            Nin::param_count(input, output)
        } else {
            0
        };
        GroupNorm::param_count(input)
            + conv(input)
            + Linear::param_count(embed, output)
            + GroupNorm::param_count(output)
            + conv(output)
            + shortcut
    }

    /// `x` is `[rows, input, height, width]`; `time` the activated embedding, `[rows, embed]` or `[1, embed]`, absent
    /// where the network is not conditional.
    pub(super) fn forward(&self, x: &Tensor, time: Option<&Tensor>, train: bool) -> Result<Tensor, TchError> {
        let act = self.options.nonlinearity;
        let mut h = act.apply(self.norm_0.forward(x)?)?;
        if let Some((direction, fir)) = &self.resample {
            h = resample(&h, *direction, fir.as_ref())?;
        }
        h = self.conv_0.forward(&h)?;
        if let Some(time) = time {
            let time = self.dense.forward(time)?;
            h = h.f_add_(&time.f_unsqueeze(-1)?.f_unsqueeze(-1)?)?;
        }
        h = act.apply(self.norm_1.forward(&h)?)?;
        if train && self.options.dropout > 0.0 {
            h = h.f_dropout(self.options.dropout, true)?;
        }
        let h = self.conv_1.forward(&h)?;
        match self.shortcut(x)? {
            Some(x) => self.options.add(h, &x),
            None => self.options.add(h, x),
        }
    }

    /// Linear maps of the channels and of the positions commute: the channels are mixed at the lower resolution. The
    /// bias comes last, since a filter does not keep constants at the border.
    fn shortcut(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        let at = |x: &Tensor, bias: bool| -> Result<Option<Tensor>, TchError> {
            Ok(match &self.shortcut {
                None => None,
                Some(Shortcut::Nin(nin)) => {
                    let (rows, channels, height, width) = x.size4()?;
                    let out = nin.forward(&x.f_reshape([rows, channels, height * width])?)?;
                    Some(out.f_view([rows, out.size3()?.1, height, width])?)
                }
                Some(Shortcut::Conv { weight, bias: b }) => {
                    let b = bias.then_some(b);
                    Some(precision::conv2d(x, weight, b, 1, 0)?)
                }
            })
        };
        match &self.resample {
            None => at(x, true),
            Some((Direction::Down, fir)) => at(&resample(x, Direction::Down, fir.as_ref())?, true),
            Some((Direction::Up, None)) => match at(x, true)? {
                Some(mixed) => Ok(Some(resample(&mixed, Direction::Up, None)?)),
                None => Ok(None),
            },
            Some((Direction::Up, Some(fir))) => match (at(x, false)?, &self.shortcut) {
                (Some(mixed), Some(Shortcut::Conv { bias, .. })) => {
                    let mut up = fir.upsample(&mixed)?;
                    Ok(Some(up.f_add_(&bias.f_view([1, -1, 1, 1])?)?))
                }
                (mixed, _) => Ok(mixed),
            },
        }
    }
}
