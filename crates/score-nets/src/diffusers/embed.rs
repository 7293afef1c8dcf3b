//! The embeddings of the time and of the class.

use std::f64::consts::PI;

use tch::nn::{Init, Path};
use tch::{Device, Kind, TchError, Tensor};

use super::layers::Linear;
use crate::NetError;

/// Which numbers the time becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TimeSpec {
    /// Sines and cosines; `size` of them, a zero more where it is odd.
    Positional { size: i64, shift: f64, cos_first: bool },
    /// `2 size` sines and cosines of the logarithm, frequencies drawn once.
    Fourier { size: i64 },
    /// A row of a table of `count` rows.
    Learned { size: i64, count: i64 },
}

impl TimeSpec {
    /// How many numbers.
    pub(super) fn width(&self) -> i64 {
        match *self {
            TimeSpec::Positional { size, .. } | TimeSpec::Learned { size, .. } => size,
            TimeSpec::Fourier { size } => 2 * size,
        }
    }

    pub(super) fn param_count(&self) -> u64 {
        match *self {
            TimeSpec::Learned { size, count } => (size * count) as u64,
            _ => 0,
        }
    }
}

/// The network's time input as a vector.
#[derive(Debug)]
pub(super) enum TimeProjection {
    /// Vaswani et al. 2017, arXiv:1706.03762, as in Ho et al. 2020, arXiv:2006.11239.
    Positional {
        frequencies: Tensor,
        cos_first: bool,
        pad: bool,
    },
    /// Tancik et al. 2020, arXiv:2006.10739, as in NCSN++ of Song et al. 2021, arXiv:2011.13456.
    Fourier {
        weight: Tensor,
    },
    Learned {
        weight: Tensor,
    },
}

/// Standard deviation of the Fourier frequencies, per unit of the natural logarithm.
const FOURIER_SCALE: f64 = 16.0;

impl TimeProjection {
    pub(super) fn new(vs: &Path, spec: TimeSpec) -> Result<Self, TchError> {
        Ok(match spec {
            TimeSpec::Positional {
                size,
                shift,
                cos_first,
            } => {
                let half = size / 2;
                // In f32 whatever the network's type is, in the order of the reference: for times near a thousand the
                // rounding of a frequency shows in the fifth digit of a sine.
                let exponent = Tensor::f_arange(half, (Kind::Float, Device::Cpu))?
                    .f_mul_scalar(-(10_000.0_f64.ln()))?
                    .f_div_scalar(half as f64 - shift)?;
                TimeProjection::Positional {
                    frequencies: exponent.f_exp()?.f_to_device(vs.device())?,
                    cos_first,
                    pad: size % 2 == 1,
                }
            }
            TimeSpec::Fourier { size } => {
                let draws = Tensor::f_randn(size, (Kind::Float, Device::Cpu))?.f_mul_scalar(FOURIER_SCALE)?;
                let weight = draws.f_to_kind(vs.kind())?.f_to_device(vs.device())?;
                TimeProjection::Fourier {
                    weight: vs.add("weight", weight, false),
                }
            }
            TimeSpec::Learned { size, count } => TimeProjection::Learned {
                weight: table(vs, count, size)?,
            },
        })
    }

    /// `time` is `[rows]`, called `what` in errors; the result `[rows, width]`.
    pub(super) fn forward(&self, time: &Tensor, what: &'static str) -> Result<Tensor, NetError> {
        Ok(match self {
            TimeProjection::Positional {
                frequencies,
                cos_first,
                pad,
            } => {
                let frequencies = frequencies.f_to_device(time.device())?;
                let phase = time.f_to_kind(Kind::Float)?.f_unsqueeze(1)?.f_mul(&frequencies)?;
                let (sin, cos) = (phase.f_sin()?, phase.f_cos()?);
                let parts = if *cos_first { [&cos, &sin] } else { [&sin, &cos] };
                let features = Tensor::f_cat(&parts, 1)?;
                match pad {
                    true => features.f_constant_pad_nd([0, 1])?,
                    false => features,
                }
            }
            TimeProjection::Fourier { weight } => {
                check_positive(time, what)?;
                let phase = time
                    .f_to_kind(weight.f_kind()?)?
                    .f_log()?
                    .f_unsqueeze(1)?
                    .f_mul(weight)?
                    .f_mul_scalar(2.0)?
                    .f_mul_scalar(PI)?;
                Tensor::f_cat(&[phase.f_sin()?, phase.f_cos()?], 1)?
            }
            TimeProjection::Learned { weight } => look_up(weight, &time.f_round()?, 0, what)?,
        })
    }
}

/// Refuses numbers without a logarithm, which would end in NaN. On a processor only: other devices would have to be
/// waited for.
fn check_positive(numbers: &Tensor, what: &'static str) -> Result<(), NetError> {
    if numbers.device() != Device::Cpu || numbers.numel() == 0 {
        return Ok(());
    }
    let low = numbers.f_min()?.f_double_value(&[])?;
    if low > 0.0 {
        return Ok(());
    }
    Err(NetError::Value {
        what,
        value: low.to_string(),
        need: "a number above 0: a Fourier embedding takes its logarithm".into(),
    })
}

