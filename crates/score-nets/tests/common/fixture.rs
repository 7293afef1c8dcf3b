//! Fixtures of networks: `NAME.json` (configuration, tensors in construction order, gradient norms) beside
//! `NAME.io.safetensors` (inputs and outputs) and, where they are not computed, `NAME.weights.safetensors`.
#![allow(dead_code, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use score_nets::{NetConfig, ScoreNet, named_tensors, seeded, weights};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use tch::{Device, Kind, Tensor, nn, no_grad};

use super::distance;

/// Pairs in the order of the file.
#[derive(Debug)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }
        from.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

#[derive(Debug, serde::Deserialize)]
pub struct Facts {
    pub config: serde_json::Value,
    pub tensors: Ordered<Vec<i64>>,
    pub params: u64,
    pub f32_vs_f64_max_abs: f64,
    /// The same of the gradient with respect to `x`; absent: take that of the output.
    pub grad_f32_vs_f64_max_abs: Option<f64>,
    /// Of the gradient of `<out, cotangent>`; null where the network does not use the parameter.
    pub grad_norms: Ordered<Option<f64>>,
}

pub struct Fixture {
    pub name: String,
    pub facts: Facts,
    pub io: BTreeMap<String, Tensor>,
    pub weights: Option<PathBuf>,
}

/// The folder of fixtures beside the repository, if it is there.
pub fn shared(kind: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("../shared/golden").join(kind);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no folder {}", folder.display());
    None
}

/// The names of the fixtures of a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder of fixtures");
    let mut names: Vec<String> = files
        .filter_map(|file| {
            Some(
                file.ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".json")?
                    .to_string(),
            )
        })
        .collect();
    names.sort();
    names
}

pub fn read(folder: &Path, name: &str) -> Fixture {
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    let text = std::fs::read_to_string(file("json")).expect("a fixture's description");
    let io = weights::read(&file("io.safetensors")).expect("a fixture's inputs and outputs");
    let weights = file("weights.safetensors");
    Fixture {
        name: name.into(),
        facts: serde_json::from_str(&text).expect("a fixture's description"),
        io: io.into_iter().collect(),
        weights: weights.is_file().then_some(weights),
    }
}

