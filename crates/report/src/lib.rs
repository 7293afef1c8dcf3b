//! Arrays in, files out: what a run shows of itself.
//!
//! - [`npy`]: `.npy` and `.npz` files, as NumPy writes and reads them;
//! - [`image`]: grids of sample images as PNG;
//! - [`plot`]: charts as SVG;
//! - [`Page`]: one HTML page that holds all it shows;
//! - [`metrics`]: distances between two sets of samples;
//! - [`atomic`]: files that are either whole or absent, which the writers above use.
//!
//! Nothing here knows a network, a configuration or a clock: callers pass arrays and paths.

pub mod atomic;
mod error;
pub mod image;
mod markup;
pub mod metrics;
pub mod npy;
mod page;
pub mod plot;

pub use error::ReportError;
pub use markup::Svg;
pub use metrics::MetricError;
pub use page::Page;
