//! The U-Net of DDPM (Ho et al. 2020, arXiv:2006.11239), for one or two spatial axes: its configuration, its plan
//! (a list of stages, from which the layers are built and the parameters counted) and the network.

mod config;
mod plan;

use tch::Tensor;
use tch::nn::Path;

pub use config::{Resample, TimeMode, UnetConfig};
use plan::{Stage, round_up};

pub(crate) use plan::Plan;

use crate::embed::TimeEmbedding;
use crate::given::{Given, append_channels};
use crate::layers::{
    Attention, Condition, Conv, Downsample, GroupNorm, Residual, ResidualOptions, Upsample, silu,
};
use crate::{NetError, ScoreNet};

#[derive(Debug)]
enum Layer {
    Residual(Box<Residual>),
    Attention(Attention),
    Push,
    Concat,
    Down(Downsample),
    Up(Upsample),
}

/// The network on maps whose sizes are multiples of the stride.
#[derive(Debug)]
pub(crate) struct Unet {
    embedding: TimeEmbedding,
    condition: Condition,
    condition_channels: i64,
    conv_in: Conv,
    layers: Vec<Layer>,
    norm_out: GroupNorm,
    conv_out: Conv,
}

impl Unet {
    pub(crate) fn new(plan: &Plan, vs: &Path) -> Result<Self, NetError> {
        let options = plan.options;
        let ResidualOptions {
            space,
            kernel,
            embed,
            groups,
            ..
        } = options;
        let embedding = TimeEmbedding::new(
            &(vs / "time"),
            plan.embedding,
            plan.embed_features,
            embed,
            plan.fourier_scale,
        )?;
        let condition = Condition::new(&(vs / "condition"), plan.classes, plan.condition_size, embed)?;
        let conv_in = Conv::new(
            &(vs / "conv_in"),
            space,
            plan.data_channels + plan.condition_channels,
            plan.channels,
            kernel,
            1,
            1.0,
        )?;
        let body = vs / "body";
        let layers = plan.stages.iter().enumerate().map(|(number, stage)| {
            let at = &body / number;
            Ok(match *stage {
                Stage::Residual(input, output) => Layer::Residual(Box::new(Residual::new(
                    &(at / "residual"),
                    input,
                    output,
                    options,
                )?)),
                Stage::Attention(channels) => {
                    let head = plan.head.unwrap_or(channels);
                    Layer::Attention(Attention::new(&(at / "attention"), channels, head, groups)?)
                }
                Stage::Push => Layer::Push,
                Stage::Concat => Layer::Concat,
                Stage::Down(channels) => Layer::Down(Downsample::new(
                    &(at / "down"),
                    space,
                    channels,
                    kernel,
                    plan.resample,
                )?),
                Stage::Up(channels) => Layer::Up(Upsample::new(
                    &(at / "up"),
                    space,
                    channels,
                    kernel,
                    plan.resample,
                )?),
            })
        });
        let layers = layers.collect::<Result<Vec<_>, NetError>>()?;
        let last = plan.channels_out();
        Ok(Unet {
            embedding,
            condition,
            condition_channels: plan.condition_channels,
            conv_in,
            layers,
            norm_out: GroupNorm::new(&(vs / "norm_out"), last, groups)?,
            conv_out: Conv::new(
                &(vs / "conv_out"),
                space,
                last,
                plan.data_channels,
                kernel,
                1,
                0.0,
            )?,
        })
    }

