//! Checks for implementors of this crate's traits, to be called from their tests.

pub mod conformance;
