//! `otaru`: the platform, the operator's commands, a device to try it with, and a demo of it all.

mod cli;
mod client;
mod commands;
mod demo;
mod output;
mod platform;
mod serve;
mod stop;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::client::Unreachable;

/// Refused, or failed on the way.
const FAILED: u8 = 1;
/// Nobody answers as the platform.
const UNREACHABLE: u8 = 3;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(if error.is::<Unreachable>() { UNREACHABLE } else { FAILED })
        }
    }
}
