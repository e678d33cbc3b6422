//! The loader: a process of its own, lighter than what it measures. Requests are bytes made before
//! the measuring begins, and nothing is allocated per message.

mod blocks;
mod downloads;
mod fleet;
mod gateway;
mod logins;
mod reports;
mod storm;
mod tls;

use serde::{Deserialize, Serialize};

pub(crate) use blocks::{Blocks, BlocksDone, FILE, Target};
pub(crate) use downloads::{Downloads, DownloadsDone, file_address};
pub(crate) use gateway::{Gateway, GatewayDone};
pub(crate) use logins::{Logins, LoginsDone};
pub(crate) use reports::{Reports, ReportsDone};
pub(crate) use storm::{Storm, StormDone};
pub(crate) use tls::{HOST, Handshakes, HandshakesDone, Idle, IdleDone, Suite, Tls};

/// What a loader is to do.
#[derive(Serialize, Deserialize)]
#[serde(tag = "what")]
pub(crate) enum Load {
    Blocks(Blocks),
    Gateway(Gateway),
    Downloads(Downloads),
    Logins(Logins),
    Reports(Reports),
    Storm(Storm),
    Handshakes(Handshakes),
    Idle(Idle),
}

/// Does what a line of standard input says, says on standard output what came of it, and keeps what it
/// has open until its input ends.
pub(crate) fn run() -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut spec = String::new();
    std::io::stdin().read_line(&mut spec)?;
    let (done, fleet) = match serde_json::from_str(&spec)? {
        Load::Blocks(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Handshakes(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Idle(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Gateway(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Downloads(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Logins(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Reports(spec) => (serde_json::to_string(&spec.run()?), None),
        Load::Storm(spec) => {
            let (done, fleet) = spec.run()?;
            (serde_json::to_string(&done), Some(fleet))
        }
    };
    println!("{}", done?);
    std::io::stdin().read_line(&mut spec)?;
    drop(fleet);
    Ok(())
}
