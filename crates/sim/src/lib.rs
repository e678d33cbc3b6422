//! Faults to test devices with.
//!
//! - [`FaultyFlash`] is NOR flash in memory that loses power before, inside and after an operation, and rots. It
//!   refuses what real flash does not do, such as programming a unit twice.
//! - [`FaultyLink`] is a connection in virtual time that loses, doubles, delays, damages and breaks.
//! - [`Device`] is a device with such a flash and such a link: a bootloader, images and the updater of the crate
//!   `device`.
//! - [`Proof`] takes a device through a life in which every operation on its flash is a crash point.
//! - [`fleet`] runs many devices under one virtual clock, on such links.
//! - [`mcu`] is a part behind a serial line, and a line that loses bytes.
//! - [`partitions`] reads the layout of a user's own device.

mod device;
mod espressif;
mod flash;
pub mod fleet;
pub mod grid;
mod image;
mod link;
pub mod mcu;
pub mod partitions;
mod platform;
mod proof;
mod rng;
mod tear;

pub use device::{Bootloader, Device, End, Scheme};
pub use flash::{Fault, FaultyFlash, OnRead};
pub use image::{Behaviour, Image};
pub use link::{Conditions, FaultyLink, Way};
pub use platform::{Message, Platform, block_frame, error_frame};
pub use proof::{Geometry, Plan, Proof, Violation};
pub use rng::Rng;
pub use tear::Tear;
