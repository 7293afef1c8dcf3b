//! Laws that every network keeps.

mod common;

use common::{distance, fresh, normals, redrawn, small};
use score_nets::{NetConfig, NetError, UnetConfig, named_buffers, named_parameters};
use tch::{Device, Kind, Tensor};

#[test]
fn param_count_is_what_the_store_holds() {
    for (config, shape) in small() {
        let (vs, _net) = fresh(&config, &shape);
        let held: usize = named_parameters(&vs)
            .iter()
            .map(|(_, tensor)| tensor.numel())
            .sum();
        assert_eq!(
            config.param_count(&shape).expect("sound"),
            held as u64,
            "{config:?}"
        );
        assert_eq!(named_buffers(&vs).len(), 1, "the frequencies");
    }
}

/// Hand-computed: time 2 x 4,160; x 512; t 16,640; four blocks of 16,640 + 2 x 65,536; norm 512; out 514.
#[test]
fn param_count_of_the_default_mlp() {
    assert_eq!(
        NetConfig::recommended_defaults(&[2])
            .param_count(&[2])
            .expect("sound"),
        617_346
    );
}

/// Counted layer by layer for one level, one block of 4 channels on `[1, 8]`, kernel 3, embedding 16, no attention:
/// time 4 x 16 + 16 and 16 x 16 + 16; in 16; down: a block of 4 to 4 channels; bottom: two; up: two of 8 to 4, with
/// a skip; norm 8; out 13. A block from c: norm 2c, conv1 12c + 4, time 16 x 8 + 8, norm 8, conv2 52, and the skip
/// 4c + 4 where c = 8.
#[test]
fn param_count_of_a_small_unet() {
    let config = UnetConfig {
        channels: 4,
        channel_mult: vec![1],
        blocks: 1,
        attention: Some(vec![]),
        mid_attention: false,
        ..Default::default()
    };
    let block = |c: u64| 2 * c + 12 * c + 4 + 136 + 8 + 52 + if c == 8 { 36 } else { 0 };
    let hand = 80 + 272 + 16 + 3 * block(4) + 2 * block(8) + 8 + 13;
    assert_eq!(
        NetConfig::Unet1d(config).param_count(&[1, 8]).expect("sound"),
        hand
    );
}

/// Counted by an independent implementation of the same networks in PyTorch.
#[test]
fn param_count_of_the_default_unets() {
    let config = NetConfig::recommended_defaults(&[1, 8, 8]);
    assert_eq!(config.param_count(&[1, 8, 8]).expect("sound"), 1_079_009);
    let three_levels = NetConfig::Unet2d(UnetConfig::default());
    assert_eq!(three_levels.param_count(&[1, 8, 8]).expect("sound"), 1_741_729);
    assert_eq!(NetConfig::output_size(&[1, 8, 8]), 64);
}

#[test]
fn recommended_defaults_fit_every_shape() {
    for shape in [
        &[1][..],
        &[64],
        &[1, 1],
        &[2, 5],
        &[1, 24],
        &[3, 140],
        &[1, 1, 1],
        &[1, 8, 8],
        &[3, 28, 30],
        &[1, 2, 2, 2],
    ] {
        let config = NetConfig::recommended_defaults(shape);
        assert!(config.param_count(shape).expect("sound") > 0, "{shape:?}");
    }
}

#[test]
fn output_has_the_shape_of_the_input() {
    for (config, shape) in small() {
        let (_vs, net) = fresh(&config, &shape);
        for rows in [0, 1, 3] {
            let x = normals(rows, &shape, Kind::Float);
            let time = Tensor::arange(rows, (Kind::Float, Device::Cpu)) / 7.0;
            assert_eq!(
                net.forward(&x, &time, false).expect("runs").size(),
                x.size(),
                "{config:?}"
            );
        }
    }
}

