//! AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2) on flat tensors, in place.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

/// Constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment, positive.
    pub eps: f64,
    /// Decoupled weight decay, a factor of the learning rate; 0 gives Adam.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The optimiser's state: two moments laid out like the parameters, and the number of updates.
///
/// Update number `n` (from 1) with gradient `g`, learning rate `lr`:
/// `m <- beta1 m + (1 - beta1) g`, `v <- beta2 v + (1 - beta2) g^2`,
/// `p <- (1 - lr weight_decay) p - lr (m / (1 - beta1^n)) / (sqrt(v / (1 - beta2^n)) + eps)`.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    first: Tensor,
    second: Tensor,
    scratch: [Tensor; 2],
    updates: u64,
}

/// Elements handled at a time: parameters, gradients, both moments and scratch then stay in a core's cache from one
/// pass to the next.
const BLOCK: i64 = 1 << 16;

impl AdamW {
    /// A fresh state for parameters laid out like `values`.
    pub fn new(config: AdamWConfig, values: &Tensor) -> Self {
        let like = || no_grad(|| values.zeros_like());
        let size = values.size1().expect("invariant: parameters are flat").min(BLOCK);
        let scratch = || Tensor::zeros([size], (values.kind(), values.device()));
        Self {
            config,
            first: like(),
            second: like(),
            scratch: [scratch(), scratch()],
            updates: 0,
        }
    }

    /// First and second moment.
    pub fn moments(&self) -> (&Tensor, &Tensor) {
        (&self.first, &self.second)
    }

    /// Updates done so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Sets the number of updates, when a checkpoint is loaded into [`AdamW::moments`].
    pub fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// One update of `values` in place. `grad_scale` multiplies the gradient first, in its place (clipping); no host
    /// synchronisation.
    pub fn step(&mut self, values: &Tensor, grads: &Tensor, lr: f64, grad_scale: f64) {
        self.step_blocks(values, grads, lr, grad_scale, |_| ());
    }

    /// As [`AdamW::step`]. `after_block` is told each range of elements right after its update, while its values are still in the
    /// cache: an average that reads them then costs a pass less over memory.
    pub fn step_blocks(
        &mut self,
        values: &Tensor,
        grads: &Tensor,
        lr: f64,
        grad_scale: f64,
        mut after_block: impl FnMut(Range<i64>),
    ) {
        self.updates += 1;
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = self.config;
        let n = i32::try_from(self.updates.min(i32::MAX as u64)).expect("invariant: just limited");
        let first_correction = 1.0 - beta1.powi(n);
        let second_correction_root = (1.0 - beta2.powi(n)).sqrt();
        no_grad(|| {
            let total = values.size1().expect("invariant: parameters are flat");
            let mut offset = 0;
            while offset < total {
                let len = BLOCK.min(total - offset);
                let block = |flat: &Tensor| flat.narrow(0, offset, len);
                let (mut p, mut g) = (block(values), block(grads));
                let (mut m, mut v) = (block(&self.first), block(&self.second));
                let [mut a, b] = [0, 1].map(|i: usize| self.scratch[i].narrow(0, 0, len));
                if grad_scale != 1.0 {
                    let _ = g.g_mul_scalar_(grad_scale);
                }
                let _ = m.lerp_(&g, 1.0 - beta1);
                let _ = g.mul_out(&a, &g);
                let _ = v.lerp_(&a, 1.0 - beta2);
                // sqrt(v / (1 - beta2^n)) + eps, times the second root, which goes into the factor of m as well.
                let _ = v.sqrt_out(&a);
                let _ = a.g_add_scalar_(eps * second_correction_root);
                let _ = m.mul_scalar_out(&b, -lr * second_correction_root / first_correction);
                if weight_decay != 0.0 {
                    let _ = p.g_mul_scalar_(1.0 - lr * weight_decay);
                }
                let _ = p.addcdiv_(&b, &a);
                after_block(offset..offset + len);
                offset += len;
            }
        });
    }
}
