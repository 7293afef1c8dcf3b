//! Normals for listed rows, each at an address of its own, straight into the splits of Brownian increments.

use pulp::bytemuck::cast_slice;

use super::{LANES, LOW_WORD, Words, pairs_to};
use crate::noise::{Increments, Purpose, Split, philox};
use crate::real::Real;
use crate::simd::{self, kernels};
use crate::vectors::copy_few;
use crate::{HostBatch, SolveError, State};

/// Increments that lie row after row, the slots of a row beside each other: a split moves whole stretches of memory, and nothing of
/// the rows that are not split.
pub(crate) struct ByRows<T> {
    keys: philox::Keys,
    first_row: u64,
    dim: usize,
    slots: usize,
    values: Vec<T>,
}

impl<T: Real> ByRows<T> {
    pub(crate) fn new(seed: u64, first_row: u64, like: &HostBatch<T>, slots: u8) -> Self {
        let (dim, slots) = (like.row_len(), usize::from(slots));
        Self {
            keys: philox::keys(seed),
            first_row,
            dim,
            slots,
            values: vec![T::ZERO; like.rows() * slots * dim],
        }
    }
}

impl<T: Real> Increments<HostBatch<T>> for ByRows<T> {
    fn split(&mut self, splits: &[Split]) -> Result<(), SolveError> {
        if self.dim > 0 {
            simd::dispatch(SplitRows::<T>((self, splits)));
        }
        Ok(())
    }

    fn add(&self, slots: &[u8], a: &[f64], out: &mut HostBatch<T>) {
        let rows = out.rows();
        assert_eq!(
            (slots.len(), a.len()),
            (rows, rows),
            "one slot and one factor a row"
        );
        simd::dispatch(AddRows::<T>((self, slots, a, out.planes_mut())));
    }
}

kernels! {
    SplitRows<'a, T>((&'a mut ByRows<T>, &'a [Split])) -> () = split_rows;
    AddRows<'a, T>((&'a ByRows<T>, &'a [u8], &'a [f64], &'a mut [T])) -> () = add_rows;
}

/// Values moved together.
const TILE: usize = 16;

/// Counter words of the blocks, lane by lane: block, low word of the row group, node, last word. A tile more than is used, so that
/// whole tiles can be written at any lane.
type Counters = [[u32; LANES + TILE]; 4];

/// Lanes run over the blocks of a row, then over the splits.
#[inline(always)]
fn split_rows<T: Real>((paths, splits): (&mut ByRows<T>, &[Split])) {
    let dim = paths.dim;
    // How many rows share a block, see the table of addresses.
    let sharing = match dim {
        1 => 4,
        2 => 2,
        _ => 1,
    };
    let blocks = dim.div_ceil(4);
    let piece = blocks.min(LANES);
    let whole_tiles = blocks.is_multiple_of(TILE);
    let mut counters: Counters = [[0; LANES + TILE]; 4];
    let mut words = [[0; LANES / 2]; 4];
    let [mut a, mut b, mut c, mut d] = [[0.0_f32; LANES]; 4];
    let mut z = [0.0_f32; 4 * LANES];
    for group in splits.chunks(LANES / piece) {
        for from in (0..blocks).step_by(piece) {
            let n = piece.min(blocks - from);
            // Whole vectors, however long they are.
            let lanes = (group.len() * piece).next_multiple_of(2 * TILE);
            for (i, split) in group.iter().enumerate() {
                let row_group = (paths.first_row + split.row as u64) / sharing;
                if whole_tiles {
                    words_in_row(
                        &paths.keys,
                        (from, n),
                        row_group,
                        split.node,
                        i * piece,
                        &mut words,
                    );
                } else {
                    count(&mut counters, i * piece, (from, n), row_group, split.node);
                }
            }
            if !whole_tiles {
                words_listed(&paths.keys, &counters, lanes, &mut words);
            }
            pairs_to(&words[0], &words[1], 0, &mut a[..lanes], &mut b);
            pairs_to(&words[2], &words[3], 0, &mut c[..lanes], &mut d);
            interleave([&a, &b, &c, &d], &mut z);
            for (i, split) in group.iter().enumerate() {
                let lane = ((paths.first_row + split.row as u64) % sharing) as usize * dim;
                let len = (4 * n).min(dim - 4 * from);
                let size = paths.slots * dim;
                let row = &mut paths.values[split.row * size..][..size];
                apply(split, &z[4 * i * piece + lane..][..len], row, dim, 4 * from);
            }
        }
    }
}

