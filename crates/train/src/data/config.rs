//! `[data]`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use sde_core::ConfigError;

use super::{CifarConfig, EmojiConfig, ImageFolderConfig, NpyConfig, ScalingKind, UcrConfig};

/// `[data]`: which data set, and how its values are scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataConfig {
    /// The 1,797 embedded digits.
    Digits(DigitsConfig),
    /// MNIST.
    Mnist(MnistConfig),
    /// Fashion-MNIST.
    FashionMnist(MnistConfig),
    /// CIFAR-10.
    Cifar10(CifarConfig),
    /// Images of a folder.
    ImageFolder(ImageFolderConfig),
    /// Noto emoji.
    Emoji(EmojiConfig),
    /// Series of the UCR and UEA archives.
    Ucr(UcrConfig),
    /// Arrays of NumPy.
    Npy(NpyConfig),
    /// Series from a CSV file.
    Csv(CsvConfig),
    /// Made-up series.
    #[serde(rename = "synthetic-1d")]
    Synthetic1d(Synthetic1dConfig),
    /// Made-up points in the plane.
    #[serde(rename = "toy-2d")]
    Toy2d(Toy2dConfig),
}

impl DataConfig {
    /// The kind, as in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            DataConfig::Digits(_) => "digits",
            DataConfig::Mnist(_) => "mnist",
            DataConfig::FashionMnist(_) => "fashion-mnist",
            DataConfig::Cifar10(_) => "cifar10",
            DataConfig::ImageFolder(_) => "image-folder",
            DataConfig::Emoji(_) => "emoji",
            DataConfig::Ucr(_) => "ucr",
            DataConfig::Npy(_) => "npy",
            DataConfig::Csv(_) => "csv",
            DataConfig::Synthetic1d(_) => "synthetic-1d",
            DataConfig::Toy2d(_) => "toy-2d",
        }
    }

    /// The path given, of kinds that have one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            DataConfig::Mnist(c) | DataConfig::FashionMnist(c) => c.path.as_deref(),
            DataConfig::Cifar10(c) => Some(&c.path),
            DataConfig::ImageFolder(c) => Some(&c.path),
            DataConfig::Ucr(c) => c.path.as_deref(),
            DataConfig::Npy(c) => Some(&c.path),
            DataConfig::Csv(c) => Some(&c.path),
            DataConfig::Digits(_)
            | DataConfig::Emoji(_)
            | DataConfig::Synthetic1d(_)
            | DataConfig::Toy2d(_) => None,
        }
    }

    /// Checks the ranges of the values.
    ///
    /// # Errors
    /// [`ConfigError`] with the first key whose value is refused.
    pub fn check(&self) -> Result<(), ConfigError> {
        let need = |ok: bool, key: &str, value: String, reason: &str| match ok {
            true => Ok(()),
            false => Err(ConfigError::new(format!("data.{key}"), value, reason)),
        };
        // What is added to values that are held in single precision.
        let natural = |v: f64| (0.0..=1e30).contains(&v);
        let rows_ok = |rows: u64| (2..=1 << 30).contains(&rows);
        const ROWS: &str = "need 2 or more rows, at most 2^30";
        const MOST_VALUES: u64 = 1 << 31;
        const NOISE: &str = "need 0 or a positive number, at most 1e30";
        if self.path().is_some_and(|path| path.as_os_str().is_empty()) {
            return need(false, "path", "\"\"".to_owned(), "need a path");
        }
        match self {
            DataConfig::Digits(_)
            | DataConfig::Mnist(_)
            | DataConfig::FashionMnist(_)
            | DataConfig::Cifar10(_)
            | DataConfig::Ucr(_)
            | DataConfig::Npy(_) => Ok(()),
            DataConfig::Emoji(c) => {
                let ok = [8, 16, 32, 64].contains(&c.size);
                need(ok, "size", c.size.to_string(), "need 64, 32, 16 or 8")
            }
            DataConfig::ImageFolder(c) => {
                let size = c.size.unwrap_or([1, 1]);
                let ok = size.iter().all(|side| (1..=1 << 14).contains(side));
                need(
                    ok,
                    "size",
                    format!("{size:?}"),
                    "need [height, width], each 1 to 16384",
                )?;
                let ok = [1, 3].contains(&c.channels);
                need(
                    ok,
                    "channels",
                    c.channels.to_string(),
                    "need 1 (grey) or 3 (colours)",
                )
            }
            DataConfig::Csv(c) => {
                let ok = c.delimiter.is_ascii() && !"\r\n\"".contains(c.delimiter);
                need(
                    ok,
                    "delimiter",
                    format!("{:?}", c.delimiter),
                    "need one ASCII character, no quote or line end",
                )
            }
            DataConfig::Synthetic1d(c) => {
                need(rows_ok(c.rows), "rows", c.rows.to_string(), ROWS)?;
                let length = (2..=1 << 20).contains(&c.length);
                need(
                    length,
                    "length",
                    c.length.to_string(),
                    "need 2 or more points, at most 2^20",
                )?;
                let values = c.rows.saturating_mul(c.length) <= MOST_VALUES;
                need(
                    values,
                    "rows",
                    c.rows.to_string(),
                    "rows times data.length must be at most 2^31 values",
                )?;
                let count = (1..=100).contains(&c.components);
                need(count, "components", c.components.to_string(), "need 1 to 100")?;
                need(
                    natural(c.min_cycles),
                    "min_cycles",
                    c.min_cycles.to_string(),
                    NOISE,
                )?;
                let above = c.max_cycles >= c.min_cycles && natural(c.max_cycles);
                need(
                    above,
                    "max_cycles",
                    c.max_cycles.to_string(),
                    "need at least data.min_cycles, at most 1e30",
                )?;
                need(natural(c.noise), "noise", c.noise.to_string(), NOISE)
            }
            DataConfig::Toy2d(c) => {
                need(rows_ok(c.rows), "rows", c.rows.to_string(), ROWS)?;
                let noise = c.noise.unwrap_or(0.0);
                need(natural(noise), "noise", noise.to_string(), NOISE)?;
                let parts = c.components.unwrap_or(1);
                need(
                    (1..=1000).contains(&parts),
                    "components",
                    parts.to_string(),
                    "need 1 to 1000",
                )
            }
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig::Digits(DigitsConfig::default())
    }
}

