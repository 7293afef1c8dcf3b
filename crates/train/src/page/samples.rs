//! What the model draws beside what it learned from.

use std::fs;
use std::path::Path;

use ndarray::{Array2, Array3, Array4, ArrayView4, Ix2, Ix3, Ix4, s};
use report::image::{GridOptions, grid_bytes};
use report::npy::Values;
use report::plot::{ScatterChart, curves, scatter};
use report::{Page, ReportError};

use super::count;
use crate::trainer::artefacts::{SAMPLES_FILE, as_images};
use crate::{Dataset, TrainError, Visit};

/// Images of each kind, series, and points, at most.
const IMAGES: usize = 64;
const SERIES: usize = 16;
const POINTS: usize = 1_500;
/// Columns of both grids of images.
const COLUMNS: usize = 8;
/// Images are enlarged to cells of about so many pixels.
const CELL: usize = 64;
/// Larger images are shown with every second, third ... pixel.
const LONGEST_SIDE: usize = 128;
/// Bytes of the images of one grid before they are enlarged, at most; a grid has one image at least.
const MOST_BYTES: usize = 320 << 10;
/// Bytes of a picture taken from the run folder, at most.
const MOST_PICTURE: usize = 500 << 10;

type Drawn = Result<Page, ReportError>;

pub(super) fn add(
    page: Page,
    run_dir: &Path,
    data: Result<&dyn Dataset, &TrainError>,
) -> Result<Page, TrainError> {
    let page = page.section("Samples");
    let path = run_dir.join(SAMPLES_FILE);
    let samples = match path.is_file().then(|| report::npy::read(&path)).transpose() {
        Ok(samples) => samples,
        Err(error) => return Ok(page.text(&format!("The samples cannot be shown: {error}"))),
    };
    let page = match &samples {
        Some(_) => page,
        None => add_grid(page.text("No samples were drawn at the end of the run."), run_dir)?,
    };
    let rows = match data.map(|data| Rows::new(data, samples.as_ref())) {
        Ok(Ok(rows)) => Some(rows),
        Ok(Err(error)) => return Ok(page.text(&format!("The data set cannot be read: {error}"))),
        Err(error) if samples.is_none() => {
            return Ok(page.text(&format!("The data set cannot be shown: {error}")));
        }
        Err(_) => None,
    };
    let drawn = match (samples, &rows) {
        (Some(Values::U8(array)), _) => match array.into_dimensionality::<Ix4>() {
            Ok(images) => add_images(page.clone(), Some(images), rows.as_ref()),
            Err(_) => Ok(page
                .clone()
                .text("The samples are no images, though they are bytes.")),
        },
        (Some(values), _) => {
            let values = values.into_f32();
            match values.ndim() {
                3 => add_series(
                    page.clone(),
                    values.into_dimensionality::<Ix3>().ok(),
                    rows.as_ref(),
                ),
                2 => add_points(
                    page.clone(),
                    values.into_dimensionality::<Ix2>().ok(),
                    rows.as_ref(),
                ),
                n => Ok(page
                    .clone()
                    .text(&format!("The samples have {n} axes, which no figure here shows."))),
            }
        }
        (None, Some(Rows { images: Some(_), .. })) => add_images(page.clone(), None, rows.as_ref()),
        (None, Some(rows)) if rows.series.is_some() => add_series(page.clone(), None, Some(rows)),
        (None, Some(rows)) => add_points(page.clone(), None, Some(rows)),
        (None, None) => Ok(page.clone()),
    };
    let page = drawn.unwrap_or_else(|error| page.text(&format!("The samples cannot be shown: {error}")));
    Ok(match data {
        Ok(_) => page,
        Err(error) => page.text(&format!("The data set cannot be shown beside them: {error}")),
    })
}

