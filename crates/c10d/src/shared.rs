//! Sums between the ranks of one machine, through memory that they share.
//!
//! Between processes of one machine Gloo's bytes pass sockets, two more threads a rank and the scheduler; here each rank writes its
//! numbers once, for all to read, and one that waits does so awake. As with Gloo every rank gets the same bits: each sums one part, in the
//! order of the ranks, and all take it from there (the reduce-scatter and all-gather of R. Thakur, R. Rabenseifner and W. Gropp,
//! Optimization of collective communication operations in MPICH, 2005), in pieces that stay in the caches.

use std::cell::{Cell, OnceCell};
use std::fs::{File, OpenOptions, remove_file};
use std::hash::{BuildHasher, RandomState};
use std::hint::spin_loop;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{available_parallelism, sleep, yield_now};
use std::time::{Duration, Instant};

use tch::Tensor;

use crate::memory::{Number, PLACE, Part, numbers};
use crate::{C10dError, Group, Reduce};

/// Looks at the counters before the clock is asked.
const LOOKS: u32 = 1_000;
/// How long a rank waits awake where each has a core, and where not; then it looks every millisecond.
const AWAKE: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(1)];
/// How often it looks whether the ranks that it waits for live.
const PULSE: Duration = Duration::from_millis(50);

/// A rank's side of the memory. All ranks sum tensors of the same kinds and sizes in the same order.
#[derive(Debug)]
pub struct Shared {
    rank: usize,
    parts: Vec<Part>,
    /// The file of each rank, locked by it as long as it lives; the own lock is held here.
    pulses: Vec<File>,
    timeout: Duration,
    awake: Duration,
    meetings: Cell<u64>,
    broken: OnceCell<C10dError>,
}

impl Shared {
    /// Where files are memory on this machine: `/dev/shm`, if it is what Linux makes it.
    pub fn folder() -> Option<&'static Path> {
        let folder = Path::new("/dev/shm");
        #[cfg(target_os = "linux")]
        {
            /// `TMPFS_MAGIC`.
            const MEMORY: i128 = 0x0102_1994;
            let found = rustix::fs::statfs(folder).ok()?;
            (i128::from(found.f_type) == MEMORY).then_some(folder)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Memory in files of `folder`, if all ranks of the group are on this machine and see that folder. `None` otherwise, and where a
    /// rank has no folder or no room in it. All ranks of the group call it. Each takes 2 MiB; the files have no names any more when it
    /// returns (a process that is killed within it can leave its own).
    ///
    /// # Errors
    /// Another rank is gone or late.
    pub fn join(group: &Group, folder: Option<&Path>) -> Result<Option<Self>, C10dError> {
        if group.world() == 1 {
            return Ok(None);
        }
        let names = Names::common(group, folder)?;
        // What one rank lacks no rank uses.
        let made = all(group, names.make().ok())?;
        let opened = all(group, made.and_then(|own| names.open(own).ok()))?;
        // Files of one name on two machines are not one file, whatever their locks say.
        if let Some((parts, _)) = &opened {
            parts[names.rank].arrive(1, 0);
        }
        let opened = all(group, opened)?;
        let met = opened.filter(|(parts, _)| parts.iter().all(|part| part.arrived(1)));
        let met = all(group, met)?;
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(met.map(|(parts, pulses)| Self {
            rank: names.rank,
            awake: AWAKE[usize::from(parts.len() > cores)],
            parts,
            pulses,
            timeout: group.timeout(),
            meetings: Cell::new(1),
            broken: OnceCell::new(),
        }))
    }

    /// Waits for others so long, not as long as the group.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sums a contiguous tensor of `f32` or `f64` on the host in place, to the same bits on every rank; `false`, with nothing done, for
    /// other dense tensors. As in every operation in place, nobody else uses the tensor's storage meanwhile.
    ///
    /// # Errors
    /// Another rank is gone, late, or sums something else; then the tensor's values are of no use, and all further sums are the same error.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<bool, C10dError> {
        if let Some(error) = self.broken.get() {
            return Err(error.clone());
        }
        let summed = if let Some(values) = numbers::<f32>(tensor) {
            self.sum_numbers(values)
        } else if let Some(values) = numbers::<f64>(tensor) {
            self.sum_numbers(values)
        } else {
            return Ok(false);
        };
        match summed {
            Ok(()) => Ok(true),
            Err(reason) => Err(self
                .broken
                .get_or_init(|| C10dError::Operation {
                    rank: self.rank as u32,
                    operation: "the sum over ranks",
                    reason,
                })
                .clone()),
        }
    }

    fn sum_numbers<T: Number>(&self, mut values: &mut [T]) -> Result<(), String> {
        let started = Instant::now();
        while !values.is_empty() {
            // What a rank says of its sum: how many numbers are left, of how many bytes.
            let left = (values.len() as u64) << 4 | size_of::<T>() as u64;
            let (piece, rest) = values.split_at_mut(values.len().min(PLACE / size_of::<T>()));
            self.sum_piece(piece, left, started)?;
            values = rest;
        }
        Ok(())
    }

