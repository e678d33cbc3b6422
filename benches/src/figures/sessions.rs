//! What a session costs: to log in, and to keep while it idles.

use super::Bench;
use crate::child::{Cores, LOADER_CORE, SERVER_CORE, load};
use crate::load::{Load, Logins, LoginsDone};
use crate::otaru::{Otaru, Setup};
use crate::stats::Rounds;

/// Logins under way at a time.
const PARALLEL: usize = 50;

impl Bench {
    pub(crate) fn sessions(&self) -> anyhow::Result<String> {
        let (mut memory, mut cpu, mut rate) = (Rounds::default(), Rounds::default(), Rounds::default());
        let devices = self.scale.sessions;
        for round in 1..=self.scale.report_rounds {
            eprintln!("sessions: round {round} of {}", self.scale.report_rounds);
            let folder = self.folder.join(format!("sessions-{round}"));
            let setup = Setup::new(&self.otaru, &folder, "sqlite", Cores::One(SERVER_CORE))?;
            let mut otaru = Otaru::start(setup)?;
            otaru.fill(devices)?;
            // A fresh process: what filling left in memory is no room for sessions. The logins that follow
            // leave the database's pages of these devices in memory, which are no session's either.
            otaru.crash()?;
            let done = self.log_in(&otaru, false)?;
            memory.add(self.log_in(&otaru, true)?.memory / 1024.0);
            cpu.add(done.cpu_seconds * 1e6 / devices as f64);
            rate.add(devices as f64 / done.cpu_seconds);
        }
        let text = format!(
            "\n## Sessions\n\n{devices} devices, passwords signed with HMAC-SHA256 and checked against the store (SQLite), the server on one\ncore, {PARALLEL} logins under way at a time. Medians of {} rounds with least and most.\n\n\
             | | measured | aim |\n| --- | --- | --- |\n\
             | resident memory per idle session with one subscription, KiB | {memory} | 6 |\n\
             | logins per second of processor time, presence written to the database included | {rate} | 25 000 |\n\
             | server time per 1 000 logins, ms | {cpu} | 40 |\n",
            self.scale.report_rounds
        );
        Ok(text)
    }

    fn log_in(&self, otaru: &Otaru, stay: bool) -> anyhow::Result<LoginsDone> {
        let pid = otaru.pid()?;
        let spec =
            Logins { address: otaru.devices(), pid, devices: self.scale.sessions, parallel: PARALLEL, stay };
        let (cores, spec) = (Cores::One(LOADER_CORE), Load::Logins(spec));
        if stay { Ok(load(cores, &spec)?.0) } else { self.watched("logins", pid, cores, &spec) }
    }
}
