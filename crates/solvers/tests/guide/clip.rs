//! `clip_x0`: by hand for one row, and as a key of every kind.

use sde_core::Sde;
use solvers::config::{ClipConfig, SamplerConfig};
use solvers::guide::{Clip, ClippedScore};
use solvers::{Coef, HostBatch, HostNoise, RowFnScore, ScoreFn, SolveError, State};

use crate::common::{
    Batch, batch, config, oracle, prior, refusal, rows, run, sampler, samples, sde, sdes, seeded,
};

const STATIC: Clip = Clip::Static { min: -1.0, max: 1.0 };

/// The estimate of the clean data that a score stands for.
fn estimates(sde: &dyn Sde, t: &[f64], x: &Batch, score: &Batch) -> Vec<Vec<f64>> {
    let row = |((x, s), t): ((&Vec<f64>, &Vec<f64>), &f64)| {
        let at = sde.marginal(*t);
        x.iter()
            .zip(s)
            .map(|(x, s)| (x + at.std * at.std * s) / at.mean_coef)
            .collect()
    };
    rows(x).iter().zip(&rows(score)).zip(t).map(row).collect()
}

/// The score that estimates `x0[d]` everywhere.
fn constant_estimate<'a>(sde: &'a dyn Sde, x0: &'a [f64]) -> impl ScoreFn<Batch> + 'a {
    RowFnScore(move |x: &[f64], t: f64, out: &mut [f64]| {
        let at = sde.marginal(t);
        for ((out, x), x0) in out.iter_mut().zip(x).zip(x0) {
            *out = (at.mean_coef * x0 - x) / (at.std * at.std);
        }
    })
}

#[test]
fn static_clipping_clamps_what_is_outside_and_keeps_the_bits_of_the_rest() {
    let x0 = [-3.0, -1.0 + 1e-9, 0.25, 1.5];
    for (kind, sde) in sdes() {
        let score = constant_estimate(&*sde, &x0);
        let clipped = ClippedScore::new(&score, &*sde, Clip::Static { min: -1.0, max: 0.5 });
        let x = batch(3, 4, |row, d| row as f64 - 1.0 + 0.3 * d as f64);
        let times = [0.05, 0.3, 0.9];
        let (mut raw, mut out) = (x.zeros_like(), x.zeros_like());
        score.score(&x, Coef::PerRow(&times), &mut raw).unwrap();
        clipped.score(&x, Coef::PerRow(&times), &mut out).unwrap();
        for (row, values) in estimates(&*sde, &times, &x, &out).iter().enumerate() {
            for (d, (got, want)) in values.iter().zip([-1.0, x0[1], 0.25, 0.5]).enumerate() {
                assert!((got - want).abs() < 1e-12, "{kind} row {row}: {got} for {want}");
                if d == 1 || d == 2 {
                    assert_eq!(out.plane(d)[row].to_bits(), raw.plane(d)[row].to_bits(), "{kind}");
                }
            }
            // A time for all rows gives the same bits as one a row.
            let mut alone = x.zeros_like();
            clipped.score(&x, Coef::All(times[row]), &mut alone).unwrap();
            for d in 0..4 {
                assert_eq!(
                    alone.plane(d)[row].to_bits(),
                    out.plane(d)[row].to_bits(),
                    "{kind}"
                );
            }
        }
    }
}

#[test]
fn dynamic_clipping_of_a_row_by_hand() {
    let sde = sde("kind = \"vp\"");
    let x = batch(1, 5, |_, d| 0.1 * d as f64);
    let dynamic = |x0: [f64; 5], quantile: f64| {
        let score = constant_estimate(&*sde, &x0);
        let mut out = x.zeros_like();
        let clipped = ClippedScore::new(&score, &*sde, Clip::Dynamic { quantile });
        clipped.score(&x, Coef::All(0.4), &mut out).unwrap();
        estimates(&*sde, &[0.4], &x, &out).remove(0)
    };
    let close = |got: Vec<f64>, want: [f64; 5]| {
        let worst = got
            .iter()
            .zip(want)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-13, "{got:?} for {want:?}");
    };
    // Sizes 0.5 1 2 3 4: the median is 2, the 0.6 quantile 2 + 0.4 of the way to 3.
    let wide = [-4.0, 0.5, 3.0, -1.0, 2.0];
    close(dynamic(wide, 0.5), [-1.0, 0.25, 1.0, -0.5, 1.0]);
    let s = 2.4;
    close(dynamic(wide, 0.6), [-1.0, 0.5 / s, 1.0, -1.0 / s, 2.0 / s]);
    close(dynamic(wide, 1.0), wide.map(|v| v / 4.0));
    // The quantile lies below 1: the range is [-1, 1], without scaling.
    close(
        dynamic([0.1, -0.2, 0.3, -1.7, 0.9], 0.5),
        [0.1, -0.2, 0.3, -1.0, 0.9],
    );
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let sde = sde("kind = \"edm\"");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let score = RowFnScore(move |x: &[f64], _: f64, out: &mut [f64]| {
            out.fill(-100.0);
            if x[0] == 2.0 {
                out[1] = bad;
            }
        });
        for clip in [STATIC, Clip::Dynamic { quantile: 0.9 }] {
            let x = batch(4, 3, |row, _| row as f64);
            let mut out = x.zeros_like();
            let clipped = ClippedScore::new(&score, &*sde, clip);
            clipped.score(&x, Coef::All(1.0), &mut out).unwrap();
            assert_eq!(out.first_non_finite_row(), Some(2), "{clip:?} {bad}");
            let mut first = batch(2, 3, |row, _| row as f64);
            let x = first.clone();
            clipped.score(&x, Coef::All(1.0), &mut first).unwrap();
            for d in 0..3 {
                assert_eq!(
                    first.plane(d),
                    &out.plane(d)[..2],
                    "rows before the bad one are clipped alike"
                );
            }
        }
        // Through a sampler: the error names the row.
        let sampler = sampler("kind = \"heun\"\nsteps = 4\nclip_x0 = \"static\"", &*sde);
        let mut x = batch(4, 3, |row, _| row as f64);
        let noise = seeded(0);
        let error = run(&*sampler, &*sde, &score, &noise, &mut x).unwrap_err();
        assert!(matches!(error, SolveError::NonFinite { row: 2, .. }), "{error}");
    }
}