/// The last counter word.
#[inline(always)]
fn last_word(row_group: u64) -> u64 {
    u64::from(Purpose::Path as u32) | (row_group >> 32) << 8
}

/// The counters of blocks `from..from + n` of a row to lanes from `at` on.
#[inline(always)]
fn count(counters: &mut Counters, at: usize, (from, n): (usize, usize), row_group: u64, node: u32) {
    let words = [from as u32, row_group as u32, node, last_word(row_group) as u32];
    if n == 1 {
        for (counter, word) in counters.iter_mut().zip(words) {
            counter[at] = word;
        }
        return;
    }
    for done in (0..n).step_by(TILE) {
        for (k, (counter, word)) in counters.iter_mut().zip(words).enumerate() {
            let tile: &mut [u32] = &mut counter[at + done..][..TILE];
            for (i, lane) in tile.iter_mut().enumerate() {
                *lane = if k == 0 { word + (done + i) as u32 } else { word };
            }
        }
    }
}

/// The blocks `from..from + n` of a row, `n` a multiple of [`TILE`], to lanes from `at` on, packed as by [`super::words_down`].
#[inline(always)]
fn words_in_row(
    keys: &philox::Keys,
    (from, n): (usize, usize),
    row_group: u64,
    node: u32,
    at: usize,
    words: &mut Words,
) {
    let (node, last) = (u64::from(node), last_word(row_group));
    for done in (0..n).step_by(TILE) {
        let mut tile = [[0; TILE / 2]; 4];
        for i in 0..TILE / 2 {
            let even = (from + done + 2 * i) as u64;
            let e = philox::wide_rounds(keys, [even, row_group, node, last]);
            let o = philox::wide_rounds(keys, [even + 1, row_group, node, last]);
            for w in 0..4 {
                tile[w][i] = (e[w] & LOW_WORD) | o[w] << 32;
            }
        }
        for (words, tile) in words.iter_mut().zip(&tile) {
            *words[(at + done) / 2..].first_chunk_mut().expect("a tile") = *tile;
        }
    }
}

/// The blocks of the counters, packed as by [`super::words_down`].
#[inline(always)]
fn words_listed(keys: &philox::Keys, counters: &Counters, lanes: usize, words: &mut Words) {
    let [c0, c1, c2, c3] = counters;
    let [c0, c1, c2, c3]: [&[u64]; 4] = [cast_slice(c0), cast_slice(c1), cast_slice(c2), cast_slice(c3)];
    let n = (lanes / 2).min(LANES / 2);
    let (c0, c1, c2, c3) = (&c0[..n], &c1[..n], &c2[..n], &c3[..n]);
    let [w0, w1, w2, w3] = words;
    for i in 0..n {
        let e = philox::wide_rounds(keys, [c0[i], c1[i], c2[i], c3[i]]);
        let o = philox::wide_rounds(keys, [c0[i] >> 32, c1[i] >> 32, c2[i] >> 32, c3[i] >> 32]);
        w0[i] = (e[0] & LOW_WORD) | o[0] << 32;
        w1[i] = (e[1] & LOW_WORD) | o[1] << 32;
        w2[i] = (e[2] & LOW_WORD) | o[2] << 32;
        w3[i] = (e[3] & LOW_WORD) | o[3] << 32;
    }
}

/// Four planes to one after the other, lane by lane.
#[inline(always)]
fn interleave<T: Real, const N: usize, const M: usize>(planes: [&[T; N]; 4], out: &mut [T; M]) {
    let [a, b, c, d] = planes;
    for i in 0..N {
        out[4 * i] = a[i];
        out[4 * i + 1] = b[i];
        out[4 * i + 2] = c[i];
        out[4 * i + 3] = d[i];
    }
}

