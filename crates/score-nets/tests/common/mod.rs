//! What the tests share.
#![allow(dead_code)]

pub mod fixture;

use std::cell::Cell;

use score_nets::{DdpmConfig, NcsnppConfig, NetConfig, ScoreNet, UnetConfig, named_parameters, seeded};
use solvers::noise::fill_rows_f64;
use solvers::{Draw, Purpose};
use tch::{Device, Kind, Tensor, nn, no_grad};

/// A network of the given type of numbers with parameters redrawn, so that nothing is near zero.
pub fn redrawn(config: &NetConfig, shape: &[i64], kind: Kind) -> (nn::VarStore, Box<dyn ScoreNet>) {
    let (mut vs, net) = fresh(config, shape);
    no_grad(|| {
        for (_, mut tensor) in named_parameters(&vs) {
            let size = tensor.size();
            let values = normals(size[0], &size[1..], Kind::Float);
            tensor.copy_(&match size.len() {
                1 => values * 0.3 + 0.5,
                _ => values / (size[1..].iter().product::<i64>() as f64).sqrt(),
            });
        }
    });
    if kind == Kind::Double {
        vs.double();
    }
    (vs, net)
}

/// A network as built.
pub fn fresh(config: &NetConfig, shape: &[i64]) -> (nn::VarStore, Box<dyn ScoreNet>) {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = seeded(1, || config.build(&vs.root(), shape)).expect("a sound configuration");
    (vs, net)
}

/// One small network of each kind, with odd sizes, and the shape of its rows.
pub fn small() -> Vec<(NetConfig, Vec<i64>)> {
    let unet = UnetConfig {
        channels: 8,
        head_channels: Some(8),
        ..Default::default()
    };
    let other = UnetConfig {
        channels: 9,
        channel_mult: vec![1, 2],
        attention: Some(vec![6, 3]),
        time_mode: score_nets::TimeMode::Add,
        resample: score_nets::Resample::Pool,
        embedding: score_nets::embed::Embedding::Fourier,
        ..Default::default()
    };
    let mlp = score_nets::MlpConfig {
        hidden_size: 24,
        num_layers: 2,
        ..Default::default()
    };
    vec![
        (NetConfig::Mlp(mlp), vec![3]),
        (NetConfig::Unet1d(unet.clone()), vec![3, 13]),
        (NetConfig::Unet2d(unet), vec![1, 5, 7]),
        (NetConfig::Unet2d(other), vec![2, 6, 5]),
    ]
}

thread_local! {
    /// Tests run each in a thread of its own: every test sees the same numbers in every run.
    static SEED: Cell<u64> = const { Cell::new(1) };
}

/// `[rows, shape...]` normals, others at each call.
pub fn normals(rows: i64, shape: &[i64], kind: Kind) -> Tensor {
    let mut size = vec![rows];
    size.extend(shape);
    let mut values = vec![0.0; size.iter().product::<i64>() as usize];
    let seed = SEED.replace(SEED.get() + 1);
    fill_rows_f64(
        seed,
        Draw {
            step: 0,
            purpose: Purpose::Data,
        },
        0,
        4,
        &mut values,
    );
    Tensor::from_slice(&values).view(size.as_slice()).to_kind(kind)
}

/// Largest absolute difference.
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let difference = a.to_kind(Kind::Double) - b.to_kind(Kind::Double);
    difference.abs().max().double_value(&[])
}

/// A small NCSN++ with changes.
pub fn ncsnpp(change: impl Fn(&mut NcsnppConfig)) -> NetConfig {
    let mut config = NcsnppConfig {
        nf: 8,
        ch_mult: vec![1, 2],
        num_res_blocks: 1,
        attn_resolutions: vec![4],
        dropout: 0.0,
        ..NcsnppConfig::ncsnpp()
    };
    change(&mut config);
    NetConfig::Ncsnpp(config)
}

/// A small plain DDPM network with changes.
pub fn ddpm(change: impl Fn(&mut DdpmConfig)) -> NetConfig {
    let mut config = DdpmConfig {
        nf: 32,
        ch_mult: vec![1, 2],
        num_res_blocks: 1,
        ..DdpmConfig::default()
    };
    change(&mut config);
    NetConfig::Ddpm(config)
}
