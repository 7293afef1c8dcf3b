//! What can be wrong with a weights file.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What is wrong with a weights file. Every variant names the file, and the tensor where there is one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file could not be read or written.
    #[error("{}: {what}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is shorter or longer than its header says.
    #[error("{}: the file has {have} bytes, its header describes {need}: it is truncated or not whole", file.display())]
    Length {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        have: u64,
        /// The length that its header describes.
        need: u64,
    },
    /// The header makes no sense.
    #[error("{}: not a whole safetensors file: {reason}", file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The network has a tensor that the file lacks.
    #[error("{}: tensor `{tensor}` is missing ({count} of the network's tensors are); the file belongs to another network", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// How many there are.
        count: usize,
    },
    /// The file has a tensor that the network lacks.
    #[error("{}: tensor `{tensor}` is not part of the network ({count} of the file's tensors are not); the file belongs to another network", file.display())]
    Extra {
        /// The file.
        file: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// How many there are.
        count: usize,
    },
    /// A tensor has another shape than in the network.
    #[error("{}: tensor `{tensor}` has shape {have:?}, the network needs {need:?}{}", file.display(), if *transposed { " (it is transposed)" } else { "" })]
    Shape {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape in the file.
        have: Vec<i64>,
        /// Its shape in the network.
        need: Vec<i64>,
        /// Whether the axes are those of the network in another order.
        transposed: bool,
    },
    /// A tensor has another type than in the network.
    #[error("{}: tensor `{tensor}` has type {have}, the network needs {need}", file.display())]
    Dtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type in the file.
        have: String,
        /// Its type in the network.
        need: String,
    },
    /// A tensor holds a value that is not finite.
    #[error("{}: tensor `{tensor}` holds a value that is not finite", file.display())]
    NonFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A checkpoint would run something; nothing was run.
    #[error("{}: {place}: refused: {name}; only tensors, dicts, lists, numbers and strings are read, and nothing is run", file.display())]
    Forbidden {
        /// The file.
        file: PathBuf,
        /// The part of the file, and the byte.
        place: String,
        /// The function, class or instruction.
        name: String,
    },
    /// A checkpoint makes no sense.
    #[error("{}: {place}: {reason}", file.display())]
    Checkpoint {
        /// The file.
        file: PathBuf,
        /// The part of the file, and the byte.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two tensors have one name.
    #[error("{}: two tensors have the name `{tensor}`", file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The name.
        tensor: String,
    },
    /// libtorch failed to copy.
    #[error("{}: tensor `{tensor}`: libtorch: {reason}", file.display())]
    Torch {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// What it said.
        reason: String,
    },
}
