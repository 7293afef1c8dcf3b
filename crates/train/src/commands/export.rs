//! `sde export`.

use crate::TrainError;
use crate::cli::{ExportArgs, ExportTo};
use crate::model::{OpenModel, check_new};

/// Writes a model in the files of another program; the answer is the exit code.
///
/// # Errors
/// The model is refused, the other program has no such network, or the folder cannot be written.
pub fn export(args: &ExportArgs) -> Result<u8, TrainError> {
    check_new(&args.out)?;
    let model = OpenModel::open(&args.place, tch::Device::Cpu)?;
    match args.to {
        ExportTo::Diffusers => {
            let _ = model;
            Err(TrainError::Usage("--to diffusers: not in this build".to_owned()))
        }
    }
}
