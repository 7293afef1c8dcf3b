//! The classifier two-sample test.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::estimate::Estimate;
use super::random::{Purpose, Random};
use super::{MetricError, Set, rows};

/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// The fewest rows of each set: two in each fold.
pub(super) const FEWEST: usize = 2 * FOLDS;
const HIDDEN: usize = 32;
const BATCH: usize = 128;
const EPOCHS: usize = 60;
const MOST_STEPS: usize = 1000;
const LEARNING_RATE: f64 = 3e-3;
const WEIGHT_DECAY: f64 = 1e-2;

/// The accuracy with which a small network tells two sets of rows apart on rows that it was not trained on
/// (D. Lopez-Paz and M. Oquab, Revisiting classifier two-sample tests, 2017, arXiv:1610.06545): 0.5 if it
/// cannot, 1 if it always can. A test finds what its classifier can see: 0.5 does not prove the sets equal.
///
/// Both sets count with the same number of rows, `min(n, m)`, drawn by the seed. Columns are standardised by
/// mean and deviation of both sets together (constant columns become 0). The network has one hidden layer of 32
/// rectified units; it is trained by Adam with decoupled weight decay, in batches of 128, over 60 epochs or 1000
/// steps, whichever is less. Five-fold cross-validation, each fold with as many rows of either set; the accuracy
/// is over all rows, its standard error binomial. Same seed, same bits. Time about 6 (32 d)(128)(1000) for each
/// fold.
///
/// # Errors
/// [`MetricError`]; each set needs 10 rows.
pub fn c2st_accuracy<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    first: ArrayView2<'_, T>,
    second: ArrayView2<'_, U>,
    seed: u64,
) -> Result<Estimate, MetricError> {
    rows::check_pair(first, second, [FEWEST, FEWEST])?;
    let chosen = |rows: usize, purpose: Purpose| Random::new(seed, purpose).order(rows);
    let x = first.select(Axis(0), &chosen(first.nrows(), Purpose::SampleOrder));
    let y = second.select(Axis(0), &chosen(second.nrows(), Purpose::DataOrder));
    of_rows(&x.mapv(Into::into), &y.mapv(Into::into), seed)
}

/// The same of rows in random order, of which the first `min(n, m)` count.
pub(super) fn of_rows(x: &Array2<f64>, y: &Array2<f64>, seed: u64) -> Result<Estimate, MetricError> {
    for (set, rows) in [(Set::First, x.nrows()), (Set::Second, y.nrows())] {
        if rows < FEWEST {
            return Err(MetricError::TooFewRows {
                set,
                rows,
                needed: FEWEST,
            });
        }
    }
    // Row 2i is x_i, row 2i + 1 is y_i, so that a row's set is its parity and its fold that of its pair.
    let pairs = x.nrows().min(y.nrows());
    let mut all = Array2::zeros((2 * pairs, x.ncols()));
    for (i, mut row) in all.rows_mut().into_iter().enumerate() {
        row.assign(&if i % 2 == 0 { x.row(i / 2) } else { y.row(i / 2) });
    }
    standardise(&mut all);
    let correct: Vec<usize> = (0..FOLDS)
        .into_par_iter()
        .map(|fold| correct_in_fold(&all, fold, seed))
        .collect();
    let accuracy = correct.iter().sum::<usize>() as f64 / all.nrows() as f64;
    Estimate::of_share(accuracy, all.nrows()).finite("the classifier")
}

fn standardise(rows: &mut Array2<f64>) {
    let count = rows.nrows() as f64;
    for mut column in rows.columns_mut() {
        let mean = column.sum() / count;
        column -= mean;
        let largest = column
            .iter()
            .fold(0.0f64, |largest, value| largest.max(value.abs()));
        if largest > 0.0 {
            // Scaled first, so that the squares neither overflow nor vanish.
            column /= largest;
            let deviation = (column.iter().map(|value| value * value).sum::<f64>() / count).sqrt();
            column /= deviation;
        }
    }
}

/// Trains on the other folds and counts the rows of this one that are told rightly.
fn correct_in_fold(rows: &Array2<f64>, fold: usize, seed: u64) -> usize {
    let (test, train): (Vec<usize>, Vec<usize>) = (0..rows.nrows()).partition(|row| row / 2 % FOLDS == fold);
    let mut random = Random::new(seed, Purpose::Classifier);
    let mut network = Network::new(rows.ncols(), &mut random);
    let batch = BATCH.min(train.len());
    let steps = (EPOCHS * train.len() / batch).min(MOST_STEPS);
    let mut order = Vec::new();
    for step in 1..=steps {
        if order.len() < batch {
            order = random.order(train.len());
        }
        let chosen: Vec<usize> = order
            .split_off(order.len() - batch)
            .iter()
            .map(|&at| train[at])
            .collect();
        network.step(&rows.select(Axis(0), &chosen), &chosen, step);
    }
    let (_, logits) = network.forward(&rows.select(Axis(0), &test));
    let told = test.iter().zip(&logits);
    told.filter(|&(&row, &logit)| (logit > 0.0) == is_second(row))
        .count()
}

