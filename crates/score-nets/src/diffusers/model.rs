//! The network.

use tch::Tensor;
use tch::nn::Path;

use super::blocks::{DownBlock, MidBlock, Run, UpBlock};
use super::config::Unet2dConfig;
use super::embed::{ClassEmbedding, ClassSpec, Embedding, TimeProjection, UNTOLD};
use super::layers::{Activation, Conv2d, GroupNorm, add_into};
use super::plan::Plan;
use crate::{Given, NetError, ScoreNet};

/// `UNet2DModel` of the diffusers library, see [`Unet2dConfig`]; its variables have the names of that library's state
/// dictionary, in its order.
///
/// The time input of [`ScoreNet::forward`] is what the library's `forward` takes: the label of the discrete time
/// (positional, learned) or the noise level (fourier; the output is then divided by it, so it is the score where the
/// network was trained as NCSN++). Any height and width that are multiples of [`Unet2dModel::stride`] will do. The
/// output has `out_channels` channels.
///
/// The positional embedding is computed in f32 whatever the type of the network, as there.
#[derive(Debug)]
pub struct Unet2dModel {
    plan: Plan,
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: Embedding,
    class_embedding: Option<ClassEmbedding>,
    down_blocks: Vec<DownBlock>,
    up_blocks: Vec<UpBlock>,
    mid_block: Option<MidBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Unet2dModel {
    /// Checks the configuration and creates the variables under `vs`, with PyTorch's default initial values, which are
    /// those of the library.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, before anything is allocated; [`NetError::Torch`] when libtorch cannot
    /// allocate.
    pub fn new(config: &Unet2dConfig, vs: &Path) -> Result<Self, NetError> {
        let plan = Plan::new(config)?;
        let (channels, width, eps) = (plan.channels, plan.time.width(), plan.eps);
        let class_embedding = |at: &Path| match plan.class {
            Some(spec) => ClassEmbedding::new(at, spec, width, plan.embed).map(Some),
            None => Ok(None),
        };
        let down = plan.down.iter().enumerate();
        let down = down.map(|(i, block)| DownBlock::new(&(vs / "down_blocks" / i), block));
        let up = plan.up.iter().enumerate();
        let up = up.map(|(i, block)| UpBlock::new(&(vs / "up_blocks" / i), block, eps));
        Ok(Unet2dModel {
            conv_in: Conv2d::new(&(vs / "conv_in"), plan.in_channels, channels, 3)?,
            time_proj: TimeProjection::new(&(vs / "time_proj"), plan.time)?,
            time_embedding: Embedding::new(&(vs / "time_embedding"), width, plan.embed)?,
            class_embedding: class_embedding(&(vs / "class_embedding"))?,
            down_blocks: down.collect::<Result<_, _>>()?,
            up_blocks: up.collect::<Result<_, _>>()?,
            mid_block: match &plan.mid {
                Some(mid) => Some(MidBlock::new(&(vs / "mid_block"), mid)?),
                None => None,
            },
            conv_norm_out: GroupNorm::new(&(vs / "conv_norm_out"), channels, plan.groups_out, eps)?,
            conv_out: Conv2d::new(&(vs / "conv_out"), channels, plan.out_channels, 3)?,
            plan,
        })
    }

    /// Height and width of the input must be multiples of this: 2 to the number of levels less one.
    pub fn stride(&self) -> i64 {
        self.plan.stride
    }

    /// Whether the network needs class labels.
    pub fn is_class_conditional(&self) -> bool {
        self.class_embedding.is_some()
    }

    /// Evaluates the network with class labels, or without them where it knows none.
    ///
    /// `labels` holds, for each row or once for all, the number of the class (`num_class_embeds`; -1
    /// where it is not told, which adds nothing, as in training with label dropout), a number that is
    /// embedded as the time is (`class_embed_type` `timestep`), or an embedding of the size of that of the time
    /// (`identity`).
    ///
    /// # Errors
    /// [`NetError::Shape`] when `x`, `time` or `labels` do not fit the network, [`NetError::Value`] when there is no
    /// such class or learned time, a Fourier embedding meets a number without logarithm, or labels are missing or not
    /// wanted, [`NetError::Torch`] when libtorch fails.
    pub fn forward_with_class(
        &self,
        x: &Tensor,
        time: &Tensor,
        labels: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor, NetError> {
        self.check(x, time)?;
        let embed = self.embed(x, time, labels)?;
        let run = Run {
            time: &self.plan.act.apply_to(&embed)?,
            train,
        };
        let mut image = match self.plan.center {
            true => x.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?,
            false => x.shallow_clone(),
        };
        let mut h = self.conv_in.forward(&image)?;
        let mut kept = vec![h.shallow_clone()];
        for block in &self.down_blocks {
            h = block.forward(h, &mut image, &mut kept, run)?;
        }
        if let Some(mid) = &self.mid_block {
            h = mid.forward(&h, run)?;
        }
        let mut image = None;
        for block in &self.up_blocks {
            h = block.forward(h, &mut image, &mut kept, run)?;
        }
        let h = Activation::Silu.apply(self.conv_norm_out.forward(&h)?)?;
        let mut out = self.conv_out.forward(&h)?;
        if let Some(image) = image {
            out = add_into(out, &image)?;
        }
        if matches!(self.time_proj, TimeProjection::Fourier { .. }) {
            // In mixed precision the last layer hands on another type than the input's.
            let sigma = time.f_to_kind(x.f_kind()?)?.f_view([-1, 1, 1, 1])?;
            out = out.f_div(&sigma)?;
        }
        Ok(out)
    }

    /// `[rows, embed]`, or one row where all rows share time and class.
    fn embed(&self, x: &Tensor, time: &Tensor, labels: Option<&Tensor>) -> Result<Tensor, NetError> {
        let kind = x.f_kind()?;
        let rows = x.size()[0];
        let shared = rows > 1 && time.stride1()? == 0;
        let one = if shared {
            time.f_narrow(0, 0, 1)?
        } else {
            time.shallow_clone()
        };
        let features = self
            .time_proj
            .forward(&one, "time input of the network")?
            .f_to_kind(kind)?;
        let embed = self.time_embedding.forward(&features)?;
        let asks = |value: &str, need: &str| NetError::Value {
            what: "class labels",
            value: value.into(),
            need: need.into(),
        };
        match (&self.class_embedding, labels) {
            (None, None) => Ok(embed),
            (Some(class), Some(labels)) => {
                let size = (rows, self.plan.embed);
                Ok(embed.f_add(&class.forward(labels, size, &self.time_proj, kind)?)?)
            }
            (Some(_), None) => Err(asks("none", "labels: this network was made for classes")),
            (None, Some(_)) => Err(asks("some", "none: this network knows no classes")),
        }
    }

    fn check(&self, x: &Tensor, time: &Tensor) -> Result<(), NetError> {
        let (size, stride, channels) = (x.size(), self.plan.stride, self.plan.in_channels);
        let fits = |size: &[i64]| {
            size.len() == 4
                && size[1] == channels
                && size[2..].iter().all(|&side| side > 0 && side % stride == 0)
        };
        if !fits(&size) {
            let sides = match stride {
                1 => "height, width".to_string(),
                _ => format!("height and width in multiples of {stride}"),
            };
            return Err(NetError::Shape {
                what: "input of the network",
                got: size,
                need: format!("[rows, {channels}, {sides}]"),
            });
        }
        if time.size() != size[..1] {
            return Err(NetError::Shape {
                what: "time input of the network",
                got: time.size(),
                need: format!("[{}], one time a row", size[0]),
            });
        }
        Ok(())
    }
}

impl ScoreNet for Unet2dModel {
    /// As [`Unet2dModel::forward_with_class`], with classes that are not told where the network has a table of them.
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        self.forward_given(x, time, &Given::default(), train)
    }

    /// Takes `labels` where the network has a table of classes or embeds them as it does the time, and `vector` where
    /// `class_embed_type` is `identity`.
    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        let labels = match self.plan.class {
            None => {
                given.check_taken(&[])?;
                None
            }
            Some(ClassSpec::Identity) => {
                given.check_taken(&["vector"])?;
                given.vector().map(Tensor::shallow_clone)
            }
            Some(ClassSpec::Timestep) => {
                given.check_taken(&["labels"])?;
                given.classes(i64::MAX)?.map(Tensor::shallow_clone)
            }
            Some(ClassSpec::Table { count }) => {
                given.check_taken(&["labels"])?;
                Some(match given.classes(count)? {
                    Some(labels) => labels.shallow_clone(),
                    None => Tensor::f_from_slice(&[UNTOLD])?,
                })
            }
        };
        let labels = labels.map(|labels| labels.f_to_device(x.device())).transpose()?;
        self.forward_with_class(x, time, labels.as_ref(), train)
    }

