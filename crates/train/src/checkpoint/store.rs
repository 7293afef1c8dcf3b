//! Writing, finding and retiring the checkpoints of a run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::state::{FORMAT, RunState, STATE_FILE, StateFile, TENSOR_FILES};
use super::verify::{Entry, fingerprint, seal, sha256_of, verify};
use crate::TrainError;

/// What a checkpoint holds; tensors are read, never cloned.
#[derive(Debug)]
pub struct Snapshot {
    /// Weights and buffers of the network.
    pub net: Vec<(String, Tensor)>,
    /// The same with averaged weights.
    pub ema: Vec<(String, Tensor)>,
    /// `first.NAME` and `second.NAME`: moments of the optimiser; `power0.NAME` and so on: power-function averages, if any.
    /// `value.loss/NAME` and `average.loss/NAME`: parameters of the objective and their average, if any.
    pub optim: Vec<(String, Tensor)>,
    /// The counters.
    pub state: RunState,
}

/// The newest whole checkpoint, and the newer ones that had to be passed over.
#[derive(Debug)]
pub struct Newest {
    /// Folder and counters; `None` if there is no whole checkpoint.
    pub found: Option<(PathBuf, RunState)>,
    /// Damaged newer ones, newest first.
    pub damaged: Vec<(PathBuf, TrainError)>,
}

/// The folder `checkpoints/` of a run.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    keep: usize,
}

/// Name of the file that names the newest checkpoint.
const LATEST: &str = "latest";
/// Start of temporary names; such folders are litter of a stopped process.
const TEMPORARY: &str = ".tmp-";

