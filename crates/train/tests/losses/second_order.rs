//! Derivatives of derivatives: the gradient of the sliced loss through every layer of the networks, against differences of the loss
//! itself in double precision.

use std::sync::Arc;

use score_nets::{NetConfig, ScoreNet, named_parameters};
use sde_core::PrecondConfig;
use tch::{Device, Kind, Tensor, nn, no_grad};
use train::config::Reduction;
use train::loss::{Loss, Origin, PatchLoss, Projection, Sliced, TrainDraw};

use crate::linear::objective;

/// Small networks with every kind of layer, and the shape of their data.
fn nets() -> Vec<(&'static str, Vec<i64>)> {
    vec![
        (
            "kind = 'mlp'\nhidden_size = 6\nnum_layers = 2\nclasses = 3\ndropout = 0.2",
            vec![3],
        ),
        (
            "kind = 'unet1d'\nchannels = 8\nchannel_mult = [1, 2]\nblocks = 1\nattention = [4]\nresample = 'pool'",
            vec![1, 8],
        ),
        (
            "kind = 'unet2d'\nchannels = 8\nchannel_mult = [1, 2]\nblocks = 1\nattention = [4]\nclasses = 3",
            vec![1, 4, 4],
        ),
        (
            "kind = 'patch'\npatch = 4\n[unet]\nchannels = 8\nchannel_mult = [1]\nblocks = 1",
            vec![1, 6, 6],
        ),
        (
            "kind = 'ncsnpp'\nnf = 16\nch_mult = [1, 2]\nnum_res_blocks = 1\nattn_resolutions = [4]\nfourier_scale = 0.5",
            vec![1, 4, 4],
        ),
        (
            "kind = 'ddpmpp'\nnf = 16\nch_mult = [1, 1]\nnum_res_blocks = 1\nattn_resolutions = [4]\nprogressive = 'output_skip'",
            vec![1, 4, 4],
        ),
        (
            "kind = 'ddpm'\nnf = 32\nch_mult = [1, 1]\nnum_res_blocks = 1\nattn_resolutions = [4]",
            vec![1, 4, 4],
        ),
        (
            "kind = 'diffusers-unet2d'\nin_channels = 1\nout_channels = 1\nblock_out_channels = [8, 8]\n\
             down_block_types = ['DownBlock2D', 'AttnDownBlock2D']\nup_block_types = ['AttnUpBlock2D', 'UpBlock2D']\n\
             layers_per_block = 1\nnorm_num_groups = 2\nattention_head_dim = 4",
            vec![1, 4, 4],
        ),
    ]
}

struct Case {
    net: Box<dyn ScoreNet>,
    loss: Box<dyn Loss>,
    x0: Tensor,
    draw: TrainDraw,
}

impl Case {
    /// Mean loss; dropout has the same masks each time.
    fn value(&self) -> Tensor {
        let rows = || self.loss.per_row(self.net.as_ref(), &self.x0, &self.draw);
        score_nets::seeded(5, rows)
            .expect("shapes fit")
            .mean(Kind::Double)
    }

    /// The slope of the loss along a direction: central differences at `h` and `h/2`, extrapolated to fourth order.
    fn slope(&self, parameters: &[Tensor], direction: &[Tensor]) -> f64 {
        let shift = |h: f64| {
            for (parameter, direction) in parameters.iter().zip(direction) {
                let _ = no_grad(|| parameter.shallow_clone().g_add_(&(direction * h)));
            }
        };
        let at = |h: f64| {
            shift(h);
            let value = self.value().double_value(&[]);
            shift(-h);
            value
        };
        let central = |h: f64| (at(h) - at(-h)) / (2.0 * h);
        let h = 5e-4;
        (4.0 * central(h / 2.0) - central(h)) / 3.0
    }
}

