//! Whatever numbers stand in a table: the sampler is built and gives finite samples, or there is an error of one line. Never a panic,
//! a hang or a NaN in silence.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use sde_core::GridConfig;
use solvers::config::{
    AdaptiveSdeConfig, ClipConfig, CorrectorKind, DdimConfig, Dpm2AncestralConfig, Dpm2Config, DpmMode,
    DpmSolverConfig, Dpmpp2mSdeConfig, Dpmpp2sAncestralConfig, Dpmpp3mSdeConfig, DpmppSdeConfig,
    EulerAncestralConfig, EulerConfig, HeunConfig, LangevinConfig, OdeConfig, OdeMethod, PcConfig,
    PredictorKind, SamplerConfig,
};
use solvers::exponential::{Curvature, Prediction};
use solvers::sampler::Final;
use solvers::stochastic::SecondOrder;

use crate::common::{Batch, config, oracle, prior, rows, run, sde, seeded};

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

fn clip() -> impl Strategy<Value = Option<ClipConfig>> {
    prop_oneof![
        6 => Just(None),
        1 => (number(), number()).prop_map(|(min, max)| Some(ClipConfig::Static { min, max })),
        1 => number().prop_map(|quantile| Some(ClipConfig::Dynamic { quantile })),
    ]
}

fn choice<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    proptest::sample::select(values.to_vec())
}

/// Steps, ends, ending, grid and clipping.
type Common = (
    Option<usize>,
    Option<f64>,
    Option<f64>,
    Option<Final>,
    Option<GridConfig>,
    Option<ClipConfig>,
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
        clip(),
    )
}

/// The keys of one kind, and whether it takes the common `steps` and `grid`.
type Own = BoxedStrategy<(SamplerConfig, bool)>;

fn fixed<T: Into<SamplerConfig> + std::fmt::Debug + 'static>(
    table: impl Strategy<Value = T> + 'static,
) -> Own {
    table.prop_map(|table| (table.into(), true)).boxed()
}

fn usual(value: f64) -> impl Strategy<Value = f64> {
    prop_oneof![2 => Just(value), 1 => number()]
}

fn maybe() -> impl Strategy<Value = Option<f64>> {
    proptest::option::weighted(0.4, number())
}

/// The keys of `[sampler]` that every kind has. The match is over all kinds: one more does not compile until it stands here.
fn with((mut table, grids): (SamplerConfig, bool), common: Common) -> SamplerConfig {
    let (steps, t_start, t_end, final_step, grid, clip_x0) = common;
    macro_rules! fill {
        ($($kind:ident)*) => {
            match &mut table {
                $(SamplerConfig::$kind(t) => {
                    (t.t_start, t.t_end, t.final_step, t.clip_x0) = (t_start, t_end, final_step, clip_x0);
                    (t.steps, t.grid) = (steps.filter(|_| grids), grid.filter(|_| grids));
                })*
            }
        };
    }
    fill!(Pc Ode Heun Ddim DpmSolver Langevin Euler Dpm2 Lms Deis Ipndm Unipc EulerAncestral Dpm2Ancestral Dpmpp2sAncestral
        DpmppSde Dpmpp2mSde Dpmpp3mSde AdaptiveSde);
    table
}

fn tables() -> impl Strategy<Value = SamplerConfig> {
    let kinds: Vec<Own> = [
        vec![pc(), langevin(), ode(), ddim(), dpm_solver(), adaptive_sde()],
        churned(),
        multistep(),
        stochastic(),
    ]
    .concat();
    (proptest::strategy::Union::new(kinds), common()).prop_map(|(own, common)| with(own, common))
}

fn pc() -> Own {
    use {CorrectorKind as C, PredictorKind as P};
    let predictors = choice(&[P::EulerMaruyama, P::ReverseDiffusion, P::Ancestral, P::None]);
    let correctors = choice(&[C::None, C::Langevin, C::BatchLangevin, C::Ald]);
    let own = (predictors, correctors, usual(0.16), 0_u32..4, usual(1.0));
    fixed(
        own.prop_map(|(predictor, corrector, snr, corrector_steps, eta)| PcConfig {
            predictor,
            corrector,
            snr,
            corrector_steps,
            eta,
            ..PcConfig::default()
        }),
    )
}

fn langevin() -> Own {
    fixed(
        (usual(0.16), 0_u32..4).prop_map(|(snr, corrector_steps)| LangevinConfig {
            snr,
            corrector_steps,
            ..LangevinConfig::default()
        }),
    )
}

fn ode() -> Own {
    use OdeMethod as M;
    let methods = choice(&[M::Euler, M::Heun, M::Midpoint, M::Rk4, M::Bosh3, M::Dp5, M::Tsit5]);
    let limit = proptest::option::weighted(0.2, 0_u64..40);
    let saved = proptest::option::weighted(0.2, proptest::collection::vec(number(), 0..4));
    let own = (methods, maybe(), maybe(), limit, maybe(), saved, 0..4);
    own.prop_map(|(method, rtol, atol, max_steps, min_step, save_at, kind)| {
        let adaptive = matches!(method, M::Bosh3 | M::Dp5 | M::Tsit5) && kind > 0;
        let table = OdeConfig {
            rtol: rtol.filter(|_| adaptive),
            atol: atol.filter(|_| adaptive),
            max_steps: max_steps.filter(|_| adaptive),
            min_step: min_step.filter(|_| adaptive),
            save_at: save_at.filter(|_| adaptive),
            method,
            ..OdeConfig::default()
        };
        (table.into(), !adaptive)
    })
    .boxed()
}

