//! TorchScript modules: networks that are not ours, as Python traced or scripted them.
//!
//! Unlike a checkpoint, such a file is a program: it holds the network's own code, which libtorch interprets. It can
//! call libtorch's operators and nothing of Python's; take files from people whom you trust all the same.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tch::{CModule, Device, Tensor};

use super::WeightsError;
use super::pytorch::{check_script, shown};
use crate::error::first_line;
use crate::{NetError, ScoreNet};

/// A TorchScript module `forward(x, time)` as a network: `x` is `[rows, ...]`, `time` `[rows]`, and what it returns has
/// the shape of `x`. It is evaluated as it was saved, in evaluation mode; what its output means is said by the
/// preconditioning, as for every network.
#[derive(Debug)]
pub struct TorchScriptNet {
    module: CModule,
}

impl TorchScriptNet {
    /// Loads a module onto a device.
    ///
    /// # Errors
    /// [`WeightsError::Checkpoint`] naming the file: it is no TorchScript archive, is damaged, or libtorch refuses it.
    pub fn load(path: &Path, device: Device) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io {
            file: path.into(),
            what: "cannot read",
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        check_script(path, file.try_clone().map_err(io)?, length)?;
        std::io::Seek::rewind(&mut file).map_err(io)?;
        let refuse = |error: tch::TchError| WeightsError::Checkpoint {
            file: path.into(),
            place: "TorchScript".into(),
            reason: format!("libtorch: {}", shown(&first_line(&error))),
        };
        let mut module = CModule::load_data_on_device(&mut file.take(length), device).map_err(refuse)?;
        module.f_set_eval().map_err(refuse)?;
        Ok(TorchScriptNet { module })
    }
}

impl ScoreNet for TorchScriptNet {
    fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
        if train {
            let reason = "a TorchScript module is evaluated as it was saved; it cannot be trained here";
            return Err(NetError::config("kind", "torchscript", reason));
        }
        // Traced code may view its input: it gets one without tricks of stride.
        let out = self.module.forward_ts(&[x, &time.f_contiguous()?])?;
        if out.size() != x.size() {
            return Err(NetError::Shape {
                what: "output of the TorchScript module",
                got: out.size(),
                need: format!("{:?}, the shape of its input", x.size()),
            });
        }
        Ok(out)
    }
}
