use super::*;
use crate::noise::Purpose;

const DRAW: Draw = Draw {
    step: 11,
    purpose: Purpose::Predictor,
};

fn planes(first_row: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows * dim];
    fill_planes(5, DRAW, first_row, rows, &mut out);
    out
}

/// Every layout, row length, start and length gives the numbers of the scalar definition, bit for bit.
#[test]
fn every_layout_gives_the_definition() {
    let starts = [
        0,
        1,
        2,
        3,
        6,
        127,
        1000,
        (1 << 32) - 5,
        (1 << 34) - 7,
        (1 << 33) - 3,
        1 << 40,
    ];
    for dim in [1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 515] {
        for first_row in starts {
            for rows in [1, 2, 3, 5, 130, 300] {
                if dim > 8 && rows > 5 && first_row > 3 {
                    continue;
                }
                let planes = planes(first_row, rows, dim);
                let mut wide = vec![f64::NAN; rows * dim];
                fill_planes(5, DRAW, first_row, rows, &mut wide);
                let mut by_rows = vec![f32::NAN; rows * dim];
                fill_rows_f32(5, DRAW, first_row, dim, &mut by_rows);
                for row in 0..rows {
                    for d in 0..dim {
                        let expected = normal_at(5, DRAW, first_row + row as u64, dim, d);
                        assert_eq!(
                            planes[d * rows + row].to_bits(),
                            expected.to_bits(),
                            "{dim} {first_row} {row} {d}"
                        );
                        assert_eq!(wide[d * rows + row], f64::from(expected));
                        assert_eq!(by_rows[row * dim + d].to_bits(), expected.to_bits());
                    }
                }
            }
        }
    }
}

#[test]
fn empty_requests_are_fine() {
    fill_planes::<f32>(1, DRAW, 0, 0, &mut []);
    fill_planes::<f32>(1, DRAW, 0, 4, &mut []);
    fill_rows_f32(1, DRAW, 0, 0, &mut []);
    fill_rows_f32(1, DRAW, 0, 2, &mut []);
}

#[test]
fn seed_step_purpose_and_row_all_matter() {
    let base = normal_at(1, DRAW, 2, 4, 0);
    assert_ne!(base, normal_at(2, DRAW, 2, 4, 0));
    assert_ne!(base, normal_at(1 + (1 << 32), DRAW, 2, 4, 0));
    assert_ne!(base, normal_at(1, Draw { step: 12, ..DRAW }, 2, 4, 0));
    assert_ne!(
        base,
        normal_at(
            1,
            Draw {
                purpose: Purpose::Corrector,
                ..DRAW
            },
            2,
            4,
            0
        )
    );
    assert_ne!(base, normal_at(1, DRAW, 2 + (1 << 32), 4, 0));
    assert_ne!(base, normal_at(1, DRAW, 2, 4, 1));
}

#[test]
fn uniforms_have_the_moments_of_uniforms() {
    let n = 200_000;
    let (mut sum, mut squares) = (0.0, 0.0);
    for row in 0..n {
        let u = uniform(3, DRAW, row);
        assert!(u > 0.0 && u < 1.0);
        sum += u;
        squares += u * u;
    }
    let n = n as f64;
    // Standard errors: sqrt(1/12n) of the mean, sqrt(4/45n) of the mean square.
    assert!((sum / n - 0.5).abs() < 4.0 * (1.0 / 12.0 / n).sqrt());
    assert!((squares / n - 1.0 / 3.0).abs() < 4.0 * (4.0 / 45.0 / n).sqrt());
}
