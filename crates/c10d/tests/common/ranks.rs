//! Groups of threads, for tests.

use std::time::Duration;

use c10d::{Group, Options, Store};
use tch::Tensor;

/// What every rank of a group of threads, which meet in a file, makes of `work`.
pub fn ranks<T: Send>(world: u32, timeout: Duration, work: impl Fn(Group) -> T + Sync) -> Vec<T> {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::File {
        path: folder.path().join("store"),
    };
    std::thread::scope(|scope| {
        let start = |rank| {
            let (work, store) = (&work, store.clone());
            scope.spawn(move || {
                let options = Options::new(store, rank, world).loopback().timeout(timeout);
                work(Group::new(&options).unwrap())
            })
        };
        let threads: Vec<_> = (0..world).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.reshape([-1])).unwrap()
}
