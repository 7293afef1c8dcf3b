//! Patch networks: a U-Net that sees windows of an image, each with the place where it lies, and answers for the whole image with
//! the mean over overlapping windows. Memory does not grow with the image but for the image itself.
//!
//! Source: Wang et al. 2023, arXiv:2304.12526 (Patch Diffusion): position channels and training on random windows of several sizes.

mod windows;

use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

pub use windows::Windows;

use crate::layers::Space;
use crate::unet::{PaddedUnet, Plan, check_input};
use crate::{Given, NetError, ScoreNet, UnetConfig, Window};

/// `[net] kind = "patch"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchConfig {
    /// Sides of the windows by which a whole image is evaluated.
    pub patch: i64,
    /// Pixels from one window to the next; absent: half of `patch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<i64>,
    /// Sides of the windows on which the network is trained, one of them a batch with equal chances; empty: `patch`. A side
    /// longer than the image stands for the image.
    pub train_sizes: Vec<i64>,
    /// Most windows a pass through the network: what bounds the memory.
    pub chunk: i64,
    /// Whether two channels tell each pixel its place, `x/width` and `y/height`.
    pub positions: bool,
    /// The network on a window.
    pub unet: UnetConfig,
}

impl Default for PatchConfig {
    fn default() -> Self {
        PatchConfig {
            patch: 16,
            stride: None,
            train_sizes: Vec::new(),
            chunk: 256,
            positions: true,
            unet: UnetConfig::default(),
        }
    }
}

impl PatchConfig {
    /// Checks the configuration and creates the parameters under `vs` for rows of shape `[channels, height, width]`.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, [`NetError::Shape`] for another number of axes, [`NetError::Torch`] when libtorch
    /// cannot allocate.
    pub fn build(&self, vs: &Path, shape: &[i64]) -> Result<PatchNet, NetError> {
        let plan = self.plan(shape)?;
        let inner = PaddedUnet::new(
            &plan,
            vs,
            &shape[..1].iter().chain(&[1, 1]).copied().collect::<Vec<_>>(),
        )?;
        let net = PatchNet::new(Box::new(inner.any_size()), self.patch, self.stride())?;
        Ok(net.with_chunk(self.chunk).with_positions(self.positions))
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

    fn plan(&self, shape: &[i64]) -> Result<Plan, NetError> {
        let &[channels, height, width] = shape else {
            return Err(NetError::Shape {
                what: "shape of one row of data",
                got: shape.to_vec(),
                need: "[channels, height, width] for net.kind = \"patch\"".into(),
            });
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
        positive("chunk", self.chunk)?;
        for size in &self.train_sizes {
            positive("train_sizes", *size)?;
        }
        check_stride(self.patch, self.stride())?;
        let mut unet = self.unet.clone();
        if self.positions {
            unet.condition_channels = unet.condition_channels.saturating_add(2);
        }
        let sides = [self.patch.min(height), self.patch.min(width)];
        Plan::new(&unet, Space::Plane, channels, &sides)
    }
}

fn check_stride(patch: i64, stride: i64) -> Result<(), NetError> {
    if (1..=patch).contains(&stride) {
        return Ok(());
    }
    let reason = format!("windows of {patch} cover the image with a stride from 1 to {patch}");
    Err(NetError::config("stride", stride, reason))
}

/// A network on windows, as a network on whole images of any height and width.
#[derive(Debug)]
pub struct PatchNet {
    inner: Box<dyn ScoreNet>,
    patch: i64,
    stride: i64,
    chunk: i64,
    positions: bool,
}

impl PatchNet {
    /// Evaluates `inner` on windows with sides of `patch` every `stride` pixels. `inner` takes batches of any height and width up to
    /// `patch`, and two more channels in [`Given::image`] that say where the pixels lie: `x/width`, `y/height`.
    ///
    /// # Errors
    /// [`NetError::Config`] where windows at this stride leave gaps.
    pub fn new(inner: Box<dyn ScoreNet>, patch: i64, stride: i64) -> Result<Self, NetError> {
        check_stride(patch, stride)?;
        Ok(PatchNet {
            inner,
            patch,
            stride,
            chunk: 256,
            positions: true,
        })
    }

    /// At most so many windows a pass (0 counts as 1).
    #[must_use]
    pub fn with_chunk(self, chunk: i64) -> Self {
        PatchNet {
            chunk: chunk.max(1),
            ..self
        }
    }

    /// With or without the two channels of places.
    #[must_use]
    pub fn with_positions(self, positions: bool) -> Self {
        PatchNet { positions, ..self }
    }

    /// A batch of windows.
    fn windows(&self, x: &Tensor, time: &Tensor, given: Given, train: bool) -> Result<Tensor, NetError> {
        let Given {
            labels,
            vector,
            mut image,
            window,
        } = given;
        if let Some(window) = window.filter(|_| self.positions) {
            let places = places(&window, x)?;
            image = Some(match image {
                Some(image) => Tensor::f_cat(&[&image.f_to_kind(x.kind())?, &places], 1)?,
                None => places,
            });
        }
        let given = Given {
            labels,
            vector,
            image,
            window: None,
        };
        self.inner.forward_given(x, time, &given, train)
    }

    /// Whole images.
    fn whole(&self, x: &Tensor, time: &Tensor, given: &Given, train: bool) -> Result<Tensor, NetError> {
        let size = x.size();
        let &[rows, _, height, width] = size.as_slice() else {
            return Err(NetError::Shape {
                what: "input of the network",
                got: size,
                need: "[rows, channels, height, width]".into(),
            });
        };
        check_input(x, time, &size[1..])?;
        let windows = Windows::new([height, width], self.patch, self.stride);
        let out = x.f_zeros_like()?;
        let rows_at_once = rows.clamp(1, self.chunk);
        let windows_at_once = (self.chunk / rows_at_once).max(1) as usize;
        let corners = windows.corners();
        for first in (0..rows).step_by(rows_at_once as usize) {
            let len = rows_at_once.min(rows - first);
            let part = Part {
                x: x.f_narrow(0, first, len)?,
                time: time.f_narrow(0, first, len)?,
                given: given.narrow(first, len)?,
                windows: &windows,
            };
            let target = out.f_narrow(0, first, len)?;
            for corners in corners.chunks(windows_at_once) {
                let answer = self.windows(
                    &part.crops(&part.x, corners)?,
                    &part.times(corners.len())?,
                    part.told(corners)?,
                    train,
                )?;
                for (number, corner) in corners.iter().enumerate() {
                    let mut place = part.window(&target, *corner)?;
                    let _ = place.f_add_(&answer.f_narrow(0, number as i64 * len, len)?)?;
                }
            }
        }
        let weights = Tensor::f_from_slice(&windows.weights())?
            .f_view([1, 1, height, width])?
            .f_to_kind(x.kind())?
            .f_to_device(x.device())?;
        Ok(out.f_mul(&weights)?)
    }
}

impl ScoreNet for PatchNet {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        self.whole(x, time, &Given::default(), train)
    }

    /// With [`Given::window`] the rows are windows already: how such a network is trained.
    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        if given.window().is_some() {
            return self.windows(x, time, given.overlaid(&Given::default()), train);
        }
        self.whole(x, time, given, train)
    }

