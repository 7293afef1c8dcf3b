//! Training with classes and on windows.

use score_nets::{Given, NetError, ScoreNet};
use sde_core::{PrecondConfig, SdeConfig, WeightingConfig};
use tch::{Device, Kind, Tensor, nn};
use train::config::{Reduction, RunConfig};
use train::data::{MemoryDataset, ScalingKind, Values};
use train::loss::{Dsm, Loss, Origin, PatchLoss, TrainDraw};
use train::sample::SampleOptions;
use train::trainer::StopFlag;
use train::trainer::conditions::Conditions;
use train::trainer::step::Trainer;

fn config(text: &str) -> RunConfig {
    train::config::load_text(text, "test".as_ref(), &[])
        .expect("a valid configuration")
        .config
}

/// Two classes in one dimension: values near -2 and near 2.
fn two_classes() -> MemoryDataset {
    let values =
        (0..400).map(|i| if i % 2 == 0 { -2.0 } else { 2.0 } + 0.1 * ((i * 37 % 100) as f32 / 50.0 - 1.0));
    let labels = (0..400).map(|i| i % 2).collect();
    MemoryDataset::new(
        "two classes",
        &[1],
        Values::Real(values.collect()),
        Some(labels),
        ScalingKind::None,
        false,
    )
    .expect("two rows or more")
}

const CLASSES: &str = "
[net]
kind = 'mlp'
hidden_size = 32
num_layers = 1
classes = 2
[precond]
kind = 'edm'
sigma_data = 2.0
[optim]
lr = 3e-3
warmup_images = 0
[ema]
decay = 0.98
[train]
steps = 400
batch = 100
[sampler]
kind = 'heun'
steps = 12
";

fn trainer(config: &RunConfig) -> Trainer {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = score_nets::seeded(1, || config.net.build(&vs.root(), &[1])).expect("a sound network");
    Trainer::with_parts(config, Box::new(two_classes()), vs, net).expect("parts that fit")
}

/// After some training a class is where its data are, unguided or guided; without classes both are drawn.
#[test]
fn samples_are_of_the_class_asked_for() {
    let mut trainer = trainer(&config(CLASSES));
    trainer.fit(&mut []).expect("trains");
    let sampler = trainer.sampler().expect("a sound sampler");
    let mut draw = |text: &str| {
        trainer.set_condition(config(&format!("{CLASSES}[condition]\n{text}")).condition);
        let options = SampleOptions {
            count: 200,
            seed: 3,
            batch: 64,
            trajectory: false,
        };
        let samples = trainer
            .sample_with(sampler.as_ref(), options, &StopFlag::default(), &mut |_| {})
            .expect("samples");
        samples.values
    };
    let share = |values: &[f32]| values.iter().filter(|v| **v > 0.0).count();
    assert!(share(&draw("labels = [0]")) <= 2);
    assert!(share(&draw("labels = [1]")) >= 198);
    assert!(share(&draw("labels = [1]\nguidance_scale = 2.0")) >= 198);
    let turns = draw("");
    for (row, value) in turns.iter().enumerate() {
        assert_eq!(*value > 0.0, row % 2 == 1, "row {row}: {value}");
    }
    // Half of each: 100 rows, standard deviation 7; the network is small and the bound wide.
    let untold = share(&draw("labels = [-1]"));
    assert!((50..150).contains(&untold), "{untold}");
}

/// Every row of a batch keeps or loses its class by its own slot: about the share asked for.
#[test]
fn classes_are_left_out_as_often_as_asked() {
    let data = two_classes();
    let labels = Conditions::new(&data, 2, 0.25, Device::Cpu).expect("known");
    let rows: Vec<u64> = (0..400).collect();
    let draw = TrainDraw {
        times: vec![0.5; 400],
        ratios: vec![1.0; 400],
        noise: Tensor::zeros([400, 1], (Kind::Float, Device::Cpu)),
        train: true,
        given: Given::default(),
        origin: Origin::default(),
    };
    let told = labels.of_batch(&rows, &draw).expect("allocates");
    let told = Vec::<i64>::try_from(told.classes(2).expect("known").expect("told")).expect("whole numbers");
    let left_out = told.iter().filter(|label| **label == -1).count();
    // Binomial with mean 100 and standard deviation 8.7: five of them.
    assert!((57..144).contains(&left_out), "{left_out}");
    for (row, label) in told.iter().enumerate() {
        assert!(*label == -1 || *label == row as i64 % 2);
    }
}

