//! All metrics at once, each with its floor.

mod features;
mod plan;
#[cfg(test)]
mod refusals;
mod scores;
#[cfg(test)]
mod tests;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::estimate::Estimate;
use super::pass::{Pass, Settings};
use super::{
    Alone, Best, Copies, Evaluation, MetricError, Options, Reference, Score, Team, median_distance, spectrum,
};
pub use plan::floor_sizes;
use plan::{FLOOR, FULL, Plan};

/// Measures `samples`, `[n, d]`, against data, `[m, d]`, by every metric of this module, and gives each score
/// its floor: the same metric on real rows against the same data.
///
/// The floor's real rows are the held-out ones if there are such; else the data are cut into two halves, drawn by
/// the seed, and the floor is one half against the other. Most metrics depend on the number of rows. So
/// [`Score::matched`] gives the samples' value at the floor's sizes, against the same rows as the floor:
/// `min(n, h)` samples against all data with h held-out rows, `min(n, m/2)` against one half without.
///
/// All metrics made of distances share one pass over them: memory is that of the rows in `f64`, time about
/// `2 (n + m)^2 d` operations of a matrix product and `50 d^3` for the Fréchet distances: 51 s on one thread and 0.7 GB for 10,000
/// rows against 10,000 of 784 values. The same arguments give the same bits, with any number of threads.
///
/// # Errors
/// [`MetricError`], before anything is computed, for fewer rows than the metrics need (10 samples and 10 real rows
/// on each side of the floor, and more rows than neighbours), rows of another length, values that are not finite,
/// data that are all one row, options without meaning.
pub fn evaluate<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    samples: ArrayView2<'_, T>,
    data: &Reference<'_, U>,
    options: &Options,
) -> Result<Evaluation, MetricError> {
    evaluate_by(&Alone, samples, data, options)
}

/// As [`evaluate`], with the distances and the costliest fits shared by a team: the same bits whatever the team. All members give the
/// same rows and options, and all get the scores.
///
/// # Errors
/// As [`evaluate`]; [`MetricError::Team`].
pub fn evaluate_by<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    team: &dyn Team,
    samples: ArrayView2<'_, T>,
    data: &Reference<'_, U>,
    options: &Options,
) -> Result<Evaluation, MetricError> {
    if let Some(channels) = options.channels {
        spectrum::series_length(samples.ncols(), channels, 3)?;
    }
    if let Some(of_rows) = &data.features {
        features::check(of_rows, samples.nrows(), data)?;
    }
    let plan = Plan::new(samples, data, options)?;
    let reference = plan.pool.members(&plan.comparisons[FULL].second);
    let bandwidth = median_distance(
        plan.pool
            .rows
            .select(Axis(0), &reference[..reference.len().min(1000)])
            .view(),
    )?;
    let settings = Settings {
        bandwidth: Some(bandwidth),
        precision_neighbours: options.precision_neighbours,
        density_neighbours: options.density_neighbours,
    };
    let full = &plan.comparisons[FULL];
    let further: Vec<(usize, usize)> = full
        .first
        .iter()
        .flat_map(|&segment| plan.rest.iter().map(move |&rest| (segment, rest)))
        .collect();
    let pass = Pass::run(&plan.pool, &plan.comparisons, &further, settings, team)?;
    let scoring = Scoring {
        plan: &plan,
        pass: &pass,
        options,
    };
    let mut scores = scoring.fits_and_projections(team)?;
    if let Some(features) = &data.features {
        // Beside the distance on the rows themselves.
        scores.insert(1, scoring.features(features)?);
    }
    scores.extend(scoring.distances(bandwidth, team)?);
    scores.extend(scoring.classifier(team)?);
    scores.extend(scoring.balls()?);
    scores.extend(scoring.copies()?);
    if let Some(labels) = data.labels {
        scores.extend(scoring.classes(labels)?);
    }
    if let Some(channels) = options.channels {
        scores.extend(scoring.series(channels)?);
    }
    let size = |comparison: usize| {
        let sets = &plan.comparisons[comparison];
        (plan.pool.len(&sets.first), plan.pool.len(&sets.second))
    };
    let copies = scoring.nearest_copies(FULL);
    Ok(Evaluation {
        scores,
        samples: size(FULL).0,
        data: size(FULL).1,
        floor_samples: size(FLOOR).0,
        floor_data: size(FLOOR).1,
        held_out: data.held_out.is_some(),
        dimension: samples.ncols(),
        seed: options.seed,
        copies: Copies {
            sample: plan.origin[scoring.first_members(FULL)[copies.sample]],
            training: plan.origin[copies.training],
            ..copies
        },
    })
}

struct Scoring<'a> {
    plan: &'a Plan,
    pass: &'a Pass<'a>,
    options: &'a Options,
}

/// What is said of a score beside its values.
struct Told<'a>(&'a str, Best, &'a str, String);

impl Scoring<'_> {
    fn first_members(&self, comparison: usize) -> Vec<usize> {
        self.plan.pool.members(&self.plan.comparisons[comparison].first)
    }

    fn second_members(&self, comparison: usize) -> Vec<usize> {
        self.plan.pool.members(&self.plan.comparisons[comparison].second)
    }

    /// The two sets of a comparison, as they were given.
    fn sets(&self, comparison: usize) -> [Array2<f64>; 2] {
        [self.first_members(comparison), self.second_members(comparison)]
            .map(|members| self.plan.pool.rows.select(Axis(0), &members) + &self.plan.pool.mean)
    }

    /// A score from the estimates of each comparison.
    fn score(&self, told: Told<'_>, estimates: &[Estimate]) -> Score {
        let Told(name, best, unit, note) = told;
        Score {
            name: name.to_owned(),
            value: estimates[FULL].value,
            standard_error: estimates[FULL].standard_error,
            matched: estimates[self.plan.matched].value,
            floor: estimates[FLOOR].value,
            floor_standard_error: estimates[FLOOR].standard_error,
            best,
            unit: unit.to_owned(),
            note,
        }
    }

    /// The same, by a metric of a comparison.
    fn each(
        &self,
        told: Told<'_>,
        metric: impl Fn(usize) -> Result<Estimate, MetricError> + Send + Sync,
    ) -> Result<Score, MetricError> {
        let indices = 0..self.plan.comparisons.len();
        let estimates: Result<Vec<Estimate>, MetricError> = indices.into_par_iter().map(metric).collect();
        Ok(self.score(told, &estimates?))
    }

    /// The same, for a metric that is worth sharing.
    fn each_by(
        &self,
        team: &dyn Team,
        told: Told<'_>,
        metric: impl Fn(usize) -> Result<Estimate, MetricError> + Send + Sync,
    ) -> Result<Score, MetricError> {
        // Of each comparison the value and its error; nothing but NaN where there is no value.
        let numbers = |comparison: usize| match metric(comparison) {
            Ok(estimate) => vec![estimate.value, estimate.standard_error.unwrap_or(f64::NAN)],
            Err(_) => vec![f64::NAN; 2],
        };
        let found = team.share(&vec![2; self.plan.comparisons.len()], &numbers)?;
        let estimates = found.iter().enumerate().map(|(comparison, numbers)| {
            if numbers[0].is_nan() {
                // Again, for what is wrong.
                return metric(comparison);
            }
            Ok(Estimate {
                value: numbers[0],
                standard_error: (!numbers[1].is_nan()).then_some(numbers[1]),
            })
        });
        let estimates: Result<Vec<Estimate>, MetricError> = estimates.collect();
        Ok(self.score(told, &estimates?))
    }
}
