//! Tensors as views of storages: checked before anything is allocated, then made.

use tch::{Kind, Tensor};

use super::fault::Stop;
use super::heap::{Heap, Item, Object, TensorRef};
use crate::error::first_line;

/// Axes at most; libtorch's own limit for views is the same.
const AXES: usize = 64;

/// A view from what the pickle says, inside its storage or refused.
pub(super) fn tensor_ref(
    heap: &Heap,
    storage: Item,
    offset: Item,
    size: Item,
    stride: Item,
) -> Result<TensorRef, Stop> {
    let (Some(Object::Storage(storage)), Item::Int(offset)) = (heap.object(storage), offset) else {
        return Err(Stop::broken("a tensor is made of something that is no storage"));
    };
    let (size, stride) = (numbers(heap, size)?, numbers(heap, stride)?);
    if size.len() != stride.len() || size.len() > AXES || offset < 0 {
        return Err(Stop::broken(format!(
            "a tensor of size {size:?}, strides {stride:?} and offset {offset}"
        )));
    }
    let mut count: u64 = 1;
    let mut last = offset as u64;
    for (&n, &step) in size.iter().zip(&stride) {
        let reach = (n.saturating_sub(1).max(0) as u64).checked_mul(step as u64);
        match (
            count.checked_mul(n as u64),
            reach.and_then(|reach| last.checked_add(reach)),
        ) {
            (Some(c), Some(l)) => (count, last) = (c, l),
            _ => {
                return Err(Stop::broken(format!(
                    "a tensor of size {size:?} and strides {stride:?} overflows"
                )));
            }
        }
    }
    let end = if count == 0 {
        offset as u64
    } else {
        last.saturating_add(1)
    };
    if end > storage.len || i64::try_from(count).is_err() {
        return Err(Stop::broken(format!(
            "a tensor of size {size:?}, strides {stride:?} and offset {offset} reaches beyond its storage of {} values",
            storage.len
        )));
    }
    Ok(TensorRef {
        storage: (**storage).clone(),
        offset,
        size,
        stride,
    })
}

/// A tuple of whole numbers that are not negative.
fn numbers(heap: &Heap, tuple: Item) -> Result<Vec<i64>, Stop> {
    let items = heap.as_tuple(tuple).filter(|items| items.len() <= AXES);
    let numbers = items.and_then(|items| {
        let number = |item: &Item| match *item {
            Item::Int(n) if n >= 0 => Some(n),
            _ => None,
        };
        items.iter().map(number).collect::<Option<Vec<i64>>>()
    });
    numbers.ok_or_else(|| Stop::broken("a tensor's size and strides must be tuples of whole numbers"))
}

/// The tensor on the bytes of its whole storage, `[bytes]` of `Uint8`; shares their memory.
pub(super) fn make(bytes: &Tensor, of: &TensorRef) -> Result<Tensor, Stop> {
    let torch = |e: tch::TchError| Stop::broken(format!("libtorch: {}", first_line(&e)));
    let first = i64::try_from(of.storage.first).unwrap_or(i64::MAX);
    let values = match of.storage.kind {
        Kind::Uint8 => bytes.shallow_clone(),
        // A byte that is neither 0 nor 1 is no bool to the compiler.
        Kind::Bool => bytes.f_ne(0).map_err(torch)?,
        kind if bytes.numel() == 0 => Tensor::f_zeros([0], (kind, bytes.device())).map_err(torch)?,
        kind => bytes.f_view_dtype(kind).map_err(torch)?,
    };
    let start = first.saturating_add(of.offset);
    values.f_as_strided(&of.size, &of.stride, start).map_err(torch)
}
