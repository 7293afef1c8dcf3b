//! `--device`.

use std::fmt;
use std::str::FromStr;

use tch::{Cuda, Device};

use crate::TrainError;

/// A device as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceArg {
    /// As [`DeviceArg::Cuda`] if there is a CUDA device, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device whose number on its machine is that of the rank, the first for a process by itself.
    Cuda,
    /// The CUDA device of this number.
    CudaNumber(usize),
    /// The graphics unit of an Apple computer.
    Mps,
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceArg::Auto),
            "cpu" => Ok(DeviceArg::Cpu),
            "cuda" => Ok(DeviceArg::Cuda),
            "mps" => Ok(DeviceArg::Mps),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(DeviceArg::CudaNumber)
                .ok_or_else(|| "devices are auto, cpu, cuda, cuda:N and mps".to_string()),
        }
    }
}

impl fmt::Display for DeviceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceArg::Auto => f.write_str("auto"),
            DeviceArg::Cpu => f.write_str("cpu"),
            DeviceArg::Cuda => f.write_str("cuda"),
            DeviceArg::CudaNumber(n) => write!(f, "cuda:{n}"),
            DeviceArg::Mps => f.write_str("mps"),
        }
    }
}

impl DeviceArg {
    /// The device of a process, if libtorch can use it; `local_rank` is its number among the ranks of its machine, 0 by itself.
    ///
    /// # Errors
    /// [`TrainError::Device`] for a device that is absent.
    pub fn resolve(self, local_rank: u32) -> Result<Device, TrainError> {
        let count = match self {
            DeviceArg::Cpu | DeviceArg::Mps => 0,
            _ if Cuda::is_available() => usize::try_from(Cuda::device_count()).unwrap_or(0),
            _ => 0,
        };
        match self.among(count, local_rank)? {
            Device::Mps if !tch::utils::has_mps() => {
                Err(self.absent("libtorch finds no Apple graphics unit here; use --device cpu".to_owned()))
            }
            device => Ok(device),
        }
    }

    /// Where there are `count` CUDA devices. More ranks than devices go round.
    fn among(self, count: usize, local_rank: u32) -> Result<Device, TrainError> {
        match self {
            DeviceArg::Cpu => Ok(Device::Cpu),
            DeviceArg::Mps => Ok(Device::Mps),
            DeviceArg::Auto if count == 0 => Ok(Device::Cpu),
            DeviceArg::Cuda | DeviceArg::CudaNumber(_) if count == 0 => Err(self.absent(
                "libtorch finds no CUDA device here (a CPU build of libtorch, no driver or no such card); \
                 use --device cpu, or see `cargo xtask doctor`"
                    .to_owned(),
            )),
            DeviceArg::Auto | DeviceArg::Cuda => Ok(Device::Cuda(local_rank as usize % count)),
            DeviceArg::CudaNumber(n) if n >= count => {
                Err(self.absent(format!("there are {count} CUDA devices, cuda:0 is the first")))
            }
            DeviceArg::CudaNumber(n) => Ok(Device::Cuda(n)),
        }
    }

    fn absent(self, reason: String) -> TrainError {
        TrainError::Device {
            device: self.to_string(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_of_a_machine_has_a_gpu_of_its_own() {
        let at = |text: &str, count, rank| {
            let asked: DeviceArg = text.parse().expect("a device");
            assert_eq!(asked.to_string(), text);
            asked.among(count, rank).map_err(|error| error.to_string())
        };
        for text in ["auto", "cuda"] {
            assert_eq!(at(text, 2, 0), Ok(Device::Cuda(0)));
            assert_eq!(at(text, 2, 1), Ok(Device::Cuda(1)));
            // Two ranks more than there are devices.
            assert_eq!(at(text, 2, 3), Ok(Device::Cuda(1)));
            // Where the launcher shows each rank its own alone.
            assert_eq!(at(text, 1, 3), Ok(Device::Cuda(0)));
        }
        assert_eq!(at("auto", 0, 1), Ok(Device::Cpu));
        assert_eq!(at("cpu", 2, 1), Ok(Device::Cpu));
        // A number means that device, whoever asks.
        assert_eq!(at("cuda:1", 2, 0), Ok(Device::Cuda(1)));
        let error = at("cuda:2", 2, 0).expect_err("absent");
        assert!(
            error.starts_with("device cuda:2: there are 2 CUDA devices"),
            "{error}"
        );
        let error = at("cuda", 0, 0).expect_err("absent");
        assert!(
            error.starts_with("device cuda: libtorch finds no CUDA device"),
            "{error}"
        );
    }
}
