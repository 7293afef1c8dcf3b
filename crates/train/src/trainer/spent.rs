//! Where the time of training steps goes.

use std::time::{Duration, Instant};

use serde::Serialize;

/// What a step does, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Waiting for the batch that the thread makes, and bringing it to the device.
    Data,
    /// The loss, with the network's forward pass in it.
    Forward,
    /// The backward pass.
    Backward,
    /// The gradient's norm and its way to the host, which waits for everything before it.
    Norm,
    /// AdamW, with clipping and averages.
    Optimiser,
    /// Sums of gradients and losses over the ranks, with the waiting for them.
    Exchange,
}

/// Sums over the steps of a trainer since it was made. A processor's kernels are over when libtorch returns; those of an
/// accelerator are not, and what they take is found where the host waits for them, in [`Part::Norm`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    steps: u64,
    whole: Duration,
    parts: [Duration; 6],
}

impl Spent {
    /// Steps that were counted.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// All of the time that steps took.
    pub fn whole(&self) -> Duration {
        self.whole
    }

    /// What one part took.
    pub fn part(&self, part: Part) -> Duration {
        self.parts[part as usize]
    }

    /// As shares of the whole; `None` before the first step.
    pub fn shares(&self) -> Option<Shares> {
        let whole = self.whole.as_secs_f64();
        let share = |part| self.part(part).as_secs_f64() / whole;
        let rest = 1.0 - self.parts.iter().sum::<Duration>().as_secs_f64() / whole;
        (whole > 0.0).then(|| Shares {
            data: share(Part::Data),
            forward: share(Part::Forward),
            backward: share(Part::Backward),
            norm: share(Part::Norm),
            optimiser: share(Part::Optimiser),
            exchange: share(Part::Exchange),
            rest,
        })
    }

    /// What `work` takes, counted to a part.
    pub(super) fn on<T>(&mut self, part: Part, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(part, start);
        result
    }

    /// What was done since `start`, counted to a part.
    pub(super) fn add(&mut self, part: Part, start: Instant) {
        self.parts[part as usize] += start.elapsed();
    }

    /// A step is over that began at `start`.
    pub(super) fn step(&mut self, start: Instant) {
        self.steps += 1;
        self.whole += start.elapsed();
    }
}

/// Parts of a step's time; their sum is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // Named as the parts are.
pub struct Shares {
    pub data: f64,
    pub forward: f64,
    pub backward: f64,
    pub norm: f64,
    pub optimiser: f64,
    pub exchange: f64,
    /// Neither of the others: schedules, seeds, counters, metrics.
    pub rest: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_rest_are_the_whole() {
        let mut spent = Spent::default();
        assert_eq!(spent.shares(), None);
        for _ in 0..2 {
            let start = Instant::now();
            spent.on(Part::Forward, || std::thread::sleep(Duration::from_millis(20)));
            spent.on(Part::Norm, || std::thread::sleep(Duration::from_millis(1)));
            std::thread::sleep(Duration::from_millis(5));
            spent.step(start);
        }
        let shares = spent.shares().unwrap();
        assert_eq!(spent.steps(), 2);
        assert!(spent.part(Part::Forward) >= Duration::from_millis(40));
        assert!(spent.whole() >= spent.part(Part::Forward) + Duration::from_millis(12));
        assert_eq!((shares.data, shares.backward, shares.optimiser), (0.0, 0.0, 0.0));
        assert!(shares.rest > 0.0 && shares.norm > 0.0);
        let sum = shares.forward + shares.norm + shares.rest;
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}
