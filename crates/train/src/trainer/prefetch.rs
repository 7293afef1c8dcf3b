//! The next batch, made by a thread of its own while the step computes.
//!
//! A batch is a function of its [`Address`] alone, so that it is the same whoever makes it, and when: a run is the same to the bit with
//! and without the thread, and a batch that was made for nothing (after a checkpoint is restored, or when the training ends) leaves no
//! trace. The thread makes one batch ahead, waits, and ends with its [`Prefetch`]. It calls nothing of libtorch.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use tch::{Device, Kind, Tensor};

use super::order::Order;
use crate::loss::{DrawSource, HostDraw};
use crate::{Dataset, RunConfig, TrainError, Visit};

/// Which batch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Number of the step, from 0.
    pub step: u64,
    /// Rows that the steps before it have seen.
    pub images: u64,
    /// Number of the batch in its step, from 0.
    pub piece: u64,
}

/// Rows of the data, and the numbers drawn for them.
#[derive(Debug, Default)]
pub struct Batch {
    /// Numbers of the rows in the data set.
    pub rows: Vec<u64>,
    /// Their values, row after row.
    pub values: Vec<f32>,
    /// Times, ratios and noise.
    pub draw: HostDraw,
}

/// Makes batches.
#[derive(Debug)]
pub struct BatchMaker {
    /// The data.
    pub data: Arc<dyn Dataset>,
    /// Rows that training sees, by number in the data set.
    pub train_rows: Vec<u64>,
    /// In which order.
    pub order: Order,
    /// Times and noise.
    pub draws: DrawSource,
    /// Rows of a batch, of all ranks.
    pub count: u64,
    /// Those that this rank makes, of the rows `0..count`.
    pub part: Range<u64>,
    /// Batches of a step.
    pub pieces: u64,
}

/// What makes the batches of a rank that has `part` of the rows of each.
pub(super) fn batch_maker(
    config: &RunConfig,
    data: &Arc<dyn Dataset>,
    train_rows: Vec<u64>,
    draws: &DrawSource,
    part: Range<u64>,
) -> BatchMaker {
    BatchMaker {
        data: Arc::clone(data),
        order: Order::new(config.seed, train_rows.len()),
        train_rows,
        draws: draws.clone(),
        count: config.train.batch,
        part,
        pieces: config.train.accumulate,
    }
}

/// Where a batch of so many rows lies.
pub(super) fn batch_tensor(rows: u64, data: &dyn Dataset, device: Device) -> Result<Tensor, TrainError> {
    let mut size = vec![i64::try_from(rows).unwrap_or(i64::MAX)];
    size.extend_from_slice(data.shape());
    Tensor::f_zeros(size.as_slice(), (Kind::Float, device)).map_err(TrainError::tensor("the batch"))
}

impl BatchMaker {
    /// The batch at an address, into buffers that are used again.
    ///
    /// # Errors
    /// The data set fails.
    pub fn fill(&mut self, at: Address, batch: &mut Batch) -> Result<(), TrainError> {
        let (row_len, seed) = (self.data.row_len(), self.draws.seed);
        let count = self.part.end - self.part.start;
        let rows = usize::try_from(count).expect("invariant: a batch fits in memory");
        let first_slot = at.piece * self.count + self.part.start;
        batch.rows.clear();
        batch.values.resize(rows * row_len, 0.0);
        for (epoch, piece) in self.order.pieces(at.images + first_slot, count) {
            let from = batch.rows.len();
            let number = |row: u64| {
                self.train_rows[usize::try_from(row).expect("invariant: the order counts rows in memory")]
            };
            batch.rows.extend(piece.into_iter().map(number));
            let (rows, values) = (&batch.rows[from..], &mut batch.values[from * row_len..]);
            let values = &mut values[..rows.len() * row_len];
            self.data.read(rows, Visit { seed, epoch }, values)?;
        }
        self.draws.fill(
            at.step,
            first_slot,
            rows,
            self.count * self.pieces,
            row_len,
            &mut batch.draw,
        );
        Ok(())
    }

    /// The address of the batch that follows.
    fn after(&self, at: Address) -> Address {
        match at.piece + 1 {
            piece if piece < self.pieces => Address { piece, ..at },
            _ => Address {
                step: at.step + 1,
                images: at.images + self.count * self.pieces,
                piece: 0,
            },
        }
    }

