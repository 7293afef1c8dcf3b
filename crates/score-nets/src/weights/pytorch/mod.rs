//! PyTorch checkpoints (`torch.save`), read without running anything in them.
//!
//! A checkpoint is a pickle, a program that builds objects, with the tensors' values beside it. This reader builds
//! tensors, dicts, lists, tuples, numbers, strings, bytes, bools and `None`, and refuses every other class, function and
//! instruction by its name. Both containers are read, the zip archive of PyTorch 1.6 and later and the one before it.
//!
//! Bounds: objects take at most as many bytes as the file has, the tensors together at most twice as many, whatever their
//! shapes say (and one MiB each), all checked before anything is allocated.

mod calls;
mod fault;
mod heap;
mod input;
mod legacy;
mod node;
mod opcodes;
mod pickle;
mod view;
mod zip;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use self::fault::Stop;
pub(super) use self::fault::shown;
use self::heap::{Heap, Item, Object, StorageRef, TensorRef};
use self::input::Input;
use self::legacy::Legacy;
use self::zip::Zip;
use super::WeightsError;

pub use self::node::Node;

/// Bytes of objects that any file may hold, however short it is.
const OBJECTS_FREE: u64 = 1 << 20;

/// The tensors of a checkpoint that is a flat dict of them (a state dict), in its order.
///
/// # Errors
/// As [`Checkpoint::open`]; [`WeightsError::Checkpoint`] for a file of another structure.
pub fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>, WeightsError> {
    let checkpoint = Checkpoint::open(path)?;
    let root = checkpoint.root();
    checkpoint.named_tensors(root, "the file")
}

/// An open checkpoint: its structure is in memory, its tensors are read when asked for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    heap: Heap,
    root: Item,
    values: RefCell<Values>,
}

#[derive(Debug)]
struct Values {
    container: Container,
    /// Storages that have been read, as bytes.
    read: HashMap<Box<str>, Tensor>,
}

#[derive(Debug)]
enum Container {
    Zip { zip: Zip, prefix: String },
    Legacy(Legacy),
}

impl Checkpoint {
    /// Opens a checkpoint and checks its structure: every tensor lies within a storage, every storage within the file.
    ///
    /// # Errors
    /// [`WeightsError::Forbidden`] naming what the pickle would have called, [`WeightsError::Checkpoint`] naming the
    /// place where the file makes no sense, [`WeightsError::Io`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let io = |source| Stop::Io(source).at(path, "");
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut heap = Heap::new(length.saturating_add(OBJECTS_FREE));
        let mut first = [0; 4];
        let whole = |reason: &str| Stop::broken(reason).at(path, "byte 0");
        let got = file.read(&mut first).map_err(io)?;
        file.rewind().map_err(io)?;
        let (container, root) = match first[..got] {
            [] => return Err(whole("the file is empty")),
            [b'P', b'K', ..] => open_zip(path, file, length, &mut heap)?,
            [0x80, ..] => {
                let opened = Legacy::open(file, length, &mut heap);
                let (legacy, root) = opened.map_err(|(place, stop)| stop.at(path, &place))?;
                (Container::Legacy(legacy), root)
            }
            _ => {
                return Err(whole(
                    "not a checkpoint of PyTorch: neither a zip archive nor a pickle starts here",
                ));
            }
        };
        let checkpoint = Checkpoint {
            path: path.to_path_buf(),
            heap,
            root,
            values: RefCell::new(Values {
                container,
                read: HashMap::new(),
            }),
        };
        checkpoint.check_storages()?;
        checkpoint.check_sizes(length.saturating_mul(2).saturating_add(OBJECTS_FREE))?;
        Ok(checkpoint)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved.
    pub fn root(&self) -> Node<'_> {
        Node::new(self, self.root)
    }

    /// The tensors of a dict of nothing else, in its order; `what` names the dict in errors.
    ///
    /// # Errors
    /// [`WeightsError::Checkpoint`] if it is something else; [`WeightsError::Duplicate`]; a storage is damaged.
    pub fn named_tensors(&self, dict: Node, what: &str) -> Result<Vec<(String, Tensor)>, WeightsError> {
        let broken = |reason: String| Stop::broken(reason).at(&self.path, what);
        let entries = dict.entries();
        let entries = entries.ok_or_else(|| broken(format!("is {}, need a dict of tensors", dict.what())))?;
        let mut tensors: Vec<(String, Tensor)> = Vec::with_capacity(entries.len());
        let mut seen = HashSet::new();
        for (key, value) in entries {
            let name = key.as_str();
            let name = name.ok_or_else(|| broken(format!("has {} as a key, need names", key.what())))?;
            let tensor = value.tensor()?;
            let need = || broken(format!("{} is {}, need a tensor", shown(name), value.what()));
            let tensor = tensor.ok_or_else(need)?;
            if !seen.insert(name) {
                let (file, tensor) = (self.path.clone(), shown(name));
                return Err(WeightsError::Duplicate { file, tensor });
            }
            tensors.push((name.to_string(), tensor));
        }
        Ok(tensors)
    }

    /// Every storage that the pickle mentions is in the file, with the length that the pickle says.
    fn check_storages(&self) -> Result<(), WeightsError> {
        let container = &self.values.borrow().container;
        let mut kinds: HashMap<&str, Kind> = HashMap::new();
        for object in self.heap.objects() {
            let Object::Storage(storage) = object else {
                continue;
            };
            let place = place_of(&storage.key);
            let have = match container {
                Container::Zip { zip, prefix } => zip
                    .entry(&format!("{prefix}data/{}", storage.key))
                    .map(|entry| entry.size),
                Container::Legacy(legacy) => legacy.size(&storage.key),
            };
            let need = storage.numel.checked_mul(storage.kind.elt_size_in_bytes() as u64);
            let broken = |reason: String| Err(Stop::broken(reason).at(&self.path, &place));
            match (have, need) {
                (None, _) => return broken("the file does not hold this storage".to_string()),
                (Some(have), Some(need)) if have == need => {}
                (Some(have), _) => {
                    let numel = storage.numel;
                    return broken(format!(
                        "has {have} bytes, not {numel} values of type {:?}",
                        storage.kind
                    ));
                }
            }
            if *kinds.entry(&storage.key).or_insert(storage.kind) != storage.kind {
                return broken("is said to have two types".to_string());
            }
        }
        Ok(())
    }

    /// The tensors together are no larger than the file can account for: views may repeat values at will.
    fn check_sizes(&self, limit: u64) -> Result<(), WeightsError> {
        let mut left = limit;
        for object in self.heap.objects() {
            let Object::Tensor(tensor) = object else { continue };
            let width = tensor.storage.kind.elt_size_in_bytes() as u64;
            match left.checked_sub(tensor.numel().saturating_mul(width)) {
                Some(rest) => left = rest,
                None => {
                    let size = &tensor.size;
                    let reason = format!(
                        "with the tensor of size {size:?}, the tensors take more than twice the file"
                    );
                    return Err(Stop::broken(reason).at(&self.path, &place_of(&tensor.storage.key)));
                }
            }
        }
        Ok(())
    }

    /// Makes a tensor; tensors that share a storage share memory.
    fn tensor(&self, of: &TensorRef) -> Result<Tensor, WeightsError> {
        let place = place_of(&of.storage.key);
        let mut values = self.values.borrow_mut();
        let storage = values
            .storage(&of.storage)
            .map_err(|stop| stop.at(&self.path, &place))?;
        view::make(&storage, of).map_err(|stop| stop.at(&self.path, &place))
    }
}

