//! Who computes: one process on all its threads, or several that share the work.

use rayon::prelude::*;

use super::MetricError;

/// Computes tasks, each of which gives so many numbers that depend on nothing but the task. So the results have the same bits whoever
/// does which.
pub trait Team {
    /// The numbers of all tasks: `lengths[task]` of each, as `work` gives them, done by one member of the team each.
    ///
    /// # Errors
    /// [`MetricError::Team`] if another member failed or is gone.
    fn share(
        &self,
        lengths: &[usize],
        work: &(dyn Fn(usize) -> Vec<f64> + Sync),
    ) -> Result<Vec<Vec<f64>>, MetricError>;
}

/// This process by itself, on the threads of rayon's pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Team for Alone {
    fn share(
        &self,
        lengths: &[usize],
        work: &(dyn Fn(usize) -> Vec<f64> + Sync),
    ) -> Result<Vec<Vec<f64>>, MetricError> {
        Ok((0..lengths.len()).into_par_iter().map(work).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use super::super::testing::normals;
    use super::super::{MetricError, Options, Reference, evaluate, evaluate_by};
    use super::Team;

    /// One of two threads: it does every second task, and finds what the other did in a common place.
    struct Half<'a> {
        odd: bool,
        done: &'a [Mutex<Vec<Vec<f64>>>; 2],
        both: &'a Barrier,
    }

    impl Team for Half<'_> {
        fn share(
            &self,
            lengths: &[usize],
            work: &(dyn Fn(usize) -> Vec<f64> + Sync),
        ) -> Result<Vec<Vec<f64>>, MetricError> {
            let own = usize::from(self.odd);
            let values = (own..lengths.len()).step_by(2).map(work).collect();
            *self.done[own].lock().expect("no panic") = values;
            self.both.wait();
            let lists = self
                .done
                .each_ref()
                .map(|list| list.lock().expect("no panic").clone());
            self.both.wait();
            let all: Vec<Vec<f64>> = (0..lengths.len())
                .map(|task| lists[task % 2][task / 2].clone())
                .collect();
            assert!(all.iter().map(Vec::len).eq(lengths.iter().copied()));
            Ok(all)
        }
    }

    #[test]
    fn two_who_share_get_the_bits_of_one() {
        let (samples, data, held_out) = (normals(300, 6, 1), normals(700, 6, 2), normals(90, 6, 3));
        let labels: Vec<u32> = (0..700).map(|row| row % 3).collect();
        for held_out in [None, Some(held_out.view())] {
            let reference = Reference {
                rows: data.view(),
                labels: Some(&labels),
                held_out,
                features: None,
            };
            let options = Options {
                channels: Some(1),
                max_rows: 500,
                ..Options::default()
            };
            let alone = evaluate(samples.view(), &reference, &options).expect("defined");
            let (done, both) = (Default::default(), Barrier::new(2));
            thread::scope(|scope| {
                for odd in [false, true] {
                    let (done, both, options, reference, samples) =
                        (&done, &both, &options, &reference, &samples);
                    let member = Half { odd, done, both };
                    let work = move || evaluate_by(&member, samples.view(), reference, options);
                    let found = scope.spawn(work);
                    let alone = &alone;
                    scope.spawn(move || {
                        let found = found.join().expect("no panic").expect("defined");
                        assert!(found == *alone, "{found:?} {alone:?}");
                    });
                }
            });
        }
    }
}
