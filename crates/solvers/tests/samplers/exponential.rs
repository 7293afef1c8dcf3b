//! The exponential integrators in `lambda`: DDIM and DPM-Solver.

use std::cell::RefCell;

use sde_core::Marginal;
use solvers::{Coef, Draw, HostNoise, NoiseSource, Purpose, ScoreFn, SolveError, State};

use crate::common::{Batch, batch, oracle, refusal, rows, run, sampler, samples, sde, sdes};
use crate::exact_moments::moments;
use crate::orders::{NoNoise, error, fitted_order};

/// One table of each way to step.
const METHODS: [&str; 9] = [
    "kind = \"ddim\"",
    "kind = \"dpm-solver\"\norder = 1",
    "kind = \"dpm-solver\"",
    "kind = \"dpm-solver\"\nalgorithm = \"dpmsolver\"",
    "kind = \"dpm-solver\"\norder = 3",
    "kind = \"dpm-solver\"\norder = 3\nalgorithm = \"dpmsolver\"\ncurvature = \"full\"",
    "kind = \"dpm-solver\"\nmode = \"singlestep\"",
    "kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3",
    "kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3\nalgorithm = \"dpmsolver\"\nlower_order_final = true",
];

const ADAPTIVE: [&str; 3] = [
    "kind = \"dpm-solver\"\nmode = \"adaptive\"",
    "kind = \"dpm-solver\"\nmode = \"adaptive\"\norder = 3",
    "kind = \"dpm-solver\"\nmode = \"adaptive\"\norder = 3\nalgorithm = \"dpmsolver\"",
];

const STARTS: [[f64; 2]; 3] = [[0.3, -1.2], [1.1, 0.4], [-0.7, 0.9]];

