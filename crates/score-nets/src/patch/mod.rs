//! Patch networks: a U-Net that sees windows of an image or a series, each with the place where it lies, and answers for the whole
//! with the mean over overlapping windows. Memory does not grow with the image but for the image itself.
//!
//! Source: Wang et al. 2023, arXiv:2304.12526 (Patch Diffusion): position channels and training on random windows of several sizes.

mod config;
mod windows;

use tch::{Kind, Tensor};

pub use config::PatchConfig;
pub use windows::{Edge, Windows};

use crate::unet::check_input;
use crate::{Given, NetError, ScoreNet, Window};

fn check_stride(patch: i64, stride: i64) -> Result<(), NetError> {
    if (1..=patch).contains(&stride) {
        return Ok(());
    }
    let reason = format!("windows of {patch} cover the image with a stride from 1 to {patch}");
    Err(NetError::config("stride", stride, reason))
}

/// A network on windows, as a network on whole images of any height and width, or series of any length.
#[derive(Debug)]
pub struct PatchNet {
    inner: Box<dyn ScoreNet>,
    patch: i64,
    stride: i64,
    edge: Edge,
    chunk: i64,
    positions: bool,
}

impl PatchNet {
    /// Evaluates `inner` on windows with sides of `patch` every `stride` pixels. `inner` takes batches of any height and width up to
    /// `patch`, and two more channels in [`Given::image`] that say where the pixels lie: `x/width`, `y/height`; for series one,
    /// `i/length`.
    ///
    /// # Errors
    /// [`NetError::Config`] where windows at this stride leave gaps.
    pub fn new(inner: Box<dyn ScoreNet>, patch: i64, stride: i64) -> Result<Self, NetError> {
        check_stride(patch, stride)?;
        Ok(PatchNet {
            inner,
            patch,
            stride,
            edge: Edge::Clamp,
            chunk: 256,
            positions: true,
        })
    }

    /// At most so many windows a pass (0 counts as 1). The number changes memory and speed; results agree to the rounding of a network
    /// that sums in another order for another number of rows.
    #[must_use]
    pub fn with_chunk(self, chunk: i64) -> Self {
        PatchNet {
            chunk: chunk.max(1),
            ..self
        }
    }

    /// With or without the channels of places.
    #[must_use]
    pub fn with_positions(self, positions: bool) -> Self {
        PatchNet { positions, ..self }
    }

    /// How the borders are covered.
    #[must_use]
    pub fn with_edge(self, edge: Edge) -> Self {
        PatchNet { edge, ..self }
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
        if !(3..=4).contains(&size.len()) || size[2..].contains(&0) {
            return Err(NetError::Shape {
                what: "input of the network",
                got: size,
                need: "[rows, channels, height, width] or [rows, channels, length]".into(),
            });
        }
        check_input(x, time, &size[1..])?;
        let rows = size[0];
        let windows = Windows::new(&size[2..], self.patch, self.stride, self.edge);
        let mut out = x.f_zeros_like()?;
        let rows_at_once = rows.clamp(1, self.chunk);
        let windows_at_once = (self.chunk / rows_at_once).max(1) as usize;
        for first in (0..rows).step_by(rows_at_once as usize) {
            let len = rows_at_once.min(rows - first);
            let part = Part {
                x: x.f_narrow(0, first, len)?,
                time: time.f_narrow(0, first, len)?,
                given: given.narrow(first, len)?,
                windows: &windows,
            };
            let target = out.f_narrow(0, first, len)?;
            for number in (0..windows.count()).step_by(windows_at_once) {
                let end = windows.count().min(number + windows_at_once);
                let corners: Vec<_> = (number..end).map(|number| windows.corner(number)).collect();
                let answer = self.windows(
                    &part.crops(&part.x, &corners)?,
                    &part.times(corners.len())?,
                    part.told(&corners)?,
                    train,
                )?;
                for (number, corner) in corners.iter().enumerate() {
                    let answer = answer.f_narrow(0, number as i64 * len, len)?;
                    windows.add(&target, &answer, corner)?;
                }
            }
        }
        let mut each = vec![1, 1];
        each.extend(&size[2..]);
        let counts = Tensor::f_from_slice(&windows.counts())?
            .f_view(each.as_slice())?
            .f_to_kind(x.kind())?
            .f_to_device(x.device())?;
        Ok(out.f_div_(&counts)?)
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
    /// The windows of all rows, one window after the other.
    fn crops(&self, images: &Tensor, corners: &[Vec<i64>]) -> Result<Tensor, NetError> {
        let crops = corners.iter().map(|corner| self.windows.cut(images, corner));
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
    fn told(&self, corners: &[Vec<i64>]) -> Result<Given, NetError> {
        let rows = self.x.size()[0] as usize;
        let whole = self.windows.whole();
        let each = corners.iter().flat_map(|corner| corner.repeat(rows));
        let places = Tensor::f_from_slice(&each.collect::<Vec<_>>())?.f_view([-1, whole.len() as i64])?;
        let mut told = self.given.repeated(corners.len() as i64)?;
        told.image = match &self.given.image {
            Some(image) => Some(self.crops(image, corners)?),
            None => None,
        };
        told.window = Some(Window {
            corners: places,
            whole,
        });
        Ok(told)
    }
}

/// `x/width` and `y/height` of every pixel of the windows `x`, `[rows, 2, h, w]`, or `i/length`, `[rows, 1, l]`. A pixel of a mirror
/// image has the place of the one that it mirrors.
fn places(window: &Window, x: &Tensor) -> Result<Tensor, NetError> {
    let size = x.size();
    let axes = size.len().saturating_sub(2);
    if !(1..=2).contains(&axes)
        || window.whole.len() != axes
        || window.corners.size() != [size[0], axes as i64]
    {
        return Err(NetError::Shape {
            what: "windows of an image",
            got: size,
            need: format!(
                "[rows, channels, ...] with the axes of the whole, {:?}, and a corner each, not {:?}",
                window.whole,
                window.corners.size()
            ),
        });
    }
    let corners = window.corners.f_to_kind(Kind::Float)?.f_to_device(x.device())?;
    let mut full = size.clone();
    full[1] = 1;
    let axis = |axis: usize| {
        let whole = window.whole[axis];
        let period = (2 * (whole - 1)).max(1);
        let at = Tensor::f_arange(size[axis + 2], (Kind::Float, x.device()))?;
        let start = corners.f_narrow(1, axis as i64, 1)?;
        let at = at.f_unsqueeze(0)?.f_add(&start)?.f_abs()?.f_fmod(period)?;
        let mirrored = at.f_neg()?.f_add_scalar(period)?;
        let mut shape = vec![1; size.len()];
        (shape[0], shape[axis + 2]) = (size[0], size[axis + 2]);
        let place = at.f_minimum(&mirrored)?.f_div_scalar(whole as f64)?;
        place.f_view(shape.as_slice())?.f_expand(full.as_slice(), false)
    };
    let each = (0..axes).rev().map(axis).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_cat(&each, 1)?.f_to_kind(x.kind())?)
}
