//! What a run writes down while it trains.

pub mod metrics;
pub mod progress;

pub use metrics::{MetricsLog, Record};
pub use progress::ProgressReport;
