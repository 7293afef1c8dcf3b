//! Butcher tableaus.

/// The coefficients of an explicit Runge-Kutta method with `b.len()` stages.
#[derive(Debug, PartialEq)]
pub struct Tableau {
    /// Name as in the configuration.
    pub name: &'static str,
    /// Order of convergence.
    pub order: u8,
    /// Stage weights: row `i` has the `i` factors of stage `i`.
    pub a: &'static [&'static [f64]],
    /// Weights of the solution.
    pub b: &'static [f64],
    /// Stage times as fractions of the step.
    pub c: &'static [f64],
    /// Weights of the error estimate (solution minus embedded solution), where there is one.
    pub error: Option<&'static [f64]>,
    /// Whether the last stage is the first one of the next step (its row of `a` equals `b`).
    pub first_same_as_last: bool,
}

impl Tableau {
    /// Evaluations a step.
    pub fn stages(&self) -> usize {
        self.b.len()
    }
}

/// The largest number of stages of a tableau below.
pub const MAX_STAGES: usize = 7;

/// Euler's method, order 1.
pub static EULER: Tableau = Tableau {
    name: "euler",
    order: 1,
    a: &[&[]],
    b: &[1.0],
    c: &[0.0],
    error: None,
    first_same_as_last: false,
};

/// The explicit midpoint rule, order 2 (Hairer, Norsett and Wanner 1993, II.1).
pub static MIDPOINT: Tableau = Tableau {
    name: "midpoint",
    order: 2,
    a: &[&[], &[0.5]],
    b: &[0.0, 1.0],
    c: &[0.0, 0.5],
    error: None,
    first_same_as_last: false,
};

/// Heun's trapezoidal method, order 2 (Heun 1900).
pub static HEUN: Tableau = Tableau {
    name: "heun",
    order: 2,
    a: &[&[], &[1.0]],
    b: &[0.5, 0.5],
    c: &[0.0, 1.0],
    error: None,
    first_same_as_last: false,
};

/// The classical method of order 4 (Kutta 1901); the fourth stage starts from `x + h k_3`.
pub static RK4: Tableau = Tableau {
    name: "rk4",
    order: 4,
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    c: &[0.0, 0.5, 0.5, 1.0],
    error: None,
    first_same_as_last: false,
};

/// Dormand and Prince's pair 5(4) with local extrapolation (Dormand and Prince 1980, table 2).
pub static DP5: Tableau = Tableau {
    name: "dp5",
    order: 5,
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[
            19372.0 / 6561.0,
            -25360.0 / 2187.0,
            64448.0 / 6561.0,
            -212.0 / 729.0,
        ],
        &[
            9017.0 / 3168.0,
            -355.0 / 33.0,
            46732.0 / 5247.0,
            49.0 / 176.0,
            -5103.0 / 18656.0,
        ],
        &[
            35.0 / 384.0,
            0.0,
            500.0 / 1113.0,
            125.0 / 192.0,
            -2187.0 / 6784.0,
            11.0 / 84.0,
        ],
    ],
    b: &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
        0.0,
    ],
    c: &[0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
    error: Some(&[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ]),
    first_same_as_last: true,
};

/// The tableaus for fixed steps.
pub static FIXED: [&Tableau; 4] = [&EULER, &HEUN, &MIDPOINT, &RK4];

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Tableau> {
        FIXED.into_iter().chain([&DP5])
    }

    #[test]
    fn rows_sum_to_stage_times_and_weights_to_one() {
        for tableau in all() {
            assert!(tableau.stages() <= MAX_STAGES);
            assert_eq!(tableau.a.len(), tableau.stages(), "{}", tableau.name);
            for (i, row) in tableau.a.iter().enumerate() {
                assert_eq!(row.len(), i, "{}", tableau.name);
                assert!(
                    (row.iter().sum::<f64>() - tableau.c[i]).abs() < 1e-14,
                    "{} stage {i}",
                    tableau.name
                );
            }
            assert!(
                (tableau.b.iter().sum::<f64>() - 1.0).abs() < 1e-15,
                "{}",
                tableau.name
            );
            if let Some(error) = tableau.error {
                assert!(error.iter().sum::<f64>().abs() < 1e-16, "{}", tableau.name);
            }
        }
    }

    /// The quadrature conditions `sum b c^q = 1/(q + 1)` for `q < order`, and for the embedded solution one order less.
    #[test]
    fn quadrature_conditions() {
        for tableau in all() {
            for q in 0..tableau.order {
                let moment = |w: &[f64]| {
                    w.iter()
                        .zip(tableau.c)
                        .map(|(w, c)| w * c.powi(i32::from(q)))
                        .sum::<f64>()
                };
                let exact = 1.0 / f64::from(q + 1);
                assert!((moment(tableau.b) - exact).abs() < 1e-14, "{} {q}", tableau.name);
                if let Some(error) = tableau.error.filter(|_| q + 1 < tableau.order) {
                    assert!(moment(error).abs() < 1e-15, "{} {q}", tableau.name);
                }
            }
        }
    }
}