    fn classes(&self) -> i64 {
        match self.plan.class {
            Some(ClassSpec::Table { count }) => count,
            _ => 0,
        }
    }
}

impl Unet2dConfig {
    /// Checks the configuration and its fit to rows of this shape, `[in_channels, height, width]`.
    fn plan(&self, shape: &[i64]) -> Result<Plan, NetError> {
        let plan = Plan::new(self)?;
        let &[channels, height, width] = shape else {
            return Err(NetError::Shape {
                what: "shape of one row of data",
                got: shape.to_vec(),
                need: "[channels, height, width] for net.kind = \"diffusers-unet2d\"".into(),
            });
        };
        if channels != plan.in_channels {
            let reason = format!("the data have {channels} channels");
            return Err(NetError::config("in_channels", plan.in_channels, reason));
        }
        if height % plan.stride != 0 || width % plan.stride != 0 {
            return Err(NetError::Shape {
                what: "shape of one row of data",
                got: shape.to_vec(),
                need: format!(
                    "height and width in multiples of {}, for the {} levels of net.block_out_channels",
                    plan.stride,
                    plan.down.len()
                ),
            });
        }
        Ok(plan)
    }

    /// Checks the configuration against the shape of one row and creates the network.
    ///
    /// # Errors
    /// As [`Unet2dModel::new`], and [`NetError::Shape`] where the shape does not fit.
    pub fn build(&self, vs: &Path, shape: &[i64]) -> Result<Unet2dModel, NetError> {
        self.plan(shape)?;
        Unet2dModel::new(self, vs)
    }

    /// Number of trained parameters.
    ///
    /// # Errors
    /// As [`Unet2dConfig::build`], without touching libtorch.
    pub fn param_count(&self, shape: &[i64]) -> Result<u64, NetError> {
        Ok(self.plan(shape)?.param_count())
    }
}
