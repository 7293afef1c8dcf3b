//! Time grids: exact ends, spacing, refusals.

use std::sync::Arc;

use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{Grid, GridConfig, Sde, SdeConfig};

fn sdes() -> Vec<Arc<dyn Sde>> {
    vec![
        Arc::new(Vp::linear(0.1, 20.0).expect("vp")),
        Arc::new(Vp::cosine().expect("cosine")),
        Arc::new(SubVp::linear(0.1, 20.0).expect("subvp")),
        Arc::new(Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("ve")),
        Arc::new(Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("ve")),
        Arc::new(Edm::new(0.002, 80.0, 0.5).expect("edm")),
    ]
}

fn kinds() -> Vec<GridConfig> {
    vec![
        GridConfig::Uniform {},
        GridConfig::Quadratic {},
        GridConfig::LogSnr {},
        GridConfig::Karras { rho: 7.0 },
        GridConfig::Exponential {},
        GridConfig::Polyexponential { rho: 1.7 },
        GridConfig::SongCompat {},
    ]
}

#[test]
fn every_grid_descends_between_exact_ends() {
    for sde in sdes() {
        let domain = sde.domain();
        for kind in kinds() {
            for steps in [1, 2, 3, 17, 1000] {
                let grid = kind
                    .build(&*sde, steps, domain.t_end, domain.sample_eps)
                    .expect("a grid");
                let times = grid.times();
                assert_eq!(
                    (times.len(), grid.spans().len(), grid.steps()),
                    (steps + 1, steps, steps)
                );
                assert!(times.windows(2).all(|w| w[0] > w[1]), "{kind:?} on {sde:?}");
                assert_eq!(grid.start(), domain.t_end);
                if kind == (GridConfig::SongCompat {}) {
                    assert_eq!(grid.end(), 0.0);
                    if steps > 1 {
                        assert_eq!(times[steps - 1], domain.sample_eps);
                    }
                    assert!(grid.spans().iter().all(|s| s.gap == domain.t_end / steps as f64));
                } else {
                    assert_eq!(grid.end(), domain.sample_eps);
                    assert!(grid.spans().iter().all(|s| s.gap == s.from - s.to && s.gap > 0.0));
                }
                for (span, pair) in grid.spans().iter().zip(times.windows(2)) {
                    assert_eq!((span.from, span.to), (pair[0], pair[1]));
                }
            }
        }
    }
}

/// Each grid is equidistant in its own variable.
#[test]
fn spacing() {
    for sde in sdes() {
        let domain = sde.domain();
        let even = |kind: GridConfig, f: &dyn Fn(f64) -> f64| {
            let grid = kind
                .build(&*sde, 40, domain.t_end, domain.sample_eps)
                .expect("a grid");
            let points: Vec<f64> = grid.times().iter().map(|t| f(*t)).collect();
            let step = (points[40] - points[0]) / 40.0;
            for (i, point) in points.iter().enumerate() {
                let want = points[0] + step * i as f64;
                assert!(
                    (point - want).abs() < 1e-10 * points[0].abs().max(step.abs()),
                    "{kind:?} on {sde:?} at {i}"
                );
            }
        };
        even(GridConfig::Uniform {}, &|t| t);
        even(GridConfig::Quadratic {}, &f64::sqrt);
        even(GridConfig::LogSnr {}, &|t| sde.lambda(t));
        even(GridConfig::Exponential {}, &|t| sde.sigma(t).ln());
        even(GridConfig::Karras { rho: 7.0 }, &|t| sde.sigma(t).powf(1.0 / 7.0));
        let (top, bottom) = (sde.sigma(domain.t_end).ln(), sde.sigma(domain.sample_eps).ln());
        even(GridConfig::Polyexponential { rho: 2.0 }, &|t| {
            ((sde.sigma(t).ln() - bottom) / (top - bottom)).max(0.0).sqrt()
        });
    }
}

/// The reference code's times are `linspace(1, eps, N)`.
#[test]
fn song_compat_points() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let grid = GridConfig::SongCompat {}
        .build(&vp, 4, 1.0, 1e-3)
        .expect("a grid");
    for (time, want) in grid.times().iter().zip([1.0, 0.667, 0.334, 1e-3, 0.0]) {
        assert!((time - want).abs() < 1e-15);
    }
    assert!(grid.spans().iter().all(|span| span.gap == 0.25));
}

#[test]
fn custom_lists_set_their_own_ends() {
    let edm = Edm::new(0.002, 80.0, 0.5).expect("edm");
    let list = GridConfig::Custom {
        times: None,
        sigmas: Some(vec![10.0, 1.0, 0.1, 0.0]),
    };
    assert_eq!(list.own_steps(), Some(3));
    let grid = list.build(&edm, 3, 80.0, 0.002).expect("a grid");
    assert_eq!(grid.times(), [10.0, 1.0, 0.1, 0.0]);
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let list = GridConfig::Custom {
        times: Some(vec![1.0, 0.2, 0.01]),
        sigmas: None,
    };
    assert_eq!(
        list.build(&vp, 2, 1.0, 1e-3).expect("a grid").times(),
        [1.0, 0.2, 0.01]
    );
    assert_eq!(GridConfig::Uniform {}.own_steps(), None);
}

