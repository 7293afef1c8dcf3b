//! Bits per dimension and dequantisation.

use ndarray::{Array2, array, s};
use solvers::likelihood::{BitsPerDim, Quantisation};

fn bytes() -> Quantisation {
    Quantisation::new(256, 0.0, 1.0).expect("valid")
}

/// Offsets 8 for bytes in [0, 1] and 7 in [-1, 1]; a uniform density over the range costs `log2(levels)` bits in any scaling.
#[test]
fn offsets() {
    assert_eq!(bytes().offset_bits(), 8.0);
    assert_eq!(
        Quantisation::new(256, -1.0, 1.0).expect("valid").offset_bits(),
        7.0
    );
    for (levels, low, high) in [(256, 0.0, 1.0), (256, -1.0, 1.0), (17, 0.0, 16.0), (2, -3.0, 5.0)] {
        let quantisation = Quantisation::new(levels, low, high).expect("valid");
        let (dim, uniform) = (12, -12.0 * (high - low).ln());
        let bits = quantisation.bits_per_dim(uniform, dim, 1e-5).expect("12 values");
        assert!(
            (bits.value() - f64::from(levels).log2()).abs() < 1e-12,
            "{bits:?}"
        );
        assert_eq!((bits.t(), bits.quantisation()), (1e-5, quantisation));
    }
}

#[test]
fn refusals() {
    for (levels, low, high, key) in [
        (0, 0.0, 1.0, "quantisation.levels = 0: "),
        (1, 0.0, 1.0, "quantisation.levels = 1: "),
        (256, 1.0, 1.0, "quantisation.range = [1, 1]: "),
        (256, 1.0, -1.0, "quantisation.range = [1, -1]: "),
        (256, f64::NAN, 1.0, "quantisation.range = [NaN, 1]: "),
        (256, 0.0, f64::INFINITY, "quantisation.range = [0, inf]: "),
        (256, -1e308, 1e308, "quantisation.range = "),
    ] {
        let error = Quantisation::new(levels, low, high).expect_err(key).to_string();
        assert!(error.starts_with(key), "{error}");
    }
    assert!(bytes().bits_per_dim(1.0, 0, 1e-5).is_err());
    for (value, place) in [
        (0.5, "row 7, position 1"),
        (f64::NAN, "row 7, position 1"),
        (1.1, "1.1"),
        (-0.1, "256"),
    ] {
        let data = array![[0.0, 1.0], [1.0 / 255.0, value]];
        let error = bytes()
            .dequantise(data.view(), 0, 0, 6)
            .expect_err("no level")
            .to_string();
        assert!(
            error.contains(place) && error.contains("256 levels from 0 to 1"),
            "{error}"
        );
    }
}

/// `(255 x + u)/256` for bytes in [0, 1]: inside its own level, uniform there, by address.
#[test]
fn dequantisation() {
    let data = Array2::from_shape_fn((400, 25), |(row, d)| {
        f64::from(((row * 25 + d) % 256) as u32) / 255.0
    });
    let noisy = bytes().dequantise(data.view(), 3, 0, 0).expect("bytes");
    let mut u: Vec<f64> = data
        .iter()
        .zip(&noisy)
        .map(|(x, y)| 256.0 * y - 255.0 * x)
        .collect();
    assert!(u.iter().all(|u| *u > 0.0 && *u < 1.0));
    // Kolmogorov's distance of 10,000 values: 1.95/sqrt(n) is exceeded with chance 1e-3.
    u.sort_by(f64::total_cmp);
    let n = u.len() as f64;
    let distance = u.iter().enumerate().fold(0.0_f64, |worst, (i, u)| {
        worst.max((u - (i as f64 + 0.5) / n).abs())
    });
    assert!(distance * n.sqrt() < 1.95, "{distance}");
    // Neighbours are independent: correlation below 4 standard errors.
    let of = |row: usize, d: usize| 256.0 * noisy[[row, d]] - 255.0 * data[[row, d]] - 0.5;
    let pairs: f64 = (0..400)
        .flat_map(|row| (0..24).map(move |d| of(row, d) * of(row, d + 1)))
        .sum();
    assert!((12.0 * pairs / 9600.0).abs() < 4.0 / 9600f64.sqrt(), "{pairs}");

    let part = bytes()
        .dequantise(data.slice(s![100..150, ..]), 3, 0, 100)
        .expect("bytes");
    assert_eq!(part, noisy.slice(s![100..150, ..]), "rows are addressed");
    for (seed, repeat) in [(3, 1), (4, 0)] {
        let other = bytes().dequantise(data.view(), seed, repeat, 0).expect("bytes");
        assert!(other.iter().zip(&noisy).all(|(a, b)| a != b));
    }
    // In [-1, 1] the same draws, scaled.
    let wide = Quantisation::new(256, -1.0, 1.0).expect("valid");
    let other = wide
        .dequantise(data.mapv(|x| 2.0 * x - 1.0).view(), 3, 0, 0)
        .expect("bytes");
    assert!(
        other
            .iter()
            .zip(&noisy)
            .all(|(a, b)| (a - (2.0 * b - 1.0)).abs() < 1e-14)
    );
}

