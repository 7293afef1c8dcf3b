//! The batch that samplers move: rows that never mix.

mod aligned;
mod combine;
mod host;
mod per_row;
mod reduce;
mod strips;

pub use host::HostBatch;

/// A factor for every row, or one factor a row. Always `f64`: states cast at their own edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Coef<'a> {
    /// The same for all rows: the fast case.
    All(f64),
    /// One for each row; as long as the batch has rows.
    PerRow(&'a [f64]),
}

impl Coef<'_> {
    /// The factor of one row.
    pub fn at(&self, row: usize) -> f64 {
        match self {
            Coef::All(value) => *value,
            Coef::PerRow(values) => values[row],
        }
    }
}

/// Absolute and relative tolerance of an adaptive method, in data units and dimensionless.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub atol: f64,
    /// Part relative to the larger of the two states at the ends of the step.
    pub rtol: f64,
}

impl Tolerance {
    /// `max(atol, rtol max(a, b))` for values >= 0, or the NaN if there is one.
    #[inline(always)]
    fn larger(self, a: f64, b: f64) -> f64 {
        let larger = self.rtol * if a > b || a.is_nan() { a } else { b };
        if larger > self.atol || larger.is_nan() {
            larger
        } else {
            self.atol
        }
    }
}

/// What [`State::update_rows`] calls: `f(row, x[row], self[row])`.
pub type RowUpdate<'a> = dyn FnMut(usize, &[f64], &mut [f64]) + 'a;

/// A batch of rows (samples) on which a solver works. Axis 0 = rows; a row's values never depend on other rows.
///
/// The layout is the state's own business. Coefficients are `f64` and are rounded once, where they meet the data.
/// Every implementor passes `testing::conformance`.
pub trait State: Clone + Send {
    /// Distance from 1 to the next number of the kind that the state usually holds: no tolerance can be smaller.
    const ROUNDING: f64 = f64::EPSILON;

    /// Number of rows.
    fn rows(&self) -> usize;

    /// Number of values in a row.
    fn row_len(&self) -> usize;

    /// A batch of the same shape, all zero.
    fn zeros_like(&self) -> Self;

    /// `self <- src`, without allocating.
    fn copy_from(&mut self, src: &Self);

    /// `self <- a self`.
    fn scale(&mut self, a: Coef);

    /// `self <- self + a x`.
    fn axpy(&mut self, a: Coef, x: &Self);

    /// `out[row] <- <self[row], other[row]>`, summed in `f64`.
    fn dot_rows(&self, other: &Self, out: &mut [f64]);

