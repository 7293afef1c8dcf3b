//! Whether tensors are those of a network, and copying them into it: all or nothing.

use std::collections::HashMap;
use std::path::Path;

use tch::{Kind, TchError, Tensor};

use super::WeightsError;
use crate::error::first_line;

/// A tensor as its file describes it.
#[derive(Debug)]
pub(super) struct Described<'a> {
    pub name: &'a str,
    pub shape: &'a [i64],
    /// Its type, where libtorch has it.
    pub kind: Option<Kind>,
    /// The type's name.
    pub dtype: String,
}

/// For each tensor of the network the place of the one in the file: same names, shapes and types, none left over.
pub(super) fn matching(
    path: &Path,
    file: &[Described],
    into: &[(String, Tensor)],
) -> Result<Vec<usize>, WeightsError> {
    let places: HashMap<&str, usize> = file
        .iter()
        .enumerate()
        .map(|(place, have)| (have.name, place))
        .collect();
    let mut missing = into
        .iter()
        .filter(|(name, _)| !places.contains_key(name.as_str()))
        .peekable();
    if let Some((name, _)) = missing.peek() {
        let tensor = name.clone();
        return Err(WeightsError::Missing {
            file: path.into(),
            tensor,
            count: missing.count(),
        });
    }
    let own: HashMap<&str, &Tensor> = into
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let mut extra: Vec<&str> = file
        .iter()
        .map(|have| have.name)
        .filter(|name| !own.contains_key(name))
        .collect();
    extra.sort_unstable();
    if let Some(name) = extra.first() {
        return Err(WeightsError::Extra {
            file: path.into(),
            tensor: name.to_string(),
            count: extra.len(),
        });
    }
    let mut order = Vec::with_capacity(into.len());
    for (name, tensor) in into {
        let place = places[name.as_str()];
        check(path, &file[place], tensor)?;
        order.push(place);
    }
    Ok(order)
}

fn check(path: &Path, have: &Described, own: &Tensor) -> Result<(), WeightsError> {
    let need = own.size();
    if have.shape != need {
        let sorted = |shape: &[i64]| {
            let mut sorted = shape.to_vec();
            sorted.sort_unstable();
            sorted
        };
        let transposed = sorted(have.shape) == sorted(&need);
        return Err(WeightsError::Shape {
            file: path.into(),
            tensor: have.name.into(),
            have: have.shape.into(),
            need,
            transposed,
        });
    }
    if have.kind != Some(own.kind()) {
        return Err(WeightsError::Dtype {
            file: path.into(),
            tensor: have.name.into(),
            have: have.dtype.clone(),
            need: super::safetensors::dtype_name(own.kind()),
        });
    }
    Ok(())
}

/// Refuses values that are not finite.
pub(super) fn check_finite(path: &Path, name: &str, tensor: &Tensor) -> Result<(), WeightsError> {
    if !matches!(
        tensor.kind(),
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16
    ) {
        return Ok(());
    }
    // A sum is finite only if every value is (it may overflow: then look closer). One pass instead of four.
    let finite = || -> Result<bool, TchError> {
        if tensor.f_sum(tensor.kind())?.f_double_value(&[])?.is_finite() {
            return Ok(true);
        }
        Ok(tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
    };
    match tch::no_grad(finite).map_err(|e| torch(path, name, &e))? {
        true => Ok(()),
        false => Err(WeightsError::NonFinite {
            file: path.into(),
            tensor: name.into(),
        }),
    }
}

/// Copies a tensor's values into another of the same shape, on whichever device it is.
pub(super) fn copy(path: &Path, name: &str, from: &Tensor, into: &Tensor) -> Result<(), WeightsError> {
    let copied = tch::no_grad(|| into.shallow_clone().f_copy_(from));
    copied.map_err(|e| torch(path, name, &e))
}

pub(super) fn torch(path: &Path, name: &str, error: &TchError) -> WeightsError {
    WeightsError::Torch {
        file: path.into(),
        tensor: name.into(),
        reason: first_line(error),
    }
}

/// Copies tensors that were read from `file` into those of a network, which must be exactly the same: names, shapes and
/// types, every value finite. All or nothing: the network changes only after everything has been checked.
///
/// # Errors
/// [`WeightsError`], naming file and tensor; the network is then as before.
pub fn assign(file: &Path, from: &[(String, Tensor)], into: &[(String, Tensor)]) -> Result<(), WeightsError> {
    let sizes: Vec<Vec<i64>> = from.iter().map(|(_, tensor)| tensor.size()).collect();
    let described = from.iter().zip(&sizes).map(|((name, tensor), size)| Described {
        name,
        shape: size,
        kind: Some(tensor.kind()),
        dtype: super::safetensors::dtype_name(tensor.kind()),
    });
    let described: Vec<Described> = described.collect();
    let mut names = std::collections::HashSet::new();
    if let Some(twice) = described.iter().find(|have| !names.insert(have.name)) {
        let (file, tensor) = (file.into(), twice.name.to_string());
        return Err(WeightsError::Duplicate { file, tensor });
    }
    let order = matching(file, &described, into)?;
    for (name, tensor) in from {
        check_finite(file, name, tensor)?;
    }
    for ((name, own), place) in into.iter().zip(order) {
        copy(file, name, &from[place].1, own)?;
    }
    Ok(())
}
