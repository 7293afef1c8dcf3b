//! Whatever numbers stand in a table: the sampler is built and gives finite samples, or there is an error of one line. Never a panic,
//! a hang or a NaN in silence.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sde_core::GridConfig;
use solvers::HostNoise;
use solvers::config::{
    CorrectorKind, DdimConfig, Dpm2Config, DpmMode, DpmSolverConfig, HeunConfig, LangevinConfig, OdeConfig,
    OdeMethod, PcConfig, PredictorKind, SamplerConfig,
};
use solvers::exponential::{Curvature, Prediction};
use solvers::sampler::Final;

use crate::common::{Batch, oracle, prior, rows, run, sde};

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -0.1..1.2,
        1 => -200.0..200.0,
        1 => proptest::sample::select(vec![
            0.0, -0.0, 1.0, 1e-300, 1e-12, 1e300, f64::MIN_POSITIVE, f64::EPSILON, f64::NAN, f64::INFINITY, f64::NEG_INFINITY,
        ]),
    ]
}

fn grid() -> impl Strategy<Value = Option<GridConfig>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(GridConfig::Uniform {})),
        1 => Just(Some(GridConfig::Quadratic {})),
        1 => Just(Some(GridConfig::LogSnr {})),
        1 => Just(Some(GridConfig::SongCompat {})),
        1 => number().prop_map(|rho| Some(GridConfig::Karras { rho })),
        1 => number().prop_map(|rho| Some(GridConfig::Polyexponential { rho })),
        1 => proptest::collection::vec(number(), 0..5)
            .prop_map(|times| Some(GridConfig::Custom { times: Some(times), sigmas: None })),
        1 => proptest::collection::vec(number(), 0..5)
            .prop_map(|sigmas| Some(GridConfig::Custom { times: None, sigmas: Some(sigmas) })),
    ]
}

fn choice<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    proptest::sample::select(values.to_vec())
}

/// Steps, ends, ending and grid.
type Common = (
    Option<usize>,
    Option<f64>,
    Option<f64>,
    Option<Final>,
    Option<GridConfig>,
);

fn common() -> impl Strategy<Value = Common> {
    let end = || proptest::option::weighted(0.3, number());
    let last = proptest::option::of(choice(&[Final::Tweedie, Final::Mean, Final::None]));
    (
        proptest::option::weighted(0.8, 0_usize..25),
        end(),
        end(),
        last,
        grid(),
    )
}

fn tables() -> impl Strategy<Value = SamplerConfig> {
    use {CorrectorKind as C, OdeMethod as M, PredictorKind as P};
    let predictors = choice(&[P::EulerMaruyama, P::ReverseDiffusion, P::Ancestral, P::None]);
    let correctors = choice(&[C::None, C::Langevin, C::BatchLangevin, C::Ald]);
    let usual = |value| prop_oneof![2 => Just(value), 1 => number()];
    let pc = (
        common(),
        predictors,
        correctors,
        usual(0.16),
        0_u32..4,
        usual(1.0),
    )
        .prop_map(
            |((steps, t_start, t_end, final_step, grid), predictor, corrector, snr, corrector_steps, eta)| {
                let own = PcConfig {
                    predictor,
                    corrector,
                    snr,
                    corrector_steps,
                    eta,
                    ..PcConfig::default()
                };
                SamplerConfig::Pc(PcConfig {
                    steps,
                    t_start,
                    t_end,
                    final_step,
                    grid,
                    ..own
                })
            },
        );
    let methods = choice(&[M::Euler, M::Heun, M::Midpoint, M::Rk4, M::Bosh3, M::Dp5, M::Tsit5]);
    let maybe = || proptest::option::weighted(0.4, number());
    let limit = proptest::option::weighted(0.2, 0_u64..40);
    let saved = proptest::option::weighted(0.2, proptest::collection::vec(number(), 0..4));
    let ode = (common(), methods, maybe(), maybe(), limit, maybe(), saved, 0..4).prop_map(
        |(
            (steps, t_start, t_end, final_step, grid),
            method,
            rtol,
            atol,
            max_steps,
            min_step,
            save_at,
            kind,
        )| {
            let adaptive = matches!(method, M::Bosh3 | M::Dp5 | M::Tsit5) && kind > 0;
            SamplerConfig::Ode(OdeConfig {
                steps: steps.filter(|_| !adaptive),
                grid: grid.filter(|_| !adaptive),
                rtol: rtol.filter(|_| adaptive),
                atol: atol.filter(|_| adaptive),
                max_steps: max_steps.filter(|_| adaptive),
                min_step: min_step.filter(|_| adaptive),
                save_at: save_at.filter(|_| adaptive),
                t_start,
                t_end,
                final_step,
                method,
                ..OdeConfig::default()
            })
        },
    );
    let heun = (common(), usual(0.0), usual(0.0), usual(f64::INFINITY), usual(1.0)).prop_map(
        |((steps, t_start, t_end, final_step, grid), s_churn, s_min, s_max, s_noise)| {
            SamplerConfig::Heun(HeunConfig {
                steps,
                t_start,
                t_end,
                final_step,
                s_churn,
                s_min,
                s_max,
                s_noise,
                grid,
                ..HeunConfig::default()
            })
        },
    );
    let langevin = (common(), usual(0.16), 0_u32..4).prop_map(
        |((steps, t_start, t_end, final_step, grid), snr, corrector_steps)| {
            SamplerConfig::Langevin(LangevinConfig {
                steps,
                t_start,
                t_end,
                final_step,
                snr,
                corrector_steps,
                grid,
                ..LangevinConfig::default()
            })
        },
    );
    // The multistep kinds have the same keys but for the order.
    let multistep = (common(), choice(&["lms", "deis", "ipndm", "unipc"]), 0_usize..6).prop_map(
        |((steps, t_start, t_end, final_step, grid), kind, order)| {
            let mut table: SamplerConfig =
                toml::from_str(&format!("kind = \"{kind}\"\norder = {order}")).expect("written here");
            macro_rules! fill {
                ($table:ident) => {{
                    ($table.steps, $table.t_start, $table.t_end) = (steps, t_start, t_end);
                    ($table.final_step, $table.grid) = (final_step, grid);
                }};
            }
            match &mut table {
                SamplerConfig::Lms(t) => fill!(t),
                SamplerConfig::Deis(t) => fill!(t),
                SamplerConfig::Ipndm(t) => fill!(t),
                SamplerConfig::Unipc(t) => fill!(t),
                _ => unreachable!("of the list above"),
            }
            table
        },
    );
    let dpm2 = (common(), usual(0.0), usual(0.0), usual(f64::INFINITY), usual(1.0)).prop_map(
        |((steps, t_start, t_end, final_step, grid), s_churn, s_min, s_max, s_noise)| {
            SamplerConfig::Dpm2(Dpm2Config {
                steps,
                t_start,
                t_end,
                final_step,
                s_churn,
                s_min,
                s_max,
                s_noise,
                grid,
                ..Dpm2Config::default()
            })
        },
    );
    prop_oneof![pc, ode, heun, langevin, multistep, dpm2, ddim(), dpm_solver()]
}

