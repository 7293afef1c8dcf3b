//! `lab normals`: how fast and how normal the noise is.

use std::time::Instant;

use clap::Args as ClapArgs;
use rayon::prelude::*;
use serde_json::json;
use solvers::noise::fill_planes_f32;
use solvers::{Draw, Purpose, simd};

use crate::files::Failure;

/// Rows a piece of work: as much as a sampler asks for at a time.
const PIECE: usize = 512;

/// Speed and moments of addressed normals (f32, rows of two values, as a 2-D sampler draws them).
#[derive(ClapArgs)]
pub struct Args {
    /// Normals to draw.
    #[arg(long, default_value_t = 100_000_000)]
    count: u64,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Count and sums of powers 1 to 4.
type Sums = [f64; 5];

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.count == 0 {
        return Err("--count 0: give at least 1".into());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(args.threads))
        .build()
        .map_err(|error| format!("--threads {}: {error}", args.threads))?;
    let draw = Draw {
        step: 0,
        purpose: Purpose::Predictor,
    };
    let count = usize::try_from(args.count).map_err(|_| format!("--count {}: too many", args.count))?;
    let pieces = count.div_ceil(2 * PIECE);
    // The address of a piece is its first row, so that the numbers do not depend on the number of threads.
    let size = |piece: usize| (count - piece * 2 * PIECE).min(2 * PIECE);
    let fill = |piece: usize, buffer: &mut [f32]| {
        fill_planes_f32(
            args.seed,
            draw,
            (piece * PIECE) as u64,
            buffer.len().div_ceil(2),
            buffer,
        );
    };
    let start = Instant::now();
    let check: u32 = pool.install(|| {
        (0..pieces)
            .into_par_iter()
            .with_min_len(64)
            .map_init(
                || [0.0_f32; 2 * PIECE],
                |buffer, piece| {
                    fill(piece, buffer);
                    buffer[0].to_bits() ^ buffer[2 * PIECE - 1].to_bits()
                },
            )
            .reduce(|| 0, |a, b| a ^ b)
    });
    let drawn = (pieces * 2 * PIECE) as f64;
    let ns = start.elapsed().as_secs_f64() * 1e9 / drawn;

    let sums: Vec<Sums> = pool.install(|| {
        (0..pieces)
            .into_par_iter()
            .map_init(
                || [0.0_f32; 2 * PIECE],
                |buffer, piece| {
                    fill(piece, buffer);
                    buffer[..size(piece)].iter().fold([0.0; 5], |s, z| {
                        let z = f64::from(*z);
                        [
                            s[0] + 1.0,
                            s[1] + z,
                            s[2] + z * z,
                            s[3] + z.powi(3),
                            s[4] + z.powi(4),
                        ]
                    })
                },
            )
            .collect()
    });
    // Added in the order of the pieces: the same for any number of threads.
    let total = sums
        .iter()
        .fold([0.0; 5], |a, b| std::array::from_fn(|i| a[i] + b[i]));
    let [mean, m2, m3, m4] = std::array::from_fn(|k| total[k + 1] / total[0]);
    let variance = m2 - mean * mean;
    let fourth = m4 - 4.0 * mean * m3 + 6.0 * mean * mean * m2 - 3.0 * mean.powi(4);
    let kurtosis = fourth / (variance * variance);
    if args.json {
        let line = json!({
            "ns_per_normal": ns, "mean": mean, "variance": variance, "kurtosis": kurtosis, "count": args.count,
            "threads": args.threads, "instruction_set": simd::level_name(), "check": format!("{check:08x}"),
        });
        println!("{line}");
    } else {
        println!(
            "{ns:.3} ns a normal ({}, {} threads)",
            simd::level_name(),
            args.threads
        );
        println!("mean {mean:.3e}, variance {variance:.6}, kurtosis {kurtosis:.5} (3 for a normal)");
    }
    Ok(())
}
