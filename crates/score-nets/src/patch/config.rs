//! What a user may choose of a patch network.

use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::{Edge, PatchNet, check_stride};
use crate::layers::Space;
use crate::unet::{PaddedUnet, Plan};
use crate::{NetError, UnetConfig};

/// `[net] kind = "patch"`: on `[channels, height, width]` a two-dimensional U-Net on windows, on `[channels, length]` a
/// one-dimensional one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchConfig {
    /// Sides of the windows by which a whole image or series is evaluated.
    pub patch: i64,
    /// Pixels from one window to the next; absent: half of `patch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<i64>,
    /// How the windows cover the borders: `clamp` or `reflect`. Windows of training lie inside either way.
    pub edge: Edge,
    /// Sides of the windows on which the network is trained, one of them a batch with equal chances; empty: `patch`. A side
    /// longer than the image stands for the image.
    pub train_sizes: Vec<i64>,
    /// Most windows a pass through the network: what bounds the memory. A pass takes some 40 maps of `4 chunk patch^2 unet.channels`
    /// bytes, and attention at a side `s` a few times `4 chunk s^4` (in series `s^2`). Absent: as many windows as have 65536 pixels
    /// together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<i64>,
    /// Whether further channels tell each pixel its place: `x/width` and `y/height`, or `i/length` in a series.
    pub positions: bool,
    /// The network on a window.
    pub unet: UnetConfig,
}

impl Default for PatchConfig {
    fn default() -> Self {
        PatchConfig {
            patch: 16,
            stride: None,
            edge: Edge::Clamp,
            train_sizes: Vec::new(),
            chunk: None,
            positions: true,
            unet: UnetConfig::default(),
        }
    }
}

impl PatchConfig {
    /// Checks the configuration and creates the parameters under `vs` for rows of shape `[channels, height, width]` or
    /// `[channels, length]`.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, [`NetError::Shape`] for another number of axes, [`NetError::Torch`] when libtorch
    /// cannot allocate.
    pub fn build(&self, vs: &Path, shape: &[i64]) -> Result<PatchNet, NetError> {
        let plan = self.plan(shape)?;
        let mut any = vec![1; shape.len()];
        any[0] = shape[0];
        let inner = PaddedUnet::new(&plan, vs, &any)?.any_size();
        let net = PatchNet::new(Box::new(inner), self.patch, self.stride())?;
        Ok(net
            .with_chunk(self.chunk(shape))
            .with_positions(self.positions)
            .with_edge(self.edge))
    }

    /// Number of trained parameters.
    ///
    /// # Errors
    /// As [`PatchConfig::build`], without touching libtorch.
    pub fn param_count(&self, shape: &[i64]) -> Result<u64, NetError> {
        self.plan(shape)?.param_count()
    }

    /// Sides of the windows of training.
    pub fn sizes(&self) -> Vec<i64> {
        match self.train_sizes.is_empty() {
            true => vec![self.patch],
            false => self.train_sizes.clone(),
        }
    }

    fn stride(&self) -> i64 {
        self.stride.unwrap_or((self.patch / 2).max(1))
    }

    /// Windows a pass over rows of this shape.
    fn chunk(&self, shape: &[i64]) -> i64 {
        const PIXELS: i64 = 65_536;
        let inside = shape[1..].iter().map(|side| self.patch.min(*side));
        self.chunk.unwrap_or(PIXELS / inside.product::<i64>())
    }

    fn plan(&self, shape: &[i64]) -> Result<Plan, NetError> {
        let (channels, space) = match *shape {
            [channels, _] => (channels, Space::Line),
            [channels, _, _] => (channels, Space::Plane),
            _ => {
                return Err(NetError::Shape {
                    what: "shape of one row of data",
                    got: shape.to_vec(),
                    need: "[channels, height, width] or [channels, length] for net.kind = \"patch\"".into(),
                });
            }
        };
        let positive = |key: &str, value: i64| match value {
            1..=65_536 => Ok(()),
            _ => Err(NetError::config(
                key,
                value,
                "give a whole number from 1 to 65536",
            )),
        };
        positive("patch", self.patch)?;
        positive("chunk", self.chunk.unwrap_or(1))?;
        for size in &self.train_sizes {
            positive("train_sizes", *size)?;
        }
        check_stride(self.patch, self.stride())?;
        let mut unet = self.unet.clone();
        if self.positions {
            let axes = shape.len() as i64 - 1;
            unet.condition_channels = unet.condition_channels.saturating_add(axes);
        }
        let sides: Vec<i64> = shape[1..].iter().map(|side| self.patch.min(*side)).collect();
        Plan::new(&unet, space, channels, &sides)
    }
}