fn ddim() -> impl Strategy<Value = SamplerConfig> {
    (common(), number()).prop_map(|((steps, t_start, t_end, final_step, grid), eta)| {
        SamplerConfig::Ddim(DdimConfig {
            steps,
            t_start,
            t_end,
            final_step,
            grid,
            eta,
            ..DdimConfig::default()
        })
    })
}

fn dpm_solver() -> impl Strategy<Value = SamplerConfig> {
    use DpmMode as M;
    let method = (
        0_u8..5,
        choice(&[M::SingleStep, M::Multistep, M::Adaptive]),
        choice(&[Prediction::Noise, Prediction::Data]),
        proptest::option::of(any::<bool>()),
        proptest::option::of(choice(&[Curvature::Published, Curvature::Full])),
    );
    let maybe = || proptest::option::weighted(0.4, number());
    let limits = (
        maybe(),
        maybe(),
        proptest::option::weighted(0.8, 0_u64..60),
        maybe(),
    );
    (common(), method, limits).prop_map(|(common, method, (rtol, atol, max_steps, min_step))| {
        let (steps, t_start, t_end, final_step, grid) = common;
        let (order, mode, algorithm, lower_order_final, curvature) = method;
        let adaptive = mode == M::Adaptive;
        SamplerConfig::DpmSolver(DpmSolverConfig {
            order: Some(order),
            mode,
            algorithm,
            lower_order_final: lower_order_final.filter(|_| !adaptive),
            curvature: curvature.filter(|_| !adaptive && order == 3),
            steps: steps.filter(|_| !adaptive),
            grid: grid.filter(|_| !adaptive),
            rtol: rtol.filter(|_| adaptive),
            atol: atol.filter(|_| adaptive),
            max_steps: max_steps.filter(|_| adaptive),
            min_step: min_step.filter(|_| adaptive),
            t_start,
            t_end,
            final_step,
            ..DpmSolverConfig::default()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_table_gives_samples_or_a_line(table in tables(), kind in choice(&["vp", "subvp", "ve", "edm"])) {
        let sde = sde(&format!("kind = \"{kind}\""));
        let outcome = table.build::<Batch>(&*sde).and_then(|sampler| {
            let noise = HostNoise { seed: 1, first_row: 0 };
            let mut x = prior(&*sampler, &*sde, &noise, 3, 2);
            run(&*sampler, &*sde, &oracle(&sde), &noise, &mut x).map(|stats| (x, stats))
        });
        match outcome {
            Ok((x, stats)) => {
                prop_assert!(rows(&x).iter().flatten().all(|value| value.is_finite()), "{:?}", x);
                prop_assert!(stats.nfe > 0 && stats.steps > 0, "{:?}", stats);
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "{}", error),
        }
    }
}
