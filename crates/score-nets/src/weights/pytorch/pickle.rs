//! A pickle machine that builds data and runs nothing.
//!
//! Reads protocols 2 to 5. Of the instructions that could import or call something (GLOBAL, STACK_GLOBAL, INST, REDUCE,
//! NEWOBJ, BUILD, ...) it carries out only those about tensors, storages, parameters and ordered dicts, which it builds
//! itself; any other is an error that says its name. The format is documented by `pickletools` in Python's standard
//! library; the names are those that `torch.save` writes (pytorch/pytorch, torch/serialization.py and torch/_utils.py).

use std::collections::HashMap;

use super::calls::global;
use super::fault::Stop;
use super::heap::{Heap, ITEM, Item, Object};
use super::input::Input;
use super::opcodes::{op, refused_name};

/// Values that may wait at a time; Python's own writer lets few thousand wait.
const DEEPEST: usize = 1 << 16;

/// Runs one pickle to its end.
pub(super) fn build(input: &mut Input, heap: &mut Heap) -> Result<Item, (u64, Stop)> {
    let mut machine = Machine {
        start: input.at(),
        input,
        heap,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let at = machine.input.at();
        match machine.step(at) {
            Ok(None) => {}
            Ok(Some(item)) => return Ok(item),
            Err(stop) => return Err((at, stop)),
        }
    }
}

pub(super) struct Machine<'m, 'r> {
    /// Number of the pickle's first byte.
    start: u64,
    input: &'m mut Input<'r>,
    pub(super) heap: &'m mut Heap,
    stack: Vec<Item>,
    marks: Vec<usize>,
    memo: HashMap<u32, Item>,
}

impl Machine<'_, '_> {
    /// Carries out one instruction; the last one gives the value.
    fn step(&mut self, at: u64) -> Result<Option<Item>, Stop> {
        let opcode = self.input.byte()?;
        if at == self.start && opcode != op::PROTO {
            return Err(Stop::broken("no pickle of protocol 2 to 5 starts here"));
        }
        if self.stack.len() >= DEEPEST || self.marks.len() >= DEEPEST {
            return Err(Stop::broken(format!("more than {DEEPEST} values wait at once")));
        }
        match opcode {
            op::PROTO => match self.input.byte()? {
                2..=5 => {}
                other => return Err(Stop::broken(format!("pickle protocol {other}; 2 to 5 are read"))),
            },
            op::FRAME => drop(self.input.array::<8>()?),
            op::STOP => return self.finish().map(Some),
            op::MARK => self.marks.push(self.stack.len()),
            op::POP => drop(self.pop()?),
            op::POP_MARK => drop(self.pop_mark()?),
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            op::NONE => self.stack.push(Item::None),
            op::NEWTRUE => self.stack.push(Item::Bool(true)),
            op::NEWFALSE => self.stack.push(Item::Bool(false)),
            op::BININT => {
                let value = i32::from_le_bytes(self.input.array()?);
                self.stack.push(Item::Int(value.into()));
            }
            op::BININT1 => {
                let value = self.input.byte()?;
                self.stack.push(Item::Int(value.into()));
            }
            op::BININT2 => {
                let value = u16::from_le_bytes(self.input.array()?);
                self.stack.push(Item::Int(value.into()));
            }
            op::BINFLOAT => {
                let value = f64::from_be_bytes(self.input.array()?);
                self.stack.push(Item::Float(value));
            }
            op::LONG1 | op::LONG4 => {
                let length = self.length(opcode == op::LONG1)?;
                self.long(length)?;
            }
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING | op::BINUNICODE | op::BINSTRING | op::BINUNICODE8 => {
                self.text(opcode)?;
            }
            op::SHORT_BINBYTES | op::BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                let length = match opcode {
                    op::BINBYTES8 | op::BYTEARRAY8 => u64::from_le_bytes(self.input.array()?),
                    _ => self.length(opcode == op::SHORT_BINBYTES)?,
                };
                let bytes = self.input.bytes(length, self.heap)?;
                self.push(Object::Bytes(bytes.into()))?;
            }
            op::EMPTY_LIST => self.push(Object::List(Vec::new()))?,
            op::EMPTY_DICT => self.push(Object::Dict(Vec::new()))?,
            op::EMPTY_TUPLE => self.tuple(0)?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.pop_mark()?;
                let tuple = self.heap.tuple(&items)?;
                self.stack.push(tuple);
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            op::APPENDS => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            op::BINPUT => {
                let place = self.input.byte()?;
                self.remember(place.into())?;
            }
            op::LONG_BINPUT => {
                let place = u32::from_le_bytes(self.input.array()?);
                self.remember(place)?;
            }
            op::MEMOIZE => self.remember(self.memo.len() as u32)?,
            op::BINGET => {
                let place = self.input.byte()?;
                self.recall(place.into())?;
            }
            op::LONG_BINGET => {
                let place = u32::from_le_bytes(self.input.array()?);
                self.recall(place)?;
            }
            op::GLOBAL | op::INST => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                let global = global(&module, &name)?;
                if opcode == op::INST {
                    return Err(Stop::Forbidden(format!("instruction INST of {module}.{name}")));
                }
                self.push(Object::Global(global))?;
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = match (self.heap.text(module), self.heap.text(name)) {
                    (Some(module), Some(name)) => global(module, name)?,
                    _ => return Err(Stop::broken("STACK_GLOBAL needs two strings")),
                };
                self.push(Object::Global(global))?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(Object::Storage(Box::new(storage)))?;
            }
            op::REDUCE => {
                let (args, function) = (self.pop()?, self.pop()?);
                let made = self.call(function, args)?;
                self.stack.push(made);
            }
            op::BUILD => {
                // Attributes of an ordered dict (state dicts carry `_metadata`), of which nothing is needed.
                self.pop()?;
                let target = self.top()?;
                if !matches!(self.heap.object(target), Some(Object::Dict(_))) {
                    let kind = self.heap.kind(target);
                    return Err(Stop::Forbidden(format!("instruction BUILD on {kind}")));
                }
            }
            other => {
                return Err(match refused_name(other) {
                    Some(name) => Stop::Forbidden(format!("instruction {name}")),
                    None => Stop::broken(format!("byte {other:#04x} is no instruction of a pickle")),
                });
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<Item, Stop> {
        let item = self.pop()?;
        if self.stack.is_empty() && self.marks.is_empty() {
            return Ok(item);
        }
        Err(Stop::broken("the pickle ends with values left over"))
    }

    fn push(&mut self, object: Object) -> Result<(), Stop> {
        let item = self.heap.add(object)?;
        self.stack.push(item);
        Ok(())
    }

    /// The number of values below the last mark; those belong to whatever waits outside it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Item, Stop> {
        match self.stack.last() {
            Some(item) if self.stack.len() > self.floor() => Ok(*item),
            _ => Err(Stop::broken("an instruction needs a value where none is left")),
        }
    }

