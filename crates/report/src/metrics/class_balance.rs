//! Frequencies of classes.

use super::MetricError;
use super::estimate::Estimate;

/// The total variation distance between two lists of counts, read as frequencies: half the sum of the absolute
/// differences, 0 for equal frequencies, 1 for disjoint classes. The shorter list is filled up with zeros.
///
/// # Errors
/// [`MetricError::TooFewRows`] if a list counts nothing.
pub fn class_total_variation(first: &[usize], second: &[usize]) -> Result<f64, MetricError> {
    let totals = [first.iter().sum::<usize>(), second.iter().sum::<usize>()];
    for (set, rows) in [super::Set::First, super::Set::Second].into_iter().zip(totals) {
        if rows == 0 {
            return Err(MetricError::TooFewRows { set, rows, needed: 1 });
        }
    }
    let frequency = |counts: &[usize], total: usize, class: usize| {
        counts.get(class).copied().unwrap_or(0) as f64 / total as f64
    };
    let classes = first.len().max(second.len());
    let differences = (0..classes)
        .map(|class| (frequency(first, totals[0], class) - frequency(second, totals[1], class)).abs());
    Ok(0.5 * differences.sum::<f64>())
}

/// The entropy in nats of counts read as frequencies, with its standard error to first order,
/// `sqrt((sum p ln^2 p - H^2) / n)` (G. P. Basharin 1959).
pub(super) fn entropy(counts: &[usize]) -> Estimate {
    let total = counts.iter().sum::<usize>() as f64;
    let frequencies = || {
        counts
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| count as f64 / total)
    };
    let nats = frequencies().map(|p| -p * p.ln()).sum::<f64>().max(0.0);
    let square: f64 = frequencies().map(|p| p * p.ln() * p.ln()).sum();
    Estimate {
        value: nats,
        standard_error: Some(((square - nats * nats).max(0.0) / total).sqrt()),
    }
}

/// How often each class occurs. Labels may be sparse and large: the table is as long as the largest label only if
/// that is small.
pub(super) fn table(labels: &[u32]) -> Result<Vec<usize>, MetricError> {
    let largest = labels.iter().copied().max().unwrap_or(0) as usize;
    if largest > labels.len() + 65_535 {
        return Err(MetricError::LargeLabel { label: largest });
    }
    Ok(vec![0; largest + 1])
}

pub(super) fn count(mut table: Vec<usize>, labels: impl Iterator<Item = u32>) -> Vec<usize> {
    labels.for_each(|label| {
        if let Some(count) = table.get_mut(label as usize) {
            *count += 1;
        }
    });
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_variation_of_known_counts() {
        assert_eq!(class_total_variation(&[5, 5], &[1, 1]), Ok(0.0));
        assert_eq!(class_total_variation(&[4, 0], &[1, 1]), Ok(0.5));
        assert_eq!(class_total_variation(&[3], &[0, 0, 8]), Ok(1.0));
        let third = class_total_variation(&[1, 1, 1], &[1, 1]).expect("defined");
        assert!((third - 1.0 / 3.0).abs() < 1e-15);
        assert!(matches!(
            class_total_variation(&[0, 0], &[1]),
            Err(MetricError::TooFewRows { .. })
        ));
    }

    #[test]
    fn the_entropy_and_its_error() {
        // Even frequencies: ln k, and an error of higher order. 3/4 and 1/4: sum p ln^2 p - H^2 = p q ln^2(p/q).
        let even = entropy(&[10, 10, 0, 10]);
        assert!((even.value - 3f64.ln()).abs() < 1e-15 && even.standard_error.is_some_and(|e| e < 1e-8));
        let error = entropy(&[30, 10]).standard_error.expect("an error");
        assert!((error - (0.1875 * 3f64.ln().powi(2) / 40.0).sqrt()).abs() < 1e-15);
    }
}
