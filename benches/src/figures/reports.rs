//! Progress reports from PUBLISH to PUBACK, each durable before it is acknowledged, beside the same
//! rows written without sessions.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Bench;
use crate::child::{Cores, load};
use crate::load::{Load, Reports, ReportsDone};
use crate::otaru::{Otaru, Setup};
use crate::stats::Rounds;

/// Reports in a transaction of the bare committer, as many as the real one takes.
const BATCH: usize = 512;

/// What was seen over one kind of database.
#[derive(Default)]
struct Seen {
    sessions: Rounds,
    bare: Rounds,
    share: Rounds,
    cpu: Rounds,
    half: Rounds,
    p50: Rounds,
    p99: Rounds,
}

impl Bench {
    pub(crate) fn reports(&self) -> anyhow::Result<String> {
        let mut seen = [("SQLite", 80_000, Seen::default()), ("PostgreSQL", 50_000, Seen::default())];
        for round in 1..=self.scale.report_rounds {
            eprintln!("reports: round {round} of {}", self.scale.report_rounds);
            for (database, _, seen) in &mut seen {
                self.report_round(database, round, seen)?;
            }
        }
        let mut text = format!(
            "\n## Progress reports\n\n{} devices, each with one QoS 1 report under way, progress going up by one per cent a report; nothing is pinned.\nSQLite runs `synchronous=FULL`, PostgreSQL waits for its disk (`fsync=on`) and shares the machine. The bare\ncommitter writes the same rows without sessions, {BATCH} a transaction (`crates/store/examples/committer.rs`).\nMedians of {} rounds with least and most.\n\n\
             | | reports/s | aim | bare committer/s | ÷ bare (aim 0.5) | server time per 1 000, ms | at half the load/s | to PUBACK p50, ms | p99, ms (aim 20) |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            self.scale.reporters, self.scale.report_rounds
        );
        for (database, aim, Seen { sessions, bare, share, cpu, half, p50, p99 }) in &seen {
            text += &format!(
                "| {database} | {sessions} | {aim} | {bare} | {share} | {cpu} | {half} | {p50} | {p99} |\n"
            );
        }
        Ok(text)
    }

    fn report_round(&self, database: &str, round: usize, seen: &mut Seen) -> anyhow::Result<()> {
        let folder = self.folder.join(format!("reports-{database}-{round}"));
        let url = |name: &str| self.database(database, &format!("{name}_{round}"));
        let otaru = Otaru::start(Setup::new(&self.otaru, &folder, &url("reports")?, Cores::All)?)?;
        let job = self.prepare_reports(&otaru)?;
        let full: ReportsDone = self.watched(
            &format!("reports, {database}"),
            otaru.pid()?,
            Cores::All,
            &self.report(&otaru, None)?,
        )?;
        let half: ReportsDone = load(Cores::All, &self.report(&otaru, Some(full.rate / 2.0))?)?.0;
        let counts = &otaru.get(&format!("/jobs/{job}"))?["counts"];
        ensure!(counts["inProgress"] == self.scale.reporters, "not all tasks have begun: {counts}");
        drop(otaru);
        let bare = self.bare(&url("bare")?)?;
        seen.sessions.add(full.rate);
        seen.bare.add(bare);
        seen.share.add(full.rate / bare);
        seen.cpu.add(full.cpu_seconds * 1e6 / full.reports as f64);
        seen.half.add(half.rate);
        seen.p50.add(half.p50_ms);
        seen.p99.add(half.p99_ms);
        Ok(())
    }

    /// A job with a task for every device, none of them pushed: devices may report all the same.
    fn prepare_reports(&self, otaru: &Otaru) -> anyhow::Result<String> {
        otaru.fill(self.scale.reporters)?;
        let file = self.folder.join("small");
        std::fs::write(&file, "a small firmware")?;
        let package = otaru.package(&file)?;
        let names: Vec<String> = (0..self.scale.reporters).map(crate::packets::device_name).collect();
        otaru.job(&package, &json!({"kind": "named", "deviceNames": names}), false, 1_000)
    }

    fn report(&self, otaru: &Otaru, rate: Option<f64>) -> anyhow::Result<Load> {
        Ok(Load::Reports(Reports {
            address: otaru.devices(),
            pid: otaru.pid()?,
            devices: self.scale.reporters,
            length: self.scale.report_length,
            rate,
            stop: None,
        }))
    }

    /// Reports a second of the bare committer.
    fn bare(&self, database: &str) -> anyhow::Result<f64> {
        let batch = BATCH.min(self.scale.reporters / 2);
        let length = self.scale.report_length.max(Duration::from_secs(1)).as_secs();
        let numbers = [batch, self.scale.reporters].map(|n| n.to_string());
        let mut command = Command::new(self.examples.join("committer"));
        command.args(["progress", database]).args(numbers).arg(length.to_string());
        let output = command.output().context("cannot run the bare committer")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "the bare committer failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let rate = text.split(", ").nth(1).and_then(|part| part.split(' ').next());
        rate.context("no rate")?.parse().with_context(|| format!("no rate in {text:?}"))
    }

    /// An empty database of a kind: what `otaru serve --database` takes for it.
    pub(crate) fn database(&self, kind: &str, name: &str) -> anyhow::Result<String> {
        if kind == "SQLite" { Ok("sqlite".into()) } else { self.new_database(name) }
    }

    /// An empty database on the PostgreSQL server, and its URL.
    fn new_database(&self, name: &str) -> anyhow::Result<String> {
        let server = format!("{}/postgres", self.postgres);
        let status = Command::new("createdb").args(["--maintenance-db", &server, name]).status();
        ensure!(status.context("cannot run createdb")?.success(), "the database {name} was not made");
        Ok(format!("{}/{name}", self.postgres))
    }
}
