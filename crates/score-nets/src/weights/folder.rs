//! Model folders: `net.safetensors` and `model.toml`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use tch::{Device, Tensor, nn};

use super::WeightsError;
use super::header::read_header;
use super::safetensors::{load, save, write_atomically};
use crate::card::{CardError, ModelCard};
use crate::{ScoreNet, named_tensors};

/// Name of the card in a model folder.
pub const CARD_FILE: &str = "model.toml";
/// Name of the weights in a model folder.
pub const NET_FILE: &str = "net.safetensors";
/// Bytes of a card at most.
const LONGEST: u64 = 1 << 20;

/// A model that is ready to be evaluated.
#[derive(Debug)]
pub struct LoadedModel {
    /// What is known about it.
    pub card: ModelCard,
    /// Its parameters.
    pub vs: nn::VarStore,
    /// The network.
    pub net: Box<dyn ScoreNet>,
}

/// Writes a model folder, which is made if it is absent: the weights, then the card, each whole or not at all.
///
/// # Errors
/// [`CardError`]: the card is refused (nothing is written then), a file cannot be written.
pub fn write_model(folder: &Path, card: &ModelCard, tensors: &[(String, Tensor)]) -> Result<(), CardError> {
    let file = folder.join(CARD_FILE);
    card.check(&file)?;
    let text = card.to_toml(&file)?;
    fs::create_dir_all(folder).map_err(|source| CardError::Io {
        file: folder.into(),
        what: "cannot create the folder",
        source,
    })?;
    save(&folder.join(NET_FILE), tensors)?;
    write_atomically(&file, |out| {
        out.write_all(text.as_bytes()).map_err(|source| WeightsError::Io {
            file: file.clone(),
            what: "cannot write",
            source,
        })
    })?;
    Ok(())
}

/// Reads and checks the card of a model folder.
///
/// # Errors
/// [`CardError`]: it is absent, no text, or refused.
pub fn read_card(folder: &Path) -> Result<ModelCard, CardError> {
    let file = folder.join(CARD_FILE);
    let io = |what| {
        let file: PathBuf = file.clone();
        move |source| CardError::Io { file, what, source }
    };
    let mut text = String::new();
    let open = File::open(&file).map_err(io("cannot read the model card"))?;
    open.take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(io("cannot read the model card"))?;
    if text.len() as u64 > LONGEST {
        return Err(CardError::Text {
            file,
            line: 1,
            reason: format!("more than {LONGEST} bytes, too long for a model card"),
        });
    }
    ModelCard::from_toml(&text, &file)
}

/// Reads a model folder: builds the network that the card describes and loads its weights.
///
/// # Errors
/// [`CardError`]: the card or the weights are refused, or memory or the device fails.
pub fn load_model(folder: &Path, device: Device) -> Result<LoadedModel, CardError> {
    let card = read_card(folder)?;
    let (file, weights) = (folder.join(CARD_FILE), folder.join(NET_FILE));
    // A card may describe a network of any size: the weights beside it say which size is meant.
    let have: u64 = read_header(&weights)?
        .iter()
        .map(|info| info.shape.iter().product::<i64>() as u64)
        .sum();
    let need = card.net.param_count(&card.data.shape);
    let need = need.map_err(|source| CardError::Net {
        file: file.clone(),
        source,
    })?;
    if need > have {
        return Err(CardError::Value {
            file,
            key: "net".into(),
            value: format!("a network of {need} parameters"),
            reason: format!("{NET_FILE} beside it holds {have} values: they belong to different models"),
        });
    }
    let vs = nn::VarStore::new(device);
    let net = card
        .net
        .build(&vs.root(), &card.data.shape)
        .map_err(|source| CardError::Net { file, source })?;
    load(&weights, &named_tensors(&vs))?;
    Ok(LoadedModel { card, vs, net })
}
