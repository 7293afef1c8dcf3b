//! Sliced score matching (Song et al. 2019, arXiv:1905.07088, section 3), at every noise level as in Song et al. 2021,
//! arXiv:2011.13456, section 3.3.

use score_nets::{ScoreNet, twice_differentiable};
use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, with_grad};

use super::implicit::{COLUMNS, implicit_form, std_score};
use super::objective::{Column, Noised, Objective, quadratic_form, row_sums};
use super::{Loss, TrainDraw};
use crate::TrainError;

/// Distribution of the projections `v`, each with `E[v v^T] = I`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// Signs: of the three the one whose `v^T A v` varies least.
    Rademacher,
    /// Standard normals.
    Gaussian,
    /// Evenly spread over the sphere of radius `sqrt(d)`.
    Sphere,
}

/// The implicit loss with `div s` replaced by `v^T (ds/dx) v`, the mean over some random projections `v` of each row:
/// `weight(t) (q + 2 std^2 v^T (ds/dx) v + d)/d` at `x_t`, with `q = (v^T std s)^2` in the plain form and `q = |std s|^2` in the
/// variance-reduced one, which has the mean over `v` of that term in closed form. In expectation the number that the denoising loss
/// has; a single row may be negative.
///
/// The part of the Jacobian that the preconditioning adds to the network is known and not projected. Derivatives come from
/// autograd, twice: one backward pass for each projection, kept in the graph of the gradient. All projections of a row share one
/// evaluation of the network. On windows of images the score of the windows is matched.
#[derive(Debug)]
pub struct Sliced {
    objective: Objective,
    projection: Projection,
    projections: usize,
    variance_reduced: bool,
}

/// Stream of the projections among the normals of a draw.
const STREAM: u64 = 1;

impl Sliced {
    /// With `projections` projections a row (0 counts as 1).
    pub fn new(
        objective: Objective,
        projection: Projection,
        projections: usize,
        variance_reduced: bool,
    ) -> Self {
        Self {
            objective,
            projection,
            projections: projections.max(1),
            variance_reduced,
        }
    }

    /// The projections of a batch: one tensor of the shape of the data for each.
    fn draw(&self, noised: &Noised, draw: &TrainDraw) -> Result<Vec<Tensor>, TchError> {
        let size = noised.input.size();
        let mut shape = vec![self.projections as i64];
        shape.extend(&size[1..]);
        let normals = draw
            .normals(STREAM, &shape)?
            .f_to_kind(noised.input.kind())?
            .f_to_device(noised.input.device())?;
        let each = |k: usize| {
            let normals = normals.f_select(1, k as i64)?;
            match self.projection {
                Projection::Gaussian => Ok(normals),
                Projection::Rademacher => {
                    // Not the sign, which is 0 for 0.
                    let up = normals.f_ge(0.0)?.f_to_kind(normals.kind())?;
                    up.f_mul_scalar(2.0)?.f_sub_scalar(1.0)
                }
                Projection::Sphere => {
                    let flat = normals.f_flatten(1, -1)?;
                    let root_mean = flat.f_square()?.f_mean_dim(-1, true, normals.kind())?.f_sqrt()?;
                    flat.f_div(&root_mean)?.f_view(size.as_slice())
                }
            }
        };
        (0..self.projections).map(each).collect()
    }

    fn rows(&self, noised: &Noised, output: &Tensor, draw: &TrainDraw) -> Result<Tensor, TchError> {
        let projections = self.draw(noised, draw)?;
        let share = 1.0 / self.projections as f64;
        let mut trace = noised.column(Column::Weight)?.f_zeros_like()?;
        let mut squared = trace.f_zeros_like()?;
        let score = std_score(noised, output)?;
        for v in &projections {
            trace = trace.f_add(&quadratic_form(output, &noised.input, v)?)?;
            if !self.variance_reduced {
                squared = squared.f_add(&row_sums(&score.f_mul(v)?)?.f_square()?)?;
            }
        }
        let (trace, squared) = (trace.f_mul_scalar(share)?, squared.f_mul_scalar(share)?);
        let squared = match self.variance_reduced {
            true => row_sums(&score.f_square()?)?,
            false => squared,
        };
        implicit_form(&self.objective, noised, &squared, &trace)
    }
}

impl Loss for Sliced {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let fail = TrainError::tensor("the sliced loss");
        with_grad(|| {
            let mut noised = self.objective.noised(x0, draw, COLUMNS)?;
            noised.input = noised.input.f_set_requires_grad(true).map_err(&fail)?;
            let output = twice_differentiable(|| noised.output(net, &noised.input, draw))?;
            self.rows(&noised, &output, draw).map_err(&fail)
        })
    }
}
