use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use api::dto::{CancelOf, CanceledTasks, Credentials, Device, DeviceChange, Import, ImportResult, NewDevice};
use clap::{Args, Subcommand};
use otaru::device::Options;

use super::{Format, certificate, credentials, given, messages, or_dash, product, tag, when};
use crate::client::{Client, segment};
use crate::output::{Table, facts, out};
use store::private_file;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a device
    Add(Add),
    /// Make many devices from a CSV file
    Import(ImportFile),
    /// Write names and secrets to a CSV file, for the factory or another platform
    Export(Export),
    /// List the devices of a product
    List(List),
    /// Show a device
    Show(Named),
    /// Print what MQTTX, mosquitto_pub or a board needs to connect
    Credentials(Named),
    /// Show the messages of a device as they pass, up and down, until interrupted
    Watch(Named),
    /// Show or change the certificate by which a device may connect
    Certificate(certificate::Certificate),
    /// Let a device connect
    Enable(Named),
    /// Keep a device from connecting
    Disable(Named),
    /// Let a device register again for a while, as after a factory reset has erased its secret
    AllowRegistration {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        allowance: product::Allowance,
    },
    /// Remove a device; what it has not finished is cancelled
    Remove(Named),
    /// Tags: what you say of devices, for filters and groups
    #[command(subcommand)]
    Tag(tag::Command),
    /// Cancel what devices have not finished; they are not told
    Cancel(Cancel),
    /// Run a device in this terminal, with a folder as flash
    Run(Box<Options>),
}

#[derive(Args)]
pub(crate) struct Add {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Name of the device
    #[arg(value_name = "DN")]
    device_name: String,
    /// The DeviceSecret it already carries [default: a new one]
    #[arg(long, value_name = "DS", env = "OTARU_DEVICE_SECRET", hide_env_values = true)]
    secret: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct ImportFile {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// CSV file; its first line may name the columns: deviceName and, where they exist, deviceSecret and productKey
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Export {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// The file to write, with the columns `device import` reads; it must not exist yet
    file: PathBuf,
    /// Only those whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
}

#[derive(Args)]
pub(crate) struct List {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Only those whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Only those that a filter means, as 'tag.region = eu and status = offline' (docs/filters.md)
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Only those of a group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Named {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Name of the device
    #[arg(value_name = "DN")]
    device_name: String,
    #[command(flatten)]
    pub(super) format: Format,
}

#[derive(Args)]
pub(crate) struct Cancel {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Names of devices, at most 200
    #[arg(value_name = "DN", required = true)]
    device_names: Vec<String>,
    /// Only their tasks of this job, job_…
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only their tasks for this module
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
    #[command(flatten)]
    format: Format,
}

impl Named {
    pub(super) fn path(&self) -> String {
        format!("{}/devices/{}", product::path(&self.product_key), segment(&self.device_name))
    }
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Add(new) => add(new, client),
        Command::Import(list) => import(&list, client),
        Command::Export(export) => secrets(&export, client),
        Command::List(list) => {
            let path = format!("{}/devices", product::path(&list.product_key));
            let List { prefix, filter, group, format, .. } = &list;
            let query = given(&[("prefix", prefix), ("filter", filter), ("group", group)]);
            format.list(client, &path, &query, &HEAD, row)
        }
        Command::Show(named) => {
            let device: Device = client.get(&named.path())?;
            named.format.show(&device, show)
        }
        Command::Credentials(named) => {
            let found: Credentials = client.get(&format!("{}/credentials", named.path()))?;
            credentials::print(&found, named.format, client)
        }
        Command::Watch(named) => messages::run(&named.path(), named.format, client),
        Command::Certificate(order) => certificate::run(order, client),
        Command::Enable(named) => enable(&named, true, client),
        Command::Disable(named) => enable(&named, false, client),
        Command::AllowRegistration { named, allowance } => {
            let device: Device = allowance.send(&named.path(), client)?;
            named.format.show(&device, show)
        }
        Command::Remove(named) => {
            client.delete(&named.path())?;
            out!("removed device {}", named.device_name);
            Ok(())
        }
        Command::Tag(command) => tag::run(command, client),
        Command::Cancel(cancel) => cancel_tasks(cancel, client),
        Command::Run(options) => run_device(*options).map(drop),
    }
}

/// Runs a device until it ends.
pub(crate) fn run_device(options: Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(otaru::device::run(options));
    // A part or a hook may be slow; whoever interrupts is not to wait for it.
    runtime.shutdown_background();
    let outcome = outcome?;
    Ok(ExitCode::from(outcome.exit_code()))
}

fn add(new: Add, client: &Client) -> anyhow::Result<()> {
    let body = NewDevice { device_name: Some(new.device_name), device_secret: new.secret };
    let device: Device = client.post(&format!("{}/devices", product::path(&new.product_key)), &body)?;
    new.format.show(&device, |device| {
        out!("made device {}", device.device_name);
        out!("its connection values: otaru device credentials {} {}", new.product_key, device.device_name);
    })
}

/// Writes a line a device; names need no quoting.
fn secrets(export: &Export, client: &Client) -> anyhow::Result<()> {
    let doing = || format!("cannot write {}", export.file.display());
    let mut file = std::io::BufWriter::new(private_file(&export.file).with_context(doing)?);
    writeln!(file, "deviceName,deviceSecret").with_context(doing)?;
    let path = format!("{}/devices", product::path(&export.product_key));
    let filter: Vec<_> = export.prefix.iter().map(|prefix| ("prefix", prefix.as_str())).collect();
    let mut written = 0;
    client.pages(&path, &filter, |devices: Vec<Device>| {
        for device in devices {
            let name = device.device_name;
            let found: Credentials = client.get(&format!("{path}/{}/credentials", segment(&name)))?;
            writeln!(file, "{name},{}", quoted(&found.device_secret)).with_context(doing)?;
            written += 1;
        }
        Ok(())
    })?;
    file.flush().with_context(doing)?;
    out!(
        "wrote {written} devices with their secrets to {}; keep it as safe as they are",
        export.file.display()
    );
    Ok(())
}

/// A secret may hold any printable character.
fn quoted(secret: &str) -> String {
    if secret.contains([',', '"']) { format!("\"{}\"", secret.replace('"', "\"\"")) } else { secret.into() }
}

fn import(list: &ImportFile, client: &Client) -> anyhow::Result<()> {
    let (file, size) = open(&list.file)?;
    let path = format!("{}/import-devices", product::path(&list.product_key));
    let import: Import = client.upload(&path, "text/csv", size, file)?;
    list.format.show(&import, |import| {
        let row = |r: &ImportResult| {
            let problem = r.problem.as_ref()?;
            Some(vec![r.line.to_string(), or_dash(r.device_name.as_ref()), problem.detail.clone()])
        };
        let rows: Vec<_> = import.results.iter().filter_map(row).collect();
        if !rows.is_empty() {
            Table::new(&["LINE", "REFUSED", "WHY"]).print(rows);
        }
        out!("{} devices made, {} refused", import.created, import.refused);
    })?;
    anyhow::ensure!(
        import.refused == 0,
        "{} of {} devices were refused",
        import.refused,
        import.results.len()
    );
    Ok(())
}

fn cancel_tasks(cancel: Cancel, client: &Client) -> anyhow::Result<()> {
    let path = format!("{}/cancel-tasks", product::path(&cancel.product_key));
    let which = CancelOf { device_names: cancel.device_names, job_id: cancel.job, module: cancel.module };
    let canceled: CanceledTasks = client.post(&path, &which)?;
    cancel.format.show(&canceled, |canceled| {
        canceled.task_ids.iter().for_each(|task| out!("cancelled {task}"));
        if canceled.task_ids.is_empty() {
            out!("nothing was unfinished");
        }
    })
}

/// A file to send, with its length.
pub(super) fn open(path: &Path) -> anyhow::Result<(File, u64)> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(metadata.is_file(), "{} is not a file", path.display());
    Ok((file, metadata.len()))
}

fn enable(named: &Named, enabled: bool, client: &Client) -> anyhow::Result<()> {
    let change = DeviceChange { enabled: Some(enabled), ..DeviceChange::default() };
    let device: Device = client.patch(&named.path(), &change)?;
    named.format.show(&device, show)
}

/// The head of a list of devices.
pub(super) const HEAD: [&str; 4] = ["DEVICE", "STATE", "VERSIONS", "LAST ONLINE"];

pub(super) fn row(device: &Device) -> Vec<String> {
    let last = device.last_online_at.as_ref().map(|time| when(time));
    vec![device.device_name.clone(), state(device).into(), versions(device), or_dash(last.as_ref())]
}

fn state(device: &Device) -> &'static str {
    match (device.enabled, device.online, &device.first_online_at) {
        (false, ..) => "disabled",
        (true, true, _) => "online",
        (true, false, Some(_)) => "offline",
        (true, false, None) => "never came",
    }
}