impl Values {
    fn storage(&mut self, storage: &StorageRef) -> Result<Tensor, Stop> {
        if let Some(tensor) = self.read.get(&storage.key) {
            return Ok(tensor.shallow_clone());
        }
        let content = match &mut self.container {
            Container::Zip { zip, prefix } => {
                let entry = zip.entry(&format!("{prefix}data/{}", storage.key));
                zip.read(entry.ok_or_else(|| Stop::broken("the file does not hold this storage"))?)?
            }
            Container::Legacy(legacy) => legacy.read(&storage.key)?,
        };
        let size = [content.len() as i64];
        let tensor = Tensor::f_from_data_size(&content, &size, Kind::Uint8)
            .map_err(|e| Stop::broken(format!("libtorch: {}", crate::error::first_line(&e))))?;
        self.read.insert(storage.key.clone(), tensor.shallow_clone());
        Ok(tensor)
    }
}

fn place_of(key: &str) -> String {
    format!("storage {}", shown(key))
}

/// Refuses a file that is no whole TorchScript archive: reads every entry once, against its length and checksum.
pub(super) fn check_script(path: &Path, file: File, length: u64) -> Result<(), WeightsError> {
    let mut zip = Zip::open(file, length).map_err(|stop| stop.at(path, "zip archive"))?;
    if !zip
        .names()
        .any(|name| name.ends_with("/constants.pkl") && name.matches('/').count() == 1)
    {
        let reason = "not a TorchScript module: the archive has no constants.pkl";
        return Err(Stop::broken(reason).at(path, "zip archive"));
    }
    let names: Vec<String> = zip.names().map(str::to_string).collect();
    for name in names {
        if let Some(entry) = zip.entry(&name) {
            zip.read(entry).map_err(|stop| stop.at(path, &shown(&name)))?;
        }
    }
    Ok(())
}

fn open_zip(
    path: &Path,
    file: File,
    length: u64,
    heap: &mut Heap,
) -> Result<(Container, Item), WeightsError> {
    let mut zip = Zip::open(file, length).map_err(|stop| stop.at(path, "zip archive"))?;
    let broken = |reason: &str| Stop::broken(reason).at(path, "zip archive");
    let mut pickles = zip
        .names()
        .filter(|name| name.ends_with("/data.pkl") && name.matches('/').count() == 1);
    let prefix = match (pickles.next(), pickles.next()) {
        (Some(name), None) => name.strip_suffix("data.pkl").unwrap_or_default().to_string(),
        (None, _) => return Err(broken("no checkpoint of PyTorch: the archive has no data.pkl")),
        _ => return Err(broken("the archive has several data.pkl")),
    };
    drop(pickles);
    if zip.entry(&format!("{prefix}constants.pkl")).is_some() {
        return Err(broken("a TorchScript module, not a checkpoint"));
    }
    if let Some(entry) = zip.entry(&format!("{prefix}byteorder")) {
        let order = zip.read(entry).map_err(|stop| stop.at(path, "byteorder"))?;
        if order != b"little" {
            return Err(Stop::broken("the values are not little-endian").at(path, "byteorder"));
        }
    }
    let entry = zip
        .entry(&format!("{prefix}data.pkl"))
        .ok_or_else(|| broken("no data.pkl"))?;
    let pickle = zip.read(entry).map_err(|stop| stop.at(path, "data.pkl"))?;
    let mut bytes = &pickle[..];
    let mut input = Input::new(&mut bytes, 0, pickle.len() as u64);
    let built = pickle::build(&mut input, heap);
    let root = built.map_err(|(at, stop)| stop.at(path, &format!("data.pkl, byte {at}")))?;
    Ok((Container::Zip { zip, prefix }, root))
}
