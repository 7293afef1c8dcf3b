//! `sde data`.

use super::DataCommand;
use crate::TrainError;

pub(super) fn run(command: &DataCommand) -> Result<(), TrainError> {
    match command {
        DataCommand::List => Ok(()),
        DataCommand::Info { .. } => Ok(()),
        DataCommand::Fetch { .. } => Ok(()),
    }
}