/// A table of `count` rows of standard normals.
fn table(vs: &Path, count: i64, size: i64) -> Result<Tensor, TchError> {
    let normal = Init::Randn {
        mean: 0.0,
        stdev: 1.0,
    };
    vs.f_var("weight", &[count, size], normal)
}

/// Rows of a table by numbers that are whole and not below `least`; zeros for those below 0.
fn look_up(table: &Tensor, numbers: &Tensor, least: i64, what: &'static str) -> Result<Tensor, NetError> {
    let count = table.size()[0];
    let rows = numbers.f_to_kind(Kind::Int64)?;
    let outside = rows
        .f_lt(least)?
        .f_logical_or(&rows.f_ge(count)?)?
        .f_logical_or(&rows.f_to_kind(numbers.f_kind()?)?.f_ne_tensor(numbers)?)?;
    if rows.numel() > 0 && outside.f_any()?.f_int64_value(&[])? != 0 {
        let shown = numbers.f_to_kind(Kind::Double)?;
        let first = shown.f_masked_select(&outside)?.f_double_value(&[0])?;
        return Err(NetError::Value {
            what,
            value: first.to_string(),
            need: format!("a whole number from {least} to {}", count - 1),
        });
    }
    if least == 0 {
        return Ok(Tensor::f_embedding(table, &rows, -1, false, false)?);
    }
    let told = rows.f_ge(0)?.f_unsqueeze(1)?.f_to_kind(table.f_kind()?)?;
    Ok(Tensor::f_embedding(table, &rows.f_clamp_min(0)?, -1, false, false)?.f_mul(&told)?)
}

/// `linear_2(silu(linear_1(x)))`.
#[derive(Debug)]
pub(super) struct Embedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl Embedding {
    pub(super) fn new(vs: &Path, input: i64, embed: i64) -> Result<Self, TchError> {
        Ok(Embedding {
            linear_1: Linear::new(&(vs / "linear_1"), input, embed)?,
            linear_2: Linear::new(&(vs / "linear_2"), embed, embed)?,
        })
    }

    pub(super) fn param_count(input: i64, embed: i64) -> u64 {
        Linear::param_count(input, embed) + Linear::param_count(embed, embed)
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.linear_2.forward(&self.linear_1.forward(x)?.f_silu()?)
    }
}

/// What a class label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassSpec {
    /// One of `count` classes.
    Table { count: i64 },
    /// A number, embedded as the time is.
    Timestep,
    /// The embedding itself.
    Identity,
}

/// Stands for a class that is not told: nothing is added to the embedding of the time.
pub(super) const UNTOLD: i64 = -1;

#[derive(Debug)]
pub(super) enum ClassEmbedding {
    Table(Tensor),
    Timestep(Embedding),
    Identity,
}

impl ClassSpec {
    /// Number of parameters, with `width` numbers of the time and an embedding of size `embed`.
    pub(super) fn param_count(&self, width: i64, embed: i64) -> u64 {
        match *self {
            ClassSpec::Table { count } => (count * embed) as u64,
            ClassSpec::Timestep => Embedding::param_count(width, embed),
            ClassSpec::Identity => 0,
        }
    }
}

/// Refuses numbers that stand for a class that is not told, where every number has an embedding.
fn refuse_untold(labels: &Tensor) -> Result<(), NetError> {
    if labels.numel() == 0 || labels.f_eq(UNTOLD)?.f_any()?.f_int64_value(&[])? == 0 {
        return Ok(());
    }
    Err(NetError::Value {
        what: "class label",
        value: UNTOLD.to_string(),
        need: "a label for each row: class_embed_type \"timestep\" has none for classes that are not told"
            .into(),
    })
}

impl ClassEmbedding {
    pub(super) fn new(vs: &Path, spec: ClassSpec, width: i64, embed: i64) -> Result<Self, TchError> {
        Ok(match spec {
            ClassSpec::Table { count } => ClassEmbedding::Table(table(vs, count, embed)?),
            ClassSpec::Timestep => ClassEmbedding::Timestep(Embedding::new(vs, width, embed)?),
            ClassSpec::Identity => ClassEmbedding::Identity,
        })
    }

    /// `[rows, embed]` (or one row) of the labels, see [`ClassSpec`].
    pub(super) fn forward(
        &self,
        labels: &Tensor,
        (rows, embed): (i64, i64),
        time: &TimeProjection,
        kind: Kind,
    ) -> Result<Tensor, NetError> {
        let mut need = vec![rows];
        if matches!(self, ClassEmbedding::Identity) {
            need.push(embed);
        }
        let got = labels.size();
        if got != need && !(got.first() == Some(&1) && got[1..] == need[1..]) {
            return Err(NetError::Shape {
                what: "class labels",
                got,
                need: format!("{need:?}, or one row"),
            });
        }
        Ok(match self {
            ClassEmbedding::Table(table) => look_up(table, labels, UNTOLD, "class label")?,
            ClassEmbedding::Timestep(embedding) => {
                refuse_untold(labels)?;
                embedding.forward(&time.forward(labels, "class label")?.f_to_kind(kind)?)?
            }
            ClassEmbedding::Identity => labels.f_to_kind(kind)?,
        })
    }
}
