//! The stochastic methods on a grid against published code: the same steps from the same noise, for every SDE.

use std::sync::Arc;

use ndarray::Array3;
use sde_core::Sde;
use solvers::{PresetNoise, SolveError, SolveStats};

use crate::common::{batch, oracle, rows, run, sampler, sde, sdes};

/// Kinds of this family on a grid.
pub const KINDS: [&str; 6] = [
    "euler-ancestral",
    "dpm-2-ancestral",
    "dpmpp-2s-ancestral",
    "dpmpp-sde",
    "dpmpp-2m-sde",
    "dpmpp-3m-sde",
];

const SIGMAS: &str = "[grid]\nkind = \"custom\"\nsigmas = [40.0, 20.0, 9.0, 3.5, 1.2, 0.4, 0.1]";

/// Two rows of the mixture from `x/mean_coef = sigma cos(2 + 3 row + 1.7 d)` at the first of [`SIGMAS`], with the normals
/// `1.5 sin(1 + 3 k + 5 row + 7 d)` in draw `k`, after the step to 0.1 and after one more to 0: `x/mean_coef`, computed in double
/// precision with k-diffusion 0.1.1 (PyPI `k-diffusion` 0.1.1.post1, `noise_sampler` replaced by the normals above).
#[rustfmt::skip]
const PUBLISHED: [(&str, [f64; 4], [f64; 4]); 21] = [
    (
        "kind = \"euler-ancestral\"",
        [-0.735017604499, 0.423492399712, -0.538145011841, 0.570971578028],
        [-0.772414625592, 0.452769367015, -0.589521187556, 0.591628166982],
    ),
    (
        "kind = \"euler-ancestral\"\neta = 0.5\ns_noise = 1.003",
        [-0.687683638715, 0.298032847314, -0.318231109436, 0.742211960620],
        [-0.739314490185, 0.349157448167, -0.384783261936, 0.752272947607],
    ),
    (
        "kind = \"euler-ancestral\"\neta = 0.0",
        [-0.719638974131, -0.120707447116, 0.090715213463, 0.861791304236],
        [-0.795627752582, -0.009627242585, -0.014520118407, 0.881870911831],
    ),
    (
        "kind = \"dpm-2-ancestral\"",
        [-0.855232434600, 0.694915355017, -1.496409309045, 0.702128664411],
        [-0.859669344242, 0.675723043150, -1.422377861701, 0.638541342063],
    ),
    (
        "kind = \"dpm-2-ancestral\"\neta = 0.5\ns_noise = 1.003",
        [-0.820906564743, 0.228177962045, -0.260061249502, 0.971885236813],
        [-0.861054552438, 0.280684847542, -0.318169436988, 0.951736042468],
    ),
    (
        "kind = \"dpm-2-ancestral\"\neta = 0.0",
        [-1.034793023082, -0.032775505483, 0.751473164732, 1.108512706867],
        [-1.066559672841, 0.044069596898, 0.811292800324, 1.098585974891],
    ),
    (
        "kind = \"dpmpp-2s-ancestral\"",
        [-0.733461257034, 0.435663105690, -0.708632328435, 0.593633439228],
        [-0.770225218631, 0.463236072610, -0.737742353407, 0.599401959854],
    ),
    (
        "kind = \"dpmpp-2s-ancestral\"\neta = 0.5\ns_noise = 1.003",
        [-0.757997165693, 0.271794991578, -0.229285384579, 0.853862006562],
        [-0.802849200062, 0.322068900166, -0.299111047658, 0.853336258986],
    ),
    (
        "kind = \"dpmpp-2s-ancestral\"\neta = 0.0",
        [-0.886016118007, -0.070695120972, 0.599856324173, 1.015055222698],
        [-0.938437943029, 0.021834864945, 0.687096915828, 1.018657426832],
    ),
    (
        "kind = \"dpmpp-sde\"",
        [-0.712213041155, -0.222424789675, 1.244074569804, 0.913119532691],
        [-0.794778260928, -0.098673684733, 1.232948618514, 0.901850502958],
    ),
    (
        "kind = \"dpmpp-sde\"\neta = 0.5\ns_noise = 1.003",
        [-0.457973817108, -1.367494239375, 1.505723628937, 1.044305175023],
        [-0.431403635341, -1.313995391500, 1.448317254531, 1.012264844390],
    ),
    (
        "kind = \"dpmpp-sde\"\neta = 0.0",
        [-0.886016118007, -0.070695120972, 0.599856324173, 1.015055222698],
        [-0.938437943029, 0.021834864945, 0.687096915828, 1.018657426832],
    ),
    (
        "kind = \"dpmpp-sde\"\nr = 0.3333333333333333",
        [-0.989630062105, 0.300622622951, 1.119599604039, 0.822221131355],
        [-1.004362715157, 0.330960472075, 1.131533040027, 0.823265683420],
    ),
    (
        "kind = \"dpmpp-2m-sde\"",
        [-1.074449867550, 0.631140624594, -0.852323450667, 0.708863528299],
        [-1.056534300916, 0.606616351509, -0.856171711512, 0.687794392291],
    ),
    (
        "kind = \"dpmpp-2m-sde\"\neta = 0.5\ns_noise = 1.003",
        [-0.998293598395, 0.600524963747, -0.799275058564, 0.725358786068],
        [-0.991708906445, 0.585697361136, -0.808460606437, 0.705422003101],
    ),
    (
        "kind = \"dpmpp-2m-sde\"\neta = 0.0",
        [-0.885118876148, -0.252270737113, 0.424107161611, 1.055646521627],
        [-0.949554103537, -0.133631506857, 0.534718585328, 1.062295589204],
    ),
    (
        "kind = \"dpmpp-2m-sde\"\nsolver = \"heun\"",
        [-1.230387248598, 0.695858206755, -0.941995469781, 0.771250510828],
        [-1.189133515204, 0.651177443007, -0.930722337589, 0.734848713963],
    ),
    (
        "kind = \"dpmpp-2m-sde\"\neta = 0.0\nsolver = \"heun\"",
        [-0.920965074953, -0.288303326868, 0.517532878855, 1.102013740387],
        [-0.983154678450, -0.167536850887, 0.614363591942, 1.101218561280],
    ),
    (
        "kind = \"dpmpp-3m-sde\"",
        [-1.564709826990, 0.904651381211, -1.001012403610, 0.906156983049],
        [-1.468687592544, 0.806344430829, -0.973446234046, 0.845713890731],
    ),
    (
        "kind = \"dpmpp-3m-sde\"\neta = 0.5\ns_noise = 1.003",
        [-1.346563366844, 0.865630097031, -1.065698807596, 0.850757832154],
        [-1.279709031888, 0.787863233496, -1.034008558553, 0.794179045780],
    ),
    (
        "kind = \"dpmpp-3m-sde\"\neta = 0.0",
        [-0.955551637293, -0.319076680732, 0.813706357266, 1.177625117907],
        [-1.015193739684, -0.197119759294, 0.861132104345, 1.159521588950],
    ),
];

