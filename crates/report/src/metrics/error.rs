//! Why a metric is not defined on its arguments.

use std::fmt;

/// Which of a metric's two arguments an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// The first argument, by custom the generated samples.
    First,
    /// The second argument, by custom the data.
    Second,
    /// The held-out real rows.
    HeldOut,
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "the first set",
            Self::Second => "the second set",
            Self::HeldOut => "the held-out set",
        })
    }
}

/// Why a metric is not defined on its arguments.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Fewer rows than the metric needs.
    #[error("{set} has {rows} rows; this metric needs at least {needed}")]
    TooFewRows {
        /// Which set.
        set: Set,
        /// How many it has.
        rows: usize,
        /// How many it needs.
        needed: usize,
    },
    /// Rows without a value.
    #[error("{set} has rows of length 0")]
    NoColumns {
        /// Which set.
        set: Set,
    },
    /// The two sets have rows of different length.
    #[error("the first set has rows of length {first}, the second of length {second}")]
    Lengths {
        /// Row length of the first set.
        first: usize,
        /// Row length of the second set.
        second: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{set}: row {row}, column {column} is {value}")]
    NotFinite {
        /// Which set.
        set: Set,
        /// Row, counted from 0.
        row: usize,
        /// Column, counted from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Values so large that a sum of squares leaves the range of `f64`.
    #[error("the values are too large: {quantity} is not finite")]
    Overflow {
        /// What overflowed.
        quantity: &'static str,
    },
    /// A label so large that it cannot be the number of a class.
    #[error("label {label} is too large: classes are numbered from 0")]
    LargeLabel {
        /// The label.
        label: usize,
    },
    /// Not one label for each row.
    #[error("{labels} labels for {rows} rows")]
    Labels {
        /// How many labels.
        labels: usize,
        /// How many rows.
        rows: usize,
    },
    /// A ball to the k-th neighbour in a set of at most k rows.
    #[error(
        "{set} has {rows} rows, too few for {neighbours} neighbours of each: give fewer neighbours or more rows"
    )]
    Neighbours {
        /// Which set.
        set: Set,
        /// How many rows it has.
        rows: usize,
        /// How many neighbours were asked for.
        neighbours: usize,
    },
    /// All rows of a set are equal, so that nothing can be measured in units of their spread.
    #[error("{set} is constant: all its rows are equal")]
    Constant {
        /// Which set.
        set: Set,
    },
    /// An option that has no meaning.
    #[error("{option} is {value}; it must be {wanted}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        wanted: &'static str,
    },
    /// Rows that are not made of so many series.
    #[error("rows of length {columns} are not {channels} series of one length, at least {fewest}")]
    Series {
        /// Length of a row.
        columns: usize,
        /// Number of channels.
        channels: usize,
        /// The shortest series that the metric takes.
        fewest: usize,
    },
    /// Another member of the team that computes failed or is gone.
    #[error("the work could not be shared: {reason}")]
    Team {
        /// What went wrong.
        reason: String,
    },
    /// Features that do not belong to the rows.
    #[error("{set}: {features} rows of features for {rows} rows")]
    Features {
        /// Which set.
        set: Set,
        /// How many rows have features.
        features: usize,
        /// How many rows the set has.
        rows: usize,
    },
    /// Held-out rows of another length than the data's.
    #[error("the held-out set has rows of length {held_out}, the data of length {data}")]
    HeldOutLength {
        /// Length of a held-out row.
        held_out: usize,
        /// Length of a data row.
        data: usize,
    },
}
