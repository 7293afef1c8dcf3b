//! What all score-matching losses share: the noise on the data, the weight of a time, and how a network's output becomes a score.

use std::sync::Arc;

use score_nets::ScoreNet;
use sde_core::{Precond, Sde, Weighting};
use tch::{TchError, Tensor};

use super::TrainDraw;
use crate::TrainError;
use crate::config::Reduction;

/// A process, a preconditioning made for it, the weight of a time, and what becomes of the values of a row.
///
/// Every loss is `weight(t)` times a form of `|| std score(x_t, t) + z ||^2`, `x_t = mean_coef x_0 + std z`. The raw output `F` of
/// the network enters the score linearly, so `std score + z = residual (F - target)` with `target = a x_0 + b z`. All factors are
/// made per row in `f64`, in closed form, and rounded once: nothing is divided by a small `std` in `f32`.
#[derive(Debug, Clone)]
pub struct Objective {
    /// The process.
    pub sde: Arc<dyn Sde>,
    /// From network to score.
    pub precond: Precond,
    /// Weight of a time.
    pub weighting: Weighting,
    /// What becomes of the values of a row.
    pub reduction: Reduction,
}

/// The numbers of one row, in `f64`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowCoefs {
    /// Factors of clean data and noise in the network's input.
    pub input: [f64; 2],
    /// Factors of clean data and noise in the regression target of the raw output.
    pub target: [f64; 2],
    /// The network's time input.
    pub time: f64,
    /// Weight of the squared error of the predicted noise.
    pub weight: f64,
    /// Factor of the difference between raw output and target in `std score + z`.
    pub residual: f64,
    /// Factors in `std^2 div score = trace[0] d + trace[1] div F`, `div F` with respect to the network's own input.
    pub trace: [f64; 2],
    /// Factors of clean data and raw output in `std score(mean_coef x_0, t)`, the score where no noise was added.
    pub clean: [f64; 2],
}

impl Objective {
    /// The numbers of a row at time `t`, in (0, t_end].
    pub fn coefs(&self, t: f64) -> RowCoefs {
        let marginal = self.sde.marginal(t);
        let (mean_coef, std) = (marginal.mean_coef, marginal.std);
        let net = self.precond.coefs_of(t, marginal);
        let (of_data, of_noise) = self.precond.target_coefs_of(marginal);
        let (skip, residual) = (std * net.score_skip, std * net.score_out);
        RowCoefs {
            input: [net.input * mean_coef, net.input * std],
            target: [of_data, of_noise],
            time: net.time,
            weight: self.weighting.weight(t),
            // std score + z = std score_skip x_t + std score_out F + z = std score_out (F - target)
            residual,
            trace: [std * skip, std * residual * net.input],
            clean: [skip * mean_coef, residual],
        }
    }

    /// The rows of a draw, with its noise on the clean data. Of each row the columns are known that every loss needs, and `more`.
    pub(super) fn noised(
        &self,
        x0: &Tensor,
        draw: &TrainDraw,
        more: &[Column],
    ) -> Result<Noised, TrainError> {
        let each: Vec<RowCoefs> = draw.times.iter().map(|t| self.coefs(*t)).collect();
        // One upload for all numbers: [columns, rows].
        let columns = [&Column::OF_ALL, more].concat();
        let mut table = Vec::with_capacity(columns.len() * each.len());
        for column in &columns {
            let rows = each.iter().zip(&draw.ratios);
            table.extend(rows.map(|(coefs, ratio)| column.value(coefs, *ratio)));
        }
        Noised::new(columns, &table, x0, draw).map_err(TrainError::tensor("the noise of a batch"))
    }

    /// One number a row from `[rows, ...]`.
    pub(super) fn reduce(&self, values: &Tensor) -> Result<Tensor, TchError> {
        let (flat, kind) = (values.f_flatten(1, -1)?, values.kind());
        match self.reduction {
            Reduction::Mean => flat.f_mean_dim(-1, false, kind),
            Reduction::Sum => flat.f_sum_dim_intlist(-1, false, kind),
        }
    }

    /// The factor of a sum over the `d` values of a row.
    pub(super) fn per_value(&self, d: f64) -> f64 {
        match self.reduction {
            Reduction::Mean => 1.0 / d,
            Reduction::Sum => 1.0,
        }
    }
}

/// What is known of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    DataIn,
    NoiseIn,
    DataOut,
    NoiseOut,
    Time,
    /// Weight of the time, with the ratio of its density.
    Weight,
    /// The same times the square of the residual's factor.
    SquareWeight,
    Residual,
    TraceOwn,
    TraceNet,
    CleanData,
    CleanNet,
}