    fn sum_piece<T: Number>(&self, values: &mut [T], left: u64, started: Instant) -> Result<(), String> {
        let (count, ranks) = (values.len(), self.parts.len());
        let share = |rank: usize| -> Range<usize> { count * rank / ranks..count * (rank + 1) / ranks };
        let (own, own_share) = (&self.parts[self.rank], share(self.rank));
        // By turns: all have been met since they read this place.
        let place = (self.meetings.get() / 2 % 2) as usize;

        own.put(place, 0, values);
        self.meet(left, started)?;
        self.compare(left)?;
        let sums = &mut values[own_share.clone()];
        self.parts[0].get(place, own_share.start, sums);
        for part in &self.parts[1..] {
            part.add(place, own_share.start, sums);
        }
        // Of the own place nobody else reads this share before the next meeting.
        own.put(place, own_share.start, sums);
        self.meet(left, started)?;
        for (rank, part) in self.parts.iter().enumerate() {
            if rank != self.rank {
                part.get(place, share(rank).start, &mut values[share(rank)]);
            }
        }
        Ok(())
    }

    /// Waits until all ranks have come here.
    fn meet(&self, left: u64, started: Instant) -> Result<(), String> {
        let number = self.meetings.get() + 1;
        self.meetings.set(number);
        self.parts[self.rank].arrive(number, left);
        self.wait(number, started)
    }

    /// Refuses ranks that sum something else; between the two meetings of a piece, when no rank is at another piece.
    fn compare(&self, left: u64) -> Result<(), String> {
        let words = self.parts.iter().map(Part::word).enumerate();
        match words.into_iter().find(|(_, word)| *word != left) {
            Some((other, word)) => {
                let said = |word: u64| format!("{} numbers of {} bytes", word >> 4, word & 15);
                Err(format!(
                    "rank {other} has {} left to sum, this rank {}",
                    said(word),
                    said(left)
                ))
            }
            None => Ok(()),
        }
    }

    fn wait(&self, number: u64, started: Instant) -> Result<(), String> {
        let missing = |rank: &usize| !self.parts[*rank].arrived(number);
        let ranks = 0..self.parts.len();
        for _ in 0..LOOKS {
            if !ranks.clone().any(|rank| missing(&rank)) {
                return Ok(());
            }
            spin_loop();
        }
        let begun = Instant::now();
        let mut next_pulse = PULSE;
        while let Some(late) = ranks.clone().find(missing) {
            let waited = begun.elapsed();
            if waited >= next_pulse {
                next_pulse = waited + PULSE;
                // A rank may come and end at once.
                let gone = |rank: &usize| !lives(&self.pulses[*rank]) && missing(rank);
                if let Some(gone) = ranks.clone().filter(missing).find(gone) {
                    return Err(format!("rank {gone} is gone"));
                }
                if started.elapsed() >= self.timeout {
                    let timeout = self.timeout.as_secs_f64();
                    return Err(format!("rank {late} did not come within {timeout} s"));
                }
            }
            if waited < self.awake {
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
    pulse.try_lock_shared().is_err()
}

/// What this rank has, if every rank has something.
fn all<T>(group: &Group, own: Option<T>) -> Result<Option<T>, C10dError> {
    let mut least = Tensor::from_slice(&[i32::from(own.is_some())]);
    group.all_reduce(&mut least, Reduce::Minimum)?;
    Ok(own.filter(|_| least.int64_value(&[0]) == 1))
}

/// The names of a group's files, one a rank. The own one is taken away with this.
struct Names {
    /// Path without the rank's number.
    stem: Option<String>,
    rank: usize,
    world: usize,
}

impl Names {
    /// Names that no other group has: rank 0 draws them.
    fn common(group: &Group, folder: Option<&Path>) -> Result<Self, C10dError> {
        let drawn = [0_u8, 1].map(|part| RandomState::new().hash_one(part).cast_signed());
        let mut sent = Tensor::from_slice(&drawn);
        group.broadcast(&mut sent, 0)?;
        let [high, low] = [0, 1].map(|part| sent.int64_value(&[part]));
        Ok(Self {
            stem: folder
                .and_then(Path::to_str)
                .map(|folder| format!("{folder}/sde-ranks-{high:016x}{low:016x}")),
            rank: group.rank() as usize,
            world: group.world() as usize,
        })
    }

    fn path(&self, rank: usize) -> io::Result<PathBuf> {
        let stem = self.stem.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(format!("{stem}-{rank}").into())
    }

    /// Makes and locks the own file, all of it: a page that cannot be had later ends the process.
    fn make(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let mut own = options.open(self.path(self.rank)?)?;
        io::copy(&mut io::repeat(0).take(Part::BYTES as u64), &mut own)?;
        own.lock()?;
        Ok(own)
    }

    /// The parts and files of all ranks, of which each must live.
    fn open(&self, own: File) -> io::Result<(Vec<Part>, Vec<File>)> {
        let mut pulses = Vec::with_capacity(self.world);
        for rank in 0..self.world {
            let pulse = OpenOptions::new().read(true).write(true).open(self.path(rank)?)?;
            if !lives(&pulse) {
                return Err(io::ErrorKind::NotFound.into());
            }
            pulses.push(pulse);
        }
        pulses[self.rank] = own;
        let parts = pulses.iter().map(Part::map).collect::<io::Result<_>>()?;
        Ok((parts, pulses))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // What is not there needs no taking away.
        let _ = self.path(self.rank).and_then(remove_file);
    }
}