impl Store {
    /// The store of a run folder, of which the newest `keep` checkpoints stay (at least one).
    pub fn new(run_dir: &Path, keep: u64) -> Self {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX).max(1);
        Self {
            folder: run_dir.join("checkpoints"),
            keep,
        }
    }

    /// Makes the folder and removes what a process that was stopped in the middle of a save has left. Only the
    /// holder of the run's lock may call it.
    ///
    /// # Errors
    /// [`TrainError::Io`] naming the path.
    pub fn prepare(&self) -> Result<(), TrainError> {
        fs::create_dir_all(&self.folder).map_err(TrainError::io("create", &self.folder))?;
        for name in self.names()? {
            if name.starts_with(TEMPORARY) || is_litter(&name, LATEST) {
                remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Writes a checkpoint, makes it the latest, and retires the oldest. On return everything is on the disk.
    ///
    /// # Errors
    /// [`TrainError`] naming the file: no space, no permission. Earlier checkpoints are then as they were and
    /// nothing of the new one is left.
    pub fn save(&self, snapshot: &Snapshot) -> Result<PathBuf, TrainError> {
        let name = folder_name(snapshot.state.step);
        let target = self.folder.join(&name);
        let temporary = self.folder.join(format!("{TEMPORARY}{name}"));
        let published = self
            .write(&temporary, snapshot)
            .and_then(|()| self.publish(&temporary, &target));
        if let Err(error) = published {
            // Best effort: the first error is the one to report.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        self.point_to(snapshot.state.step)?;
        self.retire(snapshot.state.step)?;
        Ok(target)
    }

    /// Lets `latest` name the checkpoint of a step, which must be whole.
    ///
    /// # Errors
    /// [`TrainError::Report`] naming the file.
    pub fn point_to(&self, step: u64) -> Result<(), TrainError> {
        let (path, line) = (self.folder.join(LATEST), format!("{}\n", folder_name(step)));
        if fs::read(&path).is_ok_and(|old| old == line.as_bytes()) {
            return Ok(());
        }
        Ok(report::atomic::write_bytes(&path, line.as_bytes())?)
    }

    fn write(&self, folder: &Path, snapshot: &Snapshot) -> Result<(), TrainError> {
        if folder.exists() {
            remove(folder)?;
        }
        fs::create_dir(folder).map_err(TrainError::io("create", folder))?;
        let mut sha256 = BTreeMap::new();
        for (name, tensors) in TENSOR_FILES
            .into_iter()
            .zip([&snapshot.net, &snapshot.ema, &snapshot.optim])
        {
            let path = folder.join(name);
            score_nets::weights::save(&path, tensors)?;
            sync(&path)?;
            sha256.insert(name.to_owned(), sha256_of(&path)?);
        }
        let file = StateFile {
            format: FORMAT,
            run: snapshot.state.clone(),
            sha256,
        };
        let body = toml::to_string(&file).expect("invariant: counters and hashes are valid TOML");
        let path = folder.join(STATE_FILE);
        fs::write(&path, seal(&body)).map_err(TrainError::io("write", &path))?;
        sync(&path)?;
        sync(folder)
    }

    /// Gives the finished folder its name. A damaged folder of the same step gives way.
    fn publish(&self, temporary: &Path, target: &Path) -> Result<(), TrainError> {
        if target.exists() {
            let old = self.folder.join(format!("{TEMPORARY}old"));
            fs::rename(target, &old).map_err(TrainError::io("rename", target))?;
            let renamed = fs::rename(temporary, target).map_err(TrainError::io("create", target));
            if renamed.is_err() {
                let _ = fs::rename(&old, target);
            }
            renamed?;
            remove(&old)?;
        } else {
            fs::rename(temporary, target).map_err(TrainError::io("create", target))?;
        }
        sync(&self.folder)
    }

    /// Removes all but the newest `keep` checkpoints up to `step`, the one just written. That one always stays.
    fn retire(&self, step: u64) -> Result<(), TrainError> {
        let older = self.steps()?.into_iter().filter(|&s| s < step);
        for step in older.skip(self.keep - 1) {
            remove(&self.folder.join(folder_name(step)))?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole. `latest` is not asked: a process may stop between the rename and the
    /// update of that file.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the folder cannot be listed.
    pub fn newest(&self) -> Result<Newest, TrainError> {
        let mut newest = Newest {
            found: None,
            damaged: Vec::new(),
        };
        for step in self.steps()? {
            let path = self.folder.join(folder_name(step));
            match verify(&path) {
                Ok(state) => {
                    newest.found = Some((path, state));
                    break;
                }
                Err(error) => newest.damaged.push((path, error)),
            }
        }
        Ok(newest)
    }

    /// Every checkpoint, oldest first, checked.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<Entry>, TrainError> {
        let mut steps = self.steps()?;
        steps.reverse();
        let entry = |step| {
            let path = self.folder.join(folder_name(step));
            let whole = verify(&path).and_then(|state| Ok((state, fingerprint(&path)?)));
            Entry { step, path, whole }
        };
        Ok(steps.into_iter().map(entry).collect())
    }

    /// Steps of the folders under their final names, newest first.
    fn steps(&self) -> Result<Vec<u64>, TrainError> {
        let mut steps: Vec<u64> = self.names()?.iter().filter_map(|name| step_of(name)).collect();
        steps.sort_unstable_by(|a, b| b.cmp(a));
        Ok(steps)
    }

    fn names(&self) -> Result<Vec<String>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(TrainError::io("list", &self.folder)(error)),
        };
        let name = |entry: std::io::Result<fs::DirEntry>| match entry {
            Ok(entry) => Ok(entry.file_name().to_string_lossy().into_owned()),
            Err(error) => Err(TrainError::io("list", &self.folder)(error)),
        };
        entries.map(name).collect()
    }
}

/// `step_00001000`.
fn folder_name(step: u64) -> String {
    format!("step_{step:08}")
}

fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step_")?.parse().ok()?;
    (folder_name(step) == name).then_some(step)
}

/// Whether a file is what a stopped process has left of writing `target` ([`report::atomic`]).
pub(crate) fn is_litter(name: &str, target: &str) -> bool {
    let rest = name.strip_prefix('.').and_then(|name| name.strip_prefix(target));
    rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".tmp"))
}

/// Removes a folder, or a file that stands in the place of one.
fn remove(path: &Path) -> Result<(), TrainError> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.map_err(TrainError::io("remove", path))
}

/// Waits until a file or folder is on the disk.
fn sync(path: &Path) -> Result<(), TrainError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(TrainError::io("synchronise", path))
}
