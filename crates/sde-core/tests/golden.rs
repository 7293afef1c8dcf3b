//! Published and independently computed values (docs/CONVENTIONS.md, golden values), to the digits given.

use sde_core::discrete::Ddpm;
use sde_core::oracle::Gaussian;
use sde_core::schedule::{Cosine, Linear, Schedule};
use sde_core::sde::{Edm, SubVp, Ve, VeKernel, Vp};
use sde_core::{GridConfig, Sde};

/// Half a unit of the last digit written, or 1e-11 relative, whichever is more.
#[track_caller]
fn matches(value: f64, golden: &str) {
    let number: f64 = golden.parse().expect("a number");
    let (mantissa, exponent) = match golden.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().expect("an exponent")),
        None => (golden, 0),
    };
    let decimals = mantissa
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len() as i32);
    let half_unit = 0.5 * 10_f64.powi(exponent - decimals);
    let tolerance = (half_unit * 1.001).max(1e-11 * number.abs());
    assert!(
        (value - number).abs() <= tolerance,
        "{value:.16e} is not {golden}"
    );
}

fn song_sdes() -> (Vp, SubVp, Ve, Ve) {
    (
        Vp::linear(0.1, 20.0).expect("the usual rates"),
        SubVp::linear(0.1, 20.0).expect("the usual rates"),
        Ve::new(0.01, 50.0, VeKernel::Song, Ve::DOMAIN).expect("the usual levels"),
        Ve::new(0.01, 50.0, VeKernel::Exact, Ve::DOMAIN).expect("the usual levels"),
    )
}

#[test]
fn marginals_of_the_song_sdes() {
    // t, VP mean coefficient, VP std, subVP std, subVP g, VP lambda, VE sigma, exact VE std, VE g, VP g
    const TABLE: [[&str; 10]; 8] = [
        [
            "1e-5",
            "0.999999499503",
            "0.00100049712594",
            "1.000994499e-6",
            "0.000447880782366",
            "6.90725777608",
            "0.0100008517556",
            "0.000130521405589",
            "0.0412762502333",
            ".3165422563",
        ],
        [
            "1e-3",
            "0.999945026511",
            "0.0104854163351",
            "0.00010994395572",
            "0.00513450204691",
            "4.55771493273",
            "0.0100855356768",
            "0.00131073639131",
            "0.0416257639354",
            ".3462657939",
        ],
        [
            "0.01",
            "0.999002997338",
            "0.0446431552447",
            "0.0019930113102",
            "0.034505551834",
            "3.1080567814",
            "0.01088904268",
            "0.00430943737475",
            "0.0449420570812",
            ".5468089246",
        ],
        [
            "0.1",
            "0.946721798821",
            "0.322052535525",
            "0.103717835638",
            "0.641137745776",
            "1.07829059294",
            "0.0234367291159",
            "0.0211962324872",
            "0.0967297905498",
            "1.445683229",
        ],
        [
            "0.3",
            "0.629550000336",
            "0.776959971348",
            "0.603666797076",
            "2.26197355268",
            "-0.210383553131",
            "0.128733329355",
            "0.128344341857",
            "0.531317656301",
            "2.463736999",
        ],
        [
            "0.5",
            "0.281182880797",
            "0.959654202068",
            "0.920936187547",
            "3.16024944922",
            "-1.22756773441",
            "0.707106781187",
            "0.707036066973",
            "2.91842306587",
            "3.170173497",
        ],
        [
            "0.9",
            "0.0169964632617",
            "0.999855549685",
            "0.999711120237",
            "4.24381885771",
            "-4.07460553925",
            "21.3340350322",
            "21.3340326886",
            "88.0513970206",
            "4.243819035",
        ],
        [
            "1.0",
            "0.00657158649493",
            "0.999978406892",
            "0.999956814251",
            "4.47213595083",
            "-5.02497840666",
            "50",
            "49.999999",
            "206.363674025",
            "4.472135955",
        ],
    ];
    let (vp, subvp, song, exact) = song_sdes();
    for row in TABLE {
        let t: f64 = row[0].parse().expect("a time");
        matches(vp.marginal(t).mean_coef, row[1]);
        matches(subvp.marginal(t).mean_coef, row[1]);
        matches(vp.marginal(t).std, row[2]);
        matches(subvp.marginal(t).std, row[3]);
        matches(subvp.diffusion(t), row[4]);
        matches(vp.lambda(t), row[5]);
        matches(song.marginal(t).std, row[6]);
        matches(exact.marginal(t).std, row[7]);
        matches(song.diffusion(t), row[8]);
        matches(exact.diffusion(t), row[8]);
        matches(vp.diffusion(t), row[9]);
    }
}

