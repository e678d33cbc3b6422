//! Pure rules: who is offered what and when, and what a report means.
//!
//! **Every accepted device report is durable before anything that follows from it leaves the node.**
//! [`decide`] is the whole rule: rows and inputs go in, changes come out. It has no clock, socket,
//! thread or randomness; `now` and new numbers are arguments. The server loads, commits and sends.
//!
//! # Who holds the state, and who may change it
//! The database holds it. [`decide`] gets copies of the [`Rows`] a batch needs and keeps nothing
//! between calls; what its [`Changes`] say is true once they are committed, and not before.
//!
//! | row | made by | moved by |
//! |---|---|---|
//! | session, module version | a device's connection, its reports | the same, on the present connection only |
//! | task | a chunk of its job's enrolment, a report of a device that a policy is for | its device, its timers, orders; after its end only a re-upgrade |
//! | job | the server, with its first [`Work`] and timer | orders, its chunks, the end of its last task |
//! | package's state | the server | the jobs that verify it |
//! | timer | whatever has to happen later | the transaction that claims it, and does what it is for |
//! | product, device, module | the server | the server; only a device's times and take-overs are set here |
//!
//! An input that comes twice, too late or about nothing known changes nothing more: connections
//! have numbers, chunks name the [`Work`] they were read for, and a timer's rule looks at the clock.
#![no_std]

extern crate alloc;

mod ask;
mod attempt;
mod budget;
mod conflict;
mod decide;
mod dynamic;
mod enrol;
mod event;
pub mod filter;
mod fit;
mod gate;
mod hold;
mod order;
mod presence;
mod push;
pub mod rate;
mod report;
mod revise;
mod rivalry;
mod rows;
mod spread;
mod task;
mod terms;
mod waiting;
mod window;

pub use conflict::{Meeting, Rival};
pub use decide::{Ask, Changes, Enrolment, Ids, Input, Limits, Offer, Outbound, decide};
pub use event::{Event, EventKind, GatewayName, RegistrationScheme};
pub use fit::{Aim, Candidate, Fit};
pub use gate::{Gate, WaveCounts};
pub use order::may_run_again;
pub use push::push_limit;
pub use revise::{JobField, Revision, Unrevisable};
pub use rows::*;
pub use spread::spread;
pub use terms::{Evidence, FailureLimits, Overwrite, Share, Tag, Terms, Wave, WaveGroup};
pub use waiting::{Waiting, waiting};
pub use window::{Openings, SERVER_ZONE, TIME_ZONE_TAG, Window, ZONE_REACH_MS, Zone};
