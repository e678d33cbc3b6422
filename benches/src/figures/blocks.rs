//! Server time per block, beside nginx, bare TCP and a broker with a responder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::Bench;
use crate::child::{Cores, LOADER_CORE, SERVER_CORE, Server, free_address, load};
use crate::load::{Blocks, BlocksDone, FILE, Load, Target};
use crate::otaru::{Otaru, Setup};
use crate::packets;
use crate::peers::{mosquitto, nginx};
use crate::stats::{Rounds, Short};

const TARGETS: [Target; 4] = [Target::Otaru, Target::Nginx, Target::Raw, Target::Mosquitto];

/// A cell of the table: size and requests in flight.
type Cell = (u32, usize);

/// Processor time, and rates seen beside it.
#[derive(Default)]
struct Seen {
    /// Milliseconds of the servers per 1 000 blocks.
    cpu: BTreeMap<(Target, Cell), Rounds>,
    /// Blocks a second.
    rate: BTreeMap<(Target, Cell), Rounds>,
    /// To another's time in the same round.
    ratio: BTreeMap<(Target, Cell), Rounds>,
    /// How busy the loader was at most.
    loader: f64,
}

struct Peer {
    target: Target,
    address: SocketAddr,
    pids: Vec<u32>,
    _keep: Box<dyn std::any::Any>,
}

impl Bench {
    pub(crate) fn blocks(&self) -> anyhow::Result<String> {
        let folder = self.folder.join("blocks");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("image");
        std::fs::write(&file, content())?;
        let peers = self.peers(&folder, &file)?;
        let mut seen = Seen::default();
        for round in 1..=self.scale.rounds {
            eprintln!("blocks: round {round} of {}", self.scale.rounds);
            for size in self.scale.sizes {
                for in_flight in self.scale.in_flight {
                    self.cell(&peers, &file, (*size, *in_flight), &mut seen)?;
                }
            }
        }
        let text = self.block_text(&seen);
        Ok(text)
    }

    /// All servers stay up through the run; who is not asked sleeps.
    fn peers(&self, folder: &Path, file: &Path) -> anyhow::Result<Vec<Peer>> {
        let setup = Setup::new(&self.otaru, &folder.join("otaru"), "sqlite", Cores::One(SERVER_CORE))?;
        let otaru = Otaru::start(setup)?;
        otaru.fill(self.scale.connections)?;
        let package = otaru.package(file)?;
        let names: Vec<String> = (0..self.scale.connections).map(packets::device_name).collect();
        otaru.job(&package, &json!({"kind": "named", "deviceNames": names}), true, 1_000_000)?;
        let (address, pids) = (otaru.devices(), vec![otaru.pid()?]);
        let mut peers = vec![Peer { target: Target::Otaru, address, pids, _keep: Box::new(otaru) }];

        let address = free_address()?;
        let (server, pids) = nginx::start(folder, address, None)?;
        peers.push(Peer { target: Target::Nginx, address, pids, _keep: Box::new(server) });

        let address = free_address()?;
        let args = ["raw", &*address.to_string()];
        let program = std::env::current_exe()?;
        let mut raw = Server::start(Cores::One(SERVER_CORE), &program, &args, &folder.join("raw.log"))?;
        raw.wait_for(address)?;
        peers.push(Peer { target: Target::Raw, address, pids: vec![raw.pid()], _keep: Box::new(raw) });

        let address = free_address()?;
        let mosquitto = mosquitto::start(folder, address, file)?;
        let pids = mosquitto.pids.clone();
        peers.push(Peer { target: Target::Mosquitto, address, pids, _keep: Box::new(mosquitto) });
        Ok(peers)
    }

    fn cell(&self, peers: &[Peer], file: &Path, cell: Cell, seen: &mut Seen) -> anyhow::Result<()> {
        let mut cpu = BTreeMap::new();
        for peer in peers {
            let done = self.ask(peer, file.into(), cell)?;
            let ms = 1e6 / done.rate();
            cpu.insert(peer.target, ms);
            seen.cpu.entry((peer.target, cell)).or_default().add(ms);
            seen.rate.entry((peer.target, cell)).or_default().add(done.blocks as f64 / done.seconds);
            seen.loader = seen.loader.max(done.loader);
        }
        for other in [Target::Nginx, Target::Raw, Target::Mosquitto] {
            let ratio = cpu[&Target::Otaru] / cpu[&other];
            seen.ratio.entry((other, cell)).or_default().add(ratio);
        }
        Ok(())
    }

    fn ask(&self, peer: &Peer, file: PathBuf, (size, in_flight): Cell) -> anyhow::Result<BlocksDone> {
        let spec = Load::Blocks(Blocks {
            target: peer.target,
            address: peer.address,
            pids: peer.pids.clone(),
            file,
            connections: self.scale.connections,
            size,
            in_flight,
            tls: None,
            work: self.scale.work,
            at_most: self.scale.work * 10 + Duration::from_millis(100),
        });
        let cores = Cores::One(LOADER_CORE);
        match (peer.target, &peer.pids[..]) {
            (Target::Otaru, [pid]) => {
                self.watched(&format!("blocks of {} x {in_flight}", bytes(size)), *pid, cores, &spec)
            }
            _ => Ok(load(cores, &spec)?.0),
        }
    }

    fn block_text(&self, seen: &Seen) -> String {
        let mut text = format!(
            "\n## Blocks\n\n{} connections in a closed loop; the servers on one core, the loader on another. Each cell is the\nprocessor time of all server processes, user and system, in milliseconds per 1 000 blocks: the median of {}\nrounds, and in parentheses the least and the most. The four take turns within each round.\n\n",
            self.scale.connections, self.scale.rounds
        );
        let mut line = |cells: &[String]| writeln!(text, "| {} |", cells.join(" | ")).unwrap_or(());
        let words = [
            "block",
            "in flight",
            "Otaru",
            "nginx",
            "bare TCP",
            "Mosquitto",
            "÷ nginx",
            "÷ bare TCP",
            "÷ Mosquitto",
        ];
        line(&words.map(String::from));
        line(&words.map(|_| "---".into()));
        for size in self.scale.sizes {
            for in_flight in self.scale.in_flight {
                let cell = (*size, *in_flight);
                let mut cells = vec![bytes(*size), in_flight.to_string()];
                cells.extend(TARGETS.map(|target| seen.cpu[&(target, cell)].to_string()));
                cells.extend(TARGETS[1..].iter().map(|other| seen.ratio[&(*other, cell)].to_string()));
                line(&cells);
            }
        }
        text.push_str("\nBlocks a second seen meanwhile; the loader is part of these, and was at most ");
        let _ = writeln!(text, "{:.0} % busy.\n", seen.loader * 100.0);
        let mut line = |cells: &[String]| writeln!(text, "| {} |", cells.join(" | ")).unwrap_or(());
        let words = ["block", "in flight", "Otaru", "nginx", "bare TCP", "Mosquitto"];
        line(&words.map(String::from));
        line(&words.map(|_| "---".into()));
        for size in self.scale.sizes {
            for in_flight in self.scale.in_flight {
                let cell = (*size, *in_flight);
                let mut cells = vec![bytes(*size), in_flight.to_string()];
                cells.extend(TARGETS.map(|t| Short(seen.rate[&(t, cell)].median()).to_string()));
                line(&cells);
            }
        }
        text
    }
}

pub(super) fn bytes(size: u32) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}

/// Bytes that are not alike.
pub(super) fn content() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..FILE / 8).flat_map(|_| next()).collect()
}
