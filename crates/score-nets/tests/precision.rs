//! Mixed precision: how far it may be from f32, and what it must leave alone.

mod common;

use common::{ddpm, normals, redrawn, small};
use score_nets::diffusers::Unet2dConfig;
use score_nets::{
    Autocast, Given, NcsnppConfig, NetConfig, NetError, PatchConfig, Precision, ScoreNet, UnetConfig,
    named_parameters,
};
use tch::{Device, Kind, Tensor, nn, no_grad};

/// Every kind of network, small.
fn all() -> Vec<(&'static str, NetConfig, Vec<i64>)> {
    let mut all: Vec<_> = ["mlp", "unet1d", "unet2d", "unet2d, other"]
        .into_iter()
        .zip(small())
        .map(|(name, (config, shape))| (name, config, shape))
        .collect();
    let song = |config: NcsnppConfig| NcsnppConfig {
        nf: 16,
        ch_mult: vec![1, 2],
        num_res_blocks: 1,
        attn_resolutions: vec![4],
        dropout: 0.0,
        ..config
    };
    all.push((
        "ddpmpp",
        NetConfig::Ddpmpp(song(NcsnppConfig::ddpmpp())),
        vec![3, 8, 8],
    ));
    all.push((
        "ncsnpp",
        NetConfig::Ncsnpp(song(NcsnppConfig::ncsnpp())),
        vec![3, 8, 8],
    ));
    all.push(("ddpm", ddpm(|config| config.dropout = 0.0), vec![3, 8, 8]));
    let diffusers = Unet2dConfig {
        block_out_channels: vec![8, 16],
        down_block_types: vec!["DownBlock2D".into(), "AttnDownBlock2D".into()],
        up_block_types: vec!["AttnUpBlock2D".into(), "UpBlock2D".into()],
        layers_per_block: 1,
        norm_num_groups: Some(4),
        ..Unet2dConfig::default()
    };
    all.push((
        "diffusers-unet2d",
        NetConfig::DiffusersUnet2d(diffusers),
        vec![3, 8, 8],
    ));
    let patch = PatchConfig {
        patch: 6,
        unet: UnetConfig {
            channels: 8,
            channel_mult: vec![1, 2],
            ..UnetConfig::default()
        },
        ..PatchConfig::default()
    };
    all.push(("patch", NetConfig::Patch(patch.clone()), vec![2, 9, 11]));
    all.push(("patch of series", NetConfig::Patch(patch), vec![2, 17]));
    all
}

struct Ran {
    out: Tensor,
    gradients: Vec<Tensor>,
}

/// The output, and the gradients of its product with a cotangent with respect to `x` and the parameters.
fn run(net: &dyn ScoreNet, vs: &nn::VarStore, x: &Tensor, cotangent: &Tensor) -> Ran {
    let x = x.detach().set_requires_grad(true);
    let time = Tensor::from_slice(&[0.3_f64, 7.5, 41.0]).to_kind(x.kind());
    let out = net.forward(&x, &time, true).expect("runs");
    let mut wanted = vec![x];
    wanted.extend(named_parameters(vs).into_iter().map(|(_, tensor)| tensor));
    Ran {
        gradients: Tensor::run_backward(&[(&out * cotangent).sum(out.kind())], &wanted, false, false),
        out: out.detach(),
    }
}

/// The root-mean-square difference over that of `exact`.
fn relative(got: &Tensor, exact: &Tensor) -> f64 {
    let norm = |tensor: &Tensor| tensor.to_kind(Kind::Double).norm().double_value(&[]);
    norm(&(got.to_kind(Kind::Double) - exact.to_kind(Kind::Double))) / norm(exact)
}

/// Half a unit in the last of 8 bits, relative: the largest error of rounding to bf16.
const ROUNDING: f64 = 1.0 / 512.0;

/// Each matrix or kernel stands for a product that rounds its input, its weights and its result: three independent errors of a root
/// mean square below `ROUNDING / sqrt(3)`. All `products` in a row give `ROUNDING sqrt(products)` where no layer enlarges them; twice
/// that is allowed, since some do, and three times for gradients, which pass the network twice.
fn bound(products: usize) -> f64 {
    2.0 * ROUNDING * (products as f64).sqrt()
}

#[test]
fn bf16_is_near_f32_and_is_not_f32_for_every_network() {
    for (name, config, shape) in all() {
        let (vs, net) = redrawn(&config, &shape, Kind::Float);
        let (x, cotangent) = (normals(3, &shape, Kind::Float), normals(3, &shape, Kind::Float));
        let exact = run(net.as_ref(), &vs, &x, &cotangent);
        let net = Autocast::new(net, Precision::Bf16);
        let rounded = run(&net, &vs, &x, &cotangent);
        assert_eq!(rounded.out.kind(), Kind::Float, "{name}: the type of the input");
        let parameters = named_parameters(&vs);
        let products = parameters.iter().filter(|(_, tensor)| tensor.dim() > 1).count();
        let far = relative(&rounded.out, &exact.out);
        let flat = |all: &[Tensor]| Tensor::cat(&all.iter().map(|t| t.reshape([-1])).collect::<Vec<_>>(), 0);
        let far_gradient = relative(&flat(&rounded.gradients), &flat(&exact.gradients));
        let far_x = relative(&rounded.gradients[0], &exact.gradients[0]);
        let shown = format!(
            "{name}: {products} products, off by {far:.4} (gradient {far_gradient:.4}, of x {far_x:.4}), allowed {:.4}",
            bound(products)
        );
        assert!(far > ROUNDING / 8.0, "{shown}");
        assert!(far <= bound(products), "{shown}");
        assert!(far_gradient.max(far_x) <= 1.5 * bound(products), "{shown}");
        for ((what, tensor), gradient) in parameters.iter().zip(&rounded.gradients[1..]) {
            assert_eq!(
                (tensor.kind(), gradient.kind()),
                (Kind::Float, Kind::Float),
                "{name}: {what}"
            );
        }
    }
}

