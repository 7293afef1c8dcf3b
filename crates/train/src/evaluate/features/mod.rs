//! Features of rows, as a small network of the project's own sees them.
//!
//! The Fréchet distance on pixels compares means and covariances of pixels, and so is blind to whatever two sets with equal means and
//! covariances differ in. On features of a network it is not (Heusel et al. 2017, arXiv:1706.08500). Their features are those of one
//! large network that has learned to name photographs, which says little of digits and nothing of series, and must be downloaded.
//! Here each data set has a network of its own, which takes seconds to train.
//!
//! What the network learns is one task for all data, with and without classes: of each training row to tell which of five things was
//! done to it: nothing; mirrored; noise added; blurred; halves exchanged. Classes that come from changes of unlabelled rows are due to
//! Dosovitskiy et al. 2014 (arXiv:1406.6909) and Gidaris et al. 2018 (arXiv:1803.07728). To answer, the network must know how
//! sharp, how clean, which way round and how arranged the data are, which is what samples get wrong. Features that name classes see
//! less of it (Kynkäänniemi et al. 2022, arXiv:2203.06026); how samples are spread over the classes has scores of its own.
//!
//! Everything random has an address under a fixed seed, so that the weights are a function of the training rows and of [`RECIPE`] alone:
//! not of the run's seed, nor of the number of threads, since libtorch works on one here. Their hash stands beside every score: two
//! scores can be compared exactly if the hashes are equal. Another processor or libtorch may round differently, and then has another hash.

mod changes;
mod net;
mod sets;

use ndarray::{Array2, ArrayView1, ArrayView2};
use score_nets::named_parameters;
use sha2::{Digest, Sha256};
use solvers::Draw;
use solvers::noise::{Purpose, fill_rows_f32};
use tch::nn::VarStore;
use tch::{Device, Reduction, Tensor, no_grad};

use crate::TrainError;
use crate::hash::hex;
use crate::optim::{AdamW, AdamWConfig, FlatParams};
use crate::trainer::order::Order;
use changes::{KINDS, change};
use net::Layers;
pub use sets::{FeatureChoice, NetworkFacts, OwnFeatures};
pub(super) use sets::{OfSets, of_sets};

/// Number of what this file does to rows: any change that gives other weights gives it another.
pub const RECIPE: u32 = 1;
/// Features of a row.
pub const FEATURES: usize = 32;
/// Fewest rows on each side of a comparison: twice as many as features, so that covariances have full rank with some to spare.
pub const FEWEST_ROWS: usize = 2 * FEATURES;
/// The share of right answers of a network that guesses.
pub const CHANCE: f64 = 1.0 / KINDS as f64;

const SEED: u64 = 0x5de_fea7;
/// Steps of rows that are not long; long rows get fewer.
const STEPS: usize = 500;
/// Longest rows with all steps.
const LONG: usize = 800;
/// Fewest steps.
const FEWEST_STEPS: usize = 50;
const BATCH: usize = 64;
/// Learning rate of the first step; it falls to 0 along a line.
const LEARNING_RATE: f64 = 2e-3;
/// Rows that go through the network at a time when it has learned.
const AT_A_TIME: usize = 256;

/// A network that has learned to tell changed rows apart.
#[derive(Debug)]
pub struct FeatureNet {
    layers: Layers,
    _store: VarStore,
    shape: Vec<i64>,
    mean: f64,
    std: f64,
    steps: usize,
    hash: String,
}

/// libtorch works on one thread while this lives: its sums depend on the number of threads.
struct OneThread(i32);

