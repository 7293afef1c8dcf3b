//! The host's batch: planes per coordinate, so that rows lie in SIMD lanes.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use ndarray::{Array2, ArrayView2};

use super::aligned::Aligned;
use super::combine::{self, scale};
use super::reduce::{AllFinite, SelectRows, distance_rows, dot_rows, error_rows, error_rows_max};
use super::{Coef, RowUpdate, State, Tolerance, per_row};
use crate::real::Real;
use crate::simd::{self, kernels};

/// A batch of `rows` rows of `dim` values, stored as `dim` planes of `rows` values. Values are `f32` or `f64`; all
/// operations act on each row alone and round the same way whatever the number of rows, so a row's bits do not
/// depend on the batch in which it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct HostBatch<T: Real> {
    values: Aligned<T>,
    rows: usize,
    dim: usize,
}

impl<T: Real> HostBatch<T> {
    /// All zero.
    pub fn zeros(rows: usize, dim: usize) -> Self {
        let values = Aligned::zeros(rows * dim);
        Self { values, rows, dim }
    }

    /// From an array `[rows, dim]`.
    pub fn from_rows(array: ArrayView2<T>) -> Self {
        let (rows, dim) = array.dim();
        let mut out = Self::zeros(rows, dim);
        for d in 0..dim {
            for (to, from) in out.plane_mut(d).iter_mut().zip(array.column(d)) {
                *to = *from;
            }
        }
        out
    }

    /// To an array `[rows, dim]`.
    pub fn to_rows(&self) -> Array2<T> {
        Array2::from_shape_fn((self.rows, self.dim), |(row, d)| self.values[d * self.rows + row])
    }

    /// Writes the rows one after the other.
    pub(crate) fn write_rows(&self, out: &mut [T]) {
        for (row, values) in out.chunks_exact_mut(self.dim).enumerate() {
            for (d, value) in values.iter_mut().enumerate() {
                *value = self.values[d * self.rows + row];
            }
        }
    }

    /// Coordinate `d` of all rows.
    pub fn plane(&self, d: usize) -> &[T] {
        &self.values[d * self.rows..(d + 1) * self.rows]
    }

    /// Coordinate `d` of all rows.
    pub fn plane_mut(&mut self, d: usize) -> &mut [T] {
        &mut self.values[d * self.rows..(d + 1) * self.rows]
    }

    /// All planes, one after the other.
    pub fn planes(&self) -> &[T] {
        &self.values
    }

    /// All planes, one after the other.
    pub fn planes_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    fn assert_same_shape(&self, other: &Self) {
        assert_eq!(
            (self.rows, self.dim),
            (other.rows, other.dim),
            "states of one run have one shape"
        );
    }
}

impl<T: Real> State for HostBatch<T> {
    const ROUNDING: f64 = T::ROUNDING;

    fn rows(&self) -> usize {
        self.rows
    }

    fn row_len(&self) -> usize {
        self.dim
    }

    fn zeros_like(&self) -> Self {
        Self::zeros(self.rows, self.dim)
    }

    fn copy_from(&mut self, src: &Self) {
        self.assert_same_shape(src);
        self.values.copy_from_slice(&src.values);
    }

    fn scale(&mut self, a: Coef) {
        if self.rows > 0 {
            simd::dispatch(Scale::<T>((&mut self.values, self.rows, a)));
        }
    }

    fn axpy(&mut self, a: Coef, x: &Self) {
        self.assert_same_shape(x);
        if self.rows > 0 {
            combine::run_add(&mut self.values, self.rows, &[(a, x)]);
        }
    }

    fn dot_rows(&self, other: &Self, out: &mut [f64]) {
        self.assert_same_shape(other);
        assert_eq!(out.len(), self.rows, "one number a row");
        if self.rows > 0 {
            simd::dispatch(DotRows::<T>((&self.values, &other.values, out)));
        }
    }

    fn error_rows(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        self.assert_same_shape(y0);
        self.assert_same_shape(y1);
        assert_eq!(out.len(), self.rows, "one number a row");
        if self.rows > 0 {
            simd::dispatch(ErrorRows::<T>((&self.values, &y0.values, &y1.values, tol, out)));
        }
    }

    fn error_rows_max(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        self.assert_same_shape(y0);
        self.assert_same_shape(y1);
        assert_eq!(out.len(), self.rows, "one number a row");
        if self.rows > 0 {
            simd::dispatch(ErrorRowsMax::<T>((
                &self.values,
                &y0.values,
                &y1.values,
                tol,
                out,
            )));
        }
    }

    fn select_rows(&mut self, take: &[bool], src: &Self) {
        self.assert_same_shape(src);
        assert_eq!(take.len(), self.rows, "one flag a row");
        if self.rows > 0 {
            let (y, x) = (&mut self.values[..], &src.values[..]);
            simd::dispatch(SelectRows { y, x, take });
        }
    }

    fn fill_rows(&mut self, f: &mut dyn FnMut(usize, &mut [f64])) {
        let mut staging = vec![0.0; self.dim];
        for row in 0..self.rows {
            f(row, &mut staging);
            for (d, value) in staging.iter().enumerate() {
                self.values[d * self.rows + row] = T::from_f64(*value);
            }
        }
    }

