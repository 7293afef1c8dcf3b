//! Pinned costs: evaluations, steps and rejections.

use solvers::StopReason;

use crate::common::{oracle, prior, run, sampler, samples, sde, seeded};
use crate::gaussian::GaussianScore;

fn nfe(kind: &str, table: &str) -> u64 {
    let sde = sde(&format!("kind = \"{kind}\""));
    let (_, stats) = samples(table, &*sde, &oracle(&sde), 1, 3, 2);
    assert_eq!(stats.row_evaluations, 3 * stats.nfe, "{table}");
    assert_eq!(stats.stop, StopReason::Finished);
    assert_eq!(stats.rejected, 0);
    stats.nfe
}

#[test]
fn evaluations_of_fixed_grids() {
    let n = 12;
    for (table, expected) in [
        ("kind = \"pc\"", n + 1),
        ("kind = \"pc\"\nfinal = \"mean\"", n),
        ("kind = \"pc\"\nfinal = \"none\"", n),
        ("kind = \"pc\"\ncorrector = \"langevin\"", 2 * n + 1),
        (
            "kind = \"pc\"\ncorrector = \"batch-langevin\"\ncorrector_steps = 3",
            4 * n + 1,
        ),
        ("kind = \"pc\"\npredictor = \"none\"\ncorrector = \"ald\"", n + 2),
        ("kind = \"langevin\"\ncorrector_steps = 4", 4 * (n + 1) + 1),
        ("kind = \"ode\"\nmethod = \"euler\"", n + 1),
        ("kind = \"ode\"\nmethod = \"heun\"", 2 * n + 1),
        ("kind = \"ode\"\nmethod = \"midpoint\"\nfinal = \"mean\"", 2 * n),
        ("kind = \"ode\"\nmethod = \"rk4\"\nfinal = \"none\"", 4 * n),
        ("kind = \"ode\"\nmethod = \"bosh3\"", 3 * n + 1),
        ("kind = \"ode\"\nmethod = \"dp5\"", 6 * n + 1),
        ("kind = \"ode\"\nmethod = \"tsit5\"\nfinal = \"none\"", 6 * n),
        ("kind = \"heun\"", 2 * n + 1),
        ("kind = \"heun\"\ns_churn = 5.0", 2 * n + 1),
        ("kind = \"heun\"\nfinal = \"none\"", 2 * n),
    ] {
        for kind in ["vp", "subvp", "ve", "edm"] {
            assert_eq!(
                nfe(kind, &format!("{table}\nsteps = {n}")),
                expected,
                "{kind} {table}"
            );
        }
    }
    // The published example: 18 noise levels and 0 are 35 evaluations.
    assert_eq!(nfe("edm", "kind = \"heun\"\nsteps = 17"), 35);
    // The reference code's grid ends without noise: nothing to evaluate for the mean or at time 0.
    for last in ["mean", "tweedie"] {
        let table = format!("kind = \"pc\"\nsteps = {n}\nfinal = \"{last}\"\n[grid]\nkind = \"song-compat\"");
        assert_eq!(nfe("vp", &table), n, "{last}");
    }
}

/// The counts of the adaptive method on one Gaussian trajectory per row; they change only if the method does.
#[test]
fn evaluations_of_the_adaptive_method() {
    let sde = sde("kind = \"vp\"");
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var: 0.09,
    };
    let mut counts = Vec::new();
    for tolerance in ["1e-3", "1e-5", "1e-7"] {
        let table = format!("kind = \"ode\"\nrtol = {tolerance}\natol = {tolerance}\nfinal = \"none\"");
        let sampler = sampler(&table, &*sde);
        let noise = seeded(2);
        let mut x = prior(&*sampler, &*sde, &noise, 16, 1);
        let stats = run(&*sampler, &*sde, &score, &noise, &mut x).expect("the problem is regular");
        assert_eq!((stats.nfe - 2) % 6, 0);
        assert_eq!(stats.row_evaluations % 2, 0);
        counts.push((stats.nfe, stats.steps, stats.rejected));
    }
    println!("dp5 on 16 rows: (evaluations, steps, rejected) {counts:?}");
    assert_eq!(counts, PINNED);
}

const PINNED: [(u64, u64, u64); 3] = [(38, 4, 23), (80, 8, 34), (140, 17, 72)];
