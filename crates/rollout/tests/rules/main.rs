//! The rules, played on tables in memory under a clock that only tests move.
//!
//! `world`, on its `tables`, is the platform without a platform; `watch` checks after every batch
//! what must hold always. The other modules each tell one part of the rules.
#![allow(clippy::unwrap_used)]

mod attempts;
mod budgets;
mod conflicts;
mod dynamic;
mod fleet;
mod gates;
mod golden;
mod model;
mod orders;
mod pushes;
mod random;
mod reports;
mod revise;
mod rivalry;
mod rows;
mod schedule;
mod scope;
mod tables;
mod tasks;
mod watch;
mod windows;
mod wired;
mod world;
