//! `UNet2DModel` as a network of this workspace: what it refuses, how it starts, what it costs to embed a time.

mod common;

use common::{distance, normals};
use score_nets::diffusers::{Unet2dConfig, Unet2dModel};
use score_nets::{Given, NetConfig, NetError, ScoreNet, named_buffers, named_parameters, seeded};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn, no_grad};

fn config(changes: Value) -> Unet2dConfig {
    let mut keys = json!({
        "in_channels": 2, "out_channels": 2, "block_out_channels": [8, 12], "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4, "attention_head_dim": 4,
    });
    for (key, value) in changes.as_object().expect("an object") {
        keys[key] = value.clone();
    }
    serde_json::from_value(keys).expect("keys of the network")
}

fn build(config: &Unet2dConfig) -> (nn::VarStore, Unet2dModel) {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(1, || Unet2dModel::new(config, &vs.root())).expect("a sound configuration");
    (vs, net)
}

fn times(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float)
}

#[test]
fn one_time_for_all_rows_is_embedded_once_and_means_the_same() {
    for changes in [json!({}), json!({"time_embedding_type": "fourier"})] {
        let (_vs, net) = build(&config(changes));
        let x = normals(3, &[2, 4, 6], Kind::Float);
        let one = times(&[17.0]);
        let shared = net.forward(&x, &one.expand([3], false), false).expect("runs");
        let each = net.forward(&x, &times(&[17.0; 3]), false).expect("runs");
        let bound = 1e-5 * each.abs().max().double_value(&[]).max(1.0);
        assert!(distance(&shared, &each) < bound);
        // a row depends on its own x and time alone
        let other = net.forward(&x, &times(&[17.0, 3.0, 900.0]), false).expect("runs");
        assert!(distance(&other.narrow(0, 0, 1), &each.narrow(0, 0, 1)) < bound);
        assert!(distance(&other.narrow(0, 1, 2), &each.narrow(0, 1, 2)) > 1e-3);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let (_vs, net) = build(&config(json!({})));
    let x = |shape: &[i64]| normals(2, shape, Kind::Float);
    for (x, time) in [
        (x(&[2, 5, 4]), times(&[1.0, 2.0])),
        (x(&[3, 4, 4]), times(&[1.0, 2.0])),
        (x(&[2, 4]), times(&[1.0, 2.0])),
        (x(&[2, 0, 4]), times(&[1.0, 2.0])),
        (x(&[2, 4, 4]), times(&[1.0])),
        (x(&[2, 4, 4]), times(&[1.0, 2.0]).view([2, 1])),
    ] {
        let refused = net.forward(&x, &time, false).expect_err("does not fit");
        assert!(matches!(refused, NetError::Shape { .. }), "{refused}");
    }
    let (x, time) = (x(&[2, 4, 4]), times(&[1.0, 2.0]));
    let refused = net
        .forward_with_class(&x, &time, Some(&time), false)
        .expect_err("no classes");
    assert!(refused.to_string().contains("knows no classes"), "{refused}");

    let (_vs, classes) = build(&config(json!({"num_class_embeds": 3})));
    let run = |labels: &Tensor| classes.forward_with_class(&x, &time, Some(labels), false);
    assert!(classes.is_class_conditional() && !net.is_class_conditional());
    let refused = classes
        .forward_with_class(&x, &time, None, false)
        .expect_err("no label");
    assert!(refused.to_string().contains("made for classes"), "{refused}");
    for bad in [
        Tensor::from_slice(&[0_i64, 3]),
        Tensor::from_slice(&[-2_i64, 0]),
        Tensor::from_slice(&[0.5_f32, 1.0]),
        Tensor::from_slice(&[f32::NAN, 1.0]),
        Tensor::from_slice(&[0_i64, 1, 2]),
    ] {
        let refused = run(&bad).expect_err("no such class");
        assert!(
            matches!(refused, NetError::Value { .. } | NetError::Shape { .. }),
            "{refused}"
        );
    }
    let (once, each) = (
        run(&Tensor::from_slice(&[2_i64])),
        run(&Tensor::from_slice(&[2_i64, 2])),
    );
    assert!(distance(&once.expect("runs"), &each.expect("runs")) < 1e-5);

    let learned = json!({"time_embedding_type": "learned", "num_train_timesteps": 5});
    let (_vs, learned) = build(&config(learned));
    let refused = learned
        .forward(&x, &times(&[4.0, 5.0]), false)
        .expect_err("no such time");
    assert!(
        refused
            .to_string()
            .contains("got 5, need a whole number from 0 to 4"),
        "{refused}"
    );
    let (_vs, fourier) = build(&config(json!({"time_embedding_type": "fourier"})));
    for low in [0.0, -1.0, f64::NAN] {
        let refused = fourier
            .forward(&x, &times(&[3.0, low]), false)
            .expect_err("no logarithm");
        assert!(
            refused.to_string().contains("time input of the network: got "),
            "{refused}"
        );
    }
    // the nearest learned time
    let near = learned.forward(&x, &times(&[3.9, 0.2]), false).expect("runs");
    let exact = learned.forward(&x, &times(&[4.0, 0.0]), false).expect("runs");
    assert_eq!(near, exact);
}

#[test]
fn classes_are_told_as_to_every_network() {
    let (x, time) = (normals(2, &[2, 4, 4], Kind::Float), times(&[1.0, 2.0]));
    let (vs, net) = build(&config(json!({"num_class_embeds": 3})));
    let told = |labels: &[i64]| {
        let given = Given::labels(labels).expect("labels");
        net.forward_given(&x, &time, &given, false)
    };
    assert_eq!(net.classes(), 3);
    let direct = net.forward_with_class(&x, &time, Some(&Tensor::from_slice(&[2_i64, 0])), false);
    assert_eq!(told(&[2, 0]).expect("runs"), direct.expect("runs"));
    // a class that is not told adds nothing: the network without its table
    let untold = told(&[-1, -1]).expect("runs");
    let plain = net.forward(&x, &time, false).expect("runs");
    assert!(distance(&untold, &plain) < 1e-6);
    let (bare_vs, bare) = build(&config(json!({})));
    let tensors = named_parameters(&vs);
    for (name, tensor) in named_parameters(&bare_vs) {
        let (_, from) = tensors.iter().find(|(own, _)| *own == name).expect("there");
        no_grad(|| tensor.shallow_clone().copy_(from));
    }
    assert!(distance(&untold, &bare.forward(&x, &time, false).expect("runs")) < 1e-6);
    assert!(
        distance(
            &told(&[-1, 0]).expect("runs").narrow(0, 1, 1),
            &plain.narrow(0, 1, 1)
        ) > 1e-4
    );
    told(&[3, 0]).expect_err("no such class");
    let refused = bare.forward_given(&x, &time, &Given::labels(&[0, 0]).expect("labels"), false);
    refused.expect_err("no classes");

    let (_vs, embedded) = build(&config(json!({"class_embed_type": "timestep"})));
    let given = |labels: &[i64]| Given::labels(labels).expect("labels");
    let have = embedded
        .forward_given(&x, &time, &given(&[7, 1]), false)
        .expect("runs");
    let direct = embedded.forward_with_class(&x, &time, Some(&times(&[7.0, 1.0])), false);
    assert_eq!(have, direct.expect("runs"));
    embedded
        .forward_given(&x, &time, &given(&[7, -1]), false)
        .expect_err("not told");
    embedded.forward(&x, &time, false).expect_err("not told");

    let (_vs, identity) = build(&config(json!({"class_embed_type": "identity"})));
    let vector = normals(2, &[32], Kind::Float);
    let given = Given::default().with_vector(vector.shallow_clone());
    let have = identity.forward_given(&x, &time, &given, false).expect("runs");
    let direct = identity.forward_with_class(&x, &time, Some(&vector), false);
    assert_eq!(have, direct.expect("runs"));
}

#[test]
fn the_table_net_checks_the_shape_of_the_data() {
    tch::set_num_threads(1);
    let net = NetConfig::DiffusersUnet2d(config(json!({})));
    for (shape, key) in [
        (vec![3, 8, 8], "net.in_channels = 2"),
        (vec![2, 7, 8], "multiples of 2"),
        (vec![2, 8], "[channels, height, width]"),
    ] {
        let vs = nn::VarStore::new(Device::Cpu);
        let refused = net
            .build(&vs.root(), &shape)
            .expect_err("does not fit")
            .to_string();
        assert!(refused.contains(key), "{refused}");
        assert_eq!(
            net.param_count(&shape).expect_err("does not fit").to_string(),
            refused
        );
        assert!(vs.is_empty(), "something was allocated first");
    }
    let vs = nn::VarStore::new(Device::Cpu);
    let built = seeded(1, || net.build(&vs.root(), &[2, 6, 4])).expect("fits");
    let x = normals(1, &[2, 6, 4], Kind::Float);
    assert_eq!(
        built.forward(&x, &times(&[3.0]), false).expect("runs").size(),
        x.size()
    );
}

#[test]
fn dropout_is_for_training() {
    let (_vs, net) = build(&config(json!({"dropout": 0.5})));
    let (x, time) = (normals(2, &[2, 4, 4], Kind::Float), times(&[1.0, 2.0]));
    let run = |train| seeded(7, || net.forward(&x, &time, train)).expect("runs");
    assert_eq!(run(false), net.forward(&x, &time, false).expect("runs"));
    assert!(distance(&run(true), &run(false)) > 1e-3);
}

#[test]
fn parameters_start_as_those_of_the_library() {
    let (vs, _) = build(&config(
        json!({"time_embedding_type": "fourier", "num_class_embeds": 50}),
    ));
    for (name, tensor) in named_parameters(&vs) {
        let values = tensor.detach().to_kind(Kind::Double);
        let most = values.abs().max().double_value(&[]);
        let count = tensor.numel() as f64;
        let std = (values.square().mean(Kind::Double).double_value(&[])).sqrt();
        let is_norm = name.contains("norm");
        let (need_std, bound) = match (is_norm, tensor.dim()) {
            (true, _) => {
                let need = if name.ends_with("weight") { 1.0 } else { 0.0 };
                assert!((values - need).abs().max().double_value(&[]) == 0.0, "{name}");
                continue;
            }
            (_, 1) => continue,
            _ if name == "class_embedding.weight" => (1.0, 6.0),
            _ => {
                let fan_in = tensor.size()[1..].iter().product::<i64>() as f64;
                ((3.0 * fan_in).powf(-0.5), fan_in.powf(-0.5))
            }
        };
        // the variance of the square is below twice that of a normal
        assert!(
            (std / need_std - 1.0).abs() < 5.0 / count.sqrt(),
            "{name}: {std} for {need_std}"
        );
        assert!(most <= bound * (1.0 + 1e-6), "{name}: {most} above {bound}");
    }
    let [(name, frequencies)] = named_buffers(&vs).try_into().expect("one buffer");
    assert_eq!((name.as_str(), frequencies.size()), ("time_proj.weight", vec![8]));
    let std = frequencies.square().mean(Kind::Double).double_value(&[]).sqrt();
    assert!((6.0..30.0).contains(&std), "{std}");
}
