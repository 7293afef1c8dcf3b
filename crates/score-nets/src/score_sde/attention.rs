//! Self-attention over the positions of a map.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::block::BlockOptions;
use super::nin::{Nin, pointwise};
use crate::layers::GroupNorm;
use crate::precision::{product, softmax};

/// `x + W_3 softmax(q^T k / sqrt(channels)) v`, one head, `q, k, v` linear in the normalised map (Ho et al. 2020,
/// arXiv:2006.11239). Cost: the square of the number of positions.
#[derive(Debug)]
pub(super) struct Attention {
    norm: GroupNorm,
    query: Nin,
    key: Nin,
    value: Nin,
    out: Nin,
    options: BlockOptions,
}

/// Scale of the initial weights of `q, k, v` and of shortcuts.
pub(super) const NIN_SCALE: f64 = 0.1;

impl Attention {
    pub(super) fn new(vs: &Path, channels: i64, options: BlockOptions) -> Result<Self, TchError> {
        let nin = |name: &str, scale| Nin::new(&(vs / name), channels, channels, scale);
        Ok(Attention {
            norm: options.norm(&(vs / "GroupNorm_0"), channels)?,
            query: nin("NIN_0", NIN_SCALE)?,
            key: nin("NIN_1", NIN_SCALE)?,
            value: nin("NIN_2", NIN_SCALE)?,
            out: nin("NIN_3", options.init_scale)?,
            options,
        })
    }

    pub(super) fn param_count(channels: i64) -> u64 {
        GroupNorm::param_count(channels) + 4 * Nin::param_count(channels, channels)
    }

    /// `x` is `[rows, channels, height, width]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (rows, channels, height, width) = x.size4()?;
        let positions = height * width;
        let flat = self.norm.forward(x)?.f_reshape([rows, channels, positions])?;
        // One product for the three maps.
        let weights = [&self.query.weight, &self.key.weight, &self.value.weight];
        let biases = [&self.query.bias, &self.key.bias, &self.value.bias];
        let qkv = pointwise(
            &flat,
            &Tensor::f_cat(&weights, 1)?,
            Some(&Tensor::f_cat(&biases, 0)?),
        )?;
        let part = |number: i64| qkv.f_narrow(1, number * channels, channels);
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let scores =
            product(&query.f_transpose(1, 2)?, &key)?.f_mul_scalar_(1.0 / (channels as f64).sqrt())?;
        let mixed = product(&value, &softmax(&scores)?.f_transpose(1, 2)?)?;
        let out = self.out.forward(&mixed)?;
        self.options.add(out.f_view([rows, channels, height, width])?, x)
    }
}
