//! Steps a second of training: data, noise, loss, backward pass, clipping, AdamW and average; and the time of a step that is none
//! of forward pass, backward pass and optimiser, against a bare loop over the same network on one prepared batch: the loss with its
//! backward pass, and AdamW without clipping. A second bare loop also has the other passes over all parameters that a step needs,
//! clipping and the average; what is left then is data, noise, and looking after them. Two such loops with weights of their own
//! show what of that is the place of the weights in memory.
//!
//! `benches/eager_pytorch.py` takes the same steps in eager PyTorch.
//!
//! ```text
//! cargo bench -p train --bench steps -- [THREADS, 2] [SECONDS a figure, 5]
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::time::{Duration, Instant};

use score_nets::named_parameters;
use tch::{Device, Kind, Tensor, nn::VarStore, no_grad};
use train::config::load_text;
use train::ema::Ema;
use train::loss::{DrawSource, Loss};
use train::optim::{AdamW, AdamWConfig, FlatParams};
use train::trainer::Trainer;
use train::{RunConfig, Visit};

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
        let (mut bare, mut other) = (Bare::new(&config)?, Bare::new(&config)?);
        // In turns, so that a change of the machine's speed meets all.
        let [mut whole, mut alone, mut averaged, mut again] = [const { Vec::new() }; 4];
        let end = Instant::now() + Duration::from_secs_f64(4.0 * seconds);
        while Instant::now() < end || whole.len() < 3 {
            turn(&mut whole, || Ok(trainer.step(0.0).map(drop)?))?;
            turn(&mut alone, || bare.step(false))?;
            turn(&mut averaged, || bare.step(true))?;
            turn(&mut again, || other.step(true))?;
        }
        let [whole, alone, averaged, again] = [whole, alone, averaged, again].map(median);
        println!(
            "{name}, batch {batch}, {threads} threads: {:.1} steps/s ({:.2} ms), outside network and optimiser {:.1} % ({:.2} ms), \
             but for clipping and average {:.1} % ({:.2} ms); two bare loops differ by {:.1} %",
            1.0 / whole,
            1e3 * whole,
            100.0 * (1.0 - alone / whole),
            1e3 * (whole - alone),
            100.0 * (1.0 - averaged / whole),
            1e3 * (whole - averaged),
            100.0 * (1.0 - averaged / again),
        );
    }
    Ok(())
}

/// Five steps. Two before them are not counted: they bring the weights back into the cache, of which the one before had its turn.
fn turn(
    taken: &mut Vec<f64>,
    mut step: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for number in 0..7 {
        let start = Instant::now();
        step()?;
        if number > 1 {
            taken.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

fn median(mut taken: Vec<f64>) -> f64 {
    taken.sort_by(f64::total_cmp);
    taken[taken.len() / 2]
}

/// Forward pass, backward pass and optimiser, and little else.
struct Bare {
    net: Box<dyn score_nets::ScoreNet>,
    loss: Box<dyn Loss>,
    x0: Tensor,
    draws: train::loss::TrainDraw,
    params: FlatParams,
    optim: AdamW,
    ema: Ema,
    _vs: VarStore,
}

impl Bare {
    fn new(config: &RunConfig) -> Result<Self, Box<dyn Error>> {
        let data = train::data::open(&config.data)?;
        let vs = VarStore::new(Device::Cpu);
        let net = score_nets::seeded(1, || config.net.build(&vs.root(), data.shape()))?;
        let sde = config.sde.build()?;
        let precond = config.precond.build(sde.clone())?;
        let loss = config.loss.build(&sde, &precond, data.shape(), 0, Device::Cpu)?;
        let rows: Vec<u64> = (0..config.train.batch).collect();
        let mut size = vec![rows.len() as i64];
        size.extend_from_slice(data.shape());
        let mut x0 = Tensor::zeros(size.as_slice(), (Kind::Float, Device::Cpu));
        data.gather(&rows, Visit { seed: 0, epoch: 0 }, &mut x0)?;
        let source = DrawSource {
            seed: 0,
            density: config.loss.common().time.build(sde)?,
            stratified: true,
            low_discrepancy: false,
        };
        let draws = source.draw(0, 0, rows.len(), rows.len() as u64, data.shape(), Device::Cpu);
        let params = FlatParams::bind(named_parameters(&vs))?;
        let optim = AdamW::new(AdamWConfig::default(), params.values());
        Ok(Self {
            net,
            loss,
            x0,
            draws,
            ema: Ema::new(0.999, false, params.values()),
            params,
            optim,
            _vs: vs,
        })
    }

    /// One step; with clipping and the average, if they are asked for.
    fn step(&mut self, average: bool) -> Result<(), Box<dyn Error>> {
        let loss = self
            .loss
            .per_row(self.net.as_ref(), &self.x0, &self.draws)?
            .mean(Kind::Float);
        self.params.backward(&loss, false)?;
        let (values, grads) = (self.params.values(), self.params.grads());
        if average {
            // As the trainer clips by default.
            let norm = no_grad(|| grads.norm()).double_value(&[]);
            let averaged = self.ema.blocks(values);
            self.optim
                .step_blocks(values, grads, 1e-3, (1.0 / norm).min(1.0), averaged);
        } else {
            self.optim.step(values, grads, 1e-3, 1.0);
        }
        Ok(())
    }
}
