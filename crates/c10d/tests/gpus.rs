//! Tensors of GPUs between ranks; with as many ranks as this machine has CUDA devices, four at most.

#[path = "common/ranks.rs"]
mod common;

use std::time::{Duration, Instant};

use c10d::{C10dError, Group, Reduce, Route, has_nccl};
use common::{ranks, values};
use tch::{Cuda, Device, Tensor};

const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a rank waits for one that does not come.
const SOON: Duration = Duration::from_secs(3);

/// How many ranks can have a GPU of their own; says so where a test has to be left out.
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn gpus(needed: u32) -> Option<u32> {
    let found = if has_nccl() { Cuda::device_count() } else { 0 };
    let found = u32::try_from(found).unwrap_or(0).min(4);
    if found < needed {
        println!("left out: it needs {needed} CUDA devices and NCCL, here are {found}");
    }
    (found >= needed).then_some(found)
}

/// The GPU of a rank, after its group has found that such tensors go by NCCL.
fn by_nccl(group: &mut Group) -> Device {
    let device = Device::Cuda(group.rank() as usize);
    assert_eq!(group.route(device, true).unwrap(), Route::Nccl);
    device
}

#[test]
fn ranks_without_a_gpu_go_through_the_host() {
    for world in [1, 2] {
        let routes = ranks(world, TIMEOUT, |mut group| {
            let route = group.route(Device::Cpu, true).unwrap();
            let mut one = Tensor::from_slice(&[1.0_f32]);
            group.all_reduce(&mut one, Reduce::Sum).unwrap();
            (route, values(&one))
        });
        for (route, sum) in routes {
            assert_eq!(route, Route::NoGpus);
            assert_eq!(sum, [world as f32]);
        }
    }
}

#[test]
fn two_ranks_on_one_gpu_go_through_the_host() {
    if gpus(1).is_none() {
        return;
    }
    let found = ranks(2, TIMEOUT, |mut group| {
        let route = group.route(Device::Cuda(0), true).unwrap();
        let mut tensor = Tensor::from_slice(&[1.0_f32]).to_device(Device::Cuda(0));
        (route, group.all_reduce(&mut tensor, Reduce::Sum).unwrap_err())
    });
    for (route, refused) in found {
        assert_eq!(route, Route::Host("two ranks compute on one GPU"));
        assert!(matches!(refused, C10dError::Value { .. }), "{refused}");
    }
}

#[test]
fn tensors_of_gpus_are_exchanged_as_those_of_the_host() {
    let Some(world) = gpus(1) else {
        return;
    };
    let all = ranks(world, TIMEOUT, |mut group| {
        let rank = group.rank();
        let device = by_nccl(&mut group);
        let mut found = Vec::new();
        for place in [device, Device::Cpu] {
            let own = || Tensor::from_slice(&[rank as f32, 10.0 - rank as f32, 0.1]).to_device(place);
            for reduce in [Reduce::Sum, Reduce::Minimum, Reduce::Maximum] {
                let mut tensor = own();
                group.all_reduce(&mut tensor, reduce).unwrap();
                found.push(tensor);
            }
            let mut sent = own();
            group.broadcast(&mut sent, world - 1).unwrap();
            found.push(sent);
            let gathered = group.all_gather(&own()).unwrap();
            assert_eq!(gathered.device(), place);
            found.push(gathered);
        }
        let (of_gpu, of_host) = found.split_at(found.len() / 2);
        for (gpu, host) in of_gpu.iter().zip(of_host) {
            assert_eq!(values(&gpu.to_device(Device::Cpu)), values(host));
        }
        // So that nobody leaves whom others need.
        group.barrier().unwrap();
        of_host.iter().flat_map(values).collect::<Vec<_>>()
    });
    let (w, last) = (world as f32, (world - 1) as f32);
    assert_eq!(all[0][..2], [last * w / 2.0, 10.0 * w - last * w / 2.0]);
    assert!(all.iter().all(|of_rank| *of_rank == all[0]));
}

#[test]
fn a_rank_that_does_without_nccl_counts_for_all() {
    let Some(world) = gpus(1) else {
        return;
    };
    let routes = ranks(world, TIMEOUT, |mut group| {
        let wanted = group.rank() + 1 < world;
        group.route(Device::Cuda(group.rank() as usize), wanted).unwrap()
    });
    for route in routes {
        assert_eq!(route, Route::Host("a rank is told to do without NCCL"));
    }
}

#[test]
fn a_rank_that_is_gone_or_late_ends_a_sum_of_gpus() {
    let Some(world) = gpus(2) else {
        return;
    };
    // Rank 1 is gone, or does something else for a long time.
    for (timeout, elsewhere) in [(TIMEOUT, Duration::ZERO), (SOON, 3 * SOON)] {
        let told = ranks(world, timeout, |mut group| {
            let device = by_nccl(&mut group);
            group.barrier().unwrap();
            if group.rank() == 1 {
                std::thread::sleep(elsewhere);
                return None;
            }
            let started = Instant::now();
            let mut tensor = Tensor::from_slice(&[1.0_f32]).to_device(device);
            let error = group.all_reduce(&mut tensor, Reduce::Sum).unwrap_err();
            Some((error.to_string(), started.elapsed()))
        });
        for (error, elapsed) in told.into_iter().flatten() {
            assert!(elapsed < 2 * SOON, "{elapsed:?}");
            assert!(
                error.contains("the all-reduce failed: ") && !error.contains('\n'),
                "{error}"
            );
        }
    }
}

#[test]
fn a_sum_that_is_cut_off_is_no_sum() {
    let Some(world) = gpus(1) else {
        return;
    };
    let all = ranks(world, SOON, |mut group| {
        let device = by_nccl(&mut group);
        let tensor = Tensor::from_slice(&vec![1.0_f32; 4_000_000]).to_device(device);
        let work = group.all_reduce_start(&tensor, Reduce::Sum).unwrap();
        // The group is left while the sum is under way, or was a moment ago.
        drop(group);
        work.wait().map(|()| values(&tensor.to_device(Device::Cpu)))
    });
    for values in all.into_iter().flatten() {
        assert!(values.iter().all(|&value| value == world as f32));
    }
}
