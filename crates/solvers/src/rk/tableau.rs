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
    /// Weights `d` of the term `theta^2 (1 - theta)^2 h sum_j d_j k_j` that raises the cubic Hermite interpolant of a step by one order,
    /// where there is such a term without further evaluations.
    pub dense: Option<&'static [f64]>,
    /// Whether the last stage is the first one of the next step (its row of `a` equals `b`).
    pub first_same_as_last: bool,
}

impl Tableau {
    /// Stages, the last one included that only the next step and the error estimate use.
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Evaluations a step, first to last: a pair that is first-same-as-last saves one, with fixed steps and with adaptive ones.
    pub fn evaluations(&self) -> usize {
        self.stages() - usize::from(self.first_same_as_last)
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
    dense: None,
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
    dense: None,
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
    dense: None,
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
    dense: None,
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
    // The interpolant of order 4 of Shampine (1986), in the form of Hairer, Norsett and Wanner (1993, II.6, program DOPRI5).
    dense: Some(&[
        -12715105075.0 / 11282082432.0,
        0.0,
        87487479700.0 / 32700410799.0,
        -10690763975.0 / 1880347072.0,
        701980252875.0 / 199316789632.0,
        -1453857185.0 / 822651844.0,
        69997945.0 / 29380423.0,
    ]),
    first_same_as_last: true,
};

/// Bogacki and Shampine's pair 3(2) with local extrapolation (Bogacki and Shampine 1989, Appl. Math. Lett. 2, 321).
pub static BOSH3: Tableau = Tableau {
    name: "bosh3",
    order: 3,
    a: &[
        &[],
        &[1.0 / 2.0],
        &[0.0, 3.0 / 4.0],
        &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0],
    ],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    c: &[0.0, 1.0 / 2.0, 3.0 / 4.0, 1.0],
    error: Some(&[-5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0]),
    // The cubic has the order of the method.
    dense: None,
    first_same_as_last: true,
};

/// Tsitouras' pair 5(4) with local extrapolation (Tsitouras 2011, Comput. Math. Appl. 62, 770, table 1 and its interpolant of
/// order 4). The sixteen digits printed there are what `f64` holds.
pub static TSIT5: Tableau = Tableau {
    name: "tsit5",
    order: 5,
    a: &[
        &[],
        &[0.161],
        &[-0.008_480_655_492_356_989, 0.335_480_655_492_357],
        &[
            2.897_153_057_105_493_5,
            -6.359_448_489_975_075,
            4.362_295_432_869_581_5,
        ],
        &[
            5.325_864_828_439_257,
            -11.748_883_564_062_828,
            7.495_539_342_889_836_5,
            -0.092_495_066_361_755_25,
        ],
        &[
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401,
            -0.028_269_050_394_068_383,
        ],
        &TSIT5_B,
    ],
    b: &[
        TSIT5_B[0], TSIT5_B[1], TSIT5_B[2], TSIT5_B[3], TSIT5_B[4], TSIT5_B[5], 0.0,
    ],
    c: &[0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0, 1.0],
    error: Some(&[
        -0.001_780_011_052_225_777,
        -0.000_816_434_459_656_746_9,
        0.007_880_878_010_261_995,
        -0.144_711_007_173_262_9,
        0.582_357_165_452_555_2,
        -0.458_082_105_929_186_97,
        1.0 / 66.0,
    ]),
    dense: Some(&[
        -1.053_088_497_729_021_6,
        0.1017,
        2.490_627_285_651_253,
        -16.548_102_889_244_902,
        47.379_521_962_819_28,
        -34.870_657_861_496_61,
        2.5,
    ]),
    first_same_as_last: true,
};

const TSIT5_B: [f64; 6] = [
    0.096_460_766_818_065_23,
    0.01,
    0.479_889_650_414_499_6,
    1.379_008_574_103_742,
    -3.290_069_515_436_081,
    2.324_710_524_099_774,
];

/// All methods.
pub static ALL: [&Tableau; 7] = [&EULER, &HEUN, &MIDPOINT, &RK4, &BOSH3, &DP5, &TSIT5];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_stage_times_and_weights_to_one() {
        for tableau in ALL {
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
                assert!(error.iter().sum::<f64>().abs() < 1e-15, "{}", tableau.name);
            }
        }
    }

    /// The quadrature conditions `sum b c^q = 1/(q + 1)` for `q < order`, and for the embedded solution one order less.
    #[test]
    fn quadrature_conditions() {
        for tableau in ALL {
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

    /// The solution `t^(q + 1)/(q + 1)` of `x' = t^q` is a polynomial of degree at most 3 for `q <= 2`, which the cubic has exactly;
    /// for `q = 3` the term added is the missing `t^2 (1 - t)^2/4`.
    #[test]
    fn the_interpolant_has_order_four() {
        for tableau in [&DP5, &TSIT5] {
            let dense = tableau.dense.unwrap();
            for (q, expected) in [0.0, 0.0, 0.0, 0.25].into_iter().enumerate() {
                let moment: f64 = dense
                    .iter()
                    .zip(tableau.c)
                    .map(|(d, c)| d * c.powi(q as i32))
                    .sum();
                assert!(
                    (moment - expected).abs() < 2e-14,
                    "{} {q}: {moment}",
                    tableau.name
                );
            }
        }
    }

    /// First-same-as-last: the last stage is evaluated at the solution.
    #[test]
    fn the_last_stage_stands_at_the_solution() {
        for tableau in ALL.iter().filter(|tableau| tableau.first_same_as_last) {
            let last = tableau.stages() - 1;
            assert_eq!(
                (tableau.a[last], tableau.b[last]),
                (&tableau.b[..last], 0.0),
                "{}",
                tableau.name
            );
            assert_eq!(tableau.c[last], 1.0);
        }
    }
}
