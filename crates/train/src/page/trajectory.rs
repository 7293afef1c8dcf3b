//! The reverse process at work: the first samples at some steps on their way, and what the model took them for.

use std::path::Path;

use ndarray::{Array4, ArrayD, ArrayView4, Axis, Ix3, Ix4, Ix5, Slice, s};
use report::image::{GridOptions, grid_bytes};
use report::npy::{self, Values};
use report::plot::{Cloud, clouds, curves};
use report::{Page, ReportError};

use super::{count, digits};
use crate::trainer::artefacts::{SAMPLES_FILE, TRAJECTORY_FILE};

/// Images have so many pixels a side at most, and are enlarged to about so many.
const LONGEST_SIDE: usize = 64;
const CELL: usize = 56;
/// Bytes of the images of one figure before they are enlarged, at most; one row is shown at least.
const MOST_BYTES: usize = 320 << 10;
/// Series, and states of them.
const SERIES: usize = 4;
const STATES: usize = 5;
/// Share of the values beyond either end of a scale.
const BEYOND: f64 = 0.01;
/// Room for them on both sides.
const ROOM: f64 = 0.15;
/// A file of more states is none that this program wrote.
const MOST_STATES: usize = 64;

type Drawn = Result<Page, ReportError>;

/// The section. What is wrong with the file is a sentence in it.
pub(super) fn add(page: Page, run_dir: &Path) -> Page {
    let page = page.section("Reverse process");
    let path = run_dir.join(TRAJECTORY_FILE);
    if !path.is_file() {
        return page.text(&format!(
            "The run folder has no {TRAJECTORY_FILE}, which shows samples on their way from the noise. A run writes it where it draws its \
             samples, at its end; a finished run of an older version of the program does so with sde train --resume RUN_DIR."
        ));
    }
    let way = Way::read(&path).and_then(|way| {
        let samples = run_dir.join(SAMPLES_FILE);
        match samples.is_file().then(|| npy::read(&samples)) {
            Some(Ok(samples)) if !way.ends_at(&samples) => Err(format!(
                "{} does not end at the samples in {SAMPLES_FILE}: they were drawn another time",
                path.display()
            )),
            _ => Ok(way),
        }
    });
    let drawn = way.and_then(|way| way.draw(page.clone()).map_err(|error| error.to_string()));
    drawn.unwrap_or_else(|error| page.text(&format!("The trajectory cannot be shown: {error}.")))
}

/// What the file holds: the first axes of `x` and `x0` are states and rows.
struct Way {
    x: ArrayD<f32>,
    x0: Option<ArrayD<f32>>,
    steps: Vec<f64>,
    times: Vec<f64>,
    sigmas: Vec<f64>,
}

impl Way {
    fn read(path: &Path) -> Result<Self, String> {
        let array = |name: &str| npy::read_array(path, Some(name)).map_err(|error| error.to_string());
        let refuse = |reason: &str| format!("{}: {reason}", path.display());
        let x = array("x")?.into_f32();
        let names = npy::names(path).map_err(|error| error.to_string())?;
        let x0 = match names.iter().any(|name| name == "x0") {
            true => Some(array("x0")?.into_f32()),
            false => None,
        };
        if !(3..=5).contains(&x.ndim()) || x.is_empty() || x.shape()[0] > MOST_STATES {
            let shape = x.shape();
            return Err(refuse(&format!(
                "x has the shape {shape:?}, need a few states of rows of points, series or images"
            )));
        }
        if x0.as_ref().is_some_and(|x0| x0.shape() != x.shape()) {
            return Err(refuse("x0 has another shape than x"));
        }
        let line = |name: &str| -> Result<Vec<f64>, String> {
            let values = array(name)?.into_f64();
            match values.shape() == [x.shape()[0]] {
                true => Ok(values.into_iter().collect()),
                false => Err(refuse(&format!("{name} has another number of states than x"))),
            }
        };
        let (steps, times, sigmas) = (line("step")?, line("t")?, line("sigma")?);
        let finite = x.iter().chain(x0.iter().flatten()).all(|v| v.is_finite());
        if !finite || !steps.iter().chain(&times).all(|v| v.is_finite()) {
            return Err(refuse("holds values that are not finite"));
        }
        Ok(Self {
            x,
            x0,
            steps,
            times,
            sigmas,
        })
    }

    /// Whether its last state is the first samples: to the bit, or rounded to the very bytes.
    fn ends_at(&self, samples: &Values) -> bool {
        let last = self.x.index_axis(Axis(0), self.x.shape()[0] - 1);
        let rows = last.shape()[0];
        let same_row = samples.shape().get(1..) == last.shape().get(1..);
        if !same_row || samples.shape()[0] < rows {
            return false;
        }
        let head = Slice::from(..rows);
        match samples {
            // The bytes were rounded before the values here were, which matters next to a half only.
            Values::U8(bytes) => (last.iter().zip(bytes.slice_axis(Axis(0), head)))
                .all(|(x, byte)| (x.clamp(0.0, 255.0) - f32::from(*byte)).abs() < 0.501),
            Values::F32(values) => last == values.slice_axis(Axis(0), head),
            _ => false,
        }
    }