pub fn preset(draws: usize) -> PresetNoise {
    let z = Array3::from_shape_fn((draws, 2, 2), |(k, row, d)| {
        1.5 * (1.0 + 3.0 * k as f64 + 5.0 * row as f64 + 7.0 * d as f64).sin()
    });
    PresetNoise::new(Arc::new(z), 0)
}

/// End of the run from the published start, as `x/mean_coef` of the end time unless the last step goes to the data.
fn from_preset(sde: &Arc<dyn Sde>, table: &str, draws: usize) -> Result<(Vec<f64>, SolveStats), SolveError> {
    let sampler = sampler(table, &**sde);
    let start = sde.marginal(sampler.t_start());
    let mut x = batch(2, 2, |row, d| {
        start.std * (2.0 + 3.0 * row as f64 + 1.7 * d as f64).cos()
    });
    let stats = run(&*sampler, &**sde, &oracle(sde), &preset(draws), &mut x)?;
    Ok((rows(&x).concat(), stats))
}

fn close(got: &[f64], want: &[f64], scale: f64) -> bool {
    got.iter()
        .zip(want)
        .all(|(got, want)| (got * scale - want).abs() < 1e-9)
}

/// Every kind reproduces the published steps for every SDE, with as many draws as published and no more: in `sigma` they are one
/// method.
#[test]
fn published_steps_with_preset_noise() {
    for (name, sde) in sdes() {
        let end = sde.marginal(sde.time_at_sigma(0.1)).mean_coef;
        for (table, at_level, at_data) in &PUBLISHED {
            let draws = match () {
                () if table.contains("eta = 0.0") => 0,
                () if table.contains("dpmpp-sde") => 12,
                () => 6,
            };
            let per_step = if ["dpm-2", "2s", "dpmpp-sde"]
                .iter()
                .any(|kind| table.contains(kind))
            {
                2
            } else {
                1
            };
            for (ending, want, scale, more) in
                [("none", at_level, 1.0 / end, 0), ("tweedie", at_data, 1.0, 1)]
            {
                let table = format!("{table}\nfinal = \"{ending}\"\n{SIGMAS}");
                let (x, stats) = from_preset(&sde, &table, draws).expect("the draws suffice");
                assert!(
                    close(&x, want, scale),
                    "{name} {table}: {x:?} for {want:?}, scale {scale}"
                );
                assert_eq!(stats.nfe, 6 * per_step + more, "{name} {table}");
                if draws > 0 {
                    let error = from_preset(&sde, &table, draws - 1).expect_err("one draw is missing");
                    assert_eq!(
                        error,
                        SolveError::NoiseExhausted {
                            have: draws - 1,
                            asked: draws - 1
                        }
                    );
                }
            }
        }
    }
}

