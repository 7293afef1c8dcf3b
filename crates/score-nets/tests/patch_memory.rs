//! An image of 1024 x 1024 pixels is sampled through a patch network within a stated memory. A program of its own, since the peak of
//! a process is measured.
#![allow(clippy::print_stdout, reason = "a test shows what it measured")]

use score_nets::{NetConfig, NetScore, PatchConfig, ScoreNet, TensorNoise, TensorState, UnetConfig, seeded};
use sde_core::config::SdeConfig;
use sde_core::precond::PrecondConfig;
use solvers::config::SamplerConfig;
use solvers::sampler::draw_prior;
use solvers::{Job, Sampler};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const SHAPE: [i64; 3] = [3, 1024, 1024];
const PATCH: i64 = 64;
const CHANNELS: i64 = 8;

/// A field of this process's status, in bytes; `None` where the system does not tell.
fn status(field: &str) -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

/// The network with at most so many windows a pass. Weights depend on the seed alone.
fn net(chunk: i64) -> (VarStore, Box<dyn ScoreNet>) {
    let config = NetConfig::Patch(PatchConfig {
        patch: PATCH,
        stride: Some(60),
        chunk: Some(chunk),
        unet: UnetConfig {
            channels: CHANNELS,
            channel_mult: vec![1, 2],
            blocks: 1,
            attention: Some(Vec::new()),
            mid_attention: false,
            ..UnetConfig::default()
        },
        ..PatchConfig::default()
    });
    let vs = VarStore::new(Device::Cpu);
    let net = seeded(1, || {
        let net = config.build(&vs.root(), &SHAPE).expect("a sound configuration");
        // The last convolution begins at zero, which would hide what the others say.
        let last = vs.variables().remove("conv_out.weight").expect("its name");
        let _ = tch::no_grad(|| last.shallow_clone().normal_(0.0, 0.1));
        net
    });
    (vs, net)
}

/// One image in five evaluations.
fn sample(net: &dyn ScoreNet, shape: &[i64]) -> Tensor {
    let _guard = tch::no_grad_guard();
    let sde = toml::from_str::<SdeConfig>("kind = 'edm'").expect("a table");
    let sde = sde.build().expect("an SDE");
    let precond = toml::from_str::<PrecondConfig>("kind = 'edm'").expect("a table");
    let precond = precond.build(sde.clone()).expect("a preconditioning");
    let sampler = toml::from_str::<SamplerConfig>("kind = 'heun'\nsteps = 2\nfinal = 'tweedie'");
    let sampler: Box<dyn Sampler<TensorState>> = sampler.expect("a table").build(&*sde).expect("a sampler");
    let noise = TensorNoise {
        seed: 7,
        first_row: 0,
    };
    let mut x = TensorState::zeros(1, shape, Kind::Float, Device::Cpu).expect("allocates");
    draw_prior(&*sde, sampler.t_start(), &noise, &mut x).expect("draws");
    let job = Job {
        sde: &*sde,
        score: &NetScore::new(net, precond),
        noise: &noise,
        first_row: 0,
    };
    let stats = sampler.run(&job, &mut x, &mut ()).expect("samples");
    assert_eq!(stats.nfe, 5);
    x.tensor().shallow_clone()
}

/// Above what the program takes by itself, the memory is at most that of 12 states (those of the sampler, of the score and the sum over
/// windows; a state is 12 MiB) and of 40 maps of a pass, each `4 chunk patch^2 channels` bytes: 8 and 31 as measured. Were the maps those
/// of all windows at once, they would take 1.1 GiB. Samples agree over chunks to rounding, not to the bit: libtorch may sum in another order for
/// another number of windows.
#[test]
fn an_image_of_1024_by_1024_is_sampled_in_bounded_memory() {
    tch::set_num_threads(1);
    let mib = |bytes: i64| bytes as f64 / f64::from(1 << 20);
    let (_vs, small) = net(1);
    // Loads what libtorch loads at its first convolution.
    let _ = sample(small.as_ref(), &[3, 64, 64]);
    let base = status("VmRSS:");
    let state = 4 * SHAPE.iter().product::<i64>();
    let mut images = Vec::new();
    for chunk in [4, 32] {
        let (_vs, net) = net(chunk);
        let begun = std::time::Instant::now();
        images.push(sample(net.as_ref(), &SHAPE));
        let bound = 12 * state + 40 * 4 * chunk * PATCH * PATCH * CHANNELS;
        let (Some(base), Some(peak)) = (base, status("VmHWM:")) else {
            println!("this system does not tell the peak of a process");
            continue;
        };
        println!(
            "chunk {chunk}: peak {:.0} MiB, {:.0} above the {:.0} before; bound {:.0}; {:.1} s",
            mib(peak),
            mib(peak - base),
            mib(base),
            mib(bound),
            begun.elapsed().as_secs_f64()
        );
        assert!(peak - base <= bound);
    }
    let size = images[0].abs().max().double_value(&[]);
    let difference = (&images[1] - &images[0]).abs().max().double_value(&[]);
    println!("chunks differ by {difference:e} of {size:e}");
    assert!(size > 0.1 && difference <= 1e-4 * size);
    let spread = images[0].std(false).double_value(&[]);
    assert!(spread.is_finite() && spread > 1e-3);
}
