//! A job for a whole fleet, while some of it reports and some of it comes to be upgraded.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Bench;
use crate::child::{Cores, Loader, begin, load};
use crate::load::{Load, Reports, ReportsDone, Storm, StormDone};
use crate::otaru::{Otaru, Setup};
use crate::packets::{OLD, PRODUCT, device_name};
use crate::stats::Short;

/// Reports a second meanwhile.
const RATE: f64 = 1_000.0;
/// Requests of a kind, of which the median counts.
const ASKED: usize = 21;

/// What one fleet on one database gave.
struct Seen {
    devices: usize,
    dry_run: Duration,
    enrol: Duration,
    reports: ReportsDone,
    offers: StormDone,
    first_page: Duration,
    late_page: Duration,
    counts: Duration,
}

impl Bench {
    pub(crate) fn rollouts(&self) -> anyhow::Result<String> {
        let mut text = format!(
            "\n## Rollouts\n\nA job for all devices of a product, of which all but {} exist only in the database. Dry run: of that job. Enrolled: from\nthe order until every device has its task, while {} others send {RATE} progress reports a second in all; then\n{} devices come within {} s, report their version and get their notice, with the reports going on. Pages have 200\ndevices; the late one begins 200 before the end. Nothing is pinned. Medians of {ASKED} requests; one run of the rest.\n\n\
             | database | devices | dry run, s (aim 3) | enrolled, s (aim 60 for a million) | report to PUBACK p99, ms (aim 50) | version report to notice p50, p99, ms (aim 100) | first page, ms (aim 20) | late page, ms (aim 20) | counts, ms (aim 5) |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            2 * self.scale.visitors,
            self.scale.visitors,
            self.scale.visitors,
            self.scale.visit_within.as_secs(),
        );
        for database in ["SQLite", "PostgreSQL"] {
            for devices in self.scale.fleets {
                eprintln!("rollouts: {devices} devices, {database}");
                let seen = self.rollout(database, *devices)?;
                text += &format!("| {database} {}\n", seen.line());
            }
        }
        Ok(text)
    }

    fn rollout(&self, database: &str, devices: usize) -> anyhow::Result<Seen> {
        let folder = self.folder.join(format!("rollout-{database}-{devices}"));
        let url = self.database(database, &format!("rollout_{devices}"))?;
        let visitors = self.scale.visitors;
        let mut otaru = Otaru::start(Setup::new(&self.otaru, &folder, &url, Cores::All)?)?;
        otaru.fill(2 * visitors)?;
        self.reporters_job(&otaru, visitors)?;
        let bulk = devices - 2 * visitors;
        otaru.stopped(|data| self.add_fleet(data, &url, bulk))?;
        let file = self.folder.join("small");
        std::fs::write(&file, "a small firmware")?;
        let package = otaru.package(&file)?;
        // Whoever has never connected is nobody's yet.
        self.visit(&otaru, false)?;
        let scope = json!({"kind": "all"});
        let dry_run = timed(|| otaru.dry_run(&package, &scope).map(drop))?;

        let stop = folder.join("stop");
        let reporting = begin(Cores::All, &self.reports_until(&otaru, &stop)?)?;
        let begun = Instant::now();
        let job = otaru.job(&package, &scope, true, 1_000_000)?;
        let enrol = begun.elapsed();
        let (offers, _visitors): (StormDone, _) = self.visit(&otaru, true)?;
        std::fs::write(&stop, "")?;
        let (reports, _reporters): (ReportsDone, Loader) = reporting.end()?;

        let counts = &otaru.get(&format!("/jobs/{job}"))?["counts"];
        let tasks: u64 = counts.as_object().context("no counts")?.values().filter_map(|n| n.as_u64()).sum();
        ensure!(tasks >= bulk as u64, "of {devices} devices only {tasks} have tasks: {counts}");
        let page = format!("/products/{PRODUCT}/devices?limit=200");
        // All names but the last hundred of a prefix: there is one after it.
        let late = otaru.after_device(&format!("fleet-{:05}", bulk.saturating_sub(200) / 100))?;
        Ok(Seen {
            devices,
            dry_run,
            enrol,
            reports,
            offers,
            first_page: median(|| otaru.get(&page).map(drop))?,
            late_page: median(|| otaru.get(&format!("{page}&cursor={late}")).map(drop))?,
            counts: median(|| otaru.get(&format!("/jobs/{job}")).map(drop))?,
        })
    }

    /// A job for those who report, of another version: their tasks of the large one wait behind it.
    fn reporters_job(&self, otaru: &Otaru, reporters: usize) -> anyhow::Result<()> {
        let file = self.folder.join("other");
        std::fs::write(&file, "another small firmware")?;
        let package = otaru.package_of(&file, "1.5.0")?;
        let names: Vec<String> = (0..reporters).map(device_name).collect();
        otaru.job(&package, &json!({"kind": "named", "deviceNames": names}), false, 1_000)?;
        Ok(())
    }

    pub(crate) fn add_fleet(&self, data: &Path, database: &str, count: usize) -> anyhow::Result<()> {
        let mut command = Command::new(self.examples.join("fleet"));
        command.arg(data).args([database, PRODUCT, OLD, &count.to_string()]);
        let output = command.output().context("cannot run the example `fleet`")?;
        ensure!(
            output.status.success(),
            "the fleet was not made: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn reports_until(&self, otaru: &Otaru, stop: &Path) -> anyhow::Result<Load> {
        Ok(Load::Reports(Reports {
            address: otaru.devices(),
            pid: otaru.pid()?,
            devices: self.scale.visitors,
            length: Duration::from_secs(600),
            rate: Some(RATE),
            stop: Some(stop.into()),
        }))
    }

    /// The other devices come, report their version and go on as they are told.
    fn visit(&self, otaru: &Otaru, upgrade: bool) -> anyhow::Result<(StormDone, Loader)> {
        let spec = Storm {
            address: otaru.devices(),
            first: self.scale.visitors,
            devices: self.scale.visitors,
            within: self.scale.visit_within,
            download: Duration::from_millis(500),
            upgrade,
            at_most: Duration::from_secs(120),
        };
        load(Cores::All, &Load::Storm(spec))
    }
}

impl Seen {
    fn line(&self) -> String {
        let ms = |time: Duration| Short(time.as_secs_f64() * 1000.0).to_string();
        let s = |time: Duration| Short(time.as_secs_f64()).to_string();
        let offers = format!("{}, {}", Short(self.offers.offer_p50_ms), Short(self.offers.offer_p99_ms));
        let cells = [
            self.devices.to_string(),
            s(self.dry_run),
            s(self.enrol),
            Short(self.reports.p99_ms).to_string(),
            offers,
            ms(self.first_page),
            ms(self.late_page),
            ms(self.counts),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

fn median(ask: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let mut times = (0..ASKED).map(|_| timed(&ask)).collect::<anyhow::Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[ASKED / 2])
}
