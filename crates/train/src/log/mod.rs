//! What a run writes down while it trains.

pub mod events;
pub mod metrics;
pub mod progress;

pub use events::{EventLog, Histogram};
pub use metrics::{MetricsLog, Record};
pub use progress::ProgressReport;
