//! Times of a run, evenly spread over batches and steps.

use std::sync::Arc;

use sde_core::{SdeConfig, TimeDensityConfig};
use tch::Device;
use train::loss::DrawSource;

const BATCH: u64 = 64;

/// The uniforms behind the times of some steps.
fn uniforms(stratified: bool, low_discrepancy: bool, steps: std::ops::Range<u64>) -> Vec<f64> {
    let sde = toml::from_str::<SdeConfig>("kind = 'vp'").expect("a process");
    let sde = sde.build().expect("usual values");
    let domain = sde.domain();
    let source = DrawSource {
        seed: 4,
        density: TimeDensityConfig::Uniform {}
            .build(Arc::clone(&sde))
            .expect("a density"),
        stratified,
        low_discrepancy,
    };
    let of_step = |step| {
        source
            .draw(step, 0, BATCH as usize, BATCH, &[1], Device::Cpu)
            .times
    };
    let to_unit = |t: f64| (t - domain.train_eps) / (domain.t_end - domain.train_eps);
    steps.flat_map(of_step).map(to_unit).collect()
}

/// Star discrepancy times the number of points: the largest difference between how many points lie below a bound and should.
fn spread(mut points: Vec<f64>) -> f64 {
    points.sort_by(f64::total_cmp);
    let n = points.len() as f64;
    let each = points.iter().enumerate();
    each.map(|(i, u)| (n * u - i as f64).max((i + 1) as f64 - n * u))
        .fold(0.0, f64::max)
}

/// The golden-ratio sequence stays within `3 + 2.1 ln n` points of an even spread after any number of steps, from whichever step a
/// run goes on (Kuipers and Niederreiter 1974, chapter 2, theorem 3.4), and so does its combination with strata; independent times stray by
/// the root of `n`.
#[test]
fn low_discrepancy_spreads_over_steps() {
    for first in [0, 1000, 1 << 40] {
        let n = (64 * BATCH) as f64;
        let bound = 3.0 + 2.1 * n.ln();
        for stratified in [false, true] {
            let spread = spread(uniforms(stratified, true, first..first + 64));
            assert!(spread < bound, "stratified {stratified} from {first}: {spread}");
        }
        let independent = spread(uniforms(false, false, first..first + 64));
        assert!(independent > bound, "{independent}");
        // Strata alone: every batch is even, all together stray by the root of the number of steps.
        for stratified in uniforms(true, true, first..first + 8).chunks(BATCH as usize) {
            assert!(spread(stratified.to_vec()) < 1.0 + 1e-6);
        }
    }
}

/// Each batch of the sequence is nearly as even as strata: no gap longer than two rows' share.
#[test]
fn low_discrepancy_spreads_within_a_batch() {
    for batch in uniforms(false, true, 0..50).chunks(BATCH as usize) {
        let mut points = batch.to_vec();
        points.sort_by(f64::total_cmp);
        let around = points[0] + 1.0 - points[points.len() - 1];
        let gaps = points.windows(2).map(|two| two[1] - two[0]);
        let longest = gaps.fold(around, f64::max);
        assert!(longest < 2.0 / BATCH as f64, "{longest}");
    }
}

/// Over seeds and steps each time is uniform: chi-square of 16 cells, for a single slot, mean 15 and five standard deviations.
#[test]
fn each_slot_is_uniform() {
    let sde = toml::from_str::<SdeConfig>("kind = 've'")
        .expect("a process")
        .build()
        .expect("usual values");
    let density = TimeDensityConfig::Uniform {}
        .build(Arc::clone(&sde))
        .expect("a density");
    for (stratified, low_discrepancy) in [(true, false), (false, true), (true, true)] {
        let mut cells = [0_u32; 16];
        for seed in 0..3200 {
            let source = DrawSource {
                seed,
                density: density.clone(),
                stratified,
                low_discrepancy,
            };
            let t = source.draw(5, 3, 1, BATCH, &[1], Device::Cpu).times[0];
            cells[((t * 16.0) as usize).min(15)] += 1;
        }
        let chi_square: f64 = cells
            .iter()
            .map(|n| (f64::from(*n) - 200.0).powi(2) / 200.0)
            .sum();
        assert!(
            chi_square < 15.0 + 5.0 * 30.0_f64.sqrt(),
            "{stratified} {low_discrepancy}: {chi_square}"
        );
    }
}