#[test]
fn every_size_from_one_runs() {
    let config = UnetConfig {
        channels: 4,
        blocks: 1,
        ..Default::default()
    };
    for size in 1..=9 {
        for (config, shape) in [
            (NetConfig::Unet1d(config.clone()), vec![1, size]),
            (NetConfig::Unet2d(config.clone()), vec![1, size, 10 - size]),
        ] {
            let (_vs, net) = fresh(&config, &shape);
            let x = normals(2, &shape, Kind::Float);
            let out = net
                .forward(&x, &Tensor::from_slice(&[0.1_f32, 0.9]), false)
                .expect("runs");
            assert_eq!(out.size(), x.size());
        }
    }
}

#[test]
fn gradient_reaches_every_parameter() {
    for (config, shape) in small() {
        let (vs, net) = redrawn(&config, &shape, Kind::Double);
        let x = normals(3, &shape, Kind::Double);
        let time = Tensor::from_slice(&[0.1_f64, 0.5, 0.9]);
        let out = net.forward(&x, &time, true).expect("runs");
        (out * normals(3, &shape, Kind::Double))
            .sum(Kind::Double)
            .backward();
        for (name, tensor) in named_parameters(&vs) {
            let grad = tensor.grad();
            assert!(grad.defined(), "{name} has no gradient");
            let norm = grad.norm().double_value(&[]);
            assert!(norm > 1e-8 && norm.is_finite(), "{name}: gradient norm {norm}");
        }
    }
}

/// As built, the last convolution is nearly zero: the output is, too.
#[test]
fn starts_near_zero() {
    for (config, shape) in small() {
        let (_vs, net) = fresh(&config, &shape);
        let out = net.forward(
            &normals(3, &shape, Kind::Float),
            &Tensor::from_slice(&[0.1_f32, 0.5, 0.9]),
            false,
        );
        assert!(out.expect("runs").abs().max().double_value(&[]) < 1e-3);
    }
}

#[test]
fn output_depends_on_time_and_state() {
    for (config, shape) in small() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        let x = normals(1, &shape, Kind::Double);
        let run = |x: &Tensor, t: f64| net.forward(x, &Tensor::from_slice(&[t]), false).expect("runs");
        let out = run(&x, 0.3);
        assert!(distance(&out, &run(&x, 0.6)) > 1e-3, "time, {config:?}");
        assert!(distance(&out, &run(&(&x + 0.1), 0.3)) > 1e-3, "state, {config:?}");
    }
}

#[test]
fn single_precision_agrees_with_double() {
    for (config, shape) in small() {
        let (mut vs, net) = redrawn(&config, &shape, Kind::Float);
        let (x, time) = (
            normals(3, &shape, Kind::Float),
            Tensor::from_slice(&[0.1_f32, 0.5, 0.9]),
        );
        let single = net.forward(&x, &time, false).expect("runs");
        vs.double();
        let double = net
            .forward(&x.to_kind(Kind::Double), &time.to_kind(Kind::Double), false)
            .expect("runs");
        let size = double.abs().max().double_value(&[]);
        assert!(
            distance(&single, &double) < 2e-5 * size.max(1.0),
            "{config:?}: {}",
            distance(&single, &double)
        );
    }
}

#[test]
fn rows_are_independent() {
    for (config, shape) in small() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Float);
        let (x, time) = (
            normals(3, &shape, Kind::Float),
            Tensor::from_slice(&[0.1_f32, 0.5, 0.9]),
        );
        let whole = net.forward(&x, &time, false).expect("runs");
        let size = whole.abs().max().double_value(&[]).max(1.0);
        for row in 0..3 {
            let one = net
                .forward(&x.narrow(0, row, 1), &time.narrow(0, row, 1), false)
                .expect("runs");
            assert!(
                distance(&one, &whole.narrow(0, row, 1)) < 1e-6 * size,
                "{config:?}"
            );
        }
        let same = Tensor::full([1], 0.5_f64, (Kind::Float, Device::Cpu)).expand([3], false);
        let shared = net.forward(&x, &same, false).expect("runs");
        let each = net.forward(&x, &same.contiguous(), false).expect("runs");
        assert!(distance(&shared, &each) < 1e-6 * size, "{config:?}");
    }
}

