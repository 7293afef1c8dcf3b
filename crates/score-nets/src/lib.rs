//! Score networks on libtorch (residual MLP, 1-D and 2-D U-Nets, the networks of score_sde), the tensor state that samplers move, and the
//! wrapper that makes a network a score function.
//!
//! A network of your own needs one trait, [`ScoreNet`]: see its example.

pub mod card;
pub mod diffusers;
pub mod embed;
pub mod error;
pub mod generator;
pub mod given;
pub mod layers;
pub mod memory;
pub mod mlp;
pub mod net;
pub mod patch;
pub mod precision;
pub mod score;
pub mod score_sde;
pub mod tensor_state;
pub mod twice;
pub mod unet;
pub mod unet1d;
pub mod unet2d;
pub mod weights;

pub use card::{CardError, ModelCard};
pub use error::NetError;
pub use generator::seeded;
pub use given::{Given, Window};
pub use memory::keep_freed_memory;
pub use mlp::MlpConfig;
pub use net::{NetConfig, ScoreNet, named_buffers, named_parameters, named_tensors};
pub use patch::{Edge, PatchConfig, PatchNet};
pub use precision::{Autocast, Precision};
pub use score::NetScore;
pub use score_sde::{DdpmConfig, NcsnppConfig};
pub use tensor_state::{TensorNoise, TensorState};
pub use twice::twice_differentiable;
pub use unet::{Resample, TimeMode, UnetConfig};
