//! Mixed precision: matrix products and convolutions in bf16, everything that is kept in f32.
//!
//! bf16 has the range of f32 and 8 bits of precision (Kalamkar et al. 2019, arXiv:1905.12322). Parameters, their gradients and the
//! optimiser's state stay f32; each layer rounds its input and its parameters to bf16 for the product, which is summed in f32 and
//! rounded once, and hands bf16 on, so that what lies between the layers is half as large (mixed precision with master weights,
//! Micikevicius et al. 2018, arXiv:1710.03740; no loss scaling, since the range is that of f32). Which operations those are follows
//! PyTorch's autocast: linear maps, convolutions, products of matrices. Normalisations take bf16 and compute in f32, softmax gives
//! f32, sums of two types have the wider one, and the output of the network has the type of its input.
//!
//! The layers ask the thread that evaluates them, see [`Precision::scope`]: no network knows its precision. [`Autocast`] is a network
//! with one. On a processor libtorch's own autocast cannot be switched on through `tch`; this works on every device.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::first_line;
use crate::{Given, NetError, ScoreNet, twice};

/// The arithmetic of matrix products and convolutions of f32 tensors. Tensors of other types are computed as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As the tensors are.
    #[default]
    F32,
    /// Factors rounded to bf16, sums in f32, results in bf16.
    Bf16,
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Puts the precision back that was before, also when a panic passes.
struct Restore(Precision);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl Precision {
    /// Both.
    pub const ALL: [Precision; 2] = [Precision::F32, Precision::Bf16];

    /// As it is written in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// Runs `f` with the layers of this thread in this precision. The backward pass needs no scope: it has the types of the forward
    /// pass.
    pub fn scope<T>(self, f: impl FnOnce() -> T) -> T {
        let _restore = Restore(CURRENT.replace(self));
        f()
    }

    /// That of the innermost scope around the caller, [`Precision::F32`] outside of all.
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Tries a small convolution and its gradient.
    ///
    /// # Errors
    /// [`NetError::Value`] where libtorch cannot compute in this precision on this device.
    pub fn check(self, device: Device) -> Result<(), NetError> {
        let attempt = || -> Result<(), TchError> {
            let weight = Tensor::f_ones([2, 2, 3, 3], (Kind::Float, device))?.f_set_requires_grad(true)?;
            let x = Tensor::f_ones([1, 2, 4, 4], (Kind::Float, device))?;
            let out = conv2d(&x, &weight, None, 1, 1)?.f_flatten(1, -1)?;
            let out = product(&out.f_unsqueeze(2)?, &out.f_unsqueeze(1)?)?;
            out.f_sum(Kind::Float)?.f_backward()?;
            weight.f_grad()?.f_sum(Kind::Float)?.f_double_value(&[]).map(drop)
        };
        match self {
            Precision::F32 => Ok(()),
            Precision::Bf16 => tch::with_grad(|| self.scope(attempt)).map_err(|error| NetError::Value {
                what: "precision",
                value: self.name().into(),
                need: format!(
                    "f32: libtorch cannot compute in bf16 on {device:?} ({})",
                    first_line(&error)
                ),
            }),
        }
    }

    /// What the user of a processor should know before choosing this.
    pub fn note(self, device: Device) -> Option<&'static str> {
        (self == Precision::Bf16 && device == Device::Cpu && !processor_has_bf16()).then_some(
            "this processor has no bf16 instructions: precision bf16 is likely slower than f32 here",
        )
    }
}

fn processor_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

/// A network in a precision: it computes inside [`Precision::scope`], and its output has the type of its input. Reaches the layers
/// of this crate, and those of other networks that call the functions of this module; not TorchScript modules.
#[derive(Debug)]
pub struct Autocast {
    net: Box<dyn ScoreNet>,
    precision: Precision,
}

impl Autocast {
    /// `net`, whose parameters are f32, in this precision.
    pub fn new(net: Box<dyn ScoreNet>, precision: Precision) -> Self {
        Autocast { net, precision }
    }

    /// The network itself, outside of the scope.
    pub fn net(&self) -> &dyn ScoreNet {
        self.net.as_ref()
    }

    /// Its precision.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

impl ScoreNet for Autocast {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        let out = self.precision.scope(|| self.net.forward(x, time, train))?;
        Ok(out.f_to_kind(x.f_kind()?)?)
    }

    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        let out = self
            .precision
            .scope(|| self.net.forward_given(x, time, given, train))?;
        Ok(out.f_to_kind(x.f_kind()?)?)
    }

    fn classes(&self) -> i64 {
        self.net.classes()
    }
}

