//! The methods that solvers of some kinds use: sums through another state for multistep methods; for adaptive ones a step size a
//! row, and rows that leave and come back.

use super::{Rows, Suite, read};
use crate::{Coef, State, Tolerance};

impl<S: State, F: Fn(&[Vec<f64>], usize) -> S> Suite<'_, F> {
    pub(super) fn sums_through_another(&self) {
        let states: Vec<S> = (0..7).map(|k| self.make(&self.data(k))).collect();
        for count in 0..=4 {
            let (mut x, mut inner) = (states[5].clone(), states[6].clone());
            let rest: Vec<(f64, &S)> = (0..count).map(|k| (0.5 - k as f64, &states[k + 2])).collect();
            let of = [(0.75, &states[0]), (-1.25, &states[1])];
            x.lincomb_through(&mut inner, of, [0.5, 1.5], &rest);
            let (mut y, mut expected) = (x.zeros_like(), x.zeros_like());
            expected.lincomb(&of.map(|(a, x)| (Coef::All(a), x)));
            let all = [(0.5, &states[0]), (1.5, &expected)];
            let terms = all.into_iter().chain(rest).map(|(a, x)| (Coef::All(a), x));
            y.lincomb(&terms.collect::<Vec<_>>());
            let same = read(&x) == read(&y) && read(&inner) == read(&expected);
            assert!(same, "{}", self.name("lincomb_through, as two lincombs"));
        }
    }

    pub(super) fn steps_per_row(&self) {
        let (a, b, c) = (self.data(1), self.data(2), self.data(3));
        let (x, k, l, h) = (self.make(&a), self.make(&b), self.make(&c), self.coefs(4));
        let map = |f: &dyn Fn(usize, usize) -> f64| -> Rows {
            (0..self.rows)
                .map(|row| (0..self.row_len).map(|d| f(row, d)).collect())
                .collect()
        };
        let mut y = self.make(&c);
        y.stage(&x, &h, &[(0.5, &k), (-1.25, &l)]);
        let expected = map(&|row, d| a[row][d] + h[row] * (0.5 * b[row][d] - 1.25 * c[row][d]));
        self.close("stage", &y, &expected, 8.0, 8.0);
        y.stage(&x, &h, &[]);
        self.close("stage without terms", &y, &a, 0.0, 1.0);
        let mut y = self.make(&c);
        y.accumulate(Coef::PerRow(&h), &[(Coef::All(0.5), &x), (Coef::PerRow(&h), &k)]);
        let expected = map(&|row, d| h[row] * c[row][d] + 0.5 * a[row][d] + h[row] * b[row][d]);
        self.close("accumulate", &y, &expected, 8.0, 8.0);
        let mut y = self.make(&c);
        y.accumulate(Coef::All(2.0), &[]);
        self.close(
            "accumulate nothing",
            &y,
            &map(&|row, d| 2.0 * c[row][d]),
            0.0,
            1.0,
        );
    }

    /// The norm of a difference, in one pass or in two.
    pub(super) fn distances(&self) {
        let states: Vec<S> = (0..3).map(|k| self.make(&self.data(k))).collect();
        let tol = Tolerance {
            atol: 0.25,
            rtol: 0.5,
        };
        let mut difference = states[0].clone();
        difference.axpy(Coef::All(-1.0), &states[2]);
        let [mut expected, mut got] = [vec![f64::NAN; self.rows], vec![f64::NAN; self.rows]];
        difference.error_rows(&states[1], &states[2], tol, &mut expected);
        states[0].distance_rows(&states[1], &states[2], tol, &mut got);
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert!(
                (got - expected).abs() <= 100.0 * self.epsilon * (1.0 + expected),
                "{}: row {row}: {got} for {expected}",
                self.name("distance_rows")
            );
        }
    }

    /// For states that can change their number of rows.
    pub(super) fn moved_rows(&self) {
        let (a, b) = (self.data(1), self.data(2));
        let picked: Vec<usize> = (0..self.rows).filter(|row| row % 3 != 1).collect();
        let mut part = self.make(&b);
        if !part.cut_rows(picked.len()) {
            return;
        }
        assert_eq!(
            (part.rows(), part.row_len()),
            (picked.len(), self.row_len),
            "{}",
            self.name("cut_rows")
        );
        assert_eq!(
            read(&part),
            b[..picked.len()],
            "{}",
            self.name("cut_rows keeps the first rows")
        );
        part.gather(&self.make(&a), &picked);
        let expected: Rows = picked.iter().map(|row| a[*row].clone()).collect();
        assert_eq!(read(&part), expected, "{}", self.name("gather"));
        let mut whole = self.make(&b);
        whole.scatter(&part, &picked);
        let expected: Rows = (0..self.rows)
            .map(|row| {
                if row % 3 == 1 {
                    b[row].clone()
                } else {
                    a[row].clone()
                }
            })
            .collect();
        assert_eq!(read(&whole), expected, "{}", self.name("scatter"));
    }
}
