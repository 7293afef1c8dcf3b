//! Training steps of score_sde (Song et al. 2021, arXiv:2011.13456) repeated with this crate's objective, optimiser and
//! average: their batches, times and noise in, their losses and weights out.

#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use score_nets::score_sde::ModelConfigFile;
use score_nets::{ScoreNet, named_parameters, named_tensors, seeded, weights};
use sde_core::{PrecondConfig, Sde, SdeConfig, WeightingConfig};
use serde::Deserialize;
use tch::{Device, Kind, Tensor, nn};
use train::config::{OptimConfig, Reduction};
use train::ema::Ema;
use train::loss::{Dsm, Loss, TrainDraw};
use train::optim::{AdamW, AdamWConfig, FlatParams, Progress, learning_rate};

#[derive(Deserialize)]
struct Facts {
    config: serde_json::Value,
    optim: Optim,
    ema_decay: f64,
    eps: f64,
    losses: Vec<f64>,
    clipped_grad_norms: Vec<f64>,
}

#[derive(Deserialize)]
struct Optim {
    optimizer: String,
    lr: f64,
    beta1: f64,
    eps: f64,
    weight_decay: f64,
    warmup: u64,
    grad_clip: f64,
}

struct Fixture {
    facts: Facts,
    io: BTreeMap<String, Tensor>,
    vs: nn::VarStore,
    net: Box<dyn ScoreNet>,
    sde: Arc<dyn Sde>,
}

fn fixture() -> Option<Fixture> {
    tch::set_num_threads(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/nets");
    if !folder.is_dir() {
        eprintln!("skipped: there is no folder {}", folder.display());
        return None;
    }
    let file = |end: &str| -> PathBuf { folder.join(format!("train_vp.{end}")) };
    let text = std::fs::read_to_string(file("json")).expect("the fixture's description");
    let facts: Facts = serde_json::from_str(&text).expect("the fixture's description");
    let io = weights::read(&file("io.safetensors")).expect("the fixture's numbers");
    let model = ModelConfigFile::from_value(facts.config.clone()).expect("a configuration of score_sde");
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(1, || model.net.build(&vs.root(), &model.shape)).expect("a sound configuration");
    weights::load(&file("weights0.safetensors"), &named_tensors(&vs)).expect("the initial weights");
    let (low, high) = model.beta;
    let sde = format!("kind = 'vp'\nbeta_min = {low:?}\nbeta_max = {high:?}");
    let sde: SdeConfig = toml::from_str(&sde).expect("a valid table");
    Some(Fixture {
        facts,
        io: io.into_iter().collect(),
        vs,
        net,
        sde: sde.build().expect("usual rates"),
    })
}

impl Fixture {
    fn loss(&self, weighting: WeightingConfig, reduction: Reduction) -> Dsm {
        let precond = PrecondConfig::default()
            .build(Arc::clone(&self.sde))
            .expect("noise prediction");
        let weighting = weighting.build(Arc::clone(&self.sde)).expect("a weighting");
        Dsm::new(Arc::clone(&self.sde), precond, weighting, reduction)
    }

    /// Batch, times and noise of a step.
    fn step(&self, step: i64) -> (Tensor, TrainDraw) {
        let part = |name: &str| self.io[name].get(step);
        // `t = u (T - eps) + eps`, in f32 as there.
        let times = part("u") * (1.0 - self.facts.eps) + self.facts.eps;
        let times = Vec::<f64>::try_from(times.to_kind(Kind::Double)).expect("one time a row");
        let draw = TrainDraw {
            ratios: vec![1.0; times.len()],
            times,
            noise: part("z"),
            train: true,
            given: score_nets::Given::default(),
            origin: train::loss::Origin::default(),
        };
        (part("batch"), draw)
    }
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[])
}

