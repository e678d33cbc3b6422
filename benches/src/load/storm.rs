//! All devices come back at once: each connects, reports its version, waits for its notice, and a
//! moment later reports the version of the package.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use super::fleet::{Fleet, Heard};
use crate::packets;
use crate::stats::percentile;

#[derive(Serialize, Deserialize)]
pub(crate) struct Storm {
    pub(crate) address: SocketAddr,
    /// The number of the first of them.
    pub(crate) first: usize,
    pub(crate) devices: usize,
    /// They come back evenly spread over this time.
    pub(crate) within: Duration,
    /// From the notice to the report of the new version.
    pub(crate) download: Duration,
    /// Whether notices are due.
    pub(crate) upgrade: bool,
    pub(crate) at_most: Duration,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StormDone {
    /// Until the last device had its CONNACK and the PUBACK of its version.
    pub(crate) served_seconds: f64,
    /// From the start of a connection to its CONNACK.
    pub(crate) connack_p99_ms: f64,
    pub(crate) connack_max_ms: f64,
    /// From the report to its PUBACK: a commit, and what stood before it.
    pub(crate) puback_p50_ms: f64,
    pub(crate) puback_p99_ms: f64,
    pub(crate) puback_max_ms: f64,
    /// From the report to the notice.
    pub(crate) offer_p50_ms: f64,
    pub(crate) offer_p99_ms: f64,
    /// Until the last device had its notice and the PUBACK of its new version.
    pub(crate) done_seconds: f64,
    /// Most devices at a time between notice and report.
    pub(crate) most_downloads: usize,
    /// When each notice came, in milliseconds.
    pub(crate) notices_ms: Vec<u32>,
    /// Connections that the server closed.
    pub(crate) closed: usize,
}

#[derive(Clone, Copy, Default)]
struct Device {
    opened: Option<Instant>,
    reported: Option<Instant>,
}

/// The packet identifiers of a device's two reports.
const OLD: u16 = 1;
const NEW: u16 = 2;

#[derive(Default)]
struct Seen {
    connacks: Vec<u32>,
    pubacks: Vec<u32>,
    notices_ms: Vec<u32>,
    offers: Vec<u32>,
    done: usize,
    closed: usize,
    served_at: Duration,
    downloads: VecDeque<(Instant, usize)>,
    most_downloads: usize,
}

impl Storm {
    pub(crate) fn run(&self) -> anyhow::Result<(StormDone, Fleet)> {
        let mut fleet = Fleet::new(self.address, self.devices)?;
        let names: Vec<String> = (self.first..self.first + self.devices).map(packets::device_name).collect();
        let mut greetings =
            names.iter().map(|name| packets::connect(name, 1200)).collect::<anyhow::Result<Vec<_>>>()?;
        let old = names
            .iter()
            .map(|name| packets::inform(name, OLD, packets::OLD))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let new = names
            .iter()
            .map(|name| packets::inform(name, NEW, packets::NEW))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut devices = vec![Device::default(); self.devices];
        let (mut seen, mut opened, begin) = (Seen::default(), 0, Instant::now());
        loop {
            let due = self.devices as f64 * begin.elapsed().as_secs_f64() / self.within.as_secs_f64();
            while opened < self.devices && opened < due as usize {
                devices[opened].opened = Some(Instant::now());
                fleet.connect(opened, std::mem::take(&mut greetings[opened]))?;
                opened += 1;
            }
            while let Some((at, number)) = seen.downloads.front().copied()
                && at <= Instant::now()
            {
                seen.downloads.pop_front();
                fleet.send(number, &new[number])?;
            }
            let heard = fleet.listen(Duration::from_millis(1))?.to_vec();
            for (number, heard) in heard {
                if heard == Heard::Welcome {
                    devices[number].reported = Some(Instant::now());
                    fleet.send(number, &old[number])?;
                }
                self.note(&mut seen, number, heard, &devices[number], begin)?;
            }
            let (served, all) = (seen.pubacks.len() == self.devices, seen.done == self.devices);
            if all || (served && !self.upgrade) {
                return Ok((seen.sum(begin), fleet));
            }
            if begin.elapsed() > self.at_most {
                bail!(
                    "after {} s only {} of {} devices were served, {} had notices, {} were done, {} were hung up on",
                    self.at_most.as_secs(),
                    seen.pubacks.len(),
                    self.devices,
                    seen.notices_ms.len(),
                    seen.done,
                    seen.closed
                );
            }
        }
    }

    fn note(
        &self,
        seen: &mut Seen,
        number: usize,
        heard: Heard,
        device: &Device,
        begin: Instant,
    ) -> anyhow::Result<()> {
        let now = Instant::now();
        let since = |then: Option<Instant>| then.map_or(0, |then| (now - then).as_micros() as u32);
        match heard {
            Heard::Welcome => seen.connacks.push(since(device.opened)),
            Heard::Acknowledged(OLD) => {
                seen.pubacks.push(since(device.reported));
                seen.served_at = begin.elapsed();
            }
            Heard::Acknowledged(NEW) => seen.done += 1,
            Heard::Notice => {
                ensure!(self.upgrade, "device {number} got a notice that is not due");
                seen.notices_ms.push(begin.elapsed().as_millis() as u32);
                seen.offers.push(since(device.reported));
                seen.downloads.push_back((now + self.download, number));
                seen.most_downloads = seen.most_downloads.max(seen.downloads.len());
            }
            Heard::Closed => seen.closed += 1,
            other => bail!("device {number} heard {other:?}"),
        }
        Ok(())
    }
}

impl Seen {
    fn sum(mut self, begin: Instant) -> StormDone {
        self.connacks.sort_unstable();
        self.pubacks.sort_unstable();
        self.offers.sort_unstable();
        let ms = |sorted: &[u32], share| f64::from(percentile(sorted, share)) / 1000.0;
        StormDone {
            served_seconds: self.served_at.as_secs_f64(),
            connack_p99_ms: ms(&self.connacks, 99),
            connack_max_ms: ms(&self.connacks, 100),
            puback_p50_ms: ms(&self.pubacks, 50),
            puback_p99_ms: ms(&self.pubacks, 99),
            puback_max_ms: ms(&self.pubacks, 100),
            offer_p50_ms: ms(&self.offers, 50),
            offer_p99_ms: ms(&self.offers, 99),
            done_seconds: begin.elapsed().as_secs_f64(),
            most_downloads: self.most_downloads,
            notices_ms: self.notices_ms,
            closed: self.closed,
        }
    }
}
