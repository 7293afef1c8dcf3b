//! Repeatable draws from libtorch's generator, which is one for all threads of a program.

use std::sync::{Mutex, PoisonError};

/// Seeds libtorch's generator, runs `draw`, and lets no other caller of this function draw meanwhile: initial weights,
/// dropout masks and random tensors made inside depend on `seed` alone, whatever other threads do, as long as they too
/// draw inside this function. (`tch::manual_seed` followed by a draw promises nothing when two threads do it.)
///
/// The lock is not reentrant: `draw` must not call this function.
pub fn seeded<T>(seed: i64, draw: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // A panic inside `draw` leaves nothing half-done: the next caller seeds anew.
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    #[allow(clippy::disallowed_methods, reason = "the one place that holds the lock")]
    tch::manual_seed(seed);
    draw()
}
