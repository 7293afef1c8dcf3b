//! Laws that every network keeps.

use score_nets::{NetConfig, UnetConfig, named_parameters};
use tch::{Device, Kind, Tensor, nn};

fn build(config: &NetConfig, shape: &[i64]) -> (nn::VarStore, Box<dyn score_nets::ScoreNet>) {
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = config.build(&vs.root(), shape).expect("a sound configuration");
    (vs, net)
}

fn cases() -> Vec<(NetConfig, Vec<i64>)> {
    let small = UnetConfig {
        channels: 8,
        head_channels: Some(4),
        ..Default::default()
    };
    vec![
        (NetConfig::recommended_defaults(&[2]), vec![2]),
        (NetConfig::Unet1d(small.clone()), vec![3, 13]),
        (NetConfig::Unet2d(small), vec![1, 5, 7]),
        (NetConfig::recommended_defaults(&[1, 8, 8]), vec![1, 8, 8]),
    ]
}

#[test]
fn param_count_is_what_the_store_holds() {
    for (config, shape) in cases() {
        let (vs, _net) = build(&config, &shape);
        let held: usize = named_parameters(&vs)
            .iter()
            .map(|(_, tensor)| tensor.numel())
            .sum();
        assert_eq!(
            config.param_count(&shape).expect("sound"),
            held as u64,
            "{config:?}"
        );
    }
}

#[test]
fn output_has_the_shape_of_the_input() {
    for (config, shape) in cases() {
        let (_vs, net) = build(&config, &shape);
        for rows in [0, 1, 3] {
            let mut size = vec![rows];
            size.extend(&shape);
            let x = Tensor::randn(&size, (Kind::Float, Device::Cpu));
            let time = Tensor::rand(rows, (Kind::Float, Device::Cpu));
            assert_eq!(
                net.forward(&x, &time, false).expect("runs").size(),
                size,
                "{config:?}"
            );
        }
    }
}