/// The four forms of the loss, on the first batch.
#[test]
fn losses_of_score_sde() {
    let Some(fixture) = fixture() else { return };
    let (x0, draw) = fixture.step(0);
    let (sigma2, likelihood) = (WeightingConfig::Sigma2 {}, WeightingConfig::Likelihood {});
    // Its sum over the values of a row has a factor of one half.
    for (name, weighting, reduction, factor) in [
        ("_loss.lw0.mean1", sigma2, Reduction::Mean, 1.0),
        ("_loss.lw0.mean0", sigma2, Reduction::Sum, 0.5),
        ("_loss.lw1.mean1", likelihood, Reduction::Mean, 1.0),
        ("_loss.lw1.mean0", likelihood, Reduction::Sum, 0.5),
    ] {
        let per_row = fixture
            .loss(weighting, reduction)
            .per_row(fixture.net.as_ref(), &x0, &draw);
        let loss = factor * per_row.expect("runs").mean(Kind::Double).double_value(&[]);
        let want = fixture.io[name].double_value(&[0]);
        assert!((loss - want).abs() <= 1e-5 * want, "{name}: {loss}, not {want}");
    }
}

#[test]
fn five_training_steps_of_score_sde() {
    let Some(fixture) = fixture() else { return };
    let Facts {
        optim,
        ema_decay,
        losses,
        clipped_grad_norms,
        ..
    } = &fixture.facts;
    assert_eq!(optim.optimizer, "Adam");
    let params = FlatParams::bind(named_parameters(&fixture.vs)).expect("f32 leaves");
    let adam = AdamWConfig {
        beta1: optim.beta1,
        beta2: 0.999,
        eps: optim.eps,
        weight_decay: optim.weight_decay,
    };
    let mut adam = AdamW::new(adam, params.values());
    let mut ema = Ema::new(*ema_decay, true, params.values());
    // Its average counts an update before it looks up the decay; ours after.
    ema.set_updates(1);
    let loss = fixture.loss(WeightingConfig::Sigma2 {}, Reduction::Mean);
    for (step, (want_loss, want_norm)) in losses.iter().zip(clipped_grad_norms).enumerate() {
        let (x0, draw) = fixture.step(step as i64);
        let batch = x0.size()[0] as u64;
        let mean = loss
            .per_row(fixture.net.as_ref(), &x0, &draw)
            .expect("runs")
            .mean(Kind::Float);
        params.backward(&mean, false).expect("a backward pass");
        let value = mean.double_value(&[]);
        assert!(
            (value - want_loss).abs() <= 1e-5 * want_loss,
            "step {step}: loss {value}, not {want_loss}"
        );

        let norm = params.grads().norm().double_value(&[]);
        // PyTorch's clipping adds 1e-6 to the norm.
        let scale = (optim.grad_clip / (norm + 1e-6)).min(1.0);
        let clipped = norm * scale;
        assert!(
            (clipped - want_norm).abs() <= 1e-4 * want_norm,
            "step {step}: gradient norm {clipped}, not {want_norm}"
        );

        // Its warm-up counts the steps done, so that the first one has rate 0; ours counts this step's images too.
        let config = OptimConfig {
            lr: optim.lr,
            warmup_images: optim.warmup * batch,
            ..OptimConfig::default()
        };
        let lr = learning_rate(
            &config,
            Progress {
                images: step as u64 * batch,
                batch: 0,
                fraction: 0.0,
            },
        );
        assert!((lr - optim.lr * (step as f64 / optim.warmup as f64).min(1.0)).abs() < 1e-12);
        adam.step(params.values(), params.grads(), lr, scale);
        ema.update(params.values());
    }
    for (prefix, flat) in [("final", params.values()), ("ema", ema.average())] {
        let views = params.named_views(flat);
        assert!(views.len() > 50, "{} tensors", views.len());
        for (name, tensor) in views {
            let far = distance(&tensor, &fixture.io[&format!("{prefix}.{name}")]);
            assert!(far <= 1e-5, "{prefix}.{name} differs by {far:e}");
        }
    }
}
