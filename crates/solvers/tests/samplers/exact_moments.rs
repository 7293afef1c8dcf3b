//! On Gaussian data every sampler of the first slice with a fixed grid is an affine map of its start and its noise. Feeding it
//! the basis (start 0 and 1 without noise, start 0 with one unit normal at each draw) reads the map from the real code, and with
//! it the exact mean and variance of its samples: no Monte Carlo.

use solvers::{Draw, NoiseSource, Purpose, SolveError};

use crate::common::{Batch, batch, rows, run, sampler, sde};
use crate::gaussian::GaussianScore;

/// Row 0 starts at 0, row 1 at 1, row `2 + k` at 0 with a unit normal at predictor step `k`.
struct Basis;

impl NoiseSource<Batch> for Basis {
    fn normal(&self, draw: Draw, out: &mut Batch) -> Result<(), SolveError> {
        assert_eq!(draw.purpose, Purpose::Predictor);
        out.plane_mut(0).fill(0.0);
        out.plane_mut(0)[2 + draw.step as usize] = 1.0;
        Ok(())
    }
}

/// Mean and standard deviation of the samples, exact up to rounding.
pub fn moments(sde_table: &str, sampler_table: &str, steps: usize) -> (f64, f64) {
    let sde = sde(sde_table);
    let score = GaussianScore {
        sde: sde.clone(),
        mean: 0.7,
        var: 0.09,
    };
    let table = format!(
        "{}\nsteps = {steps}",
        sampler_table.split(" # ").next().unwrap_or_default()
    );
    let grid = sampler_table.split(" # ").nth(1).unwrap_or_default();
    let sampler = sampler(&format!("{table}\n{grid}"), &*sde);
    let mut x = batch(steps + 2, 1, |row, _| f64::from(u8::from(row == 1)));
    run(&*sampler, &*sde, &score, &Basis, &mut x).expect("the problem is regular");
    let images: Vec<f64> = rows(&x).into_iter().map(|row| row[0]).collect();
    let from_start = (images[1] - images[0]) * sde.prior_std();
    let from_noise: f64 = images[2..].iter().map(|image| (image - images[0]).powi(2)).sum();
    (images[0], (from_start * from_start + from_noise).sqrt())
}