/// The newest grid that was drawn while training, if there is one.
fn add_grid(page: Page, run_dir: &Path) -> Result<Page, TrainError> {
    let Ok(entries) = fs::read_dir(run_dir.join("samples")) else {
        return Ok(page);
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_grid = |name: &String| name.starts_with("step_") && name.ends_with(".png");
    let Some(name) = names.filter(is_grid).max() else {
        return Ok(page);
    };
    let path = run_dir.join("samples").join(&name);
    let picture = fs::read(&path).map_err(TrainError::io("read", &path))?;
    Ok(if picture.len() <= MOST_PICTURE {
        page.figure_png(
            &format!("The newest grid drawn while training: samples/{name}"),
            &picture,
        )
    } else {
        page
    })
}

/// Rows of the data set, spread evenly over it, in raw units.
struct Rows {
    name: String,
    images: Option<Array4<u8>>,
    series: Option<Array3<f32>>,
    points: Option<Array2<f32>>,
}

impl Rows {
    /// As many rows as there are samples, and as many as a figure shows.
    fn new(data: &dyn Dataset, samples: Option<&Values>) -> Result<Self, TrainError> {
        let shape: Vec<usize> = data
            .shape()
            .iter()
            .map(|&n| usize::try_from(n).unwrap_or(0))
            .collect();
        let most = match shape.len() {
            3 => IMAGES,
            2 => SERIES,
            _ => POINTS,
        };
        let drawn = samples.map_or(most, |samples| samples.shape().first().copied().unwrap_or(0));
        let rows = most.min(drawn).min(data.len());
        let numbers: Vec<u64> = (0..rows).map(|i| (i * data.len() / rows.max(1)) as u64).collect();
        let mut values = vec![0.0; rows * data.row_len()];
        data.read(&numbers, Visit { seed: 0, epoch: 0 }, &mut values)?;
        let scaling = data.scaling();
        let mut found = Self {
            name: data.name().to_owned(),
            images: as_images(&values, data.shape(), scaling),
            series: None,
            points: None,
        };
        if found.images.is_none() {
            let raw = values
                .iter()
                .map(|&v| scaling.to_raw(f64::from(v)) as f32)
                .collect();
            match shape.as_slice() {
                &[channels, length] => {
                    found.series = Array3::from_shape_vec((rows, channels, length), raw).ok()
                }
                _ => found.points = Array2::from_shape_vec((rows, data.row_len()), raw).ok(),
            }
        }
        Ok(found)
    }
}

fn caption(shown: usize, of: usize, what: &str) -> String {
    match shown == of {
        true => format!("{} {what}", count(shown as u64)),
        false => format!("{} of {} {what}", count(shown as u64), count(of as u64)),
    }
}

fn of_data(shown: usize, rows: &Rows) -> String {
    format!("{} rows of the data set {}", count(shown as u64), rows.name)
}

fn add_images(mut page: Page, samples: Option<Array4<u8>>, rows: Option<&Rows>) -> Drawn {
    let grid = |images: ArrayView4<'_, u8>| -> Result<(usize, Vec<u8>), ReportError> {
        let (count, height, width, channels) = images.dim();
        let stride = height.max(width).div_ceil(LONGEST_SIDE).max(1);
        let bytes = height.div_ceil(stride) * width.div_ceil(stride) * channels;
        let shown = (MOST_BYTES / bytes.max(1)).clamp(1, IMAGES).min(count);
        let options = GridOptions {
            columns: Some(COLUMNS),
            gap: Some(2),
            scale: Some((CELL / (height.max(width).div_ceil(stride)).max(1)).max(1)),
        };
        let picture = grid_bytes(images.slice(s![..shown, ..;stride, ..;stride, ..]), &options)?;
        Ok((shown, picture))
    };
    if let Some(samples) = samples {
        let (shown, picture) = grid(samples.view())?;
        page = page.figure_png(&caption(shown, samples.dim().0, "samples"), &picture);
    }
    if let Some((rows, images)) = rows.and_then(|rows| Some((rows, rows.images.as_ref()?))) {
        let (shown, picture) = grid(images.view())?;
        page = page.figure_png(&of_data(shown, rows), &picture);
    }
    Ok(page)
}

