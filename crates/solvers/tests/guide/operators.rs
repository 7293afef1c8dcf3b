//! Laws of linear operators.

use solvers::SolveError;
use solvers::guide::{Known, LinearOperator, Mask, Matrix, Measurement, OrthonormalRows, Rotated};

use crate::problems::dense;

fn vector(len: usize, salt: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 7 + salt * 13 + 1) as f64).sin()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn rotation() -> Rotated {
    let (c, s) = (0.6, 0.8);
    let matrix = [c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0];
    Rotated::new(&matrix, 3, &[true, false, false, true, true, false]).unwrap()
}

fn orthonormal() -> Vec<Box<dyn OrthonormalRows>> {
    vec![
        Box::new(Mask::new(&[true, false, true, false, false]).unwrap()),
        Box::new(Rotated::grey(3, 4).unwrap()),
        Box::new(Rotated::grey(1, 2).unwrap()),
        Box::new(rotation()),
    ]
}

fn laws(operator: &dyn LinearOperator) {
    let (m, n) = (operator.output_len(), operator.input_len());
    let (x, y) = (vector(n, 1), vector(m, 2));
    let (mut ax, mut aty) = (vec![0.0; m], vec![f64::NAN; n]);
    operator.apply(&x, &mut ax);
    operator.adjoint(&y, &mut aty);
    assert!(
        (dot(&ax, &y) - dot(&x, &aty)).abs() < 1e-13,
        "{operator:?}: adjoint"
    );
    let matrix = dense(operator);
    for (a, b) in [(0.7, 0.2), (0.0, 3.0), (2.0, 0.5)] {
        let mut solved = y.clone();
        operator.solve(a, b, &mut solved, &mut Vec::new());
        // (a A A^T + b I) solved = y
        let mut back = vec![0.0; n];
        operator.adjoint(&solved, &mut back);
        for i in 0..m {
            let got = a * dot(&matrix[i * n..(i + 1) * n], &back) + b * solved[i];
            assert!((got - y[i]).abs() < 1e-12, "{operator:?}: solve");
        }
    }
}

#[test]
fn every_operator_obeys_its_laws() {
    for operator in orthonormal() {
        laws(&*operator);
        let (m, n) = (operator.output_len(), operator.input_len());
        let matrix = dense(&*operator);
        for i in 0..m {
            for j in 0..m {
                let gram = dot(&matrix[i * n..(i + 1) * n], &matrix[j * n..(j + 1) * n]);
                assert!((gram - f64::from(u8::from(i == j))).abs() < 1e-14, "{operator:?}");
            }
        }
        let (mut x, before, y) = (vector(n, 3), vector(n, 3), vector(m, 4));
        operator.replace(&y, &mut x, &mut Vec::new());
        let mut ax = vec![0.0; m];
        operator.apply(&x, &mut ax);
        assert!(
            ax.iter().zip(&y).all(|(a, y)| (a - y).abs() < 1e-14),
            "{operator:?}: A x = y"
        );
        // The change is A^T of something: nothing orthogonal to the rows has moved.
        let change: Vec<f64> = x.iter().zip(&before).map(|(a, b)| a - b).collect();
        let (mut along, mut back) = (vec![0.0; m], vec![0.0; n]);
        operator.apply(&change, &mut along);
        operator.adjoint(&along, &mut back);
        assert!(
            change.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-14),
            "{operator:?}"
        );
    }
    laws(&Matrix::new(&[1.0, -0.5, 0.3, 0.0, 2.0, 1.0], 3).unwrap());
    laws(&Matrix::new(&vector(12, 5), 3).unwrap());
}

#[test]
fn grey_is_the_mean_over_the_channels() {
    let operator = Rotated::grey(3, 2).unwrap();
    let mut grey = [0.0; 2];
    operator.apply(&[1.0, 10.0, 2.0, 20.0, 6.0, 60.0], &mut grey);
    let root = 3f64.sqrt();
    assert!(
        (grey[0] - 3.0 * root).abs() < 1e-14 && (grey[1] - 30.0 * root).abs() < 1e-13,
        "{grey:?}"
    );
}

/// Without noise and with dependent rows the system is singular: the pseudoinverse, nothing infinite.
#[test]
fn singular_systems_take_the_pseudoinverse() {
    let operator = Matrix::new(&[1.0, 2.0, 2.0, 4.0], 2).unwrap();
    let mut y = [1.0, 2.0];
    operator.solve(1.0, 0.0, &mut y, &mut Vec::new());
    // A A^T = 25 u u^T with u = (1, 2)/sqrt(5), and y = sqrt(5) u.
    assert!(
        (y[0] - 0.04).abs() < 1e-15 && (y[1] - 0.08).abs() < 1e-15,
        "{y:?}"
    );
    let mut y = [3.0];
    Mask::new(&[true])
        .unwrap()
        .solve(0.0, 0.0, &mut y, &mut Vec::new());
    assert_eq!(y, [0.0]);
}

#[test]
fn mistakes_are_named() {
    let says = |error: SolveError, part: &str| assert!(error.to_string().contains(part), "{error}");
    says(
        Mask::new(&[false; 3]).unwrap_err(),
        "guide.mask = 3 values, all unknown",
    );
    says(Mask::new(&[]).unwrap_err(), "nothing is known");
    says(
        Rotated::new(&[1.0, 0.0, 0.1, 1.0], 2, &[true; 4]).unwrap_err(),
        "must be orthonormal",
    );
    says(
        Rotated::new(&[f64::NAN; 4], 2, &[true; 4]).unwrap_err(),
        "must be orthonormal",
    );
    says(
        Rotated::new(&[1.0, 0.0, 0.0, 1.0], 2, &[true; 3]).unwrap_err(),
        "guide.mask = 3 values",
    );
    says(
        Rotated::new(&[1.0], 2, &[true; 2]).unwrap_err(),
        "guide.matrix = 1 entries: must be 2 x 2",
    );
    says(Rotated::new(&[], 0, &[]).unwrap_err(), "at least one channel");
    says(Rotated::grey(0, 3).unwrap_err(), "at least one channel");
    says(Matrix::new(&[1.0; 5], 3).unwrap_err(), "must be whole rows");
    says(Matrix::new(&[], 3).unwrap_err(), "must be whole rows");
    says(Matrix::new(&[f64::INFINITY], 1).unwrap_err(), "must be finite");
    let mask = || Mask::new(&[true, false]).unwrap();
    assert!(matches!(
        Known::new(mask(), &[1.0, 2.0]).unwrap_err(),
        SolveError::Shape { .. }
    ));
    says(Known::new(mask(), &[f64::NAN]).unwrap_err(), "guide.y = NaN");
    says(
        Measurement::new(mask(), &[1.0], -1.0).unwrap_err(),
        "guide.noise_std = -1",
    );
    says(
        Measurement::new(mask(), &[1.0], f64::NAN).unwrap_err(),
        "guide.noise_std = NaN",
    );
}
