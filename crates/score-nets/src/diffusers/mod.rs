//! `UNet2DModel` of the diffusers library: the network.

mod attention;
mod blocks;
mod config;
mod embed;
mod layers;
mod levels;
mod model;
mod nullable;
mod plan;
mod resample;
mod resnet;

pub use config::{SampleSize, Unet2dConfig};
pub use model::Unet2dModel;
