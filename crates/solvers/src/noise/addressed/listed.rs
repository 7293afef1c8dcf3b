//! Normals for listed rows, each at an address of its own, straight into the split of Brownian increments.

use super::{LANES, LOW_WORD, Words, pairs_to};
use crate::noise::{Purpose, Split, philox};
use crate::real::Real;
use crate::simd::{self, kernels};
use crate::{HostBatch, State};

/// [`NoiseSource::split`](crate::NoiseSource::split) on planes.
pub(crate) fn split_planes<T: Real>(
    seed: u64,
    first_row: u64,
    splits: &[Split],
    kept: &mut HostBatch<T>,
    others: &mut [HostBatch<T>],
) {
    if kept.rows() > 0 && kept.row_len() > 0 {
        let address = (philox::keys(seed), first_row);
        simd::dispatch(SplitPlanes::<T>((&address, splits, kept, others)));
    }
}

kernels! {
    SplitPlanes<'a, T>((
        &'a (philox::Keys, u64), &'a [Split], &'a mut HostBatch<T>, &'a mut [HostBatch<T>]
    )) -> () = kernel;
}

/// Counters of the blocks, even and odd lanes apart: block, low word of the row group, node, last word.
type Counters = [[[u64; LANES / 2]; 4]; 2];

/// Lanes run over the blocks of a row, then over the rows.
#[allow(clippy::type_complexity)]
#[inline(always)]
fn kernel<T: Real>(
    ((keys, first_row), splits, kept, others): (
        &(philox::Keys, u64),
        &[Split],
        &mut HostBatch<T>,
        &mut [HostBatch<T>],
    ),
) {
    let (dim, rows) = (kept.row_len(), kept.rows());
    // How many rows share a block, see the table of addresses.
    let sharing = match dim {
        1 => 4,
        2 => 2,
        _ => 1,
    };
    let blocks = dim.div_ceil(4);
    let mut words = [[0; LANES / 2]; 4];
    let mut z = [[T::ZERO; LANES]; 4];
    let mut counters: Counters = [[[0; LANES / 2]; 4]; 2];
    let kept = kept.planes_mut();
    let total = splits.len() * blocks;
    for start in (0..total).step_by(LANES) {
        let n = LANES.min(total - start);
        for i in 0..n {
            let split = &splits[(start + i) / blocks];
            let group = (first_row + split.row as u64) / sharing;
            let [block, low, node, last] = &mut counters[i % 2];
            block[i / 2] = ((start + i) % blocks) as u64;
            low[i / 2] = group & LOW_WORD;
            node[i / 2] = u64::from(split.node);
            last[i / 2] = Purpose::Path as u64 | (group >> 32) << 8;
        }
        words_listed(keys, &counters, n, &mut words);
        let [z0, z1, z2, z3] = &mut z;
        pairs_to(&words[0], &words[1], 0, &mut z0[..n], z1);
        pairs_to(&words[2], &words[3], 0, &mut z2[..n], z3);
        for i in 0..n {
            let split = &splits[(start + i) / blocks];
            let lane = ((first_row + split.row as u64) % sharing) as usize;
            let (share, scale) = (T::from_f64(split.share), T::from_f64(split.scale));
            let from = (start + i) % blocks * 4;
            for d in from..dim.min(from + 4) {
                let z = match sharing {
                    4 => z[lane][i],
                    2 => z[2 * lane + d][i],
                    _ => z[d - from][i],
                };
                let at = d * rows + split.row;
                let whole = kept[at];
                let first = share * whole + scale * z;
                let second = whole - first;
                let (keep, rest) = if split.keep_second {
                    (second, first)
                } else {
                    (first, second)
                };
                kept[at] = keep;
                if let Some(other) = split.other {
                    others[other].planes_mut()[at] = rest;
                }
            }
        }
    }
}

/// The blocks of the counters, packed as by [`super::words_down`].
#[inline(always)]
fn words_listed(keys: &philox::Keys, counters: &Counters, lanes: usize, words: &mut Words) {
    let [even, odd] = counters;
    let [w0, w1, w2, w3] = words;
    for i in 0..lanes.div_ceil(2).min(LANES / 2) {
        let e = philox::wide_rounds(keys, [even[0][i], even[1][i], even[2][i], even[3][i]]);
        let o = philox::wide_rounds(keys, [odd[0][i], odd[1][i], odd[2][i], odd[3][i]]);
        w0[i] = (e[0] & LOW_WORD) | o[0] << 32;
        w1[i] = (e[1] & LOW_WORD) | o[1] << 32;
        w2[i] = (e[2] & LOW_WORD) | o[2] << 32;
        w3[i] = (e[3] & LOW_WORD) | o[3] << 32;
    }
}