fn is_second(row: usize) -> bool {
    row % 2 == 1
}

/// Weights with the moments of Adam (D. P. Kingma and J. Ba 2015, arXiv:1412.6980, algorithm 1; decoupled decay
/// of I. Loshchilov and F. Hutter 2019, arXiv:1711.05101, algorithm 2).
struct Weights {
    values: Array2<f64>,
    mean: Array2<f64>,
    square: Array2<f64>,
}

impl Weights {
    fn new(values: Array2<f64>) -> Self {
        Self {
            mean: Array2::zeros(values.dim()),
            square: Array2::zeros(values.dim()),
            values,
        }
    }

    fn step(&mut self, gradient: &Array2<f64>, step: usize) {
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let (mean_scale, square_scale) = (1.0 - 0.9f64.powi(power), 1.0 - 0.999f64.powi(power));
        ndarray::Zip::from(&mut self.values)
            .and(&mut self.mean)
            .and(&mut self.square)
            .and(gradient)
            .for_each(|value, mean, square, &gradient| {
                *mean += 0.1 * (gradient - *mean);
                *square += 0.001 * (gradient * gradient - *square);
                let direction = *mean / mean_scale / ((*square / square_scale).sqrt() + 1e-8);
                *value -= LEARNING_RATE * (direction + WEIGHT_DECAY * *value);
            });
    }
}

/// `logit(x) = out . relu(hidden x + shift) + bias`; the last column of `hidden` is the shift, the last entry of
/// `out` the bias.
struct Network {
    hidden: Weights,
    out: Weights,
}

impl Network {
    /// Hidden weights of variance 2/d (K. He et al. 2015); the output starts at 0.
    fn new(dimension: usize, random: &mut Random) -> Self {
        let scale = (2.0 / dimension as f64).sqrt();
        let hidden = Array2::from_shape_fn((HIDDEN, dimension + 1), |(_, column)| {
            if column < dimension {
                scale * random.normal()
            } else {
                0.0
            }
        });
        Self {
            hidden: Weights::new(hidden),
            out: Weights::new(Array2::zeros((1, HIDDEN + 1))),
        }
    }

    /// The hidden layer after the rectifier, `[n, 32]`, and the logits of being of the second set.
    fn forward(&self, rows: &Array2<f64>) -> (Array2<f64>, Array1<f64>) {
        let (weights, shift) = self.hidden.values.view().split_at(Axis(1), rows.ncols());
        let mut layer = rows.dot(&weights.t());
        layer += &shift.column(0);
        layer.mapv_inplace(|value| value.max(0.0));
        let (out, bias) = self.out.values.view().split_at(Axis(1), HIDDEN);
        let logits = layer.dot(&out.row(0)) + bias[[0, 0]];
        (layer, logits)
    }