    fn forward(&self, x: &Tensor, time: &Tensor, given: &Given, train: bool) -> Result<Tensor, NetError> {
        let time = self
            .condition
            .add(self.embedding.forward(time)?, given, x.size()[0])?;
        let mut h = self.conv_in.forward(x)?;
        let mut kept = Vec::new();
        for layer in &self.layers {
            h = match layer {
                Layer::Residual(block) => block.forward(&h, &time, train)?,
                Layer::Attention(attention) => attention.forward(&h)?,
                Layer::Push => {
                    kept.push(h.shallow_clone());
                    h
                }
                Layer::Concat => {
                    let skip = kept.pop().expect("the plan keeps as many maps as it appends");
                    Tensor::f_cat(&[&h, &skip], 1)?
                }
                Layer::Down(down) => down.forward(&h)?,
                Layer::Up(up) => up.forward(&h)?,
            };
        }
        Ok(self.conv_out.forward(&silu(self.norm_out.forward(&h)?)?)?)
    }
}

/// The network on maps of any size: appends the image that is told, repeats the last values up to a multiple of the stride, and cuts
/// the output.
#[derive(Debug)]
pub(crate) struct PaddedUnet {
    net: Unet,
    shape: Vec<i64>,
    stride: i64,
    /// Whether rows may have other spatial sizes than `shape`.
    any_size: bool,
}

impl PaddedUnet {
    pub(crate) fn new(plan: &Plan, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        Ok(PaddedUnet {
            net: Unet::new(plan, vs)?,
            shape: shape.to_vec(),
            stride: plan.stride,
            any_size: false,
        })
    }

    /// For rows of any spatial size.
    pub(crate) fn any_size(self) -> Self {
        PaddedUnet {
            any_size: true,
            ..self
        }
    }

    fn forward(&self, x: &Tensor, time: &Tensor, given: &Given, train: bool) -> Result<Tensor, NetError> {
        given.check_taken(&["labels", "vector", "image"])?;
        let mut shape = self.shape.clone();
        let size = x.size();
        if self.any_size && size.len() == shape.len() + 1 && size[2..].iter().all(|n| *n > 0) {
            shape[1..].copy_from_slice(&size[2..]);
        }
        check_input(x, time, &shape)?;
        let channels = self.net.condition_channels;
        let wide = match given.image() {
            Some(image) if channels > 0 => append_channels(x, image, channels)?,
            None if channels == 0 => x.shallow_clone(),
            image => {
                return Err(NetError::Value {
                    what: "image given to the network",
                    value: image.map_or("none", |_| "one").to_owned(),
                    need: format!("net.condition_channels = {channels} of them a row"),
                });
            }
        };
        // As libtorch wants it: from the last axis to the first, before and after.
        let missing = |n: i64| round_up(n, self.stride) - n;
        let pad: Vec<i64> = shape[1..].iter().rev().flat_map(|&n| [0, missing(n)]).collect();
        if pad.iter().all(|&n| n == 0) {
            return self.net.forward(&wide, time, given, train);
        }
        let padded = match pad.len() {
            2 => wide.f_replication_pad1d(pad.as_slice())?,
            _ => wide.f_replication_pad2d(pad.as_slice())?,
        };
        let mut out = self.net.forward(&padded, time, given, train)?;
        for (axis, &size) in shape.iter().enumerate().skip(1) {
            out = out.f_narrow(axis as i64 + 1, 0, size)?;
        }
        Ok(out.f_contiguous()?)
    }
}

impl ScoreNet for PaddedUnet {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        self.forward(x, time, &Given::default(), train)
    }

    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        self.forward(x, time, given, train)
    }

    fn classes(&self) -> i64 {
        self.net.condition.classes()
    }
}

/// Refuses a batch that does not consist of rows of this shape, or times that are not one a row.
pub(crate) fn check_input(x: &Tensor, time: &Tensor, shape: &[i64]) -> Result<(), NetError> {
    let size = x.size();
    if size.is_empty() || size[1..] != *shape {
        let need = format!("[rows, then {shape:?}]");
        return Err(NetError::Shape {
            what: "input of the network",
            got: size,
            need,
        });
    }
    if time.size() != size[..1] {
        let need = format!("[{}], one time a row", size[0]);
        return Err(NetError::Shape {
            what: "time input of the network",
            got: time.size(),
            need,
        });
    }
    Ok(())
}
