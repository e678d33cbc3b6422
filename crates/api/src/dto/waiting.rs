use serde::{Deserialize, Serialize};
use server::{IdKind, rollout};
use utoipa::ToSchema;

use super::Halt;
use crate::time;

/// What a task that has not ended waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "code")]
pub enum Waiting {
    /// Its job is cancelled or has reached its end; it ends in the moments that follow.
    Canceling,
    /// An operator or an app must approve it.
    AwaitsApproval,
    /// Its job starts then.
    Scheduled {
        /// When.
        #[schema(format = DateTime)]
        at: String,
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
        /// Which, from 1.
        wave: i32,
    },
    /// The windows of its job are closed where the device is.
    OutsideWindow {
        /// Until then.
        #[schema(format = DateTime)]
        #[serde(rename = "opensAt")]
        opens_at: String,
    },
    /// The device began and is silent.
    Lost {
        /// Since then.
        #[schema(format = DateTime)]
        since: String,
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
        #[serde(rename = "taskId")]
        task_id: String,
        /// Its job.
        #[serde(rename = "jobId")]
        job_id: String,
        /// Whether that job is paused or halted: let it go on, or cancel it.
        held: bool,
    },
    /// The last attempt failed; the next begins then.
    RetryAt {
        /// When.
        #[schema(format = DateTime)]
        at: String,
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
        #[schema(format = DateTime)]
        until: String,
    },
    /// Two clients use the device's identity: nothing is pushed until one of them has stayed.
    SharedIdentity {
        /// Since then.
        #[schema(format = DateTime)]
        since: String,
    },
    /// The job's push rate.
    Rate,
    /// What the files offered may have together is used up.
    ByteBudget {
        /// Whose budget it is.
        of: BudgetOf,
        /// Until then.
        #[schema(format = DateTime)]
        until: String,
    },
    /// All download slots are taken.
    DownloadSlots,
    /// The device was told and has not begun.
    ToldNoProgress {
        /// Since then.
        #[schema(format = DateTime)]
        since: String,
    },
    /// The device downloads or writes.
    Downloading,
    /// 100 %: the device is to report the new version.
    AwaitsVersion {
        /// Since then.
        #[schema(format = DateTime)]
        since: String,
    },
}

/// Whose byte budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetOf {
    /// The task's job's: `maxMbitPerSecond` of its terms.
    Job,
    /// That of all jobs together, a setting of the server.
    Server,
}

impl From<rollout::Waiting> for Waiting {
    fn from(waiting: rollout::Waiting) -> Self {
        use rollout::Waiting as Row;
        match waiting {
            Row::Canceling => Self::Canceling,
            Row::AwaitsApproval => Self::AwaitsApproval,
            Row::Scheduled { at } => Self::Scheduled { at: time::text(at) },
            Row::Paused => Self::Paused,
            Row::Halted { halt } => Self::Halted { halt: halt.into() },
            Row::WaveNotOpen { wave } => Self::WaveNotOpen { wave: wave + 1 },
            Row::OutsideWindow { opens_at } => Self::OutsideWindow { opens_at: time::text(opens_at) },
            Row::Lost { since } => Self::Lost { since: time::text(since) },
            Row::ModuleCase { expected, reported } => Self::ModuleCase { expected, reported },
            Row::QueuedBehind { task, job, held } => {
                let (task_id, job_id) = (IdKind::Task.text(task), IdKind::Job.text(job));
                Self::QueuedBehind { task_id, job_id, held }
            }
            Row::RetryAt { at } => Self::RetryAt { at: time::text(at) },
            Row::Disabled => Self::Disabled,
            Row::Offline => Self::Offline,
            Row::NotPushed => Self::NotPushed,
            Row::AwaitsReport { until } => Self::AwaitsReport { until: time::text(until) },
            Row::SharedIdentity { since } => Self::SharedIdentity { since: time::text(since) },
            Row::Rate => Self::Rate,
            Row::ByteBudget { of_server, until } => Self::ByteBudget {
                of: if of_server { BudgetOf::Server } else { BudgetOf::Job },
                until: time::text(until),
            },
            Row::DownloadSlots => Self::DownloadSlots,
            Row::ToldNoProgress { since } => Self::ToldNoProgress { since: time::text(since) },
            Row::Downloading => Self::Downloading,
            Row::AwaitsVersion { since } => Self::AwaitsVersion { since: time::text(since) },
        }
    }
}
