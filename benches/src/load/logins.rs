//! Devices that connect, and stay or go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use wire::topic::Kind;

use super::fleet::{Fleet, Heard};
use crate::{packets, proc};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
pub(crate) struct Logins {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    pub(crate) devices: usize,
    /// Logins under way at a time.
    pub(crate) parallel: usize,
    /// Each subscribes, as SDKs do, and stays; otherwise each hangs up.
    pub(crate) stay: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LoginsDone {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Bytes that the server grew by, per device that stayed.
    pub(crate) memory: f64,
}

impl Logins {
    pub(crate) fn run(&self) -> anyhow::Result<LoginsDone> {
        let greetings =
            (0..self.devices).map(|number| self.greeting(number)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut fleet = Fleet::new(self.address, self.devices)?;
        let (memory, cpu, begin) = (proc::resident(self.pid)?, proc::cpu(self.pid)?, Instant::now());
        let (mut open, mut done) = (0, 0);
        let mut waiting = greetings.into_iter().enumerate();
        let last = if self.stay { Heard::Subscribed } else { Heard::Welcome };
        while done < self.devices {
            while open < self.parallel {
                let Some((number, greeting)) = waiting.next() else { break };
                fleet.connect(number, greeting)?;
                open += 1;
            }
            ensure!(begin.elapsed() < PATIENCE, "only {done} logins within {} s", PATIENCE.as_secs());
            let heard = fleet.listen(PATIENCE)?.to_vec();
            for (number, heard) in heard {
                ensure!(heard != Heard::Closed, "device {number} was turned away");
                if heard == last {
                    (open, done) = (open - 1, done + 1);
                    if !self.stay {
                        fleet.close(number);
                    }
                }
            }
        }
        let (seconds, cpu_seconds) =
            (begin.elapsed().as_secs_f64(), (proc::cpu(self.pid)? - cpu).as_secs_f64());
        if self.stay {
            // Until the server has written down that they came, and rests.
            rest(self.pid)?;
        }
        let memory = (proc::resident(self.pid)?.saturating_sub(memory)) as f64 / self.devices as f64;
        Ok(LoginsDone { seconds, cpu_seconds, memory })
    }

    fn greeting(&self, number: usize) -> anyhow::Result<Vec<u8>> {
        let device = packets::device_name(number);
        let mut greeting = packets::connect(&device, 1200)?;
        if self.stay {
            greeting.extend(packets::subscribe(&packets::topic(Kind::Upgrade, &device))?);
        }
        Ok(greeting)
    }
}

/// Waits until a process has done next to nothing for half a second.
pub(super) fn rest(pid: u32) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let (cpu, since) = (proc::cpu(pid)?, Instant::now());
        while since.elapsed() < Duration::from_millis(500) {
            crate::child::pause();
        }
        if proc::cpu(pid)? - cpu <= Duration::from_millis(20) || begin.elapsed() > PATIENCE {
            return Ok(());
        }
    }
}
