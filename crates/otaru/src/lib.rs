//! The parts of the `otaru` binary that can run inside another process.

pub mod device;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod settings;
