//! What an unfinished task waits for, read from the rows, so that everybody tells the same.

use alloc::string::String;

use serde::Serialize;

use crate::decide::Limits;
use crate::rate;
use crate::rows::{Device, Halt, Hold, Id, JobState, Ms, Rows, Task, TaskState};

/// What an unfinished task waits for: a code with parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "code")]
pub enum Waiting {
    /// Its job is cancelled or has reached its end; it ends in the moments that follow.
    Canceling,
    /// An operator or an app must approve it.
    AwaitsApproval,
    /// Its job starts then.
    Scheduled {
        /// When.
        at: Ms,
    },
    /// An operator holds its job.
    Paused,
    /// Its job halted by itself.
    Halted {
        /// Why.
        halt: Halt,
    },
    /// Its wave is not open yet.
    WaveNotOpen {
        /// Which, from 0.
        wave: i32,
    },
    /// The windows of its job are closed where the device is.
    OutsideWindow {
        /// Until then.
        opens_at: Ms,
    },
    /// The device began and is silent.
    Lost {
        /// Since then.
        since: Ms,
    },
    /// The device speaks of the module in another case, so nothing of it is heard.
    ModuleCase {
        /// The task's module.
        expected: String,
        /// The device's.
        reported: String,
    },
    /// An earlier task of the device has not ended.
    QueuedBehind {
        /// That one.
        task: Id,
        /// Its job.
        job: Id,
        /// Whether that job is held, so that an operator must let it go on or cancel it first.
        held: bool,
    },
    /// The last attempt failed; the next begins then.
    RetryAt {
        /// When.
        at: Ms,
    },
    /// The device is disabled: it may not log in.
    Disabled,
    /// The device is not connected.
    Offline,
    /// The device must ask: its job pushes nothing.
    NotPushed,
    /// The device has a moment to report its version before it is pushed to.
    AwaitsReport {
        /// Until then.
        until: Ms,
    },
    /// Two clients use the device's identity: nothing is pushed until one of them has stayed.
    SharedIdentity {
        /// Since then.
        since: Ms,
    },
    /// The job's push rate.
    Rate,
    /// A byte budget is used up.
    ByteBudget {
        /// Whether it is the server's, or the job's own.
        of_server: bool,
        /// Until then.
        until: Ms,
    },
    /// All download slots are taken.
    DownloadSlots,
    /// The device was told and has not begun.
    ToldNoProgress {
        /// Since then.
        since: Ms,
    },
    /// The device downloads or writes.
    Downloading,
    /// 100 %: the device is to report the new version.
    AwaitsVersion {
        /// Since then.
        since: Ms,
    },
}

/// What a task waits for; `None` if it has ended. `rows` holds what [`Rows`] promises for its device.
pub fn waiting(rows: &Rows, task: &Task, limits: Limits, now: Ms) -> Option<Waiting> {
    if task.state.is_terminal() {
        return None;
    }
    let job = rows.jobs.get(&task.job_id)?;
    Some(match () {
        () if job.state == JobState::Canceled => Waiting::Canceling,
        () if task.has_begun() && is_disabled(rows, task) => Waiting::Disabled,
        () if task.has_begun() => at_work(rows, task),
        () if job.is_over(now) => Waiting::Canceling,
        () if task.state == TaskState::Confirm => Waiting::AwaitsApproval,
        () if job.state == JobState::Planned => Waiting::Scheduled { at: job.terms.start_at.unwrap_or(now) },
        () if job.hold == Some(Hold::Paused) => Waiting::Paused,
        () if let Some(Hold::Halted { halt }) = job.hold => Waiting::Halted { halt },
        () if job.gate.as_ref().is_some_and(|g| task.wave > g.wave) => {
            Waiting::WaveNotOpen { wave: task.wave }
        }
        () if is_disabled(rows, task) => Waiting::Disabled,
        () if let Some(opens_at) = rows.closed_until(task.id, now) => Waiting::OutsideWindow { opens_at },
        () => match unheard(rows, task) {
            Some(reported) => {
                Waiting::ModuleCase { expected: task.module.clone(), reported: reported.into() }
            }
            None => before_progress(rows, task, limits, now),
        },
    })
}

fn is_disabled(rows: &Rows, task: &Task) -> bool {
    rows.devices.get(&task.device_id).is_some_and(|device| !device.enabled)
}

fn at_work(rows: &Rows, task: &Task) -> Waiting {
    match task.done_at.filter(|_| task.progress == 100) {
        _ if task.is_lost() => Waiting::Lost { since: task.heard_at.unwrap_or_default() },
        Some(since) => Waiting::AwaitsVersion { since },
        None if rows.sessions.contains_key(&task.device_id) => Waiting::Downloading,
        None => Waiting::Offline,
    }
}

/// The name the device has for the module, if it never spoke of it under the right one.
fn unheard<'a>(rows: &'a Rows, task: &Task) -> Option<&'a str> {
    let heard = rows.versions.contains_key(&(task.device_id, task.module.clone()));
    rows.other_case(task.device_id, &task.module).filter(|_| !heard)
}

fn before_progress(rows: &Rows, task: &Task, limits: Limits, now: Ms) -> Waiting {
    if let Some(earlier) = rows.blocker(task, rows.tasks.values()) {
        let held = rows.jobs.get(&earlier.job_id).is_some_and(|job| job.hold.is_some());
        return Waiting::QueuedBehind { task: earlier.id, job: earlier.job_id, held };
    }
    if let Some(at) = task.retry_at {
        return Waiting::RetryAt { at };
    }
    let session = rows.sessions.get(&task.device_id);
    let told = task.told_at.filter(|_| session.is_some_and(|s| s.epoch == task.told_epoch));
    if let Some(since) = told {
        return Waiting::ToldNoProgress { since };
    }
    let need_push = rows.jobs.get(&task.job_id).is_some_and(|j| j.need_push);
    if let Some(since) =
        rows.devices.get(&task.device_id).and_then(Device::shared_since).filter(|_| need_push)
    {
        return Waiting::SharedIdentity { since };
    }
    let Some(session) = session else { return Waiting::Offline };
    let grace = rows.products.get(&task.product_id).map_or(0, |p| p.grace_ms);
    match task.ready_at {
        _ if !need_push => Waiting::NotPushed,
        Some(_) if rows.slots_used >= limits.downloads => Waiting::DownloadSlots,
        Some(_) => used_up(rows, task, limits, now).unwrap_or(Waiting::Rate),
        None => Waiting::AwaitsReport { until: (session.connected_at + grace).max(now) },
    }
}

/// The byte budget that is used up for the longer time, if one is.
fn used_up(rows: &Rows, task: &Task, limits: Limits, now: Ms) -> Option<Waiting> {
    let job = rows.jobs.get(&task.job_id)?;
    let of_job = job.terms.kbit_per_second.map_or(0, |_| job.offered_until_us);
    let of_server = limits.kbit_per_second.map_or(0, |_| rows.offered_until_us);
    let until = rate::next_at(of_job.max(of_server));
    (until > now).then_some(Waiting::ByteBudget { of_server: of_server > of_job, until })
}