/// A factor of a product.
fn factor(tensor: &Tensor) -> Result<Tensor, TchError> {
    match (Precision::current(), tensor.f_kind()?) {
        (Precision::Bf16, Kind::Float) => tensor.f_to_kind(Kind::BFloat16),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// `x W^T + b` on the last axis.
///
/// # Errors
/// When libtorch fails, as in all functions of this module.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
    factor(x)?.f_linear(&factor(weight)?, Some(&factor(bias)?))
}

/// `base + x W^T` of rows `[rows, size]`: in f32 one product that starts from `base`, without a pass for the sum.
///
/// # Errors
/// As [`linear`].
pub fn linear_onto(base: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    let (x, weight) = (factor(x)?, factor(weight)?);
    match Precision::current() {
        Precision::F32 => base.f_addmm(&x, &weight.f_tr()?),
        Precision::Bf16 => base.f_add(&x.f_mm(&weight.f_tr()?)?),
    }
}

/// A convolution of `[rows, channels, length]`.
///
/// # Errors
/// As [`linear`].
pub fn conv1d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: i64,
) -> Result<Tensor, TchError> {
    let bias = bias.map(factor).transpose()?;
    factor(x)?.f_conv1d(&factor(weight)?, bias.as_ref(), stride, padding, 1, 1)
}

/// A convolution of `[rows, channels, height, width]`, the same stride and padding along both axes.
///
/// # Errors
/// As [`linear`].
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: i64,
) -> Result<Tensor, TchError> {
    let bias = bias.map(factor).transpose()?;
    let (stride, padding) = ([stride; 2], [padding; 2]);
    factor(x)?.f_conv2d(&factor(weight)?, bias.as_ref(), stride, padding, [1, 1], 1)
}

/// The transpose of a convolution of `[rows, channels, height, width]`, without bias and padding.
///
/// # Errors
/// As [`linear`].
pub fn conv_transpose2d(x: &Tensor, weight: &Tensor, stride: i64) -> Result<Tensor, TchError> {
    let none: Option<&Tensor> = None;
    factor(x)?.f_conv_transpose2d(&factor(weight)?, none, [stride; 2], [0, 0], [0, 0], 1, [1, 1])
}

/// Products of the matrices of two batches.
///
/// # Errors
/// As [`linear`].
pub fn product(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    factor(a)?.f_bmm(&factor(b)?)
}

/// Softmax of the last axis; of bf16 in f32.
///
/// # Errors
/// As [`linear`].
pub fn softmax(x: &Tensor) -> Result<Tensor, TchError> {
    let wide = (x.f_kind()? == Kind::BFloat16).then_some(Kind::Float);
    x.f_softmax(-1, wide)
}

/// Attention, `softmax(q k^T / sqrt(size)) v` for `[..., positions, size]`, in the type of `q`, `k` and `v`; of bf16 in f32, and to
/// f32, on a processor where gradients are wanted: those of libtorch's bf16 kernel take six times as long as those in f32. In one fused
/// pass, but for [`twice_differentiable`](crate::twice_differentiable) evaluations, which are made of steps in f32 or f64.
///
/// # Errors
/// As [`linear`].
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
    let fused = |q: &Tensor, k: &Tensor, v: &Tensor| {
        let none: Option<&Tensor> = None;
        Tensor::f_scaled_dot_product_attention(q, k, v, none, 0.0, false, None, false)
    };
    if twice::wanted() {
        let (q, k, v) = (widened(q)?, widened(k)?, widened(v)?);
        let size = q.size().last().copied().unwrap_or(1) as f64;
        let scores = q
            .f_mul_scalar(size.powf(-0.5))?
            .f_matmul(&k.f_transpose(-2, -1)?)?;
        return scores.f_softmax(-1, None)?.f_matmul(&v);
    }
    let slow = q.f_kind()? == Kind::BFloat16 && q.device() == Device::Cpu && q.requires_grad();
    match slow {
        true => fused(&widened(q)?, &widened(k)?, &widened(v)?),
        false => fused(q, k, v),
    }
}

/// f32 in the place of bf16.
pub(crate) fn widened(x: &Tensor) -> Result<Tensor, TchError> {
    match x.f_kind()? {
        Kind::BFloat16 => x.f_to_kind(Kind::Float),
        _ => Ok(x.shallow_clone()),
    }
}

/// What a normalisation with the factors `weight` takes. libtorch's kernels for processors take bf16 values with f32 factors, compute
/// in f32 and give bf16; on other devices values and factors must have one type, so that f32 goes in and out.
pub(crate) fn norm_input(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    match weight.f_kind()? {
        Kind::Float if x.device() != Device::Cpu => widened(x),
        _ => Ok(x.shallow_clone()),
    }
}
