//! The files at the end of a run and the grids on the way: samples as arrays and as a picture, the loss curve, the page.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayD, IxDyn};
use report::image::{GridOptions, grid_png};
use report::plot::line_svg;
use score_nets::TensorState;
use solvers::Sampler;

use super::raster;
use super::run::RunOptions;
use super::signals::StopFlag;
use super::step::Trainer;
use crate::TrainError;
use crate::data::Scaling;
use crate::log::MetricsLog;
use crate::page::{self, loss_chart};
use crate::sample::{SampleOptions, Samples};

/// Name of the file with the samples of the end of a run.
pub const SAMPLES_FILE: &str = "samples.npz";
/// Name of the file with some states on the way to the first of them.
pub const TRAJECTORY_FILE: &str = "trajectory.npz";
/// Name of the file with a picture of them.
pub const PICTURE_FILE: &str = "samples.png";
/// Cells in a picture of samples, at most.
const CELLS: usize = 256;
/// Cells of the grids drawn while training.
const GRID: u64 = 64;

/// Draws the samples of the end of a run and writes `samples.npz`, `samples.png`, `trajectory.npz`, `loss.svg` and the page that shows
/// it all; without a folder it takes part in the draw alone.
///
/// # Errors
/// The sampler fails, or a file cannot be written.
pub fn write_all(
    trainer: &mut Trainer,
    sampler: &dyn Sampler<TensorState>,
    run_dir: Option<&Path>,
    options: &mut RunOptions,
) -> Result<Samples, TrainError> {
    if let Some(run_dir) = run_dir {
        write_loss(run_dir)?;
    }
    let count = trainer.config().train.samples;
    let seed = trainer.config().seed;
    let progress = &mut options.progress;
    progress.stage("sampling");
    let mut show = |done: f64| progress.update(done, || format!("{count} samples"));
    let what = SampleOptions {
        count,
        seed,
        batch: 0,
        trajectory: run_dir.is_some(),
    };
    let samples = trainer.sample_with(sampler, what, &options.stop, &mut show)?;
    if let Some(run_dir) = run_dir.filter(|_| !samples.stopped) {
        if samples.rows() > 0 {
            let scaling = trainer.data().scaling();
            write_array(&samples, scaling, &run_dir.join(SAMPLES_FILE))?;
            write_picture(&samples, scaling, CELLS, &run_dir.join(PICTURE_FILE))?;
        }
        if let Some(trajectory) = &samples.trajectory {
            trajectory.write(trainer.data().scaling(), &run_dir.join(TRAJECTORY_FILE))?;
        }
        page::write(run_dir, trainer.config(), Ok(trainer.data()))?;
    }
    Ok(samples)
}

/// What became of a grid of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grid {
    /// It lies there.
    Written(PathBuf),
    /// Another rank has written it.
    Elsewhere,
    /// The draw was stopped.
    Stopped,
}

/// Draws `samples/step_*.png` with the averaged weights: the same noise each time, so that cells can be followed. Without a folder
/// it takes part in the draw alone.
///
/// # Errors
/// The sampler fails, or the file cannot be written.
pub fn write_grid(
    trainer: &mut Trainer,
    run_dir: Option<&Path>,
    stop: &StopFlag,
) -> Result<Grid, TrainError> {
    let sampler = trainer.sampler()?;
    let what = SampleOptions {
        count: GRID,
        seed: trainer.config().seed,
        batch: 0,
        trajectory: false,
    };
    let samples = trainer.sample_with(sampler.as_ref(), what, stop, &mut |_| {})?;
    let folder = match run_dir {
        _ if samples.stopped => return Ok(Grid::Stopped),
        None => return Ok(Grid::Elsewhere),
        Some(run_dir) => run_dir.join("samples"),
    };
    fs::create_dir_all(&folder).map_err(TrainError::io("create", &folder))?;
    let path = folder.join(format!("step_{:08}.png", trainer.state().step));
    write_picture(&samples, trainer.data().scaling(), CELLS, &path)?;
    Ok(Grid::Written(path))
}

/// Writes samples as `.npz` (`arr_0`) or, by the name, `.npy`: images as `uint8` NHWC, everything else as `float32`
/// in the units of the data, `[n, channels, length]` or `[n, dim]`.
///
/// # Errors
/// The file cannot be written.
pub fn write_array(samples: &Samples, scaling: &Scaling, path: &Path) -> Result<(), TrainError> {
    let npy = path.extension().is_some_and(|extension| extension == "npy");
    if let Some(images) = as_images(&samples.values, &samples.shape, scaling) {
        if npy {
            report::npy::write_npy(path, &images)?
        } else {
            report::npy::write_npz(path, &images)?
        }
        return Ok(());
    }
    let raw: Vec<f32> = samples
        .values
        .iter()
        .map(|&v| scaling.to_raw(f64::from(v)) as f32)
        .collect();
    let mut shape = vec![samples.rows()];
    shape.extend(extents(&samples.shape));
    let array =
        ArrayD::from_shape_vec(IxDyn(&shape), raw).expect("invariant: rows times their length values");
    if npy {
        report::npy::write_npy(path, &array)?
    } else {
        report::npy::write_npz(path, &array)?
    }
    Ok(())
}

/// Writes at most `cells` samples as a picture: images in cells, series as curves in cells, points as a scatter plot of
/// their first two coordinates.
///
/// # Errors
/// The file cannot be written.
pub fn write_picture(
    samples: &Samples,
    scaling: &Scaling,
    cells: usize,
    path: &Path,
) -> Result<(), TrainError> {
    let images = match (
        as_images(&samples.values, &samples.shape, scaling),
        extents(&samples.shape).as_slice(),
    ) {
        (Some(images), _) => images,
        (None, &[channels, length]) => raster::series(&samples.values, channels, length, cells),
        (None, _) => raster::scatter(&samples.values, samples.rows()),
    };
    let shown = images.dim().0.min(cells);
    let view = images.slice(ndarray::s![..shown, .., .., ..]);
    Ok(grid_png(path, view, &GridOptions::default())?)
}

fn extents(shape: &[i64]) -> Vec<usize> {
    let extent = |&n| usize::try_from(n).expect("invariant: sizes are not negative");
    shape.iter().map(extent).collect()
}

/// Rows of the shape `[channels, height, width]` in the model's scale as `[n, height, width, channels]` bytes; `None` for
/// other shapes.
pub fn as_images(values: &[f32], shape: &[i64], scaling: &Scaling) -> Option<Array4<u8>> {
    let &[channels, height, width] = extents(shape).as_slice() else {
        return None;
    };
    let rows = values.len().checked_div(channels * height * width).unwrap_or(0);
    let bytes = scaling.to_bytes(values);
    let planes = Array4::from_shape_vec((rows, channels, height, width), bytes);
    let planes = planes.expect("invariant: rows times their length values");
    Some(
        planes
            .permuted_axes([0, 2, 3, 1])
            .as_standard_layout()
            .into_owned(),
    )
}

/// Draws the loss over the steps; nothing if no line of metrics has a loss.
fn write_loss(run_dir: &Path) -> Result<(), TrainError> {
    match loss_chart(&MetricsLog::read(run_dir)?) {
        Some(chart) => Ok(line_svg(&run_dir.join("loss.svg"), &chart)?),
        None => Ok(()),
    }
}