#[test]
fn ends_of_the_noise_scale_are_safe() {
    let sde = sde("kind = \"edm\"\nsigma_max = 1e30");
    let score = RowFnScore(|x: &[f64], _: f64, out: &mut [f64]| out.fill(-5.0 * x[0]));
    for clip in [STATIC, Clip::Dynamic { quantile: 0.995 }] {
        let clipped = ClippedScore::new(&score, &*sde, clip);
        let x = batch(2, 2, |row, d| 1.0 + row as f64 + d as f64);
        for t in [0.0, 1e-200, 1e-8, 1.0, 1e30] {
            let mut out = x.zeros_like();
            clipped.score(&x, Coef::All(t), &mut out).unwrap();
            assert_eq!(out.first_non_finite_row(), None, "{clip:?} at {t}");
            if t == 0.0 {
                let mut raw = x.zeros_like();
                score.score(&x, Coef::All(t), &mut raw).unwrap();
                assert_eq!(out, raw, "without noise there is nothing to clip");
            }
        }
    }
    // mean_coef = e^-50 and below, in single precision.
    let sde = crate::common::sde("kind = \"vp\"\nbeta_max = 199");
    let at = sde.marginal(1.0);
    assert!(at.mean_coef < 1e-21);
    let x = HostBatch::<f32>::from_rows(ndarray::array![[0.3, -2.0], [1.0, 0.5]].view());
    for clip in [STATIC, Clip::Dynamic { quantile: 0.995 }] {
        let score = RowFnScore(|x: &[f64], _: f64, out: &mut [f64]| out.fill(-2.0 * x[0]));
        let clipped = ClippedScore::new(&score, &*sde, clip);
        let mut out = x.zeros_like();
        clipped.score(&x, Coef::All(1.0), &mut out).unwrap();
        assert_eq!(out.first_non_finite_row(), None, "{clip:?}");
    }
}

/// A network's output of another shape is an error, not a panic.
#[test]
fn a_score_of_another_shape_is_refused() {
    let sde = sde("kind = \"vp\"");
    let score = solvers::FnScore(|_: &Batch, _: Coef, out: &mut Batch| {
        *out = Batch::zeros(3, 1);
        Ok(())
    });
    let clipped = ClippedScore::new(&score, &*sde, STATIC);
    let x = batch(2, 2, |_, _| 0.5);
    let error = clipped
        .score(&x, Coef::All(0.5), &mut x.zeros_like())
        .unwrap_err();
    assert!(matches!(error, SolveError::Shape { .. }), "{error}");
}

const BEYOND: f64 = 0.01;