/// What a network is told goes through the same layers.
#[test]
fn networks_that_are_told_more_of_a_row_are_rounded_too() {
    let config = UnetConfig {
        channels: 8,
        channel_mult: vec![1, 2],
        classes: 3,
        condition_size: 2,
        condition_channels: 1,
        ..UnetConfig::default()
    };
    let (vs, net) = redrawn(&NetConfig::Unet2d(config), &[1, 6, 6], Kind::Float);
    let given = Given::labels(&[0, 2, -1])
        .expect("classes")
        .with_vector(normals(3, &[2], Kind::Float))
        .with_image(normals(3, &[1, 6, 6], Kind::Float));
    let (x, time) = (
        normals(3, &[1, 6, 6], Kind::Float),
        Tensor::from_slice(&[0.5_f32, 3.0, 90.0]),
    );
    let exact = no_grad(|| net.forward_given(&x, &time, &given, false)).expect("runs");
    let net = Autocast::new(net, Precision::Bf16);
    assert_eq!(net.classes(), 3);
    let rounded = no_grad(|| net.forward_given(&x, &time, &given, false)).expect("runs");
    let products = named_parameters(&vs)
        .iter()
        .filter(|(_, tensor)| tensor.dim() > 1)
        .count();
    let far = relative(&rounded, &exact);
    assert_eq!(rounded.kind(), Kind::Float);
    assert!(far > ROUNDING / 8.0 && far <= bound(products), "{far}");
}

/// The network itself, before and after, has the same bits; so have the wrapper in f32 and a network of f64.
#[test]
fn what_is_not_bf16_has_the_same_bits() {
    for (name, config, shape) in all() {
        let (vs, net) = redrawn(&config, &shape, Kind::Float);
        let (x, cotangent) = (normals(3, &shape, Kind::Float), normals(3, &shape, Kind::Float));
        let before = run(net.as_ref(), &vs, &x, &cotangent);
        let same = |what: &str, ran: &Ran| {
            assert_eq!(ran.out, before.out, "{name}: {what}");
            assert!(
                ran.gradients.iter().zip(&before.gradients).all(|(a, b)| a == b),
                "{name}: {what}"
            );
        };
        let wrapped = Autocast::new(net, Precision::Bf16);
        run(&wrapped, &vs, &x, &cotangent);
        same("after bf16", &run(wrapped.net(), &vs, &x, &cotangent));
        let (vs, net) = redrawn_again(&config, &shape, &vs);
        same(
            "wrapped",
            &run(&Autocast::new(net, Precision::F32), &vs, &x, &cotangent),
        );

        let (vs, net) = redrawn(&config, &shape, Kind::Double);
        let (x, cotangent) = (x.to_kind(Kind::Double), cotangent.to_kind(Kind::Double));
        let wide = run(net.as_ref(), &vs, &x, &cotangent);
        let wrapped = run(&Autocast::new(net, Precision::Bf16), &vs, &x, &cotangent);
        assert_eq!(wrapped.out, wide.out, "{name}: f64 stays f64");
    }
}

/// A second network with the weights of the first.
fn redrawn_again(
    config: &NetConfig,
    shape: &[i64],
    like: &nn::VarStore,
) -> (nn::VarStore, Box<dyn ScoreNet>) {
    let (vs, net) = redrawn(config, shape, Kind::Float);
    let from = like.variables();
    no_grad(|| {
        for (name, mut tensor) in vs.variables() {
            tensor.copy_(&from[&name]);
        }
    });
    (vs, net)
}

#[derive(Debug)]
struct Failing;

impl ScoreNet for Failing {
    fn forward(&self, x: &Tensor, _time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        assert!(!train, "as asked");
        assert_eq!(Precision::current(), Precision::Bf16);
        assert_eq!(Precision::F32.scope(Precision::current), Precision::F32);
        assert_eq!(Precision::current(), Precision::Bf16);
        Ok(x.f_view([-1, 3])?)
    }
}

#[test]
fn the_scope_ends_with_an_error_and_with_a_panic() {
    let net = Autocast::new(Box::new(Failing), Precision::Bf16);
    assert_eq!((net.precision(), net.classes()), (Precision::Bf16, 0));
    let (x, time) = (
        normals(2, &[2], Kind::Float),
        Tensor::zeros([2], (Kind::Float, Device::Cpu)),
    );
    assert!(net.forward(&x, &time, false).is_err());
    assert_eq!(Precision::current(), Precision::F32);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| net.forward(&x, &time, true)));
    assert!(caught.is_err());
    assert_eq!(Precision::current(), Precision::F32);
}

#[test]
fn a_processor_has_both_precisions() {
    for precision in Precision::ALL {
        no_grad(|| precision.check(Device::Cpu)).expect("libtorch computes bf16 on every processor");
        let text = format!("{:?}", precision.name());
        let read: Precision = serde_json::from_str(&text).expect("its own name");
        assert_eq!(read, precision);
        assert_eq!(serde_json::to_string(&precision).expect("text"), text);
    }
    assert_eq!(Precision::F32.note(Device::Cpu), None);
    let missing = Precision::Bf16
        .check(Device::Cuda(99))
        .expect_err("there are not so many devices");
    let said = missing.to_string();
    assert!(
        said.starts_with("precision: got bf16, need f32: ") && !said.contains('\n'),
        "{said}"
    );
}
