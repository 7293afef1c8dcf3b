//! Sums between the ranks of one machine, through memory that they share.
//!
//! Between processes of one machine Gloo's bytes go through sockets, two threads and the scheduler, twice; here they are copied once and
//! read once, and a rank that waits does so awake. As with Gloo every rank gets the same bits: each sums one part, in the order of the
//! ranks, and all take it from there (the reduce-scatter and all-gather of R. Thakur, R. Rabenseifner and W. Gropp, Optimization of
//! collective communication operations in MPICH, 2005, in pieces that stay in the caches).

use std::cell::Cell;
use std::fs::{File, OpenOptions, remove_file};
use std::hash::{BuildHasher, RandomState};
use std::hint::spin_loop;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use tch::Tensor;

use crate::memory::{Memory, Number, PLACE, numbers};
use crate::{C10dError, Group, Reduce};

/// Where files are memory.
const FOLDER: &str = "/dev/shm";
/// Looks at a counter before the clock is asked.
const LOOKS: u32 = 2_000;
/// How long a rank waits awake; then it looks every millisecond.
const AWAKE: Duration = Duration::from_millis(50);
/// How often it looks whether the rank that it waits for lives.
const PULSE: Duration = Duration::from_millis(50);

/// A rank's side of the memory. All ranks sum the same tensors in the same order.
#[derive(Debug)]
pub struct Shared {
    memory: Memory,
    rank: usize,
    /// A file of each rank, locked by it as long as it lives; the lock of the own one is held here.
    pulses: Vec<File>,
    timeout: Duration,
    meetings: Cell<u64>,
}

impl Shared {
    /// The memory of a group whose ranks are all on this machine. `None` for other groups, where the system has no such memory or is
    /// short of it, and where a rank does not want it. All ranks of the group call it. It takes 2 MiB a rank; its files have no names
    /// any more when it returns.
    ///
    /// # Errors
    /// Another rank is gone or late.
    pub fn join(group: &Group, wanted: bool) -> Result<Option<Self>, C10dError> {
        if group.world() == 1 {
            return Ok(None);
        }
        let names = Names::common(group)?;
        let made = wanted.then(|| names.make().ok()).flatten();
        // Only what is there on every rank can be opened by every rank.
        let ready = agree(group, made.is_some())?;
        let opened = made.filter(|_| ready).and_then(|own| names.open(own).ok());
        let joined = agree(group, opened.is_some())?;
        Ok(opened.filter(|_| joined).map(|(memory, pulses)| Self {
            memory,
            rank: names.rank,
            pulses,
            timeout: group.timeout(),
            meetings: Cell::new(0),
        }))
    }