impl OneThread {
    fn new() -> Self {
        let before = tch::get_num_threads();
        tch::set_num_threads(1);
        Self(before)
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}

/// Draws of training steps and, apart from them, of the examination.
fn address(step: usize, purpose: Purpose) -> Draw {
    Draw {
        step: step as u32,
        purpose,
    }
}

impl FeatureNet {
    /// Trains on rows `[n, values]`, one or more, of the shape `[channels, length]` or `[channels, height, width]`, with Adam for 500
    /// steps of 64 rows; fewer steps where rows have more than 800 values. A few seconds on one thread for small images.
    ///
    /// # Errors
    /// Rows of another shape, or none; libtorch fails.
    pub fn train(rows: ArrayView2<'_, f32>, shape: &[i64]) -> Result<Self, TrainError> {
        let len: i64 = shape.iter().product();
        if !(2..=3).contains(&shape.len()) || len < 1 || len != rows.ncols() as i64 || rows.is_empty() {
            return Err(TrainError::network(format!(
                "features need rows of the shape [channels, length] or [channels, height, width], got {} rows of {} values for the \
                 shape {shape:?}",
                rows.nrows(),
                rows.ncols()
            )));
        }
        let _one = OneThread::new();
        let (mean, std) = moments(rows);
        let store = VarStore::new(Device::Cpu);
        let layers = score_nets::seeded(SEED as i64, || Layers::new(&store.root(), shape))?;
        let params = FlatParams::bind(named_parameters(&store))?;
        let mut adam = AdamW::new(AdamWConfig::default(), params.values());
        let steps = (STEPS * LONG / rows.ncols()).clamp(FEWEST_STEPS, STEPS);
        let mut net = Self {
            layers,
            _store: store,
            shape: shape.to_vec(),
            mean,
            std,
            steps,
            hash: String::new(),
        };
        let mut order = Order::new(SEED, rows.nrows());
        for step in 0..steps {
            let pieces = order.pieces((step * BATCH) as u64, BATCH as u64);
            let picked = pieces.iter().flat_map(|(_, rows)| rows);
            let mut batch = Batch::new(&net, BATCH);
            for (slot, &row) in picked.enumerate() {
                let draw = address(step, Purpose::Training);
                batch.push((slot + step) % KINDS, rows.row(row as usize), draw, slot as u64);
            }
            net.step(batch, &params, &mut adam, step)
                .map_err(TrainError::tensor("training the feature network"))?;
        }
        net.hash = net
            .hash_of(&params)
            .map_err(TrainError::tensor("reading the feature network's weights"))?;
        Ok(net)
    }

    fn step(
        &self,
        batch: Batch<'_>,
        params: &FlatParams,
        adam: &mut AdamW,
        step: usize,
    ) -> Result<(), tch::TchError> {
        let (x, kinds) = batch.tensors()?;
        let loss = self.layers.answer(&x)?.f_cross_entropy_loss::<Tensor>(
            &kinds,
            None,
            Reduction::Mean,
            -100,
            0.0,
        )?;
        params.backward(&loss, false)?;
        let rate = LEARNING_RATE * (1.0 - step as f64 / self.steps as f64);
        adam.step(params.values(), params.grads(), rate, 1.0);
        Ok(())
    }

    /// SHA-256 over the scale of the rows and names, shapes and values of the weights, in the order of the names.
    fn hash_of(&self, params: &FlatParams) -> Result<String, tch::TchError> {
        let mut hash = Sha256::new();
        hash.update(self.mean.to_le_bytes());
        hash.update(self.std.to_le_bytes());
        for (name, tensor) in params.named_views(params.values()) {
            hash.update(name.as_bytes());
            for size in tensor.size() {
                hash.update(size.to_le_bytes());
            }
            for value in Vec::<f32>::try_from(tensor.f_reshape([-1])?)? {
                hash.update(value.to_le_bytes());
            }
        }
        Ok(hex(hash.finalize()))
    }

