//! Normals by address. The value at (seed, draw, row, position) is a function of these four and of the row length,
//! so it does not matter which rows are drawn together.
//!
//! Counter words of Philox, key = seed (low word first):
//!
//! | word | content |
//! |---|---|
//! | 0 | block inside the row |
//! | 1 | row group, low 32 bits |
//! | 2 | step of the draw |
//! | 3 | bits 0 to 7: purpose (plus 0x80 for uniforms); bits 8 to 31: row group, bits 32 to 55 |
//!
//! A block is four words, two pairs, four normals. Rows of three or more values own `ceil(row_len / 4)` blocks
//! (row group = row); two rows of two values share a block (row group = row / 2) and so do four rows of one value
//! (row group = row / 4): no word is drawn in vain. Rows run to 2^56.
//!
//! `f64` states get the `f32` numbers widened: one definition, so a run in double precision sees the noise of
//! the run in single precision, and so do tensors.

#![allow(
    clippy::needless_range_loop,
    reason = "index loops are what the vectoriser reads best"
)]

use pulp::bytemuck::cast_slice;

use super::normal::pair;
use super::philox::{Keys, keys, wide_rounds};
use super::{Draw, philox::philox4x32_10};
use crate::{
    real::Real,
    simd::{self, kernels},
};

/// Words (of one kind) handled at a time: what lies in scratch between two loops, well inside L1.
const LANES: usize = 128;
/// Row lengths from which [`fill_rows`] runs along a row instead of down the rows.
const LONG_ROW: usize = 32;

const LOW_WORD: u64 = 0xFFFF_FFFF;

type Words = [[u64; LANES / 2]; 4];

/// What all blocks of a draw share.
struct Address {
    keys: Keys,
    step: u64,
    tag: u64,
}

impl Address {
    fn new(seed: u64, draw: Draw) -> Self {
        Self {
            keys: keys(seed),
            step: u64::from(draw.step),
            tag: u64::from(draw.purpose as u32),
        }
    }

    #[inline(always)]
    fn last_word(&self, group: u64) -> u64 {
        self.tag | (group >> 32) << 8
    }
}

kernels! {
    SingleColumn<'a, T>((&'a Address, u64, &'a mut [T])) -> () = single_column;
    TwoPlanes<'a, T>((&'a Address, u64, &'a mut [T])) -> () = two_planes;
    TwoColumns<'a, T>((&'a Address, u64, &'a mut [T])) -> () = two_columns;
    ManyPlanes<'a, T>((&'a Address, u64, usize, &'a mut [T])) -> () = many_planes;
    ShortRows<'a, T>((&'a Address, u64, usize, &'a mut [T])) -> () = short_rows;
    LongRows<'a, T>((&'a Address, u64, usize, &'a mut [T])) -> () = long_rows;
}

/// Uniform on (0, 1), 52 bits and never an end, for (seed, draw, row); independent of all normals. Position 0 of [`uniform_at`].
pub fn uniform(seed: u64, draw: Draw, row: u64) -> f64 {
    uniform_at(seed, draw, row, 0)
}