    /// `out[row] <- sqrt(mean_i (self_i / (atol + rtol max(|y0_i|, |y1_i|)))^2)`, the scaled error norm of
    /// Hairer, Norsett and Wanner (1993, II.4.11). NaN stays NaN.
    fn error_rows(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]);

    /// As [`State::error_rows`] with the scale `max(atol, rtol max(|y0_i|, |y1_i|))`, the norm of Jolicoeur-Martineau et al. 2021
    /// (arXiv:2105.14080, equation 5) and of adaptive DPM-Solver. NaN stays NaN. Overridden where one pass without memory pays.
    fn error_rows_max(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        let mut scales: Vec<f64> = Vec::with_capacity(self.rows() * self.row_len());
        y0.read_rows(&mut |_, values| scales.extend_from_slice(values));
        let mut rest = scales.iter_mut();
        y1.read_rows(&mut |_, values| {
            // The values come first: the pair that ends a row must not take a scale of the next.
            for (value, scale) in values.iter().zip(rest.by_ref()) {
                *scale = tol.larger(scale.abs(), value.abs());
            }
        });
        let mut scales = scales.iter();
        self.read_rows(&mut |row, values| {
            let ratios = values
                .iter()
                .zip(scales.by_ref())
                .map(|(error, scale)| error / scale);
            let sum: f64 = ratios.map(|ratio| ratio * ratio).sum();
            out[row] = (sum / values.len() as f64).sqrt();
        });
    }

    /// `self[row] <- src[row]` where `take[row]`.
    fn select_rows(&mut self, take: &[bool], src: &Self);

    /// Writes every row through a staging buffer of `row_len` values, in row order.
    fn fill_rows(&mut self, f: &mut dyn FnMut(usize, &mut [f64]));

    /// Reads every row through a staging buffer, in row order.
    fn read_rows(&self, f: &mut dyn FnMut(usize, &[f64]));

    /// Calls `f(row, x[row], self[row])` for every row, in order: `f` changes its row of `self`, and what it leaves alone keeps its
    /// bits. Rows are staged in `work`, whose memory is kept from call to call.
    fn update_rows(&mut self, x: &Self, work: &mut Vec<f64>, f: &mut RowUpdate) {
        let len = self.row_len();
        work.clear();
        x.read_rows(&mut |_, values| work.extend_from_slice(values));
        let half = work.len();
        self.read_rows(&mut |_, values| work.extend_from_slice(values));
        let (xs, own) = work.split_at_mut(half);
        self.fill_rows(&mut |row, out| {
            let at = row * len..(row + 1) * len;
            f(row, &xs[at.clone()], &mut own[at.clone()]);
            out.copy_from_slice(&own[at]);
        });
    }

    /// `self <- sum_k a_k x_k`; none of the `x_k` is `self`. Overridden where one fused pass pays.
    fn lincomb(&mut self, terms: &[(Coef, &Self)]) {
        match terms.split_first() {
            None => self.scale(Coef::All(0.0)),
            Some(((a, x), rest)) => {
                self.copy_from(x);
                self.scale(*a);
                for (a, x) in rest {
                    self.axpy(*a, x);
                }
            }
        }
    }

    /// `inner <- a x + b y`, then `self <- c x + d inner + sum_k e_k z_k`, rounded as by two [`State::lincomb`]s: a step of the
    /// multistep methods, from what `[(a, x), (b, y)]` predict, with `[c, d]`. None of the states on the right is `self` or `inner`.
    /// Overridden where one fused pass pays.
    fn lincomb_through(
        &mut self,
        inner: &mut Self,
        [ax, by]: [(f64, &Self); 2],
        [c, d]: [f64; 2],
        rest: &[(f64, &Self)],
    ) {
        inner.lincomb(&[(Coef::All(ax.0), ax.1), (Coef::All(by.0), by.1)]);
        let mut terms = vec![(Coef::All(c), ax.1), (Coef::All(d), &*inner)];
        terms.extend(rest.iter().map(|(e, z)| (Coef::All(*e), *z)));
        self.lincomb(&terms);
    }

    /// `self <- x + h sum_k w_k k_k` with one `h` a row, none of the states `self`: a stage of a Runge-Kutta method. The sum is
    /// formed in order, then scaled, then added. Overridden where one fused pass pays.
    fn stage(&mut self, x: &Self, h: &[f64], terms: &[(f64, &Self)]) {
        let Some(((w, k), rest)) = terms.split_first() else {
            return self.copy_from(x);
        };
        self.copy_from(k);
        self.scale(Coef::All(*w));
        for (w, k) in rest {
            self.axpy(Coef::All(*w), k);
        }
        self.scale(Coef::PerRow(h));
        self.axpy(Coef::All(1.0), x);
    }

    /// `self <- a self + sum_k a_k x_k`, none of the `x_k` is `self`, added in order. Overridden where one fused pass pays.
    fn accumulate(&mut self, a: Coef, terms: &[(Coef, &Self)]) {
        self.scale(a);
        for (a, x) in terms {
            self.axpy(*a, x);
        }
    }

    /// `out[row] <-` the norm of `self - y1` as [`State::error_rows`] gives it with `y0` and `y1`: the error of a step to `self`, where
    /// `y1` is the state that another method would have come to. Overridden where one pass without memory pays.
    fn distance_rows(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        let mut error = self.clone();
        error.axpy(Coef::All(-1.0), y1);
        error.error_rows(y0, y1, tol, out);
    }

    /// Keeps the first `rows` rows only, without allocating. `false` where a state cannot change its number of rows, which is the
    /// default: solvers then go on with all rows. A state that can has [`State::gather`] and [`State::scatter`] too.
    fn cut_rows(&mut self, _rows: usize) -> bool {
        false
    }

    /// `self[i] <- src[rows[i]]`; `self` has as many rows as are listed. See [`State::cut_rows`].
    fn gather(&mut self, _src: &Self, _rows: &[usize]) {}

    /// `self[rows[i]] <- src[i]`; `src` has as many rows as are listed. See [`State::cut_rows`].
    fn scatter(&mut self, _src: &Self, _rows: &[usize]) {}

    /// The first row that holds a value that is not finite. Overridden where a cheaper pass exists.
    fn first_non_finite_row(&self) -> Option<usize> {
        let mut found = None;
        self.read_rows(&mut |row, values| {
            if found.is_none() && values.iter().any(|v| !v.is_finite()) {
                found = Some(row);
            }
        });
        found
    }
}