/// Bits of the splitmix64 generator (Steele et al. 2014) at a place, as a number from -1 to 1.
fn hashed(tensor: u64, index: u64) -> f64 {
    let mut z = ((tensor << 32) + index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Weights by rule, so that small fixtures need not hold them: matrices and kernels uniform with variance one over
/// their inputs, one-dimensional weights around 1, biases around 0, Fourier frequencies up to 4.
fn computed(number: usize, name: &str, size: &[i64]) -> Tensor {
    let scale = match (name.rsplit('.').next(), size.len()) {
        (Some("weight"), 1) => (0.5, 1.0),
        (_, 1) if name.ends_with("all_modules.0.W") => (4.0, 0.0),
        (_, 1) => (0.3, 0.0),
        _ => ((3.0 / size[1..].iter().product::<i64>() as f64).sqrt(), 0.0),
    };
    let values: Vec<f32> = (0..size.iter().product::<i64>())
        .map(|index| (hashed(number as u64, index as u64) * scale.0 + scale.1) as f32)
        .collect();
    Tensor::from_slice(&values).view(size)
}

impl Fixture {
    /// The network with the fixture's weights, in this type.
    pub fn build(&self, config: &NetConfig, shape: &[i64], kind: Kind) -> (nn::VarStore, Box<dyn ScoreNet>) {
        tch::set_num_threads(1);
        let mut vs = nn::VarStore::new(Device::Cpu);
        let net =
            seeded(1, || config.build(&vs.root(), shape)).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let all = named_tensors(&vs);
        match &self.weights {
            Some(file) => weights::load(file, &all).unwrap_or_else(|e| panic!("{}: {e}", self.name)),
            None => no_grad(|| {
                let order: Vec<&String> = self.facts.tensors.0.iter().map(|(name, _)| name).collect();
                for (name, mut tensor) in all {
                    if name != "sigmas" {
                        let number = order
                            .iter()
                            .position(|other| **other == name)
                            .expect("a known name");
                        tensor.copy_(&computed(number, &name, &tensor.size()));
                    }
                }
            }),
        }
        if kind == Kind::Double {
            vs.double();
        }
        (vs, net)
    }

    /// Names, shapes and order of the tensors; outputs and gradients in f32 and f64.
    ///
    /// `f64_digits` is how many digits agree in f64: fewer where a tensor is kept in f32.
    pub fn check(&self, config: &NetConfig, time: &str, f64_digits: i32) {
        let x = &self.io["in.x"];
        let shape = &x.size()[1..];
        let (vs, net) = self.build(config, shape, Kind::Float);
        self.check_tensors(&vs, config, shape);
        let (out, grad_x, norms) = self.run(&vs, net.as_ref(), time, Kind::Float);
        let bound = |noise: f64, want: &Tensor| 10.0 * noise + 1e-6 * want.abs().max().double_value(&[]);
        let noise = self.facts.f32_vs_f64_max_abs;
        let grad_noise = self.facts.grad_f32_vs_f64_max_abs.unwrap_or(noise);
        let within = |what: &str, got: &Tensor, want: &Tensor, bound: f64| {
            let far = distance(got, want);
            assert!(
                far <= bound,
                "{}: {what} differs by {far:e}, more than {bound:e}",
                self.name
            );
        };
        within("out", &out, &self.io["out"], bound(noise, &self.io["out"]));
        within(
            "grad.x",
            &grad_x,
            &self.io["grad.x"],
            bound(grad_noise, &self.io["grad.x"]),
        );
        self.check_norms(&norms);

        let (vs, net) = self.build(config, shape, Kind::Double);
        let (out, _, norms) = self.run(&vs, net.as_ref(), time, Kind::Double);
        let want = &self.io["out_f64"];
        let size = 1.0 + want.abs().max().double_value(&[]);
        within("out in f64", &out, want, size * 10_f64.powi(-f64_digits));
        self.check_norms(&norms);
    }

    fn check_tensors(&self, vs: &nn::VarStore, config: &NetConfig, shape: &[i64]) {
        let name = &self.name;
        let held: BTreeMap<String, Vec<i64>> = named_tensors(vs)
            .into_iter()
            .map(|(name, tensor)| (name, tensor.size()))
            .collect();
        let want: BTreeMap<String, Vec<i64>> = self.facts.tensors.0.iter().cloned().collect();
        assert_eq!(held, want, "{name}: names and shapes");
        let order: Vec<String> = score_nets::named_parameters(vs)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let trained: Vec<&String> = self.facts.grad_norms.0.iter().map(|(name, _)| name).collect();
        assert_eq!(
            order.iter().collect::<Vec<_>>(),
            trained,
            "{name}: order of the trained tensors"
        );
        let count: usize = score_nets::named_parameters(vs)
            .iter()
            .map(|(_, tensor)| tensor.numel())
            .sum();
        assert_eq!(config.param_count(shape).expect("sound"), count as u64, "{name}");
    }

    fn check_norms(&self, norms: &[(String, Option<f64>)]) {
        // A gradient that is zero but for rounding, as that of the bias of the keys, has no digits to compare.
        let floor = 1e-7
            * self
                .facts
                .grad_norms
                .0
                .iter()
                .filter_map(|pair| pair.1)
                .fold(0.0, f64::max);
        for ((name, got), (_, want)) in norms.iter().zip(&self.facts.grad_norms.0) {
            let (Some(got), Some(want)) = (got, want) else {
                assert_eq!(got.is_some(), want.is_some(), "{}: gradient of {name}", self.name);
                continue;
            };
            assert!(
                (got - want).abs() <= 1e-4 * want + floor,
                "{}: norm of the gradient of {name} is {got}, not {want}",
                self.name
            );
        }
    }

    /// Output, gradient with respect to `x`, gradient norm of every parameter.
    #[allow(clippy::type_complexity)]
    fn run(
        &self,
        vs: &nn::VarStore,
        net: &dyn ScoreNet,
        time: &str,
        kind: Kind,
    ) -> (Tensor, Tensor, Vec<(String, Option<f64>)>) {
        let x = self.io["in.x"]
            .detach()
            .to_kind(kind)
            .copy()
            .set_requires_grad(true);
        let time = self.io[time].to_kind(kind);
        let out = net
            .forward(&x, &time, false)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let plain = no_grad(|| net.forward(&x.detach(), &time, false).expect("runs"));
        assert_eq!(out.kind(), kind);
        assert!(
            distance(&plain, &out) <= 1e-5 * (1.0 + out.abs().max().double_value(&[])),
            "without gradients"
        );
        (&out * self.io["cotangent"].to_kind(kind)).sum(kind).backward();
        let norms = score_nets::named_parameters(vs)
            .into_iter()
            .map(|(name, tensor)| {
                let grad = tensor.grad();
                let norm = grad
                    .defined()
                    .then(|| grad.to_kind(Kind::Double).norm().double_value(&[]));
                (name, norm)
            })
            .collect();
        (out.detach(), x.grad(), norms)
    }
}