fn distance(x: &Batch, expected: &[[f64; 2]]) -> f64 {
    let pairs = rows(x)
        .into_iter()
        .flatten()
        .zip(expected.iter().flatten().copied().collect::<Vec<_>>());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The results of the authors' code (LuChengTHU/dpm-solver, dpm_solver_pytorch.py, commit 0fdeb80) run in float64 on the mixture
/// oracle under VP, from the same three points: `skip_type` logSNR or, with 6 steps, time_uniform; singlestep as
/// `singlestep_fixed`, or `singlestep` where the last steps are of lower order; `denoise_to_zero` with 12 steps. The adaptive
/// mode was run row by row, and without its rounding of the step factor to float32.
#[test]
#[allow(clippy::excessive_precision)]
fn published_values() {
    let vp = sde("kind = \"vp\"");
    for (table, expected) in published() {
        let table = format!("kind = \"dpm-solver\"\n{table}");
        let mut x = batch(3, 2, |row, d| STARTS[row][d]);
        run(&*sampler(&table, &*vp), &*vp, &oracle(&vp), &NoNoise, &mut x).expect("the problem is regular");
        let distance = distance(&x, &expected);
        assert!(distance < 1e-9, "{table}: {distance:e}");
        // An error of a third order is larger: the values tell the methods apart.
        assert!(
            published()
                .iter()
                .filter(|other| self::distance(&x, &other.1) < 1e-9)
                .count()
                <= 2
        );
    }
}

fn published() -> Vec<(&'static str, [[f64; 2]; 3])> {
    vec![
        (
            "algorithm = \"dpmsolver++\"\norder = 1\nsteps = 12",
            [
                [0.10451425142043119, -1.0111919432634957],
                [1.1728043824345862, 0.7683506995420187],
                [-0.9225409438128797, 0.6737297596320478],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 2\nsteps = 12",
            [
                [0.16382952758181457, -1.192721060820181],
                [1.3296578952347096, 0.8288159266925959],
                [-1.0259963605960782, 0.7093195546434937],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 3\nsteps = 12",
            [
                [0.16244656752728132, -1.1192842496561222],
                [1.2627839829403062, 0.8010238148953652],
                [-0.9859096848711786, 0.6984911803897826],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 2\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.10054593326593898, -1.0285049514889912],
                [1.2017582178927408, 0.786496089710504],
                [-0.955175831971939, 0.5970478159914637],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\norder = 3\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.10374856866883199, -1.0349127181547997],
                [1.2071431797624363, 0.7879072234678912],
                [-0.9586485580406869, 0.5966207982732591],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nfinal = \"none\"",
            [
                [0.1080924212807723, -1.0201798918370684],
                [1.1914546135418254, 0.7749798644650228],
                [-0.940886505338449, 0.6836106353409689],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nfinal = \"none\"",
            [
                [0.14413128246361917, -1.1271796210948735],
                [1.30104744002495, 0.8181158711934599],
                [-1.0127957528648202, 0.702032302541002],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.13985446183321182, -1.1225131804981703],
                [1.2867544428691362, 0.8147918780158084],
                [-1.0069153909915454, 0.6751510139275008],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.10805145588536438, -1.0221010816847191],
                [1.1917255519955245, 0.775255039743353],
                [-0.9401464129475005, 0.6808826413522558],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"adaptive\"\norder = 2\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.1537462955431349, -1.1275316464799379],
                [1.27165100793475, 0.8053492365598721],
                [-0.9876857343137476, 0.6979122921009276],
            ],
        ),
        (
            "algorithm = \"dpmsolver++\"\nmode = \"adaptive\"\norder = 3\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.15493807177567478, -1.1296999294965187],
                [1.2766235051593406, 0.8065000814340927],
                [-0.9895835394147154, 0.7016977581658057],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 1\nsteps = 12",
            [
                [0.10451425142043108, -1.0111919432634953],
                [1.172804382434586, 0.7683506995420186],
                [-0.9225409438128797, 0.6737297596320473],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 2\nsteps = 12",
            [
                [0.14645520771412696, -1.1271498531820103],
                [1.272047665618619, 0.8060512833356934],
                [-0.9880494654059098, 0.6967215723611809],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 3\nsteps = 12",
            [
                [0.15105206108961386, -1.1253867391422983],
                [1.270608102272058, 0.8049636435668044],
                [-0.9875899995534896, 0.697764561922503],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 2\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.09823535562617522, -1.0238355588261219],
                [1.197970220580213, 0.7855551269873023],
                [-0.9527344391245056, 0.5969691095379126],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\norder = 3\nsteps = 6\nfinal = \"none\"\n[grid]\nkind = \"uniform\"",
            [
                [0.0990738269121017, -1.0254607669226183],
                [1.1993552450552938, 0.7859050982846276],
                [-0.9535586481890036, 0.5967917392770398],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nfinal = \"none\"",
            [
                [0.17481828214500864, -1.2930289626923754],
                [1.5885068943397715, 0.9314544971923527],
                [-1.2461182928736296, 0.7956716940037992],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nfinal = \"none\"",
            [
                [0.1710225996932321, -1.2213999355199072],
                [1.3585215009939182, 0.8475030264460326],
                [-1.0491063058416354, 0.685805677523643],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 3\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.18055112487157363, -1.2444049228143312],
                [1.3886327741685787, 0.8570258468203288],
                [-1.0597130002988864, 0.7185001536172264],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"singlestep\"\norder = 2\nsteps = 5\nlower_order_final = true\nfinal = \"none\"",
            [
                [0.17383938336891047, -1.2813549186538322],
                [1.5687849896605766, 0.9238613698718063],
                [-1.2309913750987507, 0.7773041693202799],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"adaptive\"\norder = 2\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.15623001269214287, -1.1323721856578952],
                [1.2827462586326182, 0.8081102369661595],
                [-0.9920280554390659, 0.7053070587643409],
            ],
        ),
        (
            "algorithm = \"dpmsolver\"\nmode = \"adaptive\"\norder = 3\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"",
            [
                [0.15535015864430618, -1.130631724417052],
                [1.2769838567529348, 0.8066528590696571],
                [-0.9898948136097165, 0.7015651500460905],
            ],
        ),
    ]
}

/// Section 2.4 of the conventions: errors computed independently, to three digits.
#[test]
fn published_errors_and_orders() {
    let table: [(&str, &str, f64, Option<[f64; 6]>); 6] = [
        (
            "kind = \"ddim\"",
            "log-snr",
            1.0,
            Some([8.31e-2, 4.40e-2, 2.27e-2, 1.15e-2, 5.79e-3, 2.91e-3]),
        ),
        (
            "kind = \"dpm-solver\"\norder = 1",
            "log-snr",
            1.0,
            Some([8.31e-2, 4.40e-2, 2.27e-2, 1.15e-2, 5.79e-3, 2.91e-3]),
        ),
        (
            "kind = \"dpm-solver\"",
            "log-snr",
            2.0,
            Some([1.11e-2, 5.01e-3, 1.36e-3, 3.45e-4, 8.67e-5, 2.17e-5]),
        ),
        // Late: the fit over these steps is not yet the order, which the doublings approach.
        (
            "kind = \"dpm-solver\"",
            "uniform",
            2.0,
            Some([1.02e-1, 1.10e-1, 5.52e-2, 1.81e-2, 4.82e-3, 1.20e-3]),
        ),
        (
            "kind = \"dpm-solver\"\nalgorithm = \"dpmsolver\"",
            "log-snr",
            2.0,
            None,
        ),
        ("kind = \"dpm-solver\"\norder = 3", "log-snr", 2.0, None),
    ];
    for (method, grid, order, published) in table {
        let errors = [10, 20, 40, 80, 160, 320].map(|steps| {
            let table = format!("{method}\nsteps = {steps}\nfinal = \"none\"\n[grid]\nkind = \"{grid}\"");
            error("vp", &table).0
        });
        let fitted = fitted_order(&errors);
        println!(
            "{:40}{grid:9}{} order {fitted:.2}",
            method.replace('\n', " "),
            cells(&errors)
        );
        assert!((fitted - order).abs() < 0.15, "{method}: order {fitted}");
        for (got, want) in errors.iter().zip(published.into_iter().flatten()) {
            let digit = 10f64.powf(want.log10().floor() - 2.0);
            assert!(
                (got - want).abs() <= 0.5001 * digit,
                "{method}: {got:e} for {want:e}"
            );
        }
    }
}

/// Orders 1, 2 and 3 on the mixture, for every SDE and both predictions, against a solution to twelve digits:
/// published multistep at order 3 has order 2.
#[test]
fn orders_on_the_mixture() {
    let single = "mode = \"singlestep\"";
    for (kind, sde) in sdes() {
        let prior = sde.prior_std();
        let start = || batch(3, 2, |row, d| prior * STARTS[row][d]);
        let score = oracle(&sde);
        let solve = |table: &str| {
            let mut x = start();
            run(&*sampler(table, &*sde), &*sde, &score, &NoNoise, &mut x).expect("the problem is regular");
            x
        };
        let exact = rows(&solve(
            "kind = \"ode\"\nrtol = 1e-12\natol = 1e-12\nfinal = \"none\"",
        ));
        for algorithm in ["dpmsolver", "dpmsolver++"] {
            for (order, method) in [
                (1.0, "order = 1".to_string()),
                (2.0, "order = 2".to_string()),
                (2.0, format!("order = 2\n{single}")),
                (2.0, "order = 3".to_string()),
                (3.0, "order = 3\ncurvature = \"full\"".to_string()),
                (3.0, format!("order = 3\n{single}")),
            ] {
                let errors = [320, 640, 1280].map(|steps| {
                    let table = format!(
                        "kind = \"dpm-solver\"\nalgorithm = \"{algorithm}\"\n{method}\nsteps = {steps}\nfinal = \"none\""
                    );
                    let x = rows(&solve(&table));
                    let pairs = x.iter().flatten().zip(exact.iter().flatten());
                    pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
                });
                let fitted = fitted_order(&errors);
                println!(
                    "{kind:6}{algorithm:12}{:32}{} order {fitted:.2}",
                    method.replace('\n', " "),
                    cells(&errors)
                );
                assert!(
                    (fitted - order).abs() < 0.15,
                    "{kind} {algorithm} {method}: order {fitted}"
                );
            }
        }
    }
}

fn cells(errors: &[f64]) -> String {
    errors.iter().map(|error| format!("{error:>10.2e}")).collect()
}

/// Where the predicted data are constant, `c`, one step of every method is exact: the noise alone shrinks, by `std_to/std_from`.
struct PointScore<'a> {
    sde: &'a dyn sde_core::Sde,
    data: f64,
}

impl ScoreFn<Batch> for PointScore<'_> {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        for d in 0..x.row_len() {
            for (row, (out, x)) in out.plane_mut(d).iter_mut().zip(x.plane(d)).enumerate() {
                let Marginal { mean_coef, std } = self.sde.marginal(t.at(row));
                *out = (mean_coef * self.data - x) / (std * std);
            }
        }
        Ok(())
    }
}

#[test]
fn constant_data_are_exact_in_one_step() {
    for (name, sde) in sdes() {
        let score = PointScore {
            sde: &*sde,
            data: 0.7,
        };
        let (from, to) = (
            sde.marginal(sde.domain().t_end),
            sde.marginal(sde.domain().sample_eps),
        );
        for table in METHODS {
            let least = if table.contains("singlestep") || !table.contains("dpm") {
                1
            } else {
                3
            };
            for steps in [least, 7] {
                let table = format!("{table}\nsteps = {steps}\nfinal = \"none\"");
                let mut x = batch(3, 2, |row, d| STARTS[row][d] * from.std);
                run(&*sampler(&table, &*sde), &*sde, &score, &NoNoise, &mut x)
                    .expect("the problem is regular");
                let expected = STARTS.map(|row| {
                    row.map(|z| to.mean_coef * 0.7 + to.std * (z - from.mean_coef * 0.7 / from.std))
                });
                let distance = distance(&x, &expected);
                // Noise predictions cancel between the levels: their rounding grows with the noise.
                assert!(
                    distance < 1e-12 * (1.0 + sde.prior_std()),
                    "{name} {table}: {distance:e}"
                );
            }
        }
    }
}

/// Data at a point: the marginal of the end time comes out exactly for every stochasticity and any number of steps, since each
/// step draws from a conditional of `x_to` that has it.
#[test]
fn ddim_keeps_the_marginals_of_a_point() {
    struct Basis;
    impl NoiseSource<Batch> for Basis {
        fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
            assert_eq!(draw.purpose, Purpose::Predictor);
            out.plane_mut(0).fill(0.0);
            out.plane_mut(0)[2 + draw.step as usize] = 1.0;
            Ok(())
        }
    }
    for (name, sde) in sdes() {
        let score = PointScore {
            sde: &*sde,
            data: 0.7,
        };
        let (from, to) = (
            sde.marginal(sde.domain().t_end),
            sde.marginal(sde.domain().sample_eps),
        );
        for eta in [0.0, 0.5, 1.0] {
            for steps in [1, 2, 9] {
                let table = format!("kind = \"ddim\"\neta = {eta:?}\nsteps = {steps}\nfinal = \"none\"");
                let mut x = batch(steps + 2, 1, |row, _| {
                    from.mean_coef * 0.7 + f64::from(u8::from(row == 1)) * from.std
                });
                run(&*sampler(&table, &*sde), &*sde, &score, &Basis, &mut x).expect("the problem is regular");
                let images: Vec<f64> = rows(&x).into_iter().map(|row| row[0]).collect();
                let var: f64 = images[1..].iter().map(|image| (image - images[0]).powi(2)).sum();
                assert!((images[0] - to.mean_coef * 0.7).abs() < 1e-12, "{name} {table}");
                assert!(
                    (var.sqrt() / to.std - 1.0).abs() < 1e-9,
                    "{name} {table}: {} {}",
                    var.sqrt(),
                    to.std
                );
            }
        }
    }
}

