//! What a pickle builds: plain values in one arena, so that shared and cyclic references cost nothing and nothing is
//! ever walked or dropped recursively.

use tch::Kind;

use super::fault::Stop;

/// A value: a number in place, or the place of something larger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Object(u32),
}

/// Something larger.
#[derive(Debug)]
pub(super) enum Object {
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// A whole number that i64 does not hold: two's complement, little-endian.
    Long(Box<[u8]>),
    List(Vec<Item>),
    Tuple(Box<[Item]>),
    Dict(Vec<(Item, Item)>),
    Global(Global),
    Storage(Box<StorageRef>),
    Tensor(Box<TensorRef>),
}

/// The names that a pickle may mention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    /// How protocol 2 writes bytes: `_codecs.encode(text, "latin1")`.
    Encode,
    Storage(Kind),
}

/// Values of one type that lie together in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageRef {
    /// Its name in the file.
    pub key: Box<str>,
    pub kind: Kind,
    /// Number of values under this name.
    pub numel: u64,
    /// First value and number of values of the part that is meant; all, but for old files.
    pub first: u64,
    pub len: u64,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorRef {
    pub storage: StorageRef,
    /// First value, counted from the start of the storage.
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

impl TensorRef {
    /// Number of values.
    pub fn numel(&self) -> u64 {
        self.size.iter().map(|&n| n as u64).product()
    }
}

/// The arena. What it may hold is bounded before it grows.
#[derive(Debug)]
pub(super) struct Heap {
    objects: Vec<Object>,
    left: u64,
    limit: u64,
}

/// Bytes a value, an object and an entry of the memo count.
pub(super) const ITEM: u64 = size_of::<Item>() as u64;
const OBJECT: u64 = size_of::<Object>() as u64;

impl Heap {
    /// An arena of at most so many bytes.
    pub fn new(limit: u64) -> Self {
        Heap {
            objects: Vec::new(),
            left: limit,
            limit,
        }
    }

    /// Counts bytes that are about to be allocated.
    pub fn charge(&mut self, bytes: u64) -> Result<(), Stop> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Stop::broken(format!(
                "describes more than {} bytes of objects, too much for a file of this length",
                self.limit
            ))),
        }
    }

    /// Adds an object whose payload has been counted.
    pub fn add(&mut self, object: Object) -> Result<Item, Stop> {
        self.charge(OBJECT)?;
        let place = u32::try_from(self.objects.len()).map_err(|_| Stop::broken("too many objects"))?;
        self.objects.push(object);
        Ok(Item::Object(place))
    }

    /// Adds a tuple, whose values count.
    pub fn tuple(&mut self, items: &[Item]) -> Result<Item, Stop> {
        self.charge(items.len() as u64 * ITEM)?;
        self.add(Object::Tuple(items.into()))
    }

    pub fn object(&self, item: Item) -> Option<&Object> {
        match item {
            Item::Object(place) => self.objects.get(place as usize),
            _ => None,
        }
    }

    pub fn object_mut(&mut self, item: Item) -> Option<&mut Object> {
        match item {
            Item::Object(place) => self.objects.get_mut(place as usize),
            _ => None,
        }
    }

    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    pub fn text(&self, item: Item) -> Option<&str> {
        match self.object(item) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn as_tuple(&self, item: Item) -> Option<&[Item]> {
        match self.object(item) {
            Some(Object::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    /// What a value is, for messages.
    pub fn kind(&self, item: Item) -> &'static str {
        match (item, self.object(item)) {
            (Item::None, _) => "None",
            (Item::Bool(_), _) => "a bool",
            (Item::Int(_), _) | (_, Some(Object::Long(_))) => "a whole number",
            (Item::Float(_), _) => "a number",
            (_, Some(Object::Text(_))) => "a string",
            (_, Some(Object::Bytes(_))) => "bytes",
            (_, Some(Object::List(_))) => "a list",
            (_, Some(Object::Tuple(_))) => "a tuple",
            (_, Some(Object::Dict(_))) => "a dict",
            (_, Some(Object::Global(_))) => "a function or class",
            (_, Some(Object::Storage(_))) => "a storage",
            (_, Some(Object::Tensor(_))) => "a tensor",
            (_, None) => "nothing",
        }
    }
}
