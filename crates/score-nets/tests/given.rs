//! Networks that are told more than state and time.

mod common;

use common::{normals, redrawn};
use score_nets::{Given, MlpConfig, NetConfig, NetScore, ScoreNet, TensorState, UnetConfig};
use solvers::{Coef, ScoreFn};
use tch::{Device, Kind, Tensor};

/// Networks with three classes and a vector of two values; the U-Nets with a channel of an image as well.
fn nets() -> Vec<(NetConfig, Vec<i64>, bool)> {
    let unet = UnetConfig {
        channels: 8,
        channel_mult: vec![1, 2],
        blocks: 1,
        classes: 3,
        condition_size: 2,
        condition_channels: 1,
        ..Default::default()
    };
    let mlp = MlpConfig {
        hidden_size: 16,
        num_layers: 2,
        classes: 3,
        condition_size: 2,
        ..Default::default()
    };
    vec![
        (NetConfig::Mlp(mlp), vec![5], false),
        (NetConfig::Unet1d(unet.clone()), vec![2, 9], true),
        (NetConfig::Unet2d(unet), vec![1, 6, 5], true),
    ]
}

struct Batch {
    x: Tensor,
    time: Tensor,
    vector: Tensor,
    image: Option<Tensor>,
}

impl Batch {
    fn new(rows: i64, shape: &[i64], image: bool) -> Self {
        let channel: Vec<i64> = std::iter::once(1).chain(shape[1..].iter().copied()).collect();
        Batch {
            x: normals(rows, shape, Kind::Double),
            time: Tensor::arange(rows, (Kind::Double, Device::Cpu)) * 7.0,
            vector: normals(rows, &[2], Kind::Double).cos(),
            image: image.then(|| normals(rows, &channel, Kind::Double).sin()),
        }
    }

    fn given(&self, labels: &[i64]) -> Given {
        let given = Given::labels(labels)
            .expect("allocates")
            .with_vector(self.vector.shallow_clone());
        match &self.image {
            Some(image) => given.with_image(image.shallow_clone()),
            None => given,
        }
    }

    fn out(&self, net: &dyn ScoreNet, given: &Given) -> Tensor {
        net.forward_given(&self.x, &self.time, given, false)
            .expect("takes all of it")
    }
}

fn row(tensor: &Tensor, row: i64) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.get(row).contiguous().view(-1)).expect("double values")
}

#[test]
fn a_row_hears_what_it_is_told_and_no_other() {
    for (config, shape, image) in nets() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        assert_eq!(net.classes(), 3);
        let batch = Batch::new(3, &shape, image);
        let out = batch.out(net.as_ref(), &batch.given(&[0, 1, -1]));
        let other = batch.out(net.as_ref(), &batch.given(&[0, 2, -1]));
        assert_eq!(row(&out, 0), row(&other, 0), "{config:?}");
        assert_ne!(row(&out, 1), row(&other, 1), "{config:?}");
        assert_eq!(row(&out, 2), row(&other, 2), "{config:?}");
        // A class that is not told is one of no batch.
        let untold = Given::default().with_vector(batch.vector.shallow_clone());
        let untold = match &batch.image {
            Some(image) => untold.with_image(image.shallow_clone()),
            None => untold,
        };
        assert_eq!(
            row(&out, 2),
            row(&batch.out(net.as_ref(), &untold), 2),
            "{config:?}"
        );
        for changed in [
            batch.given(&[0, 1, -1]).with_vector(&batch.vector + 1.0),
            batch
                .given(&[0, 1, -1])
                .with_image(batch.image.as_ref().map_or(Tensor::new(), |i| i + 1.0)),
        ] {
            if changed.image().is_some_and(|image| !image.defined()) {
                continue;
            }
            let changed = batch.out(net.as_ref(), &changed);
            assert_ne!(row(&out, 0), row(&changed, 0), "{config:?}");
        }
    }
}

#[test]
fn a_score_tells_each_piece_of_the_batch_its_own() {
    let sde = toml::from_str::<sde_core::SdeConfig>("kind = 'vp'")
        .unwrap()
        .build()
        .unwrap();
    let precond = sde_core::PrecondConfig::default().build(sde).unwrap();
    for (config, shape, image) in nets() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        let batch = Batch::new(5, &shape, image);
        let labels = [2, 0, -1, 1, 2];
        let score = |max_rows| {
            let score = NetScore::new(net.as_ref(), precond.clone())
                .with_kind(Kind::Double)
                .with_max_rows(max_rows)
                .with_given(batch.given(&labels));
            let x = TensorState::new(batch.x.copy()).expect("rows");
            let mut out = TensorState::new(batch.x.zeros_like()).expect("rows");
            score.score(&x, Coef::All(0.3), &mut out).expect("runs");
            out.tensor().copy()
        };
        let difference = (score(5) - score(2)).abs().max().double_value(&[]);
        assert!(difference < 1e-12, "{config:?}: {difference}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    for (config, shape, image) in nets() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        let batch = Batch::new(2, &shape, image);
        let refuse = |given: &Given, word: &str| {
            let error = net
                .forward_given(&batch.x, &batch.time, given, false)
                .expect_err("does not fit")
                .to_string();
            assert!(error.contains(word), "{error}");
        };
        refuse(&batch.given(&[0, 3]), "class from 0 to 2");
        refuse(&batch.given(&[0]), "one a row");
        refuse(
            &batch
                .given(&[0, 1])
                .with_vector(Tensor::zeros([2, 3], (Kind::Double, Device::Cpu))),
            "net.condition_size",
        );
        if image {
            refuse(
                &batch.given(&[0, 1]).with_image(batch.vector.shallow_clone()),
                "net.condition_channels",
            );
        } else {
            refuse(
                &batch.given(&[0, 1]).with_image(batch.x.shallow_clone()),
                "net.condition_channels",
            );
        }
    }
    let (_vs, net) = redrawn(&NetConfig::Mlp(MlpConfig::default()), &[3], Kind::Double);
    let x = Tensor::zeros([1, 3], (Kind::Double, Device::Cpu));
    let time = Tensor::zeros([1], (Kind::Double, Device::Cpu));
    let labels = Given::labels(&[0]).expect("allocates");
    let error = net
        .forward_given(&x, &time, &labels, false)
        .expect_err("takes no class")
        .to_string();
    assert!(error.contains("net.classes"), "{error}");
}

#[test]
fn parameters_are_counted_with_conditions() {
    for (config, shape, _) in nets() {
        let (vs, _net) = redrawn(&config, &shape, Kind::Double);
        let held: i64 = vs.trainable_variables().iter().map(|t| t.numel() as i64).sum();
        assert_eq!(
            config.param_count(&shape).expect("sound"),
            held as u64,
            "{config:?}"
        );
    }
}
