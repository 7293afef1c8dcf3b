//! The `[sde]` table and its siblings as TOML: defaults, refusals, round trips.

#![cfg(feature = "serde")]

use sde_core::oracle::MixtureConfig;
use sde_core::precond::RawTable;
use sde_core::{GridConfig, PrecondConfig, SdeConfig, TimeDensityConfig, WeightingConfig};

fn parse(text: &str) -> Result<SdeConfig, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn defaults_are_the_published_ones() {
    let built = |text: &str| parse(text).expect(text).build().expect(text);
    let vp = built("kind = 'vp'");
    assert!((vp.lambda(1.0) + 5.024_978_406_66).abs() < 1e-10);
    let domain = vp.domain();
    assert_eq!(
        (
            domain.t_end,
            domain.train_eps,
            domain.sample_eps,
            domain.likelihood_eps
        ),
        (1.0, 1e-5, 1e-3, 1e-5)
    );
    assert_eq!(vp.prior_std(), 1.0);
    let subvp = built("kind = 'subvp'");
    assert!((subvp.marginal(1.0).std - 0.999_956_814_251).abs() < 1e-11);
    assert_eq!(subvp.domain().sample_eps, 1e-3);
    let ve = built("kind = 've'");
    assert_eq!(
        (ve.marginal(0.0).std, ve.prior_std(), ve.domain().sample_eps),
        (0.01, 50.0, 1e-5)
    );
    assert_eq!(built("kind = 've'\nkernel = 'exact'").marginal(0.0).std, 0.0);
    let edm = built("kind = 'edm'");
    assert_eq!(
        (edm.domain().t_end, edm.domain().sample_eps, edm.prior_std()),
        (80.0, 0.002, 80.0)
    );
    assert_eq!(edm.sigma_data(), Some(0.5));
    let cosine = built("kind = 'vp'\nschedule = 'cosine'");
    assert!((cosine.time_at_lambda(-5.1) - 0.996_087_992_6).abs() < 1e-10);
    let cosine_subvp = built("kind = 'subvp'\nschedule = 'cosine'");
    assert!(cosine_subvp.lambda(1.0) < -5.0);
    // the cosine schedule over a table that states rates: one key changes it, and what is written down has no
    // rates
    let over = parse("kind = 'vp'\nbeta_min = 0.1\nbeta_max = 20.0\nschedule = 'cosine'").expect("a table");
    assert_eq!(over.build().expect("cosine").lambda(0.5), cosine.lambda(0.5));
    assert_eq!(
        over.resolved(),
        parse("kind = 'vp'\nschedule = 'cosine'")
            .expect("a table")
            .resolved()
    );
    // integers for floats, as people write them
    assert_eq!(built("kind = 'vp'\nbeta_max = 20").lambda(1.0), vp.lambda(1.0));
    assert!(built("kind = 'vp'\nschedule = 'exponential'\nbeta_max = 80").lambda(1.0) < -3.0);
}

/// Each refusal starts with `key = value:` and none builds.
#[test]
fn bad_values_name_their_key() {
    let cases = [
        ("kind = 'vp'\nbeta_min = -0.1", "sde.beta_min = -0.1:"),
        ("kind = 'vp'\nbeta_min = nan", "sde.beta_min = NaN:"),
        ("kind = 'vp'\nbeta_max = inf", "sde.beta_max = inf:"),
        ("kind = 'vp'\nbeta_max = 0", "sde.beta_max = 0:"),
        (
            "kind = 'vp'\nbeta_min = 21",
            "sde.beta_min = 21: must not be above sde.beta_max = 20",
        ),
        ("kind = 'vp'\nbeta_max = 8", "sde.t_end = 1: lambda = -2.01"),
        ("kind = 'subvp'\nbeta_max = 8", "sde.t_end = 1: lambda = -"),
        ("kind = 'vp'\nt_end = 0.5", "sde.t_end = 0.5: lambda = -1.2276"),
        ("kind = 'vp'\nt_end = 0", "sde.t_end = 0:"),
        ("kind = 'vp'\ntrain_eps = 0", "sde.train_eps = 0:"),
        (
            "kind = 'vp'\nsample_eps = 1",
            "sde.sample_eps = 1: must be below sde.t_end = 1",
        ),
        (
            "kind = 'vp'\nlikelihood_eps = -1e-3",
            "sde.likelihood_eps = -0.001:",
        ),
        ("kind = 'vp'\ntrain_eps = nan", "sde.train_eps = NaN:"),
        (
            "kind = 'vp'\nlambda_min = -5",
            "sde.lambda_min = -5: only the cosine schedule has this key",
        ),
        (
            "kind = 'vp'\nschedule = 'cosine'\nlambda_min = -1.86",
            "sde.lambda_min = -1.86:",
        ),
        (
            "kind = 'vp'\nschedule = 'cosine'\nlambda_min = -50",
            "sde.lambda_min = -50:",
        ),
        (
            "kind = 'vp'\nschedule = 'cosine'\ncosine_offset = 0",
            "sde.cosine_offset = 0:",
        ),
        (
            "kind = 'vp'\nschedule = 'cosine'\ncosine_offset = 2",
            "sde.cosine_offset = 2:",
        ),
        (
            "kind = 'vp'\nschedule = 'exponential'\nbeta_min = 20",
            "sde.beta_min = 20: must be below",
        ),
        (
            "kind = 'vp'\nschedule = 'exponential'\nbeta_min = 0",
            "sde.beta_min = 0:",
        ),
        (
            "kind = 've'\nsigma_min = 50",
            "sde.sigma_min = 50: must be below sde.sigma_max = 50",
        ),
        ("kind = 've'\nsigma_min = 0", "sde.sigma_min = 0:"),
        ("kind = 've'\nsigma_max = nan", "sde.sigma_max = NaN:"),
        ("kind = 've'\ntrain_eps = 1.0", "sde.train_eps = 1:"),
        ("kind = 'edm'\nsigma_min = 100", "sde.sigma_min = 100:"),
        ("kind = 'edm'\nsigma_data = 0", "sde.sigma_data = 0:"),
        ("kind = 'edm'\nsample_eps = 80", "sde.sample_eps = 80:"),
    ];
    for (text, start) in cases {
        let error = parse(text).expect(text).build().expect_err(text).to_string();
        assert!(
            error.starts_with(start),
            "{text}\n{error}\nshould start with\n{start}"
        );
    }
}

