//! Groups of threads and of processes on this machine.

#[path = "common/ranks.rs"]
mod common;

use std::time::{Duration, Instant};

use c10d::{C10dError, Group, Options, Reduce, Store};
use common::{ranks, values};
use tch::{Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn collectives_do_what_they_say() {
    for world in [1, 2, 3] {
        let all = ranks(world, TIMEOUT, |group| {
            let rank = group.rank();
            let own = || Tensor::from_slice(&[rank as f32, 10.0 - rank as f32]);
            let reduced = [Reduce::Sum, Reduce::Minimum, Reduce::Maximum].map(|reduce| {
                let mut tensor = own();
                group.all_reduce(&mut tensor, reduce).unwrap();
                values(&tensor)
            });
            let mut sent = own();
            group.broadcast(&mut sent, world - 1).unwrap();
            let gathered = group.all_gather(&own()).unwrap();
            assert_eq!(gathered.size(), [i64::from(world), 2]);
            group.barrier().unwrap();
            (reduced, values(&sent), values(&gathered))
        });
        let (w, last) = (world as f32, (world - 1) as f32);
        let sum = last * w / 2.0;
        for (reduced, sent, gathered) in all {
            assert_eq!(reduced[0], [sum, 10.0 * w - sum]);
            assert_eq!(reduced[1], [0.0, 10.0 - last]);
            assert_eq!(reduced[2], [last, 10.0]);
            assert_eq!(sent, [last, 10.0 - last]);
            let expected: Vec<f32> = (0..world).flat_map(|r| [r as f32, 10.0 - r as f32]).collect();
            assert_eq!(gathered, expected);
        }
    }
}

#[test]
fn a_sum_is_the_same_on_every_rank_to_the_bit() {
    let all = ranks(3, TIMEOUT, |group| {
        // Values whose sum depends on the order of its terms.
        let number = |i: u64| ((i * 2_654_435_761 + u64::from(group.rank()) * 97) % 1_000_003) as f32 * 1e-3;
        let mine: Vec<f32> = (0..100_003).map(number).collect();
        let mut tensor = Tensor::from_slice(&mine);
        group.all_reduce(&mut tensor, Reduce::Sum).unwrap();
        values(&tensor)
    });
    assert!(all[0] == all[1] && all[1] == all[2]);
}

#[test]
fn several_operations_may_be_under_way() {
    let all = ranks(2, TIMEOUT, |group| {
        let tensors: Vec<Tensor> = (1..=4)
            .map(|k| Tensor::full([1000 * k], k, (Kind::Float, Device::Cpu)))
            .collect();
        let works: Vec<_> = tensors
            .iter()
            .map(|tensor| group.all_reduce_start(tensor, Reduce::Sum).unwrap())
            .collect();
        works.into_iter().for_each(|work| work.wait().unwrap());
        tensors
            .iter()
            .map(|tensor| tensor.mean(Kind::Float).double_value(&[]))
            .collect::<Vec<_>>()
    });
    assert_eq!(all, vec![vec![2.0, 4.0, 6.0, 8.0]; 2]);
}

#[test]
fn a_rank_that_never_comes_is_an_error_within_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let file = Store::File {
        path: folder.path().join("store"),
    };
    // A port of this machine that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let serve = |serve| Store::Tcp {
        host: "127.0.0.1".to_owned(),
        port,
        serve,
    };
    for (store, rank) in [(file, 0), (serve(true), 0), (serve(false), 1)] {
        let started = Instant::now();
        let options = Options::new(store.clone(), rank, 2)
            .loopback()
            .timeout(Duration::from_secs(2));
        let error = Group::new(&options).unwrap_err();
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "{:?}",
            started.elapsed()
        );
        let text = error.to_string();
        assert!(matches!(error, C10dError::Rendezvous { .. }), "{text}");
        assert!(
            text.starts_with(&format!(
                "rank {rank} of 2 found no group at {store} (timeout 2 s): "
            )) && !text.contains('\n'),
            "{text}"
        );
    }
}

/// What two processes that come with these ranks and numbers of ranks are told.
fn two(first: (u32, u32), second: (u32, u32)) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let join = |(rank, world)| {
        let path = folder.path().join("store");
        let options = Options::new(Store::File { path }, rank, world)
            .loopback()
            .timeout(Duration::from_secs(2));
        Group::new(&options).map_or_else(|error| error.to_string(), |_| "joined".to_owned())
    };
    std::thread::scope(|scope| {
        let threads = [first, second].map(|who| scope.spawn(move || join(who)));
        threads.map(|thread| thread.join().unwrap())
    })
}

#[test]
fn ranks_that_do_not_fit_together_are_told() {
    let told = two((0, 2), (1, 3));
    assert!(
        told.iter()
            .any(|text| text.contains("rank 0 was started as one of 2 ranks, this one as one of 3")),
        "{told:?}"
    );
    assert!(told.iter().all(|text| text != "joined"), "{told:?}");
    let told = two((0, 2), (0, 2));
    assert!(
        told.iter().any(|text| text.contains("rank 0 has joined already")),
        "{told:?}"
    );
    assert!(told.iter().all(|text| text != "joined"), "{told:?}");
}

#[test]
fn a_port_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let store = Store::Tcp {
        host: "127.0.0.1".to_owned(),
        port,
        serve: true,
    };
    let error = Group::new(
        &Options::new(store, 0, 2)
            .loopback()
            .timeout(Duration::from_secs(5)),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains(&format!("tcp://127.0.0.1:{port}")),
        "{error}"
    );
}

#[test]
fn a_rank_that_leaves_ends_the_others() {
    let started = Instant::now();
    let all = ranks(2, TIMEOUT, |group| {
        let mut tensor = Tensor::ones([10], (Kind::Float, Device::Cpu));
        group.all_reduce(&mut tensor, Reduce::Sum).unwrap();
        if group.rank() == 1 {
            return None;
        }
        Some(
            group
                .all_reduce(&mut tensor, Reduce::Sum)
                .unwrap_err()
                .to_string(),
        )
    });
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "{:?}",
        started.elapsed()
    );
    let text = all[0].as_ref().unwrap();
    assert!(
        text.starts_with("rank 0: the all-reduce failed: ") && !text.contains('\n'),
        "{text}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_called() {
    let store = || Store::File {
        path: "unused".into(),
    };
    let message = |options: &Options| Group::new(options).unwrap_err().to_string();
    assert_eq!(
        message(&Options::new(store(), 0, 0)),
        "the number of ranks is 0; need 1 or more"
    );
    assert_eq!(
        message(&Options::new(store(), 2, 2)),
        "the rank is 2; need less than the number of ranks"
    );
    assert_eq!(
        message(&Options::new(store(), 0, 1).timeout(Duration::ZERO)),
        "the timeout is 0; need a time above 0"
    );
    let errors = ranks(1, TIMEOUT, |group| {
        let mut across = Tensor::ones([3, 4], (Kind::Float, Device::Cpu)).transpose(0, 1);
        [
            group
                .all_reduce(&mut across, Reduce::Sum)
                .unwrap_err()
                .to_string(),
            group
                .broadcast(&mut Tensor::ones([1], (Kind::Float, Device::Cpu)), 1)
                .unwrap_err()
                .to_string(),
        ]
    });
    assert_eq!(
        errors[0][0],
        "a tensor between processes is not contiguous; need a contiguous one"
    );
    assert_eq!(
        errors[0][1],
        "the rank to broadcast from is 1; need less than the number of ranks"
    );
}
