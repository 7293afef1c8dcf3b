//! The Fréchet distance between features that a network of the caller's makes of the rows.

use ndarray::Array2;

use super::{Scoring, Told};
use crate::metrics::estimate::Estimate;
use crate::metrics::frechet::GaussianFit;
use crate::metrics::{Best, Features, MetricError, Reference, Score, Set, rows};

/// That there are features of each row, all of one length and finite.
pub(super) fn check<T>(
    features: &Features<'_>,
    samples: usize,
    data: &Reference<'_, T>,
) -> Result<(), MetricError> {
    rows::check_pair(features.samples, features.rows, [2, 2])?;
    let mut sets = vec![
        (Set::First, features.samples, samples),
        (Set::Second, features.rows, data.rows.nrows()),
    ];
    match (features.held_out, data.held_out) {
        (Some(of_rows), Some(held_out)) => {
            rows::check(of_rows, Set::HeldOut, 2)?;
            if of_rows.ncols() != features.rows.ncols() {
                return Err(MetricError::HeldOutLength {
                    held_out: of_rows.ncols(),
                    data: features.rows.ncols(),
                });
            }
            sets.push((Set::HeldOut, of_rows, held_out.nrows()));
        }
        (None, None) => {}
        (of_rows, held_out) => {
            return Err(MetricError::Features {
                set: Set::HeldOut,
                features: of_rows.map_or(0, |rows| rows.nrows()),
                rows: held_out.map_or(0, |rows| rows.nrows()),
            });
        }
    }
    for (set, of_rows, rows) in sets {
        if of_rows.nrows() != rows {
            return Err(MetricError::Features {
                set,
                features: of_rows.nrows(),
                rows,
            });
        }
    }
    Ok(())
}

impl Scoring<'_> {
    /// On the same rows as the distance on the rows themselves, and so with the same floor.
    pub fn features(&self, features: &Features<'_>) -> Result<Score, MetricError> {
        let told = Told(
            "feature_frechet",
            Best::Lower,
            "",
            format!(
                "between Gaussian fits of {} {}",
                features.rows.ncols(),
                features.network
            ),
        );
        self.each(told, |comparison| {
            let [x, y] = [self.first_members(comparison), self.second_members(comparison)]
                .map(|members| self.features_of(features, &members));
            GaussianFit::of_rows(y.view())?
                .distance(&GaussianFit::of_rows(x.view())?)
                .map(Estimate::bare)
        })
    }

    /// The features of rows of the pool.
    fn features_of(&self, features: &Features<'_>, members: &[usize]) -> Array2<f64> {
        let plan = self.plan;
        let mut out = Array2::zeros((members.len(), features.rows.ncols()));
        for (mut to, &member) in out.rows_mut().into_iter().zip(members) {
            let set = match member {
                member if member < plan.samples => Some(features.samples),
                member if member < plan.samples + plan.held_out => features.held_out,
                _ => Some(features.rows),
            };
            if let Some(set) = set {
                to.zip_mut_with(&set.row(plan.origin[member]), |to, &from| *to = f64::from(from));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use crate::metrics::testing::normals;
    use crate::metrics::{Features, MetricError, Options, Reference, Set, evaluate, floor_sizes};

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{a} against {b}");
    }

    fn refused<'a>(x: &Array2<f64>, data: Reference<'a, f64>, features: Features<'a>) -> MetricError {
        let data = Reference {
            features: Some(features),
            ..data
        };
        evaluate(x.view(), &data, &Options::default()).expect_err("refused")
    }

    #[test]
    fn features_are_taken_of_the_rows_that_are_compared() {
        let (x, y, held_out) = (normals(120, 3, 1), normals(90, 3, 2), normals(70, 3, 3));
        // Features that are the rows themselves must have the distances of the rows, for halves and held-out rows alike.
        let own = [&x, &y, &held_out].map(|rows| rows.mapv(|value| value as f32));
        let [x, y, held_out] = [0, 1, 2].map(|i: usize| own[i].mapv(f64::from));
        let options = Options {
            max_rows: 80,
            ..Options::default()
        };
        for with in [true, false] {
            let features = Features {
                samples: own[0].view(),
                rows: own[1].view(),
                held_out: with.then(|| own[2].view()),
                network: "numbers",
            };
            let data = Reference {
                held_out: with.then(|| held_out.view()),
                features: Some(features),
                ..Reference::new(y.view())
            };
            let all = evaluate(x.view(), &data, &options).expect("defined");
            assert_eq!(
                [all.floor_samples, all.floor_data],
                floor_sizes(120, 90, with.then_some(70), 80)
            );
            let score = |name: &str| all.score(name).expect("a score").clone();
            let (of_rows, of_features) = (score("frechet_distance"), score("feature_frechet"));
            near(of_features.value, of_rows.value);
            near(of_features.matched, of_rows.matched);
            near(of_features.floor, of_rows.floor);
            assert_eq!(of_features.note, "between Gaussian fits of 3 numbers");
            // All other scores stay what they are.
            let without = Reference {
                features: None,
                ..data
            };
            let without = evaluate(x.view(), &without, &options).expect("defined");
            let mut rest = all.scores.clone();
            rest.retain(|score| score.name != "feature_frechet");
            assert_eq!((rest.len() + 1, rest), (all.scores.len(), without.scores));

            let short = Features {
                rows: own[1].slice(s![1.., ..]),
                ..features
            };
            let error = MetricError::Features {
                set: Set::Second,
                features: 89,
                rows: 90,
            };
            assert_eq!(refused(&x, data, short), error);
            assert_eq!(
                error.to_string(),
                "the second set: 89 rows of features for 90 rows"
            );
            let other = Features {
                held_out: (!with).then(|| own[2].view()),
                ..features
            };
            assert!(matches!(
                refused(&x, data, other),
                MetricError::Features {
                    set: Set::HeldOut,
                    ..
                }
            ));
            let mut bad = own[0].clone();
            bad[[3, 1]] = f32::NAN;
            let bad = Features {
                samples: bad.view(),
                ..features
            };
            assert!(matches!(
                refused(&x, data, bad),
                MetricError::NotFinite {
                    set: Set::First,
                    row: 3,
                    ..
                }
            ));
        }
    }
}
