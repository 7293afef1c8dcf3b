//! The command line of the `sde` program.
