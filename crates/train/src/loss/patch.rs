//! Training on random windows of images (Wang et al. 2023, arXiv:2304.12526, algorithm 1).

use score_nets::{ScoreNet, Window};
use tch::{Kind, Tensor};

use super::{Loss, TrainDraw};
use crate::TrainError;

/// Another objective on windows: each batch has one size of window, drawn from the sizes with equal chances, and each row a place,
/// uniform over those that lie inside the image. Data and noise are cut alike, and the network is told the places
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
    fn size(&self, draw: &TrainDraw, whole: [i64; 2]) -> [i64; 2] {
        let pick = (draw.shared(0) * self.sizes.len() as f64) as usize;
        whole.map(|side| self.sizes[pick.min(self.sizes.len() - 1)].min(side))
    }
}

impl Loss for PatchLoss {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let fail = TrainError::tensor("the windows of a batch");
        let &[rows, channels, height, width] = x0.size().as_slice() else {
            return Err(TrainError::Data {
                name: "patch training".to_owned(),
                reason: format!(
                    "rows have the shape {:?}; windows are cut from images",
                    &x0.size()[1..]
                ),
            });
        };
        let whole = [height, width];
        let [high, wide] = self.size(draw, whole);
        // Position of every pixel of every window in its flattened image.
        let (mut corners, mut places) = (Vec::new(), Vec::new());
        for row in 0..rows as usize {
            let at = |k: usize, room: i64| ((draw.extra(row, k) * (room + 1) as f64) as i64).min(room);
            let (top, left) = (at(0, height - high), at(1, width - wide));
            corners.extend([top, left]);
            places.extend((top..top + high).flat_map(|y| (left..left + wide).map(move |x| y * width + x)));
        }
        let places = Tensor::f_from_slice(&places)
            .and_then(|t| t.f_view([rows, 1, high * wide]))
            .and_then(|t| t.f_to_device(x0.device()))
            .and_then(|t| t.f_expand([rows, channels, high * wide], false))
            .map_err(&fail)?;
        let cut = |images: &Tensor| {
            images
                .f_reshape([rows, channels, height * width])?
                .f_gather(2, &places, false)?
                .f_view([rows, channels, high, wide])
        };
        let corners = Tensor::f_from_slice(&corners)
            .and_then(|t| t.f_view([rows, 2]))
            .and_then(|t| t.f_to_kind(Kind::Int64))
            .map_err(&fail)?;
        let windows = TrainDraw {
            times: draw.times.clone(),
            ratios: draw.ratios.clone(),
            noise: cut(&draw.noise).map_err(&fail)?,
            train: draw.train,
            given: draw
                .given
                .overlaid(&score_nets::Given::default().with_window(Window { corners, whole })),
            origin: draw.origin,
        };
        self.inner.per_row(net, &cut(x0).map_err(&fail)?, &windows)
    }
}
