//! What a network is to the rest of the workspace, and the configuration that builds one.

use std::collections::HashMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use crate::diffusers::Unet2dConfig;
use crate::score_sde::{self, DdpmConfig, NcsnppConfig, ScoreSdeNet};
use crate::{Given, MlpConfig, NetError, PatchConfig, UnetConfig, unet1d, unet2d};

/// A network `F(x, time)`: raw output, the size of its input. What it means (score, noise, clean data) is the
/// preconditioning's business.
///
/// Laws: a row of the output depends on that row of `x` and `time` only; `forward` may be differentiated with
/// respect to `x` and the parameters.
///
/// ```no_run
/// use score_nets::{NetError, ScoreNet};
/// use tch::{Device, Tensor, nn, nn::Module};
///
/// #[derive(Debug)]
/// struct Mine { hidden: nn::Linear, out: nn::Linear }
///
/// impl Mine {
///     fn new(vs: &nn::Path, dim: i64) -> Self {
///         Mine {
///             hidden: nn::linear(vs / "hidden", dim + 1, 64, Default::default()),
///             out: nn::linear(vs / "out", 64, dim, Default::default()),
///         }
///     }
/// }
///
/// impl ScoreNet for Mine {
///     fn forward(&self, x: &Tensor, time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
///         let h = Tensor::f_cat(&[x, &time.f_unsqueeze(1)?], 1)?;
///         Ok(self.out.forward(&self.hidden.forward(&h).f_silu()?))
///     }
/// }
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let net: Box<dyn ScoreNet> = Box::new(Mine::new(&vs.root(), 2));
/// ```
pub trait ScoreNet: Send + Debug {
    /// Evaluates the network.
    ///
    /// `x` is `[rows, ...]`, already scaled by the preconditioning; `time` is `[rows]`, the network's own time
    /// input (when all rows share it, an expanded tensor of stride 0, which a network may use to embed it once).
    /// `train` switches dropout on. The output has the shape of `x`.
    ///
    /// # Errors
    /// [`NetError::Shape`] when `x` does not fit the network, [`NetError::Torch`] when libtorch fails.
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError>;

    /// [`ScoreNet::forward`] of a network that is told more of each row: its class, a vector, further channels, its place in a
    /// larger image. As provided: refuses to be told anything.
    ///
    /// # Errors
    /// As [`ScoreNet::forward`]; [`NetError::Value`] for something that the network does not take.
    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        given.check_taken(&[])?;
        self.forward(x, time, train)
    }

    /// Number of classes that the network can be told, 0 for none.
    fn classes(&self) -> i64 {
        0
    }
}

impl ScoreNet for Box<dyn ScoreNet> {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        (**self).forward(x, time, train)
    }

    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        (**self).forward_given(x, time, given, train)
    }

    fn classes(&self) -> i64 {
        (**self).classes()
    }
}