/// With `eta = 1` each step is the posterior step: the ancestral predictor of the SDEs for which that is exact, draw by draw.
#[test]
fn ddim_at_one_is_the_ancestral_step() {
    for (name, sde) in sdes().into_iter().filter(|(name, _)| *name != "vp") {
        let grid = "steps = 15\n[grid]\nkind = \"karras\"\nrho = 7.0";
        let (a, _) = samples(
            &format!("kind = \"ddim\"\neta = 1.0\n{grid}"),
            &*sde,
            &oracle(&sde),
            4,
            20,
            2,
        );
        let table = format!("kind = \"pc\"\npredictor = \"ancestral\"\n{grid}");
        let (b, _) = samples(&table, &*sde, &oracle(&sde), 4, 20, 2);
        for (a, b) in rows(&a).iter().flatten().zip(rows(&b).iter().flatten()) {
            assert!((a - b).abs() < 1e-9, "{name}: {a} {b}");
        }
    }
}

/// Gaussian data: mean and standard deviation for `eta` 0, 1/2 and 1 agree with the data's up to the bias of first order, which
/// halves with the steps. 0.0011 of the mean of the flow is the mismatch of the prior.
#[test]
fn ddim_leaves_the_marginals_alone() {
    for eta in [0.0, 0.5, 1.0] {
        let table = format!("kind = \"ddim\"\neta = {eta:?} # [grid]\nkind = \"log-snr\"");
        let spread = |steps| (moments("kind = \"vp\"", &table, steps).1 - 0.3).abs();
        let (mean, std) = moments("kind = \"vp\"", &table, 1000);
        println!(
            "eta {eta}: mean {mean:.4} std {std:.4}, error of std {:.1e} {:.1e}",
            spread(250),
            spread(500)
        );
        assert!(
            (mean - 0.7).abs() < 2e-3 && (std - 0.3).abs() < 2e-3,
            "{eta}: {mean} {std}"
        );
        assert!((spread(250) / spread(500) - 2.0).abs() < 0.25, "{eta}");
    }
}