    /// One step down the mean logistic loss; `numbers` tell which set each row is of.
    fn step(&mut self, rows: &Array2<f64>, numbers: &[usize], step: usize) {
        let (layer, mut error) = self.forward(rows);
        let count = numbers.len() as f64;
        for (error, &row) in error.iter_mut().zip(numbers) {
            let probability = 1.0 / (1.0 + (-*error).exp());
            *error = (probability - f64::from(u8::from(is_second(row)))) / count;
        }
        let error = error.insert_axis(Axis(1));
        let (out, _) = self.out.values.view().split_at(Axis(1), HIDDEN);
        let mut inner = error.dot(&out);
        inner.zip_mut_with(&layer, |value, &active| {
            *value *= f64::from(u8::from(active > 0.0))
        });
        let with_sums = |weights: Array2<f64>, errors: &Array2<f64>| {
            let sums = errors.sum_axis(Axis(0)).insert_axis(Axis(1));
            let mut gradient = Array2::zeros((weights.nrows(), weights.ncols() + 1));
            let (mut left, mut right) = gradient.view_mut().split_at(Axis(1), weights.ncols());
            left.assign(&weights);
            right.assign(&sums);
            gradient
        };
        let hidden_gradient = with_sums(inner.t().dot(rows), &inner);
        let out_gradient = with_sums(error.t().dot(&layer), &error);
        self.hidden.step(&hidden_gradient, step);
        self.out.step(&out_gradient, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::normals;

    fn within(estimate: Estimate, expected: f64, learning: f64) {
        let error = 4.0 * estimate.standard_error.expect("an error");
        let loss = expected - estimate.value;
        // Cross-validated accuracy lies below that of Bayes by what was not learned, and above only by chance.
        assert!(
            (-error..error + learning).contains(&loss),
            "{estimate:?} against {expected}"
        );
    }

    #[test]
    fn shifted_normals_are_told_apart_as_well_as_can_be() {
        // Phi(|mu| / 2).
        let x = normals(1500, 3, 1);
        let y = normals(1500, 3, 2) + &ndarray::array![0.9, 0.0, 1.2];
        within(
            c2st_accuracy(x.view(), y.view(), 0).expect("defined"),
            0.773_372_6,
            0.01,
        );
    }

    #[test]
    fn normals_of_other_width_are_told_apart_by_no_straight_line() {
        // N(0, 1) and N(0, 9): the boundary is at |x| = c = sqrt(2 ln 3 / (1 - 1/9)), the accuracy
        // (P(|Z| < c) + P(|Z| > c/3)) / 2.
        let x = normals(1500, 1, 1);
        let y = normals(1500, 1, 2) * 3.0;
        within(
            c2st_accuracy(x.view(), y.view(), 0).expect("defined"),
            0.742_0,
            0.015,
        );
    }

    #[test]
    fn equal_distributions_are_a_coin_and_the_same_seed_the_same_bits() {
        let all = normals(1100, 4, 3);
        let (x, y) = all.view().split_at(Axis(0), 500);
        let estimate = c2st_accuracy(x, y, 0).expect("defined");
        assert!(
            (estimate.value - 0.5).abs() < 4.0 * 0.5 / 1000f64.sqrt(),
            "{estimate:?}"
        );
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .expect("a pool");
        assert_eq!(pool.install(|| c2st_accuracy(x, y, 0)), Ok(estimate));
    }

    #[test]
    fn constant_columns_and_extreme_scales_do_no_harm() {
        let mut all = normals(200, 3, 4);
        all.column_mut(0).fill(7.0);
        all.column_mut(1).mapv_inplace(|value| value * 1e200);
        let (x, y) = all.view().split_at(Axis(0), 100);
        let far = y.to_owned() + &ndarray::array![0.0, 0.0, 50.0];
        assert_eq!(c2st_accuracy(x, far.view(), 0).expect("defined").value, 1.0);
        let few = c2st_accuracy(x.split_at(Axis(0), 9).0, y, 0);
        let expected = MetricError::TooFewRows {
            set: Set::First,
            rows: 9,
            needed: 10,
        };
        assert_eq!(few, Err(expected));
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        // A step of Adam from zero moments goes by the sign of the gradient: each weight by the learning rate.
        let rows = normals(12, 2, 5);
        let numbers: Vec<usize> = (0..12).collect();
        let mut random = Random::new(1, Purpose::Classifier);
        let mut network = Network::new(2, &mut random);
        network.out.values.mapv_inplace(|_| random.normal());
        let loss = |network: &Network| -> f64 {
            let (_, logits) = network.forward(&rows);
            let of_row = |(&row, &logit): (&usize, &f64)| {
                let sign = if is_second(row) { -1.0 } else { 1.0 };
                (sign * logit).exp().ln_1p()
            };
            numbers.iter().zip(&logits).map(of_row).sum::<f64>() / 12.0
        };
        let before = (network.hidden.values.clone(), network.out.values.clone());
        let mut moved = Network {
            hidden: Weights::new(before.0.clone()),
            out: Weights::new(before.1.clone()),
        };
        moved.step(&rows, &numbers, 1);
        // The mean after one step is a tenth of the gradient.
        let check = |gradient: f64, shifted: &dyn Fn(f64) -> f64| {
            let numeric = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
            assert!(
                (10.0 * gradient - numeric).abs() < 1e-8,
                "{} against {numeric}",
                10.0 * gradient
            );
        };
        for (row, column) in [(0, 0), (5, 1), (9, 2), (31, 0)] {
            check(moved.hidden.mean[[row, column]], &|by| {
                let mut other = Network {
                    hidden: Weights::new(before.0.clone()),
                    out: Weights::new(before.1.clone()),
                };
                other.hidden.values[[row, column]] += by;
                loss(&other)
            });
        }
        for column in [0, 17, 32] {
            check(moved.out.mean[[0, column]], &|by| {
                let mut other = Network {
                    hidden: Weights::new(before.0.clone()),
                    out: Weights::new(before.1.clone()),
                };
                other.out.values[[0, column]] += by;
                loss(&other)
            });
        }
    }
}
