//! The scores, group after group: each metric of each comparison, and what is said of it.

use super::plan::{FLOOR, FULL};
use super::{Scoring, Told};
use crate::metrics::estimate::{Estimate, two_sample};
use crate::metrics::frechet::GaussianFit;
use crate::metrics::wasserstein::{self, Order};
use crate::metrics::{
    Best, Copies, MetricError, Score, Team, autocorrelation, c2st, class_balance, class_total_variation,
    density_coverage, expected_coverage, mmd, one_nn, polynomial_mmd, precision_recall, spectrum,
};

/// Rows of a block of the polynomial kernel, if there are ten blocks of that size; else a tenth of the rows.
const POLYNOMIAL_BLOCK: usize = 1000;

impl Scoring<'_> {
    pub fn fits_and_projections(&self, team: &dyn Team) -> Result<Vec<Score>, MetricError> {
        let frechet = Told(
            "frechet_distance",
            Best::Lower,
            "squared data units",
            "between Gaussian fits of the rows as given: their squared 2-Wasserstein distance".to_owned(),
        );
        let mut scores = vec![self.each_by(team, frechet, |comparison| {
            let [x, y] = self.sets(comparison);
            let fit = GaussianFit::of_rows(x.view())?;
            GaussianFit::of_rows(y.view())?.distance(&fit).map(Estimate::bare)
        })?];
        let rows = &self.plan.pool.rows;
        let sets: Vec<[Vec<usize>; 2]> = (0..self.plan.comparisons.len())
            .map(|comparison| [self.first_members(comparison), self.second_members(comparison)])
            .collect();
        let count = self.options.projections;
        let directions = wasserstein::directions(count, rows.ncols(), self.options.seed)?;
        let values = wasserstein::along(&rows.dot(&directions.t()), &sets);
        for (name, order) in [
            ("sliced_wasserstein_1", Order::One),
            ("sliced_wasserstein_2", Order::Two),
        ] {
            let note = format!("{count} random directions; the error is that over directions");
            scores.push(
                self.each(Told(name, Best::Lower, "data units", note), |comparison| {
                    wasserstein::of_directions(&values[comparison], order)
                })?,
            );
        }
        let values = wasserstein::along(rows, &sets);
        let note = "exact in one dimension; the mean over columns".to_owned();
        scores.push(self.each(
            Told("marginal_wasserstein_1", Best::Lower, "data units", note),
            |comparison| {
                wasserstein::of_directions(&values[comparison], Order::One).map(|e| Estimate::bare(e.value))
            },
        )?);
        Ok(scores)
    }

    pub fn distances(&self, bandwidth: f64, team: &dyn Team) -> Result<Vec<Score>, MetricError> {
        let energy = |comparison: usize| {
            let sums = |rows: &[usize], columns: &[usize]| self.pass.distance_sums(rows, columns);
            let estimate = two_sample(self.pass, comparison, sums);
            Estimate {
                value: -estimate.value,
                ..estimate
            }
            .finite("the energy distance")
        };
        let polynomial = |comparison: usize| {
            let [x, y] = self.sets(comparison);
            let block = (x.nrows().min(y.nrows()) / 10).clamp(2, POLYNOMIAL_BLOCK);
            polynomial_mmd::of_rows(x.view(), y.view(), block)
        };
        let (n, m) = (self.first_members(FULL).len(), self.second_members(FULL).len());
        Ok(vec![
            self.each(
                Told(
                    "energy_distance",
                    Best::Lower,
                    "data units",
                    "unbiased; may be negative".to_owned(),
                ),
                energy,
            )?,
            self.each(
                Told(
                    "mmd2_rbf",
                    Best::Lower,
                    "",
                    format!("unbiased; bandwidth {bandwidth}, the median distance of data rows"),
                ),
                |comparison| mmd::of_pass(self.pass, comparison),
            )?,
            self.each_by(
                team,
                Told(
                    "mmd2_polynomial",
                    Best::Lower,
                    "",
                    "kernel (x.y/d + 1)^3; unbiased; the mean over ten blocks or blocks of 1000 rows"
                        .to_owned(),
                ),
                polynomial,
            )?,
            self.each(
                Told(
                    "one_nn_accuracy",
                    Best::Nearest(one_nn::chance(n, m)),
                    "",
                    "leave-one-out; below chance: copies".to_owned(),
                ),
                |comparison| Ok(one_nn::of_pass(self.pass, comparison)),
            )?,
        ])
    }

    pub fn classifier(&self, team: &dyn Team) -> Result<Vec<Score>, MetricError> {
        let note = "32 hidden units, five-fold cross-validation, as many rows of either set".to_owned();
        let score = self.each_by(
            team,
            Told("c2st_accuracy", Best::Nearest(0.5), "", note),
            |comparison| {
                let [x, y] = self.sets(comparison);
                c2st::of_rows(&x, &y, self.options.seed)
            },
        );
        Ok(vec![score?])
    }

    pub fn balls(&self) -> Result<Vec<Score>, MetricError> {
        let (k, l) = (self.options.precision_neighbours, self.options.density_neighbours);
        let coverage = |comparison: usize| {
            let (n, m) = (
                self.first_members(comparison).len(),
                self.second_members(comparison).len(),
            );
            expected_coverage(n, m, l)
        };
        let note = format!(
            "k = {l}; a perfect model has {:.4}, at the floor's sizes {:.4}",
            coverage(FULL),
            coverage(FLOOR)
        );
        let manifold = |comparison| precision_recall::of_pass(self.pass, comparison);
        let dense = |comparison| density_coverage::of_pass(self.pass, comparison);
        Ok(vec![
            self.each(Told("precision", Best::Higher, "", format!("k = {k}")), |c| {
                Ok(manifold(c).precision)
            })?,
            self.each(Told("recall", Best::Higher, "", format!("k = {k}")), |c| {
                Ok(manifold(c).recall)
            })?,
            self.each(
                Told(
                    "density",
                    Best::Nearest(1.0),
                    "",
                    format!("k = {l}; a perfect model has 1"),
                ),
                |c| Ok(dense(c).density),
            )?,
            self.each(
                Told("coverage", Best::Higher, "", note),
                |c| Ok(dense(c).coverage),
            )?,
        ])
    }

    /// The nearest data row of each row of the first set, and its distance.
    pub fn nearest_data(&self, comparison: usize) -> Vec<(f64, usize)> {
        let sets = &self.plan.comparisons[comparison];
        let mut columns = sets.second.clone();
        if comparison == FULL {
            columns.extend(&self.plan.rest);
        }
        let nearest = self.pass.nearest(&sets.first, &columns);
        nearest
            .iter()
            .map(|list| (list[0].square.sqrt(), list[0].row))
            .collect()
    }

    pub fn nearest_copies(&self, comparison: usize) -> Copies {
        Copies::of(&self.nearest_data(comparison), self.options.copy_tolerance)
    }

    pub fn copies(&self) -> Result<Vec<Score>, MetricError> {
        let note = format!(
            "share of rows within {} of a data row",
            self.options.copy_tolerance
        );
        let rate = |comparison: usize| {
            let rows = self.first_members(comparison).len();
            Ok(Estimate::of_share(
                self.nearest_copies(comparison).count as f64 / rows as f64,
                rows,
            ))
        };
        let note_of_distance =
            "mean distance to the nearest data row; below the floor: the data are remembered";
        let distance = |comparison: usize| {
            let distances: Vec<f64> = self
                .nearest_data(comparison)
                .iter()
                .map(|&(distance, _)| distance)
                .collect();
            Ok(Estimate::of_mean(&distances))
        };
        let rate = self.each(Told("copy_rate", Best::Lower, "", note), rate)?;
        let best = Best::Nearest(0.0);
        let mut distance = self.each(
            Told(
                "nearest_distance",
                best,
                "data units",
                note_of_distance.to_owned(),
            ),
            distance,
        )?;
        distance.best = Best::Nearest(distance.floor);
        Ok(vec![rate, distance])
    }

    pub fn classes(&self, labels: &[u32]) -> Result<Vec<Score>, MetricError> {
        let table = class_balance::table(labels)?;
        let label = |row: usize| labels[self.plan.origin[row]];
        let of_data = |comparison: usize| {
            let rows = self.second_members(comparison);
            class_balance::count(table.clone(), rows.into_iter().map(label))
        };
        let of_samples = |comparison: usize| {
            let nearest = self.nearest_data(comparison);
            class_balance::count(table.clone(), nearest.into_iter().map(|(_, row)| label(row)))
        };
        let best = Best::Nearest(class_balance::entropy(&of_data(FULL)).value);
        let note = "of the classes of the nearest data rows".to_owned();
        let difference = "class frequencies by the nearest data rows, against those of the data".to_owned();
        Ok(vec![
            self.each(Told("class_entropy", best, "nats", note), |comparison| {
                Ok(class_balance::entropy(&of_samples(comparison)))
            })?,
            self.each(
                Told("class_total_variation", Best::Lower, "", difference),
                |comparison| {
                    class_total_variation(&of_samples(comparison), &of_data(comparison)).map(Estimate::bare)
                },
            )?,
        ])
    }

    pub fn series(&self, channels: usize) -> Result<Vec<Score>, MetricError> {
        let note = format!("{channels} channels; mean periodograms without the constant part");
        let spectrum = self.each(
            Told("spectrum_distance", Best::Lower, "decibels", note),
            |comparison| {
                let [x, y] = self.sets(comparison);
                spectrum::of_rows(x.view(), y.view(), channels).map(Estimate::bare)
            },
        )?;
        let note = format!("{channels} channels; lags up to half the length");
        let correlation = self.each(
            Told("autocorrelation_distance", Best::Lower, "", note),
            |comparison| {
                let [x, y] = self.sets(comparison);
                autocorrelation::of_rows(x.view(), y.view(), channels).map(Estimate::bare)
            },
        )?;
        Ok(vec![spectrum, correlation])
    }
}
