//! The server is killed while a fleet is connected and a job runs; then all come back.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::Bench;
use crate::child::{Cores, Loader, load};
use crate::load::{Load, Storm, StormDone};
use crate::otaru::{Otaru, Setup};
use crate::proc;

/// From a notice to the report of the new version: short, and long enough for downloads to overlap.
const DOWNLOAD: Duration = Duration::from_millis(500);

/// Pushes a minute, so many that all devices are told within seconds.
const RATE: u32 = 120_000;

const AT_MOST: Duration = Duration::from_secs(120);

impl Bench {
    pub(crate) fn storm(&self) -> anyhow::Result<String> {
        eprintln!("storm: {} devices", self.scale.storm);
        let folder = self.folder.join("storm");
        let mut setup = Setup::new(&self.otaru, &folder, "sqlite", Cores::All)?;
        setup.max_downloads = self.scale.storm_downloads;
        let mut otaru = Otaru::start(setup)?;
        otaru.fill(self.scale.storm)?;
        let (_, connected) = self.storm_of(&otaru, false)?;
        let file = self.folder.join("small");
        std::fs::write(&file, "a small firmware")?;
        let package = otaru.package(&file)?;
        let job = otaru.job(&package, &json!({"kind": "all"}), true, RATE.into())?;
        otaru.crash()?;
        drop(connected);
        let (before, cpu) = (proc::resident(otaru.pid()?)?, proc::cpu(otaru.pid()?)?);
        let (done, _connected) = self.storm_of(&otaru, true)?;
        let (peak, cpu) = (proc::peak_resident(otaru.pid()?)?, proc::cpu(otaru.pid()?)? - cpu);
        let counts = &otaru.get(&format!("/jobs/{job}"))?["counts"];
        ensure!(counts["succeeded"] == self.scale.storm, "not all devices were upgraded: {counts}");
        self.judge(&done)?;
        let text = self.storm_text(&done, before, peak, cpu);
        Ok(text)
    }

    fn storm_of(&self, otaru: &Otaru, upgrade: bool) -> anyhow::Result<(StormDone, Loader)> {
        let spec = Storm {
            address: otaru.devices(),
            first: 0,
            devices: self.scale.storm,
            within: self.scale.storm_within,
            download: DOWNLOAD,
            upgrade,
            at_most: AT_MOST,
        };
        load(Cores::All, &Load::Storm(spec))
    }

    /// Everybody was let in and served, and no limit was broken.
    fn judge(&self, done: &StormDone) -> anyhow::Result<()> {
        ensure!(done.closed == 0, "{} connections were hung up on", done.closed);
        ensure!(done.notices_ms.len() == self.scale.storm, "{} notices came", done.notices_ms.len());
        let most = self.scale.storm_downloads;
        ensure!(done.most_downloads <= most, "{} downloads at once, allowed are {most}", done.most_downloads);
        let rate = most_a_minute(&done.notices_ms);
        ensure!(rate <= RATE as usize, "{rate} notices within a minute, allowed are {RATE}");
        Ok(())
    }

    fn storm_text(&self, done: &StormDone, before: u64, peak: u64, cpu: Duration) -> String {
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        format!(
            "\n## A storm\n\n{} devices are connected while a job for all of them begins; the server is killed (`kill -9`) and started again;\nall come back within {} s, report their version, get their notice and {} s later report the new one. The job may\npush {RATE} a minute, {} downloads may run at once; SQLite, server and loader two processes, nothing is pinned.\nThe run fails if a device is turned away or hung up on, or if rate or downloads exceed their limits.\n\n\
             | | measured |\n| --- | --- |\n\
             | all had CONNACK and the PUBACK of their version after | {:.1} s |\n\
             | CONNACK p99, longest | {:.0} ms, {:.0} ms |\n\
             | version report to PUBACK (a commit) p50, p99, longest | {:.1} ms, {:.0} ms, {:.0} ms |\n\
             | all had their notice and reported the new version after | {:.1} s |\n\
             | most downloads at once | {} |\n\
             | most notices within a second | {} |\n\
             | server time in all | {:.1} s |\n\
             | resident memory before, most during the storm | {:.0} MiB, {:.0} MiB |\n",
            self.scale.storm,
            self.scale.storm_within.as_secs(),
            DOWNLOAD.as_secs_f64(),
            self.scale.storm_downloads,
            done.served_seconds,
            done.connack_p99_ms,
            done.connack_max_ms,
            done.puback_p50_ms,
            done.puback_p99_ms,
            done.puback_max_ms,
            done.done_seconds,
            done.most_downloads,
            most_within(&done.notices_ms, 1_000),
            cpu.as_secs_f64(),
            mib(before),
            mib(peak),
        )
    }
}

fn most_a_minute(times: &[u32]) -> usize {
    most_within(times, 60_000)
}

/// The most of these times, in order, that lie within a span.
fn most_within(times: &[u32], span: u32) -> usize {
    let within = |first: usize| times[first..].iter().take_while(|time| **time < times[first] + span).count();
    (0..times.len()).map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::most_within;

    #[test]
    fn a_span_is_laid_where_it_holds_most() {
        assert_eq!(most_within(&[0, 500, 999, 1_000, 1_001, 1_400, 3_000], 1_000), 5);
        assert_eq!(most_within(&[], 1_000), 0);
    }
}
