//! The binary as a person uses it: processes, ports, files, and what stands in the terminal.

#![allow(clippy::unwrap_used)]

mod certs;
mod common;
mod demo;
mod exit_codes;
mod frame;
mod registration;
mod settings;
mod start;
mod story;
mod upload;
