//! Steps a second of training: data, noise, loss, backward pass, clipping, AdamW and average; and where the time of a step goes, as
//! the trainer itself counts it. Under 3 % are meant to be outside forward pass, backward pass and optimiser.
//!
//! `benches/eager_pytorch.py` takes the same steps in eager PyTorch.
//!
//! ```text
//! cargo bench -p train --bench steps -- [THREADS, 2] [SECONDS a figure, 5]
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::time::{Duration, Instant};

use tch::Device;
use train::config::load_text;
use train::trainer::Trainer;

const MLP: &str = "
data = { kind = 'toy-2d', rows = 10000 }
net = { kind = 'mlp', hidden_size = 256, num_layers = 4 }
train = { steps = 1000000, batch = BATCH }";

const DIGITS: &str = "
data = { kind = 'digits' }
net = { kind = 'unet2d', channels = 32, channel_mult = [1, 2], blocks = 1, head_channels = 32 }
precond = { kind = 'edm', sigma_data = 0.75 }
train = { steps = 1000000, batch = BATCH }";

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let numbers: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let threads = numbers.first().map_or(Ok(2), |arg| arg.parse())?;
    let seconds = numbers.get(1).map_or(Ok(5.0), |arg| arg.parse())?;
    tch::set_num_threads(threads);
    score_nets::keep_freed_memory();
    for (name, text, batch) in [("MLP", MLP, 512), ("MLP", MLP, 64), ("digits U-Net", DIGITS, 128)] {
        let config = load_text(&text.replace("BATCH", &batch.to_string()), "bench".as_ref(), &[])?.config;
        let mut trainer = Trainer::new(&config, Device::Cpu)?;
        let mut taken = Vec::new();
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < end || taken.len() < 3 {
            let start = Instant::now();
            trainer.step(0.0)?;
            taken.push(start.elapsed().as_secs_f64());
        }
        taken.sort_by(f64::total_cmp);
        let median = taken[taken.len() / 2];
        let shares = trainer.spent().shares().unwrap_or_default();
        let percent = |share: f64| 100.0 * share;
        println!(
            "{name}, batch {batch}, {threads} threads: {:.1} steps/s ({:.2} ms); forward {:.1} %, backward {:.1} %, optimiser {:.1} % \
             and the norm for its clipping {:.2} %; outside {:.2} %: data {:.2} %, rest {:.2} %",
            1.0 / median,
            1e3 * median,
            percent(shares.forward),
            percent(shares.backward),
            percent(shares.optimiser),
            percent(shares.norm),
            percent(shares.data + shares.rest),
            percent(shares.data),
            percent(shares.rest),
        );
    }
    Ok(())
}
