//! What the web page costs, with a large fleet: its requests and frames in a browser, and many pages that are live.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::json;

use super::Bench;
use crate::child::Cores;
use crate::otaru::{Otaru, Setup};
use crate::packets::{PRODUCT, device_name};
use crate::stats::Short;

/// Devices that report versions while pages are live.
const REPORTERS: usize = 20;

/// As console/e2e/figures.js tells.
#[derive(Deserialize)]
struct Told {
    bytes: f64,
    shown: f64,
    visits: BTreeMap<String, Visit>,
    lives: Vec<Live>,
    events: u64,
}

/// One page: milliseconds of its slowest request, which that is, and of its longest frame.
#[derive(Deserialize)]
struct Visit {
    slowest: f64,
    request: String,
    frame: f64,
}

/// Many pages that are live: what one of them asked for, and what the server was busy without them and with them.
#[derive(Deserialize)]
struct Live {
    name: String,
    asked: usize,
    alone: f64,
    all: f64,
}

impl Bench {
    pub(crate) fn console(&self) -> anyhow::Result<String> {
        let (devices, tasks) = (self.scale.console_devices, self.scale.console_tasks);
        eprintln!("console: {devices} devices");
        let folder = self.folder.join("console");
        let mut otaru = Otaru::start(Setup::new(&self.otaru, &folder, "sqlite", Cores::All)?)?;
        otaru.fill(REPORTERS)?;
        otaru.stopped(|data| self.add_fleet(data, "sqlite", devices))?;
        let file = self.folder.join("firmware-of-the-console");
        std::fs::write(&file, "a small firmware")?;
        let package = otaru.package(&file)?;
        // Names have seven digits and begin with 1.
        let prefix = format!("fleet-{:0width$}*", 0, width = 7 - tasks.ilog10() as usize);
        let filter = format!("name like {prefix}");
        let job = otaru.job(&package, &json!({"kind": "filter", "filter": filter}), true, 1_000)?;
        let told = self.told(&otaru, &job, &package)?;

        let mut text = format!(
            "\n## The console\n\nIn Chromium without a screen, on the machine that serves: {devices} devices and a job of about {tasks} tasks over SQLite.\n\n\
             | | measured | aim |\n| --- | --- | --- |\n\
             | first load, KB as they travel | {} | 500 |\n\
             | until the first page shows its answers, ms (median of 5) | {} | 1500 |\n\n\
             Each page while it is scrolled up and down: its slowest request of two visits, and its frames in the second.\n\n\
             | page | slowest request, ms (aim 200) | which | longest frame, ms (aim 100) |\n| --- | --- | --- | --- |\n",
            Short(told.bytes / 1000.0),
            Short(told.shown)
        );
        for (name, Visit { slowest, request, frame }) in &told.visits {
            text += &format!("| {name} | {} | `{request}` | {} |\n", Short(*slowest), Short(*frame));
        }
        text += &format!(
            "\n{} pages that are live while 200 versions a second are reported ({} in all): each follows the events, and asks for\nwhat one such page in the browser asked for in {} s. Per cent of a core.\n\n\
             | page | requests of one | server without them | with them | the pages alone (aim 5) |\n| --- | --- | --- | --- | --- |\n",
            self.scale.live_pages, told.events, self.scale.live_seconds
        );
        for Live { name, asked, alone, all } in &told.lives {
            let per_cent = |share: f64| Short(share * 100.0);
            text += &format!(
                "| {name} | {asked} | {} | {} | {} |\n",
                per_cent(*alone),
                per_cent(*all),
                per_cent(all - alone)
            );
        }
        Ok(text)
    }

    fn told(&self, otaru: &Otaru, job: &str, package: &str) -> anyhow::Result<Told> {
        let reporters: Vec<String> = (0..REPORTERS).map(device_name).collect();
        let mut command = Command::new("node");
        command.arg("e2e/figures.js").current_dir("console").stderr(Stdio::inherit());
        command.env("OTARU_DATA", otaru.data()).env("OTARU_URL", otaru.operators());
        command.env("DEVICES", otaru.devices().port().to_string()).env("OTARU_PID", otaru.pid()?.to_string());
        command.envs([("PRODUCT", PRODUCT), ("JOB", job), ("PACKAGE", package)]);
        command.env("DEVICE", device_name(0)).env("REPORTERS", reporters.join(","));
        command.env("LIVE_PAGES", self.scale.live_pages.to_string());
        command.env("LIVE_SECONDS", self.scale.live_seconds.to_string());
        let output = command.output().context("cannot run node in console/")?;
        ensure!(output.status.success(), "console/e2e/figures.js failed");
        serde_json::from_slice(&output.stdout).context("console/e2e/figures.js told something else")
    }
}