#[test]
fn classes_that_do_not_fit_are_refused() {
    let data = two_classes();
    let new = Conditions::new(&data, 1, 0.1, Device::Cpu);
    let error = new.expect_err("a class too many").to_string();
    assert!(error.contains("net.classes = 2"), "{error}");
    let plain = MemoryDataset::new(
        "plain",
        &[1],
        Values::Real(vec![0.0, 1.0]),
        None,
        ScalingKind::None,
        false,
    );
    let error = Conditions::new(&plain.expect("two rows"), 2, 0.1, Device::Cpu);
    assert!(
        error
            .expect_err("no classes")
            .to_string()
            .contains("net.classes = 0")
    );
}

/// Predicts zero and notes which windows it saw.
#[derive(Debug)]
struct Zero;

impl ScoreNet for Zero {
    fn forward(&self, _: &Tensor, _: &Tensor, _: bool) -> Result<Tensor, NetError> {
        panic!("windows come with their places");
    }

    fn forward_given(&self, x: &Tensor, _: &Tensor, given: &Given, _: bool) -> Result<Tensor, NetError> {
        let window = given.window().expect("the place of a window");
        assert_eq!(window.whole, [6, 9]);
        // The images hold 100 y + x, hardly noised: the corner is where the window says.
        for row in 0..x.size()[0] {
            let corner = x.double_value(&[row, 0, 0, 0]).round() as i64;
            let place = [
                window.corners.int64_value(&[row, 0]),
                window.corners.int64_value(&[row, 1]),
            ];
            assert_eq!([corner / 100, corner % 100], place, "row {row}");
        }
        Ok(x.zeros_like())
    }
}

/// Data and noise are cut at one place, which the network is told; the loss of a row is that of its window.
#[test]
fn windows_are_cut_from_data_and_noise_alike() {
    tch::set_num_threads(1);
    let rows = 64;
    let pixel = Tensor::from_slice(&(0..54).map(|i| (i / 9 * 100 + i % 9) as f32).collect::<Vec<_>>());
    let x0 = pixel.view([1, 1, 6, 9]).repeat([rows, 1, 1, 1]);
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..8 {
        let mut origin = Origin::default();
        origin.draw.step = step;
        let noise = &x0 * 0.001;
        let draw = TrainDraw {
            times: vec![1e-5; rows as usize],
            ratios: vec![1.0; rows as usize],
            noise: noise.shallow_clone(),
            train: true,
            given: Given::default(),
            origin,
        };
        let loss = PatchLoss::new(Box::new(dsm()), vec![2, 4, 20]);
        let got = loss.per_row(&Zero, &x0, &draw).expect("runs");
        // With a score of zero the loss is the mean square of the noise over the window: which window, the places say.
        let got = Vec::<f32>::try_from(got).expect("one a row");
        for value in got {
            seen.insert((value * 1e4) as i64);
        }
    }
    assert!(seen.len() > 20, "many windows: {}", seen.len());
}

/// Series are cut along their length, and a network on windows learns from them and answers for whole series.
#[test]
fn series_are_learnt_by_windows() {
    tch::set_num_threads(1);
    let text = "
[data]
kind = 'synthetic-1d'
rows = 64
length = 50
[net]
kind = 'patch'
patch = 16
stride = 8
edge = 'reflect'
train_sizes = [12, 16]
[net.unet]
channels = 8
channel_mult = [1, 2]
blocks = 1
[precond]
kind = 'edm'
sigma_data = 1.0
[optim]
lr = 3e-3
warmup_images = 0
[train]
steps = 120
batch = 32
[sampler]
kind = 'heun'
steps = 6
";
    let config = config(text);
    let mut trainer = Trainer::new(&config, Device::Cpu).expect("a sound configuration");
    let mut mean_loss = || {
        let losses = (0..60).map(|_| trainer.step(0.0).expect("a step").loss);
        losses.sum::<f64>() / 60.0
    };
    let losses = [mean_loss(), mean_loss()];
    assert!(losses[1] < 0.8 * losses[0], "{losses:?}");
    let options = SampleOptions {
        count: 5,
        seed: 3,
        batch: 2,
        trajectory: false,
    };
    let sampler = trainer.sampler().expect("a sound sampler");
    let samples = trainer
        .sample_with(sampler.as_ref(), options, &StopFlag::default(), &mut |_| {})
        .expect("samples");
    assert_eq!(
        (samples.rows(), samples.shape.as_slice()),
        (5, [1, 50].as_slice())
    );
    assert!(samples.values.iter().all(|value| value.abs() < 20.0));
}

/// Denoising score matching for VE, the network being the score.
fn dsm() -> Dsm {
    let sde = toml::from_str::<SdeConfig>("kind = 've'")
        .unwrap()
        .build()
        .unwrap();
    let precond = toml::from_str::<PrecondConfig>("kind = 'score'")
        .unwrap()
        .build(sde.clone())
        .unwrap();
    let weighting = WeightingConfig::default().build(sde.clone()).unwrap();
    Dsm::new(sde, precond, weighting, Reduction::Mean)
}
