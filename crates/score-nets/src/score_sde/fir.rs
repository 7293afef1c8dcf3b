//! Halving and doubling the resolution with a finite impulse response filter (Zhang 2019, arXiv:1904.11486; Karras et
//! al. 2019, arXiv:1912.04958), by padding, depthwise convolution and stride.

use tch::{TchError, Tensor};

use crate::precision;

/// The separable filter `k k^T` with `k` scaled to sum 1.
///
/// The reference zero-fills to raise the resolution, pads, convolves with the filter and keeps every second value to
/// lower it. Here the zeros are never written: doubling is the transpose of a convolution of stride 2. Maps of bf16 are filtered in
/// f32 and rounded: libtorch has no fast depthwise convolutions of bf16 for processors, forward and backward.
#[derive(Debug)]
pub struct Fir {
    /// `[1, 1, taps, taps]`, f32, as a convolution in the sense of signal processing has it.
    kernel: Tensor,
    /// The same with both axes reversed, for libtorch's convolutions, which are correlations.
    reversed: Tensor,
    taps: i64,
}

impl Fir {
    /// The filter with these taps along each axis; their sum must not be 0.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(taps: &[f64]) -> Result<Self, TchError> {
        // In f32, step by step as the reference does, so that filters that are not exact have its bits.
        let taps: Vec<f32> = taps.iter().map(|&tap| tap as f32).collect();
        let outer: Vec<f32> = taps
            .iter()
            .flat_map(|a| taps.iter().map(move |b| a * b))
            .collect();
        let sum: f32 = outer.iter().sum();
        let scaled: Vec<f32> = outer.iter().map(|value| value / sum).collect();
        let size = [1, 1, taps.len() as i64, taps.len() as i64];
        let kernel = Tensor::f_from_slice(&scaled)?.f_view(size)?;
        Ok(Fir {
            reversed: kernel.f_flip([2, 3])?,
            kernel,
            taps: taps.len() as i64,
        })
    }

    /// `[rows, channels, height, width]` to half the height and width, which must be even.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn downsample(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let extra = self.taps - 2;
        self.filter(x, [half(extra + 1), half(extra)], 2)
    }

    /// `[rows, channels, height, width]` to twice the height and width.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn upsample(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (kind, channels) = (x.f_kind()?, x.size4()?.1);
        let x = precision::widened(x)?;
        // Four times the filter: three of four values of the zero-filled map are 0.
        let weight = self.depthwise(&self.kernel, 4.0, channels, &x)?;
        // What the transpose of the convolution has beyond the output, before and after.
        let before = self.taps - 2 - half(self.taps - 1);
        let after = half(self.taps - 1);
        let both = before.min(after).max(0);
        let up = x.f_conv_transpose2d(
            &weight,
            None::<Tensor>,
            [2, 2],
            [both, both],
            [0, 0],
            channels,
            [1, 1],
        )?;
        pad(&up, [both - before, both - after])?.f_to_kind(kind)
    }

    /// A correlation with `weight`, `[output, input, size, size]`, and half the height and width: filtered, then every
    /// second place of the correlation.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn downsample_conv(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        let extra = self.taps - 2 + weight.size4()?.3 - 1;
        let filtered = self.filter(x, [half(extra + 1), half(extra)], 1)?;
        precision::conv2d(&filtered, weight, Some(bias), 2, 0)
    }

    /// Twice the height and width and a correlation with `weight`, `[output, input, size, size]`: the transpose of the
    /// correlation of stride 2 with the reversed weight, then filtered.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn upsample_conv(&self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        let extra = self.taps - 2 - (weight.size4()?.3 - 1);
        let weight = weight.f_flip([2, 3])?.f_transpose(0, 1)?;
        let up = precision::conv_transpose2d(x, &weight, 2)?;
        let filtered = self.filter(&up, [half(extra + 1) + 1, half(extra) + 1], 1)?;
        bias.f_view([1, -1, 1, 1])?.f_add(&filtered.f_mul_scalar(4.0)?)
    }

    /// Pads (or cuts, where negative) both axes, convolves, keeps every `stride`-th value.
    fn filter(&self, x: &Tensor, padding: [i64; 2], stride: i64) -> Result<Tensor, TchError> {
        let (kind, channels) = (x.f_kind()?, x.size4()?.1);
        let x = precision::widened(x)?;
        let weight = self.depthwise(&self.reversed, 1.0, channels, &x)?;
        let both = padding[0].min(padding[1]).max(0);
        let padded = pad(&x, [padding[0] - both, padding[1] - both])?;
        let filtered = padded.f_conv2d(
            &weight,
            None::<Tensor>,
            [stride, stride],
            [both, both],
            [1, 1],
            channels,
        )?;
        filtered.f_to_kind(kind)
    }

    fn depthwise(
        &self,
        kernel: &Tensor,
        gain: f64,
        channels: i64,
        like: &Tensor,
    ) -> Result<Tensor, TchError> {
        let kernel = kernel.f_to_kind(like.kind())?.f_to_device(like.device())?;
        let kernel = match gain == 1.0 {
            true => kernel,
            false => kernel.f_mul_scalar(gain)?,
        };
        kernel.f_expand([channels, 1, self.taps, self.taps], false)
    }
}

/// Zeros before and after both spatial axes; negative numbers cut.
fn pad(x: &Tensor, [before, after]: [i64; 2]) -> Result<Tensor, TchError> {
    match (before, after) {
        (0, 0) => Ok(x.shallow_clone()),
        _ => x.f_constant_pad_nd([before, after, before, after]),
    }
}

/// Half of it, rounded down.
fn half(n: i64) -> i64 {
    n.div_euclid(2)
}
