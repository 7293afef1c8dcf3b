//! Self-attention over the positions of a feature map.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::{Conv, GroupNorm, Space};
use crate::precision::{product, softmax};

/// `x + proj(softmax(q^T k / sqrt(d)) v)` with `q, k, v` from a 1x1 convolution of the normalised map (without
/// bias: that of `k` would change nothing), over all positions of a row (Vaswani et al. 2017, arXiv:1706.03762; in U-Nets Ho et al. 2020, arXiv:2006.11239). The
/// projection starts near zero. Cost: the square of the number of positions.
#[derive(Debug)]
pub struct Attention {
    norm: GroupNorm,
    qkv: Conv,
    proj: Conv,
    channels: i64,
    head: i64,
}

impl Attention {
    /// `head` channels a head; it must divide `channels`. Rows of the `qkv` weight are ordered head by head.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, channels: i64, head: i64, groups: i64) -> Result<Self, TchError> {
        Ok(Attention {
            norm: GroupNorm::new(&(vs / "norm"), channels, groups)?,
            qkv: Conv::pointwise(&(vs / "qkv"), Space::Line, channels, 3 * channels)?,
            proj: Conv::new(&(vs / "proj"), Space::Line, channels, channels, 1, 1, 0.0)?,
            channels,
            head,
        })
    }

    /// Number of parameters of such a layer.
    pub fn param_count(channels: i64) -> u64 {
        GroupNorm::param_count(channels)
            + 3 * (channels * channels) as u64
            + Conv::param_count(Space::Line, channels, channels, 1)
    }

    /// `x` is `[rows, channels, ...]`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        let (rows, positions) = (size[0], size[2..].iter().product::<i64>());
        let (heads, head) = (self.channels / self.head, self.head);
        let flat = self
            .norm
            .forward(x)?
            .f_reshape([rows, self.channels, positions])?;
        // One view for all heads, no copy: [rows * heads, 3, head, positions].
        let qkv = self
            .qkv
            .forward(&flat)?
            .f_view([rows * heads, 3, head, positions])?;
        let (q, k, v) = (qkv.f_select(1, 0)?, qkv.f_select(1, 1)?, qkv.f_select(1, 2)?);
        let scale = 1.0 / (head as f64).sqrt();
        let scores = product(&q.f_transpose(1, 2)?.f_mul_scalar(scale)?, &k)?;
        let mixed = product(&v, &softmax(&scores)?.f_transpose(1, 2)?)?;
        let out = self
            .proj
            .forward(&mixed.f_view([rows, self.channels, positions])?)?;
        out.f_reshape(size.as_slice())?.f_add_(x)
    }
}