#[test]
fn unknown_keys_and_kinds_are_refused() {
    let cases = [
        ("kind = 'vp'\nbeta_mim = 0.1", "beta_mim"),
        ("kind = 'vp'\nsigma_max = 50", "sigma_max"),
        ("kind = 've'\nbeta_max = 20", "beta_max"),
        ("kind = 'edm'\nt_end = 80", "t_end"),
        ("kind = 'vq'", "vq"),
        ("kind = 'vp'\nschedule = 'sqrt'", "sqrt"),
        ("kind = 've'\nkernel = 'Song'", "Song"),
        ("kind = 'vp'\nbeta_min = '0.1'", "string"),
        ("beta_min = 0.1", "kind"),
    ];
    for (text, word) in cases {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(word), "{text}\n{error}");
    }
    assert!(toml::from_str::<GridConfig>("kind = 'karras'\nrh = 7").is_err());
    assert!(toml::from_str::<GridConfig>("kind = 'uniform'\nrho = 7").is_err());
    assert!(toml::from_str::<PrecondConfig>("kind = 'eps'\nsigma = 1").is_err());
    assert!(toml::from_str::<PrecondConfig>("kind = 'iddpm'\nsigma_data = 1").is_err());
    assert!(toml::from_str::<WeightingConfig>("kind = 'sigma2'\ngamma = 1").is_err());
    assert!(toml::from_str::<TimeDensityConfig>("kind = 'uniform'\nmean = 1").is_err());
    assert!(toml::from_str::<MixtureConfig>("weights = [1]\nmeans = [[0]]\nvar = [1]").is_err());
}

/// A resolved table has every key, reads back as itself and builds the same SDE.
#[test]
fn resolved_tables_round_trip() {
    for text in [
        "kind = 'vp'",
        "kind = 'vp'\nschedule = 'cosine'",
        "kind = 'vp'\nschedule = 'exponential'\nbeta_max = 80.0",
        "kind = 'subvp'\nbeta_min = 0.2",
        "kind = 've'\nkernel = 'exact'\nsigma_max = 30.0",
        "kind = 'edm'\nsigma_min = 0.01",
    ] {
        let config = parse(text).expect(text);
        let resolved = config.resolved();
        let written = toml::to_string(&resolved).expect("a table");
        for key in ["kind", "train_eps", "sample_eps", "likelihood_eps"] {
            assert!(written.contains(key), "{written}");
        }
        let read = parse(&written).expect("its own text");
        assert_eq!(read, resolved);
        assert_eq!(resolved.resolved(), resolved);
        let (a, b) = (config.build().expect("an SDE"), read.build().expect("an SDE"));
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }
}