/// A last level without noise is a step of order 1 in closed form: the Tweedie mean of the level before it.
#[test]
fn no_noise_at_the_end() {
    let vp = sde("kind = \"vp\"");
    let edm = sde("kind = \"edm\"");
    for table in METHODS {
        let table = match table.contains("singlestep") || !table.contains("order = ") {
            true => table.replace("\nlower_order_final = true", ""),
            false => table.to_string(),
        };
        let own = if table.contains("dpm") && !table.contains("singlestep") {
            "\nlower_order_final = false"
        } else {
            ""
        };
        for (sde, down, up) in [
            (
                &vp,
                "times = [1.0, 0.6, 0.3, 0.1, 0.01]",
                "times = [1.0, 0.6, 0.3, 0.1, 0.01, 0.0]",
            ),
            (
                &edm,
                "sigmas = [80.0, 10.0, 1.0, 0.1, 0.002]",
                "sigmas = [80.0, 10.0, 1.0, 0.1, 0.002, 0.0]",
            ),
        ] {
            let solve = |last: &str, levels: &str| {
                let table = format!("{table}{own}\nfinal = \"{last}\"\n[grid]\nkind = \"custom\"\n{levels}");
                samples(&table, &**sde, &oracle(sde), 3, 6, 2)
            };
            let ((a, one), (b, other)) = (solve("tweedie", down), solve("none", up));
            assert_eq!(one.nfe, other.nfe, "{table}");
            for (a, b) in rows(&a).iter().flatten().zip(rows(&b).iter().flatten()) {
                assert!((a - b).abs() < 1e-12, "{table}: {a} {b}");
            }
        }
    }
}

