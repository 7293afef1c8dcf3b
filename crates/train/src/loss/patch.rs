//! Training on random windows of images and series (Wang et al. 2023, arXiv:2304.12526, algorithm 1).

use score_nets::{ScoreNet, Window};
use tch::{Kind, Tensor};

use super::{Loss, TrainDraw};
use crate::TrainError;

/// Another objective on windows: each batch has one size of window, drawn from the sizes with equal chances, and each row a place,
/// uniform over those that lie inside the image or series. Data and noise are cut alike, and the network is told the places
/// ([`score_nets::PatchNet`]). The loss of a row is that of its window.
#[derive(Debug)]
pub struct PatchLoss {
    inner: Box<dyn Loss>,
    sizes: Vec<i64>,
}

impl PatchLoss {
    /// Windows with these sides, one at least; a side longer than the image stands for the image.
    pub fn new(inner: Box<dyn Loss>, sizes: Vec<i64>) -> Self {
        Self { inner, sizes }
    }

    /// The sides of this batch's windows.
    fn size(&self, draw: &TrainDraw, whole: &[i64]) -> Vec<i64> {
        let pick = (draw.shared(0) * self.sizes.len() as f64) as usize;
        let side = self.sizes[pick.min(self.sizes.len() - 1)];
        whole.iter().map(|whole| side.min(*whole)).collect()
    }
}

impl Loss for PatchLoss {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let fail = TrainError::tensor("the windows of a batch");
        let shape = x0.size();
        if !(3..=4).contains(&shape.len()) {
            return Err(TrainError::Data {
                name: "patch training".to_owned(),
                reason: format!(
                    "rows have the shape {:?}; windows are cut from images and series",
                    &shape[1..]
                ),
            });
        }
        let (rows, channels, whole) = (shape[0], shape[1], &shape[2..]);
        let size = self.size(draw, whole);
        let (pixels, inside): (i64, i64) = (whole.iter().product(), size.iter().product());
        // Position of every pixel of every window in its flattened image.
        let (mut corners, mut places) = (Vec::new(), Vec::new());
        for row in 0..rows as usize {
            let at = |k: usize, room: i64| ((draw.extra(row, k) * (room + 1) as f64) as i64).min(room);
            let mut window = vec![0];
            for (axis, (whole, size)) in whole.iter().zip(&size).enumerate() {
                let corner = at(axis, whole - size);
                corners.push(corner);
                let along = |outer: i64| (corner..corner + size).map(move |at| outer * whole + at);
                window = window.into_iter().flat_map(along).collect();
            }
            places.extend(window);
        }
        let places = Tensor::f_from_slice(&places)
            .and_then(|t| t.f_view([rows, 1, inside]))
            .and_then(|t| t.f_to_device(x0.device()))
            .and_then(|t| t.f_expand([rows, channels, inside], false))
            .map_err(&fail)?;
        let of_windows: Vec<i64> = [rows, channels].into_iter().chain(size.clone()).collect();
        let cut = |images: &Tensor| {
            images
                .f_reshape([rows, channels, pixels])?
                .f_gather(2, &places, false)?
                .f_view(of_windows.as_slice())
        };
        let corners = Tensor::f_from_slice(&corners)
            .and_then(|t| t.f_view([rows, size.len() as i64]))
            .and_then(|t| t.f_to_kind(Kind::Int64))
            .map_err(&fail)?;
        let window = Window {
            corners,
            whole: whole.to_vec(),
        };
        let windows = TrainDraw {
            times: draw.times.clone(),
            ratios: draw.ratios.clone(),
            noise: cut(&draw.noise).map_err(&fail)?,
            train: draw.train,
            given: draw
                .given
                .overlaid(&score_nets::Given::default().with_window(window)),
            origin: draw.origin,
        };
        self.inner.per_row(net, &cut(x0).map_err(&fail)?, &windows)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.inner.parameters()
    }
}
