use score_nets::TensorState;
use sde_core::SdeConfig;
use solvers::{Coef, Observer, ScoreFn, SolveError, SolveStats, State, StepInfo, StopReason};
use tch::{Device, Kind};

use super::{Recorder, STATES, WAITING, is_turn};

/// The score of data from N(0, 1) under `mean_coef` 1, whatever the time: `-x / (1 + t^2)`.
struct Normal;

impl ScoreFn<TensorState> for Normal {
    fn score(&self, x: &TensorState, t: Coef, out: &mut TensorState) -> Result<(), SolveError> {
        out.copy_from(x);
        out.scale(Coef::All(-1.0 / (1.0 + t.at(0) * t.at(0))));
        Ok(())
    }
}

/// A state of 20 points whose first coordinates are all `value` and whose second ones number the rows.
fn state(value: f64) -> TensorState {
    let mut x = TensorState::zeros(20, &[2], Kind::Float, Device::Cpu).expect("memory");
    x.fill_rows(&mut |row, values| values.copy_from_slice(&[value, row as f64]));
    x
}

/// What is kept of a run of so many steps from time 10, of which the sampler knows the number or not.
fn run(steps: u64, known: bool) -> Recorder {
    let mut recorder = Recorder::new(&[2], 20);
    let mut info = StepInfo {
        step: 0,
        steps: known.then_some(steps),
        t: 10.0,
        nfe: 0,
        first_row: 0,
    };
    recorder.start(&info, &state(0.0));
    for step in 0..steps {
        info.step = step;
        info.t = 10.0 - 10.0 * (step + 1) as f64 / steps as f64;
        assert!(recorder.step(&info, &state((step + 1) as f64)).is_continue());
        assert!(recorder.kept.len() <= if known { STATES } else { WAITING });
    }
    let stats = SolveStats {
        nfe: steps,
        steps,
        rejected: 0,
        row_evaluations: 0,
        stop: StopReason::Finished,
        t: info.t,
    };
    // The last act changes the state once more.
    recorder.end(&stats, &state(-1.0));
    recorder
}

#[test]
fn the_states_are_spread_over_the_steps_and_end_with_the_sample() {
    tch::set_num_threads(1);
    let steps = |all, known| -> Vec<u64> { run(all, known).kept.iter().map(|kept| kept.step).collect() };
    assert_eq!(steps(18, true), [0, 2, 5, 7, 9, 11, 14, 16, 18]);
    assert_eq!(steps(1000, true), [0, 125, 250, 375, 500, 625, 750, 875, 1000]);
    for known in [false, true] {
        assert_eq!(steps(0, known), [0, 0]);
        assert_eq!(steps(1, known), [0, 1]);
        assert_eq!(steps(3, known), [0, 1, 2, 3]);
    }
    // Of an unknown number, every 32nd waits, and of those some are picked.
    let found = steps(1000, false);
    assert_eq!((found.len(), found[0], found[STATES - 1]), (STATES, 0, 1000));
    for pair in found.windows(2) {
        assert!((96..=160).contains(&(pair[1] - pair[0])), "{found:?}");
    }
    for kept in run(40, true).kept {
        let value = if kept.step == 40 { -1.0 } else { kept.step as f32 };
        let rows = kept.values.chunks_exact(2).enumerate();
        assert_eq!(rows.len(), 20);
        for (row, values) in rows {
            assert_eq!(values, [value, row as f32]);
        }
        assert_eq!(kept.t, 10.0 - 0.25 * kept.step as f64);
    }
}

#[test]
fn what_the_model_expects_is_the_mean_of_the_data_given_the_state() {
    tch::set_num_threads(1);
    let text = "kind = \"edm\"\n";
    let config: SdeConfig = toml::from_str(text).expect("a table");
    let sde = config.build().expect("a process");
    let found = run(40, true)
        .finish(sde.as_ref(), &Normal, Device::Cpu)
        .expect("a trajectory");
    assert_eq!(found.sigmas, found.times, "of this process");
    for (at, expected) in found.expected.iter().enumerate() {
        let shrunk = match found.times[at] {
            0.0 => 1.0,
            t => 1.0 / (1.0 + t * t),
        };
        for (mean, x) in expected.iter().zip(&found.states[at]) {
            let exact = shrunk * f64::from(*x);
            assert!((f64::from(*mean) - exact).abs() < 1e-5, "{mean} against {exact}");
        }
    }
    // Rows of an adaptive method stand at times of their own.
    let found = run(40, false)
        .finish(sde.as_ref(), &Normal, Device::Cpu)
        .expect("a trajectory");
    assert!(found.expected.is_empty() && found.states.len() == STATES);
}

#[test]
fn large_rows_are_few() {
    let rows = |shape: &[i64], batch| Recorder::new(shape, batch).rows();
    assert_eq!(rows(&[2], 1000), 256);
    assert_eq!(rows(&[2], 10), 10);
    assert_eq!(rows(&[1, 64], 1000), 8);
    assert_eq!(rows(&[1, 28, 28], 64), 8);
    assert_eq!(rows(&[3, 256, 256], 64), 1);
    assert_eq!(rows(&[3, 1024, 1024], 64), 1);
    assert!(
        (0..=7).all(|number| is_turn(number, 7)),
        "fewer than there are states"
    );
}
