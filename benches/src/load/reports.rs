//! Progress reports over sessions: as fast as they are acknowledged, or at a given rate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use super::fleet::{Fleet, Heard};
use crate::stats::percentile;
use crate::{packets, proc};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
pub(crate) struct Reports {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    /// Each has one report under way at a time.
    pub(crate) devices: usize,
    pub(crate) length: Duration,
    /// Reports a second in all; without it each device reports again as soon as it may.
    pub(crate) rate: Option<f64>,
    /// It also ends when there is this file.
    pub(crate) stop: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ReportsDone {
    /// Acknowledged reports a second.
    pub(crate) rate: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) reports: u64,
    /// From when a report was due to its PUBACK.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A device's report, in which only the step changes.
struct Report {
    packet: Vec<u8>,
    step_at: usize,
    count: u32,
    due: Option<Instant>,
}

impl Report {
    fn new(number: usize) -> anyhow::Result<Self> {
        let packet = packets::progress(&packets::device_name(number), 10)?;
        let key = b"\"step\":\"";
        let Some(at) = packet.windows(key.len()).position(|window| window == key) else { bail!("no step") };
        Ok(Self { packet, step_at: at + key.len(), count: number as u32, due: None })
    }

    /// Progress goes up by one per cent a report, from 10 to 99, again and again.
    fn next(&mut self) -> &[u8] {
        let step = 10 + self.count % 90;
        self.count += 1;
        self.packet[self.step_at] = b'0' + (step / 10) as u8;
        self.packet[self.step_at + 1] = b'0' + (step % 10) as u8;
        &self.packet
    }
}

impl Reports {
    pub(crate) fn run(&self) -> anyhow::Result<ReportsDone> {
        let mut fleet = Fleet::new(self.address, self.devices)?;
        self.enter(&mut fleet)?;
        let mut reports = (0..self.devices).map(Report::new).collect::<anyhow::Result<Vec<_>>>()?;
        // The first report of a task moves it to another state; that is not what is measured.
        for (number, report) in reports.iter_mut().enumerate() {
            fleet.send(number, report.next())?;
        }
        let mut first = 0;
        while first < self.devices {
            first += count(fleet.listen(PATIENCE)?)?;
        }
        let (cpu, begin) = (proc::cpu(self.pid)?, Instant::now());
        let mut times = match self.rate {
            None => self.closed(&mut fleet, &mut reports)?,
            Some(rate) => self.paced(&mut fleet, &mut reports, rate)?,
        };
        let (seconds, cpu) = (begin.elapsed().as_secs_f64(), proc::cpu(self.pid)? - cpu);
        times.sort_unstable();
        let ms = |share| f64::from(percentile(&times, share)) / 1000.0;
        Ok(ReportsDone {
            rate: times.len() as f64 / seconds,
            cpu_seconds: cpu.as_secs_f64(),
            reports: times.len() as u64,
            p50_ms: ms(50),
            p99_ms: ms(99),
        })
    }

    fn enter(&self, fleet: &mut Fleet) -> anyhow::Result<()> {
        let (mut opened, mut welcome) = (0, 0);
        while welcome < self.devices {
            while opened < self.devices && opened < welcome + 100 {
                fleet.connect(opened, packets::connect(&packets::device_name(opened), 0)?)?;
                opened += 1;
            }
            for (number, heard) in fleet.listen(PATIENCE)? {
                ensure!(*heard == Heard::Welcome, "device {number} heard {heard:?}");
                welcome += 1;
            }
        }
        Ok(())
    }

    fn closed(&self, fleet: &mut Fleet, reports: &mut [Report]) -> anyhow::Result<Vec<u32>> {
        let mut times = Vec::with_capacity(2_000_000);
        let begin = Instant::now();
        for (number, report) in reports.iter_mut().enumerate() {
            report.due = Some(Instant::now());
            fleet.send(number, report.next())?;
        }
        let mut acknowledged = Vec::with_capacity(self.devices);
        while begin.elapsed() < self.length {
            take(fleet.listen(PATIENCE)?, reports, &mut times, &mut acknowledged)?;
            let now = Instant::now();
            for number in acknowledged.drain(..) {
                let report: &mut Report = &mut reports[number];
                report.due = Some(now);
                fleet.send(number, report.next())?;
            }
        }
        Ok(times)
    }

    /// Reports become due one after another at the rate, whatever became of those before: a server
    /// that falls behind is seen to.
    fn paced(&self, fleet: &mut Fleet, reports: &mut [Report], rate: f64) -> anyhow::Result<Vec<u32>> {
        let mut times = Vec::with_capacity(2_000_000);
        let begin = Instant::now();
        let (mut made, mut free) = (0_u64, Vec::with_capacity(self.devices));
        let mut number = 0;
        while begin.elapsed() < self.length && !self.stop.as_ref().is_some_and(|file| file.exists()) {
            let due = (begin.elapsed().as_secs_f64() * rate) as u64;
            while made < due {
                let report = &mut reports[number];
                if report.due.is_some() {
                    // Its turn comes when it has been answered; what is late stays due.
                    break;
                }
                report.due = Some(begin + Duration::from_secs_f64(made as f64 / rate));
                fleet.send(number, report.next())?;
                number = (number + 1) % self.devices;
                made += 1;
            }
            take(fleet.listen(Duration::from_millis(1))?, reports, &mut times, &mut free)?;
            free.clear();
        }
        Ok(times)
    }
}

fn count(heard: &[(usize, Heard)]) -> anyhow::Result<usize> {
    let good = heard.iter().filter(|(_, heard)| *heard == Heard::Acknowledged(1)).count();
    ensure!(!heard.iter().any(|(_, heard)| *heard == Heard::Closed), "the server hung up");
    Ok(good)
}

/// Notes how long the acknowledged reports took, in microseconds, and whose they were.
fn take(
    heard: &[(usize, Heard)],
    reports: &mut [Report],
    times: &mut Vec<u32>,
    acknowledged: &mut Vec<usize>,
) -> anyhow::Result<()> {
    let now = Instant::now();
    for (number, heard) in heard {
        match (heard, reports[*number].due.take()) {
            (Heard::Acknowledged(1), Some(due)) => {
                times.push(u32::try_from(now.saturating_duration_since(due).as_micros())?);
                acknowledged.push(*number);
            }
            (other, due) => bail!("device {number} heard {other:?}, due {due:?}"),
        }
    }
    Ok(())
}
