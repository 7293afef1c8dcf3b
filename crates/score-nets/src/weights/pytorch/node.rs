//! Looking at what a checkpoint holds.

use std::fmt;

use tch::{Kind, Tensor};

use super::Checkpoint;
use super::heap::{Item, Object};
use crate::weights::WeightsError;

/// A value of a checkpoint.
///
/// Values may be shared and may even contain themselves: walk down by keys that you know.
#[derive(Clone, Copy)]
pub struct Node<'c> {
    checkpoint: &'c Checkpoint,
    item: Item,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.what())
    }
}

impl<'c> Node<'c> {
    pub(super) fn new(checkpoint: &'c Checkpoint, item: Item) -> Self {
        Node { checkpoint, item }
    }

    fn object(&self) -> Option<&'c Object> {
        self.checkpoint.heap.object(self.item)
    }

    fn node(&self, item: Item) -> Node<'c> {
        Node::new(self.checkpoint, item)
    }

    /// What it is, for messages: `a dict`, `a tensor`, ...
    pub fn what(&self) -> &'static str {
        self.checkpoint.heap.kind(self.item)
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        self.item == Item::None
    }

    /// A bool.
    pub fn as_bool(&self) -> Option<bool> {
        match self.item {
            Item::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A whole number that i64 holds.
    pub fn as_int(&self) -> Option<i64> {
        match self.item {
            Item::Int(value) => Some(value),
            _ => None,
        }
    }

    /// A number, whole or not.
    pub fn as_float(&self) -> Option<f64> {
        match self.item {
            Item::Int(value) => Some(value as f64),
            Item::Float(value) => Some(value),
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&'c str> {
        self.checkpoint.heap.text(self.item)
    }

    /// Bytes.
    pub fn as_bytes(&self) -> Option<&'c [u8]> {
        match self.object() {
            Some(Object::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The values of a list or a tuple.
    pub fn items(&self) -> Option<impl ExactSizeIterator<Item = Node<'c>> + use<'c>> {
        let node = *self;
        let items = match self.object() {
            Some(Object::List(items)) => &items[..],
            Some(Object::Tuple(items)) => items,
            _ => return None,
        };
        Some(items.iter().map(move |&item| node.node(item)))
    }

    /// Keys and values of a dict, in their order.
    pub fn entries(&self) -> Option<impl ExactSizeIterator<Item = (Node<'c>, Node<'c>)> + use<'c>> {
        let node = *self;
        match self.object() {
            Some(Object::Dict(entries)) => Some(
                entries
                    .iter()
                    .map(move |&(key, value)| (node.node(key), node.node(value))),
            ),
            _ => None,
        }
    }

    /// The value of a key of a dict; of a key set twice the last one, as in Python.
    pub fn get(&self, key: &str) -> Option<Node<'c>> {
        let found = self.entries()?.filter(|(k, _)| k.as_str() == Some(key)).last();
        found.map(|(_, value)| value)
    }

    /// Shape and type of a tensor.
    pub fn shape(&self) -> Option<(&'c [i64], Kind)> {
        match self.object() {
            Some(Object::Tensor(tensor)) => Some((&tensor.size, tensor.storage.kind)),
            _ => None,
        }
    }

    /// The tensor, on the host; `None` for anything else. Tensors that share a storage share memory, and a tensor may
    /// be a strided view.
    ///
    /// # Errors
    /// [`WeightsError`] naming file and storage, which is damaged.
    pub fn tensor(&self) -> Result<Option<Tensor>, WeightsError> {
        match self.object() {
            Some(Object::Tensor(tensor)) => self.checkpoint.tensor(tensor).map(Some),
            _ => Ok(None),
        }
    }
}
