//! Tensors as solver states.

use score_nets::{NetError, TensorNoise, TensorState};
use solvers::noise::{HostNoise, normal_at};
use solvers::testing::conformance;
use solvers::{Draw, HostBatch, NoiseSource, Purpose, State};
use tch::{Device, Kind, Tensor};

fn state(rows: &[Vec<f64>], row_len: usize, kind: Kind) -> TensorState {
    tch::set_num_threads(1);
    let flat: Vec<f64> = rows.concat();
    let tensor = Tensor::from_slice(&flat)
        .to_kind(kind)
        .view([rows.len() as i64, row_len as i64]);
    TensorState::new(tensor).expect("a state")
}

#[test]
fn conforms_in_f32() {
    conformance::state(f64::from(f32::EPSILON), |rows: &[Vec<f64>], row_len| {
        state(rows, row_len, Kind::Float)
    });
}

#[test]
fn conforms_in_f64() {
    conformance::state(f64::EPSILON, |rows: &[Vec<f64>], row_len| {
        state(rows, row_len, Kind::Double)
    });
}

/// Rows with inner axes are the same rows.
#[test]
fn conforms_with_inner_axes() {
    conformance::state(f64::EPSILON, |rows: &[Vec<f64>], row_len| {
        let flat = state(rows, row_len, Kind::Double).into_tensor();
        TensorState::new(flat.view([rows.len() as i64, 1, row_len as i64, 1])).expect("a state")
    });
}

fn values(x: &TensorState) -> Vec<Vec<f64>> {
    let mut rows = Vec::new();
    x.read_rows(&mut |_, row| rows.push(row.to_vec()));
    rows
}

#[test]
fn noise_is_that_of_the_host() {
    let draw = Draw {
        step: 7,
        purpose: Purpose::Predictor,
    };
    for (rows, row_len) in [(0, 3), (1, 1), (5, 1), (5, 2), (5, 3), (4, 64), (3, 100)] {
        let (seed, first_row) = (11, 1_000_000_007);
        let mut host = HostBatch::<f32>::zeros(rows, row_len);
        HostNoise { seed, first_row }
            .normal(draw, &mut host)
            .expect("a generator never fails");
        let mut need = Vec::new();
        host.read_rows(&mut |_, row| need.push(row.to_vec()));
        for kind in [Kind::Float, Kind::Double] {
            let mut x =
                TensorState::zeros(rows as i64, &[row_len as i64], kind, Device::Cpu).expect("a state");
            TensorNoise { seed, first_row }
                .normal(draw, &mut x)
                .expect("a generator never fails");
            assert_eq!(values(&x), need, "{rows} rows of {row_len}");
        }
    }
}

/// More values than are staged at a time: pieces meet without a seam.
#[test]
fn large_batches_have_no_seams() {
    tch::set_num_threads(1);
    let (rows, row_len, seed) = (11, 300_001, 3);
    let mut x = TensorState::zeros(rows, &[row_len as i64], Kind::Float, Device::Cpu).expect("a state");
    let draw = Draw {
        step: 0,
        purpose: Purpose::Prior,
    };
    TensorNoise { seed, first_row: 5 }
        .normal(draw, &mut x)
        .expect("a generator never fails");
    x.read_rows(&mut |row, have| {
        for position in [0, 1, row_len / 2, row_len - 1] {
            let need = normal_at(seed, draw, 5 + row as u64, row_len, position);
            assert_eq!(have[position], f64::from(need), "row {row}, value {position}");
        }
    });
    x.fill_rows(&mut |row, values| values.fill(row as f64));
    x.read_rows(&mut |row, values| assert!(values.iter().all(|v| *v == row as f64)));
}

#[test]
fn states_are_detached_and_clones_are_apart() {
    tch::set_num_threads(1);
    let source = Tensor::from_slice(&[1.0_f32, 2.0]).set_requires_grad(true);
    let mut x = TensorState::new(&source * 2.0).expect("a state");
    assert!(!x.tensor().requires_grad());
    let before = x.clone();
    x.scale(solvers::Coef::All(3.0));
    assert_eq!(values(&before), [[2.0], [4.0]]);
    assert_eq!(values(&x), [[6.0], [12.0]]);
}

#[test]
fn other_tensors_are_refused() {
    for tensor in [
        Tensor::from(1.0_f32),
        Tensor::from_slice(&[1_i64]),
        Tensor::from_slice(&[1.0_f32]).to_kind(Kind::Half),
    ] {
        assert!(matches!(TensorState::new(tensor), Err(NetError::Shape { .. })));
    }
}