/// Every kind takes the key; samples of a mixture that reaches beyond the range end inside, and a range that holds all estimates changes
/// nothing. Methods whose last act extrapolates from several estimates may end beyond by what the last of these differ in.
#[test]
fn every_kind_takes_the_key() {
    for kind in SamplerConfig::KINDS {
        for (name, sde) in sdes() {
            let score = oracle(&sde);
            let with = |clip: &str| {
                let table = format!("kind = \"{kind}\"\nclip_x0 = {clip}");
                samples(&table, &*sde, &score, 3, 6, 2).0
            };
            let free = with("\"none\"");
            assert_eq!(
                free,
                with("{ kind = \"static\", min = -1e9, max = 1e9 }"),
                "{kind} {name}"
            );
            let range = (-0.5, 0.4);
            let clipped = with("{ kind = \"static\", min = -0.5, max = 0.4 }");
            let outside = |x: &Batch| {
                rows(x)
                    .into_iter()
                    .flatten()
                    .filter(|v| *v < range.0 - BEYOND || *v > range.1 + BEYOND)
                    .count()
            };
            assert!(
                outside(&free) > 0,
                "{kind} {name}: the data reach beyond the range"
            );
            assert_eq!(outside(&clipped), 0, "{kind} {name}: {clipped:?}");
            let dynamic = with("{ kind = \"dynamic\", quantile = 1 }");
            let largest = rows(&dynamic)
                .into_iter()
                .flatten()
                .fold(0.0_f64, |a, b| a.max(b.abs()));
            assert!(largest <= 1.0 + BEYOND, "{kind} {name}: {largest}");
        }
    }
}

#[test]
fn names_and_tables_are_read_and_written() {
    let clip = |text: &str| match config(&format!("kind = \"heun\"\n{text}")) {
        SamplerConfig::Heun(table) => table.clip_x0,
        other => panic!("{other:?}"),
    };
    assert_eq!(clip(""), None);
    assert_eq!(clip("clip_x0 = \"none\""), Some(ClipConfig::None {}));
    let whole = Some(ClipConfig::Static { min: -1.0, max: 1.0 });
    assert_eq!(clip("clip_x0 = \"static\""), whole);
    assert_eq!(clip("clip_x0 = { kind = \"static\", min = -1 }"), whole);
    assert_eq!(clip("[clip_x0]\nkind = \"static\""), whole);
    let dynamic = |quantile| Some(ClipConfig::Dynamic { quantile });
    assert_eq!(clip("clip_x0 = \"dynamic\""), dynamic(0.995));
    assert_eq!(
        clip("clip_x0.kind = \"dynamic\"\nclip_x0.quantile = 0.9"),
        dynamic(0.9)
    );
    for text in [
        "",
        "clip_x0 = \"none\"",
        "clip_x0 = \"static\"",
        "clip_x0 = \"dynamic\"\ngrid = { kind = \"karras\" }",
    ] {
        let table = config(&format!("kind = \"heun\"\n{text}"));
        let written = toml::to_string(&table).unwrap();
        assert_eq!(config(&written), table, "{written}");
        let json = serde_json::to_string(&clip(text)).unwrap();
        assert_eq!(
            serde_json::from_str::<Option<ClipConfig>>(&json).unwrap(),
            clip(text),
            "{json}"
        );
    }
}

#[test]
fn mistakes_are_named() {
    let sde = sde("kind = \"vp\"");
    let says = |text: &str, part: &str| {
        let message = refusal(&format!("kind = \"ode\"\n{text}"), &*sde);
        assert!(message.contains(part), "{text}: {message}");
    };
    says(
        "clip_x0 = { kind = \"static\", min = 1 }",
        "sampler.clip_x0.min = 1: must lie below max = 1",
    );
    says(
        "clip_x0 = { kind = \"static\", max = nan }",
        "sampler.clip_x0.max = NaN: must be a finite",
    );
    says(
        "clip_x0 = { kind = \"static\", min = -inf }",
        "sampler.clip_x0.min = -inf: must be a finite",
    );
    for quantile in ["0", "-0.1", "1.1", "nan"] {
        says(
            &format!("clip_x0 = {{ kind = \"dynamic\", quantile = {quantile} }}"),
            "sampler.clip_x0.quantile = ",
        );
    }
    let unread = |text: &str, part: &str| {
        let error = toml::from_str::<SamplerConfig>(&format!("kind = \"pc\"\n{text}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{text}: {error}");
    };
    unread(
        "clip_x0 = \"statc\"",
        "unknown variant `statc`, expected one of `none`, `static`, `dynamic`",
    );
    unread(
        "clip_x0 = { kind = \"static\", low = -1 }",
        "unknown field `low`, expected `min` or `max`",
    );
    unread(
        "clip_x0 = 3",
        "expected \"none\", \"static\", \"dynamic\" or a table with such a kind",
    );
    unread("clip_x0 = {}", "missing field `kind`");
}

/// A run in pieces has the bits of the run in one.
#[test]
fn rows_do_not_see_each_other() {
    let sde = sde("kind = \"subvp\"");
    let score = oracle(&sde);
    let sampler = sampler("kind = \"pc\"\nsteps = 20\nclip_x0 = \"dynamic\"", &*sde);
    let piece = |first_row: u64, count: usize| {
        let noise = HostNoise { seed: 5, first_row };
        let mut x = prior(&*sampler, &*sde, &noise, count, 2);
        run(&*sampler, &*sde, &score, &noise, &mut x).unwrap();
        rows(&x)
    };
    assert_eq!(piece(0, 9), [piece(0, 2), piece(2, 4), piece(6, 3)].concat());
}
