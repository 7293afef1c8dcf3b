//! Models that are ready to be evaluated: out of a run folder or a model folder.

use std::path::{Path, PathBuf};

use score_nets::card::{Origin, OriginKind, WeightsKind};
use score_nets::weights::{CARD_FILE, load_model};
use score_nets::{Autocast, ModelCard, Precision, ScoreNet, named_tensors, weights};
use sha2::{Digest, Sha256};
use tch::nn::VarStore;
use tch::{Device, Kind};

use crate::cli::{Place, load_run};
use crate::data::sets::find_set;
use crate::ema::snapshots;
use crate::hash::hex;
use crate::sample::Told;
use crate::{RunConfig, TrainError, checkpoint::Store};

/// A model that is ready to be evaluated.
#[derive(Debug)]
pub struct OpenModel {
    /// The run folder or model folder.
    pub folder: PathBuf,
    /// What is known about it.
    pub card: ModelCard,
    /// Its parameters.
    pub vs: VarStore,
    /// The network.
    pub net: Box<dyn ScoreNet>,
    /// Vectors and images that samples are drawn for where no file says others: those of a run's data, in turn.
    pub told: Told,
    /// What the user should know, for example damaged checkpoints that were passed over.
    pub notes: Vec<String>,
}

impl OpenModel {
    /// Opens the model named on the command line.
    ///
    /// # Errors
    /// The folder is no run or no model, has no whole checkpoint, or a file of it is refused.
    pub fn open(place: &Place, device: Device) -> Result<Self, TrainError> {
        match (&place.run, &place.model) {
            (Some(run), _) => Self::of_run(run, &load_run(run, &[])?.config, device),
            (None, Some(model)) => Self::of_folder(model, device),
            (None, None) => Err(TrainError::Usage(
                "--run RUN_DIR or --model DIR is needed".to_owned(),
            )),
        }
    }

    /// Opens a model folder.
    ///
    /// # Errors
    /// The card or the weights are refused.
    pub fn of_folder(folder: &Path, device: Device) -> Result<Self, TrainError> {
        let model = load_model(folder, device)?;
        Ok(OpenModel {
            folder: folder.to_path_buf(),
            card: model.card,
            vs: model.vs,
            net: model.net,
            told: Told::default(),
            notes: Vec::new(),
        })
    }

    /// Opens the averaged weights of the newest whole checkpoint of a run: the exponential average, or that of the length
    /// `config.ema.length`.
    ///
    /// # Errors
    /// The run has no whole checkpoint, or its data set is not at hand (which says what the values mean).
    pub fn of_run(run: &Path, config: &RunConfig, device: Device) -> Result<Self, TrainError> {
        let data = crate::data::open(&config.data)?;
        let vs = VarStore::new(device);
        let net = config.net.build(&vs.root(), data.shape())?;
        let newest = Store::new(run, config.train.keep).newest()?;
        let passed = |(path, error): &(PathBuf, TrainError)| {
            format!("warning: checkpoint {} passed over: {error}", path.display())
        };
        let notes = newest.damaged.iter().map(passed).collect();
        let Some((checkpoint, state)) = newest.found else {
            let reason = "holds no whole checkpoint; go on with the run by sde train --resume".to_owned();
            return Err(TrainError::RunFolder {
                path: run.to_path_buf(),
                reason,
            });
        };
        weights::load(&checkpoint.join("ema.safetensors"), &named_tensors(&vs))?;
        if let Some(length) = config.ema.length {
            let into = score_nets::named_parameters(&vs);
            snapshots::rebuild(run, &config.ema.power, length, state.ema_updates, &into)?;
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let licence = match find_set(data.name()) {
            Ok(set) => format!("not stated; data: {}", set.licence),
            Err(_) => "not stated".to_owned(),
        };
        let card = ModelCard {
            format: ModelCard::FORMAT,
            name: config.name.clone(),
            licence,
            betas: None,
            origin: Origin {
                source: OriginKind::Run,
                file: name(run).unwrap_or_default(),
                weights: WeightsKind::Ema,
                step: Some(state.step),
            },
            data: data.scaling().to_card(data.shape()),
            sde: config.sde,
            precond: config.precond,
            net: config.net.clone(),
        };
        Ok(OpenModel {
            folder: run.to_path_buf(),
            card,
            vs,
            net,
            told: Told::of_data(data.as_ref(), device)?,
            notes,
        })
    }

    /// The model with its network in this precision.
    ///
    /// # Errors
    /// The device of the network does not have the precision.
    pub fn in_precision(mut self, precision: Precision) -> Result<Self, TrainError> {
        let device = self.vs.device();
        precision.check(device)?;
        self.notes
            .extend(precision.note(device).map(|note| format!("note: {note}")));
        Ok(OpenModel {
            net: Box::new(Autocast::new(self.net, precision)),
            ..self
        })
    }

    /// The file that describes the model, for errors.
    pub fn card_file(&self) -> PathBuf {
        match self.card.origin.source {
            OriginKind::Run if !self.folder.join(CARD_FILE).exists() => self.folder.join("config.toml"),
            _ => self.folder.join(CARD_FILE),
        }
    }

    /// What the model computes, as text: its step and card but for names, and a hash of its weights. What differs between ranks whose models do.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn fingerprint(&self) -> Result<String, TrainError> {
        let fail = TrainError::tensor("the weights");
        let mut tensors = named_tensors(&self.vs);
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let mut hash = Sha256::new();
        for (name, tensor) in tensors {
            let bytes = tensor
                .f_detach()
                .and_then(|tensor| tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1]))
                .and_then(|tensor| tensor.f_view_dtype(Kind::Uint8))
                .and_then(Vec::<u8>::try_from)
                .map_err(&fail)?;
            hash.update(name.as_bytes());
            hash.update(bytes);
        }
        let ModelCard {
            betas,
            data,
            sde,
            precond,
            net,
            ..
        } = &self.card;
        let hash = hex(hash.finalize());
        Ok(format!(
            "step {:?}\n{data:?}\n{sde:?} {betas:?}\n{precond:?}\n{net:?}\nweights {hash}\n",
            self.card.origin.step
        ))
    }

    /// Number of trained values.
    pub fn parameters(&self) -> u64 {
        score_nets::named_parameters(&self.vs)
            .iter()
            .map(|(_, tensor)| tensor.numel() as u64)
            .sum()
    }
}

/// Refuses a folder to create that has something in it.
///
/// # Errors
/// [`TrainError::Format`] naming the folder.
pub fn check_new(folder: &Path) -> Result<(), TrainError> {
    let refuse = |reason: &str| {
        Err(TrainError::Format {
            path: folder.to_path_buf(),
            reason: reason.to_owned(),
        })
    };
    if folder.exists() && !folder.is_dir() {
        return refuse("is a file; --out names a folder to create");
    }
    if !folder.exists() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(folder).map_err(TrainError::io("list", folder))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => refuse("exists and is not empty; choose another --out"),
    }
}
