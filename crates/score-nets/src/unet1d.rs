//! The U-Net on rows of shape `[channels, length]`. A length that the stride does not divide is padded with repeats
//! of the last values; the output is cut back.

use tch::Tensor;
use tch::nn::Path;

use crate::layers::Space;
use crate::unet::{PaddedUnet, Plan};
use crate::{Given, NetError, ScoreNet, UnetConfig};

/// `[net] kind = "unet1d"`.
#[derive(Debug)]
pub struct Unet1d(PaddedUnet);

impl Unet1d {
    /// Checks the configuration and creates the parameters under `vs` for rows of shape `[channels, length]`.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, [`NetError::Shape`] for another number of axes,
    /// [`NetError::Torch`] when libtorch cannot allocate.
    pub fn new(config: &UnetConfig, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        Ok(Unet1d(PaddedUnet::new(&plan(config, shape)?, vs, shape)?))
    }
}

impl ScoreNet for Unet1d {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        ScoreNet::forward(&self.0, x, time, train)
    }

    fn forward_given(
        &self,
        x: &Tensor,
        time: &Tensor,
        given: &Given,
        train: bool,
    ) -> Result<Tensor, NetError> {
        self.0.forward_given(x, time, given, train)
    }

    fn classes(&self) -> i64 {
        self.0.classes()
    }
}

pub(crate) fn plan(config: &UnetConfig, shape: &[i64]) -> Result<Plan, NetError> {
    let &[channels, length] = shape else {
        let need = "[channels, length] for net.kind = \"unet1d\"".into();
        return Err(NetError::Shape {
            what: "shape of one row of data",
            got: shape.to_vec(),
            need,
        });
    };
    Plan::new(config, Space::Line, channels, &[length])
}
