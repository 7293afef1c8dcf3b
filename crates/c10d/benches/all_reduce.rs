//! Time of an all-reduce between processes of this machine, by size, through the engine and through memory that they share:
//! `cargo bench -p c10d`. The first process starts the others; C10D_BENCH_RANKS says how many there are, 2 if not given.
//! PyTorch's own figure for the same sizes: `benches/all_reduce.py`.
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use c10d::{C10dError, Group, Options, Reduce, Shared, Store};
use tch::{Device, Kind, Tensor};

const RANKS: &str = "C10D_BENCH_RANKS";
const FILE: &str = "C10D_BENCH_STORE";
const RANK: &str = "C10D_BENCH_RANK";

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    let ranks = std::env::var(RANKS).map_or(Ok(2), |text| text.parse::<u32>())?;
    let join = |path: PathBuf, rank: u32| {
        let options = Options::new(Store::File { path }, rank, ranks).loopback();
        Group::new(&options.timeout(Duration::from_secs(60)))
    };
    if let (Some(path), Ok(rank)) = (std::env::var_os(FILE), std::env::var(RANK)) {
        return times(&join(path.into(), rank.parse()?)?);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store");
    let start = |rank: u32| {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(FILE, &path).env(RANK, rank.to_string()).spawn()
    };
    let others = (1..ranks).map(start).collect::<Result<Vec<Child>, _>>()?;
    times(&join(path.clone(), 0)?)?;
    for mut other in others {
        if !other.wait()?.success() {
            return Err("another process failed".into());
        }
    }
    Ok(())
}

fn times(group: &Group) -> Result<(), Box<dyn Error>> {
    let shared = Shared::join(group, Shared::folder())?;
    for (bytes, rounds) in [
        (4, 300),
        (4_000, 300),
        (400_000, 100),
        (4_000_000, 50),
        (100_000_000, 11),
    ] {
        let mut tensor = Tensor::ones([bytes / 4], (Kind::Float, Device::Cpu));
        let engine = median(group, rounds, &mut tensor, |tensor| {
            group.all_reduce(tensor, Reduce::Sum)
        })?;
        let own = match &shared {
            Some(shared) => {
                let median = median(group, rounds, &mut tensor, |tensor| shared.sum(tensor).map(drop))?;
                format!(
                    "{:.3} ms ({:.2} GB/s)",
                    1e3 * median,
                    1e-9 * bytes as f64 / median
                )
            }
            None => "not here".to_owned(),
        };
        if group.rank() == 0 {
            println!(
                "all-reduce of {bytes} bytes, {} ranks: {:.3} ms ({:.2} GB/s); through shared memory {own}",
                group.world(),
                1e3 * engine,
                1e-9 * bytes as f64 / engine
            );
        }
    }
    Ok(())
}

/// Seconds that a sum takes.
fn median(
    group: &Group,
    rounds: usize,
    tensor: &mut Tensor,
    sum: impl Fn(&mut Tensor) -> Result<(), C10dError>,
) -> Result<f64, Box<dyn Error>> {
    let mut taken = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        group.barrier()?;
        let start = Instant::now();
        sum(tensor)?;
        // Of the rank that took longer: they do not leave the barrier at one time.
        let mut longest = Tensor::from_slice(&[start.elapsed().as_secs_f64()]);
        group.all_reduce(&mut longest, Reduce::Maximum)?;
        taken.push(longest.double_value(&[0]));
        // Sums of sums would overflow.
        let _ = tensor.fill_(1.0);
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[rounds / 2])
}
