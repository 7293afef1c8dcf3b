//! Sums through shared memory, between groups of threads, each with a mapping of its own.

#[path = "common/ranks.rs"]
mod common;

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use c10d::{Group, Reduce, Shared};
use common::{ranks, values};
use tch::{Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(20);

/// What every rank makes of the group and its memory, in a folder that is empty as soon as all have joined.
fn sharing<T: Send>(world: u32, work: impl Fn(&Group, Shared) -> T + Sync) -> Vec<T> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    ranks(world, TIMEOUT, |group| {
        let shared = Shared::join(&group, Some(path)).unwrap().expect("one machine");
        group.barrier().unwrap();
        assert_eq!(path.read_dir().unwrap().count(), 0, "no file stays");
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
        let all = sharing(world, |group, shared| {
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
fn a_thousand_sums_of_both_kinds_each_see_their_own_numbers() {
    sharing(3, |group, shared| {
        for round in 0..1_000 {
            let own = f64::from(round * (1 + group.rank()));
            let mut doubles = Tensor::from_slice(&[own, -own, 0.5]);
            assert!(shared.sum(&mut doubles).unwrap());
            let sums = Vec::<f64>::try_from(&doubles).unwrap();
            assert_eq!(
                sums,
                [f64::from(round * 6), f64::from(round) * -6.0, 1.5],
                "{round}"
            );
            let mut floats = Tensor::from_slice(&[own as f32]);
            assert!(shared.sum(&mut floats).unwrap());
            assert_eq!(values(&floats), [(round * 6) as f32], "{round}");
        }
        // Several pieces of doubles.
        let mut doubles = Tensor::arange(300_000, (Kind::Double, Device::Cpu));
        assert!(shared.sum(&mut doubles).unwrap());
        let expected = Tensor::arange(300_000, (Kind::Double, Device::Cpu)) * 3.0;
        assert!(doubles.equal(&expected));
    });
}

#[test]
fn a_view_is_summed_and_what_lies_beside_it_is_not() {
    sharing(2, |_, shared| {
        let whole = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0]).requires_grad_(true);
        assert!(shared.sum(&mut whole.detach().narrow(0, 1, 3)).unwrap());
        assert_eq!(values(&whole.detach()), [1.0, 4.0, 6.0, 8.0, 5.0]);
    });
}

#[test]
fn other_tensors_are_left_alone() {
    sharing(2, |_, shared| {
        let floats = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]);
        for (mut tensor, what) in [
            (Tensor::from_slice(&[1_i64, 2]), "integers"),
            (floats.to_kind(Kind::BFloat16), "of 16 bits"),
            (floats.tr(), "not contiguous"),
            (floats.to_sparse_sparse_dim(2), "sparse"),
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
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let nowhere = folder.path().join("nowhere");
    // A rank without memory, with that of another container, and on a system without any.
    for odd in [None, Some(other.path()), Some(nowhere.as_path())] {
        for unlike in [0, 1, 2] {
            let joined = ranks(3, TIMEOUT, |group| {
                let own = if group.rank() == unlike {
                    odd
                } else {
                    Some(folder.path())
                };
                Shared::join(&group, own).unwrap().is_some()
            });
            assert_eq!(joined, [false; 3], "rank {unlike}: {odd:?}");
            for folder in [&folder, &other] {
                assert_eq!(
                    folder.path().read_dir().unwrap().count(),
                    0,
                    "rank {unlike}: {odd:?}"
                );
            }
        }
    }
    let alone = ranks(1, TIMEOUT, |group| {
        Shared::join(&group, Some(folder.path())).unwrap().is_none()
    });
    assert!(alone[0]);
}

#[cfg(target_os = "linux")]
#[test]
fn ranks_share_the_memory_of_this_system() {
    let joined = ranks(2, TIMEOUT, |group| {
        Shared::join(&group, Shared::folder()).unwrap().is_some()
    });
    assert_eq!(joined, [Shared::folder().is_some(); 2]);
}

#[test]
fn a_rank_that_goes_is_an_error_of_the_others() {
    let told = sharing(3, |group, shared| {
        let mut tensor = Tensor::from_slice(&[1.0_f32]);
        assert!(shared.sum(&mut tensor).unwrap());
        if group.rank() == 1 {
            return None;
        }
        let started = Instant::now();
        let error = shared.sum(&mut tensor).unwrap_err();
        let again = shared.sum(&mut tensor).unwrap_err();
        Some((error.to_string(), again.to_string(), started.elapsed()))
    });
    assert!(told[1].is_none());
    for rank in [0, 2] {
        let (text, again, waited) = told[rank].as_ref().expect("an error");
        assert!(*waited < Duration::from_secs(5), "{waited:?}");
        // Whichever of the two sees it first goes, too.
        let start = format!("rank {rank}: the sum over ranks failed: rank ");
        assert!(text.starts_with(&start) && text.ends_with(" is gone"), "{text}");
        assert_eq!(text, again);
    }
}

#[test]
fn a_rank_that_is_late_is_an_error_of_both() {
    let (told, heard) = mpsc::channel();
    let heard = Mutex::new(heard);
    let errors = sharing(2, |group, shared| {
        let mut tensor = Tensor::from_slice(&[1.0_f32]);
        let late = group.rank() == 1;
        if late {
            let waited = heard.lock().unwrap().recv_timeout(TIMEOUT);
            waited.expect("rank 0 gives up");
        }
        let shared = shared.timeout(Duration::from_millis(300));
        let first = shared.sum(&mut tensor).map_err(|error| error.to_string());
        let again = shared.sum(&mut tensor).map_err(|error| error.to_string());
        if !late {
            told.send(()).unwrap();
        }
        group.barrier().unwrap();
        (first, again)
    });
    for (rank, (first, again)) in errors.into_iter().enumerate() {
        // Late, rank 1 finds that rank 0 was there, and waits for it in vain.
        let other = 1 - rank;
        let expected =
            format!("rank {rank}: the sum over ranks failed: rank {other} did not come within 0.3 s");
        assert_eq!((first, again), (Err(expected.clone()), Err(expected)));
    }
}

#[test]
fn ranks_that_sum_something_else_are_told() {
    let (floats, doubles) = (Kind::Float, Kind::Double);
    for sums in [
        [(1_000, floats), (999, floats)],
        [(1, floats), (300_000, floats)],
        [(300_000, floats), (300_001, floats)],
        [(2, floats), (1, doubles)],
    ] {
        let errors = sharing(2, |group, shared| {
            let (count, kind) = sums[group.rank() as usize];
            let mut tensor = Tensor::zeros([count], (kind, Device::Cpu));
            let error = shared.sum(&mut tensor).unwrap_err().to_string();
            group.barrier().unwrap();
            error
        });
        let said = sums.map(|(count, kind)| format!("{count} numbers of {} bytes", kind.elt_size_in_bytes()));
        for (rank, error) in errors.into_iter().enumerate() {
            let other = 1 - rank;
            let end = format!(
                "rank {other} has {} left to sum, this rank {}",
                said[other], said[rank]
            );
            assert!(error.ends_with(&end), "{error}");
        }
    }
}

#[test]
fn the_group_goes_on_beside_the_memory() {
    sharing(2, |group, shared| {
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
