//! The residual MLP: projection of x plus time embedding, residual blocks that see the time, output.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::embed::{Embedding, TimeEmbedding};
use crate::given::check_sizes;
use crate::layers::{Condition, LayerNorm, Linear, Weight, normalised, silu};
use crate::unet::check_input;
use crate::{Given, NetError, ScoreNet};

/// `[net] kind = "mlp"`: works on the flattened row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the embedding of the time, and of the class and the vector where the network is told those. Narrower than the stream:
    /// every block reads it through a map of its own, which costs as much as a layer of the stream where both are as wide.
    pub time_size: i64,
    /// Number of residual blocks.
    pub num_layers: i64,
    /// Probability of dropping a value inside a block.
    pub dropout: f64,
    /// Frequencies of the time embedding.
    pub embedding: Embedding,
    /// Standard deviation of the Fourier frequencies, per unit of the time input.
    pub fourier_scale: f64,
    /// Classes that the network can be told; 0 for none.
    pub classes: i64,
    /// Values of a vector that the network is told of each row; 0 for none.
    pub condition_size: i64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        MlpConfig {
            hidden_size: 256,
            time_size: 64,
            num_layers: 4,
            dropout: 0.0,
            embedding: Embedding::Sinusoidal,
            fourier_scale: 1.0,
            classes: 0,
            condition_size: 0,
        }
    }
}

impl MlpConfig {
    /// Checks the configuration and creates the parameters under `vs`.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, [`NetError::Torch`] when libtorch cannot allocate.
    pub fn build(&self, vs: &Path, shape: &[i64]) -> Result<Mlp, NetError> {
        self.check()?;
        let (size, width, time) = (shape.iter().product(), self.hidden_size, self.time_size);
        let blocks = (0..self.num_layers).map(|number| {
            let at = vs / "blocks" / number;
            Ok(Block {
                time: Linear::new(&(&at / "time"), time, width, 1.0)?,
                linear1: Weight::new(&(&at / "linear1"), width, width, 1.0)?,
                linear2: Weight::new(&(&at / "linear2"), width, width, 0.0)?,
            })
        });
        Ok(Mlp {
            shape: shape.to_vec(),
            dropout: self.dropout,
            embedding: TimeEmbedding::new(
                &(vs / "time"),
                self.embedding,
                self.features(),
                time,
                self.fourier_scale,
            )?,
            condition: Condition::new(&(vs / "condition"), self.classes, self.condition_size, time)?,
            x_proj: Weight::new(&(vs / "x_proj"), size, width, 1.0)?,
            t_proj: Linear::new(&(vs / "t_proj"), time, width, 1.0)?,
            blocks: blocks.collect::<Result<_, NetError>>()?,
            norm_out: LayerNorm::new(&(vs / "norm_out"), width)?,
            out: Linear::new(&(vs / "out"), width, size, 0.0)?,
        })
    }

    /// Number of trained parameters.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`.
    pub fn param_count(&self, shape: &[i64]) -> Result<u64, NetError> {
        self.check()?;
        let (size, width, time) = (shape.iter().product(), self.hidden_size, self.time_size);
        let block = Linear::param_count(time, width) + 2 * Weight::param_count(width, width);
        Ok(TimeEmbedding::param_count(self.features(), time)
            + Condition::param_count(self.classes, self.condition_size, time)
            + Weight::param_count(size, width)
            + Linear::param_count(time, width)
            + self.num_layers as u64 * block
            + LayerNorm::param_count(width)
            + Linear::param_count(width, size))
    }

    fn features(&self) -> i64 {
        // Even, and at least two frequencies.
        (self.time_size + self.time_size % 2).max(4)
    }

    fn check(&self) -> Result<(), NetError> {
        for (key, value) in [
            ("hidden_size", self.hidden_size),
            ("time_size", self.time_size),
            ("num_layers", self.num_layers),
        ] {
            if !(1..=65_536).contains(&value) {
                return Err(NetError::config(
                    key,
                    value,
                    "give a whole number from 1 to 65536",
                ));
            }
        }
        check_sizes(&[("classes", self.classes), ("condition_size", self.condition_size)])?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(NetError::config(
                "dropout",
                self.dropout,
                "give a probability from 0 to below 1",
            ));
        }
        if !(self.fourier_scale.is_finite() && self.fourier_scale > 0.0) {
            return Err(NetError::config(
                "fourier_scale",
                self.fourier_scale,
                "give a positive number",
            ));
        }
        Ok(())
    }
}

/// `h + W_2 dropout(silu(W_1 norm(h) + time))`, `time` the block's own map of the embedding; starts near the identity. The
/// normalisation has no factors, since `W_1` follows, and nothing a shift but `time`.
#[derive(Debug)]
struct Block {
    time: Linear,
    linear1: Weight,
    linear2: Weight,
}

/// The network; see [`MlpConfig`].
#[derive(Debug)]
pub struct Mlp {
    shape: Vec<i64>,
    dropout: f64,
    embedding: TimeEmbedding,
    condition: Condition,
    x_proj: Weight,
    t_proj: Linear,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    out: Linear,
}

impl ScoreNet for Mlp {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        self.forward_given(x, time, &Given::default(), train)
    }

    fn classes(&self) -> i64 {
        self.condition.classes()
    }

    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        check_input(x, time, &self.shape)?;
        given.check_taken(&["labels", "vector"])?;
        let time = self
            .condition
            .add(self.embedding.forward(time)?, given, x.size()[0])?;
        let flat = x.f_flatten(1, -1)?;
        let mut h = self.x_proj.onto(&self.t_proj.forward(&time)?, &flat)?;
        for block in &self.blocks {
            let time = block.time.forward(&time)?;
            let mut inner = silu(block.linear1.onto(&time, &normalised(&h)?)?)?;
            if train && self.dropout > 0.0 {
                inner = inner.f_dropout(self.dropout, true)?;
            }
            h = block.linear2.onto(&h, &inner)?;
        }
        let out = self.out.forward(&silu(self.norm_out.forward(&h)?)?)?;
        Ok(out.f_view(x.size().as_slice())?)
    }
}
