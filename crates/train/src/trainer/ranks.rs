//! A trainer among others: what ranks of one run share.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::Trainer;
use super::holdout::Holdout;
use super::prefetch::{Prefetch, batch_maker, batch_tensor};
use crate::checkpoint::RunState;
use crate::dist::{self, Comm};
use crate::hash::hex;
use crate::{TrainError, Visit};

impl Trainer {
    /// Joins a group, before the first step: from now on each of its ranks sees its share of every batch, and all take the same steps.
    /// The weights are those of rank 0.
    ///
    /// # Errors
    /// The configurations or data of the ranks differ, the batch has fewer rows than there are ranks, or another rank is gone.
    pub fn join(mut self, comm: Box<dyn Comm>) -> Result<Self, TrainError> {
        let batch = self.config.train.batch;
        if batch < u64::from(comm.world()) {
            return Err(TrainError::Ranks {
                rank: comm.rank(),
                reason: format!(
                    "train.batch = {batch} has no row for each of {} ranks; raise it or start fewer",
                    comm.world()
                ),
            });
        }
        dist::same_text(comm.as_ref(), "configuration", || self.config.to_toml())?;
        dist::same_text(comm.as_ref(), "data", || self.describe_data())?;
        let part = dist::share(comm.as_ref(), batch);
        self.batch = batch_tensor(part.end - part.start, self.data.as_ref(), self.device)?;
        let rows = Holdout::new(self.config.seed, self.data.len(), self.config.train.holdout).train;
        self.prefetch = Prefetch::start(batch_maker(&self.config, &self.data, rows, &self.draws, part))?;
        self.comm = comm;
        self.take_from_first()?;
        Ok(self)
    }

    /// The group that this trainer is in.
    pub fn comm(&self) -> &dyn Comm {
        self.comm.as_ref()
    }

    /// Whether this trainer's process writes files and speaks.
    pub fn leads(&self) -> bool {
        dist::leads(self.comm())
    }

    /// Takes all that a checkpoint holds from rank 0.
    ///
    /// # Errors
    /// Another rank is gone.
    pub fn take_from_first(&mut self) -> Result<(), TrainError> {
        if dist::alone(self.comm()) {
            return Ok(());
        }
        let snapshot = self.snapshot();
        let state = toml::to_string(&snapshot.state).expect("invariant: counters are valid TOML");
        let state = dist::text_of_first(self.comm(), &state)?;
        let state: RunState = toml::from_str(&state).map_err(|error| TrainError::Ranks {
            rank: self.comm.rank(),
            reason: format!("the state of rank 0 cannot be read: {error}"),
        })?;
        for (_, tensor) in snapshot.net.iter().chain(&snapshot.ema).chain(&snapshot.optim) {
            dist::broadcast_anywhere(self.comm(), tensor, 0)?;
        }
        // All have them: what fails next on one rank takes nothing from the others.
        dist::all(self.comm(), true)?;
        self.optim.set_updates(state.optim_updates);
        self.ema.set_updates(state.ema_updates);
        self.state = state;
        self.bad_streak = 0;
        Ok(())
    }

    /// Refuses weights that are not those of rank 0, to the bit: then the ranks no longer train one model.
    ///
    /// # Errors
    /// [`TrainError::Ranks`] on every rank if one has other weights; another rank is gone.
    pub fn check_ranks(&self) -> Result<(), TrainError> {
        if dist::alone(self.comm()) {
            return Ok(());
        }
        let fail = TrainError::tensor("the weights of all ranks");
        let own = self.params.values();
        let mut first = own.f_empty_like().map_err(&fail)?;
        tch::no_grad(|| first.f_copy_(own)).map_err(&fail)?;
        dist::broadcast_anywhere(self.comm(), &first, 0)?;
        let bits = |tensor: &Tensor| tensor.f_view_dtype(Kind::Int);
        let same = bits(&first)
            .and_then(|first| first.f_equal(&bits(&own.detach())?))
            .map_err(&fail)?;
        if dist::all(self.comm(), same)? {
            return Ok(());
        }
        let whose = if same { "another rank has" } else { "this rank has" };
        Err(TrainError::Ranks {
            rank: self.comm.rank(),
            reason: format!(
                "step {}: {whose} other weights than rank 0; ranks need the same program, the same kind of processor and as \
                 many threads each",
                self.state.step
            ),
        })
    }

    /// Name, size and some rows of the data, as text: what differs if the data do.
    fn describe_data(&self) -> Result<String, TrainError> {
        let data = self.data.as_ref();
        let mut text = format!(
            "{}, {} rows of shape {:?}\n",
            data.name(),
            data.len(),
            data.shape()
        );
        let len = data.len() as u64;
        let rows: Vec<u64> = (0..16.min(len))
            .map(|k| k * (len - 1) / 15.min(len - 1).max(1))
            .collect();
        let mut values = vec![0.0; data.row_len()];
        for row in rows.into_iter().map(|row| row.min(len - 1)) {
            let visit = Visit {
                seed: self.config.seed,
                epoch: 0,
            };
            data.read(&[row], visit, &mut values)?;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let hash = hex(Sha256::digest(bytes));
            let _ = writeln!(text, "row {row}: {hash}");
        }
        Ok(text)
    }
}
