//! Coefficients of a noised mixture at one time, in the numbers of the state.

use std::collections::HashMap;
use std::f64::consts::LOG2_E;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use sde_core::NoisedMixture;

use super::isotropic::Tiles;
use crate::real::Real;

/// What the kernels need of a component: `dim` means, then the factor (one number for isotropic mixtures, else the
/// packed rows of the lower-triangular `W`, precision `W^T W`), scaled by `sqrt(log2(e)/2)` so that squares are
/// exponents of 2.
#[derive(Debug)]
pub(super) struct Coefs<T> {
    pub(super) dim: usize,
    pub(super) isotropic: bool,
    /// Base-2 logarithms of weight times normaliser, without the factor that all components share.
    pub(super) log_weights: Vec<T>,
    pub(super) parts: Vec<T>,
    /// The means once more; empty for full covariances.
    pub(super) tiles: Tiles<T>,
}

impl<T: Real> Coefs<T> {
    pub(super) fn new(noised: &NoisedMixture) -> Self {
        let components = noised.components();
        let dim = noised.dim();
        let isotropic = components.iter().all(|component| component.isotropic().is_some());
        let scale = (0.5 * LOG2_E).sqrt();
        let largest = components
            .iter()
            .map(|c| c.log_weight())
            .fold(f64::NEG_INFINITY, f64::max);
        let mut parts = Vec::with_capacity(components.len() * Self::stride_of(dim, isotropic));
        for component in components {
            parts.extend(component.mean().iter().map(|mean| T::from_f64(*mean)));
            match component.isotropic().filter(|_| isotropic) {
                Some(precision) => parts.push(T::from_f64(scale * precision.sqrt())),
                None => {
                    for i in 0..dim {
                        let row = &component.inv_chol()[i * dim..i * dim + i + 1];
                        parts.extend(row.iter().map(|w| T::from_f64(scale * w)));
                    }
                }
            }
        }
        let log_weights = components
            .iter()
            .map(|c| T::from_f64((c.log_weight() - largest) * LOG2_E))
            .collect();
        let means: Vec<&[T]> = match isotropic {
            true => parts.chunks_exact(dim + 1).map(|part| &part[..dim]).collect(),
            false => Vec::new(),
        };
        Self {
            dim,
            isotropic,
            tiles: Tiles::new(&means),
            log_weights,
            parts,
        }
    }

    fn stride_of(dim: usize, isotropic: bool) -> usize {
        dim + if isotropic { 1 } else { dim * (dim + 1) / 2 }
    }

    /// Numbers a component.
    #[inline(always)]
    pub(super) fn stride(&self) -> usize {
        Self::stride_of(self.dim, self.isotropic)
    }

    fn bytes(&self) -> usize {
        size_of::<T>() * (2 * self.parts.len() + self.log_weights.len()) + 128
    }
}

/// Spreads the bits of a time over the hash: times are no adversary's choice, and a lookup stands before every evaluation.
#[derive(Debug, Default, Clone, Copy)]
struct TimeHasher(u64);

impl Hasher for TimeHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, bits: u64) {
        // The odd number nearest to 2^64 over the golden ratio.
        let product = (self.0 ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Coefficients by time: all chunks of a run ask for the same times.
#[derive(Debug)]
pub(super) struct Cache<T> {
    by_time: RwLock<HashMap<u64, Arc<Coefs<T>>, BuildHasherDefault<TimeHasher>>>,
}

/// Memory that a cache may hold.
const CACHE_BYTES: usize = 8 << 20;

impl<T: Real> Cache<T> {
    pub(super) fn new() -> Self {
        Self {
            by_time: RwLock::new(HashMap::default()),
        }
    }

    /// The coefficients of time `t`, made by `make` where they are not at hand.
    pub(super) fn get(&self, t: f64, make: impl FnOnce() -> Coefs<T>) -> Arc<Coefs<T>> {
        let key = t.to_bits();
        if let Some(found) = self
            .by_time
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Arc::clone(found);
        }
        let made = Arc::new(make());
        let mut by_time = self.by_time.write().unwrap_or_else(PoisonError::into_inner);
        if (by_time.len() + 1) * made.bytes() > CACHE_BYTES {
            by_time.clear();
        }
        by_time.insert(key, Arc::clone(&made));
        made
    }
}