/// The table of the conventions, section 2.3: data `N(0.7, 0.3^2)`, mean and standard deviation of the samples for three numbers
/// of steps. The values were computed independently.
#[test]
fn affine_samplers_have_the_published_moments() {
    const SONG: &str = "# [grid]\nkind = \"song-compat\"";
    const UNIFORM: &str = "# [grid]\nkind = \"uniform\"";
    let em = "kind = \"pc\"\npredictor = \"euler-maruyama\"";
    let rd = "kind = \"pc\"\npredictor = \"reverse-diffusion\"";
    let euler = "kind = \"ode\"\nmethod = \"euler\"";
    let (vp, subvp, ve) = ("kind = \"vp\"", "kind = \"subvp\"", "kind = \"ve\"");
    let table = [
        (
            "VP EM, Song, mean",
            vp,
            em,
            SONG,
            [(0.7136, 0.3128), (0.7028, 0.3002), (0.7003, 0.3000)],
        ),
        (
            "VP EM, true, Tweedie",
            vp,
            em,
            UNIFORM,
            [(0.7151, 0.3276), (0.7031, 0.3027), (0.7003, 0.3001)],
        ),
        (
            "VP reverse diffusion, Song",
            vp,
            rd,
            SONG,
            [(0.7172, 0.3139), (0.7036, 0.3005), (0.7004, 0.3001)],
        ),
        (
            "VP Euler flow, Tweedie",
            vp,
            euler,
            UNIFORM,
            [(0.7116, 0.2797), (0.7012, 0.2953), (0.6989, 0.2994)],
        ),
        (
            "subVP EM, true, Tweedie",
            subvp,
            em,
            UNIFORM,
            [(0.7238, 0.3160), (0.7049, 0.3023), (0.7005, 0.3002)],
        ),
        (
            "subVP Euler flow, Tweedie",
            subvp,
            euler,
            UNIFORM,
            [(0.7175, 0.2685), (0.7024, 0.2942), (0.6990, 0.2994)],
        ),
        (
            "VE EM, true, Tweedie",
            ve,
            em,
            UNIFORM,
            [(0.7000, 0.3085), (0.7000, 0.3002), (0.7000, 0.2998)],
        ),
        (
            "VE reverse diffusion, Song",
            ve,
            rd,
            SONG,
            [(0.7000, 0.3816), (0.7000, 0.3132), (0.7000, 0.3011)],
        ),
        (
            "VE Euler flow, Tweedie",
            ve,
            euler,
            UNIFORM,
            [(0.6992, 0.0578), (0.6967, 0.2330), (0.6959, 0.2927)],
        ),
    ];
    println!(
        "{:28}{:>16}{:>16}{:>16}",
        "mean / std", "N = 20", "N = 100", "N = 1000"
    );
    let mut wrong = Vec::new();
    for (name, sde, method, grid, expected) in table {
        let got = [20, 100, 1000].map(|steps| moments(sde, &format!("{method} {grid}"), steps));
        let cells: String = got
            .iter()
            .map(|(m, s)| format!("{:>16}", format!("{m:.4} / {s:.4}")))
            .collect();
        println!("{name:28}{cells}");
        for (got, want) in got.iter().zip(expected) {
            if (got.0 - want.0).abs() > 1e-4 || (got.1 - want.1).abs() > 1e-4 {
                wrong.push(format!("{name}: {got:?} for {want:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `eta = 0` of both predictors is a discretisation of the probability flow; for Euler-Maruyama it is Euler's method, bit by bit
/// up to the rounding of the coefficients.
#[test]
fn euler_maruyama_without_noise_is_euler() {
    for kind in ["vp", "subvp", "ve"] {
        let sde_table = format!("kind = \"{kind}\"");
        let grid = "# [grid]\nkind = \"uniform\"";
        let pc = moments(&sde_table, &format!("kind = \"pc\"\neta = 0.0 {grid}"), 50);
        let ode = moments(
            &sde_table,
            &format!("kind = \"ode\"\nmethod = \"euler\" {grid}"),
            50,
        );
        assert!(
            (pc.0 - ode.0).abs() < 1e-12 && (pc.1 - ode.1).abs() < 1e-12,
            "{kind}: {pc:?} {ode:?}"
        );
    }
}

/// The marginals of the family do not depend on eta: at 1000 steps the moments agree with the data's to the bias of first
/// order, which for reverse diffusion at eta = 0 is 0.0045.
#[test]
fn eta_leaves_the_marginals_alone() {
    for (predictor, bias) in [("euler-maruyama", 1e-3), ("reverse-diffusion", 5e-3)] {
        for eta in [0.0, 0.5, 1.0] {
            let table = format!(
                "kind = \"pc\"\npredictor = \"{predictor}\"\neta = {eta:?} # [grid]\nkind = \"uniform\""
            );
            let (mean, std) = moments("kind = \"vp\"", &table, 1000);
            // 0.0011 of the mean is the mismatch of the prior, which only the flow keeps in full.
            assert!(
                (mean - 0.7).abs() < 1.5e-3 && (std - 0.3).abs() < bias,
                "{predictor} {eta}: {mean} {std}"
            );
        }
    }
}

/// The ancestral chain on Gaussian data: mean and standard deviation converge at order one.
#[test]
fn ancestral_converges() {
    for (kind, grid) in [("vp", "uniform"), ("ve", "uniform"), ("edm", "karras")] {
        let table = format!("kind = \"pc\"\npredictor = \"ancestral\" # [grid]\nkind = \"{grid}\"");
        let error = |steps| {
            let (mean, std) = moments(&format!("kind = \"{kind}\""), &table, steps);
            (mean - 0.7).abs() + (std - 0.3).abs()
        };
        let (coarse, fine) = (error(100), error(800));
        assert!(coarse < 0.05 && fine < 0.3 * coarse, "{kind}: {coarse} {fine}");
    }
}
