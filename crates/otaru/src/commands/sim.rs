use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use api::dto::{Credentials, Import};
use clap::{Args, Subcommand};
use otaru::fleet::{Counts, Plan as Members};
use sim::{Geometry, Plan, Proof, Scheme, partitions};

use super::product;
use super::watch::bar;
use crate::cli::Connection;
use crate::client::{Client, segment};
use crate::output::{bytes, facts, note, out};
use crate::token;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prove that a layout of flash survives power cuts: every operation of a device's life is a crash point
    Flash(Flash),
    /// Load a platform with many devices on sockets of their own, until interrupted
    Fleet(Fleet),
}

#[derive(Args)]
pub(crate) struct Flash {
    /// The layout, in the form of ESP-IDF's partitions.csv (docs/device-flash.md)
    #[arg(long, value_name = "FILE")]
    partitions: PathBuf,
    /// Smallest erase of the flash, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096, value_parser = one_of(&Geometry::SECTORS))]
    sector: usize,
    /// Smallest write of the flash, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4, value_parser = one_of(&Geometry::UNITS))]
    write: usize,
    /// Length of the images, in bytes [default: a little more than a sector, or 5000 if sectors are large]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(64..=1 << 24))]
    image: Option<u32>,
    /// How often each operation is torn in each way, by other chance each time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
}

#[derive(Args)]
pub(crate) struct Fleet {
    /// Key of the product that gets the devices
    #[arg(value_name = "PK")]
    product_key: String,
    /// How many devices; those that are not there yet are made
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    devices: u32,
    /// What their names begin with
    #[arg(long, value_name = "TEXT", default_value = "sim-")]
    prefix: String,
    /// Address of the platform's door for devices
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    host: String,
    /// A file with the CA, in PEM, that the certificates of https:// files come from; the system's CAs unless given
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The version that they start with
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    version: String,
    /// How many begin to connect a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Bytes to ask for at a time, 256 to 131072
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    block: u32,
    /// Blocks to ask for at once, at most, 1 to 32
    #[arg(long, value_name = "N", default_value_t = 2)]
    window: usize,
    /// End when so many updates have ended: exit code 0 if all succeeded, 4 if not
    #[arg(long, value_name = "N")]
    updates: Option<u64>,
}

fn one_of(sizes: &'static [usize]) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(size) if sizes.contains(&size) => Ok(size),
        _ => {
            let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
            Err(format!("can be {}", sizes.join(", ")))
        }
    }
}

pub(crate) fn run(command: Command, connection: &Connection) -> anyhow::Result<ExitCode> {
    match command {
        Command::Flash(flash) => prove(&flash),
        Command::Fleet(fleet) => load(&fleet, &Client::new(connection)?),
    }
}

