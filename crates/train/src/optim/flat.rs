//! All trainable tensors of a network as views into one flat buffer, and their gradients in another.
//!
//! An optimiser step, an exponential average, a gradient norm and a checkpoint then touch one tensor instead of some
//! hundred small ones: no call overhead for each parameter and one host synchronisation for the norm.

use tch::{Kind, TchError, Tensor, no_grad};

use crate::TrainError;

/// Every view starts at a multiple of this many elements: 64 bytes of `f32`, a cache line.
const ALIGN: i64 = 16;

/// Place of one parameter inside the flat buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Name of the variable.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// First element in the flat buffer.
    pub offset: i64,
    /// Number of elements.
    pub numel: i64,
}

/// The trainable parameters of a network, moved into one flat buffer that the network's own tensors view.
///
/// Elements between two slots are padding; they stay zero in values, gradients and moments.
#[derive(Debug)]
pub struct FlatParams {
    slots: Vec<Slot>,
    values: Tensor,
    grads: Tensor,
    /// Zeros for between two slots.
    padding: Tensor,
    /// The network's own tensors.
    tensors: Vec<Tensor>,
}

impl FlatParams {
    /// Moves `named` (the trainable tensors of a network, leaves that require gradients) into one buffer; the
    /// tensors keep their values and become views. The order is that of the names, so that it does not depend on
    /// the map they came from.
    ///
    /// # Errors
    /// No parameter at all, a parameter that is no `f32` leaf, or two on different devices.
    pub fn bind(named: Vec<(String, Tensor)>) -> Result<Self, TrainError> {
        let mut named = named;
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let Some((_, first)) = named.first() else {
            return Err(TrainError::network("the network has no trainable parameter"));
        };
        let device = first.device();
        let mut slots = Vec::with_capacity(named.len());
        let mut offset = 0;
        for (name, tensor) in &named {
            if tensor.kind() != Kind::Float || tensor.device() != device || !tensor.requires_grad() {
                return Err(TrainError::network(format!(
                    "parameter {name}: need a float32 tensor that requires a gradient on {device:?}, got {:?} on {:?}",
                    tensor.kind(),
                    tensor.device()
                )));
            }
            let numel = i64::try_from(tensor.numel()).expect("invariant: tensor sizes fit i64");
            slots.push(Slot {
                name: name.clone(),
                shape: tensor.size(),
                offset,
                numel,
            });
            offset += (numel + ALIGN - 1) / ALIGN * ALIGN;
        }
        let fail = TrainError::tensor("laying out the parameters");
        let values = Tensor::f_zeros([offset], (Kind::Float, device)).map_err(&fail)?;
        let grads = values.f_zeros_like().map_err(&fail)?;
        let padding = Tensor::f_zeros([ALIGN], (Kind::Float, device)).map_err(&fail)?;
        let mut tensors: Vec<Tensor> = named.into_iter().map(|(_, tensor)| tensor).collect();
        no_grad(|| -> Result<(), TrainError> {
            for (slot, tensor) in slots.iter().zip(&mut tensors) {
                let view = values
                    .narrow(0, slot.offset, slot.numel)
                    .view(slot.shape.as_slice());
                view.shallow_clone().f_copy_(&*tensor).map_err(&fail)?;
                tensor.f_set_data(&view).map_err(&fail)?;
            }
            Ok(())
        })?;
        let params = Self {
            slots,
            values,
            grads,
            padding,
            tensors,
        };
        params.check_views()?;
        Ok(params)
    }

    /// Where each parameter lies, in the order of the names.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Number of trainable values, without padding.
    pub fn count(&self) -> i64 {
        self.slots.iter().map(|slot| slot.numel).sum()
    }

    /// The flat values; writing into them changes the network.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The gradients of the last [`FlatParams::backward`].
    pub fn grads(&self) -> &Tensor {
        &self.grads
    }

    /// The gradients of `loss`, one value, in the place of those that are there, or added to them. A parameter that has no part in
    /// `loss` has the gradient zero. Cost: the backward pass and one copy; libtorch's own gradients of the tensors are not
    /// touched.
    ///
    /// # Errors
    /// When libtorch fails: nothing in `loss` depends on a parameter, or no memory is left.
    pub fn backward(&self, loss: &Tensor, add: bool) -> Result<(), TchError> {
        // libtorch would end the process.
        if !loss.requires_grad() {
            let reason = "the loss depends on no parameter, or gradients are off";
            return Err(TchError::Torch(reason.to_owned()));
        }
        let found = Tensor::f_run_backward(&[loss], &self.tensors, false, false)?;
        let mut pieces = Vec::with_capacity(2 * found.len());
        let mut end = 0;
        for (slot, grad) in self.slots.iter().zip(&found) {
            if slot.offset > end {
                pieces.push(self.padding.f_narrow(0, 0, slot.offset - end)?);
            }
            pieces.push(match grad.defined() {
                true => grad.f_reshape([-1])?,
                false => self.padding.f_narrow(0, 0, 1)?.f_expand([slot.numel], false)?,
            });
            end = slot.offset + slot.numel;
        }
        pieces.push(self.padding.f_narrow(0, 0, self.grads.size1()? - end)?);
        no_grad(|| match add {
            false => Tensor::f_cat_out(&self.grads, &pieces, 0),
            true => self.grads.shallow_clone().f_add_(&Tensor::f_cat(&pieces, 0)?),
        })
        .map(drop)
    }

    /// Named views of a flat tensor laid out like the parameters, for checkpoints.
    pub fn named_views(&self, flat: &Tensor) -> Vec<(String, Tensor)> {
        self.slots
            .iter()
            .map(|slot| {
                let view = flat
                    .narrow(0, slot.offset, slot.numel)
                    .view(slot.shape.as_slice());
                (slot.name.clone(), view)
            })
            .collect()
    }

    /// Exchanges the network's values with those of `other`, laid out likewise: sampling with averaged weights needs
    /// no second network. Cost: three copies of the parameters.
    pub fn swap(&mut self, other: &mut Tensor) {
        no_grad(|| {
            let kept = self.values.copy();
            self.values.copy_(other);
            other.copy_(&kept);
        });
    }

    /// Asserts that the network's tensors are still views of the buffer.
    ///
    /// # Errors
    /// Somebody replaced the data of a parameter, for example by moving the network to another device.
    pub fn check_views(&self) -> Result<(), TrainError> {
        let start = self.values.data_ptr() as usize;
        for (slot, tensor) in self.slots.iter().zip(&self.tensors) {
            let offset = usize::try_from(slot.offset).expect("invariant: offsets are not negative");
            if slot.numel > 0 && tensor.data_ptr() as usize != start + offset * size_of::<f32>() {
                return Err(TrainError::network(format!(
                    "parameter {}: its data no longer lie in the trainer's buffer; do not move or replace the \
                     network's tensors while it trains",
                    slot.name
                )));
            }
        }
        Ok(())
    }
}
