//! The learned weighting.

use std::sync::Arc;

use score_nets::{Given, NetError, ScoreNet};
use tch::{Device, Kind, Tensor};
use train::config::Reduction;
use train::loss::{Dsm, LearnedWeighting, Loss, Objective, Origin, TrainDraw};
use train::optim::{AdamW, AdamWConfig, FlatParams};

use crate::linear::objective;

/// The one value of the data.
const DATA: f64 = 2.0;

/// Twice its input.
#[derive(Debug)]
struct Twice;

impl ScoreNet for Twice {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(x * 2.0)
    }
}

fn draw(times: Vec<f64>, seed: i64, train: bool) -> TrainDraw {
    let rows = times.len();
    TrainDraw {
        ratios: vec![1.0; rows],
        noise: score_nets::seeded(seed, || {
            Tensor::randn([rows as i64, 2], (Kind::Float, Device::Cpu))
        }),
        times,
        train,
        given: Given::default(),
        origin: Origin::default(),
    }
}

fn learned(objective: &Objective) -> LearnedWeighting {
    let (sde, reduction) = (Arc::clone(&objective.sde), objective.reduction);
    let plain = Box::new(Dsm::of(objective.clone()));
    LearnedWeighting::new(plain, sde, reduction, 3, Device::Cpu).expect("allocates")
}

/// At the start it is the plain loss, and on held-out rows always.
#[test]
fn it_starts_as_the_plain_loss() {
    tch::set_num_threads(1);
    let objective = objective("vp", "eps", "sigma2", Reduction::Mean);
    let (loss, plain) = (learned(&objective), Dsm::of(objective));
    let x0 = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
    let values = |loss: &dyn Loss, train: bool| {
        let draw = draw(vec![0.1, 0.5, 0.9], 1, train);
        Vec::<f32>::try_from(loss.per_row(&Twice, &x0, &draw).expect("shapes fit")).expect("rows")
    };
    assert_eq!(values(&loss, true), values(&plain, true));
    for (_, parameter) in loss.parameters() {
        let _ = tch::no_grad(|| parameter.shallow_clone().fill_(0.3));
    }
    assert_eq!(values(&loss, false), values(&plain, false));
    assert_ne!(values(&loss, true), values(&plain, true));
    // exp(-u) loss + u
    let level = Vec::<f32>::try_from(loss.log_level(&[0.1, 0.5, 0.9]).expect("runs")).expect("times");
    for ((got, plain), u) in values(&loss, true).iter().zip(values(&plain, true)).zip(level) {
        assert!((got - (plain * (-u).exp() + u)).abs() < 1e-4 * got.abs().max(1.0));
    }
}

/// Trained alone, `exp(u)` becomes the mean loss of each level: here `E (2 input x_t - z)^2`, which falls from 17 to 1 over the times. With sums it is still the mean over the values.
#[test]
fn it_learns_the_loss_of_each_level() {
    tch::set_num_threads(1);
    for reduction in [Reduction::Mean, Reduction::Sum] {
        let objective = objective("vp", "eps", "sigma2", reduction);
        let loss = learned(&objective);
        let params = FlatParams::bind(loss.parameters()).expect("leaves");
        let mut adam = AdamW::new(AdamWConfig::default(), params.values());
        let rows = 512;
        let x0 = Tensor::full([rows, 2], DATA, (Kind::Float, Device::Cpu));
        for step in 0..600 {
            let times = (0..rows)
                .map(|i| 0.02 + 0.98 * (i as f64 + 0.5) / rows as f64)
                .collect();
            let per_row = loss
                .per_row(&Twice, &x0, &draw(times, 10 + step, true))
                .expect("shapes fit");
            params
                .backward(&per_row.mean(Kind::Float), false)
                .expect("a backward pass");
            let lr = 0.1 * (1.0 - step as f64 / 600.0);
            adam.step(params.values(), params.grads(), lr, 1.0);
        }
        let times = [0.05, 0.2, 0.5, 0.9];
        let learned = Vec::<f32>::try_from(loss.log_level(&times).expect("runs")).expect("times");
        for (t, u) in times.iter().zip(learned) {
            let c = objective.coefs(*t);
            let want = (2.0 * c.input[0] * DATA).powi(2) + (2.0 * c.input[1] - 1.0).powi(2);
            // A level is seen by some 50 rows a step over the last hundreds: 5 % is several standard errors.
            let off = f64::from(u) - want.ln();
            assert!(
                off.abs() < 0.05,
                "{reduction:?} at {t}: exp(u) = {}, {want}",
                u.exp()
            );
        }
    }
}