/// Uniform on (0, 1), 52 bits and never an end, for (seed, draw, row, position); independent of all normals. Two positions a
/// block.
pub fn uniform_at(seed: u64, draw: Draw, row: u64, position: usize) -> f64 {
    let tag = 0x80 | draw.purpose as u32 | ((row >> 32) as u32) << 8;
    let w = philox4x32_10(
        [(position / 2) as u32, row as u32, draw.step, tag],
        [seed as u32, (seed >> 32) as u32],
    );
    let half = 2 * (position % 2);
    let bits = (u64::from(w[half + 1]) << 32 | u64::from(w[half])) >> 12;
    (bits as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// The definition, one number at a time: position `position` of row `row` in rows of `row_len` values.
pub fn normal_at(seed: u64, draw: Draw, row: u64, row_len: usize, position: usize) -> f32 {
    let (block, group, lane) = match row_len {
        1 => (0, row / 4, (row % 4) as usize),
        2 => (0, row / 2, (row % 2) as usize * 2 + position),
        _ => (position / 4, row, position % 4),
    };
    let tag = draw.purpose as u32 | ((group >> 32) as u32) << 8;
    let w = philox4x32_10(
        [block as u32, group as u32, draw.step, tag],
        [seed as u32, (seed >> 32) as u32],
    );
    let z = pair(w[lane & 2], w[(lane & 2) + 1]);
    if lane & 1 == 0 { z.0 } else { z.1 }
}

/// Normals for rows `first_row..` in planes per coordinate: `out[position * rows + i]` belongs to row
/// `first_row + i`.
pub(crate) fn fill_planes<T: Real>(seed: u64, draw: Draw, first_row: u64, rows: usize, out: &mut [T]) {
    if rows == 0 || out.is_empty() {
        return;
    }
    let address = Address::new(seed, draw);
    match out.len() / rows {
        1 => simd::dispatch(SingleColumn::<T>((&address, first_row, out))),
        2 => simd::dispatch(TwoPlanes::<T>((&address, first_row, out))),
        _ => simd::dispatch(ManyPlanes::<T>((&address, first_row, rows, out))),
    }
}

/// Normals for rows `first_row..` of `row_len` values each, row after row. A remainder of `out` that is no whole
/// row is filled too.
fn fill_rows<T: Real>(seed: u64, draw: Draw, first_row: u64, row_len: usize, out: &mut [T]) {
    if row_len == 0 {
        return;
    }
    let address = Address::new(seed, draw);
    match row_len {
        1 => simd::dispatch(SingleColumn::<T>((&address, first_row, out))),
        2 => simd::dispatch(TwoColumns::<T>((&address, first_row, out))),
        3..LONG_ROW => simd::dispatch(ShortRows::<T>((&address, first_row, row_len, out))),
        _ => simd::dispatch(LongRows::<T>((&address, first_row, row_len, out))),
    }
}

/// Normals for rows `first_row..` of `row_len` values each, row after row (row-major); the numbers that a host
/// state gets for the same address.
pub fn fill_rows_f32(seed: u64, draw: Draw, first_row: u64, row_len: usize, out: &mut [f32]) {
    fill_rows(seed, draw, first_row, row_len, out);
}

/// As [`fill_rows_f32`], the same numbers widened.
pub fn fill_rows_f64(seed: u64, draw: Draw, first_row: u64, row_len: usize, out: &mut [f64]) {
    fill_rows(seed, draw, first_row, row_len, out);
}

/// Normals for rows `first_row..first_row + rows` in planes per coordinate, the layout of host batches:
/// `out[position * rows + i]` belongs to row `first_row + i`.
pub fn fill_planes_f32(seed: u64, draw: Draw, first_row: u64, rows: usize, out: &mut [f32]) {
    fill_planes(seed, draw, first_row, rows, out);
}

/// Blocks of consecutive row groups; word `j` of group `group + i` to lane `i` of `words[j]`.
#[inline(always)]
fn words_down(address: &Address, block: u64, group: u64, lanes: usize, words: &mut Words) {
    let (low, last) = (group & 0xFFFF_FFFF, address.last_word(group));
    let [w0, w1, w2, w3] = words;
    for i in 0..lanes.div_ceil(2).min(LANES / 2) {
        let even = low + 2 * i as u64;
        let e = wide_rounds(&address.keys, [block, even, address.step, last]);
        let o = wide_rounds(&address.keys, [block, even + 1, address.step, last]);
        w0[i] = (e[0] & 0xFFFF_FFFF) | o[0] << 32;
        w1[i] = (e[1] & 0xFFFF_FFFF) | o[1] << 32;
        w2[i] = (e[2] & 0xFFFF_FFFF) | o[2] << 32;
        w3[i] = (e[3] & 0xFFFF_FFFF) | o[3] << 32;
    }
}

/// Consecutive blocks of one row, as [`words_down`].
#[inline(always)]
fn words_along(address: &Address, block: u64, group: u64, lanes: usize, words: &mut Words) {
    let last = address.last_word(group);
    let [w0, w1, w2, w3] = words;
    for i in 0..lanes.div_ceil(2).min(LANES / 2) {
        let even = block + 2 * i as u64;
        let e = wide_rounds(&address.keys, [even, group, address.step, last]);
        let o = wide_rounds(&address.keys, [even + 1, group, address.step, last]);
        w0[i] = (e[0] & 0xFFFF_FFFF) | o[0] << 32;
        w1[i] = (e[1] & 0xFFFF_FFFF) | o[1] << 32;
        w2[i] = (e[2] & 0xFFFF_FFFF) | o[2] << 32;
        w3[i] = (e[3] & 0xFFFF_FFFF) | o[3] << 32;
    }
}

/// Blocks of consecutive row groups with both pairs of a block beside each other: lane `2 i` of `words[0]`,
/// `words[1]` is the first pair of group `group + i`, lane `2 i + 1` the second.
#[inline(always)]
fn words_paired(address: &Address, group: u64, groups: usize, words: &mut Words) {
    let (low, last) = (group & 0xFFFF_FFFF, address.last_word(group));
    let [radius, angle, _, _] = words;
    for i in 0..groups.min(LANES / 2) {
        let w = wide_rounds(&address.keys, [0, low + i as u64, address.step, last]);
        radius[i] = (w[0] & 0xFFFF_FFFF) | w[2] << 32;
        angle[i] = (w[1] & 0xFFFF_FFFF) | w[3] << 32;
    }
}

/// Largest number of row groups from `group` on whose high word is the same.
#[inline(always)]
fn same_high_word(group: u64, wanted: usize) -> usize {
    wanted.min(((1_u64 << 32) - (group & 0xFFFF_FFFF)).min(LANES as u64) as usize)
}

#[inline(always)]
fn pairs_to<T: Real>(radius: &[u64], angle: &[u64], skip: usize, first: &mut [T], second: &mut [T]) {
    let n = first.len();
    let radius: &[u32] = &cast_slice(radius)[skip..skip + n];
    let angle: &[u32] = &cast_slice(angle)[skip..skip + n];
    let second = &mut second[..n];
    for i in 0..n {
        let (a, b) = pair(radius[i], angle[i]);
        first[i] = T::from_f32(a);
        second[i] = T::from_f32(b);
    }
}

/// Rows of one value: four rows a block.
#[inline(always)]
fn single_column<T: Real>((address, first_row, out): (&Address, u64, &mut [T])) {
    let mut words = [[0; LANES / 2]; 4];
    let (mut a, mut b) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let mut z = [0.0_f32; 2 * LANES];
    let mut done = 0;
    while done < out.len() {
        let row = first_row + done as u64;
        let (group, skip) = (row / 4, (row % 4) as usize);
        let groups = same_high_word(group, (out.len() - done + skip).div_ceil(4)).min(LANES / 2);
        words_paired(address, group, groups, &mut words);
        pairs_to(&words[0], &words[1], 0, &mut a[..2 * groups], &mut b);
        for i in 0..2 * groups {
            z[2 * i] = a[i];
            z[2 * i + 1] = b[i];
        }
        let n = (4 * groups - skip).min(out.len() - done);
        for (to, from) in out[done..done + n].iter_mut().zip(&z[skip..skip + n]) {
            *to = T::from_f32(*from);
        }
        done += n;
    }
}

/// Rows of two values in two planes: two rows a block.
#[inline(always)]
fn two_planes<T: Real>((address, first_row, out): (&Address, u64, &mut [T])) {
    let mut words = [[0; LANES / 2]; 4];
    let rows = out.len() / 2;
    let (first, second) = out.split_at_mut(rows);
    let mut done = 0;
    while done < rows {
        let row = first_row + done as u64;
        let (group, skip) = (row / 2, (row % 2) as usize);
        let groups = same_high_word(group, (rows - done + skip).div_ceil(2)).min(LANES / 2);
        words_paired(address, group, groups, &mut words);
        let n = (2 * groups - skip).min(rows - done);
        pairs_to(
            &words[0],
            &words[1],
            skip,
            &mut first[done..done + n],
            &mut second[done..done + n],
        );
        done += n;
    }
}

/// Rows of two values, row after row.
#[inline(always)]
fn two_columns<T: Real>((address, first_row, out): (&Address, u64, &mut [T])) {
    let mut words = [[0; LANES / 2]; 4];
    let (mut a, mut b) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    let rows = out.len().div_ceil(2);
    let mut done = 0;
    while done < rows {
        let row = first_row + done as u64;
        let (group, skip) = (row / 2, (row % 2) as usize);
        let groups = same_high_word(group, (rows - done + skip).div_ceil(2)).min(LANES / 2);
        words_paired(address, group, groups, &mut words);
        let n = (2 * groups - skip).min(rows - done);
        pairs_to(&words[0], &words[1], skip, &mut a[..n], &mut b[..n]);
        let end = out.len().min(2 * (done + n));
        let to = &mut out[2 * done..end];
        for (i, two) in to.chunks_mut(2).enumerate() {
            two[0] = a[i];
            if let Some(last) = two.get_mut(1) {
                *last = b[i];
            }
        }
        done += n;
    }
}

/// Rows of three values or more in planes.
#[inline(always)]
fn many_planes<T: Real>((address, first_row, rows, out): (&Address, u64, usize, &mut [T])) {
    let mut words = [[0; LANES / 2]; 4];
    let mut unused = [T::ZERO; LANES];
    let mut done = 0;
    while done < rows {
        let row = first_row + done as u64;
        let n = same_high_word(row, rows - done);
        for (block, planes) in out.chunks_mut(4 * rows).enumerate() {
            words_down(address, block as u64, row, n, &mut words);
            for (half, two) in planes.chunks_mut(2 * rows).enumerate() {
                let (first, second) = two.split_at_mut(rows);
                let second = if second.is_empty() {
                    &mut unused[..n]
                } else {
                    &mut second[done..done + n]
                };
                pairs_to(
                    &words[2 * half],
                    &words[2 * half + 1],
                    0,
                    &mut first[done..done + n],
                    second,
                );
            }
        }
        done += n;
    }
}

/// Short rows of three values or more, row after row: lanes run down the rows.
#[inline(always)]
fn short_rows<T: Real>((address, first_row, row_len, out): (&Address, u64, usize, &mut [T])) {
    let mut words = [[0; LANES / 2]; 4];
    let mut z = [[T::ZERO; LANES]; LONG_ROW];
    let rows = out.len().div_ceil(row_len);
    let mut done = 0;
    while done < rows {
        let row = first_row + done as u64;
        let n = same_high_word(row, rows - done);
        for (block, planes) in z[..row_len.next_multiple_of(4)].chunks_exact_mut(4).enumerate() {
            words_down(address, block as u64, row, n, &mut words);
            let [z0, z1, z2, z3] = planes else {
                unreachable!("chunks of exactly four")
            };
            pairs_to(&words[0], &words[1], 0, &mut z0[..n], z1);
            pairs_to(&words[2], &words[3], 0, &mut z2[..n], z3);
        }
        let end = out.len().min((done + n) * row_len);
        for (i, to) in out[done * row_len..end].chunks_mut(row_len).enumerate() {
            for (value, plane) in to.iter_mut().zip(&z) {
                *value = plane[i];
            }
        }
        done += n;
    }
}

/// Long rows, row after row: lanes run along a row.
#[inline(always)]
fn long_rows<T: Real>((address, first_row, row_len, out): (&Address, u64, usize, &mut [T])) {
    let mut words = [[0; LANES / 2]; 4];
    let mut z = [[0.0_f32; LANES]; 4];
    for (i, row) in out.chunks_mut(row_len).enumerate() {
        for (strip, to) in row.chunks_mut(4 * LANES).enumerate() {
            let n = to.len().div_ceil(4);
            words_along(
                address,
                (strip * LANES) as u64,
                first_row + i as u64,
                n,
                &mut words,
            );
            let [z0, z1, z2, z3] = &mut z;
            pairs_to(&words[0], &words[1], 0, &mut z0[..n], z1);
            pairs_to(&words[2], &words[3], 0, &mut z2[..n], z3);
            for (j, four) in to.chunks_mut(4).enumerate() {
                for (value, plane) in four.iter_mut().zip(&z) {
                    *value = T::from_f32(plane[j]);
                }
            }
        }
    }
}

mod listed;

pub(crate) use listed::ByRows;

#[cfg(test)]
mod tests;
