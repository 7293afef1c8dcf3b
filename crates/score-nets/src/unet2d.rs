//! The U-Net on rows of shape `[channels, height, width]`. A height or width that the stride does not divide is padded with repeats
//! of the last values; the output is cut back.

use tch::Tensor;
use tch::nn::Path;

use crate::layers::Space;
use crate::unet::{PaddedUnet, Plan};
use crate::{Given, NetError, ScoreNet, UnetConfig};

/// `[net] kind = "unet2d"`.
#[derive(Debug)]
pub struct Unet2d(PaddedUnet);

impl Unet2d {
    /// Checks the configuration and creates the parameters under `vs` for rows of shape `[channels, height, width]`.
    ///
    /// # Errors
    /// [`NetError::Config`] naming `net.key`, [`NetError::Shape`] for another number of axes,
    /// [`NetError::Torch`] when libtorch cannot allocate.
    pub fn new(config: &UnetConfig, vs: &Path, shape: &[i64]) -> Result<Self, NetError> {
        Ok(Unet2d(PaddedUnet::new(&plan(config, shape)?, vs, shape)?))
    }
}

impl ScoreNet for Unet2d {
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
    let &[channels, height, width] = shape else {
        let need = "[channels, height, width] for net.kind = \"unet2d\"".into();
        return Err(NetError::Shape {
            what: "shape of one row of data",
            got: shape.to_vec(),
            need,
        });
    };
    Plan::new(config, Space::Plane, channels, &[height, width])
}