fn add_series(mut page: Page, samples: Option<Array3<f32>>, rows: Option<&Rows>) -> Drawn {
    let real = rows.and_then(|rows| Some((rows, rows.series.as_ref()?)));
    // The scale is that of the data, so that a stray sample does not flatten all others.
    let scale = match (&real, &samples) {
        (Some((_, series)), _) => extent(series.iter(), 0.1),
        (None, Some(samples)) => extent(samples.iter(), 0.05),
        (None, None) => return Ok(page),
    };
    if let Some(samples) = &samples {
        let shown = samples.dim().0.min(SERIES);
        let svg = curves("Samples as curves", samples.slice(s![..shown, .., ..]), scale)?;
        page = page.figure_svg(&caption(shown, samples.dim().0, "samples"), &svg);
    }
    if let Some((rows, series)) = real {
        let svg = curves("Rows of the data set as curves", series.view(), scale)?;
        page = page.figure_svg(&of_data(series.dim().0, rows), &svg);
    }
    Ok(page.text(&format!(
        "Every cell shows one series against its points 0 to {}, all to the vertical scale from {} to {}, in the units \
         of the data before scaling; one colour a channel.",
        samples.map_or_else(|| real.map_or(0, |(_, s)| s.dim().2), |s| s.dim().2).saturating_sub(1),
        super::digits(scale.0),
        super::digits(scale.1),
    )))
}

fn add_points(mut page: Page, samples: Option<Array2<f32>>, rows: Option<&Rows>) -> Drawn {
    let real = rows.and_then(|rows| Some((rows, rows.points.as_ref()?)));
    // Points of one coordinate lie on a line.
    let coordinate = |points: &Array2<f32>, d: usize| -> Vec<f32> {
        let axis = (d < points.dim().1).then(|| points.column(d).to_vec());
        axis.unwrap_or_else(|| vec![0.0; points.dim().0])
    };
    let Some(frame) = real.map(|(_, points)| points).or(samples.as_ref()) else {
        return Ok(page);
    };
    // Both axes to one scale, with the data in the middle.
    let both = [0, 1].map(|d| extent(coordinate(frame, d).iter(), 0.1));
    let half = both
        .iter()
        .fold(0.0, |half: f64, (low, high)| half.max(0.5 * (high - low)));
    let extents = both.map(|(low, high)| (0.5 * (low + high) - half, 0.5 * (low + high) + half));
    let mut outside = 0;
    let mut add = |page: Page, caption: &str, points: &Array2<f32>, shown: usize, colour| -> Drawn {
        let (x, y) = (coordinate(points, 0), coordinate(points, 1));
        let pairs = x
            .into_iter()
            .zip(y)
            .take(shown)
            .map(|(x, y)| (f64::from(x), f64::from(y)));
        let points: Vec<(f64, f64)> = pairs.collect();
        let inside = |&&(x, y): &&(f64, f64)| {
            (extents[0].0..=extents[0].1).contains(&x) && (extents[1].0..=extents[1].1).contains(&y)
        };
        outside += points.len() - points.iter().filter(inside).count();
        let chart = ScatterChart {
            title: caption.to_owned(),
            x_label: "first coordinate (units of the data)".to_owned(),
            y_label: "second coordinate (units of the data)".to_owned(),
            extents,
            points,
            colour,
        };
        Ok(match scatter(&chart) {
            Ok(svg) => page.figure_svg(caption, &svg),
            Err(_) => page.text(&format!("{caption}: none of them lies where the data lie.")),
        })
    };
    if let Some(samples) = &samples {
        let shown = samples.dim().0.min(POINTS);
        page = add(
            page,
            &caption(shown, samples.dim().0, "samples"),
            samples,
            shown,
            0,
        )?;
    }
    if let Some((rows, points)) = real {
        page = add(page, &of_data(points.dim().0, rows), points, points.dim().0, 1)?;
    }
    Ok(match outside {
        0 => page,
        n => page.text(&format!(
            "Points beyond the axes, which are those of the data: {}.",
            count(n as u64)
        )),
    })
}

/// The finite values' interval with a share of margin on both sides, never empty.
pub(super) fn extent<'a>(values: impl Iterator<Item = &'a f32>, margin: f64) -> (f64, f64) {
    let finite = values.filter(|v| v.is_finite()).map(|&v| f64::from(v));
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    match high - low {
        width if width > 0.0 => (low - margin * width, high + margin * width),
        _ if low.is_finite() => (low - 1.0, low + 1.0),
        _ => (-1.0, 1.0),
    }
}
