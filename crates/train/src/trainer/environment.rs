//! `environment.toml`: what a run was trained on. The run does not depend on it beyond rounding, and no checkpoint
//! holds it; it is there to be read.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::TrainError;

/// Its name in the run folder.
pub const ENVIRONMENT_FILE: &str = "environment.toml";

/// Versions, device and machine of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Version of this program.
    pub sde: String,
    /// Version of libtorch that it was built with.
    pub libtorch: String,
    /// Device of the network.
    pub device: String,
    /// Threads of libtorch.
    pub threads: u32,
    /// Processor cores that the process may use.
    pub cores: u32,
    /// Model of the processor, where the system tells.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub processor: String,
    /// Operating system and architecture.
    pub system: String,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            sde: "unknown".to_owned(),
            libtorch: "unknown".to_owned(),
            device: "unknown".to_owned(),
            threads: 0,
            cores: 0,
            processor: String::new(),
            system: "unknown".to_owned(),
        }
    }
}

impl Environment {
    /// That of this process, whose network is on `device`.
    pub fn here(device: Device) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        Self {
            sde: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: env!("SDE_LIBTORCH_VERSION").to_owned(),
            device: match device {
                Device::Cuda(number) => format!("cuda:{number}"),
                other => format!("{other:?}").to_lowercase(),
            },
            threads: u32::try_from(tch::get_num_threads()).unwrap_or(0),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            processor: processor(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }

    /// Writes it into a run folder.
    ///
    /// # Errors
    /// [`TrainError::Report`] naming the file.
    pub fn write(&self, run_dir: &Path) -> Result<(), TrainError> {
        let text = toml::to_string(self).expect("invariant: texts and numbers are valid TOML");
        let path = run_dir.join(ENVIRONMENT_FILE);
        Ok(report::atomic::write_bytes(&path, text.as_bytes())?)
    }

    /// That of a run folder, if it tells.
    pub fn read(run_dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(run_dir.join(ENVIRONMENT_FILE)).ok()?;
        toml::from_str(&text).ok()
    }

    /// Names and values for a table.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let number = |n: u32| {
            if n == 0 {
                "unknown".to_owned()
            } else {
                n.to_string()
            }
        };
        let mut rows = vec![
            ("sde", self.sde.clone()),
            ("libtorch", self.libtorch.clone()),
            ("device", self.device.clone()),
            ("threads of libtorch", number(self.threads)),
            ("processor cores", number(self.cores)),
            ("system", self.system.clone()),
        ];
        if !self.processor.is_empty() {
            rows.insert(5, ("processor", self.processor.clone()));
        }
        rows.into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect()
    }
}

/// The model of the first processor, as Linux names it.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or(String::new(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_from_its_file_and_old_files_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(Environment::read(folder.path()), None);
        let here = Environment::here(Device::Cpu);
        assert_eq!(
            (here.device.as_str(), here.libtorch.split('.').count()),
            ("cpu", 3)
        );
        here.write(folder.path()).expect("writable");
        assert_eq!(Environment::read(folder.path()), Some(here));
        fs::write(folder.path().join(ENVIRONMENT_FILE), "device = \"cuda:1\"\n").expect("writable");
        let old = Environment::read(folder.path()).expect("readable");
        assert_eq!((old.device.as_str(), old.sde.as_str()), ("cuda:1", "unknown"));
    }
}
