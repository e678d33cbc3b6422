//! `otaru job watch`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use api::dto::{Counts, Hold, Job, JobState, Page, Task};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::task::why;
use super::wait::held;
use super::{RESTART, pause, spelt};
use crate::client::{Client, Unreachable};
use crate::output::out;

/// Devices with a bar of their own.
const SHOWN: usize = 12;
/// Failures listed at the end.
const LISTED: usize = 20;
const EVERY: Duration = Duration::from_millis(300);

/// Watches the job at a place of the API until it ends or has halted, and concludes.
pub(super) fn run(path: &str, client: &Client) -> anyhow::Result<ExitCode> {
    let job = follow(path, client, Duration::MAX, View::new())?;
    conclude(&job, path, client)
}

/// Shows the job at a place of the API until it ends, or has halted and nothing of it runs any more, unless that takes
/// too long.
pub(crate) fn follow(path: &str, client: &Client, patience: Duration, mut view: View) -> anyhow::Result<Job> {
    let began = Instant::now();
    let mut heard = Instant::now();
    let job = loop {
        let job = match look(path, client, &mut view) {
            Err(error) if error.is::<Unreachable>() && heard.elapsed() < RESTART => {
                pause(EVERY);
                continue;
            }
            looked => looked?,
        };
        heard = Instant::now();
        let ended = matches!(job.state, JobState::Completed | JobState::Canceled);
        if (ended || has_halted(&job) && running(&job) == 0) && !job.busy {
            break job;
        }
        let waits = told(&job);
        anyhow::ensure!(began.elapsed() < patience, "job {} has not ended in {patience:?}: {waits}", job.id);
        pause(EVERY);
    };
    view.end();
    Ok(job)
}

fn has_halted(job: &Job) -> bool {
    matches!(job.hold, Some(Hold::Halted { .. }))
}

/// Downloads that go on while the job is held; a device that is lost may never speak again.
fn running(job: &Job) -> i64 {
    let lost: i64 = job.progress.iter().flat_map(|progress| &progress.waves).map(|wave| wave.lost).sum();
    job.counts.in_progress - lost
}

/// Tasks by state, and what holds the job.
fn told(job: &Job) -> String {
    let counts = counts(&job.counts);
    job.hold.as_ref().map_or(counts.clone(), |hold| format!("{counts}; {}", held(hold)))
}

fn look(path: &str, client: &Client, view: &mut View) -> anyhow::Result<Job> {
    let job: Job = client.get(path)?;
    view.show(&job, client, path)?;
    Ok(job)
}

fn conclude(job: &Job, path: &str, client: &Client) -> anyhow::Result<ExitCode> {
    out!("job {} {}: {}", job.id, spelt(&job.state), told(job));
    if has_halted(job) {
        out!("let it go on: otaru job resume {}, or end it: otaru job cancel {}", job.id, job.id);
    }
    for state in ["FAILED", "CANCELED"] {
        let tasks: Page<Task> = client.get(&format!("{path}/tasks?state={state}&limit={LISTED}"))?;
        for task in &tasks.items {
            let reason = task.reason.as_ref().map(why).unwrap_or_default();
            out!("  {} {}: {reason}", task.device_name, task.id);
        }
        if tasks.next_cursor.is_some() {
            out!("  … the others: otaru job tasks {} --state {state}", job.id);
        }
    }
    let all = job.counts.succeeded == job.counts.total() && job.counts.total() > 0;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tasks by state, but for the states without any.
pub(crate) fn counts(counts: &Counts) -> String {
    let Counts { confirm, queued, notified, in_progress, succeeded, failed, canceled } = *counts;
    let named = [
        (confirm, "to be approved"),
        (queued, "queued"),
        (notified, "notified"),
        (in_progress, "in progress"),
        (succeeded, "succeeded"),
        (failed, "failed"),
        (canceled, "cancelled"),
    ];
    let parts: Vec<_> = named.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if parts.is_empty() { "no tasks".into() } else { parts.join(", ") }
}

fn ended(counts: &Counts) -> u64 {
    u64::try_from(counts.succeeded + counts.failed + counts.canceled).unwrap_or(0)
}

/// Bars in a terminal, elsewhere a line for each change.
pub(crate) enum View {
    /// A bar for the job and, unless somebody else shows them, one for each busy device.
    Bars { all: MultiProgress, job: ProgressBar, devices: Option<BTreeMap<String, ProgressBar>> },
    /// What was told last.
    Lines { last: String },
}

impl View {
    fn new() -> Self {
        Self::among(MultiProgress::new(), Some(BTreeMap::new()))
    }

    /// Shows the job among bars that somebody else moves.
    pub(crate) fn beside(bars: &MultiProgress) -> Self {
        Self::among(bars.clone(), None)
    }

    fn among(all: MultiProgress, devices: Option<BTreeMap<String, ProgressBar>>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: String::new() };
        }
        let job = all.add(bar("{prefix:24} {bar:30} {msg}"));
        Self::Bars { all, job, devices }
    }

    fn show(&mut self, job: &Job, client: &Client, path: &str) -> anyhow::Result<()> {
        match self {
            Self::Lines { last } => {
                let text = told(job);
                if *last != text {
                    out!("{text}");
                    *last = text;
                }
            }
            Self::Bars { all, job: bar, devices } => {
                bar.set_prefix(job.id.clone());
                // A bar of no length would be full.
                bar.set_length(u64::try_from(job.counts.total()).unwrap_or(0).max(1));
                bar.set_position(ended(&job.counts));
                bar.set_message(told(job));
                if let Some(devices) = devices {
                    let busy = format!("{path}/tasks?state=IN_PROGRESS&limit={SHOWN}");
                    show_devices(all, devices, &client.get::<Page<Task>>(&busy)?.items);
                }
            }
        }
        Ok(())
    }

    fn end(self) {
        if let Self::Bars { all, job, devices } = self {
            devices.into_iter().flatten().for_each(|(_, bar)| bar.finish_and_clear());
            job.finish_and_clear();
            all.remove(&job);
        }
    }
}

fn show_devices(all: &MultiProgress, devices: &mut BTreeMap<String, ProgressBar>, tasks: &[Task]) {
    devices.retain(|name, bar| {
        let busy = tasks.iter().any(|task| task.device_name == *name);
        if !busy {
            bar.finish_and_clear();
        }
        busy
    });
    for task in tasks {
        let bar = devices.entry(task.device_name.clone()).or_insert_with(|| {
            let bar = all.add(bar("  {prefix:22} {bar:30} {pos:>3} %"));
            bar.set_length(100);
            bar.set_prefix(task.device_name.clone());
            bar
        });
        bar.set_position(u64::try_from(task.progress).unwrap_or(0));
    }
}

/// A bar that is as long as it is told later. Shown only in a terminal, on standard error.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