#[test]
fn dropout_acts_in_training_only() {
    let config = UnetConfig {
        channels: 8,
        dropout: 0.5,
        ..Default::default()
    };
    let (_vs, net) = redrawn(&NetConfig::Unet2d(config), &[1, 4, 4], Kind::Float);
    let (x, time) = (
        normals(2, &[1, 4, 4], Kind::Float),
        Tensor::from_slice(&[0.2_f32, 0.7]),
    );
    let run = |train| net.forward(&x, &time, train).expect("runs");
    assert_eq!(distance(&run(false), &run(false)), 0.0);
    assert!(distance(&run(true), &run(true)) > 1e-3);
}

#[test]
fn configurations_are_refused_by_key() {
    let shape = [1, 8, 8];
    let refuse = |text: &str, key: &str| {
        let config: NetConfig = toml::from_str(text).expect("parses");
        let Err(NetError::Config {
            key: named, reason, ..
        }) = config.param_count(&shape)
        else {
            panic!("{text} was accepted");
        };
        assert_eq!(named, key);
        assert!(!reason.is_empty());
    };
    refuse("kind = \"unet2d\"\nchannels = 0", "net.channels");
    refuse("kind = \"unet2d\"\nchannels = -3", "net.channels");
    refuse("kind = \"unet2d\"\nchannel_mult = []", "net.channel_mult");
    refuse("kind = \"unet2d\"\nchannel_mult = [1, 0]", "net.channel_mult");
    refuse("kind = \"unet2d\"\nblocks = 0", "net.blocks");
    refuse("kind = \"unet2d\"\ngroups = 0", "net.groups");
    refuse("kind = \"unet2d\"\nattention = [5]", "net.attention");
    refuse("kind = \"unet2d\"\nhead_channels = 7", "net.head_channels");
    refuse("kind = \"unet2d\"\nkernel = 4", "net.kernel");
    refuse("kind = \"unet2d\"\ndropout = 1.0", "net.dropout");
    refuse("kind = \"unet2d\"\ndropout = nan", "net.dropout");
    refuse("kind = \"unet2d\"\nembed_dim = 0", "net.embed_dim");
    refuse("kind = \"unet2d\"\nfourier_scale = -1.0", "net.fourier_scale");
    refuse("kind = \"mlp\"\nhidden_size = 0", "net.hidden_size");
    refuse("kind = \"mlp\"\nnum_layers = 0", "net.num_layers");
    for misspelt in [
        "kind = \"unet2d\"\nchanels = 3",
        "kind = \"mlp\"\nhidden = 3",
        "kind = \"unet3d\"",
        "channels = 3",
    ] {
        assert!(toml::from_str::<NetConfig>(misspelt).is_err(), "{misspelt}");
    }
    for wrong in [&[][..], &[1, 0, 8], &[8, 8]] {
        assert!(matches!(
            NetConfig::recommended_defaults(&[1, 8, 8]).param_count(wrong),
            Err(NetError::Shape { .. })
        ));
    }
}

#[test]
fn configurations_survive_a_round_trip() {
    for (config, _) in small() {
        let text = toml::to_string(&config).expect("serialises");
        assert_eq!(toml::from_str::<NetConfig>(&text).expect("parses"), config);
    }
}

#[test]
fn inputs_of_another_shape_are_refused() {
    for (config, shape) in small() {
        let (_vs, net) = fresh(&config, &shape);
        let time = Tensor::from_slice(&[0.5_f32, 0.5]);
        let mut other = shape.clone();
        other[0] += 1;
        let x = normals(2, &other, Kind::Float);
        assert!(matches!(
            net.forward(&x, &time, false),
            Err(NetError::Shape { .. })
        ));
        let x = normals(3, &shape, Kind::Float);
        assert!(matches!(
            net.forward(&x, &time, false),
            Err(NetError::Shape { .. })
        ));
    }
}
