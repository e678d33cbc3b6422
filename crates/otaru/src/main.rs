//! `otaru`: the platform, the operator's commands, a device to try it with, and a demo of it all.

mod cli;
mod client;
mod commands;
mod demo;
mod output;
mod platform;
mod serve;
mod stop;
mod tls;
mod token;

use std::process::ExitCode;

use clap::CommandFactory as _;
use otaru::settings::layers::{self, Wrong};

use crate::cli::Cli;
use crate::client::Unreachable;

/// Refused, or failed on the way.
const FAILED: u8 = 1;
/// The command line or a setting is wrong; clap ends with the same.
const WRONG: u8 = 2;
/// Nobody answers as the platform.
const UNREACHABLE: u8 = 3;

fn main() -> ExitCode {
    let line = otaru::device::config::written_out(std::env::args_os().collect()).map_err(Wrong::Setting);
    let parsed = match line.and_then(|line| layers::parse(&Cli::command(), line)) {
        Ok(parsed) => parsed,
        Err(Wrong::Line(error)) => error.exit(),
        Err(Wrong::Setting(error)) => {
            output::error(&error);
            return ExitCode::from(WRONG);
        }
    };
    match cli::run(&parsed) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(if error.is::<Unreachable>() { UNREACHABLE } else { FAILED })
        }
    }
}
