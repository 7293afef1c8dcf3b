//! Series and points as small grey pictures, white on black.

use ndarray::Array4;

/// Cell of a series in pixels.
const CELL: (usize, usize) = (48, 96);
/// Side of a scatter plot in pixels.
const PLOT: usize = 512;

/// At most `cells` series of `channels` curves each, one cell a series, all to one scale:
/// `[n, height, width, 1]`.
pub fn series(values: &[f32], channels: usize, length: usize, cells: usize) -> Array4<u8> {
    let row_len = (channels * length).max(1);
    let count = (values.len() / row_len).min(cells);
    let (height, width) = CELL;
    let mut out = Array4::zeros((count, height, width, 1));
    let (low, high) = range(values.iter().copied());
    let row_of = |v: f32| pixel(high - v, high - low, height);
    for cell in 0..count {
        for curve in values[cell * row_len..(cell + 1) * row_len].chunks_exact(length) {
            let mut before: Option<(usize, usize)> = None;
            for (i, &v) in curve.iter().enumerate() {
                let column = if length == 1 {
                    0
                } else {
                    i * (width - 1) / (length - 1)
                };
                let Some(row) = row_of(v) else {
                    before = None;
                    continue;
                };
                let (from_column, from_row) = before.unwrap_or((column, row));
                let steps = column.abs_diff(from_column).max(row.abs_diff(from_row)).max(1);
                for s in 0..=steps {
                    let between = |a: usize, b: usize| (a * (steps - s) + b * s + steps / 2) / steps;
                    out[[cell, between(from_row, row), between(from_column, column), 0]] = u8::MAX;
                }
                before = Some((column, row));
            }
        }
    }
    out
}

/// The first two coordinates of every row (of one coordinate: that and zero) as one picture `[1, side, side, 1]`; a point is a
/// spot of three by three pixels, which is the brighter the more points fall on it.
pub fn scatter(values: &[f32], rows: usize) -> Array4<u8> {
    let mut out = Array4::<u8>::zeros((1, PLOT, PLOT, 1));
    let dim = values.len().checked_div(rows).unwrap_or(0);
    let point = |row: &[f32]| (row[0], row.get(1).copied().unwrap_or(0.0));
    if dim == 0 {
        return out;
    }
    let (low, high) = range(
        values
            .chunks_exact(dim)
            .flat_map(|row| [point(row).0, point(row).1]),
    );
    for row in values.chunks_exact(dim) {
        let (x, y) = point(row);
        if let (Some(column), Some(line)) = (
            pixel(x - low, high - low, PLOT),
            pixel(high - y, high - low, PLOT),
        ) {
            for (down, right) in (0..9).map(|k| (k / 3, k % 3)) {
                // One pixel up and left of the point at (0, 0); what lies outside of the picture is left out.
                let (Some(y), Some(x)) = ((line + down).checked_sub(1), (column + right).checked_sub(1))
                else {
                    continue;
                };
                if let Some(value) = out.get_mut([0, y, x, 0]) {
                    *value = value.saturating_add(if (down, right) == (1, 1) { 96 } else { 48 });
                }
            }
        }
    }
    out
}

fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let finite = values.filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    if low < high {
        (low, high)
    } else {
        (low - 1.0, high + 1.0)
    }
}

/// The pixel of a distance from the edge, `None` if it is not finite.
fn pixel(distance: f32, whole: f32, pixels: usize) -> Option<usize> {
    let at = distance / whole * (pixels - 1) as f32;
    at.is_finite()
        .then(|| (at.round().max(0.0) as usize).min(pixels - 1))
}
