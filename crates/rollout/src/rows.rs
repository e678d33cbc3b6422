//! The rows the rules read and change. The store keeps them; nothing here knows how.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::gate::Gate;
use crate::terms::Terms;
use crate::window::Zone;

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
    /// What its devices may be.
    pub node_type: NodeType,
    /// How long after a connection's first report of a module a version that is neither source
    /// nor target may still be replaced by another report before it fails the attempt.
    pub settle_ms: Ms,
    /// How long a push waits for the module's own report on a connection.
    pub grace_ms: Ms,
    /// The IANA name of the zone its devices are in; `None` is the server's.
    pub timezone: Option<String>,
    /// Whether its devices may register with its secret.
    pub dynamic_registration: bool,
    /// Whether those that nobody has made may register too.
    pub without_pre_registration: bool,
    /// Until when those that were activated may register again.
    pub registration_until: Option<Ms>,
    /// When it was made.
    pub created_at: Ms,
}

/// Whether devices speak for others too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// For themselves, on a connection of their own or on a gateway's.
    Device,
    /// For sub-devices too.
    Gateway,
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
    /// One that is made now and never came.
    pub fn new(id: Id, product_id: Id, name: String, now: Ms) -> Self {
        Self {
            id,
            product_id,
            name,
            enabled: true,
            first_online_at: None,
            last_online_at: None,
            last_offline_at: None,
            created_at: now,
            rivalry: None,
        }
    }

    /// Since when two clients seem to use the device's name and secret. They take each other's place,
    /// so what is pushed to one of them is wasted.
    pub fn shared_since(&self) -> Option<Ms> {
        self.rivalry.as_ref()?.shared_since
    }
}

/// Connections of a device that another client ended.
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

/// What filters ask of a device that no other row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The names of the groups it was added to.
    pub groups: BTreeSet<String>,
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
    /// The target of its last task, if that ended without success after the device was told: a device is not told of
    /// the end, and may still come to it.
    pub given_up: Option<String>,
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

/// What one module of one product is to run: a file, seldom several.
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
    /// Length of the first file in bytes.
    pub size: i64,
    /// MD5 of the first file, 32 lower-case hex digits.
    pub md5: String,
    /// SHA-256 of the first file, 64 lower-case hex digits; also the blob's name.
    pub sha256: String,
    /// The first file's name at upload.
    pub file_name: String,
    /// The files after the first, in order; most packages have none.
    pub more_files: Vec<PackageFile>,
    /// The version compiled into an ESP image, when one was found.
    pub image_version: Option<String>,
    /// The version it is a difference to; `None` is a whole file.
    pub src_version: Option<String>,
    /// Its own words for the devices.
    pub custom: Option<String>,
    /// Proved or not.
    pub state: PackageState,
    /// When it was made.
    pub created_at: Ms,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageFile {
    /// Its name at upload.
    pub name: String,
    /// Its length in bytes.
    pub size: i64,
    /// Its MD5, 32 lower-case hex digits.
    pub md5: String,
    /// Its SHA-256, 64 lower-case hex digits; also the blob's name.
    pub sha256: String,
}

impl Package {
    /// All its files, in order.
    pub fn files(&self) -> Vec<PackageFile> {
        let (name, size) = (self.file_name.clone(), self.size);
        let mut files = vec![PackageFile { name, size, md5: self.md5.clone(), sha256: self.sha256.clone() }];
        files.extend_from_slice(&self.more_files);
        files
    }

    /// Bytes of all its files together.
    pub fn bytes(&self) -> i64 {
        self.more_files.iter().map(|file| file.size).fold(self.size, i64::saturating_add)
    }

