//! The U-Net of DDPM (Ho et al. 2020, arXiv:2006.11239), for one or two spatial axes: its configuration, its plan
//! (a list of stages, from which the layers are built and the parameters counted) and the network.

mod config;
mod plan;

use tch::Tensor;
use tch::nn::Path;

pub use config::{Resample, TimeMode, UnetConfig};
use plan::{Stage, round_up};

pub(crate) use plan::Plan;

use crate::NetError;
use crate::embed::TimeEmbedding;
use crate::layers::{Attention, Conv, Downsample, GroupNorm, Residual, ResidualOptions, Upsample, silu};

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
        let conv_in = Conv::new(
            &(vs / "conv_in"),
            space,
            plan.data_channels,
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

    pub(crate) fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        let time = self.embedding.forward(time)?;
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

/// The network on maps of any size: repeats the last values up to a multiple of the stride, and cuts the output.
#[derive(Debug)]
pub(crate) struct PaddedUnet {
    net: Unet,
    shape: Vec<i64>,
    /// As libtorch wants it: from the last axis to the first, before and after.
    pad: Vec<i64>,
}

impl PaddedUnet {
    pub(crate) fn new(plan: &Plan, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        let missing = |n: i64| round_up(n, plan.stride) - n;
        let pad = shape[1..].iter().rev().flat_map(|&n| [0, missing(n)]).collect();
        Ok(PaddedUnet {
            net: Unet::new(plan, vs)?,
            shape: shape.to_vec(),
            pad,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        check_input(x, time, &self.shape)?;
        if self.pad.iter().all(|&n| n == 0) {
            return self.net.forward(x, time, train);
        }
        let padded = match self.pad.len() {
            2 => x.f_replication_pad1d(self.pad.as_slice())?,
            _ => x.f_replication_pad2d(self.pad.as_slice())?,
        };
        let mut out = self.net.forward(&padded, time, train)?;
        for (axis, &size) in self.shape.iter().enumerate().skip(1) {
            out = out.f_narrow(axis as i64 + 1, 0, size)?;
        }
        Ok(out.f_contiguous()?)
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
