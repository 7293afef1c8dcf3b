//! The few functions and classes that a checkpoint of tensors is made of. None of them is looked up or run: what each
//! would give is built here.

use tch::Kind;

use super::fault::{Stop, shown};
use super::heap::{Global, ITEM, Item, Object, StorageRef};
use super::pickle::Machine;
use super::view::tensor_ref;

impl Machine<'_, '_> {
    /// What the functions and classes on the list give; nothing else can be called.
    pub(super) fn call(&mut self, function: Item, args: Item) -> Result<Item, Stop> {
        let Some(Object::Global(global)) = self.heap.object(function) else {
            return Err(Stop::Forbidden(format!("call of {}", self.heap.kind(function))));
        };
        let global = *global;
        let args = self
            .heap
            .as_tuple(args)
            .ok_or_else(|| Stop::broken("a call needs a tuple of arguments"))?;
        match (global, args) {
            (Global::OrderedDict, []) => self.heap.add(Object::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => self.ordered_dict(pairs),
            (Global::RebuildTensorV2, &[storage, offset, size, stride, _, _, ..])
            | (Global::RebuildTensor, &[storage, offset, size, stride]) => {
                let tensor = tensor_ref(self.heap, storage, offset, size, stride)?;
                self.heap
                    .charge(16 * tensor.size.len() as u64 + size_of_val(&tensor) as u64)?;
                self.heap.add(Object::Tensor(Box::new(tensor)))
            }
            (Global::RebuildParameter, &[tensor, _, _])
                if matches!(self.heap.object(tensor), Some(Object::Tensor(_))) =>
            {
                Ok(tensor)
            }
            (Global::Encode, &[text, encoding]) => self.encode(text, encoding),
            (Global::Storage(kind), _) => Err(Stop::Forbidden(format!(
                "call of a storage class ({kind:?}); values belong in the file's storages"
            ))),
            (global, args) => Err(Stop::broken(format!(
                "{global:?} cannot be made of these {} arguments",
                args.len()
            ))),
        }
    }

    /// An ordered dict from a list of pairs, as Python 2 writes it.
    fn ordered_dict(&mut self, pairs: Item) -> Result<Item, Stop> {
        let Some(Object::List(pairs)) = self.heap.object(pairs) else {
            return Err(Stop::broken("an ordered dict cannot be made of this"));
        };
        let mut entries = Vec::new();
        for &pair in pairs {
            match self.heap.object(pair) {
                Some(Object::List(pair)) if pair.len() == 2 => entries.push((pair[0], pair[1])),
                Some(Object::Tuple(pair)) if pair.len() == 2 => entries.push((pair[0], pair[1])),
                _ => return Err(Stop::broken("an ordered dict needs pairs")),
            }
        }
        self.heap.charge(2 * ITEM * entries.len() as u64)?;
        self.heap.add(Object::Dict(entries))
    }

    fn encode(&mut self, text: Item, encoding: Item) -> Result<Item, Stop> {
        let (Some(text), Some("latin1" | "latin-1")) = (self.heap.text(text), self.heap.text(encoding))
        else {
            return Err(Stop::broken("_codecs.encode is read for strings and latin1 only"));
        };
        let bytes: Option<Box<[u8]>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let bytes = bytes.ok_or_else(|| Stop::broken("a string of bytes has a character beyond 255"))?;
        self.heap.charge(bytes.len() as u64)?;
        self.heap.add(Object::Bytes(bytes))
    }

    /// `('storage', class, key, location, count)`, and for old files a sixth part, `None` or `(key, first, count)`.
    pub(super) fn storage(&mut self, id: Item) -> Result<StorageRef, Stop> {
        let broken = || Stop::broken("a reference to the outside is not one to a storage");
        let parts = self.heap.as_tuple(id).ok_or_else(broken)?;
        let tag = parts.first().and_then(|&tag| self.heap.text(tag));
        if tag == Some("module") {
            return Err(Stop::Forbidden(
                "a module with its source code; save its state_dict instead".to_string(),
            ));
        }
        let (&[_, class, key, _location, Item::Int(numel)], view) = (match parts.len() {
            5 => (parts, Item::None),
            6 => (&parts[..5], parts[5]),
            _ => return Err(broken()),
        }) else {
            return Err(broken());
        };
        let (Some(Object::Global(Global::Storage(kind))), Some(key), Some("storage"), Ok(numel)) = (
            self.heap.object(class),
            self.heap.text(key),
            tag,
            u64::try_from(numel),
        ) else {
            return Err(broken());
        };
        let (first, len) = match (view, self.heap.as_tuple(view)) {
            (Item::None, _) => (0, numel),
            (_, Some(&[_, Item::Int(first), Item::Int(len)])) if first >= 0 && len >= 0 => {
                (first as u64, len as u64)
            }
            _ => return Err(broken()),
        };
        if first.checked_add(len).is_none_or(|end| end > numel) {
            return Err(Stop::broken(format!(
                "storage {} is cut beyond its end",
                shown(key)
            )));
        }
        let storage = StorageRef {
            key: key.into(),
            kind: *kind,
            numel,
            first,
            len,
        };
        let bytes = storage.key.len() as u64 + size_of_val(&storage) as u64;
        self.heap.charge(bytes)?;
        Ok(storage)
    }
}

/// The names that may be mentioned.
pub(super) fn global(module: &str, name: &str) -> Result<Global, Stop> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("_codecs", "encode") => Global::Encode,
        ("torch", "FloatStorage") => Global::Storage(Kind::Float),
        ("torch", "DoubleStorage") => Global::Storage(Kind::Double),
        ("torch", "HalfStorage") => Global::Storage(Kind::Half),
        ("torch", "BFloat16Storage") => Global::Storage(Kind::BFloat16),
        ("torch", "LongStorage") => Global::Storage(Kind::Int64),
        ("torch", "IntStorage") => Global::Storage(Kind::Int),
        ("torch", "ShortStorage") => Global::Storage(Kind::Int16),
        ("torch", "CharStorage") => Global::Storage(Kind::Int8),
        ("torch", "ByteStorage") => Global::Storage(Kind::Uint8),
        ("torch", "BoolStorage") => Global::Storage(Kind::Bool),
        _ => return Err(Stop::Forbidden(format!("{}.{}", shown(module), shown(name)))),
    })
}
