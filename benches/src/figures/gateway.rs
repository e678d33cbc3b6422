//! What sub-devices cost behind one gateway.

use serde_json::json;

use super::Bench;
use crate::child::{Cores, LOADER_CORE, SERVER_CORE, load};
use crate::load::{Gateway, GatewayDone, Load};
use crate::otaru::{Otaru, Setup};
use crate::stats::Rounds;

/// Bytes of the file that each sub-device fetches.
const FILE: u32 = 64 * 1024;

impl Bench {
    pub(crate) fn gateway(&self) -> anyhow::Result<String> {
        let subs = self.scale.subs;
        let [mut topology, mut login, mut memory, mut upgrade, mut cpu] = [(); 5].map(|()| Rounds::default());
        for round in 1..=self.scale.report_rounds {
            eprintln!("gateway: round {round} of {}", self.scale.report_rounds);
            let done = self.gateway_round(round)?;
            topology.add(done.topology_seconds);
            login.add(done.login_seconds);
            memory.add(done.memory / 1024.0);
            upgrade.add(done.upgrade_seconds);
            cpu.add(done.cpu_seconds * 1e3 / subs as f64);
        }
        let text = format!(
            "\n## A gateway\n\n{subs} sub-devices on one gateway's connection, added and logged in 50 at a time; then each reports its version, is told,\nfetches {} KiB in blocks of 4 KiB and reports the new version, 64 of them at a time. SQLite, the server on one core.\nMedians of {} rounds with least and most.\n\n\
             | | measured |\n| --- | --- |\n\
             | topology of all added, s | {topology} |\n\
             | all logged in, s | {login} |\n\
             | resident memory per sub-device that is logged in, KiB | {memory} |\n\
             | all upgraded, s | {upgrade} |\n\
             | server time per upgrade, ms | {cpu} |\n",
            FILE / 1024,
            self.scale.report_rounds
        );
        Ok(text)
    }

    fn gateway_round(&self, round: usize) -> anyhow::Result<GatewayDone> {
        let subs = self.scale.subs;
        let folder = self.folder.join(format!("gateway-{round}"));
        let otaru = Otaru::start(Setup::new(&self.otaru, &folder, "sqlite", Cores::One(SERVER_CORE))?)?;
        otaru.fill(subs + 1)?;
        let file = self.folder.join("firmware-of-sub-devices");
        std::fs::write(&file, vec![7; FILE as usize])?;
        let package = otaru.package(&file)?;
        let names: Vec<String> = (1..=subs).map(crate::packets::device_name).collect();
        otaru.job(&package, &json!({"kind": "named", "deviceNames": names}), true, 1_000_000)?;
        let spec = Gateway { address: otaru.devices(), pid: otaru.pid()?, subs, file: FILE };
        Ok(load(Cores::One(LOADER_CORE), &Load::Gateway(spec))?.0)
    }
}