#[test]
fn edm_grid_of_eighteen_levels() {
    const LEVELS: [&str; 18] = [
        "80",
        "57.586",
        "40.7856",
        "28.3746",
        "19.3525",
        "12.9101",
        "8.40094",
        "5.31519",
        "3.25682",
        "1.92334",
        "1.08817",
        ".585348",
        ".296442",
        ".139516",
        ".0599473",
        ".0229345",
        ".00752802",
        ".002",
    ];
    let edm = Edm::new(0.002, 80.0, 0.5).expect("the published values");
    let grid = GridConfig::Karras { rho: 7.0 }
        .build(&edm, 17, 80.0, 0.002)
        .expect("a grid");
    assert_eq!(grid.times().len(), LEVELS.len());
    for (time, level) in grid.times().iter().zip(LEVELS) {
        matches(*time, level);
    }
}

#[test]
fn cosine_schedule() {
    const TABLE: [[&str; 3]; 5] = [
        [".001", ".9999587158", "5.0474944"],
        [".1", ".9720927371", "1.7752821"],
        [".5", ".4938435904", "-.012313441"],
        [".9", ".02409172414", "-1.8507501"],
        [".9946", "7.082122865e-5", "-4.7776405"],
    ];
    let vp = Vp::cosine().expect("the usual cosine");
    for row in TABLE {
        let t: f64 = row[0].parse().expect("a time");
        matches(vp.marginal(t).mean_coef.powi(2), row[1]);
        matches(vp.lambda(t), row[2]);
    }
    let usual = Cosine::new(0.008, -5.1).expect("the usual cosine");
    matches(usual.cap_time(), ".9960879926");
    matches(vp.time_at_lambda(-5.1), ".9960879926");
    // beyond the usual cap, where it is set later
    let late = Cosine::new(0.008, -7.0).expect("a late cap");
    matches((-late.integral(0.999)).exp(), "2.428766907e-6");
}

#[test]
fn discrete_and_continuous_ddpm_differ_at_the_first_rung() {
    let ladder = Ddpm::linear(0.1, 20.0, 1000).expect("the ladder of Ho et al.");
    matches(1.0 - ladder.alpha_bar(0), "1.0e-4");
    let (vp, ..) = song_sdes();
    matches(vp.marginal(1e-3).std.powi(2), "1.0994e-4");
    assert!((ladder.betas()[0] - 1e-4).abs() < 1e-18 && (ladder.betas()[999] - 0.02).abs() < 1e-16);
}

#[test]
fn cosine_ladder_clips_its_last_rung_only() {
    let ladder = Ddpm::cosine(1000, 0.008, 0.999).expect("the cosine ladder");
    assert_eq!(ladder.betas().iter().filter(|beta| **beta >= 0.999).count(), 1);
    matches(ladder.alpha_bar(999), "2.43e-9");
}

/// Data `N(0.7, 0.09)` noised by VE up to 50: the mean is lost, 9.8e-5 nats.
#[test]
fn prior_mismatch_of_ve() {
    let (.., song, _) = song_sdes();
    let data = Gaussian::isotropic(&[0.7], 0.3).expect("a Gaussian");
    matches(data.prior_kl(&song), "9.8e-5");
}

#[test]
fn linear_rates_of_song() {
    let rates = Linear::new(0.1, 20.0).expect("the usual rates");
    matches(rates.rate(0.0), "0.1");
    matches(rates.rate(1.0), "20");
    matches(rates.integral(1.0), "10.05");
}
