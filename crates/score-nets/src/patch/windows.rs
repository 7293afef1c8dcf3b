//! Windows that cover an image.

use std::array::from_fn;

/// Windows of one size at a stride, the last of each axis moved back to the border: every pixel lies in one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Height and width of the image.
    pub whole: [i64; 2],
    /// Height and width of a window, at most those of the image.
    pub size: [i64; 2],
    starts: [Vec<i64>; 2],
}

impl Windows {
    /// Windows with sides of `patch` every `stride` pixels, `1 <= stride <= patch`; an image that is smaller than a window is one.
    pub fn new(whole: [i64; 2], patch: i64, stride: i64) -> Self {
        let size = whole.map(|side| patch.min(side));
        let starts = from_fn(|axis| {
            let last = whole[axis] - size[axis];
            let mut starts: Vec<i64> = (0..last).step_by(stride.clamp(1, patch) as usize).collect();
            starts.push(last);
            starts
        });
        Self { whole, size, starts }
    }

    /// Top and left edges, row by row.
    pub fn corners(&self) -> Vec<[i64; 2]> {
        let [tops, lefts] = &self.starts;
        let row = |top: i64| lefts.iter().map(move |left| [top, *left]);
        tops.iter().flat_map(|top| row(*top)).collect()
    }

    /// One over the number of windows in which a pixel lies, row by row.
    pub fn weights(&self) -> Vec<f32> {
        let counts: [Vec<f64>; 2] = from_fn(|axis| {
            let inside = |at: i64, start: &i64| *start <= at && at < start + self.size[axis];
            let count = |at: i64| self.starts[axis].iter().filter(|start| inside(at, start)).count();
            (0..self.whole[axis]).map(|at| count(at) as f64).collect()
        });
        let [down, across] = &counts;
        let row = |down: f64| across.iter().map(move |across| (1.0 / (down * across)) as f32);
        down.iter().flat_map(|down| row(*down)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_pixel_and_stay_inside() {
        for height in 1..14 {
            for width in [1, 2, 7, 12] {
                for patch in 1..9 {
                    for stride in 1..=patch {
                        let windows = Windows::new([height, width], patch, stride);
                        let mut counts = vec![0; (height * width) as usize];
                        for [top, left] in windows.corners() {
                            assert!(top >= 0 && top + windows.size[0] <= height);
                            assert!(left >= 0 && left + windows.size[1] <= width);
                            for y in top..top + windows.size[0] {
                                for x in left..left + windows.size[1] {
                                    counts[(y * width + x) as usize] += 1;
                                }
                            }
                        }
                        for (count, weight) in counts.iter().zip(windows.weights()) {
                            assert!(*count >= 1);
                            assert!((f64::from(weight) * f64::from(*count) - 1.0).abs() < 1e-6);
                        }
                    }
                }
            }
        }
        let windows = Windows::new([32, 20], 16, 6);
        assert_eq!(windows.starts, [vec![0, 6, 12, 16], vec![0, 4]]);
    }
}
