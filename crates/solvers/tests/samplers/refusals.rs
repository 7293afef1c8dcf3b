//! Refused configurations: one line that names the dotted key.

use crate::common::{refusal, sde};

/// Every refused value names its dotted key first.
#[test]
fn refused_values_name_their_key() {
    let vp = sde("kind = \"vp\"");
    for (table, key) in [
        ("kind = \"pc\"\nsteps = 0", "sampler.steps = 0"),
        ("kind = \"heun\"\nsteps = 0", "sampler.steps = 0"),
        ("kind = \"pc\"\nt_end = 1.0", "sampler.t_end = 1"),
        ("kind = \"pc\"\nt_end = 2.0", "sampler.t_end = 2"),
        ("kind = \"pc\"\nt_end = nan", "sampler.t_end = NaN"),
        ("kind = \"pc\"\nt_end = -0.1", "sampler.t_end = -0.1"),
        ("kind = \"pc\"\nt_start = 1.5", "sampler.t_start = 1.5"),
        ("kind = \"pc\"\nt_start = 0.0", "sampler.t_start = 0"),
        ("kind = \"ode\"\nt_end = 1.0", "sampler.t_end = 1"),
        ("kind = \"ode\"\nt_end = 0.0", "sampler.t_end = 0"),
        ("kind = \"langevin\"\nt_end = 0.0", "sampler.t_end = 0"),
        (
            "kind = \"pc\"\ncorrector = \"langevin\"\nsnr = 0.0",
            "sampler.snr = 0",
        ),
        (
            "kind = \"pc\"\ncorrector = \"ald\"\nsnr = -1.0",
            "sampler.snr = -1",
        ),
        (
            "kind = \"pc\"\ncorrector = \"batch-langevin\"\nsnr = nan",
            "sampler.snr = NaN",
        ),
        ("kind = \"langevin\"\nsnr = 1.0", "sampler.snr = 1"),
        (
            "kind = \"pc\"\ncorrector_steps = 0",
            "sampler.corrector_steps = 0",
        ),
        (
            "kind = \"pc\"\ncorrector_steps = 4294967295",
            "sampler.corrector_steps = 4294967295",
        ),
        ("kind = \"pc\"\neta = -0.5", "sampler.eta = -0.5"),
        ("kind = \"pc\"\neta = inf", "sampler.eta = inf"),
        (
            "kind = \"pc\"\npredictor = \"ancestral\"\neta = 0.5",
            "sampler.eta = 0.5",
        ),
        ("kind = \"pc\"\npredictor = \"none\"", "sampler.predictor = none"),
        (
            "kind = \"pc\"\npredictor = \"ancestral\"\nsteps = 19",
            "sampler.steps = 19",
        ),
        (
            "kind = \"pc\"\npredictor = \"reverse-diffusion\"\nsteps = 5",
            "sampler.steps = 5",
        ),
        ("kind = \"ode\"\nsteps = 0", "sampler.steps = 0"),
        ("kind = \"ode\"\nsteps = 10\nrtol = 1e-3", "sampler.rtol = 0.001"),
        (
            "kind = \"ode\"\nmethod = \"tsit5\"\nsave_at = [0.5]\n[grid]\nkind = \"uniform\"",
            "sampler.save_at = [0.5]",
        ),
        ("kind = \"ode\"\nsave_at = [0.5, 0.5]", "sampler.save_at = 0.5"),
        ("kind = \"ode\"\nsave_at = [0.2, 0.5]", "sampler.save_at = 0.5"),
        ("kind = \"ode\"\nsave_at = [1.5]", "sampler.save_at = 1.5"),
        ("kind = \"ode\"\nsave_at = [1e-4]", "sampler.save_at = 0.0001"),
        ("kind = \"ode\"\nsave_at = [nan]", "sampler.save_at = NaN"),
        (
            "kind = \"ode\"\nmethod = \"rk4\"\nrtol = 1e-3",
            "sampler.rtol = 0.001",
        ),
        ("kind = \"ode\"\nrtol = 0.0", "sampler.rtol = 0"),
        ("kind = \"ode\"\nrtol = -1e-3", "sampler.rtol = -0.001"),
        ("kind = \"ode\"\natol = nan", "sampler.atol = NaN"),
        (
            "kind = \"ode\"\natol = 1e-30",
            "sampler.atol = 0.000000000000000000000000000001",
        ),
        ("kind = \"ode\"\nmax_steps = 0", "sampler.max_steps = 0"),
        ("kind = \"ode\"\nmin_step = 1.0", "sampler.min_step = 1"),
        (
            "kind = \"ode\"\n[grid]\nkind = \"song-compat\"",
            "sampler.grid.kind = song-compat",
        ),
        ("kind = \"heun\"\ns_churn = -1.0", "sampler.s_churn = -1"),
        ("kind = \"heun\"\ns_noise = nan", "sampler.s_noise = NaN"),
        ("kind = \"heun\"\ns_min = 2.0\ns_max = 1.0", "sampler.s_max = 1"),
        (
            "kind = \"heun\"\n[grid]\nkind = \"song-compat\"",
            "sampler.grid.kind = song-compat",
        ),
        (
            "kind = \"heun\"\n[grid]\nkind = \"karras\"\nrho = 0.0",
            "sampler.grid.rho = 0",
        ),
        (
            "kind = \"pc\"\n[grid]\nkind = \"custom\"\ntimes = [1.0, 0.5, 0.5, 0.1]",
            "sampler.grid.times = 0.5",
        ),
        (
            "kind = \"pc\"\n[grid]\nkind = \"custom\"\ntimes = [1.0]",
            "sampler.grid.times = 1",
        ),
        (
            "kind = \"pc\"\n[grid]\nkind = \"custom\"\ntimes = [1.0, nan]",
            "sampler.grid.times = NaN",
        ),
        (
            "kind = \"pc\"\n[grid]\nkind = \"custom\"\ntimes = [0.1, 1.0]",
            "sampler.grid.times = 1",
        ),
        (
            "kind = \"pc\"\nt_end = 0.1\n[grid]\nkind = \"custom\"\ntimes = [1.0, 0.2]",
            "sampler.t_end = 0.1",
        ),
    ] {
        let message = refusal(table, &*vp);
        assert!(message.starts_with(&format!("{key}: ")), "{table}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

/// Misspelt names are refused with the list of those that exist.
#[test]
fn unknown_names_list_what_exists() {
    for (table, wanted) in [
        (
            "kind = \"euler-maruyama\"",
            "expected one of `pc`, `ode`, `heun`, ",
        ),
        (
            "kind = \"pc\"\npredictor = \"em\"",
            "`euler-maruyama`, `reverse-diffusion`, `ancestral`, `none`",
        ),
        ("kind = \"pc\"\nstep = 3", "unknown field `step`"),
        (
            "kind = \"ode\"\nmethod = \"rk45\"",
            "`euler`, `heun`, `midpoint`, `rk4`, `bosh3`, `dp5`, `tsit5`",
        ),
        ("kind = \"heun\"\nrtol = 1.0", "unknown field `rtol`"),
        ("kind = \"pc\"\nfinal = \"last\"", "`tweedie`, `mean`, `none`"),
    ] {
        let message = toml::from_str::<solvers::config::SamplerConfig>(table)
            .expect_err(table)
            .to_string();
        assert!(message.contains(wanted), "{table}: {message}");
    }
}