/// One to three steps give finite samples; where a multistep method cannot start, `steps` is refused.
#[test]
fn few_steps() {
    for (name, sde) in sdes() {
        for table in METHODS.iter().chain(&["kind = \"ddim\"\neta = 1.0"]) {
            for (ending, steps) in ["tweedie", "mean", "none"]
                .into_iter()
                .flat_map(|e| [(e, 1), (e, 2), (e, 3)])
            {
                let whole = format!("{table}\nsteps = {steps}\nfinal = \"{ending}\"");
                let order = if table.contains("order = 3") { 3 } else { 2 };
                let multistep =
                    table.contains("dpm") && !table.contains("singlestep") && !table.contains("order = 1");
                if multistep && table.contains("order") && steps < order {
                    let message = refusal(&whole, &*sde);
                    assert!(
                        message.starts_with(&format!("sampler.steps = {steps}")),
                        "{message}"
                    );
                    continue;
                }
                let (x, _) = samples(&whole, &*sde, &oracle(&sde), 1, 5, 2);
                assert!(
                    rows(&x).iter().flatten().all(|value| value.is_finite()),
                    "{name} {whole}"
                );
            }
        }
    }
}

#[test]
fn evaluations() {
    let vp = sde("kind = \"vp\"");
    let nfe = |table: &str| samples(table, &*vp, &oracle(&vp), 1, 3, 2).1.nfe;
    for (table, per_step, fewer) in [
        ("kind = \"ddim\"", 1, 0),
        ("kind = \"ddim\"\neta = 0.5", 1, 0),
        ("kind = \"dpm-solver\"\norder = 1\nmode = \"singlestep\"", 1, 0),
        ("kind = \"dpm-solver\"", 1, 0),
        ("kind = \"dpm-solver\"\norder = 3", 1, 0),
        ("kind = \"dpm-solver\"\nmode = \"singlestep\"", 2, 0),
        ("kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3", 3, 0),
        (
            "kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = 3\nlower_order_final = true",
            3,
            3,
        ),
    ] {
        assert_eq!(
            nfe(&format!("{table}\nsteps = 12\nfinal = \"none\"")),
            12 * per_step - fewer,
            "{table}"
        );
        assert_eq!(
            nfe(&format!("{table}\nsteps = 12")),
            12 * per_step - fewer + 1,
            "{table}"
        );
    }
    assert_eq!(nfe("kind = \"dpm-solver\""), 21);
    // The published runs of the adaptive mode, row by row: 58, 54 and 52 evaluations in 20, 18 and 18 steps of order 2.
    let table = "kind = \"dpm-solver\"\nmode = \"adaptive\"\natol = 1e-3\nrtol = 1e-2\nfinal = \"none\"";
    let mut x = batch(3, 2, |row, d| STARTS[row][d]);
    let stats =
        run(&*sampler(table, &*vp), &*vp, &oracle(&vp), &NoNoise, &mut x).expect("the problem is regular");
    assert_eq!(
        (stats.nfe, stats.steps, stats.row_evaluations),
        (58, 20, 58 + 54 + 52)
    );
    assert_eq!(stats.rejected, (58 + 54 + 52) / 2 - (20 + 18 + 18));
}

