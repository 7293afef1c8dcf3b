//! Evaluations whose derivatives will be differentiated again, as sliced score matching does. libtorch's fused attention has a first
//! derivative only; the layers ask the thread that evaluates them, as for [`Precision`](crate::Precision).

use std::cell::Cell;

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Puts back what was before, also when a panic passes.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        WANTED.set(self.0);
    }
}

/// Runs `f` with the layers of this thread made of steps that can be differentiated any number of times. Attention then takes the
/// memory of its matrix of weights.
pub fn twice_differentiable<T>(f: impl FnOnce() -> T) -> T {
    let _restore = Restore(WANTED.replace(true));
    f()
}

/// Whether second derivatives are wanted.
pub(crate) fn wanted() -> bool {
    WANTED.get()
}