/// Networks whose layers all matter: weights of the size of their fan-in, shifts and scales away from 0 and 1.
fn case(text: &str, shape: &[i64], variance_reduced: bool) -> (nn::VarStore, Case) {
    let config: NetConfig = toml::from_str(text).expect("a network");
    let mut vs = nn::VarStore::new(Device::Cpu);
    let net = score_nets::seeded(1, || config.build(&vs.root(), shape)).expect("a sound network");
    vs.double();
    let options = (Kind::Double, Device::Cpu);
    score_nets::seeded(2, || {
        for (_, parameter) in named_parameters(&vs) {
            let size = parameter.size();
            let fan: i64 = size.iter().skip(1).product();
            let normals = Tensor::randn(size.as_slice(), options);
            let value = match size.len() {
                1 => normals * 0.3 + parameter.detach(),
                _ => normals / (fan as f64).sqrt(),
            };
            no_grad(|| parameter.shallow_clone().copy_(&value));
        }
    });
    let rows = 2;
    let size: Vec<i64> = [rows].iter().chain(shape).copied().collect();
    let normals = |seed| score_nets::seeded(seed, || Tensor::randn(size.as_slice(), options));
    let given = match net.classes() {
        0 => score_nets::Given::default(),
        _ => score_nets::Given::labels(&[2, -1]).expect("allocates"),
    };
    let mut objective = objective("vp", "edm", "sigma2", Reduction::Mean);
    // Some of the networks take noise levels only.
    let precond: PrecondConfig =
        toml::from_str("kind = 'edm'\ntime_input = 'sigma'").expect("a preconditioning");
    objective.precond = precond.build(Arc::clone(&objective.sde)).expect("usual values");
    let sliced = Sliced::new(objective, Projection::Gaussian, 2, variance_reduced);
    let loss: Box<dyn Loss> = match &config {
        NetConfig::Patch(_) => Box::new(PatchLoss::new(Box::new(sliced), vec![4])),
        _ => Box::new(sliced),
    };
    let draw = TrainDraw {
        times: vec![0.1, 0.5],
        ratios: vec![1.0; 2],
        noise: normals(3),
        train: true,
        given,
        origin: Origin::default(),
    };
    let x0 = normals(4);
    (vs, Case { net, loss, x0, draw })
}

fn norm(tensors: &[Tensor]) -> f64 {
    let square = |t: &Tensor| t.square().sum(Kind::Double).double_value(&[]);
    tensors.iter().map(square).sum::<f64>().sqrt()
}

/// In each network the parameters of eight parts are moved along a random direction, part by part.
#[test]
fn gradients_are_those_of_the_loss_in_every_part_of_a_network() {
    tch::set_num_threads(1);
    for (text, shape) in nets() {
        for variance_reduced in [true, false] {
            let (vs, case) = case(text, &shape, variance_reduced);
            let (names, parameters): (Vec<String>, Vec<Tensor>) = named_parameters(&vs).into_iter().unzip();
            let loss = case.value();
            let gradients = Tensor::run_backward(&[loss], &parameters, false, false);
            let defined = |(g, p): (&Tensor, &Tensor)| {
                if g.defined() {
                    g.copy()
                } else {
                    p.detach().zeros_like()
                }
            };
            let gradients: Vec<Tensor> = gradients.iter().zip(&parameters).map(defined).collect();
            let seen = gradients.iter().filter(|g| norm(&[g.copy()]) > 1e-8).count();
            // Normalising each channel on its own makes the shifts before it matter to nothing.
            assert!(
                10 * seen > 7 * names.len(),
                "{text}: {seen} of {} parameters matter",
                names.len()
            );

            let part = names.len().div_ceil(8);
            for (place, parameters) in parameters.chunks(part).enumerate() {
                let gradients = &gradients[place * part..][..parameters.len()];
                let random = || {
                    parameters
                        .iter()
                        .map(|p| p.detach().randn_like())
                        .collect::<Vec<Tensor>>()
                };
                let direction = score_nets::seeded(6, random);
                let length = norm(&direction);
                let direction: Vec<Tensor> = direction.iter().map(|d| d / length).collect();
                let along = |(g, d): (&Tensor, &Tensor)| (g * d).sum(Kind::Double).double_value(&[]);
                let slope: f64 = gradients.iter().zip(&direction).map(along).sum();
                let difference = case.slope(parameters, &direction);
                assert!(
                    (slope - difference).abs() < 1e-7 * norm(gradients).max(1e-2),
                    "{text}\nfrom {}, reduced {variance_reduced}: {slope} by autograd, {difference} by differences",
                    names[place * part]
                );
            }
        }
    }
}