/// One draw a step with noise, none without, and none in a last step whose mean is returned.
#[test]
fn draws_of_ddim() {
    struct Counted(RefCell<Vec<Draw>>);
    impl NoiseSource<Batch> for Counted {
        fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
            self.0.borrow_mut().push(draw);
            HostNoise {
                seed: 5,
                first_row: 0,
            }
            .normal(draw, out)
        }
    }
    let vp = sde("kind = \"vp\"");
    for (table, draws) in [
        ("eta = 0.0", 0),
        ("eta = 0.3", 6),
        ("eta = 1.0", 6),
        ("eta = 1.0\nfinal = \"mean\"", 5),
    ] {
        let noise = Counted(RefCell::new(Vec::new()));
        let mut x = batch(3, 2, |row, d| STARTS[row][d]);
        let sampler = sampler(&format!("kind = \"ddim\"\nsteps = 6\n{table}"), &*vp);
        run(&*sampler, &*vp, &oracle(&vp), &noise, &mut x).expect("the problem is regular");
        let expected = (0..draws).map(|step| Draw {
            step,
            purpose: Purpose::Predictor,
        });
        assert_eq!(noise.0.into_inner(), expected.collect::<Vec<_>>(), "{table}");
    }
}

#[test]
fn refused_values_name_their_key() {
    let vp = sde("kind = \"vp\"");
    let dpm = |keys: &str| refusal(&format!("kind = \"dpm-solver\"\n{keys}"), &*vp);
    let adaptive = |keys: &str| dpm(&format!("mode = \"adaptive\"\n{keys}"));
    for (message, key) in [
        (refusal("kind = \"ddim\"\neta = -0.1", &*vp), "sampler.eta = -0.1"),
        (refusal("kind = \"ddim\"\neta = 1.1", &*vp), "sampler.eta = 1.1"),
        (refusal("kind = \"ddim\"\neta = nan", &*vp), "sampler.eta = NaN"),
        (refusal("kind = \"ddim\"\nsteps = 0", &*vp), "sampler.steps = 0"),
        (
            refusal("kind = \"ddim\"\n[grid]\nkind = \"song-compat\"", &*vp),
            "sampler.grid.kind = song-compat",
        ),
        (dpm("order = 0"), "sampler.order = 0"),
        (dpm("order = 4"), "sampler.order = 4"),
        (dpm("order = 3\nsteps = 2"), "sampler.steps = 2"),
        (dpm("rtol = 0.1"), "sampler.rtol = 0.1"),
        (
            dpm("mode = \"singlestep\"\nmax_steps = 5"),
            "sampler.max_steps = 5",
        ),
        (dpm("curvature = \"full\""), "sampler.curvature = full"),
        (
            adaptive("order = 3\ncurvature = \"published\""),
            "sampler.curvature = published",
        ),
        (adaptive("order = 1"), "sampler.order = 1"),
        (adaptive("steps = 10"), "sampler.steps = 10"),
        (
            adaptive("lower_order_final = true"),
            "sampler.lower_order_final = true",
        ),
        (adaptive("[grid]\nkind = \"uniform\""), "sampler.grid = given"),
        (adaptive("rtol = 0.0"), "sampler.rtol = 0"),
        (adaptive("rtol = nan"), "sampler.rtol = NaN"),
        (adaptive("atol = -1.0"), "sampler.atol = -1"),
        (adaptive("atol = 1e-15"), "sampler.atol = 0.000000000000001"),
        (adaptive("max_steps = 0"), "sampler.max_steps = 0"),
        (adaptive("min_step = -1.0"), "sampler.min_step = -1"),
        (adaptive("min_step = 50.0"), "sampler.min_step = 50"),
        (adaptive("t_end = 0.0"), "sampler.t_end = 0"),
        (adaptive("t_end = 1.0"), "sampler.t_end = 1"),
    ] {
        assert!(message.starts_with(key), "{message}: {key}");
    }
}

