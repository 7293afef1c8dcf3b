//! Implicit score matching (Hyvarinen 2005, JMLR 6, eq. 4), at every noise level.

use score_nets::{ScoreNet, twice_differentiable};
use tch::{TchError, Tensor, with_grad};

use super::objective::{Column, Noised, Objective, quadratic_form, row_sums};
use super::{Loss, TrainDraw};
use crate::TrainError;

/// `weight(t) (|std s|^2 + 2 std^2 div s + d)/d` at `x_t`, `s = s_theta(x_t, t)`: in expectation the same number as the denoising
/// loss, since `E[z . s(x_t)] = std E[div s(x_t)]` (Stein's identity), but without a look at `z` once `x_t` is there. Up to the
/// factor `2 weight std^2` and the constant it is Hyvarinen's `J`. A single row may be negative.
///
/// The divergence is exact: one backward pass for each of the `d` values of a row, and a second derivative for the gradient.
/// Refused above [`Implicit::MAX_DIM`] values; [`Sliced`](super::Sliced) estimates it.
#[derive(Debug)]
pub struct Implicit {
    objective: Objective,
}

impl Implicit {
    /// Largest number of values in a row.
    pub const MAX_DIM: i64 = 64;

    /// The loss.
    pub fn new(objective: Objective) -> Self {
        Self { objective }
    }

    /// Refuses rows of too many values.
    ///
    /// # Errors
    /// [`TrainError::Table`] at `loss.kind`.
    pub fn check_dim(dim: i64) -> Result<(), TrainError> {
        if dim <= Self::MAX_DIM {
            return Ok(());
        }
        let reason = format!(
            "the exact divergence costs a backward pass for each of the {dim} values of a row, {} at most; use loss.kind = \"sliced\"",
            Self::MAX_DIM
        );
        Err(sde_core::ConfigError::new("loss.kind", "implicit", reason).into())
    }
}

/// What [`std_score`] and [`implicit_form`] need.
pub(super) const COLUMNS: &[Column] = &[
    Column::Residual,
    Column::TraceOwn,
    Column::TraceNet,
    Column::Weight,
];

impl Loss for Implicit {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let dim = x0.size()[1..].iter().product::<i64>();
        Self::check_dim(dim)?;
        let fail = TrainError::tensor("the implicit loss");
        with_grad(|| {
            let mut noised = self.objective.noised(x0, draw, COLUMNS)?;
            noised.input = noised.input.f_set_requires_grad(true).map_err(&fail)?;
            let output = twice_differentiable(|| noised.output(net, &noised.input, draw))?;
            let rows = || {
                let squared = row_sums(&std_score(&noised, &output)?.f_square()?)?;
                let trace = trace(&noised, &output, dim)?;
                implicit_form(&self.objective, &noised, &squared, &trace)
            };
            rows().map_err(&fail)
        })
    }
}

/// `div F` of each row.
fn trace(noised: &Noised, output: &Tensor, dim: i64) -> Result<Tensor, TchError> {
    let mut trace = noised.column(Column::Weight)?.f_zeros_like()?;
    for value in 0..dim {
        let unit = noised.input.f_detach()?.f_zeros_like()?;
        let _ = unit.f_view([-1, dim])?.f_select(1, value)?.f_fill_(1.0)?;
        trace = trace.f_add(&quadratic_form(output, &noised.input, &unit)?)?;
    }
    Ok(trace)
}

/// `weight (squared + 2 (trace_own d + trace_net trace) + d)`, reduced: `squared` stands for `|std s|^2`, `trace` for `div F`.
pub(super) fn implicit_form(
    objective: &Objective,
    noised: &Noised,
    squared: &Tensor,
    trace: &Tensor,
) -> Result<Tensor, TchError> {
    let dim = noised.dim();
    let own = noised.column(Column::TraceOwn)?.f_mul_scalar(2.0 * dim)?;
    let net = trace
        .f_mul(&noised.column(Column::TraceNet)?)?
        .f_mul_scalar(2.0)?;
    squared
        .f_add(&own.f_add_scalar(dim)?)?
        .f_add(&net)?
        .f_mul(&noised.column(Column::Weight)?)?
        .f_mul_scalar(objective.per_value(dim))
}

/// `std s = residual (F - target) - z`.
pub(super) fn std_score(noised: &Noised, output: &Tensor) -> Result<Tensor, TchError> {
    output
        .f_sub(&noised.target)?
        .f_mul(&noised.spread(Column::Residual)?)?
        .f_sub(&noised.noise)
}