    fn draw(&self, page: Page) -> Drawn {
        let kind = match self.x.ndim() {
            5 => "images",
            4 => "series",
            _ => "points",
        };
        let mut page = page.text(&format!(
            "The first {} samples on their way from the noise, after some of the {} steps. t is the time of the process, and \
             sigma = std / mean_coef its noise level there, in units of the data after scaling.",
            count(self.x.shape()[1] as u64),
            digits(*self.steps.last().unwrap_or(&0.0)),
        ));
        page = match &self.x0 {
            Some(_) => page.text(
                "E[x0 | x] is what the model takes a state for: the mean of all data that the noise may have led there. The sampler \
                 goes towards it, and its details come as the noise goes. At the end both are the samples.",
            ),
            None => page.text(
                "Every row of this sampler takes steps of its own: a step is a round of attempts, t is the largest time of any row of \
                 the batch, and most rows are further on. What the model expects of the data is not shown, since it depends on a row's time.",
            ),
        };
        match kind {
            "images" => self.images(page),
            "series" => self.series(page),
            _ => self.points(page),
        }
    }

    /// What the columns or cells of a figure show, one line a state.
    fn table(&self, page: Page, greys: &[(f32, f32)]) -> Page {
        let mut columns = vec!["state", "steps done", "t", "sigma"];
        columns.extend((!greys.is_empty()).then_some("black to white"));
        let rows = (0..self.times.len()).map(|at| {
            let mut row = vec![
                (at + 1).to_string(),
                digits(self.steps[at]),
                digits(self.times[at]),
                digits(self.sigmas[at]),
            ];
            row.extend(greys.get(at).map(|(low, high)| format!("{low:.0} to {high:.0}")));
            row
        });
        page.table(&columns, &rows.collect::<Vec<_>>())
    }

    /// A row a sample, a column a state.
    fn images(&self, mut page: Page) -> Drawn {
        let states = self.x.shape()[0];
        // The noise is wider than the pictures: each state has greys of its own, which hold those of the pictures. The last state is
        // the samples, as they are.
        let greys: Vec<(f32, f32)> = (0..states)
            .map(|at| match at + 1 == states {
                true => (0.0, 255.0),
                false => {
                    let (low, high) = scale(self.x.index_axis(Axis(0), at).iter(), 0.0);
                    (low.min(0.0) as f32, high.max(255.0) as f32)
                }
            })
            .collect();
        let figures = [
            ("x", Some(&self.x), greys.as_slice()),
            ("E[x0 | x]", self.x0.as_ref(), &[]),
        ];
        for (name, values, greys) in figures {
            let view = values.and_then(|values| values.view().into_dimensionality::<Ix5>().ok());
            let Some(view) = view else { continue };
            let (_, rows, height, width, channels) = view.dim();
            let stride = height.max(width).div_ceil(LONGEST_SIDE).max(1);
            let (high, wide) = (height.div_ceil(stride), width.div_ceil(stride));
            let shown = (MOST_BYTES / (states * high * wide * channels)).clamp(1, rows);
            let cells = Array4::from_shape_fn((shown * states, high, wide, channels), |(cell, y, x, c)| {
                let (row, state) = (cell / states, cell % states);
                let (low, top) = greys.get(state).copied().unwrap_or((0.0, 255.0));
                let value = view[[state, row, y * stride, x * stride, c]];
                ((value - low) / (top - low) * 255.0).round().clamp(0.0, 255.0) as u8
            });
            let caption = match greys.is_empty() {
                false => {
                    format!("{name}: a row a sample, a column a state, the sample at the end; greys by state")
                }
                true => format!("{name}: the same rows and columns, all in the greys of the samples"),
            };
            page = page.figure_png(&caption, &grid(cells.view(), states)?);
        }
        let page = page.text(
            "Black to white are the levels between which the greys of x lie in a state; the pictures of the data have 0 to 255.",
        );
        Ok(self.table(page, &greys))
    }