/// Splits the values from `at` on of a row's increment with the normals `z`.
#[inline(always)]
fn apply<T: Real>(split: &Split, z: &[f32], row: &mut [T], dim: usize, at: usize) {
    let (share, scale) = (T::from_f64(split.share), T::from_f64(split.scale));
    let place = |slot: u8| usize::from(slot) * dim + at;
    let (whole, first_at, second_at) = (
        place(split.whole),
        split.first.map(place),
        split.second.map(place),
    );
    let (tiles, rest) = z.as_chunks::<TILE>();
    for (k, z) in tiles.iter().enumerate() {
        let mut second: [T; TILE] = *row[whole + k * TILE..].first_chunk().expect("a tile");
        let mut first = [T::ZERO; TILE];
        for i in 0..TILE {
            first[i] = share * second[i] + scale * T::from_f32(z[i]);
            second[i] -= first[i];
        }
        for (to, part) in [(first_at, &first), (second_at, &second)] {
            if let Some(to) = to {
                *row[to + k * TILE..].first_chunk_mut().expect("a tile") = *part;
            }
        }
    }
    for (i, z) in rest.iter().enumerate() {
        let i = i + TILE * tiles.len();
        let whole = row[whole + i];
        let first = share * whole + scale * T::from_f32(*z);
        for (to, part) in [(first_at, first), (second_at, whole - first)] {
            if let Some(to) = to {
                row[to + i] = part;
            }
        }
    }
}

/// Multiples of rows to planes, sixteen values of sixteen rows at a time; the values left over go one by one.
#[inline(always)]
fn add_rows<T: Real>((paths, slots, a, out): (&ByRows<T>, &[u8], &[f64], &mut [T])) {
    let (dim, rows) = (paths.dim, slots.len());
    let values = |row: usize| &paths.values[(row * paths.slots + usize::from(slots[row])) * dim..][..dim];
    let columns = dim / TILE * TILE;
    let [mut square, mut other] = [[T::ZERO; TILE * TILE]; 2];
    let starts = if columns > 0 { rows } else { 0 };
    for r in (0..starts).step_by(TILE) {
        let n = TILE.min(rows - r);
        let mut factors = [T::ZERO; TILE];
        let mut lines = [&paths.values[..0]; TILE];
        for i in 0..TILE {
            // Filled up with the last row.
            let row = r + i.min(n - 1);
            (factors[i], lines[i]) = (T::from_f64(a[row]), values(row));
        }
        for d in (0..columns).step_by(TILE) {
            for (line, tile) in lines.iter().zip(square.as_chunks_mut::<TILE>().0) {
                *tile = *line[d..].first_chunk().expect("a tile");
            }
            // The position of a number has the row in its upper four bits, the value in its lower four: each step turns it by one bit.
            for _ in 0..2 {
                zip_halves(&square, &mut other);
                zip_halves(&other, &mut square);
            }
            for (i, tile) in square.as_chunks::<TILE>().0.iter().enumerate() {
                let out = &mut out[(d + i) * rows + r..];
                if n == TILE {
                    add_tile(&factors, tile, out.first_chunk_mut().expect("a tile"));
                } else {
                    let mut own = [T::ZERO; TILE];
                    copy_few(&out[..n], &mut own);
                    add_tile(&factors, tile, &mut own);
                    copy_few(&own[..n], out);
                }
            }
        }
    }
    if columns == dim {
        return;
    }
    for row in 0..rows {
        let factor = T::from_f64(a[row]);
        for (d, value) in values(row).iter().enumerate().skip(columns) {
            out[d * rows + row] += factor * *value;
        }
    }
}

#[inline(always)]
fn add_tile<T: Real>(factors: &[T; TILE], tile: &[T; TILE], out: &mut [T; TILE]) {
    for i in 0..TILE {
        out[i] += factors[i] * tile[i];
    }
}

/// The numbers of both halves in turn.
#[inline(always)]
fn zip_halves<T: Real>(x: &[T; TILE * TILE], out: &mut [T; TILE * TILE]) {
    const HALF: usize = TILE * TILE / 2;
    for i in 0..HALF {
        out[2 * i] = x[i];
        out[2 * i + 1] = x[HALF + i];
    }
}
