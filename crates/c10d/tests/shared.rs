//! Sums through shared memory, between groups of threads, each with a mapping of its own.

#[path = "common/ranks.rs"]
mod common;

use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use c10d::{Group, Reduce, Shared};
use common::{ranks, values};
use tch::{Kind, Tensor};

/// What every rank makes of the group and its memory, while no other test has any.
fn sharing<T: Send>(world: u32, seconds: u64, work: impl Fn(&Group, Shared) -> T + Sync) -> Vec<T> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    ranks(world, Duration::from_secs(seconds), |group| {
        let shared = Shared::join(&group, true).unwrap().expect("one machine");
        work(&group, shared)
    })
}

/// Numbers of a rank whose sum over ranks depends on the order of its terms.
fn numbers(rank: u32, count: u64) -> Vec<f32> {
    let number = |i: u64| ((i * 2_654_435_761 + u64::from(rank) * 97_001) % 1_000_003) as f32 * 1e-3;
    (0..count).map(number).collect()
}

/// A piece holds 262,144 numbers: these are none, fewer than there are ranks, around one piece, and two and some.
const COUNTS: [u64; 9] = [0, 1, 2, 3, 1_000, 262_143, 262_144, 262_145, 600_001];

#[test]
fn sums_are_those_in_the_order_of_the_ranks_to_the_bit() {
    for world in [2, 3, 5] {
        let all = sharing(world, 20, |group, shared| {
            COUNTS.map(|count| {
                let mut tensor = Tensor::from_slice(&numbers(group.rank(), count));
                let done = shared.sum(&mut tensor).unwrap();
                assert_eq!(done, count > 0, "{count}");
                values(&tensor)
            })
        });
        for (at, count) in COUNTS.into_iter().enumerate() {
            let mut expected = numbers(0, count);
            for rank in 1..world {
                for (sum, number) in expected.iter_mut().zip(numbers(rank, count)) {
                    *sum += number;
                }
            }
            for (rank, sums) in all.iter().enumerate() {
                assert!(sums[at] == expected, "rank {rank} of {world}, {count} numbers");
            }
        }
    }
}

#[test]
fn a_thousand_sums_in_a_row_each_see_their_own_numbers() {
    sharing(3, 20, |group, shared| {
        for round in 0..1_000 {
            let own = f64::from(round * (1 + group.rank()));
            let mut tensor = Tensor::from_slice(&[own, -own, 0.5]);
            assert!(shared.sum(&mut tensor).unwrap());
            let sums = Vec::<f64>::try_from(&tensor).unwrap();
            assert_eq!(
                sums,
                [f64::from(round * 6), f64::from(round) * -6.0, 1.5],
                "{round}"
            );
        }
    });
}

#[test]
fn other_tensors_are_left_alone() {
    sharing(2, 20, |_, shared| {
        let floats = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]);
        for (mut tensor, what) in [
            (Tensor::from_slice(&[1_i64, 2]), "integers"),
            (floats.to_kind(Kind::BFloat16), "of 16 bits"),
            (floats.tr(), "not contiguous"),
        ] {
            let before = format!("{tensor:?} {}", tensor.sum(Kind::Float));
            assert!(!shared.sum(&mut tensor).unwrap(), "{what}");
            assert_eq!(
                format!("{tensor:?} {}", tensor.sum(Kind::Float)),
                before,
                "{what}"
            );
        }
    });
}

#[test]
fn all_ranks_share_or_none_and_no_file_stays() {
    for unwilling in [0, 1, 2] {
        let shared = ranks(3, Duration::from_secs(20), |group| {
            Shared::join(&group, group.rank() != unwilling).unwrap().is_some()
        });
        assert_eq!(shared, [false; 3], "rank {unwilling}");
    }
    assert!(
        ranks(1, Duration::from_secs(20), |group| Shared::join(&group, true)
            .unwrap()
            .is_none())[0]
    );
    let all = Barrier::new(2);
    let left = sharing(2, 20, |_, shared| {
        all.wait();
        let own = format!("/proc/{}/maps", std::process::id());
        let maps = std::fs::read_to_string(own).unwrap();
        let names: Vec<&str> = maps
            .lines()
            .filter_map(|line| line.split("/dev/shm/").nth(1))
            .collect();
        let named = names.iter().filter(|name| !name.ends_with("(deleted)")).count();
        all.wait();
        drop(shared);
        (names.len(), named)
    });
    assert!(
        left.iter().all(|(maps, named)| *maps >= 2 && *named == 0),
        "{left:?}"
    );
}

#[test]
fn a_rank_that_goes_or_does_not_come_is_an_error() {
    let told = sharing(3, 20, |group, shared| {
        let mut tensor = Tensor::from_slice(&[1.0_f32]);
        assert!(shared.sum(&mut tensor).unwrap());
        if group.rank() == 1 {
            return (String::new(), Duration::ZERO);
        }
        let started = Instant::now();
        let error = shared.sum(&mut tensor).unwrap_err();
        (error.to_string(), started.elapsed())
    });
    for rank in [0, 2] {
        let (text, waited) = &told[rank];
        assert!(*waited < Duration::from_secs(5), "{waited:?}");
        // Whichever of the two sees it first goes, too.
        assert!(
            text.starts_with(&format!("rank {rank}: the sum over ranks failed: rank "))
                && text.ends_with(" is gone"),
            "{text}"
        );
    }
    let both = Barrier::new(2);
    let told = sharing(2, 4, |group, shared| {
        let mut tensor = Tensor::from_slice(&[1.0_f32]);
        let error = (group.rank() == 0).then(|| shared.sum(&mut tensor).unwrap_err().to_string());
        both.wait();
        error
    });
    let expected = "rank 0: the sum over ranks failed: rank 1 did not come within 4 s";
    assert_eq!(told[0].as_deref(), Some(expected));
}

#[test]
fn the_group_goes_on_beside_the_memory() {
    sharing(2, 20, |group, shared| {
        for round in 0..50 {
            let mut own = Tensor::from_slice(&[1.0_f64]);
            assert!(shared.sum(&mut own).unwrap());
            let mut other = Tensor::from_slice(&[round]);
            group.all_reduce(&mut other, Reduce::Sum).unwrap();
            assert_eq!(
                (own.double_value(&[0]), other.int64_value(&[0])),
                (2.0, 2 * i64::from(round))
            );
        }
    });
}
