//! What TLS adds: to a block, beside nginx; to a connection, beside the bare sums; to an idle session.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Bench;
use super::blocks::{bytes, content};
use crate::child::{Cores, LOADER_CORE, SERVER_CORE, free_address, load};
use crate::load::{
    Blocks, BlocksDone, HOST, Handshakes, HandshakesDone, Idle, IdleDone, Load, Logins, LoginsDone, Suite,
    Target, Tls,
};
use crate::otaru::{Otaru, Setup};
use crate::packets;
use crate::peers::nginx;
use crate::stats::Rounds;

/// Handshakes under way at a time.
const PARALLEL: usize = 8;

/// Who gives blocks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Plain,
    Otaru(Suite),
    Nginx(Suite),
}

type Cell = (u32, usize);

/// Milliseconds of the servers per 1 000 blocks, and shares of them.
#[derive(Default)]
struct Seen {
    cpu: BTreeMap<(Way, Cell), Rounds>,
    ratio: BTreeMap<(Suite, Cell), Rounds>,
}

struct House {
    otaru: Otaru,
    nginx: (SocketAddr, Vec<u32>),
    ca: PathBuf,
    file: PathBuf,
    _nginx: crate::child::Server,
}

impl Bench {
    pub(crate) fn tls(&self) -> anyhow::Result<String> {
        Ok([self.tls_blocks()?, self.handshakes()?].concat())
    }

    fn tls_blocks(&self) -> anyhow::Result<String> {
        let house = self.tls_house()?;
        let mut seen = Seen::default();
        for round in 1..=self.scale.rounds {
            eprintln!("tls: round {round} of {}", self.scale.rounds);
            for size in self.scale.sizes {
                for in_flight in [1, 16] {
                    self.tls_cell(&house, (*size, in_flight), &mut seen)?;
                }
            }
        }
        let mut text = format!(
            "\n## TLS\n\nThe closed loop of Blocks, {} connections, plain and over TLS, and the same ranges from nginx over TLS with the\nsame suite. Processor time of the servers in milliseconds per 1 000 blocks.\n\n\
             | suite | block | in flight | Otaru, plain | Otaru | nginx | ÷ nginx |\n| --- | --- | --- | --- | --- | --- | --- |\n",
            self.scale.connections
        );
        for suite in Suite::ALL {
            for size in self.scale.sizes {
                for cell in [1, 16].map(|in_flight| (*size, in_flight)) {
                    let of = |way| seen.cpu[&(way, cell)].to_string();
                    let _ = writeln!(
                        text,
                        "| {} | {} | {} | {} | {} | {} | {} |",
                        suite.name(),
                        bytes(*size),
                        cell.1,
                        of(Way::Plain),
                        of(Way::Otaru(suite)),
                        of(Way::Nginx(suite)),
                        seen.ratio[&(suite, cell)]
                    );
                }
            }
        }
        Ok(text)
    }

    fn tls_house(&self) -> anyhow::Result<House> {
        let folder = self.folder.join("tls");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("image");
        std::fs::write(&file, content())?;
        let otaru = self.tls_otaru(&folder.join("otaru"), self.scale.connections)?;
        let package = otaru.package(&file)?;
        let names: Vec<String> = (0..self.scale.connections).map(packets::device_name).collect();
        otaru.job(&package, &json!({"kind": "named", "deviceNames": names}), true, 1_000_000)?;
        let certificates = folder.join("otaru/data/tls");
        let address = free_address()?;
        let (server, pids) = nginx::start(&folder, address, Some(&certificates))?;
        Ok(House { otaru, nginx: (address, pids), ca: certificates.join("ca.pem"), file, _nginx: server })
    }

    /// A platform with a certificate, and devices.
    fn tls_otaru(&self, folder: &Path, devices: usize) -> anyhow::Result<Otaru> {
        let mut command = Command::new(&self.otaru);
        let made =
            command.arg("--data").arg(folder.join("data")).args(["certs", "new", "--name", HOST]).output()?;
        ensure!(made.status.success(), "no certificate: {}", String::from_utf8_lossy(&made.stderr));
        let otaru = Otaru::start(Setup::new(&self.otaru, folder, "sqlite", Cores::One(SERVER_CORE))?)?;
        otaru.fill(devices)?;
        Ok(otaru)
    }

    fn tls_cell(&self, house: &House, cell: Cell, seen: &mut Seen) -> anyhow::Result<()> {
        let mut ask = |way| {
            let done = self.tls_ask(house, way, cell)?;
            let ms = 1e6 / done.rate();
            seen.cpu.entry((way, cell)).or_default().add(ms);
            anyhow::Ok(ms)
        };
        ask(Way::Plain)?;
        let mut ratios = Vec::new();
        for suite in Suite::ALL {
            ratios.push((suite, ask(Way::Otaru(suite))? / ask(Way::Nginx(suite))?));
        }
        for (suite, ratio) in ratios {
            seen.ratio.entry((suite, cell)).or_default().add(ratio);
        }
        Ok(())
    }

