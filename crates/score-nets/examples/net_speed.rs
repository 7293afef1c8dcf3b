//! Images a second of a network: a training step (forward, backward, plain gradient descent) and a pass without
//! gradients.
//!
//! ```text
//! cargo run --release -p score-nets --example net_speed -- [NET.toml|-] [SHAPE, default 1x8x8] [BATCH, 128] [STEPS, 20] [THREADS, 2]
//! ```
//! `NET.toml` holds the keys of a `[net]` table; `-` takes the recommended one.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use score_nets::NetConfig;
use tch::{Device, Kind, Tensor, nn, no_grad};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |number: usize, default: &str| args.get(number).map_or(default, |s| s.as_str()).to_string();
    let shape = arg(1, "1x8x8")
        .split('x')
        .map(str::parse)
        .collect::<Result<Vec<i64>, _>>()?;
    let (batch, steps, threads): (i64, u32, i32) = (
        arg(2, "128").parse()?,
        arg(3, "20").parse()?,
        arg(4, "2").parse()?,
    );
    let config = match arg(0, "-").as_str() {
        "-" => NetConfig::recommended_defaults(&shape),
        path => toml::from_str(&std::fs::read_to_string(path)?)?,
    };
    tch::set_num_threads(threads);
    score_nets::keep_freed_memory();
    let vs = nn::VarStore::new(Device::Cpu);
    let net = score_nets::seeded(0, || config.build(&vs.root(), &shape))?;
    let mut size = vec![batch];
    size.extend(&shape);
    let x = Tensor::randn(size.as_slice(), (Kind::Float, Device::Cpu));
    let z = x.randn_like();
    let time = Tensor::rand(batch, (Kind::Float, Device::Cpu)) * 999.0;
    println!(
        "{} parameters, {size:?}, {threads} threads",
        config.param_count(&shape)?
    );

    let mut seconds = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        let loss = (net.forward(&x, &time, true)? - &z).square().mean(Kind::Float);
        loss.backward();
        no_grad(|| {
            for mut tensor in vs.trainable_variables() {
                let step = tensor.grad() * 1e-3;
                let _ = tensor.g_sub_(&step);
                tensor.zero_grad();
            }
        });
        seconds.push(start.elapsed().as_secs_f64());
    }
    report("training step", batch, seconds);

    let shared = time.narrow(0, 0, 1).expand([batch], false);
    let mut seconds = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        drop(no_grad(|| net.forward(&x, &shared, false))?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    report("forward without gradients", batch, seconds);
    Ok(())
}

fn report(what: &str, batch: i64, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    let (median, best) = (seconds[seconds.len() / 2], seconds[0]);
    println!(
        "{what}: {:.0} images/s (median {:.1} ms; best {:.0} images/s)",
        batch as f64 / median,
        1e3 * median,
        batch as f64 / best
    );
}