fn versions(device: &Device) -> String {
    if device.versions.is_empty() {
        return "-".into();
    }
    device.versions.iter().map(|v| format!("{} {}", v.module, v.version)).collect::<Vec<_>>().join(", ")
}

fn groups(device: &Device) -> String {
    let all: Vec<&str> = device.groups.iter().map(String::as_str).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}

fn gateway(device: &Device) -> String {
    device.gateway.as_ref().map_or("-".into(), |name| format!("{} of {}", name.device_name, name.product_key))
}

fn show(device: &Device) {
    let mut all = vec![
        ("device", device.device_name.clone()),
        ("state", state(device).into()),
        ("versions", versions(device)),
        ("tags", tag::joined(&device.tags)),
        ("groups", groups(device)),
        ("gateway", gateway(device)),
        ("first online", or_dash(device.first_online_at.as_ref().map(|t| when(t)).as_ref())),
        ("last online", or_dash(device.last_online_at.as_ref().map(|t| when(t)).as_ref())),
        ("last offline", or_dash(device.last_offline_at.as_ref().map(|t| when(t)).as_ref())),
        ("created", when(&device.created_at)),
    ];
    if device.registration_allowed_until.is_some() {
        all.push(("registration", product::again(device.registration_allowed_until.as_ref())));
    }
    if let Some(since) = &device.identity_shared_since {
        let text = format!(
            "two clients use this identity since {}; pushes wait until one has stayed for a minute",
            when(since)
        );
        all.insert(2, ("identity", text));
    }
    facts(&all);
}
