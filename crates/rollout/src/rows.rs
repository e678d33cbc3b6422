//! The rows the rules read and change. The store keeps them; nothing here knows how.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 UTC.
pub type Ms = i64;
/// A row's number: unique in the installation and growing with time.
pub type Id = i64;
/// The number of one connection of a device. A later connection has a higher one.
pub type Epoch = i64;

/// The module a message without one speaks of (docs/protocol.md 5.1).
pub const DEFAULT_MODULE: &str = "default";

/// A product: devices of one kind, and the patience the rules have with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Row number.
    pub id: Id,
    /// `ProductKey`, unique.
    pub product_key: String,
    /// What people call it.
    pub name: String,
    /// How long after a connection's first report of a module a version that is neither source
    /// nor target may still be replaced by another report before it fails the attempt.
    pub settle_ms: Ms,
    /// How long a push waits for the module's own report on a connection.
    pub grace_ms: Ms,
    /// When it was made.
    pub created_at: Ms,
}

/// A device, without its secret: the rules never need one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Row number.
    pub id: Id,
    /// Its product.
    pub product_id: Id,
    /// `DeviceName`, unique in the product.
    pub name: String,
    /// A disabled device is refused at login.
    pub enabled: bool,
    /// Its first connection; `None` is a device that never came.
    pub first_online_at: Option<Ms>,
    /// Start of its last connection.
    pub last_online_at: Option<Ms>,
    /// End of its last connection.
    pub last_offline_at: Option<Ms>,
    /// When it was made.
    pub created_at: Ms,
    /// Its last take-overs, as long as they may mean something.
    pub rivalry: Option<Rivalry>,
}

impl Device {
    /// Since when two clients seem to use the device's name and secret. They take each other's place,
    /// so what is pushed to one of them is wasted.
    pub fn shared_since(&self) -> Option<Ms> {
        self.rivalry.as_ref()?.shared_since
    }
}

/// Connections of a device that were ended by its next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rivalry {
    /// When the last ones were, the oldest first.
    pub take_overs: Vec<Ms>,
    /// The first of those that were too many; `None` as long as there are few.
    pub shared_since: Option<Ms>,
}

/// A device's connection. The row exists while the device is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The device.
    pub device_id: Id,
    /// Which connection.
    pub epoch: Epoch,
    /// When it began.
    pub connected_at: Ms,
}

/// What a device last said of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleVersion {
    /// The device.
    pub device_id: Id,
    /// Module name as reported.
    pub module: String,
    /// Version, opaque.
    pub version: String,
    /// The connection of the last report.
    pub epoch: Epoch,
    /// That connection's first report of this module.
    pub first_reported_at: Ms,
    /// The last report.
    pub reported_at: Ms,
}

/// The digest a notice names (docs/protocol.md 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignMethod {
    /// MD5, what every device in the field checks.
    Md5,
    /// SHA-256.
    Sha256,
}

/// How far a package has been proved on test devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PackageState {
    /// Made with "no verification needed".
    NotRequired,
    /// Not yet tried.
    Unverified,
    /// A verify job runs.
    Verifying,
    /// Every test device reported the version.
    Verified,
    /// At least one test device did not.
    Failed,
}

/// One file for one module of one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Row number.
    pub id: Id,
    /// Its product.
    pub product_id: Id,
    /// What people call it.
    pub name: String,
    /// The module it is for.
    pub module: String,
    /// The version a device reports once it runs it.
    pub version: String,
    /// The digest its notices name.
    pub sign_method: SignMethod,
    /// Length of the file in bytes.
    pub size: i64,
    /// MD5 of the file, 32 lower-case hex digits.
    pub md5: String,
    /// SHA-256 of the file, 64 lower-case hex digits; also the blob's name.
    pub sha256: String,
    /// The file's name at upload.
    pub file_name: String,
    /// The version compiled into an ESP image, when one was found.
    pub image_version: Option<String>,
    /// Proved or not.
    pub state: PackageState,
    /// When it was made.
    pub created_at: Ms,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobKind {
    /// Proves a package on a few devices.
    Verify,
    /// Brings it to many.
    Static,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Tasks are made, pushed, answered.
    InProgress,
    /// Every task has ended.
    Completed,
    /// Stopped by an operator.
    Canceled,
}

/// Which devices a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Scope {
    /// Every enabled device of the product that has ever connected.
    All,
    /// Those named when the job was made (kept beside the job).
    Named,
    /// A share of what `All` takes: the devices with the lowest [`crate::spread`].
    Percent {
        /// Thousandths of a per cent, 1 to 100 000.
        thousandths: u32,
        /// Devices with a spread up to this one belong to the share.
        threshold: i64,
    },
}

/// How the file travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Blocks over MQTT (docs/protocol.md 6).
    Mqtt,
    /// A signed URL (docs/protocol.md 7).
    Http,
}

/// Work on a whole job that goes on in short chunks. The cursor is the last device or task done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Work {
    /// Makes a task for each device of the scope.
    Enrol {
        /// Last device looked at.
        cursor: Id,
    },
    /// Cancels every unfinished task.
    Cancel {
        /// Last task looked at.
        cursor: Id,
    },
    /// Starts every failed or cancelled task again.
    Reupgrade {
        /// Last task looked at.
        cursor: Id,
    },
}

/// How many tasks of a job are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([i64; TaskState::ALL.len()]);

impl Counts {
    /// Tasks in a state.
    pub fn get(&self, state: TaskState) -> i64 {
        self.0[state as usize]
    }