/// The kinds with churn, which have the same keys.
fn churned() -> Vec<Own> {
    macro_rules! churned {
        ($($config:ident)*) => {
            vec![$(fixed((usual(0.0), usual(0.0), usual(f64::INFINITY), usual(1.0)).prop_map(
                |(s_churn, s_min, s_max, s_noise)| $config { s_churn, s_min, s_max, s_noise, ..$config::default() },
            ))),*]
        };
    }
    churned!(HeunConfig EulerConfig Dpm2Config)
}

/// The multistep kinds, which have an order.
fn multistep() -> Vec<Own> {
    let orders = |kind: &'static str| {
        let own = (0_usize..6).prop_map(move |order| config(&format!("kind = \"{kind}\"\norder = {order}")));
        fixed(own)
    };
    ["lms", "deis", "ipndm", "unipc"].map(orders).to_vec()
}

/// The stochastic kinds on a grid.
fn stochastic() -> Vec<Own> {
    macro_rules! noisy {
        ($($config:ident)*) => {
            vec![$(fixed((usual(1.0), usual(1.0)).prop_map(|(eta, s_noise)| $config { eta, s_noise, ..$config::default() }))),*]
        };
    }
    let mut kinds = noisy!(EulerAncestralConfig Dpm2AncestralConfig Dpmpp2sAncestralConfig Dpmpp3mSdeConfig);
    let solvers = choice(&[SecondOrder::Midpoint, SecondOrder::Heun]);
    kinds.push(fixed((usual(1.0), usual(1.0), solvers).prop_map(
        |(eta, s_noise, solver)| Dpmpp2mSdeConfig {
            eta,
            s_noise,
            solver,
            ..Dpmpp2mSdeConfig::default()
        },
    )));
    kinds.push(fixed((usual(1.0), usual(1.0), usual(0.5)).prop_map(
        |(eta, s_noise, r)| DpmppSdeConfig {
            eta,
            s_noise,
            r,
            ..DpmppSdeConfig::default()
        },
    )));
    kinds
}

fn adaptive_sde() -> Own {
    let limit = prop_oneof![4 => 0_u64..60, 1 => Just(10_000)];
    let own = (
        usual(0.05),
        usual(0.05),
        usual(1.0),
        usual(0.9),
        limit,
        usual(0.0),
        0..8,
    );
    own.prop_map(|(rtol, atol, eta, safety, max_steps, min_step, given)| {
        let table = AdaptiveSdeConfig {
            rtol,
            atol,
            eta,
            safety,
            max_steps,
            min_step,
            ..AdaptiveSdeConfig::default()
        };
        (table.into(), given == 0)
    })
    .boxed()
}

fn ddim() -> Own {
    fixed(number().prop_map(|eta| DdimConfig {
        eta,
        ..DdimConfig::default()
    }))
}

fn dpm_solver() -> Own {
    use DpmMode as M;
    let method = (
        0_u8..5,
        choice(&[M::SingleStep, M::Multistep, M::Adaptive]),
        choice(&[Prediction::Noise, Prediction::Data]),
        proptest::option::of(any::<bool>()),
        proptest::option::of(choice(&[Curvature::Published, Curvature::Full])),
    );
    let limit = proptest::option::weighted(0.8, 0_u64..60);
    let own = (method, maybe(), maybe(), limit, maybe());
    own.prop_map(|(method, rtol, atol, max_steps, min_step)| {
        let (order, mode, algorithm, lower_order_final, curvature) = method;
        let adaptive = mode == M::Adaptive;
        let table = DpmSolverConfig {
            order: Some(order),
            mode,
            algorithm,
            lower_order_final: lower_order_final.filter(|_| !adaptive),
            curvature: curvature.filter(|_| !adaptive && order == 3),
            rtol: rtol.filter(|_| adaptive),
            atol: atol.filter(|_| adaptive),
            max_steps: max_steps.filter(|_| adaptive),
            min_step: min_step.filter(|_| adaptive),
            ..DpmSolverConfig::default()
        };
        (table.into(), !adaptive)
    })
    .boxed()
}

/// A kind that is missing above is missed here.
#[test]
fn every_kind_is_drawn() {
    let (mut runner, tables) = (TestRunner::deterministic(), tables());
    let drawn: BTreeSet<&str> = (0..1000)
        .map(|_| {
            tables
                .new_tree(&mut runner)
                .expect("nothing is filtered")
                .current()
                .kind()
        })
        .collect();
    assert_eq!(drawn, SamplerConfig::KINDS.iter().copied().collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_table_gives_samples_or_a_line(table in tables(), kind in choice(&["vp", "subvp", "ve", "edm"])) {
        let sde = sde(&format!("kind = \"{kind}\""));
        let outcome = table.build::<Batch>(&*sde).and_then(|sampler| {
            let noise = seeded(1);
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
