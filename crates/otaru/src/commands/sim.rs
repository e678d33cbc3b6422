use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sim::{Geometry, Plan, Proof, Scheme, partitions};

use super::watch::bar;
use crate::output::{bytes, note, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prove that a layout of flash survives power cuts: every operation of a device's life is a crash point
    Flash(Flash),
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

fn one_of(sizes: &'static [usize]) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(size) if sizes.contains(&size) => Ok(size),
        _ => {
            let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
            Err(format!("can be {}", sizes.join(", ")))
        }
    }
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Flash(flash) = command;
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