    fn read_rows(&self, f: &mut dyn FnMut(usize, &[f64])) {
        let mut staging = vec![0.0; self.dim];
        for row in 0..self.rows {
            for (d, value) in staging.iter_mut().enumerate() {
                *value = self.values[d * self.rows + row].to_f64();
            }
            f(row, &staging);
        }
    }

    fn update_rows(&mut self, x: &Self, work: &mut Vec<f64>, f: &mut RowUpdate) {
        self.assert_same_shape(x);
        let (rows, dim) = (self.rows, self.dim);
        work.clear();
        work.resize(2 * dim, 0.0);
        let (from, own) = work.split_at_mut(dim);
        for row in 0..rows {
            for d in 0..dim {
                from[d] = x.values[d * rows + row].to_f64();
                own[d] = self.values[d * rows + row].to_f64();
            }
            f(row, from, own);
            for d in 0..dim {
                self.values[d * rows + row] = T::from_f64(own[d]);
            }
        }
    }

    fn lincomb(&mut self, terms: &[(Coef, &Self)]) {
        for (_, x) in terms {
            self.assert_same_shape(x);
        }
        if self.rows > 0 {
            combine::run_lincomb(&mut self.values, self.rows, terms);
        }
    }

    fn lincomb_through(
        &mut self,
        inner: &mut Self,
        [ax, by]: [(f64, &Self); 2],
        [c, d]: [f64; 2],
        rest: &[(f64, &Self)],
    ) {
        for state in rest.iter().map(|(_, z)| *z).chain([ax.1, by.1, &*inner]) {
            self.assert_same_shape(state);
        }
        let few = &rest[..rest.len().min(combine::THROUGH)];
        if self.rows > 0 {
            combine::run_lincomb_through(&mut self.values, &mut inner.values, [ax, by], [c, d], few);
        }
        for (e, z) in &rest[few.len()..] {
            self.axpy(Coef::All(*e), z);
        }
    }

    fn stage(&mut self, x: &Self, h: &[f64], terms: &[(f64, &Self)]) {
        self.assert_same_shape(x);
        assert_eq!(h.len(), self.rows, "one number a row");
        for (_, k) in terms {
            self.assert_same_shape(k);
        }
        if terms.is_empty() {
            self.copy_from(x);
        } else if self.rows > 0 {
            per_row::run_stage(&mut self.values, &x.values, h, terms);
        }
    }

    fn accumulate(&mut self, a: Coef, terms: &[(Coef, &Self)]) {
        for (_, x) in terms {
            self.assert_same_shape(x);
        }
        if self.rows == 0 {
            return;
        }
        let mut a = a;
        for group in terms.chunks(per_row::FUSED) {
            per_row::run_accumulate(&mut self.values, self.rows, a, group);
            a = Coef::All(1.0);
        }
        if terms.is_empty() {
            self.scale(a);
        }
    }

    fn distance_rows(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        self.assert_same_shape(y0);
        self.assert_same_shape(y1);
        assert_eq!(out.len(), self.rows, "one number a row");
        if self.rows > 0 {
            simd::dispatch(DistanceRows::<T>((
                &self.values,
                &y0.values,
                &y1.values,
                tol,
                out,
            )));
        }
    }

    fn cut_rows(&mut self, rows: usize) -> bool {
        assert!(rows <= self.rows, "rows are cut, not added");
        for d in 1..self.dim {
            self.values
                .copy_within(d * self.rows..d * self.rows + rows, d * rows);
        }
        self.values.truncate(rows * self.dim);
        self.rows = rows;
        true
    }

    fn gather(&mut self, src: &Self, rows: &[usize]) {
        assert_eq!(
            (rows.len(), src.dim),
            (self.rows, self.dim),
            "one row listed a row"
        );
        for d in 0..self.dim {
            let from = src.plane(d);
            for (to, row) in self.plane_mut(d).iter_mut().zip(rows) {
                *to = from[*row];
            }
        }
    }

    fn scatter(&mut self, src: &Self, rows: &[usize]) {
        assert_eq!(
            (rows.len(), src.dim),
            (src.rows, self.dim),
            "one row listed a row"
        );
        for d in 0..self.dim {
            let to = self.plane_mut(d);
            for (from, row) in src.plane(d).iter().zip(rows) {
                to[*row] = *from;
            }
        }
    }

    fn first_non_finite_row(&self) -> Option<usize> {
        if self.rows == 0 || simd::dispatch(AllFinite(&self.values)) {
            return None;
        }
        (0..self.rows).find(|row| (0..self.dim).any(|d| !self.values[d * self.rows + row].is_finite()))
    }
}

kernels! {
    Scale<'a, T>((&'a mut [T], usize, Coef<'a>)) -> () = scale;
    DotRows<'a, T>((&'a [T], &'a [T], &'a mut [f64])) -> () = dot_rows;
    ErrorRows<'a, T>((&'a [T], &'a [T], &'a [T], Tolerance, &'a mut [f64])) -> () = error_rows;
    ErrorRowsMax<'a, T>((&'a [T], &'a [T], &'a [T], Tolerance, &'a mut [f64])) -> () = error_rows_max;
    DistanceRows<'a, T>((&'a [T], &'a [T], &'a [T], Tolerance, &'a mut [f64])) -> () = distance_rows;
}
