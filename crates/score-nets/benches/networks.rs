//! Images a second of a training step (forward, backward, plain gradient descent) and of a forward pass without
//! gradients, on the CPU, in f32 and in bf16 (mixed precision) by turns. `benches/eager_pytorch.py` measures the same networks in eager PyTorch.
//!
//! ```text
//! cargo bench -p score-nets --bench networks -- [THREADS, 2] [SECONDS a figure, 5]
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::time::{Duration, Instant};

use score_nets::diffusers::Unet2dConfig;
use score_nets::{Autocast, NcsnppConfig, NetConfig, NetError, Precision, ScoreNet, UnetConfig};
use tch::{Device, Kind, Tensor, nn, no_grad};

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
    // That of configs/digits_vp.toml.
    let digits = UnetConfig {
        channel_mult: vec![1, 2],
        blocks: 1,
        head_channels: Some(32),
        ..UnetConfig::default()
    };
    measure(
        "digits U-Net 1x8x8",
        &NetConfig::Unet2d(digits),
        &[1, 8, 8],
        128,
        threads,
        seconds,
    )?;
    let ddpmpp = NcsnppConfig {
        nf: 32,
        ch_mult: vec![1, 2],
        num_res_blocks: 1,
        attn_resolutions: vec![8],
        dropout: 0.0,
        ..NcsnppConfig::ddpmpp()
    };
    measure(
        "ddpmpp 3x16x16",
        &NetConfig::Ddpmpp(ddpmpp),
        &[3, 16, 16],
        64,
        threads,
        seconds,
    )?;
    let unet2d = Unet2dConfig {
        block_out_channels: vec![32, 64],
        down_block_types: vec!["DownBlock2D".into(), "AttnDownBlock2D".into()],
        up_block_types: vec!["AttnUpBlock2D".into(), "UpBlock2D".into()],
        layers_per_block: 1,
        norm_num_groups: Some(8),
        ..Unet2dConfig::default()
    };
    measure(
        "diffusers unet2d 3x16x16",
        &NetConfig::DiffusersUnet2d(unet2d),
        &[3, 16, 16],
        64,
        threads,
        seconds,
    )?;
    if let Some(peak) = peak_memory() {
        println!("peak memory {peak} MiB");
    }
    Ok(())
}

/// One network in one precision.
struct Measured {
    precision: Precision,
    vs: nn::VarStore,
    net: Autocast,
}

impl Measured {
    fn new(config: &NetConfig, shape: &[i64], precision: Precision) -> Result<Self, NetError> {
        let vs = nn::VarStore::new(Device::Cpu);
        let net = score_nets::seeded(0, || config.build(&vs.root(), shape))?;
        Ok(Measured {
            precision,
            vs,
            net: Autocast::new(net, precision),
        })
    }

    fn step(&self, x: &Tensor, z: &Tensor, time: &Tensor) -> Result<(), NetError> {
        let loss = (self.net.forward(x, time, true)? - z).square().mean(Kind::Float);
        loss.f_backward()?;
        no_grad(|| {
            for mut tensor in self.vs.trainable_variables() {
                let step = tensor.grad() * 1e-3;
                let _ = tensor.g_sub_(&step);
                tensor.zero_grad();
            }
        });
        Ok(())
    }
}

fn measure(
    name: &str,
    config: &NetConfig,
    shape: &[i64],
    batch: i64,
    threads: i32,
    seconds: f64,
) -> Result<(), NetError> {
    let nets = Precision::ALL.map(|precision| Measured::new(config, shape, precision));
    let nets = nets.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut size = vec![batch];
    size.extend(shape);
    let (x, z, time) = score_nets::seeded(1, || {
        let x = Tensor::randn(size.as_slice(), (Kind::Float, Device::Cpu));
        let z = x.randn_like();
        (x, z, Tensor::rand(batch, (Kind::Float, Device::Cpu)) * 999.0)
    });
    let title = format!(
        "{name} ({} parameters, batch {batch}, {threads} threads)",
        config.param_count(shape)?
    );
    report(&format!("{title} training step"), batch, seconds, &nets, |one| {
        one.step(&x, &z, &time)
    })?;
    report(&format!("{title} forward"), batch, seconds, &nets, |one| {
        no_grad(|| one.net.forward(&x, &time, false)).map(drop)
    })
}

/// One line a precision. They take turns, so that a machine that slows down slows both.
fn report(
    what: &str,
    batch: i64,
    seconds: f64,
    nets: &[Measured],
    mut run: impl FnMut(&Measured) -> Result<(), NetError>,
) -> Result<(), NetError> {
    for one in nets {
        run(one)?;
    }
    let mut all: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); nets.len()];
    let end = Instant::now() + Duration::from_secs_f64(seconds * nets.len() as f64);
    while Instant::now() < end || all[0].0.len() < 3 {
        for (one, (taken, processor)) in nets.iter().zip(&mut all) {
            let (start, before) = (Instant::now(), processor_time());
            run(one)?;
            taken.push(start.elapsed().as_secs_f64());
            processor.extend(processor_time().zip(before).map(|(after, before)| after - before));
        }
    }
    for (one, (taken, processor)) in nets.iter().zip(&mut all) {
        taken.sort_by(f64::total_cmp);
        processor.sort_by(f64::total_cmp);
        let (median, best) = (taken[taken.len() / 2], taken[0]);
        println!(
            "{what}, {}: {:.0} images/s (median {:.1} ms; best {:.0}; processor time of the calling thread {:.1} ms)",
            one.precision.name(),
            batch as f64 / median,
            1e3 * median,
            batch as f64 / best,
            1e3 * processor.get(processor.len() / 2).copied().unwrap_or(f64::NAN)
        );
    }
    Ok(())
}

/// Seconds that this thread has run: with one thread a figure that other programs disturb less. Linux only.
fn processor_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}

/// Largest resident size of this program, MiB; Linux only.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
