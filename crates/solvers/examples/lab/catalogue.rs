//! The samplers that `lab accuracy` measures: every kind, with the variants that differ in order.

/// Each a table of `[sampler]`, with its name first.
const CATALOGUE: &[(&str, &str)] = &[
    ("euler-maruyama", "kind = 'pc'"),
    (
        "reverse-diffusion",
        "kind = 'pc', predictor = 'reverse-diffusion'",
    ),
    ("ancestral", "kind = 'pc', predictor = 'ancestral'"),
    ("predictor-corrector", "kind = 'pc', corrector = 'langevin'"),
    ("euler-maruyama eta=0.5", "kind = 'pc', eta = 0.5"),
    ("langevin", "kind = 'langevin'"),
    ("ode euler", "kind = 'ode', method = 'euler'"),
    ("ode heun", "kind = 'ode', method = 'heun'"),
    ("ode midpoint", "kind = 'ode', method = 'midpoint'"),
    ("ode rk4", "kind = 'ode', method = 'rk4'"),
    ("ode bosh3", "kind = 'ode', method = 'bosh3'"),
    ("ode bosh3 adaptive", "kind = 'ode', method = 'bosh3', rtol = 0.0"),
    ("ode dp5", "kind = 'ode', method = 'dp5'"),
    ("ode dp5 adaptive", "kind = 'ode', method = 'dp5', rtol = 0.0"),
    ("ode tsit5", "kind = 'ode', method = 'tsit5'"),
    ("ode tsit5 adaptive", "kind = 'ode', method = 'tsit5', rtol = 0.0"),
    ("euler", "kind = 'euler'"),
    ("heun", "kind = 'heun'"),
    ("heun churn", "kind = 'heun', s_churn = 10.0"),
    ("dpm-2", "kind = 'dpm-2'"),
    ("lms", "kind = 'lms'"),
    ("euler-ancestral", "kind = 'euler-ancestral'"),
    ("dpm-2-ancestral", "kind = 'dpm-2-ancestral'"),
    ("ddim", "kind = 'ddim'"),
    ("ddim eta=1", "kind = 'ddim', eta = 1.0"),
    (
        "dpm-solver-1",
        "kind = 'dpm-solver', algorithm = 'dpmsolver', order = 1",
    ),
    (
        "dpm-solver-2 single",
        "kind = 'dpm-solver', algorithm = 'dpmsolver', order = 2, mode = 'singlestep'",
    ),
    (
        "dpm-solver-3 single",
        "kind = 'dpm-solver', algorithm = 'dpmsolver', order = 3, mode = 'singlestep'",
    ),
    (
        "dpm-solver-2 multi",
        "kind = 'dpm-solver', algorithm = 'dpmsolver', order = 2",
    ),
    (
        "dpm-solver-3 multi",
        "kind = 'dpm-solver', algorithm = 'dpmsolver', order = 3",
    ),
    ("dpm-solver++ 1", "kind = 'dpm-solver', order = 1"),
    (
        "dpm-solver++ 2S",
        "kind = 'dpm-solver', order = 2, mode = 'singlestep'",
    ),
    (
        "dpm-solver++ 3S",
        "kind = 'dpm-solver', order = 3, mode = 'singlestep'",
    ),
    ("dpm-solver++ 2M", "kind = 'dpm-solver', order = 2"),
    ("dpm-solver++ 3M", "kind = 'dpm-solver', order = 3"),
    (
        "dpm-solver++ 3M full",
        "kind = 'dpm-solver', order = 3, curvature = 'full'",
    ),
    (
        "dpm-solver adaptive 23",
        "kind = 'dpm-solver', order = 3, mode = 'adaptive', algorithm = 'dpmsolver', rtol = 0.0",
    ),
    ("unipc-1", "kind = 'unipc', order = 1"),
    ("unipc-2", "kind = 'unipc', order = 2"),
    ("unipc-2 bh1", "kind = 'unipc', order = 2, variant = 'bh1'"),
    ("unipc-3", "kind = 'unipc', order = 3"),
    ("deis-1", "kind = 'deis', order = 1"),
    ("deis-2", "kind = 'deis', order = 2"),
    ("deis-3", "kind = 'deis', order = 3"),
    ("ipndm", "kind = 'ipndm'"),
    ("dpmpp-2s-ancestral", "kind = 'dpmpp-2s-ancestral'"),
    ("dpmpp-sde", "kind = 'dpmpp-sde'"),
    ("dpmpp-2m-sde", "kind = 'dpmpp-2m-sde'"),
    ("dpmpp-3m-sde", "kind = 'dpmpp-3m-sde'"),
    ("adaptive-sde", "kind = 'adaptive-sde', rtol = 0.0"),
];

/// Names and tables.
pub fn catalogue() -> Vec<(String, toml::Table)> {
    let read = |(name, text): &(&str, &str)| {
        let table: toml::Table =
            toml::from_str(&format!("sampler = {{ {text} }}")).expect("written above, and read by the tests");
        let sampler = table["sampler"].as_table().expect("written above").clone();
        ((*name).to_owned(), sampler)
    };
    CATALOGUE.iter().map(read).collect()
}
