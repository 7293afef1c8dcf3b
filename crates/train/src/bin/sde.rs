//! The `sde` program.

fn main() {}
