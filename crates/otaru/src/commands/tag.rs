//! Tags of devices.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::dto::{Bulk, Device, Tagging};
use clap::{Args, Subcommand};

use super::device::{Named, open};
use super::{Format, product};
use crate::client::Client;
use crate::output::{Table, facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Set tags of devices
    Set(Set),
    /// Remove tags of devices
    Unset(Unset),
    /// Show the tags of a device
    Show(Named),
    /// Set tags from a CSV file: a column deviceName, and one for each tag; an empty cell changes nothing
    Import(Import),
}

#[derive(Args)]
pub(crate) struct Set {
    #[command(flatten)]
    devices: Devices,
    /// A tag to set; may be given several times. `timezone` must be an IANA name, as Europe/Berlin
    #[arg(long, value_name = "NAME=VALUE", required = true, value_parser = pair)]
    tag: Vec<(String, String)>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Unset {
    #[command(flatten)]
    devices: Devices,
    /// A tag to remove; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    tag: Vec<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
struct Devices {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Names of devices
    #[arg(value_name = "DN", required = true)]
    devices: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Import {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// CSV file; its first line names the columns
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

pub(super) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Set(set) => {
            let tags = set.tag.into_iter().map(|(name, value)| (name, Some(value))).collect();
            change(set.devices, tags, set.format, client)
        }
        Command::Unset(unset) => {
            let tags = unset.tag.into_iter().map(|name| (name, None)).collect();
            change(unset.devices, tags, unset.format, client)
        }
        Command::Show(named) => named.show_tags(client),
        Command::Import(import) => {
            let (file, size) = open(&import.file)?;
            let done = client.upload(&path(&import.product_key), "text/csv", size, file)?;
            told(&done, import.format)
        }
    }
}

impl Named {
    fn show_tags(&self, client: &Client) -> anyhow::Result<()> {
        let device: Device = client.get(&self.path())?;
        self.format.show(&device.tags, |tags| {
            facts(&tags.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>());
        })
    }
}

fn path(product_key: &str) -> String {
    format!("{}/device-tags", product::path(product_key))
}

fn change(
    devices: Devices,
    tags: BTreeMap<String, Option<String>>,
    format: Format,
    client: &Client,
) -> anyhow::Result<()> {
    let body = Tagging { device_names: devices.devices, tags };
    told(&client.post(&path(&devices.product_key), &body)?, format)
}

/// Tells what became of an order on many devices.
pub(super) fn told(done: &Bulk, format: Format) -> anyhow::Result<()> {
    format.show(done, |done| {
        let row =
            |r: &api::dto::Refused| vec![r.line.to_string(), r.device_name.clone(), r.problem.detail.clone()];
        if !done.refused.is_empty() {
            Table::new(&["LINE", "REFUSED", "WHY"]).print(done.refused.iter().map(row).collect());
        }
        let refused = done.refused.len();
        out!("{} devices changed, {} were so already, {refused} refused", done.changed, done.unchanged);
    })?;
    anyhow::ensure!(done.refused.is_empty(), "{} devices were refused", done.refused.len());
    Ok(())
}

/// Tags in a line.
pub(super) fn joined(tags: &BTreeMap<String, String>) -> String {
    if tags.is_empty() {
        return "-".into();
    }
    tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}