/// `n` noise levels and 0 there are `n - 1` steps and the final Tweedie step here; the grid of Karras et al. for 0.002 to 80.
#[test]
fn published_counting_of_noise_levels() {
    let edm = sde("kind = \"edm\"");
    for (kind, want, draws) in [
        (
            "euler-ancestral",
            [
                -0.5504608450049675,
                0.24132771985480533,
                -0.5268435874199843,
                0.537053362236308,
            ],
            6,
        ),
        (
            "dpmpp-2m-sde",
            [
                -0.7481713121682084,
                0.32439562517106646,
                -1.1264273200541648,
                0.7615542799512615,
            ],
            6,
        ),
        (
            "dpmpp-sde",
            [
                -0.8875251657461581,
                0.2595219615693781,
                0.7514972765192116,
                0.7476863897483041,
            ],
            12,
        ),
    ] {
        let (x, _) =
            from_preset(&edm, &format!("kind = \"{kind}\"\nsteps = 6"), draws).expect("the draws suffice");
        assert!(close(&x, &want, 1.0), "{kind}: {x:?} for {want:?}");
    }
}

/// A grid that ends without noise: the last step returns the posterior mean, as the final Tweedie step does, and draws nothing.
#[test]
fn a_grid_may_end_without_noise() {
    let sigmas = SIGMAS.replace("0.1]", "0.1, 0.0]");
    for (name, sde) in [("vp", sde("kind = \"vp\"")), ("edm", sde("kind = \"edm\""))] {
        for (table, _, want) in &PUBLISHED {
            for ending in ["none", "mean", "tweedie"] {
                let table = format!("{table}\nfinal = \"{ending}\"\n{sigmas}");
                let draws = if table.contains("dpmpp-sde") { 12 } else { 6 };
                let (x, _) = from_preset(&sde, &table, draws).expect("the draws suffice");
                assert!(close(&x, want, 1.0), "{name} {table}: {x:?} for {want:?}");
            }
        }
    }
}
