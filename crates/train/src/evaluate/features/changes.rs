//! What is done to rows, for a network to tell which it was.

/// Kinds of change, counting none at all.
pub(super) const KINDS: usize = 5;

/// Standard deviation of the noise, in standard deviations of the data.
const NOISE: f32 = 0.3;

/// Changes a row, standardised values of the shape `[channels, height, width]` (series: height 1), in place:
///
/// - 0: nothing;
/// - 1: it is mirrored, the last axis runs backwards;
/// - 2: white noise of 0.3 standard deviations is added; `noise` fills in standard normals;
/// - 3: it is blurred, every value becomes the mean over itself and its neighbours along each axis, and at an edge counts twice;
/// - 4: its halves change places, along the last axis.
pub(super) fn change(kind: usize, row: &mut [f32], shape: [usize; 3], noise: impl FnOnce(&mut [f32])) {
    let [_, height, width] = shape;
    match kind {
        1 => row.chunks_exact_mut(width).for_each(<[f32]>::reverse),
        2 => {
            let mut normals = vec![0.0; row.len()];
            noise(&mut normals);
            for (value, normal) in row.iter_mut().zip(&normals) {
                *value += NOISE * normal;
            }
        }
        3 => {
            row.chunks_exact_mut(width).for_each(|line| blur(line, width, 1));
            for plane in row.chunks_exact_mut(height * width) {
                (0..width).for_each(|column| blur(&mut plane[column..], height, width));
            }
        }
        4 => row
            .chunks_exact_mut(width)
            .for_each(|line| line.rotate_left(width / 2)),
        _ => {}
    }
}

/// The mean of three neighbours among `count` values that lie `stride` apart.
fn blur(values: &mut [f32], count: usize, stride: usize) {
    let mut before = values[0];
    for i in 0..count {
        let here = values[i * stride];
        let after = values[(i + 1).min(count - 1) * stride];
        values[i * stride] = (before + here + after) / 3.0;
        before = here;
    }
}

#[cfg(test)]
mod tests {
    use super::{KINDS, change};

    /// Each change of a plane of two rows, worked out by hand.
    #[test]
    fn changes_are_what_they_say() {
        let row = [0.0, 3.0, 6.0, 9.0, 12.0, 30.0];
        let changed = |kind: usize| {
            let mut out = row;
            change(kind, &mut out, [1, 2, 3], |normals| normals.fill(10.0));
            out
        };
        assert_eq!(changed(0), row);
        assert_eq!(changed(1), [6.0, 3.0, 0.0, 30.0, 12.0, 9.0]);
        assert_eq!(changed(2), row.map(|value| value + 3.0));
        // Along the lines 1, 3, 5 and 10, 17, 24; then two thirds of a line's own and one third of the other.
        let want = [4.0, 23.0 / 3.0, 34.0 / 3.0, 7.0, 37.0 / 3.0, 53.0 / 3.0];
        for (found, want) in changed(3).iter().zip(want) {
            assert!((found - want).abs() < 1e-5, "{found} {want}");
        }
        assert_eq!(changed(4), [3.0, 6.0, 0.0, 12.0, 30.0, 9.0]);
        // Channels never mix, and one value alone has no neighbours.
        for kind in 0..KINDS {
            let mut two = [1.0, 1.0, 1.0, -2.0, -2.0, -2.0];
            change(kind, &mut two, [2, 1, 3], |normals| normals.fill(0.0));
            assert_eq!(two, [1.0, 1.0, 1.0, -2.0, -2.0, -2.0], "{kind}");
            let mut one = [5.0];
            change(kind, &mut one, [1, 1, 1], |normals| normals.fill(0.0));
            assert_eq!(one, [5.0], "{kind}");
        }
    }
}