#[test]
fn refusals_name_the_key() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let refused = |kind: GridConfig, steps, from, to| {
        kind.build(&vp, steps, from, to)
            .expect_err("a refusal")
            .to_string()
    };
    let uniform = || GridConfig::Uniform {};
    let times = |list: &[f64]| GridConfig::Custom {
        times: Some(list.to_vec()),
        sigmas: None,
    };
    let cases = [
        (
            refused(uniform(), 0, 1.0, 1e-3),
            "sampler.steps = 0: must lie between 1 and",
        ),
        (
            refused(uniform(), usize::MAX, 1.0, 1e-3),
            "sampler.steps = 18446744073709551615:",
        ),
        (refused(uniform(), 5, 1.5, 1e-3), "sampler.t_start = 1.5:"),
        (refused(uniform(), 5, f64::NAN, 1e-3), "sampler.t_start = NaN:"),
        (refused(uniform(), 5, 1.0, 1.0), "sampler.t_end = 1:"),
        (refused(uniform(), 5, 1.0, -0.1), "sampler.t_end = -0.1:"),
        (refused(uniform(), 5, 1.0, f64::NAN), "sampler.t_end = NaN:"),
        (
            refused(GridConfig::Karras { rho: 0.0 }, 5, 1.0, 1e-3),
            "sampler.grid.rho = 0:",
        ),
        (
            refused(GridConfig::Karras { rho: f64::NAN }, 5, 1.0, 1e-3),
            "sampler.grid.rho = NaN:",
        ),
        (
            refused(GridConfig::Polyexponential { rho: -1.0 }, 5, 1.0, 1e-3),
            "sampler.grid.rho = -1:",
        ),
        (refused(GridConfig::LogSnr {}, 5, 1.0, 0.0), "sampler.grid = "),
        (refused(uniform(), 5, 1.0, 1.0 - 2e-16), "sampler.grid = "),
        (
            refused(times(&[1.0, 0.5, 0.5, 0.1]), 3, 1.0, 1e-3),
            "sampler.grid.times = 0.5: point 2",
        ),
        (
            refused(times(&[0.1, 0.5]), 1, 1.0, 1e-3),
            "sampler.grid.times = 0.5: point 1",
        ),
        (
            refused(times(&[1.0, f64::NAN]), 1, 1.0, 1e-3),
            "sampler.grid.times = NaN: point 1",
        ),
        (
            refused(times(&[1.0, -0.5]), 1, 1.0, 1e-3),
            "sampler.grid.times = -0.5: point 1",
        ),
        (
            refused(times(&[1.0]), 1, 1.0, 1e-3),
            "sampler.grid.times = 1: a grid needs",
        ),
        (
            refused(times(&[]), 1, 1.0, 1e-3),
            "sampler.grid.times = 0: a grid needs",
        ),
        (
            refused(times(&[2.0, 0.5]), 1, 1.0, 1e-3),
            "sampler.grid.times = 2: the first point",
        ),
        (refused(times(&[1.0, 0.5]), 7, 1.0, 1e-3), "sampler.steps = 7:"),
        (
            refused(
                GridConfig::Custom {
                    times: None,
                    sigmas: None,
                },
                1,
                1.0,
                1e-3,
            ),
            "sampler.grid.kind = custom:",
        ),
    ];
    for (message, start) in cases {
        assert!(
            message.starts_with(start),
            "{message}\nshould start with\n{start}"
        );
    }
    assert!(Grid::from_times("times", vec![3.0, f64::INFINITY]).is_err());
}

/// The discretisation of DDPM needs `beta(t) dt < 1`: 20 steps of the usual VP are one too few, 21 will do.
#[test]
fn too_few_steps_for_the_ladder_are_a_config_error() {
    let vp = Vp::linear(0.1, 20.0).expect("vp");
    let grid = |steps| {
        GridConfig::SongCompat {}
            .build(&vp, steps, 1.0, 1e-3)
            .expect("a grid")
    };
    let error = grid(20)
        .check_spans(&vp)
        .expect_err("beta(1) / 20 = 1")
        .to_string();
    assert!(
        error.starts_with("sampler.steps = 20: beta(t) dt = 1 at t = 1"),
        "{error}"
    );
    assert!(grid(1).check_spans(&vp).is_err());
    grid(21).check_spans(&vp).expect("beta(1) / 21 < 1");
    for span in grid(21).spans() {
        assert!(vp.ancestral(*span).state_coef.is_finite() && vp.discretize(*span).drift.is_finite());
    }
    // the other SDEs have no such limit
    for sde in [
        SdeConfig::Ve(Default::default()),
        SdeConfig::Edm(Default::default()),
        SdeConfig::SubVp(Default::default()),
    ] {
        let sde = sde.build().expect("defaults");
        let domain = sde.domain();
        let grid = GridConfig::Uniform {}
            .build(&*sde, 1, domain.t_end, domain.sample_eps)
            .expect("a grid");
        grid.check_spans(&*sde).expect("no limit");
    }
}
