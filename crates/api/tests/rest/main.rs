//! Every endpoint over a real server in a temporary folder, without a socket.

#![allow(clippy::unwrap_used)]

mod common;
mod configuration;
mod document;
mod gate;
mod groups;
mod health;
mod idempotency;
mod job_change;
mod lists;
mod packages;
mod problems;
mod registration;
mod statistics;
mod stream;
mod tags;
mod together;
mod uploads;
mod windows;
