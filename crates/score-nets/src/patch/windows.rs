//! Windows that cover images and series.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::NetError;

/// What happens at the borders, where windows at a regular stride do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// The last window of each axis is moved back to the border: the fewest windows, all inside.
    #[default]
    Clamp,
    /// The image goes on beyond its borders as its mirror image (the outermost pixel is not repeated), and windows lie at the regular
    /// stride from `stride - patch` on: where the stride divides `patch`, every pixel lies in equally many. What windows answer for
    /// the margin is left out. An axis that a window spans has no margin.
    Reflect,
}

/// Windows of one size at a stride over one or more axes: every pixel lies in one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    axes: Vec<Axis>,
}

/// The windows along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis {
    whole: i64,
    size: i64,
    starts: Vec<i64>,
}

impl Axis {
    fn new(whole: i64, patch: i64, stride: i64, edge: Edge) -> Self {
        let size = patch.min(whole);
        let step = stride.clamp(1, patch);
        let starts = match edge {
            Edge::Reflect if size < whole => (step - patch..whole).step_by(step as usize).collect(),
            _ => {
                let last = whole - size;
                (0..last).step_by(step as usize).chain([last]).collect()
            }
        };
        Axis { whole, size, starts }
    }
}

impl Windows {
    /// Windows with sides of `patch` every `stride` pixels, `1 <= stride <= patch`, over an image of these sizes (height and width,
    /// or the length of a series); an axis shorter than `patch` is spanned by one window.
    pub fn new(whole: &[i64], patch: i64, stride: i64, edge: Edge) -> Self {
        let axis = |side: &i64| Axis::new(*side, patch, stride, edge);
        Windows {
            axes: whole.iter().map(axis).collect(),
        }
    }

    /// Sizes of the image.
    pub fn whole(&self) -> Vec<i64> {
        self.axes.iter().map(|axis| axis.whole).collect()
    }

    /// Sizes of a window, at most those of the image.
    pub fn size(&self) -> Vec<i64> {
        self.axes.iter().map(|axis| axis.size).collect()
    }

    /// Number of windows.
    pub fn count(&self) -> usize {
        self.axes.iter().map(|axis| axis.starts.len()).product()
    }

    /// Where window `number` begins on each axis (top and left edge), the last axis fastest; negative in a margin.
    pub fn corner(&self, number: usize) -> Vec<i64> {
        let mut left = number;
        let mut corner: Vec<i64> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let at = axis.starts[left % axis.starts.len()];
                left /= axis.starts.len();
                at
            })
            .collect();
        corner.reverse();
        corner
    }

    /// The number of windows in which a pixel lies, row by row: what a sum over windows is divided by.
    pub fn counts(&self) -> Vec<f64> {
        let along = |axis: &Axis| -> Vec<f64> {
            let inside = |at: i64, start: i64| start <= at && at < start + axis.size;
            let count = |at: i64| axis.starts.iter().filter(|start| inside(at, **start)).count();
            (0..axis.whole).map(|at| count(at) as f64).collect()
        };
        self.axes.iter().map(along).fold(vec![1.0], |outer, inner| {
            let row = |outer: &f64| inner.iter().map(|inner| outer * inner).collect::<Vec<_>>();
            outer.iter().flat_map(row).collect()
        })
    }

    /// The window of `images`, `[rows, channels, ...]`, that begins at `corner`.
    pub(super) fn cut(&self, images: &Tensor, corner: &[i64]) -> Result<Tensor, NetError> {
        let mut cut = images.shallow_clone();
        for (number, (axis, start)) in self.axes.iter().zip(corner).enumerate() {
            let dim = number as i64 + 2;
            cut = match (0..=axis.whole - axis.size).contains(start) {
                true => cut.f_narrow(dim, *start, axis.size)?,
                false => {
                    let places = (*start..start + axis.size).map(|at| reflected(at, axis.whole));
                    let places = Tensor::f_from_slice(&places.collect::<Vec<_>>())?;
                    cut.f_index_select(dim, &places.f_to_device(images.device())?)?
                }
            };
        }
        Ok(cut)
    }

    /// Adds the answer for the window at `corner` to `sum`, but for its margin.
    pub(super) fn add(&self, sum: &Tensor, answer: &Tensor, corner: &[i64]) -> Result<(), NetError> {
        let (mut place, mut part) = (sum.shallow_clone(), answer.shallow_clone());
        for (number, (axis, start)) in self.axes.iter().zip(corner).enumerate() {
            let dim = number as i64 + 2;
            let (from, to) = ((*start).max(0), (start + axis.size).min(axis.whole));
            place = place.f_narrow(dim, from, to - from)?;
            part = part.f_narrow(dim, from - start, to - from)?;
        }
        let _ = place.f_add_(&part)?;
        Ok(())
    }
}

/// The pixel of an axis of `whole` pixels that stands at `at` when the axis goes on as its mirror image.
fn reflected(at: i64, whole: i64) -> i64 {
    let period = (2 * (whole - 1)).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_pixel() {
        for (height, width) in (1..14).flat_map(|h| [1, 2, 7, 12].map(|w| (h, w))) {
            for patch in 1..9 {
                for stride in 1..=patch {
                    for edge in [Edge::Clamp, Edge::Reflect] {
                        covers([height, width], patch, stride, edge);
                    }
                }
            }
        }
        let starts = |whole, edge| Axis::new(whole, 16, 6, edge).starts;
        assert_eq!(starts(32, Edge::Clamp), [0, 6, 12, 16]);
        assert_eq!(starts(20, Edge::Clamp), [0, 4]);
        assert_eq!(starts(20, Edge::Reflect), [-10, -4, 2, 8, 14]);
        assert_eq!(starts(16, Edge::Reflect), [0]);
    }

    fn covers(whole: [i64; 2], patch: i64, stride: i64, edge: Edge) {
        let windows = Windows::new(&whole, patch, stride, edge);
        let size = windows.size();
        let mut counts = vec![0.0; (whole[0] * whole[1]) as usize];
        for number in 0..windows.count() {
            let corner = windows.corner(number);
            for axis in 0..2 {
                let inside = corner[axis] >= 0 && corner[axis] + size[axis] <= whole[axis];
                // A margin is shorter than a window, and one reflection fills it.
                let near =
                    corner[axis] > -size[axis] && corner[axis] < whole[axis] && size[axis] < whole[axis];
                assert!(inside || edge == Edge::Reflect && near);
            }
            for y in corner[0].max(0)..(corner[0] + size[0]).min(whole[0]) {
                for x in corner[1].max(0)..(corner[1] + size[1]).min(whole[1]) {
                    counts[(y * whole[1] + x) as usize] += 1.0;
                }
            }
        }
        assert_eq!(counts, windows.counts());
        assert!(counts.iter().all(|count| *count >= 1.0));
        let regular = edge == Edge::Reflect && patch % stride == 0 && whole.iter().all(|side| *side > patch);
        let each = ((patch / stride) * (patch / stride)) as f64;
        assert!(!regular || counts.iter().all(|count| *count == each));
    }

    #[test]
    fn a_mirror_stands_on_the_outermost_pixel() {
        let at: Vec<i64> = (-4..8).map(|at| reflected(at, 4)).collect();
        assert_eq!(at, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert!((-3..3).all(|at| reflected(at, 1) == 0));
    }
}
