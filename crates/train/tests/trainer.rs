//! The trainer as a library: own parts, hooks, steps that are not finite.

use std::cell::RefCell;
use std::rc::Rc;

use score_nets::{NetError, ScoreNet};
use tch::{Device, Kind, Tensor, nn};
use train::checkpoint::RunState;
use train::data::{MemoryDataset, Scaling, ScalingKind, Values, Visit};
use train::log::ProgressReport;
use train::loss::{Loss, TrainDraw};
use train::trainer::step::MAX_BAD_STEPS;
use train::trainer::{Action, RunFolder, RunOptions, StepMetrics, StopFlag, Trainer, run};
use train::{Dataset, RunConfig, TrainError};

#[derive(Debug)]
struct Net(nn::Linear);

impl ScoreNet for Net {
    fn forward(&self, x: &Tensor, time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(Tensor::f_cat(&[x, &(time / 999.0).f_unsqueeze(1)?], 1)?.apply(&self.0))
    }
}

fn config(steps: u64) -> RunConfig {
    let text = format!(
        "data.kind = 'toy-2d'\nseed = 2\n[train]\nsteps = {steps}\nbatch = 16\nsamples = 4\ncheckpoint_every = 0\n\
         [sampler]\nkind = 'heun'\nsteps = 3\n[optim]\nlr = 1e-2\nwarmup_images = 0\nschedule = 'constant'"
    );
    train::config::load_text(&text, "test".as_ref(), &[])
        .expect("a valid table")
        .config
}

fn ring() -> Vec<f32> {
    (0..200)
        .flat_map(|i| [(i as f32).cos(), (i as f32).sin()])
        .collect()
}

fn net(vs: &nn::VarStore) -> Net {
    Net(score_nets::seeded(1, || {
        nn::linear(vs.root() / "only", 3, 2, Default::default())
    }))
}

fn trainer(config: &RunConfig) -> Trainer {
    tch::set_num_threads(1);
    let data = MemoryDataset::new("ring", &[2], Values::Real(ring()), None, ScalingKind::None, false);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = net(&vs);
    Trainer::with_parts(config, Box::new(data.expect("a ring")), vs, Box::new(net)).expect("parts that fit")
}

fn weights(trainer: &Trainer) -> Vec<Vec<f32>> {
    let snapshot = trainer.snapshot();
    let all = snapshot.net.iter().chain(&snapshot.ema).chain(&snapshot.optim);
    all.map(|(_, t)| Vec::<f32>::try_from(t.contiguous().view(-1)).expect("float values"))
        .collect()
}

/// The mean of the squared output, but NaN while `bad` says so.
#[derive(Debug)]
struct Moody {
    bad: Vec<usize>,
    call: std::sync::atomic::AtomicUsize,
}

impl Loss for Moody {
    fn per_row(&self, net: &dyn ScoreNet, x0: &Tensor, draw: &TrainDraw) -> Result<Tensor, TrainError> {
        let call = self.call.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let time = Tensor::zeros([x0.size()[0]], (Kind::Float, Device::Cpu));
        let per_row = net
            .forward(x0, &time, draw.train)?
            .square()
            .mean_dim(1, false, Kind::Float);
        Ok(if self.bad.contains(&call) {
            per_row * f64::NAN
        } else {
            per_row
        })
    }
}

fn moody(bad: Vec<usize>) -> Trainer {
    let moody = Box::new(Moody {
        bad,
        call: Default::default(),
    });
    trainer(&config(1000))
        .with_loss(moody)
        .expect("a loss without parameters")
}

#[test]
fn a_step_that_is_not_finite_changes_nothing_but_the_count() {
    let mut trainer = moody(vec![2, 3]);
    for step in 0..6 {
        let before = weights(&trainer);
        let metrics = trainer.step(0.0).expect("a step");
        let bad = step == 2 || step == 3;
        assert_eq!(metrics.skipped, bad);
        assert_eq!(metrics.loss.is_nan(), bad);
        assert_eq!(weights(&trainer) == before, bad, "step {step}");
    }
    assert_eq!((trainer.state().step, trainer.state().skipped), (6, 2));
    assert_eq!(trainer.state().recent_losses.len(), 4);
    assert_eq!(trainer.snapshot().state.optim_updates, 4);
}