/// Mean and standard error; densities of different times or quantisations are never mixed.
#[test]
fn averages() {
    let bits = |nats: f64, t| bytes().bits_per_dim(nats, 2, t).expect("two values");
    let values = [bits(-1.0, 1e-5), bits(-2.0, 1e-5), bits(-6.0, 1e-5)];
    let average = BitsPerDim::average(&values).expect("alike");
    let ln4 = 4f64.ln();
    assert!((average.mean.value() - (8.0 + 3.0 / ln4)).abs() < 1e-14);
    // Sample variance of 1, 2, 6 is 7.
    assert!((average.std_error.expect("three") - (7.0 / 3.0_f64).sqrt() / ln4).abs() < 1e-14);
    assert_eq!(average.count, 3);
    assert_eq!(BitsPerDim::average(&values[..1]).expect("one").std_error, None);
    let other_time = [values[0], bits(-1.0, 1e-3)];
    let error = BitsPerDim::average(&other_time).expect_err("mixed").to_string();
    assert!(error.contains("t = 0.00001 and t = 0.001"), "{error}");
    let wide = Quantisation::new(256, -1.0, 1.0).expect("valid");
    let other = [values[0], wide.bits_per_dim(-1.0, 2, 1e-5).expect("two values")];
    assert!(
        BitsPerDim::average(&other)
            .expect_err("mixed")
            .to_string()
            .contains("quantisations")
    );
    assert!(BitsPerDim::average(&[]).is_err());
}

/// The whole way: whole numbers, dequantised with repeats, under the density that is known to be theirs. Data: levels drawn by the
/// probabilities that a Gaussian gives them; then the mean of the bits over `u` is at least the entropy of the levels, and close to it
/// where levels are narrow against the Gaussian.
#[test]
fn bits_of_known_data_are_near_their_entropy() {
    let (levels, std) = (64_u32, 0.15_f64);
    let quantisation = Quantisation::new(levels, 0.0, 1.0).expect("valid");
    let density = |y: f64| -0.5 * ((y - 0.5) / std).powi(2) - (std * std::f64::consts::TAU.sqrt()).ln();
    // Probabilities of the levels by the midpoint rule, fine enough for ten digits.
    let mass = |k: u32| {
        let n = 2000;
        let at = |i: i32| (f64::from(k) + (f64::from(i) + 0.5) / f64::from(n)) / f64::from(levels);
        (0..n).map(|i| density(at(i)).exp()).sum::<f64>() / f64::from(n) / f64::from(levels)
    };
    let masses: Vec<f64> = (0..levels).map(mass).collect();
    let entropy: f64 = masses.iter().map(|p| -p * p.log2()).sum();
    let rows = 4000;
    let uniforms = |row: usize| {
        solvers::noise::uniform_at(
            17,
            solvers::Draw {
                step: 9,
                purpose: solvers::Purpose::Training,
            },
            row as u64,
            1,
        )
    };
    let data = Array2::from_shape_fn((rows, 1), |(row, _)| {
        let (mut u, mut k) = (uniforms(row), 0);
        while k + 1 < levels && u > masses[k as usize] {
            u -= masses[k as usize];
            k += 1;
        }
        f64::from(k) / f64::from(levels - 1)
    });
    let repeats: Vec<BitsPerDim> = (0..5)
        .map(|repeat| {
            let noisy = quantisation
                .dequantise(data.view(), 2, repeat, 0)
                .expect("levels");
            let bits: Vec<BitsPerDim> = noisy
                .iter()
                .map(|y| {
                    quantisation
                        .bits_per_dim(density(*y), 1, 1e-5)
                        .expect("one value")
                })
                .collect();
            let over_rows = BitsPerDim::average(&bits).expect("alike");
            assert!((over_rows.mean.value() - entropy).abs() < 4.0 * over_rows.std_error.expect("many"));
            over_rows.mean
        })
        .collect();
    let average = BitsPerDim::average(&repeats).expect("alike");
    let error = average.std_error.expect("five");
    println!(
        "bits {:.5} +- {error:.5} over dequantisation, entropy {entropy:.5}",
        average.mean.value()
    );
    assert!(error < 2e-3, "{error}");
}
