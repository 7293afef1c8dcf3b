//! Averages whose length is chosen after training: power-function profiles, kept while training and combined later (Karras et
//! al. 2024, arXiv:2312.02696, section 3 and appendix C).
//!
//! A profile weighs the values after update `tau` of `t` by `(exponent + 1) tau^exponent / t^(exponent + 1)`: the older the run, the
//! longer its memory. Its length is the standard deviation of that density in parts of `t`, `sigma_rel`.

use tch::{Tensor, no_grad};

/// Profiles at one moment of a run: their exponents, and how many updates they cover.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Exponent, 0 or more.
    pub exponent: f64,
    /// Updates up to its end, 1 or more.
    pub updates: f64,
}

/// The longest profile: an exponent of 0, all values alike.
pub const LONGEST: f64 = 0.288_675_134_594_812_9;

/// Whether a profile can have this length.
pub fn is_length(sigma_rel: f64) -> bool {
    sigma_rel > 0.0 && sigma_rel <= LONGEST
}

/// The exponent of a profile of the length `sigma_rel`, in (0, [`LONGEST`]]: the largest root of
/// `(x + 1) / ((x + 2)^2 (x + 3)) = sigma_rel^2` (equation 126 of appendix C), by bisection.
pub fn exponent(sigma_rel: f64) -> f64 {
    let length = |x: f64| ((x + 1.0) / (x + 3.0)).sqrt() / (x + 2.0);
    let (mut low, mut high) = (0.0, 1.0);
    while length(high) > sigma_rel {
        high *= 2.0;
    }
    // Beyond the bits of a number.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        match length(middle) > sigma_rel {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// Averages of the flat parameters, one a profile.
#[derive(Debug)]
pub struct PowerAverages {
    exponents: Vec<f64>,
    averages: Vec<Tensor>,
}

impl PowerAverages {
    /// One average for each length, all at `values`.
    pub fn new(lengths: &[f64], values: &Tensor) -> Self {
        Self {
            exponents: lengths.iter().map(|length| exponent(*length)).collect(),
            averages: lengths
                .iter()
                .map(|_| no_grad(|| values.detach().copy()))
                .collect(),
        }
    }

    /// The update after `before` earlier ones: `average <- b average + (1 - b) values`, `b = (1 - 1/t)^(exponent + 1)`, `t` the
    /// number of this update from 1 (equation 127). The first one forgets the start. No host synchronisation.
    pub fn update(&mut self, before: u64, values: &Tensor) {
        let t = before as f64 + 1.0;
        for (exponent, average) in self.exponents.iter().zip(&mut self.averages) {
            let keep = (1.0 - 1.0 / t).powf(exponent + 1.0);
            no_grad(|| {
                let _ = average.lerp_(values, 1.0 - keep);
            });
        }
    }

    /// The averages, in the order of their lengths.
    pub fn averages(&self) -> &[Tensor] {
        &self.averages
    }
}

/// Factors with which averages of the profiles `kept` sum to the best approximation, in the mean square over updates, of one of
/// the profile `wanted` (appendix C, equations 138 to 146). They sum to about 1. Cost: cubic in their number.
pub fn factors(kept: &[Profile], wanted: Profile) -> Vec<f64> {
    let size = kept.len();
    let mut rows: Vec<Vec<f64>> = kept
        .iter()
        .map(|a| {
            kept.iter()
                .map(|b| overlap(*a, *b))
                .chain([overlap(*a, wanted)])
                .collect()
        })
        .collect();
    // Elimination with the largest pivot. Profiles that add nothing to those before them get the factor 0.
    let mut pivots = Vec::new();
    for column in 0..size {
        let used = pivots.len();
        let best = (used..size).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        let Some(best) =
            best.filter(|best| rows[*best][column].abs() > 1e-13 * overlap(kept[column], kept[column]))
        else {
            continue;
        };
        rows.swap(used, best);
        let pivot = rows[used].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != used) {
            let factor = row[column] / pivot[column];
            for (value, above) in row.iter_mut().zip(&pivot).skip(column) {
                *value -= factor * above;
            }
        }
        pivots.push(column);
    }
    let mut factors = vec![0.0; size];
    for (row, column) in pivots.into_iter().enumerate() {
        factors[column] = rows[row][size] / rows[row][column];
    }
    factors
}

