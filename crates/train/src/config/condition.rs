//! `[condition]`: classes in training and sampling, vectors and images in sampling.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a network with `net.classes` is told. Classes come from the data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionConfig {
    /// Probability that a row of a training batch goes without its class, so that the network learns the score of all classes
    /// together as well (Ho and Salimans 2022, arXiv:2207.12598).
    pub dropout: f64,
    /// Classes of the samples, in turn; empty: every class in turn.
    pub labels: Vec<i64>,
    /// Scale of classifier-free guidance: 1 is the conditional score, 0 the one without classes.
    pub guidance_scale: f64,
    /// Noise levels `std/mean_coef` between which guidance acts (Kynkäänniemi et al. 2024, arXiv:2404.07724); absent: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_interval: Option<[f64; 2]>,
    /// File `.npy` of vectors that samples are drawn for, `[rows, net.condition_size]`, in turn; for a network that takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
    /// File `.npy` of images, `[rows, net.condition_channels, ...]` with the sizes of the samples and values as the network takes them,
    /// in turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
}

impl Default for ConditionConfig {
    fn default() -> Self {
        ConditionConfig {
            dropout: 0.1,
            labels: Vec::new(),
            guidance_scale: 1.0,
            guidance_interval: None,
            vectors: None,
            images: None,
        }
    }
}

impl ConditionConfig {
    /// Class of sample `row` of a network that knows `classes` of them.
    pub fn label(&self, row: u64, classes: i64) -> i64 {
        match self.labels.len() as u64 {
            0 => (row % classes.max(1) as u64) as i64,
            count => self.labels[(row % count) as usize],
        }
    }
}