    /// As [`BatchMaker::fill`]; a panic of the data set becomes an error.
    fn fill_safely(&mut self, at: Address, batch: &mut Batch) -> Result<(), TrainError> {
        catch_unwind(AssertUnwindSafe(|| self.fill(at, batch))).unwrap_or_else(|panic| {
            Err(TrainError::Data {
                name: self.data.name().to_owned(),
                reason: format!("its `read` panicked: {}", message(panic.as_ref())),
            })
        })
    }
}

/// What goes to the thread: an address, and the buffers for its batch.
type Ask = (Address, Batch);
/// What comes back: the buffers, the address of the batch that follows, and how it went.
type Made = (Batch, Address, Result<(), TrainError>);

/// The thread and what it was asked for: two sets of buffers go to and fro, so that neither side ever waits for room.
#[derive(Debug)]
pub struct Prefetch {
    /// `None` only while it is dropped.
    asks: Option<Sender<Ask>>,
    made: Receiver<Made>,
    thread: Option<JoinHandle<()>>,
    name: String,
    /// What the thread was asked for and has not handed over.
    asked: Option<Address>,
    /// The batch in hand, if it is whole, and the one that follows.
    held: Option<(Address, Address)>,
    batch: Batch,
    spare: Batch,
}

impl Prefetch {
    /// Starts the thread. It reads nothing before the first batch is asked for.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(maker: BatchMaker) -> Result<Self, TrainError> {
        let name = maker.data.name().to_owned();
        let (asks, asked) = channel::<Ask>();
        let (hand_over, made) = channel();
        let thread = Builder::new()
            .name("batches".to_owned())
            .spawn(move || serve(maker, &asked, &hand_over))
            .map_err(|error| TrainError::Data {
                name: name.clone(),
                reason: format!("no thread to read it with: {error}"),
            })?;
        Ok(Self {
            asks: Some(asks),
            made,
            thread: Some(thread),
            name,
            asked: None,
            held: None,
            batch: Batch::default(),
            spare: Batch::default(),
        })
    }

    /// The batch at an address, and off goes the thread to make the one that follows. Where another was made ahead, that one is thrown
    /// away. The same address may be asked for again; its rows are not read again then.
    ///
    /// # Errors
    /// That of the data set for this batch, each time it is tried; a panic in [`Dataset::read`] as [`TrainError::Data`].
    pub fn batch(&mut self, at: Address) -> Result<&Batch, TrainError> {
        let next = match self.held {
            Some((held, next)) if held == at => next,
            _ => {
                self.ask(at)?;
                self.held = None;
                let (batch, next, outcome) = self.receive()?;
                self.spare = std::mem::replace(&mut self.batch, batch);
                outcome?;
                self.held = Some((at, next));
                next
            }
        };
        self.ask(next)?;
        Ok(&self.batch)
    }

    /// Has the thread make this batch, if it does not already.
    fn ask(&mut self, at: Address) -> Result<(), TrainError> {
        if self.asked == Some(at) {
            return Ok(());
        }
        if self.asked.is_some() {
            self.spare = self.receive()?.0;
        }
        let ask = (at, std::mem::take(&mut self.spare));
        if (self.asks.as_ref()).is_none_or(|asks| asks.send(ask).is_err()) {
            return Err(self.ended());
        }
        self.asked = Some(at);
        Ok(())
    }

    fn receive(&mut self) -> Result<Made, TrainError> {
        self.asked = None;
        self.made.recv().map_err(|_| self.ended())
    }

    fn ended(&self) -> TrainError {
        TrainError::Data {
            name: self.name.clone(),
            reason: "the thread that reads it has ended".to_owned(),
        }
    }
}

impl Drop for Prefetch {
    /// Waits for the rows that are being read, no longer.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // Panics of the data set are caught; one in its destructor has been told of by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The thread: makes what it is asked for until nobody can ask any more.
fn serve(mut maker: BatchMaker, asked: &Receiver<Ask>, hand_over: &Sender<Made>) {
    while let Ok((at, mut batch)) = asked.recv() {
        let outcome = maker.fill_safely(at, &mut batch);
        if hand_over.send((batch, maker.after(at), outcome)).is_err() {
            return;
        }
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
