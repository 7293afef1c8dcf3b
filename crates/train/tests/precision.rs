//! Training in mixed precision: learns as f32 does, and keeps f32 what is kept.

use tch::{Device, Kind};
use train::config::{Precision, RunConfig};
use train::trainer::step::Trainer;

const TOY: &str = "
data.kind = 'toy-2d'
seed = 2
[net]
kind = 'mlp'
hidden_size = 32
num_layers = 2
[optim]
lr = 3e-3
warmup_images = 640
[train]
batch = 64
steps = 150
holdout = 0.1
";

const DIGITS: &str = "
data.kind = 'digits'
seed = 2
[net]
kind = 'unet2d'
channels = 16
channel_mult = [1, 2]
blocks = 1
[optim]
lr = 2e-3
warmup_images = 640
[train]
batch = 32
steps = 60
holdout = 0.1
";

fn trainer(text: &str, precision: &str) -> Trainer {
    tch::set_num_threads(1);
    let text = format!("{text}precision = '{precision}'\n");
    let loaded = train::config::load_text(&text, "test".as_ref(), &[]).expect("a valid configuration");
    Trainer::new(&loaded.config, Device::Cpu).expect("a sound configuration")
}

/// Losses of a whole run.
fn losses(trainer: &mut Trainer) -> Vec<f64> {
    let steps = trainer.config().train.steps.expect("steps");
    (0..steps)
        .map(|step| trainer.step(step as f64 / steps as f64).expect("a step").loss)
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Same data, times and noise: a loss differs by what the network's output does, a few thousandths of it, and the averages of the
/// last fifth of the steps by no more than a twentieth after the weights went apart.
#[test]
fn bf16_learns_as_f32_does() {
    for (name, text) in [("toy", TOY), ("digits", DIGITS)] {
        let (mut exact, mut mixed) = (trainer(text, "f32"), trainer(text, "bf16"));
        let start = exact.validation_loss().expect("finite");
        assert_eq!(
            mixed.validation_loss().expect("finite"),
            start,
            "{name}: validation is f32"
        );
        let (of_f32, of_bf16) = (losses(&mut exact), losses(&mut mixed));
        let first = (of_bf16[0] - of_f32[0]).abs() / of_f32[0];
        let last = of_f32.len() * 4 / 5;
        let (end_f32, end_bf16) = (mean(&of_f32[last..]), mean(&of_bf16[last..]));
        let shown = format!(
            "{name}: {:.4} to {end_f32:.4} in f32, {end_bf16:.4} in bf16; the first losses differ by {first:.1e}",
            of_f32[0]
        );
        assert_ne!(of_f32, of_bf16, "{name}: the option is ignored");
        assert!(first < 1.0 / 256.0, "{shown}");
        assert!(end_f32 < 0.7 * of_f32[0], "{shown}");
        assert!((end_bf16 / end_f32 - 1.0).abs() < 0.05, "{shown}");
        let snapshot = mixed.snapshot();
        for (what, tensor) in snapshot.net.iter().chain(&snapshot.ema).chain(&snapshot.optim) {
            assert_eq!(tensor.kind(), Kind::Float, "{name}: {what}");
        }
    }
}

/// Samples of the trainer are f32: from the same weights both precisions draw the same bits.
#[test]
fn samples_while_training_are_f32() {
    let values = ["f32", "bf16"].map(|precision| {
        let mut trainer = trainer(TOY, precision);
        let sampler = trainer.sampler().expect("a valid table");
        trainer.sample(sampler.as_ref(), 5, 1).expect("samples").values
    });
    assert_eq!(values[0], values[1]);
}

#[test]
fn the_default_is_f32_and_other_names_are_refused() {
    assert_eq!(RunConfig::default().train.precision, Precision::F32);
    let error = train::config::load_text("[train]\nprecision = 'fp16'\n", "test".as_ref(), &[]);
    let said = error.expect_err("no such precision").to_string();
    assert!(
        said.starts_with("train.precision = \"fp16\":") && said.contains("known: f32, bf16"),
        "{said}"
    );
}
