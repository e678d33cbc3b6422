//! The parts of the `otaru` binary that can run inside another process.

pub mod device;
pub mod fleet;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod settings;
