//! The server over real sockets and a database. One program: each would link the whole platform anew.
#![allow(clippy::unwrap_used, missing_docs)]

mod attempts;
mod committer;
mod common;
mod configurations;
mod devices;
mod dynamic;
mod fleet;
mod forecast;
mod gateways;
mod ground;
mod groups;
mod job_change;
mod metrics;
mod moments;
mod orders;
mod registration;
mod retention;
mod schedule;
mod several_files;
mod statistics;
mod story;
mod uploads;
mod watch;
mod waves;
mod windows;
