//! The control variate leaves the mean and takes the variance.

use score_nets::{Given, NetConfig, named_parameters};
use tch::{Device, Kind, Tensor, nn};
use train::config::Reduction;
use train::loss::{Dsm, Loss, Origin, TrainDraw};

use crate::linear::{DIM, objective};

/// Gradients of a small network for many noises on one and the same batch, `[draws, parameters]`, with and without.
fn gradients(loss: &Dsm, std: f64, draws: i64) -> Tensor {
    let objective = objective("ve", "eps", "sigma2", Reduction::Mean);
    let config: NetConfig =
        toml::from_str("kind = 'mlp'\nhidden_size = 8\nnum_layers = 1").expect("a network");
    let vs = nn::VarStore::new(Device::Cpu);
    let net = score_nets::seeded(1, || config.build(&vs.root(), &[DIM])).expect("a sound network");
    let options = (Kind::Float, Device::Cpu);
    score_nets::seeded(2, || {
        for (_, parameter) in named_parameters(&vs) {
            let value = parameter.detach() + 0.3 * parameter.detach().randn_like();
            tch::no_grad(|| parameter.shallow_clone().copy_(&value));
        }
    });
    let rows = 4;
    let x0 = score_nets::seeded(3, || Tensor::randn([rows, DIM], options));
    let each: Vec<Tensor> = (0..draws)
        .map(|number| {
            let draw = TrainDraw {
                times: vec![objective.sde.time_at_sigma(std); rows as usize],
                ratios: vec![1.0; rows as usize],
                noise: score_nets::seeded(100 + number, || Tensor::randn([rows, DIM], options)),
                train: true,
                given: Given::default(),
                origin: Origin::default(),
            };
            let loss = loss
                .per_row(net.as_ref(), &x0, &draw)
                .expect("shapes fit")
                .mean(Kind::Float);
            let parameters: Vec<Tensor> = named_parameters(&vs).into_iter().map(|(_, p)| p).collect();
            let gradients = Tensor::run_backward(&[loss], &parameters, false, false);
            let flat: Vec<Tensor> = gradients.iter().map(|g| g.view(-1)).collect();
            Tensor::cat(&flat, 0).to_kind(Kind::Double)
        })
        .collect();
    Tensor::stack(&each, 0)
}

fn total_variance(gradients: &Tensor) -> f64 {
    gradients
        .var_dim(Some(&[0_i64][..]), true, false)
        .sum(Kind::Double)
        .double_value(&[])
}

/// At `std = 0.02` the mean gradients agree within their standard errors and the variance falls by more than a hundred; above the
/// bound nothing changes.
#[test]
fn the_gradient_keeps_its_mean_and_loses_its_noise() {
    tch::set_num_threads(1);
    let objective = objective("ve", "eps", "sigma2", Reduction::Mean);
    let draws = 1500;
    let plain = gradients(&Dsm::of(objective.clone()), 0.02, draws);
    let calm = gradients(&Dsm::of(objective.clone()).with_control_variate(0.3), 0.02, draws);
    let (noise, left) = (total_variance(&plain), total_variance(&calm));
    let off = (plain.mean_dim(Some(&[0_i64][..]), false, Kind::Double)
        - calm.mean_dim(Some(&[0_i64][..]), false, Kind::Double))
    .norm()
    .double_value(&[]);
    // The squared distance of two means has the mean (noise + left)/draws; five times its root is far out for 100 components.
    let bound = 5.0 * ((noise + left) / draws as f64).sqrt();
    assert!(off < bound, "{off} above {bound}");
    println!(
        "variance of the gradient at std 0.02, without over with: {:.0}",
        noise / left
    );
    assert!(noise > 100.0 * left, "{noise} {left}");

    let none = Dsm::of(objective.clone()).with_control_variate(0.02);
    assert_eq!(
        gradients(&none, 0.021, 2),
        gradients(&Dsm::of(objective), 0.021, 2)
    );
}