fn prove(flash: &Flash) -> anyhow::Result<ExitCode> {
    let path = flash.partitions.display();
    let table = std::fs::read_to_string(&flash.partitions).with_context(|| format!("cannot read {path}"))?;
    let scheme = partitions::parse(&table).with_context(|| format!("{path} cannot be used"))?;
    let geometry = Geometry { unit: flash.write, sector: flash.sector };
    let bootloader = match &scheme {
        Scheme::BootLog(_) => "a bootloader of your own with a boot log",
        Scheme::Espressif { .. } => "Espressif's bootloader with rollback",
    };
    let plan = Plan { seeds: flash.repeat, ..Plan::new(scheme, geometry) };
    let plan = Plan { image: flash.image.map_or(plan.image, |image| image as usize), ..plan };
    out!(
        "{bootloader}, {} slots for images, images of about {}",
        plan.scheme.images().len(),
        bytes(plan.image as i64)
    );
    let bar = bar("power cuts {wide_bar} {pos}/{len} {eta}");
    let proof = plan.prove(geometry, &|made, all| {
        bar.set_length(all);
        bar.set_position(made);
    });
    bar.finish_and_clear();
    match proof {
        Ok(proof) => {
            show(&proof);
            Ok(ExitCode::SUCCESS)
        }
        Err(violation) => {
            note(format_args!("error: {violation}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn show(proof: &Proof) {
    let Proof { operations, points, again, took, .. } = proof;
    let rate = *points as f64 / took.as_secs_f64();
    out!("one life, two good updates and two bad ones that are rolled back: {operations} flash operations");
    out!("{points} power cuts, before, inside and after each of them: {:.0} a second", rate);
    out!("after each the device started a whole image that was offered, and took every update that followed");
    if *again > 0 {
        out!(
            "{again} good images were given up, because of a rotten bit or a cut before they were confirmed, and installed again"
        );
    }
}

/// How often a fleet's counts are looked at.
const EVERY: Duration = Duration::from_millis(200);

/// The exit code if an update failed.
const FAILED: u8 = 4;

fn load(fleet: &Fleet, client: &Client) -> anyhow::Result<ExitCode> {
    let mut plan = Members {
        address: fleet.host.clone(),
        product_key: fleet.product_key.clone(),
        version: fleet.version.clone(),
        devices: Vec::new(),
        rate: fleet.rate,
        block: fleet.block,
        window: fleet.window,
        ca: fleet.ca.clone(),
    };
    plan.check(&name(fleet, fleet.devices))?;
    // A socket a device, and some for everything else.
    if let Ok(files) = rlimit::increase_nofile_limit(u64::MAX)
        && files < u64::from(fleet.devices) + 64
    {
        bail!("{} devices need as many sockets, and this process may have {files} open files", fleet.devices);
    }
    plan.devices = identities(fleet, client)?;
    let (counts, started) = (Arc::new(Counts::default()), Instant::now());
    let runtime = tokio::runtime::Runtime::new()?;
    let end = runtime.block_on(async {
        let shown = async {
            let (bar, mut told) = (bar("{spinner} {msg}"), false);
            loop {
                bar.set_message(line(&counts, fleet.devices, started));
                bar.tick();
                let trouble = counts.last_trouble();
                if !told && !trouble.is_empty() {
                    told = true;
                    bar.suspend(|| note(format_args!("{trouble}; devices go on trying")));
                }
                if fleet.updates.is_some_and(|wanted| counts.ended() >= wanted) {
                    return;
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            ended = otaru::fleet::run(plan, Arc::clone(&counts)) => ended,
            () = shown => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
        }
    });
    runtime.shutdown_background();
    end?;
    told(&counts, started);
    let failed = fleet.updates.is_some() && counts.ended() > get(&counts.updated);
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// The name of one of the devices, which are counted from 1.
fn name(fleet: &Fleet, n: u32) -> String {
    format!("{}{n:05}", fleet.prefix)
}

/// Names and secrets of the devices, of which those that are missing are made.
fn identities(fleet: &Fleet, client: &Client) -> anyhow::Result<Vec<(String, String)>> {
    let devices = format!("{}/devices", product::path(&fleet.product_key));
    let names: Vec<String> = (1..=fleet.devices).map(|n| name(fleet, n)).collect();
    let mut identities = Vec::with_capacity(names.len());
    for names in names.chunks(10_000) {
        let mut csv = String::from("deviceName,deviceSecret\n");
        let mut made = Vec::with_capacity(names.len());
        for name in names {
            let secret = token::random::<16>()?;
            let _ = writeln!(csv, "{name},{secret}");
            made.push((name.clone(), secret));
        }
        let (size, csv) = (csv.len() as u64, std::io::Cursor::new(csv));
        let import: Import = client.upload(
            &format!("{}/import-devices", product::path(&fleet.product_key)),
            "text/csv",
            size,
            csv,
        )?;
        for (result, (name, secret)) in import.results.iter().zip(&mut made) {
            if let Some(problem) = &result.problem {
                let path = format!("{devices}/{}/credentials", segment(name));
                let known: Credentials = client.get(&path).with_context(|| problem.detail.clone())?;
                *secret = known.device_secret;
            }
        }
        identities.extend(made);
    }
    Ok(identities)
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn line(counts: &Counts, devices: u32, started: Instant) -> String {
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    let rate = bytes((get(&counts.bytes) as f64 / seconds) as i64);
    format!(
        "{} of {devices} online, {} updated, {} failed, {} troubles, {rate}/s",
        get(&counts.online),
        get(&counts.updated),
        get(&counts.failed),
        get(&counts.troubles)
    )
}

fn told(counts: &Counts, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let moved = get(&counts.bytes);
    let mut all = vec![
        ("time", format!("{seconds:.1} s")),
        ("logins", get(&counts.logins).to_string()),
        ("moved", format!("{}, {}/s", bytes(moved as i64), bytes((moved as f64 / seconds) as i64))),
        ("digests right", get(&counts.verified).to_string()),
        ("updated", get(&counts.updated).to_string()),
        ("cancelled", get(&counts.cancelled).to_string()),
        ("failed", get(&counts.failed).to_string()),
        ("troubles", get(&counts.troubles).to_string()),
    ];
    for (name, last) in [("last failure", counts.last_failure()), ("last trouble", counts.last_trouble())] {
        if !last.is_empty() {
            all.push((name, last));
        }
    }
    facts(&all);
}
