//! What a whole platform does when the machine under it fails: `otaru serve` as a process, devices on
//! real sockets, orders over REST. `./test faults` runs more of it, and longer, than `cargo test` does.

#![allow(clippy::unwrap_used)]

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
