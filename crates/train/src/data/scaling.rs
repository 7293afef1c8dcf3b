//! The affine map between the values of a data set and those that a model works with.

use score_nets::card::DataCard;
use serde::{Deserialize, Serialize};
use solvers::SolveError;
use solvers::likelihood::Quantisation;

/// `data.scaling`. The usual choice is `symmetric` for VP and subVP, `unit` for VE (Song et al. 2021, appendix C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingKind {
    /// The range of the data to [-1, 1].
    Symmetric,
    /// The range of the data to [0, 1].
    Unit,
    /// Mean 0 and standard deviation 1 over all values of the data set.
    ZScore,
    /// As they are.
    None,
}

/// `model = (raw - shift) factor`, and what images need to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    shift: f64,
    factor: f64,
    /// Raw values that count as black and white in pictures.
    range: (f64, f64),
    levels: Option<u32>,
}

impl Scaling {
    /// For images of `levels` grey levels, raw values 0 to `levels - 1`; `mean` and `std` are those of the raw
    /// values. Dequantised values fill `[0, levels)`.
    pub fn image(kind: ScalingKind, levels: u32, dequantise: bool, mean: f64, std: f64) -> Self {
        let top = if dequantise {
            f64::from(levels)
        } else {
            f64::from(levels) - 1.0
        };
        // A level is drawn in the middle of what dequantisation spreads it over.
        let range = if dequantise { (0.5, top - 0.5) } else { (0.0, top) };
        let (mean, std) = if dequantise {
            (mean + 0.5, (std * std + 1.0 / 12.0).sqrt())
        } else {
            (mean, std)
        };
        Scaling {
            levels: Some(levels),
            range,
            ..Self::affine(kind, (0.0, top), mean, std)
        }
    }

    /// For real values with the given range, mean and standard deviation.
    pub fn series(kind: ScalingKind, range: (f64, f64), mean: f64, std: f64) -> Self {
        Self::affine(kind, range, mean, std)
    }

    /// As a model card states it.
    pub fn of_card(card: &DataCard) -> Self {
        Scaling {
            shift: card.shift,
            factor: card.factor,
            range: (card.range[0], card.range[1]),
            levels: card.levels,
        }
    }

    /// For a model card of data of this shape.
    pub fn to_card(&self, shape: &[i64]) -> DataCard {
        DataCard {
            shape: shape.to_vec(),
            shift: self.shift,
            factor: self.factor,
            range: [self.range.0, self.range.1],
            levels: self.levels,
        }
    }

    fn affine(kind: ScalingKind, range: (f64, f64), mean: f64, std: f64) -> Self {
        let (low, high) = range;
        let (shift, factor) = match kind {
            ScalingKind::Symmetric => (0.5 * (low + high), 2.0 / (high - low)),
            ScalingKind::Unit => (low, 1.0 / (high - low)),
            ScalingKind::ZScore => (mean, 1.0 / std),
            ScalingKind::None => (0.0, 1.0),
        };
        Scaling {
            shift,
            factor,
            range,
            levels: None,
        }
    }

    /// The model's value.
    pub fn to_model(&self, raw: f64) -> f64 {
        (raw - self.shift) * self.factor
    }

    /// The raw value.
    pub fn to_raw(&self, model: f64) -> f64 {
        model / self.factor + self.shift
    }

    /// Number of levels of quantised data (images).
    pub fn levels(&self) -> Option<u32> {
        self.levels
    }

    /// Whether the data are levels that training dequantised: such rows are drawn from the middle of the first level to the middle of
    /// the last.
    pub fn is_dequantised(&self) -> bool {
        self.levels.is_some() && self.range.0 > 0.0
    }

    /// How the levels of quantised data lie in the model's scale: dequantised, they fill what they filled in training, or, where
    /// training saw bare levels, the range of those. `None` for real values.
    pub fn quantisation(&self) -> Option<Result<Quantisation, SolveError>> {
        let levels = self.levels?;
        let top = f64::from(levels) - if self.is_dequantised() { 0.0 } else { 1.0 };
        Some(Quantisation::new(levels, self.to_model(0.0), self.to_model(top)))
    }

    /// Model units a raw unit.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// The raw values between which the data lie.
    pub fn raw_range(&self) -> (f64, f64) {
        self.range
    }

    /// The values in the model's scale between which the data lie, black and white for images.
    pub fn model_range(&self) -> (f64, f64) {
        (self.to_model(self.range.0), self.to_model(self.range.1))
    }

    /// The level of a picture, without end and without rounding: the ends of the data's range are 0 and 255.
    pub fn to_level(&self, model: f32) -> f64 {
        let (low, high) = self.range;
        (self.to_raw(f64::from(model)) - low) * (255.0 / (high - low))
    }

    /// Bytes of a picture: the data's range to 0 to 255, clamped, rounded to the nearest; NaN becomes 0.
    pub fn to_bytes(&self, model: &[f32]) -> Vec<u8> {
        let byte = |&value: &f32| self.to_level(value).round().clamp(0.0, 255.0) as u8;
        model.iter().map(byte).collect()
    }
}