    /// SHA-256 of the weights, 64 hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many steps it was trained for.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Features of rows `[n, values]`, in the units that the network was trained in: `[n, 32]`.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn features(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, TrainError> {
        let _one = OneThread::new();
        let mut out = Vec::with_capacity(rows.nrows() * FEATURES);
        for first in (0..rows.nrows()).step_by(AT_A_TIME) {
            let last = rows.nrows().min(first + AT_A_TIME);
            let mut batch = Batch::new(self, last - first);
            for row in first..last {
                batch.push(0, rows.row(row), address(0, Purpose::Data), 0);
            }
            let piece = batch
                .tensors()
                .and_then(|(x, _)| no_grad(|| self.layers.features(&x)));
            let piece = piece.and_then(|piece| Vec::<f32>::try_from(piece.f_reshape([-1])?));
            out.extend(piece.map_err(TrainError::tensor("the features of rows"))?);
        }
        Ok(Array2::from_shape_vec((rows.nrows(), FEATURES), out)
            .expect("invariant: each row has its features"))
    }

    /// The share of right answers where each of these rows is changed in each way; a network that guesses has 0.2. At most 1000 rows
    /// are asked for, evenly spread.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn accuracy(&self, rows: ArrayView2<'_, f32>) -> Result<f64, TrainError> {
        let _one = OneThread::new();
        let count = rows.nrows().min(1000);
        let mut right = 0;
        for kind in 0..KINDS {
            for first in (0..count).step_by(AT_A_TIME) {
                let last = count.min(first + AT_A_TIME);
                let mut batch = Batch::new(self, last - first);
                for i in first..last {
                    let row = rows.row(i * rows.nrows() / count);
                    batch.push(kind, row, address(1, Purpose::Data), i as u64);
                }
                let answers = batch.tensors().and_then(|(x, _)| {
                    let found = no_grad(|| self.layers.answer(&x))?.f_argmax(1, false)?;
                    Vec::<i64>::try_from(found)
                });
                let answers = answers.map_err(TrainError::tensor("the answers of the feature network"))?;
                right += answers.iter().filter(|&&answer| answer == kind as i64).count();
            }
        }
        Ok(right as f64 / (KINDS * count.max(1)) as f64)
    }
}

/// Mean and standard deviation of all values; the latter is 1 where they are all equal.
fn moments(rows: ArrayView2<'_, f32>) -> (f64, f64) {
    let count = rows.len() as f64;
    let values = || rows.iter().map(|&value| f64::from(value));
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    match variance.sqrt() {
        std if std > 0.0 => (mean, std),
        _ => (mean, 1.0),
    }
}

/// Rows on their way into the network.
struct Batch<'a> {
    net: &'a FeatureNet,
    values: Vec<f32>,
    kinds: Vec<i64>,
}

impl<'a> Batch<'a> {
    fn new(net: &'a FeatureNet, rows: usize) -> Self {
        let len = net.shape.iter().product::<i64>() as usize;
        Self {
            net,
            values: Vec::with_capacity(rows * len),
            kinds: Vec::with_capacity(rows),
        }
    }

    /// A row, standardised and then changed; noise comes from the address.
    fn push(&mut self, kind: usize, row: ArrayView1<'_, f32>, draw: Draw, slot: u64) {
        let start = self.values.len();
        let (mean, std) = (self.net.mean, self.net.std);
        self.values
            .extend(row.iter().map(|&value| ((f64::from(value) - mean) / std) as f32));
        let sizes: Vec<usize> = self.net.shape.iter().map(|&size| size as usize).collect();
        let shape = match sizes[..] {
            [channels, length] => [channels, 1, length],
            _ => [sizes[0], sizes[1], sizes[2]],
        };
        let len = row.len();
        change(kind, &mut self.values[start..], shape, |normals| {
            fill_rows_f32(SEED, draw, slot, len, normals);
        });
        self.kinds.push(kind as i64);
    }

    /// The rows, and what was done to them.
    fn tensors(self) -> Result<(Tensor, Tensor), tch::TchError> {
        let mut size = vec![self.kinds.len() as i64];
        size.extend(&self.net.shape);
        Ok((
            Tensor::f_from_slice(&self.values)?.f_view(size.as_slice())?,
            Tensor::f_from_slice(&self.kinds)?,
        ))
    }
}