    /// Whether a module that reports `version` can take it.
    pub fn applies_to(&self, version: Option<&str>) -> bool {
        self.src_version.as_deref().is_none_or(|source| version == Some(source))
    }
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobKind {
    /// Proves a package on a few devices.
    Verify,
    /// Brings it to many.
    Static,
    /// Brings it to every device that comes to be one it is for, until it is closed.
    Dynamic,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Its tasks are there; it starts by its schedule.
    Planned,
    /// Tasks are made, pushed, answered.
    InProgress,
    /// Every task has ended.
    Completed,
    /// Stopped by an operator.
    Canceled,
}

/// Which devices a job is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Those of what `All` takes that a filter means.
    Filter {
        /// Its text.
        filter: String,
    },
    /// Those of what `All` takes that are in a group.
    Group {
        /// The group.
        group: Id,
        /// Its name, told here too because the group may be gone when this is read.
        name: String,
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

/// States an operator cancels tasks in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelStates {
    /// Those that wait for approval.
    pub confirm: bool,
    /// Those not yet told.
    pub queued: bool,
    /// Those told that have not begun.
    pub notified: bool,
    /// Those that have begun.
    pub in_progress: bool,
}

impl CancelStates {
    /// Whether tasks in a state are meant.
    pub fn has(self, state: TaskState) -> bool {
        match state {
            TaskState::Confirm => self.confirm,
            TaskState::Queued => self.queued,
            TaskState::Notified => self.notified,
            TaskState::InProgress => self.in_progress,
            TaskState::Succeeded | TaskState::Failed | TaskState::Canceled => false,
        }
    }
}

/// Work on a whole job that goes on in short chunks. The cursor is the last device or task done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Approves every task that waits for it.
    Confirm {
        /// Last task looked at.
        cursor: Id,
    },
    /// Cancels the unfinished tasks in some states.
    CancelSome {
        /// Last task looked at.
        cursor: Id,
        /// Which states.
        states: CancelStates,
        /// Whether one has been cancelled.
        any: bool,
    },
    /// Cancels what has not begun: the scheduled end has come.
    Finish {
        /// Last task looked at.
        cursor: Id,
    },
    /// Starts failed tasks again.
    Reupgrade {
        /// Last task looked at.
        cursor: Id,
        /// Whether its job was cancelled: then the tasks an operator cancelled start again, too.
        #[serde(default)]
        canceled: bool,
    },
}

/// Tasks of a job that are being let go, in short chunks. The cursor is the last one done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Release {
    /// All that are unfinished, in the order of their numbers.
    All {
        /// Last task looked at.
        cursor: Id,
    },
    /// Those of waves that have opened, wave by wave.
    Waves {
        /// The wave of the last task looked at.
        at: i32,
        /// The last wave that has opened.
        upto: i32,
        /// Last task looked at.
        cursor: Id,
    },
}

/// What holds a running job: nothing of it is pushed or answered, running downloads go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Hold {
    /// An operator.
    Paused,
    /// A gate.
    Halted {
        /// Why.
        halt: Halt,
    },
}

