//! What the kernel has counted of a process.

use std::time::Duration;

use anyhow::Context as _;

/// Ticks of /proc: 100 a second on every Linux that Otaru is built for.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process, user and system, threads that have ended included.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    // The name in parentheses may hold anything; what follows it begins with the state, field 3.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u32 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().context("no number of ticks"))
        .sum::<anyhow::Result<u32>>()?;
    Ok(TICK * ticks)
}

/// [`cpu`] of several.
pub(crate) fn cpu_of(pids: &[u32]) -> anyhow::Result<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

/// Bytes in memory now.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmRSS:")
}

/// Most bytes that ever were in memory.
pub(crate) fn peak_resident(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmHWM:")
}

/// The processes that a process has started.
pub(crate) fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let list = read(pid, &format!("task/{pid}/children"))?;
    list.split_whitespace().map(|pid| pid.parse().context("no process id")).collect()
}

fn status(pid: u32, key: &str) -> anyhow::Result<u64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    let kib = line.split_whitespace().next().context("no number")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}
