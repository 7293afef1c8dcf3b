//! `--device`.

use std::fmt;
use std::str::FromStr;

use tch::{Cuda, Device};

use crate::TrainError;

/// A device as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceArg {
    /// The first CUDA device if there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device.
    Cuda(usize),
    /// The graphics unit of an Apple computer.
    Mps,
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceArg::Auto),
            "cpu" => Ok(DeviceArg::Cpu),
            "cuda" => Ok(DeviceArg::Cuda(0)),
            "mps" => Ok(DeviceArg::Mps),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(DeviceArg::Cuda)
                .ok_or_else(|| "devices are auto, cpu, cuda, cuda:N and mps".to_string()),
        }
    }
}

impl fmt::Display for DeviceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceArg::Auto => f.write_str("auto"),
            DeviceArg::Cpu => f.write_str("cpu"),
            DeviceArg::Cuda(n) => write!(f, "cuda:{n}"),
            DeviceArg::Mps => f.write_str("mps"),
        }
    }
}

impl DeviceArg {
    /// The device, if libtorch can use it.
    ///
    /// # Errors
    /// [`TrainError::Device`] for a device that is absent.
    pub fn resolve(self) -> Result<Device, TrainError> {
        let absent = |reason: String| TrainError::Device {
            device: self.to_string(),
            reason,
        };
        let usable = || Cuda::is_available() && Cuda::device_count() > 0;
        match self {
            DeviceArg::Cpu => Ok(Device::Cpu),
            DeviceArg::Auto if usable() => Ok(Device::Cuda(0)),
            DeviceArg::Auto => Ok(Device::Cpu),
            DeviceArg::Cuda(_) if !usable() => Err(absent(
                "libtorch finds no CUDA device here (a CPU build of libtorch, no driver or no such card); \
                 use --device cpu, or see `cargo xtask doctor`"
                    .to_string(),
            )),
            DeviceArg::Cuda(n) if n as i64 >= Cuda::device_count() => Err(absent(format!(
                "there are {} CUDA devices, cuda:0 is the first",
                Cuda::device_count()
            ))),
            DeviceArg::Cuda(n) => Ok(Device::Cuda(n)),
            DeviceArg::Mps if tch::utils::has_mps() => Ok(Device::Mps),
            DeviceArg::Mps => Err(absent(
                "libtorch finds no Apple graphics unit here; use --device cpu".to_string(),
            )),
        }
    }
}