#[test]
fn sibling_tables_have_defaults() {
    let grid = |text| toml::from_str::<GridConfig>(text).expect(text);
    assert_eq!(grid("kind = 'karras'"), GridConfig::Karras { rho: 7.0 });
    assert_eq!(
        grid("kind = 'polyexponential'"),
        GridConfig::Polyexponential { rho: 1.0 }
    );
    assert_eq!(grid("kind = 'log-snr'"), GridConfig::LogSnr {});
    assert_eq!(grid("kind = 'song-compat'"), GridConfig::SongCompat {});
    assert_eq!(
        grid("kind = 'custom'\ntimes = [1.0, 0.5]"),
        GridConfig::Custom {
            times: Some(vec![1.0, 0.5]),
            sigmas: None
        }
    );
    let weighting = |text| toml::from_str::<WeightingConfig>(text).expect(text);
    assert_eq!(
        weighting("kind = 'min-snr'"),
        WeightingConfig::MinSnr { gamma: 5.0 }
    );
    assert_eq!(
        weighting("kind = 'soft-min-snr'"),
        WeightingConfig::SoftMinSnr { gamma: 4.0 }
    );
    assert_eq!(weighting("kind = 'sigma2'"), WeightingConfig::default());
    let time = |text| toml::from_str::<TimeDensityConfig>(text).expect(text);
    assert_eq!(
        time("kind = 'log-normal'"),
        TimeDensityConfig::LogNormal { mean: -1.2, std: 1.2 }
    );
    assert_eq!(time("kind = 'uniform'"), TimeDensityConfig::default());
    let precond = |text| toml::from_str::<PrecondConfig>(text).expect(text);
    assert_eq!(precond("kind = 'eps'"), PrecondConfig::default());
    let raw = "kind = \"raw-score\"\ntime_input = \"descending-label\"\nlabels = 2000\n";
    assert_eq!(toml::to_string(&precond(raw)).expect("a table"), raw);
    assert_eq!(
        precond("kind = 'raw-eps'"),
        PrecondConfig::RawEps(RawTable::default())
    );
    let written = toml::to_string(&precond("kind = 'x0'\ntime_input = 'log-snr'")).expect("a table");
    assert!(written.contains("log-snr") && written.contains("x0"));
}

#[test]
fn mixture_table_of_the_lab() {
    let text = "
        weights = [0.3, 0.7]
        means = [[-1, 0], [1.5, 0.5]]
        covs = [[[0.3, 0.1], [0.1, 0.2]], [[0.2, 0], [0, 0.2]]]
    ";
    let mixture = toml::from_str::<MixtureConfig>(text)
        .expect("a table")
        .build()
        .expect("a mixture");
    assert_eq!((mixture.dim(), mixture.components()), (2, 2));
    let text = "weights = [1]\nmeans = [[0.7]]\nvars = [0.09]";
    let single = toml::from_str::<MixtureConfig>(text)
        .expect("a table")
        .build()
        .expect("a mixture");
    assert_eq!((single.mean(), single.cov()), (vec![0.7], vec![0.09]));
}

#[test]
fn data_dependent_sigma_max() {
    let points = [0.0, 0.0, 3.0, 4.0, 1.0, 1.0];
    assert_eq!(sde_core::config::largest_distance(&points, 2), Ok(5.0));
    assert!(sde_core::config::largest_distance(&points, 0).is_err());
    assert!(sde_core::config::largest_distance(&points, 4).is_err());
    assert!(sde_core::config::largest_distance(&[1.0, 1.0], 1).is_err());
    assert!(sde_core::config::largest_distance(&[1.0, f64::NAN], 1).is_err());
}

#[test]
fn a_ladder_has_its_rungs_as_kernels() {
    use sde_core::discrete::Ddpm;
    let tables = [
        ("", Ddpm::linear(0.1, 20.0, 1000)),
        (
            "schedule = 'scaled-linear'\nbeta_min = 1.5\nbeta_max = 19.5\n",
            Ddpm::scaled_linear(1.5, 19.5, 1000),
        ),
        ("schedule = 'cosine'\n", Ddpm::cosine(1000, 0.008, 0.999)),
    ];
    for (keys, ladder) in tables {
        let table = parse(&format!("kind = 'vp'\n{keys}rungs = 1000")).expect("a table");
        let (sde, ladder) = (table.build().expect("a ladder"), ladder.expect("the same"));
        for rung in [0, 1, 17, 500, 999] {
            let (have, need) = (sde.marginal((rung + 1) as f64 / 1000.0), ladder.marginal(rung));
            assert!((have.mean_coef - need.mean_coef).abs() < 1e-13 * need.mean_coef);
            assert!((have.std - need.std).abs() < 1e-13);
        }
        assert_eq!((sde.domain().sample_eps, sde.domain().train_eps), (1e-3, 1e-3));
        assert_eq!(table.resolved().resolved(), table.resolved());
    }
    // the betas of Rombach et al.: sqrt(beta) from sqrt(0.0015) to sqrt(0.0195)
    let ladder = Ddpm::scaled_linear(1.5, 19.5, 1000).expect("a ladder");
    let middle = (0.5 * (0.0015_f64.sqrt() + 0.0195_f64.sqrt())).powi(2);
    let betas = ladder.betas();
    assert!((betas[0] - 0.0015).abs() < 1e-17 && (betas[999] - 0.0195).abs() < 1e-16);
    assert!((0.5 * (betas[499].sqrt() + betas[500].sqrt()) - middle.sqrt()).abs() < 1e-16);
    for (keys, key) in [
        ("rungs = 1", "sde.rungs"),
        ("rungs = 2000000", "sde.rungs"),
        ("rungs = 10\nschedule = 'exponential'", "sde.rungs"),
        (
            "rungs = 10\nschedule = 'cosine'\nlambda_min = -5.0",
            "sde.lambda_min",
        ),
        ("rungs = 10", "ddpm.betas[5]"),
    ] {
        let refused = parse(&format!("kind = 'vp'\n{keys}"))
            .expect(keys)
            .build()
            .expect_err(keys);
        assert_eq!(refused.key, key, "{refused}");
    }
}