#[test]
fn many_such_steps_in_a_row_end_the_run() {
    let mut trainer = moody((1..100).collect());
    trainer.step(0.0).expect("a good step");
    let before = weights(&trainer);
    for _ in 1..MAX_BAD_STEPS {
        assert!(trainer.step(0.0).expect("not yet").skipped);
        assert!(!trainer.healthy().expect("no failure"));
    }
    let error = trainer.step(0.0).expect_err("too many");
    assert!(
        matches!(
            error,
            TrainError::Diverged {
                step: 11,
                streak: 10,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(weights(&trainer), before);
}

#[test]
fn hooks_see_every_step_and_may_save_sample_and_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(1_000_000);
    let mut trainer = trainer(&config);
    let run_folder = RunFolder::create(&folder.path().join("run"), &config).expect("an absent folder");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&seen);
    let mut hook = move |state: &RunState, metrics: &StepMetrics| {
        assert!(metrics.loss.is_finite() && metrics.grad_norm > 0.0 && metrics.lr == 1e-2);
        kept.borrow_mut().push(state.step);
        match state.step {
            3 => Action::Save,
            5 => Action::Sample,
            7 => Action::Stop,
            _ => Action::None,
        }
    };
    let mut options = RunOptions {
        progress: ProgressReport::silent(),
        stop: StopFlag::default(),
    };
    let summary = run(&mut trainer, &run_folder, &mut options, &mut [&mut hook]).expect("a run");
    assert_eq!(*seen.borrow(), (1..=7).collect::<Vec<u64>>());
    assert_eq!(
        (summary.steps, summary.samples, summary.interrupted),
        (7, 4, false)
    );
    for file in [
        "checkpoints/step_00000003/net.safetensors",
        "checkpoints/step_00000007/net.safetensors",
        "samples/step_00000005.png",
        "samples.npz",
    ] {
        assert!(run_folder.path().join(file).is_file(), "{file}");
    }
}

/// Trains well and cannot be sampled from.
#[derive(Debug)]
struct OnlyTrains(Net);

impl ScoreNet for OnlyTrains {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        Ok(if train {
            self.0.forward(x, time, train)?
        } else {
            x * f64::NAN
        })
    }
}

#[test]
fn a_grid_that_cannot_be_drawn_does_not_end_the_training() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = config(6);
    config.train.sample_every = 2;
    let data = MemoryDataset::new("ring", &[2], Values::Real(ring()), None, ScalingKind::None, false);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = OnlyTrains(net(&vs));
    let built = Trainer::with_parts(&config, Box::new(data.expect("a ring")), vs, Box::new(net));
    let run_folder = RunFolder::create(&folder.path().join("run"), &config).expect("an absent folder");
    let mut options = RunOptions {
        progress: ProgressReport::silent(),
        stop: StopFlag::default(),
    };
    let outcome = run(
        &mut built.expect("parts that fit"),
        &run_folder,
        &mut options,
        &mut [],
    );
    assert!(matches!(outcome, Err(TrainError::Solve(_))), "{outcome:?}");
    assert!(
        run_folder
            .path()
            .join("checkpoints/step_00000006/ema.safetensors")
            .is_file()
    );
}

