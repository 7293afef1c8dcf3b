//! Checkpoints of score_sde: which of their tensors are a network's weights.
//!
//! The file is a dict `{optimizer, model, ema, step}` (public repository yang-song/score_sde_pytorch, utils.py and
//! models/ema.py). `model` is a state dict whose names start with `module.`, with the noise levels `sigmas` as a buffer.
//! `ema` is `{decay, num_updates, shadow_params}`: the averaged weights are a list without names, in the order in which
//! the network's trainable tensors were made, without the fixed Fourier frequencies.

use std::collections::HashSet;
use std::path::Path;

use tch::{Kind, Tensor, nn};

use super::WeightsError;
use super::assign::{Described, assign, matching};
use super::pytorch::{Checkpoint, Node, shown};
use super::safetensors::dtype_name;
use crate::card::WeightsKind;
use crate::{named_buffers, named_parameters, named_tensors};

/// What `torch.nn.DataParallel` puts before every name.
const PREFIX: &str = "module.";
/// The buffer of noise levels, which follows from the configuration.
const SIGMAS: &str = "sigmas";

/// An open checkpoint of score_sde.
#[derive(Debug)]
pub struct ScoreSdeCheckpoint {
    checkpoint: Checkpoint,
}

impl ScoreSdeCheckpoint {
    /// Opens a checkpoint. A bare state dict is taken too: it has no averaged weights.
    ///
    /// # Errors
    /// As [`Checkpoint::open`]; [`WeightsError::Checkpoint`] for a file of another structure.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let checkpoint = Checkpoint::open(path)?;
        let this = ScoreSdeCheckpoint { checkpoint };
        this.model()?;
        Ok(this)
    }

    /// Optimiser steps that the weights have behind them.
    pub fn step(&self) -> Option<u64> {
        self.checkpoint.root().get("step")?.as_int()?.try_into().ok()
    }

    /// Number of values of the model, buffers included; nothing is read for it.
    ///
    /// # Errors
    /// As [`ScoreSdeCheckpoint::open`].
    pub fn values(&self) -> Result<u64, WeightsError> {
        let shapes = self.model()?.into_iter().filter_map(|(_, node)| node.shape());
        Ok(shapes
            .map(|(shape, _)| shape.iter().map(|&n| n as u64).product::<u64>())
            .sum())
    }

    fn broken(&self, place: &str, reason: String) -> WeightsError {
        WeightsError::Checkpoint {
            file: self.checkpoint.path().into(),
            place: place.into(),
            reason,
        }
    }

    /// Names and tensors of the model, not yet read.
    fn model(&self) -> Result<Vec<(&str, Node<'_>)>, WeightsError> {
        let root = self.checkpoint.root();
        let Some(mut top) = root.entries() else {
            return Err(self.broken(
                "the file",
                format!("is {}, need a dict with `model` and `ema`", root.what()),
            ));
        };
        let (place, dict) = match root.get("model") {
            Some(model) => ("model", model),
            None if top.all(|(_, value)| value.shape().is_some()) => ("the file", root),
            None => {
                let keys = root
                    .entries()
                    .into_iter()
                    .flatten()
                    .filter_map(|(key, _)| key.as_str())
                    .take(8);
                let keys: Vec<String> = keys.map(shown).collect();
                let reason = format!("has no `model`; its keys are: {}", keys.join(", "));
                return Err(self.broken("the file", reason));
            }
        };
        let Some(entries) = dict.entries() else {
            return Err(self.broken(place, format!("is {}, need a dict of tensors", dict.what())));
        };
        let mut named = Vec::new();
        for (key, value) in entries {
            match (key.as_str(), value.shape()) {
                (Some(name), Some(_)) => named.push((name, value)),
                (Some(name), None) => {
                    return Err(self.broken(
                        place,
                        format!("{} is {}, need a tensor", shown(name), value.what()),
                    ));
                }
                (None, _) => {
                    return Err(self.broken(place, format!("has {} as a key, need names", key.what())));
                }
            }
        }
        if named.iter().all(|(name, _)| name.starts_with(PREFIX)) {
            for (name, _) in &mut named {
                *name = &name[PREFIX.len()..];
            }
        }
        let mut seen = HashSet::new();
        if let Some((name, _)) = named.iter().find(|(name, _)| !seen.insert(*name)) {
            let (file, tensor) = (self.checkpoint.path().into(), shown(name));
            return Err(WeightsError::Duplicate { file, tensor });
        }
        Ok(named)
    }

    /// Copies weights into the network of the store: the averaged ones (`WeightsKind::Ema`) or the model's own. The
    /// network must have exactly the model's tensors; only `sigmas` may be absent from the file.
    ///
    /// # Errors
    /// [`WeightsError`] naming file and tensor; the network is then as before.
    pub fn load(&self, vs: &nn::VarStore, which: WeightsKind) -> Result<(), WeightsError> {
        let path = self.checkpoint.path();
        let model = self.model()?;
        let mut own = named_tensors(vs);
        if !model.iter().any(|(name, _)| *name == SIGMAS) {
            own.retain(|(name, _)| name != SIGMAS);
        }
        let own_sigmas = own
            .iter()
            .find(|(name, _)| name == SIGMAS)
            .map(|(_, tensor)| tensor.kind());
        let described = model.iter().filter_map(|(name, node)| {
            let (shape, mut kind) = node.shape()?;
            // The reference keeps the noise levels in f64, beside weights in f32.
            if let (SIGMAS, Some(own), Kind::Double) = (*name, own_sigmas, kind) {
                kind = own;
            }
            Some(Described {
                name,
                shape,
                kind: Some(kind),
                dtype: dtype_name(kind),
            })
        });
        matching(path, &described.collect::<Vec<_>>(), &own)?;
        let read = |name: &str| -> Result<(String, Tensor), WeightsError> {
            let node = model
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, node)| node.tensor());
            let tensor = node.transpose()?.flatten();
            let mut tensor = tensor.ok_or_else(|| self.broken("model", format!("{name} is no tensor")))?;
            if let (SIGMAS, Some(own)) = (name, own_sigmas) {
                tensor = tensor
                    .f_to_kind(own)
                    .map_err(|e| super::assign::torch(path, name, &e))?;
            }
            Ok((name.to_string(), tensor))
        };
        let mut from = match which {
            WeightsKind::Ema => self.averages(vs)?,
            _ => named_parameters(vs)
                .iter()
                .map(|(name, _)| read(name))
                .collect::<Result<_, _>>()?,
        };
        for (name, _) in named_buffers(vs) {
            if own.iter().any(|(known, _)| *known == name) {
                from.push(read(&name)?);
            }
        }
        self.check_sigmas(&from, &own)?;
        assign(path, &from, &own)
    }

    /// The averaged weights under the names of the trainable tensors, in whose order they are.
    fn averages(&self, vs: &nn::VarStore) -> Result<Vec<(String, Tensor)>, WeightsError> {
        let list = self
            .checkpoint
            .root()
            .get("ema")
            .and_then(|ema| ema.get("shadow_params"));
        let Some(list) = list.and_then(|list| list.items()) else {
            let reason = "holds no averaged weights (ema.shadow_params); take the model's own, with --raw";
            return Err(self.broken("ema", reason.to_string()));
        };
        let parameters = named_parameters(vs);
        if list.len() != parameters.len() {
            let (have, need) = (list.len(), parameters.len());
            let reason =
                format!("shadow_params holds {have} tensors, the network has {need} that are trained");
            return Err(self.broken("ema", reason));
        }
        let mut named = Vec::with_capacity(parameters.len());
        for (number, ((name, _), node)) in parameters.iter().zip(list).enumerate() {
            let tensor = node.tensor()?;
            let need = || {
                self.broken(
                    "ema",
                    format!("shadow_params[{number}] is {}, need a tensor", node.what()),
                )
            };
            named.push((name.clone(), tensor.ok_or_else(need)?));
        }
        Ok(named)
    }

    /// The noise levels of the file are those of the configuration.
    fn check_sigmas(&self, from: &[(String, Tensor)], own: &[(String, Tensor)]) -> Result<(), WeightsError> {
        let find = |list: &[(String, Tensor)]| {
            let found = list.iter().find(|(name, _)| name == SIGMAS);
            found.map(|(_, tensor)| tensor.to_device(tch::Device::Cpu).to_kind(Kind::Double))
        };
        let (Some(have), Some(need)) = (find(from), find(own)) else {
            return Ok(());
        };
        if have.size() != need.size() || have.numel() == 0 {
            return Ok(());
        }
        let worst = (&have / &need - 1.0).abs().max().double_value(&[]);
        if worst <= 1e-3 {
            return Ok(());
        }
        let ends = |tensor: &Tensor| {
            (
                tensor.double_value(&[0]),
                tensor.double_value(&[tensor.size()[0] - 1]),
            )
        };
        let ((a, b), (c, d)) = (ends(&have), ends(&need));
        let reason = format!(
            "sigmas run from {a} to {b}, the configuration's from {c} to {d}: it belongs to another model \
             (sigma_max, sigma_min, num_scales)"
        );
        Err(self.broken("model", reason))
    }
}
