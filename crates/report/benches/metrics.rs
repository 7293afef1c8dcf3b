//! Time and memory of the metrics: each alone on fewer rows, then all of them with their floors, which is to take under a minute
//! and 4 GB for 10,000 samples against 10,000 rows of 784 values on two cores.
//!
//! ```text
//! cargo bench -p report -- [ROWS, 10000] [VALUES a row, 784] [THREADS, all]
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use report::metrics::{
    Options, Order, Reference, autocorrelation_distance, c2st_accuracy, density_coverage, energy_distance,
    evaluate, frechet_distance, median_distance, mmd_rbf, one_nn_accuracy, polynomial_mmd, precision_recall,
    sliced_wasserstein, spectrum_distance,
};

/// Rows of pictures of a sort: a few smooth bumps in the middle, grey levels of bytes, many zeros around.
fn pictures(rows: usize, values: usize, seed: u64, blur: f64) -> Array2<f32> {
    let mut state = seed;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let side = (values as f64).sqrt().ceil().max(1.0);
    let mut out = Array2::zeros((rows, values));
    for mut row in out.rows_mut() {
        let bumps: Vec<[f64; 3]> = (0..4)
            .map(|_| [0.2 + 0.6 * uniform(), 0.2 + 0.6 * uniform(), 0.5 + uniform()])
            .collect();
        for (index, value) in row.iter_mut().enumerate() {
            let (x, y) = ((index as f64 % side) / side, (index as f64 / side).floor() / side);
            let grey: f64 = bumps
                .iter()
                .map(|[a, b, height]| height * (-((x - a).powi(2) + (y - b).powi(2)) / blur).exp())
                .sum();
            *value = ((255.0 * (grey + 0.03 * uniform() - 0.03).clamp(0.0, 1.0)).round() / 255.0) as f32;
        }
    }
    out
}

fn timed<R>(name: &str, metric: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = metric();
    println!("{name:28} {:8.3} s", start.elapsed().as_secs_f64());
    result
}

fn alone(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Result<(), Box<dyn Error>> {
    println!(
        "\neach alone, {} against {} rows of {}",
        x.nrows(),
        y.nrows(),
        x.ncols()
    );
    let bandwidth = timed("median distance", || median_distance(y))?;
    timed("energy distance, directly", || energy_distance(x, y))?;
    timed("1-NN test, directly", || one_nn_accuracy(x, y))?;
    timed("MMD, Gaussian kernel", || mmd_rbf(x, y, bandwidth))?;
    timed("MMD, cubic kernel", || polynomial_mmd(x, y, 1000))?;
    timed("precision and recall", || precision_recall(x, y, 3))?;
    timed("density and coverage", || density_coverage(x, y, 5))?;
    timed("sliced Wasserstein, 256", || {
        sliced_wasserstein(x, y, Order::Two, 256, 0)
    })?;
    timed("classifier test", || c2st_accuracy(x, y, 0))?;
    timed("Fréchet distance", || frechet_distance(x, y))?;
    timed("spectrum", || spectrum_distance(x, y, 1))?;
    timed("autocorrelation", || autocorrelation_distance(x, y, 1))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let numbers: Result<Vec<usize>, _> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .map(|arg| arg.parse())
        .collect();
    let numbers = numbers?;
    let number = |index: usize, default: usize| numbers.get(index).copied().unwrap_or(default);
    let (rows, values) = (number(0, 10_000), number(1, 784));
    let threads = number(2, std::thread::available_parallelism()?.get());
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let (x, y) = (pictures(rows, values, 1, 0.011), pictures(rows, values, 2, 0.01));
    let few = ndarray::s![..rows.min(2000), ..];
    alone(x.slice(few), y.slice(few))?;

    println!("\nall with their floors, {rows} against {rows} rows of {values}, {threads} threads");
    let data = Reference::new(y.view());
    let options = Options {
        max_rows: rows,
        ..Options::default()
    };
    let evaluation = timed("evaluate", || evaluate(x.view(), &data, &options))?;
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status
            .lines()
            .filter(|line| line.starts_with("VmHWM"))
            .for_each(|line| println!("{line}"));
    }
    for score in &evaluation.scores {
        let error = |error: Option<f64>| error.map_or_else(String::new, |error| format!(" ± {error:.2e}"));
        println!(
            "{:24} {:.5e}{}; at the floor's sizes {:.5e}, floor {:.5e}{}",
            score.name,
            score.value,
            error(score.standard_error),
            score.matched,
            score.floor,
            error(score.floor_standard_error)
        );
    }
    Ok(())
}