    /// Sums a contiguous tensor of `f32` or `f64` on the host in place, to the same bits on every rank; `false`, with nothing done, for
    /// other tensors.
    ///
    /// # Errors
    /// Another rank is gone or late; the memory is of no use then.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<bool, C10dError> {
        if let Some(values) = numbers::<f32>(tensor) {
            self.sum_pieces(values)?;
        } else if let Some(values) = numbers::<f64>(tensor) {
            self.sum_pieces(values)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn sum_pieces<T: Number>(&self, values: &mut [T]) -> Result<(), C10dError> {
        values
            .chunks_mut(PLACE / size_of::<T>())
            .try_for_each(|piece| self.sum_piece(piece))
    }

    fn sum_piece<T: Number>(&self, values: &mut [T]) -> Result<(), C10dError> {
        let (count, ranks) = (values.len(), self.pulses.len());
        let part = |rank: usize| -> Range<usize> { count * rank / ranks..count * (rank + 1) / ranks };
        // Places by turns: who writes to one has met all others since they read it.
        let place = |rank: usize| (rank, (self.meetings.get() / 2 % 2) as usize);
        let places: Vec<(usize, usize)> = (0..ranks).map(place).collect();
        let own = part(self.rank);

        self.memory.put(places[self.rank], 0..count, values);
        self.meet()?;
        let sums = &mut values[own.clone()];
        self.memory.get(places[0], own.clone(), sums);
        for place in &places[1..] {
            self.memory.add(*place, own.clone(), sums);
        }
        // This part of the own place nobody else reads before the next meeting.
        self.memory.put(places[self.rank], own, sums);
        self.meet()?;
        for rank in (0..ranks).filter(|rank| *rank != self.rank) {
            self.memory.get(places[rank], part(rank), &mut values[part(rank)]);
        }
        Ok(())
    }

    /// Waits until all ranks have come here.
    fn meet(&self) -> Result<(), C10dError> {
        let number = self.meetings.get() + 1;
        self.meetings.set(number);
        self.memory.arrive(self.rank, number);
        (0..self.pulses.len()).try_for_each(|other| self.wait(other, number))
    }

    fn wait(&self, other: usize, number: u64) -> Result<(), C10dError> {
        for _ in 0..LOOKS {
            if self.memory.arrived(other, number) {
                return Ok(());
            }
            spin_loop();
        }
        let fail = |reason: String| C10dError::Operation {
            rank: self.rank as u32,
            operation: "the sum over ranks",
            reason,
        };
        let started = Instant::now();
        let mut next_pulse = PULSE;
        while !self.memory.arrived(other, number) {
            let waited = started.elapsed();
            if waited >= next_pulse {
                next_pulse = waited + PULSE;
                // A rank may come and end at once.
                if !lives(&self.pulses[other]) && !self.memory.arrived(other, number) {
                    return Err(fail(format!("rank {other} is gone")));
                }
                if waited >= self.timeout {
                    let timeout = self.timeout.as_secs_f64();
                    return Err(fail(format!("rank {other} did not come within {timeout} s")));
                }
            }
            if waited < AWAKE {
                yield_now();
            } else {
                sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

/// Whether the rank that has locked its file still does.
fn lives(pulse: &File) -> bool {
    !matches!(pulse.try_lock_shared(), Ok(()))
}

/// Whether something holds on every rank.
fn agree(group: &Group, holds: bool) -> Result<bool, C10dError> {
    let mut least = Tensor::from_slice(&[i32::from(holds)]);
    group.all_reduce(&mut least, Reduce::Minimum)?;
    Ok(i32::try_from(least).is_ok_and(|least| least == 1))
}

/// The files of a group; what this rank has made loses its name with this.
struct Names {
    prefix: String,
    rank: usize,
    world: usize,
}

impl Names {
    /// Names that no other group has: rank 0 draws them.
    fn common(group: &Group) -> Result<Self, C10dError> {
        let drawn = [
            RandomState::new().hash_one(0_u8),
            RandomState::new().hash_one(1_u8),
        ];
        let mut sent = Tensor::from_slice(&drawn.map(u64::cast_signed));
        group.broadcast(&mut sent, 0)?;
        let [high, low] = [0, 1].map(|i| sent.int64_value(&[i]));
        Ok(Self {
            prefix: format!("{FOLDER}/sde-ranks-{high:016x}{low:016x}"),
            rank: group.rank() as usize,
            world: group.world() as usize,
        })
    }

    fn memory(&self) -> PathBuf {
        self.prefix.clone().into()
    }

    fn pulse(&self, rank: usize) -> PathBuf {
        format!("{}-{rank}", self.prefix).into()
    }

    /// Makes and locks the own file; rank 0 makes the memory, too, all of it, since a page that cannot be had later ends the process.
    fn make(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let create = |path| options.open(path);
        if self.rank == 0 {
            let zeros = io::repeat(0).take(Memory::bytes(self.world) as u64);
            io::copy(&mut { zeros }, &mut create(self.memory())?)?;
        }
        let own = create(self.pulse(self.rank))?;
        own.lock()?;
        Ok(own)
    }

    /// The memory and the files of all ranks, of which each must live.
    fn open(&self, own: File) -> io::Result<(Memory, Vec<File>)> {
        let file = OpenOptions::new().read(true).write(true).open(self.memory())?;
        let memory = Memory::map(&file, self.world)?;
        let mut pulses = Vec::with_capacity(self.world);
        for rank in 0..self.world {
            let pulse = File::open(self.pulse(rank))?;
            if !lives(&pulse) {
                return Err(io::ErrorKind::NotFound.into());
            }
            pulses.push(pulse);
        }
        pulses[self.rank] = own;
        Ok((memory, pulses))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // What is not there needs no taking away.
        let _ = remove_file(self.pulse(self.rank));
        if self.rank == 0 {
            let _ = remove_file(self.memory());
        }
    }
}
