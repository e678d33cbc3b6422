use serde::{Deserialize, Serialize};
use server::{IdKind, rollout};
use utoipa::{IntoParams, ToSchema};

use super::Waiting;
use crate::extract::id;
use crate::{Problem, time};

/// One device in one job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    #[schema(example = "tsk_01h2xk7m3c8p0")]
    pub id: String,
    /// Its job.
    #[schema(example = "job_01h2xk7m3c8p0")]
    pub job_id: String,
    /// The job's package.
    #[schema(example = "pkg_01h2xk7m3c8p0")]
    pub package_id: String,
    /// The device's product.
    #[schema(example = "a1TestPk001")]
    pub product_key: String,
    /// The device.
    #[schema(example = "lamp-0001")]
    pub device_name: String,
    /// The package's module.
    #[schema(example = "default")]
    pub module: String,
    /// Its wave, from 1.
    #[schema(example = 1)]
    pub wave: i32,
    /// Where it is.
    pub state: TaskState,
    /// Whether the device has begun and is silent for long.
    pub lost: bool,
    /// Last step the device reported, 0 to 100.
    #[schema(example = 40)]
    pub progress: i32,
    /// The version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1.0.0")]
    pub src_version: Option<String>,
    /// The version wanted.
    #[schema(example = "2.0.0")]
    pub dest_version: String,
    /// 1, and one more with each retry and re-upgrade.
    #[schema(example = 1)]
    pub attempt: i32,
    /// Attempts since the task was made or last re-upgraded, this one included.
    #[schema(example = 1)]
    pub tries: i32,
    /// Notices pushed in this attempt.
    #[schema(example = 1)]
    pub pushes: i32,
    /// Why it ended; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it waits for; absent once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What the device last said went wrong, in any attempt since the last re-upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_error: Option<DeviceError>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
    /// Its last change.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub updated_at: String,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskState {
    /// Waits for an operator or an app to approve it.
    Confirm,
    /// Not yet told to the device.
    Queued,
    /// The notice left; no progress yet.
    Notified,
    /// The device reported progress.
    InProgress,
    /// The device reported the wanted version.
    Succeeded,
    /// Ended without it.
    Failed,
    /// Ended by an operator.
    Canceled,
}

/// What a device said went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceError {
    /// `-1` upgrade, `-2` download, `-3` verification, `-4` burning failed.
    pub step: i32,
    /// The device's own words.
    pub desc: String,
}

/// Why a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "code")]
pub enum Reason {
    /// The wanted version was reported.
    Success,
    /// The device reported a negative step.
    DeviceFailed {
        /// `-1` upgrade, `-2` download, `-3` verification, `-4` burning failed.
        step: i32,
        /// The device's own words.
        desc: String,
    },
    /// A version that is neither the old nor the wanted one.
    VersionMismatch {
        /// The wanted one.
        expected: String,
        /// What came.
        reported: String,
    },
    /// The job's timeout passed.
    Timeout {
        /// Its length.
        minutes: i64,
    },
    /// The old version came back after step 100.
    RolledBack {
        /// That version.
        version: String,
    },
    /// The device was told, was connected long enough, and did not begin.
    StartTimeout {
        /// How long.
        minutes: i64,
    },
    /// The device was told often enough and did not begin, or got no further.
    TooManyPushes {
        /// How often.
        pushes: i32,
    },
    /// The device speaks of the module in another case, so nothing of it was heard.
    ModuleCase {
        /// The task's module.
        expected: String,
        /// The device's.
        reported: String,
    },
    /// Another job's task was unfinished when this one was made.
    Conflict {
        /// That task.
        #[serde(rename = "taskId")]
        task_id: String,
    },
    /// Another job's task took its place.
    Overwritten {
        /// That job.
        #[serde(rename = "jobId")]
        job_id: String,
    },
    /// The scheduled end of its job came.
    ScheduleEnded,
    /// The device reported a version that is not among those its job is for.
    SourceExcluded {
        /// What came.
        reported: String,
    },
    /// The operator cancelled the task, or its job.
    CanceledByOperator,
}

/// Which tasks of a job are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TaskQuery {
    /// In this state only.
    #[param(inline)]
    pub state: Option<TaskState>,
    /// Ended for this reason only: its code. A page may then be short, even empty, and not be the last.
    #[param(example = "deviceFailed")]
    pub reason: Option<String>,
    /// Of this device only.
    #[param(example = "lamp-0001")]
    pub device_name: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