/// The integral of the product of two profiles over updates.
fn overlap(a: Profile, b: Profile) -> f64 {
    let (short, long) = if a.updates < b.updates { (a, b) } else { (b, a) };
    let ratio = (short.updates / long.updates).powf(long.exponent);
    (a.exponent + 1.0) * (b.exponent + 1.0) * ratio / ((a.exponent + b.exponent + 1.0) * long.updates)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths and exponents of the paper: 0.05 and 0.10 are 16.97 and 6.94 (section 3.1).
    #[test]
    fn exponents_are_those_of_the_paper() {
        assert!((exponent(0.05) - 16.97).abs() < 0.005, "{}", exponent(0.05));
        assert!((exponent(0.10) - 6.94).abs() < 0.005, "{}", exponent(0.10));
        assert!(exponent(LONGEST) < 1e-9);
    }

    /// The overlap in closed form is that of the densities, summed.
    #[test]
    fn overlaps_are_integrals() {
        let density = |p: Profile, tau: f64| match tau < p.updates {
            true => (p.exponent + 1.0) / p.updates * (tau / p.updates).powf(p.exponent),
            false => 0.0,
        };
        let profiles = [(0.0, 100.0), (6.94, 100.0), (16.97, 70.0), (2.5, 30.0)];
        for a in profiles {
            for b in profiles {
                let [a, b] = [a, b].map(|(exponent, updates)| Profile { exponent, updates });
                let h = 1e-3;
                let sum: f64 = (0..100_000)
                    .map(|k| (k as f64 + 0.5) * h)
                    .map(|x| density(a, x) * density(b, x) * h)
                    .sum();
                assert!(
                    (sum - overlap(a, b)).abs() < 1e-4 * sum,
                    "{sum} {}",
                    overlap(a, b)
                );
            }
        }
    }

    /// Averages of a curve, taken while it goes by, are combined into one of another length.
    #[test]
    fn a_length_is_chosen_afterwards() {
        tch::set_num_threads(1);
        let curve = |t: f64| [(t / 90.0).sin() + t / 400.0, (-t / 200.0).exp(), 1.0];
        let lengths = [0.05, 0.10];
        let values = |t: u64| Tensor::from_slice(&curve(t as f64));
        let mut kept = PowerAverages::new(&lengths, &values(0));
        let mut wanted = PowerAverages::new(&[0.07, 0.05], &values(0));
        let (mut profiles, mut snapshots) = (Vec::new(), Vec::new());
        for t in 1..=1000_u64 {
            kept.update(t - 1, &values(t));
            wanted.update(t - 1, &values(t));
            if t % 100 == 0 {
                for (length, average) in lengths.iter().zip(kept.averages()) {
                    profiles.push(Profile {
                        exponent: exponent(*length),
                        updates: t as f64,
                    });
                    snapshots.push(average.copy());
                }
            }
        }
        for (length, want) in [0.07, 0.05].into_iter().zip(wanted.averages()) {
            let to = Profile {
                exponent: exponent(length),
                updates: 1000.0,
            };
            let factors = factors(&profiles, to);
            assert!((factors.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{factors:?}");
            let terms = factors.iter().zip(&snapshots).map(|(f, s)| s * *f);
            let got = terms.reduce(|a, b| a + b).expect("snapshots");
            // The paper's figures are of this size; the shorter one is kept itself, and comes back.
            let bound = if length == 0.05 { 1e-9 } else { 2e-3 };
            let off = (got - want).abs().max().double_value(&[]);
            assert!(off < bound, "{length}: {off}");
            let plain = (&snapshots[18] - want).abs().max().double_value(&[]);
            assert!(
                length == 0.05 || off < 0.1 * plain,
                "no better than the nearest kept one: {off} {plain}"
            );
        }
    }
}
