use super::*;
use crate::HostBatch;
use crate::noise::increments::Batches;
use crate::noise::{Draw, HostNoise, Purpose, normal_at, uniform};
use crate::real::Real;

const TREE: BrownianTree = BrownianTree {
    start: 1.0,
    end: 1e-3,
};

fn noise(first_row: u64) -> HostNoise {
    HostNoise { seed: 31, first_row }
}

fn values<T: Real>(tree: BrownianTree, first_row: u64, dim: usize, t: &[f64]) -> Vec<Vec<f64>> {
    let mut out = HostBatch::<T>::zeros(t.len(), dim);
    tree.value(&noise(first_row), t, &mut out).unwrap();
    rows(&out)
}

fn rows<T: Real>(batch: &HostBatch<T>) -> Vec<Vec<f64>> {
    let mut all = Vec::new();
    batch.read_rows(&mut |_, values| all.push(values.to_vec()));
    all
}

/// Uniform numbers for choosing times and lengths.
fn chance(index: u64) -> f64 {
    let draw = Draw {
        step: 0,
        purpose: Purpose::Data,
    };
    uniform(5, draw, index)
}

/// The value depends on (seed, row, time) alone: not on the other rows, their times, where the batch is cut, or what was asked before.
#[test]
fn values_do_not_depend_on_order_company_or_cut() {
    fn check<T: Real>() {
        for dim in [1, 2, 3, 6] {
            let times: Vec<f64> = (0..40).map(|i| 1e-3 + 0.999 * chance(i)).collect();
            for first_row in [0, 1, 2, 3, 1 << 33] {
                let together = values::<T>(TREE, first_row, dim, &times);
                for (row, t) in times.iter().enumerate() {
                    let alone = values::<T>(TREE, first_row + row as u64, dim, &[*t]);
                    assert_eq!(alone[0], together[row], "{dim} {first_row} {row}");
                }
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn increments_add_up() {
    let noise = noise(0);
    let (a, b, c) = ([0.9, 0.31, 0.5], [0.4, 0.3, 0.123], [0.1, 0.002, 0.5]);
    let increment = |from: &[f64; 3], to: &[f64; 3]| {
        let mut out = HostBatch::<f64>::zeros(3, 4);
        TREE.increment(&noise, from, to, &mut out).unwrap();
        rows(&out).concat()
    };
    let parts = increment(&a, &b).into_iter().zip(increment(&b, &c));
    for ((first, second), whole) in parts.zip(increment(&a, &c)) {
        assert!((first + second - whole).abs() < 1e-14, "{first} {second} {whole}");
    }
}

/// Times beyond the ends are the ends, one unit in the last place or more; the path starts at zero; the direction does not matter.
#[test]
fn ends_are_clamped() {
    for tree in [TREE, BrownianTree::new(0.1, 0.7), BrownianTree::new(80.0, 0.002)] {
        let (start, end) = (tree.start, tree.end);
        let outwards = if start > end { 1.0 } else { -1.0 };
        let beyond = |t: f64, sign: f64| if sign > 0.0 { t.next_up() } else { t.next_down() };
        let out = values::<f64>(tree, 7, 3, &[start, beyond(start, outwards)]);
        assert_eq!(out, [[0.0; 3]; 2]);
        let mut at_end = Vec::new();
        for t in [end, beyond(end, -outwards), end - outwards * 3.0] {
            at_end.push(values::<f64>(tree, 7, 3, &[t]).concat());
        }
        assert!(at_end[0].iter().all(|value| *value != 0.0));
        assert_eq!(at_end[0], at_end[1]);
        assert_eq!(at_end[0], at_end[2]);
        let just_inside = values::<f64>(tree, 7, 3, &[beyond(end, outwards)]).concat();
        for (a, b) in at_end[0].iter().zip(&just_inside) {
            assert!((a - b).abs() < 1e-3 * (start - end).abs().sqrt(), "{a} {b}");
        }
    }
}

/// Covariances `min(s, t)` at dyadic and other times, also inside one cell's neighbourhood: within 4.5 standard errors of the
/// estimate, `sqrt((s t + min(s, t)^2)/n)`.
#[test]
fn covariance_is_that_of_brownian_motion() {
    let tree = BrownianTree::new(0.0, 2.0);
    let times = [0.25, 0.3, 0.300_001, 0.77, 1.0, 1.6180, 2.0];
    let count = 20_000;
    let paths: Vec<Vec<f64>> = times
        .iter()
        .map(|t| values::<f32>(tree, 0, 2, &vec![*t; count]).concat())
        .collect();
    let n = (2 * count) as f64;
    for (s, x) in times.iter().zip(&paths) {
        for (t, y) in times.iter().zip(&paths) {
            let cov = x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / n;
            let exact = s.min(*t);
            let error = ((s * t + exact * exact) / n).sqrt();
            assert!((cov - exact).abs() < 4.5 * error, "{s} {t}: {cov} for {exact}");
        }
        let mean = x.iter().sum::<f64>() / n;
        assert!(mean.abs() < 4.5 * (s / n).sqrt(), "{s}: {mean}");
    }
    // The increment over a short interval, against its own size.
    let short: f64 = paths[1]
        .iter()
        .zip(&paths[2])
        .map(|(x, y)| (y - x).powi(2))
        .sum::<f64>()
        / n;
    assert!((short / 1e-6 - 1.0).abs() < 0.05, "{short}");
}

/// Splits by rows and by batches of normals are the definition with [`normal_at`], bit for bit, for every layout, also where a row is
/// split more than once.
#[test]
fn splits_are_their_definition() {
    const SLOTS: u8 = 3;
    for (dim, count) in [
        (1, 300),
        (2, 301),
        (3, 140),
        (4, 5),
        (9, 33),
        (64, 41),
        (130, 17),
        (515, 16),
    ] {
        for first_row in [0, 1, 3, (1 << 32) - 2, (1 << 34) - 3] {
            let noise = noise(first_row);
            let like = HostBatch::<f64>::zeros(count, dim);
            let source: &dyn NoiseSource<HostBatch<f64>> = &noise;
            let mut fast = source.increments(&like, SLOTS).unwrap();
            let mut slow = Batches::new(source, &like, SLOTS);
            let mut expected = vec![vec![vec![0.0; dim]; SLOTS.into()]; count];
            let by_batches = count < 100 && dim < 100 || first_row == 1;
            for round in 0..3 {
                let splits: Vec<Split> = (0..2 * count)
                    .map(|i| (i / 2, i + round))
                    .filter(|(row, _)| row % 3 != 1)
                    .map(|(row, i)| Split {
                        row,
                        node: 1 + (i as u32 % 4) * 1_000_003,
                        share: 0.25 * (1 + row % 3) as f64,
                        scale: 0.1 + row as f64,
                        whole: (i % 3) as u8,
                        first: [Some(0), None, Some(2)][(i + row) % 3],
                        second: [None, Some(1), None, Some(1)][i / 2 % 4],
                    })
                    .rev()
                    .collect();
                fast.split(&splits).unwrap();
                if by_batches {
                    slow.split(&splits).unwrap();
                }
                for split in &splits {
                    let draw = Draw {
                        step: split.node,
                        purpose: Purpose::Path,
                    };
                    let slots = &mut expected[split.row];
                    let whole = slots[usize::from(split.whole)].clone();
                    for (d, whole) in whole.iter().enumerate() {
                        let row = first_row + split.row as u64;
                        let z = f64::from(normal_at(31, draw, row, dim, d));
                        let first = split.share * whole + split.scale * z;
                        for (slot, part) in [(split.first, first), (split.second, whole - first)] {
                            if let Some(slot) = slot {
                                slots[usize::from(slot)][d] = part;
                            }
                        }
                    }
                }
            }
            let mut shift: Vec<u8> = (0..count).map(|row| (row % 3) as u8).collect();
            let ones = vec![1.0; count];
            for _ in 0..SLOTS {
                let mut out = like.clone();
                let wanted: Vec<Vec<f64>> = (expected.iter().zip(&shift))
                    .map(|(slots, slot)| slots[usize::from(*slot)].clone())
                    .collect();
                fast.add(&shift, &ones, &mut out);
                assert_eq!(rows(&out), wanted, "{dim} {first_row}");
                if by_batches {
                    out = like.clone();
                    slow.add(&shift, &ones, &mut out);
                    assert_eq!(rows(&out), wanted, "{dim} {first_row} by batches");
                }
                shift.iter_mut().for_each(|slot| *slot = (*slot + 1) % SLOTS);
            }
        }
    }
}

/// The increment of an interval of the tree, from the root.
fn interval(first_row: u64, row: usize, count: usize, dim: usize, position: u32, level: u32) -> Vec<f32> {
    let noise = noise(first_row);
    let mut whole = HostBatch::<f32>::zeros(count, dim);
    let mut increments = noise.increments(&whole, 1).unwrap();
    increments.split(&[TREE.root(row, 0)]).unwrap();
    for level in 0..level {
        let parts = if BrownianTree::in_second(position, level) {
            (None, Some(0))
        } else {
            (Some(0), None)
        };
        let split = TREE.halving(row, level, position, 0, parts);
        increments.split(&[split]).unwrap();
    }
    increments.add(&vec![0; count], &vec![1.0; count], &mut whole);
    (0..dim).map(|d| whole.plane(d)[row]).collect()
}

/// However a row walks, what lies ahead is an interval of its tree, bit for bit: after steps of wildly different lengths and
/// rejections, whether an increment was kept or found again.
#[test]
fn walks_follow_the_path_of_the_tree() {
    let (count, dim, first_row) = (9, 3, 4);
    let noise = noise(first_row);
    let like = HostBatch::<f32>::zeros(count, dim);
    let source: &dyn NoiseSource<HostBatch<f32>> = &noise;
    let mut walk = Walk::new(TREE, Some(source), &like).unwrap();
    let (mut found_again, mut rounds) = (0, 0_u64);
    while (0..count).any(|row| !walk.is_done(row)) {
        rounds += 1;
        let lengths: Vec<f64> = (0..count as u64)
            .map(|row| 10f64.powf(-3.5 * chance(100 * rounds + row)))
            .collect();
        walk.narrow(&lengths).unwrap();
        let mut ahead = like.clone();
        walk.add_ahead(&[1.0; 9], &mut ahead);
        for (row, length) in lengths.iter().enumerate().filter(|(row, _)| !walk.is_done(*row)) {
            assert!(walk.from[row] - walk.to[row] <= length * (1.0 + 1e-12));
            assert!(walk.to[row] >= TREE.end && walk.is_last(row) == (walk.to[row] == TREE.end));
            let expected = interval(
                first_row,
                row,
                count,
                dim,
                walk.places[row].position,
                walk.places[row].level.into(),
            );
            for (d, expected) in expected.iter().enumerate() {
                assert_eq!(
                    ahead.plane(d)[row].to_bits(),
                    expected.to_bits(),
                    "{rounds} {row}"
                );
            }
        }
        let accept: Vec<bool> = (0..count)
            .map(|row| !walk.is_done(row) && chance(1_000_000 + 100 * rounds + row as u64) < 0.7)
            .collect();
        for (row, _) in accept.iter().enumerate().filter(|(_, accept)| **accept) {
            walk.advance(row);
        }
        found_again += walk.places.iter().filter(|place| place.missed).count();
    }
    assert!(rounds > 50 && found_again > 20, "{rounds} {found_again}");
}
