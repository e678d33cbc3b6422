//! Groups of devices.

use std::path::PathBuf;

use api::dto::{Device, Group, GroupChange, Members, NewGroup};
use clap::{ArgGroup, Args, Subcommand};

use super::device::{HEAD, open, row};
use super::{Format, or_dash, product, tag, when};
use crate::client::{Client, segment};
use crate::output::{facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a group: of the devices a filter means, or of those you add
    Add(Described),
    /// List the groups of a product
    List {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show a group
    Show(Named),
    /// List the devices of a group
    Devices(Named),
    /// Change what a group is, or the filter of one that has one
    Change(Described),
    /// Remove a group; its devices stay
    Remove(Named),
    /// Add devices to a group
    Join(Moved),
    /// Take devices out of a group
    Leave(Moved),
}

#[derive(Args)]
pub(crate) struct Described {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    what: What,
}

#[derive(Args)]
struct What {
    /// Who is in it, as 'tag.region = eu' (docs/filters.md)
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// What it is
    #[arg(long, value_name = "TEXT")]
    desc: Option<String>,
}

#[derive(Args)]
pub(crate) struct Named {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Name of the group
    #[arg(value_name = "GROUP")]
    name: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
#[command(group = ArgGroup::new("who").required(true).args(["devices", "file", "filter"]))]
pub(crate) struct Moved {
    #[command(flatten)]
    named: Named,
    /// Names of devices
    #[arg(value_name = "DN")]
    devices: Vec<String>,
    /// Those of a CSV file with a column deviceName
    #[arg(long)]
    file: Option<PathBuf>,
    /// Those that a filter means now
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
}

impl Named {
    fn path(&self) -> String {
        format!("{}/{}", path(&self.product_key), segment(&self.name))
    }
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Add(Described { named, what }) => {
            let path = path(&named.product_key);
            let new = NewGroup { name: named.name, description: what.desc, filter: what.filter };
            named.format.show(&client.post::<Group>(&path, &new)?, show)
        }
        Command::List { product_key, format } => {
            let head = ["GROUP", "DEVICES", "DESCRIPTION"];
            format.list(client, &path(&product_key), &[], &head, |group: &Group| {
                vec![group.name.clone(), who(group), or_dash(group.description.as_ref())]
            })
        }
        Command::Show(named) => named.format.show(&client.get::<Group>(&named.path())?, show),
        Command::Devices(named) => {
            let path = format!("{}/devices", product::path(&named.product_key));
            named.format.list::<Device>(client, &path, &[("group", &named.name)], &HEAD, row)
        }
        Command::Change(Described { named, what }) => {
            let change =
                GroupChange { description: what.desc, filter: what.filter, ..GroupChange::default() };
            named.format.show(&client.patch::<Group>(&named.path(), &change)?, show)
        }
        Command::Remove(named) => {
            client.delete(&named.path())?;
            out!("removed group {}", named.name);
            Ok(())
        }
        Command::Join(moved) => change_members(moved, "members", client),
        Command::Leave(moved) => change_members(moved, "members/remove", client),
    }
}

fn path(product_key: &str) -> String {
    format!("{}/groups", product::path(product_key))
}

fn change_members(moved: Moved, what: &str, client: &Client) -> anyhow::Result<()> {
    let path = format!("{}/{what}", moved.named.path());
    let done = match moved.file {
        Some(file) => {
            let (file, size) = open(&file)?;
            client.upload(&path, "text/csv", size, file)?
        }
        None => {
            let device_names = moved.filter.is_none().then_some(moved.devices);
            client.post(&path, &Members { device_names, filter: moved.filter })?
        }
    };
    tag::told(&done, moved.named.format)
}

/// Its filter, or how many were added.
fn who(group: &Group) -> String {
    let members = group.members.unwrap_or_default();
    group.filter.clone().unwrap_or_else(|| format!("{members} added"))
}

fn show(group: &Group) {
    facts(&[
        ("group", group.name.clone()),
        ("devices", who(group)),
        ("description", or_dash(group.description.as_ref())),
        ("created", when(&group.created_at)),
    ]);
}