    fn tls_ask(&self, house: &House, way: Way, (size, in_flight): Cell) -> anyhow::Result<BlocksDone> {
        let (target, suite) = match way {
            Way::Plain => (Target::Otaru, None),
            Way::Otaru(suite) => (Target::Otaru, Some(suite)),
            Way::Nginx(suite) => (Target::Nginx, Some(suite)),
        };
        let (address, pids) = match target {
            Target::Nginx => house.nginx.clone(),
            _ => (house.otaru.devices(), vec![house.otaru.pid()?]),
        };
        let spec = Load::Blocks(Blocks {
            target,
            address,
            pids: pids.clone(),
            file: house.file.clone(),
            connections: self.scale.connections,
            size,
            in_flight,
            tls: suite.map(|suite| Tls { ca: house.ca.clone(), suite }),
            work: self.scale.work,
            at_most: self.scale.work * 10 + Duration::from_millis(100),
        });
        let cores = Cores::One(LOADER_CORE);
        match way {
            Way::Otaru(suite) => self.watched(
                &format!("{}, blocks of {} x {in_flight}", suite.name(), bytes(size)),
                pids[0],
                cores,
                &spec,
            ),
            _ => Ok(load(cores, &spec)?.0),
        }
    }

    fn handshakes(&self) -> anyhow::Result<String> {
        let mut text = String::from(
            "\nFull handshakes without a ticket, and what a session keeps while it idles. The sums beside them are those of\n`openssl speed rsa2048`, taken on the server's core in the same rounds; nginx shows the same certificate.\n\n\
             | suite | handshakes per second of processor time | private operations per second | share | aim | share of nginx | KiB per idle session | aim |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for suite in Suite::ALL {
            let (mut rate, mut sums, mut share) = (Rounds::default(), Rounds::default(), Rounds::default());
            let (mut share_of_nginx, mut memory) = (Rounds::default(), Rounds::default());
            for round in 1..=self.scale.report_rounds {
                eprintln!("handshakes: round {round} of {}", self.scale.report_rounds);
                let folder = self.folder.join(format!("handshakes-{suite:?}-{round}"));
                let mut otaru = self.tls_otaru(&folder, self.scale.tls_sessions)?;
                let tls = Tls { ca: folder.join("data/tls/ca.pem"), suite };
                let (handshakes, bare) = (self.shake(&otaru, tls.clone())?.rate(), self.rsa_sums()?);
                rate.add(handshakes);
                sums.add(bare);
                share.add(handshakes / bare);
                share_of_nginx.add(self.shake_nginx(&folder, tls.clone())?.rate() / bare);
                memory.add(self.idle_memory(&mut otaru, tls)? / 1024.0);
            }
            let _ = writeln!(
                text,
                "| {} | {rate} | {sums} | {share} | 0.7 | {share_of_nginx} | {memory} | 24 |",
                suite.name()
            );
        }
        Ok(text)
    }

    fn shake(&self, otaru: &Otaru, tls: Tls) -> anyhow::Result<HandshakesDone> {
        let pid = otaru.pid()?;
        let name = format!("handshakes, {}", tls.suite.name());
        let spec = self.shaking(otaru.devices(), vec![pid], tls);
        self.watched(&name, pid, Cores::One(LOADER_CORE), &spec)
    }

    fn shake_nginx(&self, folder: &Path, tls: Tls) -> anyhow::Result<HandshakesDone> {
        let address = free_address()?;
        let (_nginx, pids) = nginx::start(folder, address, Some(&folder.join("data/tls")))?;
        Ok(load(Cores::One(LOADER_CORE), &self.shaking(address, pids, tls))?.0)
    }

    fn shaking(&self, address: SocketAddr, pids: Vec<u32>, tls: Tls) -> Load {
        let (work, at_most) = (self.scale.work, self.scale.work * 10);
        Load::Handshakes(Handshakes { address, pids, tls, parallel: PARALLEL, work, at_most })
    }

    /// How often OpenSSL does the long sum of a handshake in a second of the server's core.
    fn rsa_sums(&self) -> anyhow::Result<f64> {
        let seconds = self.scale.rounds.min(3).to_string();
        let done = Command::new("taskset")
            .args(["-c", SERVER_CORE, "openssl", "speed", "-seconds", &seconds, "-mr", "rsa2048"])
            .output()?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let line =
            text.lines().find(|line| line.starts_with("+F2:")).context("openssl speed says nothing")?;
        // +F2:index:bits:seconds of a private operation:seconds of a public one
        let private: f64 = line.split(':').nth(3).context("no time in it")?.parse()?;
        Ok(if private > 1.0 { private } else { 1.0 / private })
    }

    fn idle_memory(&self, otaru: &mut Otaru, tls: Tls) -> anyhow::Result<f64> {
        // A fresh process; the logins before have the database's pages of these devices in memory.
        otaru.crash()?;
        let (address, pid, devices) = (otaru.devices(), otaru.pid()?, self.scale.tls_sessions);
        let cores = Cores::One(LOADER_CORE);
        let come_and_go = Logins { address, pid, devices, parallel: PARALLEL, stay: false };
        load::<LoginsDone>(cores, &Load::Logins(come_and_go))?;
        Ok(load::<IdleDone>(cores, &Load::Idle(Idle { address, pid, tls, devices }))?.0.memory)
    }
}