/// Why a job halted by itself: a code with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "code")]
pub enum Halt {
    /// More failures than allowed.
    Failures {
        /// How many.
        failed: i64,
        /// How many are allowed.
        limit: i64,
    },
    /// A larger part of the devices told failed than allowed.
    FailureRate {
        /// How many failed.
        failed: i64,
        /// How many were told.
        offered: i64,
        /// What is allowed, in thousandths of a per cent.
        limit: u32,
    },
    /// The upgrades that ended speak for the rejected failure rate.
    Evidence {
        /// How many failed.
        failed: i64,
        /// How many ended.
        ended: i64,
        /// The accepted rate in thousandths of a per cent.
        accepted: u32,
        /// The rejected rate in thousandths of a per cent.
        rejected: u32,
    },
    /// Too few of a wave succeeded.
    WaveFailed {
        /// Which wave, from 0.
        wave: i32,
        /// How many succeeded.
        succeeded: i64,
        /// How many upgrades ended, with those whose devices are lost or try again.
        ended: i64,
        /// How many successes the wave needs.
        needed: i64,
        /// Of how many.
        total: i64,
    },
    /// No upgrade of a wave ended in time.
    WaveStalled {
        /// Which wave, from 0.
        wave: i32,
        /// How long.
        minutes: i64,
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
    /// What it is for.
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
    /// Until when what was offered uses up its byte budget, in microseconds; 0 without one.
    pub offered_until_us: i64,
    /// What else was settled when it was made.
    pub terms: Terms,
    /// What holds it.
    pub hold: Option<Hold>,
    /// Since when.
    pub held_at: Option<Ms>,
    /// How long it was held before, all holds together, and how long the platform stood still meanwhile if it has a
    /// timeout.
    pub held_ms: Ms,
    /// How far it has come. Jobs of early versions without waves and limits have none.
    pub gate: Option<Gate>,
    /// Unfinished work on the whole job.
    pub work: Option<Work>,
    /// Its tasks that are being let go, or told what was changed.
    pub release: Option<Release>,
    /// When it was made.
    pub created_at: Ms,
    /// Since when a dynamic one takes no more devices. It ends with its last task.
    pub closed_at: Option<Ms>,
    /// When it ended.
    pub ended_at: Option<Ms>,
    /// Its tasks by state; kept beside the job as a row per state.
    pub counts: Counts,
}

/// Where a task is (docs/protocol.md 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// The device reported the target version.
    Succeeded,
    /// Ended without it.
    Failed,
    /// Ended by an operator.
    Canceled,
}

