//! What a whole platform does when the machine under it fails: `otaru serve` as a process, devices on
//! real sockets, orders over REST. `./test faults` runs more of it, and longer, than `cargo test` does.

// Panics and prints are the report of a test.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod audit;
mod device;
mod disk;
mod held;
mod house;
mod kills;
mod orders;
mod process;
mod rng;
mod upload;