impl Column {
    /// What every loss needs.
    const OF_ALL: [Column; 5] = [
        Column::DataIn,
        Column::NoiseIn,
        Column::DataOut,
        Column::NoiseOut,
        Column::Time,
    ];

    fn value(self, coefs: &RowCoefs, ratio: f64) -> f64 {
        match self {
            Column::DataIn => coefs.input[0],
            Column::NoiseIn => coefs.input[1],
            Column::DataOut => coefs.target[0],
            Column::NoiseOut => coefs.target[1],
            Column::Time => coefs.time,
            Column::Weight => coefs.weight * ratio,
            Column::SquareWeight => coefs.weight * coefs.residual * coefs.residual * ratio,
            Column::Residual => coefs.residual,
            Column::TraceOwn => coefs.trace[0],
            Column::TraceNet => coefs.trace[1],
            Column::CleanData => coefs.clean[0],
            Column::CleanNet => coefs.clean[1],
        }
    }
}

/// A batch with noise on it, in the kind and on the device of the clean data.
#[derive(Debug)]
pub(super) struct Noised {
    /// What the network sees, `[rows, ...]`.
    pub input: Tensor,
    /// What its output should be, `[rows, ...]`.
    pub target: Tensor,
    /// The noise, `[rows, ...]`.
    pub noise: Tensor,
    columns: Vec<Column>,
    table: Tensor,
}

impl Noised {
    fn new(columns: Vec<Column>, table: &[f64], x0: &Tensor, draw: &TrainDraw) -> Result<Self, TchError> {
        let table = Tensor::f_from_slice(table)?
            .f_view([columns.len() as i64, -1])?
            .f_to_kind(x0.kind())?
            .f_to_device(x0.device())?;
        let mut noised = Noised {
            input: x0.shallow_clone(),
            target: x0.shallow_clone(),
            noise: draw.noise.f_to_kind(x0.kind())?,
            columns,
            table,
        };
        let mix = |data: Column, noise: Column| {
            x0.f_mul(&noised.spread(data)?)?
                .f_addcmul(&noised.noise, &noised.spread(noise)?)
        };
        (noised.input, noised.target) = (
            mix(Column::DataIn, Column::NoiseIn)?,
            mix(Column::DataOut, Column::NoiseOut)?,
        );
        Ok(noised)
    }

    /// Number of values in a row.
    pub fn dim(&self) -> f64 {
        self.input.size()[1..].iter().product::<i64>() as f64
    }

    /// A number of each row, `[rows]`.
    pub fn column(&self, column: Column) -> Result<Tensor, TchError> {
        let place = self.columns.iter().position(|known| *known == column);
        let place = place.expect("invariant: a loss asks for the columns that it named");
        self.table.f_get(place as i64)
    }

    /// The same, shaped to multiply `[rows, ...]`.
    pub fn spread(&self, column: Column) -> Result<Tensor, TchError> {
        let mut shape = vec![1; self.input.dim()];
        shape[0] = -1;
        self.column(column)?.f_view(shape.as_slice())
    }

    /// The raw output of a network for an input of its own, in the kind of the data.
    pub fn output(&self, net: &dyn ScoreNet, input: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let fail = TrainError::tensor("the output of the network");
        let time = self.column(Column::Time).map_err(&fail)?;
        let output = net.forward_given(input, &time, &draw.given, draw.train)?;
        output.f_to_kind(self.input.kind()).map_err(&fail)
    }
}

/// Sums over the values of each row, `[rows]`.
pub(super) fn row_sums(values: &Tensor) -> Result<Tensor, TchError> {
    values
        .f_flatten(1, -1)?
        .f_sum_dim_intlist(-1, false, values.kind())
}

/// `v^T J v` of each row, `[rows]`, where `J` is the Jacobian of `output` with respect to `input`, differentiable once more. A row of
/// `output` depends on that row of `input` alone. One backward pass; the graph stays.
pub(super) fn quadratic_form(output: &Tensor, input: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
    let mut product = v.f_zeros_like()?;
    // An output that does not depend on the input has no derivative.
    if output.requires_grad() {
        let along = output.f_mul(v)?.f_sum(output.kind())?;
        let gradients = Tensor::f_run_backward(&[along], &[input], true, true)?;
        if let Some(gradient) = gradients.first().filter(|gradient| gradient.defined()) {
            product = gradient.f_mul(v)?;
        }
    }
    row_sums(&product)
}