    /// Adds (or takes away) tasks in a state.
    pub fn add(&mut self, state: TaskState, n: i64) {
        self.0[state as usize] += n;
    }

    /// Tasks that have not ended.
    pub fn unfinished(&self) -> i64 {
        TaskState::ALL.iter().filter(|s| !s.is_terminal()).map(|s| self.get(*s)).sum()
    }

    /// All tasks.
    pub fn total(&self) -> i64 {
        self.0.iter().sum()
    }
}

/// One operator's order to bring one package to devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Row number.
    pub id: Id,
    /// The package's product.
    pub product_id: Id,
    /// The package.
    pub package_id: Id,
    /// Verify or static.
    pub kind: JobKind,
    /// Where it is.
    pub state: JobState,
    /// Which devices.
    pub scope: Scope,
    /// Whether notices are pushed; otherwise devices must ask.
    pub need_push: bool,
    /// How the file travels.
    pub protocol: Protocol,
    /// From a task's first progress to its failure.
    pub timeout_ms: Option<Ms>,
    /// At most this many pushes in any minute.
    pub rate_per_minute: i64,
    /// When the next push may leave, in microseconds (see [`crate::rate`]).
    pub next_push_us: i64,
    /// Unfinished work on the whole job.
    pub work: Option<Work>,
    /// When it was made.
    pub created_at: Ms,
    /// When it ended.
    pub ended_at: Option<Ms>,
    /// Its tasks by state; kept beside the job as a row per state.
    pub counts: Counts,
}

/// Where a task is (docs/protocol.md 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskState {
    /// Not yet told to the device.
    Queued,
    /// The notice left; no progress yet.
    Notified,
    /// The device reported progress.
    InProgress,
    /// The device reported the target version.
    Succeeded,
    /// Ended without it.
    Failed,
    /// Ended by an operator.
    Canceled,
}

impl TaskState {
    /// Every state, in the order of a life.
    pub const ALL: [TaskState; 6] =
        [Self::Queued, Self::Notified, Self::InProgress, Self::Succeeded, Self::Failed, Self::Canceled];

    /// Whether only a re-upgrade leads on from here.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Notified => "NOTIFIED",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Why a task is in a terminal state: a code with parameters, never a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "code")]
pub enum Reason {
    /// The target version was reported.
    Success,
    /// The device reported a negative step.
    DeviceFailed {
        /// `-1` upgrade, `-2` download, `-3` verification, `-4` burning failed.
        step: i32,
        /// The device's own words.
        desc: String,
    },
    /// A version that is neither source nor target.
    VersionMismatch {
        /// The target.
        expected: String,
        /// What came.
        reported: String,
    },
    /// The job's timeout passed.
    Timeout {
        /// Its length.
        minutes: i64,
    },
    /// Another job's task was unfinished when this one was made.
    Conflict {
        /// That task.
        task: Id,
    },
    /// The operator cancelled the task, or its job.
    CanceledByOperator,
}

/// One device in one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Row number.
    pub id: Id,
    /// Its job.
    pub job_id: Id,
    /// The job's product.
    pub product_id: Id,
    /// The job's package.
    pub package_id: Id,
    /// The device.
    pub device_id: Id,
    /// The package's module.
    pub module: String,
    /// The stream the device reads blocks from; the same over pushes and restarts.
    pub stream_id: u32,
    /// Where it is.
    pub state: TaskState,
    /// Last step reported, 0 to 100.
    pub progress: i32,
    /// What the module ran before; follows reports until the first progress.
    pub src_version: Option<String>,
    /// The target.
    pub dest_version: String,
    /// 1, and one more with each re-upgrade.
    pub attempt: i32,
    /// Notices pushed in this attempt.
    pub pushes: i32,
    /// The connection the device was last told on.
    pub told_epoch: Epoch,
    /// When it was last told.
    pub told_at: Option<Ms>,
    /// Waiting for a rate token and a download slot since.
    pub ready_at: Option<Ms>,
    /// Holds a download slot until then at the latest.
    pub slot_until: Option<Ms>,
    /// First progress of this attempt; the timeout counts from here.
    pub first_progress_at: Option<Ms>,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// When it was made.
    pub created_at: Ms,
    /// Its last change.
    pub updated_at: Ms,
}

/// Something due at a time. The row is what makes it happen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "subject")]
pub enum Timer {
    /// Push what is ready in a job.
    Push(Id),
    /// A task's timeout.
    Timeout(Id),
    /// A task's module has had time to correct its report.
    Settle(Id),
    /// A device has had time to report.
    Grace(Id),
    /// A device that two clients use may have come to rest.
    Quiet(Id),
    /// The next chunk of a job's work.
    Work(Id),
    /// Events that are old enough are dropped, a chunk at a time.
    Retention,
}

/// The rows a batch needs: for each device in it also its session, all its module versions and
/// all its unfinished tasks; for each task its device and job; for each job its package and product.
/// A [`Timer::Push`] needs its job's ready tasks, up to [`crate::push_limit`].
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Products by number.
    pub products: BTreeMap<Id, Product>,
    /// Packages by number.
    pub packages: BTreeMap<Id, Package>,
    /// Jobs by number.
    pub jobs: BTreeMap<Id, Job>,
    /// Devices by number.
    pub devices: BTreeMap<Id, Device>,
    /// Sessions by device.
    pub sessions: BTreeMap<Id, Session>,
    /// Module versions by device and module.
    pub versions: BTreeMap<(Id, String), ModuleVersion>,
    /// Tasks by number.
    pub tasks: BTreeMap<Id, Task>,
    /// Download slots in use in the whole installation.
    pub slots_used: i64,
}
