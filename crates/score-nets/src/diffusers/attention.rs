//! Self-attention over the positions of a feature map.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::layers::{GroupNorm, Linear};
use crate::precision;

/// Names of its parts before the library shared one attention among all its models, and since.
pub(super) const OLD_NAMES: [(&str, &str); 4] = [
    ("query", "to_q"),
    ("key", "to_k"),
    ("value", "to_v"),
    ("proj_attn", "to_out.0"),
];

/// What such a layer is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionSpec {
    pub(super) channels: i64,
    /// Channels a head.
    pub(super) head: i64,
    /// Groups of the normalisation; none: no normalisation.
    pub(super) groups: Option<i64>,
    pub(super) eps: f64,
    /// The sum with the residual is divided by this.
    pub(super) scale: f64,
}

impl AttentionSpec {
    fn heads(&self) -> i64 {
        self.channels / self.head
    }

    /// Channels of queries, keys and values: less than `channels` where `head` does not divide them.
    fn inner(&self) -> i64 {
        self.heads() * self.head
    }

    pub(super) fn param_count(&self) -> u64 {
        let norm = self.groups.map_or(0, |_| GroupNorm::param_count(self.channels));
        norm + 3 * Linear::param_count(self.channels, self.inner())
            + Linear::param_count(self.inner(), self.channels)
    }
}

/// `(x + W_o softmax(q k^T / sqrt(head)) v + b_o) / scale`, with `q, k, v` linear in the normalised map (Vaswani et
/// al. 2017, arXiv:1706.03762; in U-Nets Ho et al. 2020, arXiv:2006.11239). Cost: the square of the number of
/// positions.
#[derive(Debug)]
pub(super) struct Attention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    spec: AttentionSpec,
}

impl Attention {
    pub(super) fn new(vs: &Path, spec: AttentionSpec) -> Result<Self, TchError> {
        let (channels, inner) = (spec.channels, spec.inner());
        Ok(Attention {
            group_norm: match spec.groups {
                Some(groups) => Some(GroupNorm::new(&(vs / "group_norm"), channels, groups, spec.eps)?),
                None => None,
            },
            to_q: Linear::new(&(vs / "to_q"), channels, inner)?,
            to_k: Linear::new(&(vs / "to_k"), channels, inner)?,
            to_v: Linear::new(&(vs / "to_v"), channels, inner)?,
            to_out: Linear::new(&(vs / "to_out" / 0), inner, channels)?,
            spec,
        })
    }

    /// `x` is `[rows, channels, height, width]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = x.size();
        let (rows, channels, positions) = (size[0], size[1], size[2] * size[3]);
        let mut flat = x.f_reshape([rows, channels, positions])?;
        if let Some(norm) = &self.group_norm {
            flat = norm.forward(&flat)?;
        }
        let flat = flat.f_transpose(1, 2)?;
        let heads = |part: &Linear| {
            part.forward(&flat)?
                .f_view([rows, positions, self.spec.heads(), self.spec.head])?
                .f_transpose(1, 2)
        };
        let (q, k, v) = (heads(&self.to_q)?, heads(&self.to_k)?, heads(&self.to_v)?);
        let mixed = precision::attention(&q, &k, &v)?.f_transpose(1, 2)?.f_reshape([
            rows,
            positions,
            self.spec.inner(),
        ])?;
        let out = self.to_out.forward(&mixed)?.f_transpose(1, 2)?;
        let mut out = out.f_reshape(size.as_slice())?.f_add(x)?;
        match self.spec.scale {
            1.0 => Ok(out),
            scale => out.f_div_scalar_(scale),
        }
    }
}