/// The adaptive mode: the error follows the tolerance for every SDE, and limits are typed errors that name the row.
#[test]
fn adaptive_tolerances_and_limits() {
    for (name, sde) in sdes() {
        for table in ADAPTIVE {
            let solve = |table: &str| {
                let mut x = batch(3, 2, |row, d| sde.prior_std() * STARTS[row][d]);
                run(&*sampler(table, &*sde), &*sde, &oracle(&sde), &NoNoise, &mut x)
                    .map(|stats| (rows(&x), stats))
            };
            let exact = solve("kind = \"ode\"\nrtol = 1e-11\natol = 1e-11\nfinal = \"none\"")
                .expect("regular")
                .0;
            let error = |tolerance: &str| {
                let keys = format!("{table}\nrtol = {tolerance}\natol = {tolerance}\nfinal = \"none\"");
                let (x, stats) = solve(&keys).expect("the problem is regular");
                let pairs = x.iter().flatten().zip(exact.iter().flatten());
                let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                println!(
                    "{name:6}{:70}{tolerance:5} error {error:.1e} nfe {}",
                    table.replace('\n', " "),
                    stats.nfe
                );
                error
            };
            let (loose, tight) = (error("1e-3"), error("1e-5"));
            assert!(
                loose < 0.1 && tight < 2e-3 && tight < 0.3 * loose,
                "{name} {table}: {loose:e} {tight:e}"
            );
            let limit =
                solve(&format!("{table}\nrtol = 1e-4\nmax_steps = 3")).expect_err("three steps are too few");
            assert!(
                matches!(
                    limit,
                    SolveError::StepLimit {
                        row: 0..=2,
                        steps: 3,
                        ..
                    }
                ),
                "{limit}"
            );
            let small = solve(&format!("{table}\nrtol = 1e-6\natol = 1e-6\nmin_step = 0.5"));
            let small = small.expect_err("such steps are too long");
            assert!(
                matches!(small, SolveError::StepTooSmall { row: 0..=2, .. }),
                "{small}"
            );
        }
    }
}

/// A score that is not finite on row 2 at one time, or from that time on.
struct Broken {
    value: f64,
    t: f64,
    after: bool,
}

impl ScoreFn<Batch> for Broken {
    fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
        out.copy_from(x);
        out.scale(Coef::All(-0.5));
        if t.at(2) == self.t || (self.after && t.at(2) < self.t) {
            out.plane_mut(1)[2] = self.value;
        }
        Ok(())
    }
}