    fn classes(&self) -> i64 {
        self.inner.classes()
    }
}

/// Some rows of a batch of whole images.
struct Part<'a> {
    x: Tensor,
    time: Tensor,
    given: Given,
    windows: &'a Windows,
}

impl Part<'_> {
    fn window(&self, images: &Tensor, [top, left]: [i64; 2]) -> Result<Tensor, NetError> {
        let [height, width] = self.windows.size;
        Ok(images.f_narrow(2, top, height)?.f_narrow(3, left, width)?)
    }

    /// The windows of all rows, one window after the other.
    fn crops(&self, images: &Tensor, corners: &[[i64; 2]]) -> Result<Tensor, NetError> {
        let crops = corners.iter().map(|corner| self.window(images, *corner));
        Ok(Tensor::f_cat(&crops.collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    /// The time of every window; one value expanded stays one.
    fn times(&self, windows: usize) -> Result<Tensor, NetError> {
        let count = windows as i64;
        Ok(if self.time.stride() == [0] {
            let all = self.time.size()[0] * count;
            self.time.f_narrow(0, 0, 1)?.f_expand([all], false)?
        } else {
            self.time.f_repeat([count])?
        })
    }

    /// What is told of every window.
    fn told(&self, corners: &[[i64; 2]]) -> Result<Given, NetError> {
        let rows = self.x.size()[0] as usize;
        let each = corners.iter().flat_map(|corner| corner.repeat(rows));
        let places = Tensor::f_from_slice(&each.collect::<Vec<_>>())?.f_view([-1, 2])?;
        let mut told = self.given.repeated(corners.len() as i64)?;
        told.image = match &self.given.image {
            Some(image) => Some(self.crops(image, corners)?),
            None => None,
        };
        told.window = Some(Window {
            corners: places,
            whole: self.windows.whole,
        });
        Ok(told)
    }
}

/// `x/width` and `y/height` of every pixel of the windows `x`: `[rows, 2, h, w]`.
fn places(window: &Window, x: &Tensor) -> Result<Tensor, NetError> {
    let &[rows, _, height, width] = x.size().as_slice() else {
        return Err(NetError::Shape {
            what: "window of an image",
            got: x.size(),
            need: "[rows, channels, height, width]".into(),
        });
    };
    let corners = window.corners.f_to_kind(Kind::Float)?.f_to_device(x.device())?;
    let axis = |column: i64, length: i64, whole: i64| {
        let at = Tensor::f_arange(length, (Kind::Float, x.device()))?;
        let start = corners.f_narrow(1, column, 1)?;
        at.f_unsqueeze(0)?.f_add(&start)?.f_div_scalar(whole as f64)
    };
    let down = axis(0, height, window.whole[0])?.f_view([rows, 1, height, 1])?;
    let across = axis(1, width, window.whole[1])?.f_view([rows, 1, 1, width])?;
    let full = [rows, 1, height, width];
    let both = [across.f_expand(full, false)?, down.f_expand(full, false)?];
    Ok(Tensor::f_cat(&both, 1)?.f_to_kind(x.kind())?)
}
