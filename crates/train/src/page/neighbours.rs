//! Samples beside the training rows that lie nearest to them.

use std::path::Path;

use ndarray::{Array2, Array3, Array4, Axis, concatenate, s};
use report::Page;
use report::image::{GridOptions, grid_bytes};
use report::metrics::Neighbours;
use report::npy::Values;
use report::plot::curves;

use super::digits;
use super::samples::extent;
use crate::trainer::artefacts::SAMPLES_FILE;
use crate::trainer::holdout::Holdout;
use crate::{Dataset, RunConfig, TrainError, Visit};

/// Samples, and training rows for each.
const SAMPLES: usize = 12;
const NEAREST: usize = 3;
/// Images are shown with so many pixels a side at most, and enlarged to about so many.
const LONGEST_SIDE: usize = 96;
const CELL: usize = 64;
/// Values of training rows that are read at a time.
const PIECE: usize = 1 << 20;

/// The section, where there are samples and training rows that are images or series.
pub(super) fn add(page: Page, run_dir: &Path, config: &RunConfig, data: &dyn Dataset) -> Page {
    let path = run_dir.join(SAMPLES_FILE);
    if data.shape().len() < 2 || !path.is_file() {
        return page;
    }
    // What is wrong with the samples is said in their own section.
    let Some(samples) = report::npy::read(&path)
        .ok()
        .and_then(|values| Samples::new(values, data))
    else {
        return page;
    };
    let shown = page.clone().section("Nearest training rows");
    match samples.section(shown, config, data) {
        Ok(page) => page,
        Err(error) => page
            .section("Nearest training rows")
            .text(&format!("They cannot be shown: {error}")),
    }
}

/// The first samples, as they are compared: images in [0, 1], series in the units of the data; channels first.
struct Samples {
    values: Array2<f32>,
    shape: Vec<usize>,
}

impl Samples {
    /// `None` for values that are not of the shape of the data.
    fn new(values: Values, data: &dyn Dataset) -> Option<Self> {
        let shape: Vec<usize> = data
            .shape()
            .iter()
            .map(|&n| usize::try_from(n).unwrap_or(0))
            .collect();
        let array = match values {
            Values::U8(array) if shape.len() == 3 && array.ndim() == 4 => array
                .permuted_axes(vec![0, 3, 1, 2])
                .mapv(|v| f32::from(v) / 255.0),
            Values::U8(_) => return None,
            other if shape.len() == 2 => other.into_f32(),
            _ => return None,
        };
        let count = array.shape().first().copied()?.min(SAMPLES);
        if count == 0 || array.shape()[1..] != shape {
            return None;
        }
        let len = shape.iter().product();
        let first: Vec<f32> = array.iter().take(count * len).copied().collect();
        Some(Self {
            values: Array2::from_shape_vec((count, len), first).ok()?,
            shape,
        })
    }

