//! Memory that wrappers of score functions keep from call to call.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::{SolveError, State};

/// What one evaluation needs besides its arguments. Contents are unspecified at the start of an evaluation.
pub(super) struct Work<S> {
    pub states: Vec<S>,
    pub numbers: Vec<f64>,
    pub rows: Vec<f64>,
    pub more: Vec<f64>,
    pub flags: Vec<bool>,
}

/// Work that is free, so that evaluations of several threads at a time each have their own, and none allocates after the first
/// on its number of rows or on more.
pub(super) struct Pool<S> {
    free: Mutex<Vec<Work<S>>>,
    states: usize,
}

/// More than a run keeps at a time; beyond it the states of earlier runs are dropped.
const MOST: usize = 256;

impl<S: State> Pool<S> {
    /// Work with this number of states.
    pub fn new(states: usize) -> Self {
        Self {
            free: Mutex::new(Vec::new()),
            states,
        }
    }

    /// Calls `f` with work whose states have the shape of `like`.
    pub fn with<R>(&self, like: &S, f: impl FnOnce(&mut Work<S>) -> R) -> R {
        let shape = |x: &S| (x.rows(), x.row_len());
        let fits = |work: &Work<S>| work.states.iter().all(|state| shape(state) == shape(like));
        let larger = |work: &Work<S>| {
            let mut states = work.states.iter().map(shape);
            states.all(|(rows, dim)| rows >= like.rows() && dim == like.row_len())
        };
        let cut = |mut work: Work<S>| {
            let mut states = work.states.iter_mut();
            states.all(|state| state.cut_rows(like.rows())).then_some(work)
        };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match free.iter().rposition(fits) {
            Some(at) => Some(free.swap_remove(at)),
            // Rows have left the batch: their memory does not stay behind.
            None => (free.iter().rposition(larger)).and_then(|at| cut(free.swap_remove(at))),
        };
        drop(free);
        let mut work = found.unwrap_or_else(|| Work {
            states: (0..self.states).map(|_| like.zeros_like()).collect(),
            numbers: Vec::new(),
            rows: Vec::new(),
            more: Vec::new(),
            flags: Vec::new(),
        });
        let result = f(&mut work);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() >= MOST {
            free.clear();
        }
        free.push(work);
        result
    }
}

impl<S> fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Pool of work with {} states", self.states)
    }
}

/// A refusal at `guide.key`.
pub(super) fn refuse_value(key: &str, value: impl ToString, reason: impl Into<String>) -> SolveError {
    SolveError::Config {
        key: format!("guide.{key}"),
        value: value.to_string(),
        reason: reason.into(),
    }
}
