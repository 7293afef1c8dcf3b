//! Order of the interpolants, apart from the steps: on `x' = (q + 1) t^q` the steps are exact, and what is left between them is the
//! interpolant's own error.

use solvers::rk::Rhs;
use solvers::rk::adaptive::{Limits, integrate_saving};
use solvers::rk::tableau::{BOSH3, DP5, TSIT5, Tableau};
use solvers::{Coef, SolveError, State, StopReason, Tolerance};

use crate::common::{Batch, batch, rows};

struct Power(i32);

impl Rhs<Batch> for Power {
    fn eval(&mut self, x: &Batch, t: Coef, dx: &mut Batch) -> Result<(), SolveError> {
        for row in 0..x.rows() {
            dx.plane_mut(0)[row] = f64::from(self.0 + 1) * t.at(row).powi(self.0);
        }
        Ok(())
    }
}

/// Largest error at 37 times on the way from `t = 2` to `0.5`.
fn error(tableau: &Tableau, q: i32) -> f64 {
    let times: Vec<f64> = (0..37).map(|i| 2.0 - f64::from(i) / 24.0).collect();
    let limits = Limits {
        tolerance: Tolerance {
            atol: 1e-4,
            rtol: 0.0,
        },
        max_steps: 10_000,
        min_step: 0.0,
    };
    let mut x = batch(1, 1, |_, _| 2f64.powi(q + 1));
    let (mut worst, mut shown) = (0.0_f64, 0);
    let stats = integrate_saving(
        tableau,
        &mut Power(q),
        (2.0, 0.5),
        limits,
        0,
        &mut x,
        &times,
        &mut |info, state| {
            assert_eq!((info.step, info.t), (shown, times[shown as usize]));
            shown += 1;
            worst = worst.max((rows(state)[0][0] - info.t.powi(q + 1)).abs());
            std::ops::ControlFlow::Continue(())
        },
    );
    assert_eq!((stats.expect("regular").stop, shown), (StopReason::Finished, 37));
    worst
}

#[test]
fn interpolants_are_exact_up_to_their_degree() {
    for (tableau, degree) in [(&BOSH3, 3), (&DP5, 4), (&TSIT5, 4)] {
        for q in 0..degree {
            let error = error(tableau, q);
            assert!(error < 1e-12, "{} on t^{}: {error:e}", tableau.name, q + 1);
        }
        let error = error(tableau, degree);
        assert!(
            (1e-10..1e-2).contains(&error),
            "{} on t^{}: {error:e}",
            tableau.name,
            degree + 1
        );
    }
}