/// `kind = "digits"`: 1,797 real handwritten digits of 8x8 pixels with 17 grey levels, embedded in the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DigitsConfig {
    /// Range of the values.
    pub scaling: ScalingKind,
    /// Whether uniform noise of one grey level is added (Theis et al. 2016, arXiv:1511.01844).
    pub dequantise: bool,
}

impl Default for DigitsConfig {
    fn default() -> Self {
        DigitsConfig {
            scaling: ScalingKind::Symmetric,
            dequantise: false,
        }
    }
}

/// `kind = "mnist"` and `kind = "fashion-mnist"`: 60,000 and 10,000 images of 28x28 pixels in ten classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MnistConfig {
    /// Which images.
    pub split: Split,
    /// Folder with the IDX files, or one file of images; the cache if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Range of the values.
    pub scaling: ScalingKind,
    /// Whether uniform noise of one grey level is added.
    pub dequantise: bool,
}

impl Default for MnistConfig {
    fn default() -> Self {
        MnistConfig {
            split: Split::Train,
            path: None,
            scaling: ScalingKind::Symmetric,
            dequantise: false,
        }
    }
}

/// Part of a data set that comes in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The training part.
    Train,
    /// The test part.
    Test,
}

/// `kind = "csv"`: a line is a series, all of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The file, plain or gzip.
    pub path: PathBuf,
    /// Whether the first line is a header; if absent, it is one when no cell of it is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// What lies between two values.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Range of the values.
    #[serde(default = "z_score")]
    pub scaling: ScalingKind,
}

fn comma() -> char {
    ','
}

fn z_score() -> ScalingKind {
    ScalingKind::ZScore
}

/// `kind = "synthetic-1d"`: series made of a few waves; see [`super::synthetic_1d`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Synthetic1dConfig {
    /// The waves.
    pub form: SeriesForm,
    /// Number of series, 2 or more.
    pub rows: u64,
    /// Points of a series, 2 or more.
    pub length: u64,
    /// Largest number of waves in a series; each series has 1 to this many, which is its class.
    pub components: u32,
    /// Fewest periods of a wave over the series.
    pub min_cycles: f64,
    /// Most periods of a wave over the series.
    pub max_cycles: f64,
    /// Standard deviation of the white noise added, in units of the waves.
    pub noise: f64,
    /// Seed of the series, apart from the run's.
    pub seed: u64,
    /// Range of the values.
    pub scaling: ScalingKind,
}

impl Default for Synthetic1dConfig {
    fn default() -> Self {
        Synthetic1dConfig {
            form: SeriesForm::Sines,
            rows: 4096,
            length: 64,
            components: 3,
            min_cycles: 1.0,
            max_cycles: 5.0,
            noise: 0.0,
            seed: 0,
            scaling: ScalingKind::ZScore,
        }
    }
}

/// What a made-up series is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesForm {
    /// Sine waves of random frequency, phase and amplitude.
    Sines,
    /// Sine waves whose frequency changes linearly along the series.
    Chirps,
}

/// `kind = "toy-2d"`: points in the plane; see [`super::toy_2d`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Toy2dConfig {
    /// The shape.
    pub form: ToyForm,
    /// Number of points, 2 or more.
    pub rows: u64,
    /// Standard deviation of the Gaussian noise around the shape; its usual value if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// Number of Gaussians of `mixture` (usually 8), arms of `spirals` (2) or circles of `circles` (2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<u32>,
    /// Seed of the points, apart from the run's.
    pub seed: u64,
    /// Range of the values.
    pub scaling: ScalingKind,
}

impl Default for Toy2dConfig {
    fn default() -> Self {
        Toy2dConfig {
            form: ToyForm::Moons,
            rows: 10_000,
            noise: None,
            components: None,
            seed: 0,
            scaling: ScalingKind::ZScore,
        }
    }
}

/// Shapes in the plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToyForm {
    /// Two interleaving half circles.
    Moons,
    /// Arms of an Archimedean spiral.
    Spirals,
    /// Every other square of a 4 x 4 board.
    Checkerboard,
    /// Gaussians on a ring.
    Mixture,
    /// Circles around the origin.
    Circles,
}
