//! Figures of the real program under load, beside others that do the same work in the same run.
//!
//! `benches/run.sh` builds what it needs, runs everything and writes docs/performance.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool at the desk")]

mod child;
mod figures;
mod load;
mod otaru;
mod packets;
mod page;
mod peers;
mod proc;
mod profile;
mod scale;
mod stats;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::figures::Bench;
use crate::scale::Scale;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, and print what came of it
    Run(Run),
    /// Be the load; what to do comes on standard input
    #[command(hide = true)]
    Load,
    /// Be a bare TCP server
    #[command(hide = true)]
    Raw { address: SocketAddr },
    /// Be a responder beside a broker
    #[command(hide = true)]
    Responder { address: SocketAddr, file: PathBuf },
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Blocks,
    Downloads,
    Sessions,
    Reports,
    Storm,
    Rollouts,
    Tls,
    Gateway,
    Device,
    Console,
}

type Measure = fn(&Bench) -> anyhow::Result<String>;

/// In the order of the page.
const PARTS: [(Part, Measure); 10] = [
    (Part::Blocks, Bench::blocks),
    (Part::Downloads, Bench::downloads),
    (Part::Sessions, Bench::sessions),
    (Part::Reports, Bench::reports),
    (Part::Storm, Bench::storm),
    (Part::Rollouts, Bench::rollouts),
    (Part::Tls, Bench::tls),
    (Part::Gateway, Bench::gateway),
    (Part::Device, Bench::device),
    (Part::Console, Bench::console),
];

#[derive(Args)]
struct Run {
    /// The otaru binary
    #[arg(long)]
    otaru: PathBuf,
    /// The folder of the store's examples, built
    #[arg(long)]
    examples: PathBuf,
    /// An empty PostgreSQL server: the URL of its superuser without a database at the end
    #[arg(long)]
    postgres: String,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// So little of everything that only the measuring itself is proved
    #[arg(long)]
    smallest: bool,
    /// Rounds of each measurement
    #[arg(long)]
    rounds: Option<usize>,
    /// Also look with `perf` where the server's time goes
    #[arg(long)]
    profile: bool,
    /// Write the page of figures to this file; sections of parts that were not measured stay
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(run) => measure(&run),
        Command::Load => load::run(),
        Command::Raw { address } => peers::raw::serve(address),
        Command::Responder { address, file } => peers::mosquitto::respond(address, &file),
    }
}

fn measure(run: &Run) -> anyhow::Result<()> {
    let mut scale = if run.smallest { Scale::SMALLEST } else { Scale::FULL };
    if let Some(rounds) = run.rounds {
        (scale.rounds, scale.report_rounds) = (rounds, rounds);
    }
    let wants = |part| run.only.is_empty() || run.only.contains(&part);
    let folder = tempfile::tempdir()?;
    let bench = Bench {
        otaru: run.otaru.canonicalize()?,
        examples: run.examples.canonicalize()?,
        postgres: run.postgres.clone(),
        folder: folder.path().into(),
        scale,
        profiles: run.profile.then(Default::default),
    };
    let mut page = page::Page::default();
    for (part, measure) in PARTS.into_iter().filter(|(part, _)| wants(*part)) {
        let section = measure(&bench).with_context(|| format!("{part:?}"))?;
        let profiles = bench.profiles.as_ref().map(|seen| profile::text(&seen.take())).unwrap_or_default();
        print!("{section}{profiles}");
        page.add(&section, &profiles)?;
    }
    match &run.write {
        Some(file) => page.write(file),
        None => Ok(()),
    }
}
