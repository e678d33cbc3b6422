//! Remote configuration of products.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use api::dto::{
    Configuration, ConfigurationChange, ConfigurationPush, ConfigurationVersion, DeviceConfiguration,
    PushedConfiguration, Since,
};
use clap::{ArgGroup, Args, Subcommand};

use super::device::open;
use super::{Format, product, when};
use crate::client::Client;
use crate::output::{facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a file the product's configuration: a new version, which devices that ask get from now on
    Set {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        /// JSON file of at most 64 KiB
        file: PathBuf,
        #[command(flatten)]
        format: Format,
    },
    /// Show which version is present, and whether devices get it
    Show(Named),
    /// List the versions
    List(Named),
    /// Write the file of a version to standard output
    Get {
        /// Key of the product
        #[arg(value_name = "PK")]
        product_key: String,
        /// The version [default: the present one]
        #[arg(long, value_name = "N")]
        version: Option<i64>,
    },
    /// Tell devices of the present version: those connected now at once, others when they come
    Push(Push),
    /// List which version each device was told of, has fetched and has answered
    Devices(Named),
    /// Let devices get the configuration
    Enable(Named),
    /// Keep devices from getting the configuration
    Disable(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
#[command(group = ArgGroup::new("whom").required(true).args(["all", "devices"]))]
pub(crate) struct Push {
    #[command(flatten)]
    named: Named,
    /// All devices of the product that have not fetched or taken it
    #[arg(long)]
    all: bool,
    /// This device, also if it has it; may be given several times
    #[arg(long = "device", value_name = "DN")]
    devices: Vec<String>,
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Set { product_key, file, format } => {
            let (content, size) = open(&file)?;
            let path = format!("{}/versions", path(&product_key));
            let made: ConfigurationVersion = client.upload(&path, "application/json", size, content)?;
            format.show(&made, |made| {
                out!("version {} is present; devices that ask get it", made.version);
                out!("to tell the others: otaru config push {product_key} --all");
            })
        }
        Command::Show(named) => named.format.show(&client.get(&path(&named.product_key))?, show),
        Command::List(named) => {
            let path = format!("{}/versions", path(&named.product_key));
            named.format.list(client, &path, &[], &["VERSION", "BYTES", "SHA-256", "CREATED"], version_row)
        }
        Command::Get { product_key, version } => get(&product_key, version, client),
        Command::Push(push) => {
            let path = format!("{}/push", path(&push.named.product_key));
            let all = push.all;
            let whom = ConfigurationPush { all, device_names: (!all).then_some(push.devices) };
            let pushed: PushedConfiguration = client.post(&path, &whom)?;
            push.named.format.show(&pushed, |PushedConfiguration { version, warnings }| {
                out!("pushing version {}", version.version);
                warnings.iter().for_each(|warning| out!("warning: {}", warning.text));
            })
        }
        Command::Devices(named) => {
            let path = format!("{}/devices", path(&named.product_key));
            let head = ["DEVICE", "TOLD", "FETCHED", "ANSWERED", "CODE"];
            named.format.list(client, &path, &[], &head, device_row)
        }
        Command::Enable(named) => enable(&named, true, client),
        Command::Disable(named) => enable(&named, false, client),
    }
}

fn path(product_key: &str) -> String {
    format!("{}/configuration", product::path(product_key))
}

fn get(product_key: &str, version: Option<i64>, client: &Client) -> anyhow::Result<()> {
    let version = match version {
        Some(version) => version,
        None => {
            let found: Configuration = client.get(&path(product_key))?;
            let present = found.present.context("the product has no configuration yet")?;
            present.version
        }
    };
    let file = client.file(&format!("{}/versions/{version}/file", path(product_key)))?;
    std::io::stdout().lock().write_all(&file).context("cannot write to standard output")
}

fn enable(named: &Named, enabled: bool, client: &Client) -> anyhow::Result<()> {
    let change = ConfigurationChange { enabled: Some(enabled) };
    let changed: Configuration = client.patch(&path(&named.product_key), &change)?;
    named.format.show(&changed, show)
}

fn show(found: &Configuration) {
    let version = |version: Option<i64>| version.map_or("-".into(), |version| version.to_string());
    let present = found.present.as_ref();
    facts(&[
        ("devices get it", if found.enabled { "yes" } else { "no" }.into()),
        ("present version", version(present.map(|present| present.version))),
        ("made", present.map_or("-".into(), |present| when(&present.created_at))),
        ("pushed to all", version(found.pushed_version)),
    ]);
}

fn version_row(row: &ConfigurationVersion) -> Vec<String> {
    vec![row.version.to_string(), row.size.to_string(), row.sha256.clone(), when(&row.created_at)]
}

fn device_row(row: &DeviceConfiguration) -> Vec<String> {
    let since = |since: &Option<Since>| {
        since.as_ref().map_or("-".into(), |since| format!("{} at {}", since.version, when(&since.at)))
    };
    let code = row.code.map_or("-".into(), |code| code.to_string());
    vec![row.device_name.clone(), since(&row.told), since(&row.fetched), since(&row.answered), code]
}