    fn pop(&mut self) -> Result<Item, Stop> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The values above the last mark, which goes.
    fn pop_mark(&mut self) -> Result<Vec<Item>, Stop> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| Stop::broken("an instruction needs a mark where there is none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn length(&mut self, short: bool) -> Result<u64, Stop> {
        Ok(match short {
            true => self.input.byte()?.into(),
            false => u32::from_le_bytes(self.input.array()?).into(),
        })
    }

    /// A whole number in two's complement.
    fn long(&mut self, length: u64) -> Result<(), Stop> {
        let bytes = self.input.bytes(length, self.heap)?;
        if bytes.len() > 8 {
            return self.push(Object::Long(bytes.into()));
        }
        let fill = match bytes.last() {
            Some(last) if last & 0x80 != 0 => 0xff,
            _ => 0,
        };
        let mut wide = [fill; 8];
        wide[..bytes.len()].copy_from_slice(&bytes);
        self.stack.push(Item::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn text(&mut self, opcode: u8) -> Result<(), Stop> {
        let length = match opcode {
            op::BINUNICODE8 => u64::from_le_bytes(self.input.array()?),
            _ => self.length(matches!(opcode, op::SHORT_BINUNICODE | op::SHORT_BINSTRING))?,
        };
        let bytes = self.input.bytes(length, self.heap)?;
        match String::from_utf8(bytes) {
            Ok(text) => self.push(Object::Text(text.into())),
            // Python 2 kept bytes in its strings.
            Err(error) if matches!(opcode, op::BINSTRING | op::SHORT_BINSTRING) => {
                self.push(Object::Bytes(error.into_bytes().into()))
            }
            Err(_) => Err(Stop::broken("a string is not UTF-8")),
        }
    }

    fn tuple(&mut self, count: usize) -> Result<(), Stop> {
        if self.stack.len() - self.floor() < count {
            return Err(Stop::broken("an instruction needs a value where none is left"));
        }
        let items = self.stack.split_off(self.stack.len() - count);
        let tuple = self.heap.tuple(&items)?;
        self.stack.push(tuple);
        Ok(())
    }

    fn append(&mut self, items: &[Item]) -> Result<(), Stop> {
        self.heap.charge(items.len() as u64 * ITEM)?;
        let list = self.top()?;
        match self.heap.object_mut(list) {
            Some(Object::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(Stop::broken(format!("cannot append to {}", self.heap.kind(list)))),
        }
    }

    fn set_items(&mut self, items: &[Item]) -> Result<(), Stop> {
        if !items.len().is_multiple_of(2) {
            return Err(Stop::broken("a key of a dict has no value"));
        }
        self.heap.charge(items.len() as u64 * ITEM)?;
        let dict = self.top()?;
        match self.heap.object_mut(dict) {
            Some(Object::Dict(dict)) => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err(Stop::broken(format!(
                "cannot set keys of {}",
                self.heap.kind(dict)
            ))),
        }
    }

    fn remember(&mut self, place: u32) -> Result<(), Stop> {
        let top = self.top()?;
        self.heap.charge(2 * ITEM)?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), Stop> {
        let item = self.memo.get(&place);
        let item =
            *item.ok_or_else(|| Stop::broken(format!("refers to object {place}, which there is not")))?;
        self.stack.push(item);
        Ok(())
    }
}