#[test]
fn sampling_leaves_training_as_it_was() {
    let (mut plain, mut sampled) = (trainer(&config(100)), trainer(&config(100)));
    for _ in 0..5 {
        plain.step(0.0).expect("a step");
        sampled.step(0.0).expect("a step");
        let sampler = sampled.sampler().expect("a valid table");
        assert_eq!(sampled.sample(sampler.as_ref(), 7, 1).expect("samples").rows(), 7);
    }
    assert_eq!(weights(&plain), weights(&sampled));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let run = |seed| {
        let mut config = config(100);
        config.seed = seed;
        let mut trainer = trainer(&config);
        (0..5)
            .map(|_| trainer.step(0.0).expect("a step").loss)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// Four batches of 16 are one of 64: the same rows, times and noise, up to the order of sums.
#[test]
fn gradients_of_several_batches_are_those_of_one() {
    let run = |batch: u64, accumulate: u64| {
        let mut config = config(8);
        (config.train.batch, config.train.accumulate) = (batch, accumulate);
        let mut trainer = trainer(&config);
        trainer.fit(&mut []).expect("trains");
        assert_eq!((trainer.state().step, trainer.state().images), (8, 8 * 64));
        weights(&trainer)
    };
    let (pieces, whole) = (run(16, 4), run(64, 1));
    let pairs = pieces.iter().flatten().zip(whole.iter().flatten());
    let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 2e-6, "{off}");
    let other = run(32, 2);
    assert_ne!(other, pieces, "sums in another order");
}

#[test]
fn a_batch_larger_than_the_data_is_refused() {
    let mut config = config(1);
    config.train.batch = 201;
    tch::set_num_threads(1);
    let data = MemoryDataset::new(
        "ring",
        &[2],
        Values::Real(vec![0.5, 1.0, 0.0, 2.0]),
        None,
        ScalingKind::None,
        false,
    );
    let vs = nn::VarStore::new(Device::Cpu);
    let net = net(&vs);
    let built = Trainer::with_parts(&config, Box::new(data.expect("two rows")), vs, Box::new(net));
    let error = built.expect_err("two rows").to_string();
    assert!(
        error.contains("2 rows") && error.contains("train.batch"),
        "{error}"
    );
}

/// Counts how often each row is read.
#[derive(Debug)]
struct Counted(MemoryDataset, std::sync::Arc<std::sync::Mutex<Vec<u32>>>);

impl Dataset for Counted {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn shape(&self) -> &[i64] {
        self.0.shape()
    }
    fn scaling(&self) -> &Scaling {
        self.0.scaling()
    }
    fn read(&self, rows: &[u64], visit: Visit, out: &mut [f32]) -> Result<(), TrainError> {
        for &row in rows {
            self.1.lock().expect("one thread")[row as usize] += 1;
        }
        self.0.read(rows, visit, out)
    }
}

#[test]
fn held_out_rows_are_never_trained_on_and_their_loss_follows_the_averaged_weights() {
    let mut config = config(50);
    config.train.holdout = 0.25;
    let data = MemoryDataset::new("ring", &[2], Values::Real(ring()), None, ScalingKind::None, false);
    let reads = std::sync::Arc::new(std::sync::Mutex::new(vec![0; 200]));
    let data = Counted(data.expect("a ring"), reads.clone());
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = net(&vs);
    let mut trainer =
        Trainer::with_parts(&config, Box::new(data), vs, Box::new(net)).expect("parts that fit");
    let held_out: Vec<bool> = reads
        .lock()
        .expect("one thread")
        .iter()
        .map(|&n| n == 1)
        .collect();
    assert_eq!(held_out.iter().filter(|&&out| out).count(), 50);
    let before = trainer
        .validation_loss()
        .expect("it is finite")
        .expect("rows are held out");
    let weights_before = weights(&trainer);
    assert_eq!(
        trainer.validation_loss().expect("finite"),
        Some(before),
        "nothing is random about it"
    );
    assert_eq!(weights(&trainer), weights_before, "and it changes nothing");
    trainer.fit(&mut []).expect("a regular run");
    for (row, (&count, out)) in reads.lock().expect("one thread").iter().zip(held_out).enumerate() {
        // 800 images of 150 rows are five epochs and a bit.
        let expected = if out { 1..=1 } else { 5..=6 };
        assert!(expected.contains(&count), "row {row}: read {count} times");
    }
    let after = trainer
        .validation_loss()
        .expect("it is finite")
        .expect("rows are held out");
    assert!(after < 0.9 * before, "{before} -> {after}");
}