    fn section(&self, page: Page, config: &RunConfig, data: &dyn Dataset) -> Result<Page, TrainError> {
        let train = Holdout::new(config.seed, data.len(), config.train.holdout).train;
        let mut neighbours = Neighbours::new(self.values.view(), NEAREST);
        for numbers in train.chunks((PIECE / self.values.ncols()).max(1)) {
            let rows = self.rows(data, numbers)?;
            neighbours
                .look_at(rows.view(), numbers)
                .map_err(|error| TrainError::Data {
                    name: data.name().to_owned(),
                    reason: error.to_string(),
                })?;
        }
        let nearest = neighbours.nearest();
        // A row of the figure: the sample, then its neighbours.
        let mut cells = Vec::new();
        for (at, found) in nearest.iter().enumerate() {
            let numbers: Vec<u64> = found.iter().map(|(_, row)| *row).collect();
            let mut rows = self.rows(data, &numbers)?;
            // A data set of fewer rows leaves empty cells.
            while rows.nrows() < NEAREST {
                let empty = Array2::from_elem((1, self.values.ncols()), f32::NAN);
                rows = concatenate![Axis(0), rows, empty];
            }
            let sample = self.values.row(at).insert_axis(Axis(0));
            cells.push(concatenate![Axis(0), sample, rows]);
        }
        let views: Vec<_> = cells.iter().map(|rows| rows.view()).collect();
        let cells = concatenate(Axis(0), &views).map_err(|error| TrainError::Data {
            name: data.name().to_owned(),
            reason: error.to_string(),
        })?;
        let scale = extent(cells.iter(), 0.05);
        let mut page = page.text(&format!(
            "The training rows of the data set {} at the smallest Euclidean distance from each of the first {} samples, {}. Samples \
             that repeat training rows were remembered, not learned.",
            data.name(),
            self.values.nrows(),
            match self.shape.len() {
                3 => "values between 0 (black) and 1 (white)",
                _ => "in the units of the data",
            }
        ));
        // Half of the samples a figure: figures stand side by side where there is room.
        let half = self.values.nrows().div_ceil(2).max(1);
        for first in (0..self.values.nrows()).step_by(half) {
            let last = (first + half).min(self.values.nrows()) - 1;
            let caption = format!(
                "Samples {first} to {last}, each followed by the {NEAREST} training rows nearest to it"
            );
            let rows = cells
                .slice(s![first * (1 + NEAREST)..(last + 1) * (1 + NEAREST), ..])
                .to_owned();
            page = match *self.shape.as_slice() {
                [channels, height, width] => {
                    page.figure_png(&caption, &picture(rows, (channels, height, width))?)
                }
                [channels, length] => {
                    let series = Array3::from_shape_vec(
                        (rows.nrows(), channels, length),
                        rows.into_raw_vec_and_offset().0,
                    )
                    .expect("invariant: rows of the shape of the data");
                    page.figure_svg(&caption, &curves(&caption, series.view(), scale)?)
                }
                _ => page,
            };
        }
        let row = |(at, found): (usize, &Vec<(f64, u64)>)| {
            let near = found
                .iter()
                .map(|(distance, row)| format!("row {row} at {}", digits(*distance)));
            let cells = std::iter::once(format!("sample {at}")).chain(near);
            cells
                .chain(std::iter::repeat(String::new()))
                .take(1 + NEAREST)
                .collect()
        };
        let table: Vec<Vec<String>> = nearest.iter().enumerate().map(row).collect();
        Ok(page.table(&["", "nearest", "second", "third"], &table))
    }

    /// Rows of the data as the samples are compared.
    fn rows(&self, data: &dyn Dataset, numbers: &[u64]) -> Result<Array2<f32>, TrainError> {
        let mut values = vec![0.0; numbers.len() * self.values.ncols()];
        data.read(numbers, Visit { seed: 0, epoch: 0 }, &mut values)?;
        let values = match self.shape.len() {
            3 => {
                let bytes = data.scaling().to_bytes(&values);
                bytes.into_iter().map(|v| f32::from(v) / 255.0).collect()
            }
            _ => {
                let raw = values.iter().map(|v| data.scaling().to_raw(f64::from(*v)) as f32);
                raw.collect::<Vec<_>>()
            }
        };
        Ok(
            Array2::from_shape_vec((numbers.len(), self.values.ncols()), values)
                .expect("invariant: rows times their length values"),
        )
    }
}

/// Rows of four images.
fn picture(
    cells: Array2<f32>,
    (channels, height, width): (usize, usize, usize),
) -> Result<Vec<u8>, TrainError> {
    let bytes: Vec<u8> = cells
        .iter()
        .map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8)
        .collect();
    let planes = Array4::from_shape_vec((cells.nrows(), channels, height, width), bytes)
        .expect("invariant: rows of the shape of the data");
    let images = planes.permuted_axes([0, 2, 3, 1]);
    let stride = height.max(width).div_ceil(LONGEST_SIDE).max(1);
    let options = GridOptions {
        columns: Some(1 + NEAREST),
        gap: Some(2),
        scale: Some((CELL / height.max(width).div_ceil(stride).max(1)).max(1)),
    };
    Ok(grid_bytes(
        images.slice(s![.., ..;stride, ..;stride, ..]),
        &options,
    )?)
}
