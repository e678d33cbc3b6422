//! Pure rules: who is offered what and when, and what a report means.
//!
//! **Every accepted device report is durable before anything that follows from it leaves the node.**
//! [`decide`] is the whole rule: rows and inputs go in, changes come out. It has no clock, socket,
//! thread or randomness; `now` and new numbers are arguments. The server loads, commits and sends.
#![no_std]

extern crate alloc;

mod ask;
mod decide;
mod enrol;
mod event;
mod order;
mod presence;
mod push;
pub mod rate;
mod report;
mod rows;
mod spread;
mod task;

pub use decide::{Ask, Changes, Ids, Input, Limits, Offer, Outbound, decide};
pub use event::{Event, EventKind};
pub use push::push_limit;
pub use rows::*;
pub use spread::spread;
