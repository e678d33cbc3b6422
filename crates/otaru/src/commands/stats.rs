use api::dto::{UpgradeStatistics, VersionHistory, VersionStatistics};
use clap::{Args, Subcommand};

use super::{Format, given, product, spelt, when};
use crate::client::{Client, joined};
use crate::output::{Table, facts, out};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Which versions the devices of a product run
    Versions(Versions),
    /// How upgrades ended, how long they took, and why they failed
    Upgrades(Upgrades),
}

#[derive(Args)]
pub(crate) struct Versions {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// The module [default: default]
    #[arg(long, value_name = "M")]
    module: Option<String>,
    /// How it was hour by hour, instead of now
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub(crate) struct Upgrades {
    /// Key of the product
    #[arg(value_name = "PK")]
    product_key: String,
    /// Only those of a package
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only those of a job
    #[arg(long, value_name = "JOB", conflicts_with = "package")]
    job: Option<String>,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
struct Span {
    /// The first hour, as 2026-11-22T10:00:00Z [default: a week before the last]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The last hour [default: this one]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

pub(crate) fn run(command: Command, client: &Client) -> anyhow::Result<()> {
    match command {
        Command::Versions(versions) if versions.history => {
            let found: VersionHistory = client.get(&versions.path("/versions/history"))?;
            versions.format.show(&found, show_history)
        }
        Command::Versions(versions) => {
            let found: VersionStatistics = client.get(&versions.path("/versions"))?;
            versions.format.show(&found, show_versions)
        }
        Command::Upgrades(upgrades) => {
            let Upgrades { product_key, package, job, span, format } = upgrades;
            let query =
                [("packageId", &package), ("jobId", &job), ("from", &span.from), ("until", &span.until)];
            let found: UpgradeStatistics = client.get(&path(&product_key, "/upgrades", &query))?;
            format.show(&found, show_upgrades)
        }
    }
}

impl Versions {
    fn path(&self, what: &str) -> String {
        let Span { from, until } = &self.span;
        path(&self.product_key, what, &[("module", &self.module), ("from", from), ("until", until)])
    }
}

fn path(product_key: &str, what: &str, query: &[(&'static str, &Option<String>)]) -> String {
    format!("{}/statistics{what}?{}", product::path(product_key), joined(&given(query)))
}

fn show_versions(found: &VersionStatistics) {
    let VersionStatistics { devices, versions, others, never_reported } = found;
    let row = |version: &str, n: i64| vec![version.to_owned(), n.to_string(), share(n, *devices)];
    let mut rows: Vec<_> = versions.iter().map(|v| row(&v.version, v.devices)).collect();
    if *others > 0 {
        rows.push(row("others", *others));
    }
    Table::new(&["VERSION", "DEVICES", "SHARE"]).print(rows);
    out!("{devices} devices have reported this module, {never_reported} have not");
}

fn share(n: i64, all: i64) -> String {
    format!("{:.1} %", n as f64 * 100.0 / all.max(1) as f64)
}

fn show_history(found: &VersionHistory) {
    let versions = found.versions.iter().map(String::as_str);
    let head: Vec<_> = ["HOUR", "DEVICES"].into_iter().chain(versions).collect();
    let row = |point: &api::dto::VersionPoint| {
        let counts = point.counts.iter().map(ToString::to_string);
        [when(&point.hour), point.devices.to_string()].into_iter().chain(counts).collect()
    };
    Table::new(&head).print(found.points.iter().map(row).collect());
}

fn show_upgrades(found: &UpgradeStatistics) {
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".into(), |s| format!("{s:.1} s"));
    facts(&[
        ("succeeded", found.succeeded.to_string()),
        ("failed", found.failed.to_string()),
        ("cancelled", found.canceled.to_string()),
        ("success rate", found.success_percent.map_or_else(|| "-".into(), |rate| format!("{rate:.1} %"))),
        ("mean duration", seconds(found.mean_seconds)),
        ("longest", seconds(found.longest_seconds)),
    ]);
    if !found.reasons.is_empty() {
        out!("");
        let row = |reason: &api::dto::ReasonCount| {
            vec![spelt(&reason.state), reason.code.clone(), reason.tasks.to_string()]
        };
        Table::new(&["ENDED", "WHY", "TASKS"]).print(found.reasons.iter().map(row).collect());
    }
}