    /// A cell a state: a cloud of the first two coordinates.
    fn points(&self, mut page: Page) -> Drawn {
        let states = self.x.shape()[0];
        let cells = |values: &ArrayD<f32>, frame: &dyn Fn(usize) -> usize| -> Option<Vec<Cloud>> {
            let view = values.view().into_dimensionality::<Ix3>().ok()?;
            let cloud = |at: usize| {
                let of = |state: usize, d: usize| -> Vec<f32> {
                    let column = (d < view.dim().2).then(|| view.slice(s![state, .., d]).to_vec());
                    column.unwrap_or_else(|| vec![0.0; view.dim().1])
                };
                let points = of(at, 0).into_iter().zip(of(at, 1));
                Cloud {
                    name: format!("sigma {}", digits(self.sigmas[at])),
                    points: points.map(|(x, y)| (f64::from(x), f64::from(y))).collect(),
                    extents: square([0, 1].map(|d| scale(of(frame(at), d).iter(), ROOM))),
                }
            };
            Some((0..states).map(cloud).collect())
        };
        let last = states - 1;
        let Some(found) = cells(&self.x, &|at| at) else {
            return Ok(page);
        };
        let frame = found[last].extents;
        page = page.figure_svg(
            "x: a cell a state, the samples at the end; axes by state",
            &clouds("Samples on their way from the noise, as clouds of points", &found)?,
        );
        if let Some(mut expected) = self.x0.as_ref().and_then(|x0| cells(x0, &|_| last)) {
            expected.iter_mut().for_each(|cell| cell.extents = frame);
            page = page.figure_svg(
                "E[x0 | x]: the same points, all on the axes of the samples",
                &clouds(
                    "What the model takes the states for, as clouds of points",
                    &expected,
                )?,
            );
        }
        let page = page.text(
            "Across and up: the first and the second coordinate, in the units of the data before scaling; the numbers beside a cell are \
             the ends of its axes, and points beyond them are left out.",
        );
        Ok(self.table(page, &[]))
    }

    /// A figure a state: some series side by side, and what the model takes them for.
    fn series(&self, mut page: Page) -> Drawn {
        let states = self.x.shape()[0];
        let some = states.min(STATES);
        let last = scale(self.x.index_axis(Axis(0), states - 1).iter(), ROOM);
        for number in 0..some {
            let at = match some {
                1 => 0,
                _ => number * (states - 1) / (some - 1),
            };
            let own = scale(self.x.index_axis(Axis(0), at).iter(), ROOM);
            for (name, values, (low, high)) in
                [("x", Some(&self.x), own), ("E[x0 | x]", self.x0.as_ref(), last)]
            {
                let view = values.and_then(|values| values.view().into_dimensionality::<Ix4>().ok());
                let Some(view) = view else { continue };
                let shown = view.dim().1.min(SERIES);
                let svg = curves(
                    &format!("{name} after {} steps, as curves", digits(self.steps[at])),
                    view.slice(s![at, ..shown, .., ..]),
                    (low, high),
                )?;
                let (step, sigma) = (digits(self.steps[at]), digits(self.sigmas[at]));
                let caption = format!(
                    "{name} after {step} steps, sigma {sigma}; vertical scale from {} to {}",
                    digits(low),
                    digits(high)
                );
                page = page.figure_svg(&caption, &svg);
            }
        }
        let page = page.text(&format!(
            "Every cell shows one series against its points 0 to {}, in the units of the data before scaling; one colour a channel.",
            self.x.shape()[3].saturating_sub(1)
        ));
        Ok(self.table(page, &[]))
    }
}

fn grid(cells: ArrayView4<'_, u8>, columns: usize) -> Result<Vec<u8>, ReportError> {
    let (_, height, width, _) = cells.dim();
    let options = GridOptions {
        columns: Some(columns),
        gap: Some(2),
        scale: Some((CELL / height.max(width)).max(1)),
    };
    grid_bytes(cells, &options)
}

/// An interval that holds nearly all values, with a share of room on both sides, between round numbers.
fn scale<'a>(values: impl Iterator<Item = &'a f32>, share: f64) -> (f64, f64) {
    let mut sorted: Vec<f32> = values.copied().collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |rank: f64| {
        let last = sorted.len().saturating_sub(1);
        sorted
            .get((rank * last as f64).round() as usize)
            .map_or(0.0, |v| f64::from(*v))
    };
    let (low, high) = (at(BEYOND), at(1.0 - BEYOND));
    let room = match high - low {
        width if width > 0.0 => share * width,
        _ => (0.1 * low.abs()).max(1e-3),
    };
    rounded((low - room, high + room))
}

/// The ends moved outwards to two digits of the width.
fn rounded((low, high): (f64, f64)) -> (f64, f64) {
    let unit = 10f64.powf((high - low).log10().floor() - 1.0);
    ((low / unit).floor() * unit, (high / unit).ceil() * unit)
}

/// Both axes to one scale, each around its middle.
fn square(ends: [(f64, f64); 2]) -> [(f64, f64); 2] {
    let half = ends
        .iter()
        .fold(0.0, |half: f64, (low, high)| half.max(0.5 * (high - low)));
    ends.map(|(low, high)| rounded((0.5 * (low + high) - half, 0.5 * (low + high) + half)))
}
