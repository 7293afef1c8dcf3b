//! A piece of work in parts, which ranks do in turn.

use tch::Tensor;
use tch::kind::Element;

use super::{Comm, all, alone, of_ranks};
use crate::TrainError;

/// What all ranks have done together.
#[derive(Debug, Clone, PartialEq)]
pub struct Turns<T> {
    /// The values of each part, the same on every rank; empty for a part that was not done.
    pub parts: Vec<Vec<T>>,
    /// Whether the work was stopped. One process then has the parts before that; several have none.
    pub stopped: bool,
}

/// Deals parts to ranks: rank `r` of `w` does the parts `r`, `r + w`, ... by `work`, which gives as many values as `lengths` says,
/// or `None` if it was stopped. In the end every rank has the values of every part, which do not depend on the number of ranks. A rank
/// that fails or is stopped ends the work of all when they are through with their own parts.
///
/// # Errors
/// That of `work` on the rank where it failed; [`TrainError::Ranks`] on the others, which name `what`; another rank is gone or late.
pub fn in_turn<T: Element + Copy + Default>(
    comm: &dyn Comm,
    what: &'static str,
    lengths: &[usize],
    work: &mut dyn FnMut(usize) -> Result<Option<Vec<T>>, TrainError>,
) -> Result<Turns<T>, TrainError> {
    let world = comm.world() as usize;
    let mut parts: Vec<Vec<T>> = vec![Vec::new(); lengths.len()];
    let (mut stopped, mut outcome) = (false, Ok(()));
    for number in (comm.rank() as usize..lengths.len()).step_by(world) {
        match work(number) {
            Ok(Some(values)) => parts[number] = values,
            Ok(None) => stopped = true,
            Err(error) => outcome = Err(error),
        }
        if stopped || outcome.is_err() {
            break;
        }
    }
    if alone(comm) {
        outcome?;
        return Ok(Turns { parts, stopped });
    }
    let failed = !all(comm, outcome.is_ok())?;
    outcome?;
    if failed {
        return Err(TrainError::Ranks {
            rank: comm.rank(),
            reason: format!("another rank failed at its {what}; see what it says"),
        });
    }
    stopped = !all(comm, !stopped)?;
    if stopped {
        parts.iter_mut().for_each(Vec::clear);
        return Ok(Turns { parts, stopped });
    }
    let fail = TrainError::tensor("the work of all ranks");
    for (number, (values, &len)) in parts.iter_mut().zip(lengths).enumerate() {
        if len == 0 {
            continue;
        }
        values.resize(len, T::default());
        let mut tensor = Tensor::f_from_slice(values).map_err(&fail)?;
        comm.broadcast(&mut tensor, (number % world) as u32)?;
        tensor.f_copy_data(values, len).map_err(&fail)?;
    }
    Ok(Turns { parts, stopped })
}

/// The largest of a number that each rank has, 0 or more.
///
/// # Errors
/// Another rank is gone or late.
pub fn largest(comm: &dyn Comm, value: u64) -> Result<u64, TrainError> {
    let values = of_ranks(comm, value as f64)?;
    Ok(values.into_iter().fold(0.0, f64::max) as u64)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::super::{ThreadRank, threads};
    use super::{Turns, in_turn, largest};
    use crate::TrainError;

    const LENGTHS: [usize; 5] = [3, 1, 0, 4, 2];

    fn part(number: usize) -> Vec<f64> {
        (0..LENGTHS[number])
            .map(|i| 0.1 + (10 * number + i) as f64)
            .collect()
    }

    /// What a rank gets, and which parts it did.
    type Found = (Result<Turns<f64>, TrainError>, Vec<usize>);

    /// Of each rank, whose parts are made by `work`.
    fn run(world: u32, work: fn(usize) -> Result<Option<Vec<f64>>, TrainError>) -> Vec<Found> {
        let rank = |rank: ThreadRank| {
            let mut own = Vec::new();
            let turns = in_turn(&rank, "parts", &LENGTHS, &mut |number| {
                own.push(number);
                work(number)
            });
            (turns, own)
        };
        thread::scope(|scope| {
            let started: Vec<_> = threads(world, Duration::from_secs(20))
                .into_iter()
                .map(|of| scope.spawn(move || rank(of)))
                .collect();
            started
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        })
    }

    #[test]
    fn every_rank_has_all_parts_and_each_was_done_once() {
        for world in [1, 2, 3, 5, 8] {
            let ranks = run(world, |number| Ok(Some(part(number))));
            let mut all: Vec<usize> = ranks.iter().flat_map(|(_, own)| own.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4], "{world}");
            for (turns, _) in ranks {
                let turns = turns.expect("no failure");
                assert!(!turns.stopped);
                assert_eq!(turns.parts, (0..5).map(part).collect::<Vec<_>>(), "{world}");
            }
        }
    }

    #[test]
    fn a_stop_and_a_failure_are_those_of_all() {
        // Alone, what was done before the stop is kept.
        let alone = run(1, |number| Ok((number < 3).then(|| part(number)))).remove(0);
        let turns = alone.0.expect("no failure");
        assert!(turns.stopped);
        assert_eq!(turns.parts, [part(0), part(1), vec![], vec![], vec![]]);
        assert_eq!(alone.1, [0, 1, 2, 3]);
        for (turns, _) in run(3, |number| Ok((number != 1).then(|| part(number)))) {
            let turns = turns.expect("no failure");
            assert!(turns.stopped && turns.parts.iter().all(Vec::is_empty));
        }
        let broken = |number| match number {
            4 => Err(TrainError::Usage("the fifth part".to_owned())),
            _ => Ok(Some(part(number))),
        };
        let messages: Vec<String> = run(3, broken)
            .into_iter()
            .map(|(turns, _)| turns.expect_err("a failure").to_string())
            .collect();
        assert!(messages[1].contains("the fifth part"), "{messages:?}");
        for rank in [0, 2] {
            let told = format!("rank {rank}");
            assert!(
                messages[rank].contains(&told) && messages[rank].contains("another rank failed at its parts"),
                "{messages:?}"
            );
        }
    }

    #[test]
    fn the_largest_number_is_found_wherever_it_is() {
        for at in 0..3 {
            thread::scope(|scope| {
                for rank in threads(3, Duration::from_secs(20)) {
                    scope.spawn(move || {
                        let own = if super::Comm::rank(&rank) == at { 77 } else { 5 };
                        assert_eq!(largest(&rank, own).expect("no failure"), 77);
                    });
                }
            });
        }
    }
}