impl TaskState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Confirm,
        Self::Queued,
        Self::Notified,
        Self::InProgress,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];
}

impl Task {
    pub(crate) fn of(view: server::TaskView, names: &server::Names) -> Self {
        let server::TaskView { task: row, device_name, waiting } = view;
        let product_key = names.products.get(&row.product_id).cloned().unwrap_or_default();
        Self {
            id: IdKind::Task.text(row.id),
            job_id: IdKind::Job.text(row.job_id),
            package_id: IdKind::Package.text(row.package_id),
            product_key,
            device_name,
            module: row.module,
            wave: row.wave + 1,
            state: row.state.into(),
            lost: row.lost_in.is_some(),
            progress: row.progress,
            src_version: row.src_version,
            dest_version: row.dest_version,
            attempt: row.attempt,
            tries: row.tries,
            pushes: row.pushes,
            reason: row.reason.map(Into::into),
            waiting: waiting.map(Into::into),
            device_error: row.device_error.map(|e| DeviceError { step: e.step, desc: e.desc }),
            created_at: time::text(row.created_at),
            updated_at: time::text(row.updated_at),
        }
    }
}

impl From<rollout::Reason> for Reason {
    fn from(reason: rollout::Reason) -> Self {
        use rollout::Reason as Row;
        match reason {
            Row::Success => Self::Success,
            Row::DeviceFailed { step, desc } => Self::DeviceFailed { step, desc },
            Row::VersionMismatch { expected, reported } => Self::VersionMismatch { expected, reported },
            Row::Timeout { minutes } => Self::Timeout { minutes },
            Row::RolledBack { version } => Self::RolledBack { version },
            Row::StartTimeout { minutes } => Self::StartTimeout { minutes },
            Row::TooManyPushes { pushes } => Self::TooManyPushes { pushes },
            Row::ModuleCase { expected, reported } => Self::ModuleCase { expected, reported },
            Row::Conflict { task } => Self::Conflict { task_id: IdKind::Task.text(task) },
            Row::Overwritten { job } => Self::Overwritten { job_id: IdKind::Job.text(job) },
            Row::ScheduleEnded => Self::ScheduleEnded,
            Row::SourceExcluded { reported } => Self::SourceExcluded { reported },
            Row::CanceledByOperator => Self::CanceledByOperator,
        }
    }
}

impl From<rollout::TaskState> for TaskState {
    fn from(state: rollout::TaskState) -> Self {
        match state {
            rollout::TaskState::Confirm => Self::Confirm,
            rollout::TaskState::Queued => Self::Queued,
            rollout::TaskState::Notified => Self::Notified,
            rollout::TaskState::InProgress => Self::InProgress,
            rollout::TaskState::Succeeded => Self::Succeeded,
            rollout::TaskState::Failed => Self::Failed,
            rollout::TaskState::Canceled => Self::Canceled,
        }
    }
}

impl From<TaskState> for rollout::TaskState {
    fn from(state: TaskState) -> Self {
        match state {
            TaskState::Confirm => Self::Confirm,
            TaskState::Queued => Self::Queued,
            TaskState::Notified => Self::Notified,
            TaskState::InProgress => Self::InProgress,
            TaskState::Succeeded => Self::Succeeded,
            TaskState::Failed => Self::Failed,
            TaskState::Canceled => Self::Canceled,
        }
    }
}

/// Which unfinished tasks of some devices to cancel.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelOf {
    /// 1 to 200 names of devices of the product.
    pub device_names: Vec<String>,
    /// Only those of this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "job_01h2xk7m3c8p0")]
    pub job_id: Option<String>,
    /// Only those for this module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "default")]
    pub module: Option<String>,
}

/// Tasks that were cancelled.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanceledTasks {
    /// Their ids.
    pub task_ids: Vec<String>,
}

impl TryFrom<CancelOf> for server::CancelOf {
    type Error = Problem;

    fn try_from(cancel: CancelOf) -> Result<Self, Problem> {
        let job = cancel.job_id.map(|job| id(IdKind::Job, &job)).transpose()?;
        Ok(Self { device_names: cancel.device_names, job, module: cancel.module })
    }
}