#[test]
fn a_score_that_is_not_finite_is_named() {
    let vp = sde("kind = \"vp\"");
    let solve = |table: &str, score: &Broken| {
        let mut x = batch(4, 2, |row, d| STARTS[row.min(2)][d]);
        run(&*sampler(table, &*vp), &*vp, score, &NoNoise, &mut x).expect_err("the score is broken")
    };
    let grid = "steps = 4\n[grid]\nkind = \"custom\"\ntimes = [1.0, 0.75, 0.5, 0.25, 0.01]";
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for table in METHODS {
            let error = solve(
                &format!("{table}\n{grid}"),
                &Broken {
                    value,
                    t: 0.5,
                    after: false,
                },
            );
            let expected = SolveError::NonFinite {
                what: "score",
                row: 2,
                t: 0.5,
                step: 2,
            };
            assert_eq!(error, expected, "{table} {value}");
        }
        // At a stage: the middle of the second interval in lambda, and the stages of order 3.
        for (order, share) in [(2, 0.5), (3, 1.0 / 3.0), (3, 2.0 / 3.0)] {
            let (from, to) = (vp.lambda(0.75), vp.lambda(0.5));
            let t = vp.time_at_lambda(from + share * (to - from));
            let table = format!("kind = \"dpm-solver\"\nmode = \"singlestep\"\norder = {order}\n{grid}");
            let error = solve(
                &table,
                &Broken {
                    value,
                    t,
                    after: false,
                },
            );
            assert_eq!(
                error,
                SolveError::NonFinite {
                    what: "score",
                    row: 2,
                    t,
                    step: 1
                },
                "{table}"
            );
        }
        for table in ADAPTIVE {
            let error = solve(
                table,
                &Broken {
                    value,
                    t: 1.0,
                    after: false,
                },
            );
            assert_eq!(
                error,
                SolveError::NonFinite {
                    what: "score",
                    row: 2,
                    t: 1.0,
                    step: 0
                },
                "{table}"
            );
            let error = solve(
                table,
                &Broken {
                    value,
                    t: 0.5,
                    after: true,
                },
            );
            let SolveError::NonFinite {
                what: "score",
                row: 2,
                t,
                ..
            } = error
            else {
                panic!("{error:?}")
            };
            // The last good state lies above that time or below it: an end is evaluated by the next attempt only.
            assert!((0.3..0.5 + 1e-6).contains(&t), "{t}");
        }
    }
    for table in METHODS.iter().chain(&ADAPTIVE) {
        let mut x = batch(3, 2, |row, _| if row == 1 { f64::INFINITY } else { 0.1 });
        let error = run(&*sampler(table, &*vp), &*vp, &oracle(&vp), &NoNoise, &mut x).expect_err(table);
        assert_eq!(
            error,
            SolveError::NonFinite {
                what: "state",
                row: 1,
                t: 1.0,
                step: 0
            },
            "{table}"
        );
    }
}

/// No evaluation lies outside the run; no rows, one row and one dimension are as good as any.
#[test]
fn inside_the_run_and_small_batches() {
    struct Inside<F>(F, f64, f64);
    impl<F: ScoreFn<Batch>> ScoreFn<Batch> for Inside<F> {
        fn score(&self, x: &Batch, t: Coef, out: &mut Batch) -> Result<(), SolveError> {
            for row in 0..x.rows() {
                assert!(
                    (self.1..=self.2).contains(&t.at(row)),
                    "evaluated at {}",
                    t.at(row)
                );
            }
            self.0.score(x, t, out)
        }
    }
    for (_, sde) in sdes() {
        let inside = Inside(oracle(&sde), sde.domain().sample_eps, sde.domain().t_end);
        let point = PointScore {
            sde: &*sde,
            data: 0.2,
        };
        for table in METHODS.iter().chain(&ADAPTIVE) {
            samples(table, &*sde, &inside, 6, 9, 2);
            for (count, dim) in [(0, 1), (0, 3), (1, 1), (1, 3), (3, 1)] {
                let (x, _) = samples(table, &*sde, &point, 2, count, dim);
                assert_eq!((x.rows(), x.row_len()), (count, dim));
                assert!(
                    rows(&x).iter().flatten().all(|value| value.is_finite()),
                    "{table}"
                );
            }
        }
    }
}

/// Level L0 of reproducibility.
#[test]
fn same_bits_for_any_cut() {
    let stochastic = [
        ("subvp", "kind = \"ddim\"\neta = 0.7"),
        ("ve", "kind = \"ddim\"\neta = 1.0\nfinal = \"mean\""),
    ];
    let fixed = METHODS.map(|table| ("vp", table));
    let adaptive = ADAPTIVE.map(|table| ("edm", table));
    let tables = [&stochastic[..], &fixed, &adaptive].concat();
    crate::determinism::same_bits::<f64>(&tables);
    crate::determinism::same_bits::<f32>(&tables[..8]);
}
