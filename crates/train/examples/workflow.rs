//! The whole of a study as a library: network, loss, optimiser and data, training with validation, a sampler, samples, saving and
//! loading. Run: cargo run --release -p train --example workflow
#![allow(clippy::print_stdout)]
use tch::Device;
use train::checkpoint::{RunState, Store};
use train::config::load_text;
use train::trainer::{Action, StepMetrics, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Every part has a table; what is not said has a default.
    let text = "
        data = { kind = 'toy-2d', form = 'moons' }
        sde = { kind = 'subvp' }
        net = { kind = 'mlp', hidden_size = 64, num_layers = 2 }
        loss = { kind = 'dsm', weighting = 'likelihood', time = 'importance' }
        optim = { lr = 3e-3, schedule = 'cosine', warmup_images = 5000 }
        train = { steps = 1500, batch = 128, holdout = 0.1 }
        sampler = { kind = 'unipc', steps = 12 }";
    let config = load_text(text, "workflow".as_ref(), &[])?.config;
    let mut trainer = Trainer::new(&config, Device::Cpu)?;

    // Train, with validation every 500 steps.
    let mut each_500 = |state: &RunState, _: &StepMetrics| match state.step % 500 {
        0 => Action::Stop,
        _ => Action::None,
    };
    while trainer.state().step < 1500 {
        trainer.fit(&mut [&mut each_500])?;
        let (step, loss) = (trainer.state().step, trainer.validation_loss()?);
        println!("step {step}: validation loss {:.4}", loss.unwrap_or(f64::NAN));
    }

    // Sample with the averaged weights.
    let sampler = trainer.sampler()?;
    let samples = trainer.sample(sampler.as_ref(), 500, 0)?;
    println!("{} points by {} evaluations each", samples.rows(), samples.nfe);

    // Save, load into another trainer, and go on from there or sample again.
    let folder = tempfile::tempdir()?;
    let store = Store::new(folder.path(), 2);
    store.prepare()?;
    store.save(&trainer.snapshot())?;
    let (path, state) = store.newest()?.found.ok_or("a whole checkpoint")?;
    let mut again = Trainer::new(&config, Device::Cpu)?;
    again.restore(&path, &state)?;
    let same = again.sample(sampler.as_ref(), 500, 0)? == samples;
    println!("the same samples after loading: {same}");
    Ok(())
}