impl TaskState {
    /// Every state, in the order of a life.
    pub const ALL: [TaskState; 7] = [
        Self::Confirm,
        Self::Queued,
        Self::Notified,
        Self::InProgress,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    /// Whether only a re-upgrade leads on from here.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "CONFIRM",
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
    /// The source version came back after step 100.
    RolledBack {
        /// The source.
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
    /// The device speaks of the task's module, but in another case.
    ModuleCase {
        /// The task's module.
        expected: String,
        /// The device's.
        reported: String,
    },
    /// Another job's task was unfinished when this one was made.
    Conflict {
        /// That task.
        task: Id,
    },
    /// Another job's task took its place.
    Overwritten {
        /// That job.
        job: Id,
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

/// The clock from telling a device to its first progress. It runs while the device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartClock {
    /// The device is here: it has until then.
    By(Ms),
    /// The device is away: this is left.
    Left(Ms),
}

/// What a device last said went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceError {
    /// `-1` upgrade, `-2` download, `-3` verification, `-4` burning failed.
    pub step: i32,
    /// The device's own words.
    pub desc: String,
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
    /// Its wave, from 0.
    pub wave: i32,
    /// The stream the device reads blocks from; the same over pushes and restarts.
    pub stream_id: u32,
    /// Where it is.
    pub state: TaskState,
    /// Last step reported, 0 to 100.
    pub progress: i32,
    /// Highest step of this attempt.
    pub furthest: i32,
    /// What the module ran before; follows reports until the first progress.
    pub src_version: Option<String>,
    /// The target.
    pub dest_version: String,
    /// 1, and one more with each retry and re-upgrade.
    pub attempt: i32,
    /// Whether it needs no approval, or has it.
    pub approved: bool,
    /// Attempts since the task was made or last re-upgraded, this one included.
    pub tries: i32,
    /// Waiting for the next attempt until then.
    pub retry_at: Option<Ms>,
    /// Notices pushed in this attempt.
    pub pushes: i32,
    /// Notices pushed since the device began this attempt, or got further than before in it.
    pub idle_pushes: i32,
    /// The connection the device was last told on.
    pub told_epoch: Epoch,
    /// When it was last told.
    pub told_at: Option<Ms>,
    /// Waiting for a rate token and a download slot since.
    pub ready_at: Option<Ms>,
    /// Holds a download slot until then at the latest.
    pub slot_until: Option<Ms>,
    /// First progress since the task was made or last re-upgraded; the timeout counts from here.
    pub first_progress_at: Option<Ms>,
    /// How long its job had been held by then: what it was held since is not in the timeout.
    pub held_before: Ms,
    /// First progress of this attempt.
    pub begun_at: Option<Ms>,
    /// How long the device may take to begin this attempt, once told.
    pub start_clock: Option<StartClock>,
    /// The last the device said of this attempt, once it has begun.
    pub heard_at: Option<Ms>,
    /// In which round of its job's gate the device was found to have begun and to be silent for long, if it is.
    pub lost_in: Option<i32>,
    /// In which round the device was first told, since the task was made or last re-upgraded.
    pub offered_in: Option<i32>,
    /// In which round the last attempt failed, if one has since the task was made or last re-upgraded.
    pub failed_in: Option<i32>,
    /// When this attempt first reported step 100; from then on its version is awaited.
    pub done_at: Option<Ms>,
    /// What the device last said went wrong, beside what the platform makes of it.
    pub device_error: Option<DeviceError>,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// When it was made.
    pub created_at: Ms,
    /// Its last change.
    pub updated_at: Ms,
}

/// Something due at a time. The row is what makes it happen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "subject")]
pub enum Timer {
    /// Push what is ready in a job.
    Push(Id),
    /// A task's timeout.
    Timeout(Id),
    /// A task's module has had time to correct its report.
    Settle(Id),
    /// A task's next attempt.
    Retry(Id),
    /// A task's device has had time to begin.
    Unstarted(Id),
    /// A device has had time to report.
    Grace(Id),
    /// A device that two clients use may have come to rest.
    Quiet(Id),
    /// The next chunk of a job's work.
    Work(Id),
    /// A job's scheduled start.
    Start(Id),
    /// A job's scheduled end.
    Finish(Id),
    /// The next tasks of a job that are let go.
    Release(Id),
    /// A job's wave has had its time.
    Gate(Id),
    /// A task's device has had time to speak.
    Lost(Id),
    /// Events that are old enough are dropped, a chunk at a time.
    Retention,
    /// The platform notes that it is up.
    Alive,
}

/// The rows a batch needs: for each device in it also its session, all its module versions and
/// all its unfinished tasks; for each task its device and job; for each job its package and product.
/// A [`Timer::Push`] needs its job's ready tasks, up to [`crate::push_limit`]. A version report needs the
/// policies of its product and module, with their matches and meanings; so does each device of a chunk of a
/// policy's enrolment. A [`crate::Input::ReviseJob`] needs the meaning of the scope that the job gets, for what comes
/// after it in the batch.
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
    /// Dynamic jobs that may take devices by what these report.
    pub policies: BTreeSet<Id>,
    /// Whom scopes mean that are a filter or a group. A group that is gone means nobody, and is not here.
    pub meanings: BTreeMap<Scope, Filter>,
    /// If there are such: what their filters ask of the devices.
    pub labels: BTreeMap<Id, Labels>,
    /// How many tasks a dynamic job has made for a device, if any: by job and device.
    pub matches: BTreeMap<(Id, Id), i64>,
    /// Of the tasks that a chunk of [`Work::Reupgrade`] names, those whose device has succeeded since in a later task
    /// for the same module.
    pub overtaken: BTreeSet<Id>,
    /// Download slots in use in the whole installation.
    pub slots_used: i64,
    /// Until when what was offered uses up the server's byte budget, in microseconds; 0 without one.
    pub offered_until_us: i64,
    /// Since when the platform is up.
    pub up_since: Ms,
    /// If a job has windows: the zones that products and devices name, and [`crate::SERVER_ZONE`].
    pub zones: BTreeMap<String, Zone>,
    /// If a job has windows: the zones of devices that have one of their own.
    pub zone_tags: BTreeMap<Id, String>,
}

impl Rows {
    /// A module of a device whose name differs from `module` only in case.
    pub(crate) fn other_case(&self, device: Id, module: &str) -> Option<&str> {
        let of_device = self.versions.range((device, String::new())..(device + 1, String::new()));
        let mut names = of_device.map(|((_, name), _)| name.as_str());
        names.find(|name| *name != module && name.eq_ignore_ascii_case(module))
    }
}