/// The table `[net]`: which network, and its sizes. Unchecked until [`NetConfig::build`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one a program, and matching stays plain"
)]
pub enum NetConfig {
    /// Residual MLP on the flattened row.
    Mlp(MlpConfig),
    /// U-Net on `[channels, length]`.
    Unet1d(UnetConfig),
    /// U-Net on `[channels, height, width]`.
    Unet2d(UnetConfig),
    /// A U-Net on windows of `[channels, height, width]` or `[channels, length]`.
    Patch(PatchConfig),
    /// NCSN++ on `[channels, height, width]`; absent keys are those of its published CIFAR-10 model.
    Ncsnpp(#[serde(deserialize_with = "score_sde::deserialize_ncsnpp")] NcsnppConfig),
    /// DDPM++: the same class with other defaults.
    Ddpmpp(#[serde(deserialize_with = "score_sde::deserialize_ddpmpp")] NcsnppConfig),
    /// The plain DDPM network of score_sde.
    Ddpm(DdpmConfig),
    /// `UNet2DModel` of the diffusers library, in the keys of its `config.json`.
    DiffusersUnet2d(Unet2dConfig),
}

impl NetConfig {
    /// A network that does for data of this shape (one row, without the batch): the U-Net of its dimension, with
    /// as many levels (three at most) as keep the lowest resolution at four or more; the MLP for flat vectors and
    /// everything else.
    pub fn recommended_defaults(shape: &[i64]) -> Self {
        let levels = match shape[1.min(shape.len())..].iter().max() {
            Some(..=7) => 1,
            Some(..=15) => 2,
            _ => 3,
        };
        let mut unet = UnetConfig::default();
        unet.channel_mult.truncate(levels);
        match shape.len() {
            2 => NetConfig::Unet1d(unet),
            3 => NetConfig::Unet2d(unet),
            _ => NetConfig::Mlp(MlpConfig::default()),
        }
    }

    /// Checks the configuration against the shape of one row and creates the parameters under `vs`.
    ///
    /// Initial values come from libtorch's generator: build inside [`crate::seeded`] for a repeatable network.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`; [`NetError::Torch`] when memory or the device fails.
    pub fn build(&self, vs: &nn::Path, shape: &[i64]) -> Result<Box<dyn ScoreNet>, NetError> {
        check_shape(shape)?;
        match self {
            NetConfig::Mlp(config) => Ok(Box::new(config.build(vs, shape)?)),
            NetConfig::Unet1d(config) => Ok(Box::new(unet1d::Unet1d::new(config, vs, shape)?)),
            NetConfig::Unet2d(config) => Ok(Box::new(unet2d::Unet2d::new(config, vs, shape)?)),
            NetConfig::Patch(config) => Ok(Box::new(config.build(vs, shape)?)),
            NetConfig::Ncsnpp(config) | NetConfig::Ddpmpp(config) => {
                Ok(Box::new(ScoreSdeNet::ncsnpp(config, vs, shape)?))
            }
            NetConfig::Ddpm(config) => Ok(Box::new(ScoreSdeNet::ddpm(config, vs, shape)?)),
            NetConfig::DiffusersUnet2d(config) => Ok(Box::new(config.build(vs, shape)?)),
        }
    }

    /// Number of trainable parameters for rows of this shape, from the configuration alone.
    ///
    /// # Errors
    /// As [`NetConfig::build`], without touching libtorch.
    pub fn param_count(&self, shape: &[i64]) -> Result<u64, NetError> {
        check_shape(shape)?;
        match self {
            NetConfig::Mlp(config) => config.param_count(shape),
            NetConfig::Unet1d(config) => unet1d::plan(config, shape)?.param_count(),
            NetConfig::Unet2d(config) => unet2d::plan(config, shape)?.param_count(),
            NetConfig::Patch(config) => config.param_count(shape),
            NetConfig::Ncsnpp(config) | NetConfig::Ddpmpp(config) => {
                score_sde::Plan::ncsnpp(config, shape)?.param_count()
            }
            NetConfig::Ddpm(config) => score_sde::Plan::ddpm(config, shape)?.param_count(),
            NetConfig::DiffusersUnet2d(config) => config.param_count(shape),
        }
    }

    /// Number of values in a row of the output, which is that of the input.
    pub fn output_size(shape: &[i64]) -> i64 {
        shape.iter().product()
    }
}

fn check_shape(shape: &[i64]) -> Result<(), NetError> {
    if shape.is_empty() || shape.iter().any(|&n| n < 1) {
        return Err(NetError::Shape {
            what: "shape of one row of data",
            got: shape.to_vec(),
            need: "at least one axis, all sizes positive".into(),
        });
    }
    Ok(())
}

/// The trainable tensors of a store with their names, in the order in which the network created them.
pub fn named_parameters(vs: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut names: HashMap<usize, String> = vs
        .variables()
        .into_iter()
        .map(|(name, tensor)| (address(&tensor), name))
        .collect();
    vs.trainable_variables()
        .into_iter()
        .map(|tensor| {
            let name = names.remove(&address(&tensor));
            (
                name.expect("every trainable variable of a store has a name and storage of its own"),
                tensor,
            )
        })
        .collect()
}

/// The tensors of a store that are saved but not trained (fixed frequencies), sorted by name.
pub fn named_buffers(vs: &nn::VarStore) -> Vec<(String, Tensor)> {
    let trained: Vec<usize> = vs.trainable_variables().iter().map(address).collect();
    let mut buffers: Vec<_> = vs
        .variables()
        .into_iter()
        .filter(|(_, tensor)| !trained.contains(&address(tensor)))
        .collect();
    buffers.sort_by(|a, b| a.0.cmp(&b.0));
    buffers
}

/// Parameters, then buffers: what a weights file holds.
pub fn named_tensors(vs: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut all = named_parameters(vs);
    all.extend(named_buffers(vs));
    all
}

fn address(tensor: &Tensor) -> usize {
    tensor.data_ptr() as usize
}
