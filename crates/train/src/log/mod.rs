//! What a run writes down while it trains.

pub mod events;
pub mod metrics;
pub mod progress;

pub use events::EventLog;
pub use metrics::{MetricsLog, Record};
pub use progress::ProgressReport;
