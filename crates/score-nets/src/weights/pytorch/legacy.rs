//! The container of `torch.save` before 1.6: five pickles, then the storages one after the other.
//!
//! A magic number, the version 1001, facts about the machine, the object, the keys of the storages; for each of these a
//! count of values (eight bytes, little-endian) and the values.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::fault::{Stop, shown};
use super::heap::{Heap, Item, Object};
use super::input::Input;
use super::pickle::build;

/// The number that starts such a file, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// First byte and number of bytes of each storage.
#[derive(Debug)]
pub(super) struct Legacy {
    file: File,
    storages: HashMap<Box<str>, (u64, u64)>,
}

impl Legacy {
    /// Runs the pickles and finds the storages; the value is the object saved.
    pub fn open(file: File, length: u64, heap: &mut Heap) -> Result<(Self, Item), (String, Stop)> {
        let mut reader = BufReader::new(file);
        let mut at = 0;
        let mut next = |heap: &mut Heap, what: &str| {
            let mut input = Input::new(&mut reader, at, length - at);
            let item =
                build(&mut input, heap).map_err(|(byte, stop)| (format!("{what}, byte {byte}"), stop))?;
            at = input.at();
            Ok((item, at))
        };
        let start = |reason: &str| ("byte 0".to_string(), Stop::broken(reason));
        let (magic, _) = next(heap, "pickle")?;
        if !matches!(heap.object(magic), Some(Object::Long(bytes)) if **bytes == MAGIC) {
            return Err(start("a pickle, but not one that torch.save wrote"));
        }
        let (version, _) = next(heap, "protocol version")?;
        if version != Item::Int(1001) {
            return Err(start("a version of the format other than 1001"));
        }
        let (machine, _) = next(heap, "facts of the machine")?;
        if get(heap, machine, "little_endian") == Some(Item::Bool(false)) {
            return Err(start(
                "written by a big-endian machine; little-endian files are read",
            ));
        }
        let (root, _) = next(heap, "object")?;
        let (keys, end) = next(heap, "storage keys")?;
        let mut legacy = Legacy {
            file: reader.into_inner(),
            storages: HashMap::new(),
        };
        legacy.find_storages(heap, keys, end, length)?;
        Ok((legacy, root))
    }

    /// Walks over the storages, which say how long they are.
    fn find_storages(
        &mut self,
        heap: &Heap,
        keys: Item,
        mut at: u64,
        length: u64,
    ) -> Result<(), (String, Stop)> {
        let mut widths: HashMap<&str, u64> = HashMap::new();
        for object in heap.objects() {
            if let Object::Storage(storage) = object {
                widths.insert(&storage.key, storage.kind.elt_size_in_bytes() as u64);
            }
        }
        let Some(Object::List(keys)) = heap.object(keys) else {
            return Err(("storage keys".to_string(), Stop::broken("no list of keys")));
        };
        for &key in keys {
            let key = heap.text(key).unwrap_or_default();
            let place = || format!("storage {}", shown(key));
            let width = widths.get(key).copied();
            let width = width.ok_or_else(|| (place(), Stop::broken("no tensor uses this storage")))?;
            let cut = || {
                (
                    place(),
                    Stop::broken("the file ends here: it is truncated or not whole"),
                )
            };
            if at.checked_add(8).is_none_or(|end| end > length) {
                return Err(cut());
            }
            let count = self.count_at(at).map_err(|stop| (place(), stop))?;
            let bytes = count.checked_mul(width);
            let end = bytes.and_then(|bytes| bytes.checked_add(at + 8));
            let (Some(bytes), Some(end)) = (bytes, end.filter(|&end| end <= length)) else {
                return Err(cut());
            };
            if self.storages.insert(key.into(), (at + 8, bytes)).is_some() {
                return Err((place(), Stop::broken("this storage stands twice in the file")));
            }
            at = end;
        }
        Ok(())
    }

    fn count_at(&mut self, at: u64) -> Result<u64, Stop> {
        let mut count = [0; 8];
        self.file.seek(SeekFrom::Start(at)).map_err(Stop::Io)?;
        self.file.read_exact(&mut count).map_err(Stop::Io)?;
        Ok(u64::from_le_bytes(count))
    }

    /// Number of bytes of a storage.
    pub fn size(&self, key: &str) -> Option<u64> {
        self.storages.get(key).map(|&(_, bytes)| bytes)
    }

    /// The bytes of a storage.
    pub fn read(&mut self, key: &str) -> Result<Vec<u8>, Stop> {
        let lost = || Stop::broken("there is no such storage in the file");
        let &(at, bytes) = self.storages.get(key).ok_or_else(lost)?;
        let mut content = vec![0; usize::try_from(bytes).map_err(|_| lost())?];
        self.file.seek(SeekFrom::Start(at)).map_err(Stop::Io)?;
        self.file.read_exact(&mut content).map_err(Stop::Io)?;
        Ok(content)
    }
}

fn get(heap: &Heap, dict: Item, key: &str) -> Option<Item> {
    match heap.object(dict) {
        Some(Object::Dict(entries)) => {
            let found = entries.iter().rev().find(|(k, _)| heap.text(*k) == Some(key));
            found.map(|&(_, value)| value)
        }
        _ => None,
    }
}
