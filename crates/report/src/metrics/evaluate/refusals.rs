//! What the whole evaluation refuses.

use ndarray::{Array2, s};

use crate::metrics::testing::normals;
use crate::metrics::{MetricError, Options, Reference, Set, evaluate};

#[test]
fn bad_input_is_refused_before_anything_is_computed() {
    let (x, y) = (normals(50, 4, 1), normals(60, 4, 2));
    let options = Options::default();
    let of = |x: &Array2<f64>, data: &Reference<'_, f64>, options: &Options| {
        evaluate(x.view(), data, options).expect_err("refused")
    };
    let plain = Reference::new(y.view());
    let few = |set, rows, needed| MetricError::TooFewRows { set, rows, needed };
    let cut = |a: &Array2<f64>, rows: usize| a.slice(s![..rows, ..]).to_owned();
    assert_eq!(of(&cut(&x, 9), &plain, &options), few(Set::First, 9, 10));
    assert_eq!(
        of(&x, &Reference::new(cut(&y, 19).view()), &options),
        few(Set::Second, 19, 20)
    );
    let held_out = cut(&x, 9);
    let data = Reference {
        held_out: Some(held_out.view()),
        ..plain
    };
    assert_eq!(of(&x, &data, &options), few(Set::HeldOut, 9, 10));
    let other = normals(50, 3, 1);
    assert_eq!(
        of(&other, &plain, &options),
        MetricError::Lengths { first: 3, second: 4 }
    );
    let data = Reference {
        held_out: Some(other.view()),
        ..plain
    };
    assert_eq!(
        of(&x, &data, &options),
        MetricError::HeldOutLength { held_out: 3, data: 4 }
    );
    let mut damaged = x.clone();
    damaged[[7, 2]] = f64::NAN;
    assert!(
        of(&damaged, &plain, &options)
            .to_string()
            .starts_with("the first set: row 7, column 2 is NaN")
    );
    assert_eq!(
        of(&x, &Reference::new(Array2::ones((60, 4)).view()), &options),
        MetricError::Constant { set: Set::Second }
    );
    let huge = x.mapv(|value| value * 1e200);
    assert!(matches!(
        of(&huge, &plain, &options),
        MetricError::Overflow { .. }
    ));
    let labels = [0u32; 3];
    let data = Reference {
        labels: Some(&labels),
        ..plain
    };
    assert_eq!(
        of(&x, &data, &options),
        MetricError::Labels { labels: 3, rows: 60 }
    );
    let labels = [u32::MAX; 60];
    let data = Reference {
        labels: Some(&labels),
        ..plain
    };
    assert!(matches!(of(&x, &data, &options), MetricError::LargeLabel { .. }));
    let neighbours = of(
        &cut(&x, 12),
        &plain,
        &Options {
            density_neighbours: 12,
            ..options.clone()
        },
    );
    assert_eq!(
        neighbours,
        MetricError::Neighbours {
            set: Set::First,
            rows: 12,
            neighbours: 12
        }
    );
    for bad in [
        Options {
            precision_neighbours: 0,
            ..options.clone()
        },
        Options {
            projections: 0,
            ..options.clone()
        },
        Options {
            max_rows: 19,
            ..options.clone()
        },
        Options {
            copy_tolerance: f64::NAN,
            ..options.clone()
        },
    ] {
        assert!(
            matches!(of(&x, &plain, &bad), MetricError::Option { .. }),
            "{bad:?}"
        );
    }
    let series = of(
        &x,
        &plain,
        &Options {
            channels: Some(3),
            ..options
        },
    );
    assert!(matches!(
        series,
        MetricError::Series {
            columns: 4,
            channels: 3,
            fewest: 3
        }
    ));
}
