use serde::{Deserialize, Serialize};
use server::{IdKind, rollout};
use utoipa::{IntoParams, ToSchema};

use super::{Forecast, Order, TaskState, Terms, together};
use crate::extract::id;
use crate::{Problem, time};

/// One order to bring one package to devices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    #[schema(example = "job_01h2xk7m3c8p0")]
    pub id: String,
    /// The package's product.
    #[schema(example = "a1TestPk001")]
    pub product_key: String,
    /// The package.
    #[schema(example = "pkg_01h2xk7m3c8p0")]
    pub package_id: String,
    /// What it is for.
    pub kind: JobKind,
    /// Where it is.
    pub state: JobState,
    /// Which devices.
    pub scope: JobScope,
    /// How the file travels.
    pub protocol: Protocol,
    /// Whether notices are pushed; otherwise devices must ask.
    pub need_push: bool,
    /// Minutes from a task's first progress to its failure; absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<i64>,
    /// Most pushes in any minute; absent if nothing is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 10_000)]
    pub rate_per_minute: Option<i64>,
    /// What else is settled.
    pub terms: Terms,
    /// What holds it: nothing of it is pushed or answered, running downloads go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// How far it has come; absent only for jobs of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Whether an order on the whole job is still being carried out, as making its tasks.
    pub busy: bool,
    /// Its tasks by state.
    pub counts: Counts,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
    /// Since when it takes no more devices, if it is dynamic. It is cancelled when its last task has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobKind {
    /// Proves a package on a few devices.
    Verify,
    /// Brings it to many.
    Static,
    /// Brings it to every device that comes to be one it is for, until it is closed: the scope's, on one of
    /// `srcVersions`.
    Dynamic,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// What holds a running job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Hold {
    /// An operator.
    Paused,
    /// A gate.
    Halted {
        /// Why.
        halt: Halt,
    },
}

/// Why a job halted by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "code")]
pub enum Halt {
    /// More failures than allowed since the start or the last resume.
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
        /// Per cent allowed.
        #[serde(rename = "limitPercent")]
        limit_percent: f64,
    },
    /// The upgrades that ended speak for the rejected failure rate.
    Evidence {
        /// How many failed.
        failed: i64,
        /// How many ended.
        ended: i64,
        /// Accepted failures in per cent.
        #[serde(rename = "acceptedPercent")]
        accepted_percent: f64,
        /// Rejected failures in per cent.
        #[serde(rename = "rejectedPercent")]
        rejected_percent: f64,
    },
    /// Too few of a wave succeeded.
    WaveFailed {
        /// Which wave, from 1.
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
        /// Which wave, from 1.
        wave: i32,
        /// How long.
        minutes: i64,
    },
}

impl From<rollout::Halt> for Halt {
    fn from(halt: rollout::Halt) -> Self {
        use rollout::Halt as Row;
        let percent = |thousandths: u32| f64::from(thousandths) / 1_000.0;
        match halt {
            Row::Failures { failed, limit } => Self::Failures { failed, limit },
            Row::FailureRate { failed, offered, limit } => {
                Self::FailureRate { failed, offered, limit_percent: percent(limit) }
            }
            Row::Evidence { failed, ended, accepted, rejected } => Self::Evidence {
                failed,
                ended,
                accepted_percent: percent(accepted),
                rejected_percent: percent(rejected),
            },
            Row::WaveFailed { wave, succeeded, ended, needed, total } => {
                Self::WaveFailed { wave: wave + 1, succeeded, ended, needed, total }
            }
            Row::WaveStalled { wave, minutes } => Self::WaveStalled { wave: wave + 1, minutes },
        }
    }
}

/// How far a job has come. One without waves has one, for all its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The last wave that is open, from 1.
    #[schema(example = 1)]
    pub wave: i32,
    /// Since when; put off by as long as the platform stood still.
    #[schema(format = DateTime)]
    pub opened_at: String,
    /// When it had enough successes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub enough_at: Option<String>,
    /// Devices told since the start or the last resume.
    pub offered: i64,
    /// Devices that count as failed since then: those that are lost, or whose last attempt failed and that try
    /// again, among them. Each counts once, until it succeeds.
    pub failures: i64,
    /// Its waves.
    pub waves: Vec<WaveCounts>,
}

/// The tasks of one wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveCounts {
    /// All of them.
    pub total: i64,
    /// Those that succeeded.
    pub succeeded: i64,
    /// Of those that succeeded, the ones whose devices were never told: they do not open the next wave.
    pub untold: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those whose last attempt failed and that have another, but for the lost ones.
    pub retrying: i64,
    /// Those that began and are silent.
    pub lost: i64,
    /// Whether an operator opened the next wave without waiting for its gate.
    pub skipped: bool,
}

impl From<rollout::Gate> for Progress {
    fn from(gate: rollout::Gate) -> Self {
        let counts = |(wave, w): (i32, &rollout::WaveCounts)| WaveCounts {
            total: w.total,
            succeeded: w.succeeded,
            untold: w.untold,
            failed: w.failed,
            retrying: w.retrying,
            lost: w.lost,
            skipped: gate.skipped.contains(&wave),
        };
        Self {
            wave: gate.wave + 1,
            opened_at: time::text(gate.opened_at),
            enough_at: gate.enough_at.map(time::text),
            offered: gate.offered,
            failures: gate.failed,
            waves: (0..).zip(&gate.waves).map(counts).collect(),
        }
    }
}

/// A wave that is not waited for any longer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkipWave {
    /// The open wave, from 1. If another one is open, nothing is skipped: two orders at once open one wave.
    #[schema(example = 1)]
    pub wave: i32,
}

impl From<rollout::Hold> for Hold {
    fn from(hold: rollout::Hold) -> Self {
        match hold {
            rollout::Hold::Paused => Self::Paused,
            rollout::Hold::Halted { halt } => Self::Halted { halt: halt.into() },
        }
    }
}

/// How the file travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Blocks over MQTT.
    Mqtt,
    /// A signed URL.
    Http,
}

/// Which devices a job is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum JobScope {
    /// Every enabled device of the product that has ever connected.
    All,
    /// Those named when the job was made.
    Named,
    /// A share of what `all` takes. A larger share holds every smaller one.
    Percent {
        /// 0.001 to 100.
        percent: f64,
    },
    /// Those of what `all` takes that a filter means.
    Filter {
        /// Its text.
        filter: String,
    },
    /// Those of what `all` takes that are in a group.
    Group {
        /// Its name.
        group: String,
    },
}

/// How many tasks of a job are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the state of its name; see TaskState")]
pub struct Counts {
    pub confirm: i64,
    pub queued: i64,
    pub notified: i64,
    pub in_progress: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub canceled: i64,
}

/// A job to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewJob {
    /// The package.
    #[schema(example = "pkg_01h2xk7m3c8p0")]
    pub package_id: String,
    /// What it is for.
    pub kind: JobKind,
    /// Which devices; a verify job names them, a dynamic one is for `all`, a `filter` or a `group`.
    pub scope: NewScope,
    /// How the file travels; `mqtt` if absent.
    #[serde(default = "mqtt")]
    pub protocol: Protocol,
    /// Whether notices are pushed; true if absent.
    #[serde(default = "yes")]
    pub need_push: bool,
    /// Minutes from a task's first progress to its failure; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<i64>,
    /// Most pushes in any minute; 10 000 if absent. Not with `needPush` false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<i64>,
    /// What else is settled; as usual if absent.
    #[serde(default)]
    pub terms: Terms,
    /// Takes a notice that devices with 2 KB buffers cannot receive.
    #[serde(default)]
    pub allow_large_notice: bool,
    /// Takes SHA-256 over MQTT, where C SDK 4.x does not check it.
    #[serde(default)]
    pub allow_sha256_over_mqtt: bool,
}

/// Which devices a new job is for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum NewScope {
    /// Every enabled device of the product that has ever connected.
    All,
    /// These.
    Named {
        /// Names of devices of the package's product.
        #[serde(rename = "deviceNames")]
        device_names: Vec<String>,
    },
    /// Those of a list.
    Csv {
        /// Names of devices of the package's product, separated by commas or line ends; or a CSV text whose
        /// first line names the columns, of which `deviceName` is read.
        #[schema(example = "lamp-0001\nlamp-0002\n")]
        csv: String,
        /// Whether names that are no devices of the product are left out; if false or absent, the job is
        /// refused because of them.
        #[serde(default, rename = "leaveOutUnknown")]
        leave_out_unknown: bool,
    },
    /// A share of what `all` takes.
    Percent {
        /// 0.001 to 100, in steps of 0.001.
        percent: f64,
    },
    /// Those of what `all` takes that a filter means (docs/filters.md).
    Filter {
        /// Its text.
        filter: String,
    },
    /// Those of what `all` takes that are in a group: in the moments in which the job's tasks are made, or with a
    /// dynamic job at each of their reports.
    Group {
        /// Its name.
        group: String,
    },
}

/// A job just made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedJob {
    /// The job; its tasks are made in the moments that follow.
    pub job: Job,
    /// What was found of its devices.
    pub forecast: Forecast,
}

/// Which tasks of a job to cancel.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelTasks {
    /// Those in these states: `CONFIRM`, `QUEUED`, `NOTIFIED`, `IN_PROGRESS`.
    pub states: Vec<TaskState>,
}

impl From<CancelTasks> for rollout::CancelStates {
    fn from(cancel: CancelTasks) -> Self {
        let has = |state| cancel.states.contains(&state);
        let ended = [TaskState::Succeeded, TaskState::Failed, TaskState::Canceled];
        if ended.into_iter().any(has) {
            return Self::default();
        }
        Self {
            confirm: has(TaskState::Confirm),
            queued: has(TaskState::Queued),
            notified: has(TaskState::Notified),
            in_progress: has(TaskState::InProgress),
        }
    }
}

/// Which jobs are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// Of this product only.
    pub product_key: Option<String>,
    /// Of this package only; without `productKey`.
    pub package_id: Option<String>,
    /// In this state only.
    #[param(inline)]
    pub state: Option<JobState>,
    /// Which come first; `asc`, the oldest, if absent. A cursor belongs to one of the two.
    #[param(inline)]
    pub order: Option<Order>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

fn yes() -> bool {
    true
}

fn mqtt() -> Protocol {
    Protocol::Mqtt
}

impl Counts {
    /// Tasks in a state.
    pub fn get(&self, state: TaskState) -> i64 {
        match state {
            TaskState::Confirm => self.confirm,
            TaskState::Queued => self.queued,
            TaskState::Notified => self.notified,
            TaskState::InProgress => self.in_progress,
            TaskState::Succeeded => self.succeeded,
            TaskState::Failed => self.failed,
            TaskState::Canceled => self.canceled,
        }
    }

    /// All tasks.
    pub fn total(&self) -> i64 {
        TaskState::ALL.iter().map(|state| self.get(*state)).sum()
    }
}

impl Job {
    pub(crate) fn of(row: rollout::Job, names: &server::Names) -> Self {
        let product_key = names.products.get(&row.product_id).cloned().unwrap_or_default();
        let timeout_minutes = row.timeout_ms.map(|ms| ms / 60_000);
        Self {
            id: IdKind::Job.text(row.id),
            product_key,
            package_id: IdKind::Package.text(row.package_id),
            kind: row.kind.into(),
            state: row.state.into(),
            scope: row.scope.into(),
            protocol: row.protocol.into(),
            need_push: row.need_push,
            timeout_minutes,
            rate_per_minute: row.need_push.then_some(row.rate_per_minute),
            terms: Terms::from(row.terms).without_idle(row.need_push, timeout_minutes),
            hold: row.hold.map(Into::into),
            progress: row.gate.map(Into::into),
            busy: row.work.is_some(),
            counts: row.counts.into(),
            created_at: time::text(row.created_at),
            closed_at: row.closed_at.map(time::text),
            ended_at: row.ended_at.map(time::text),
        }
    }
}

impl CreatedJob {
    pub(crate) fn of(created: server::CreatedJob, names: &server::Names) -> Self {
        Self { job: Job::of(created.job, names), forecast: created.forecast.into() }
    }
}

impl TryFrom<NewJob> for server::NewJob {
    type Error = Problem;

    fn try_from(new: NewJob) -> Result<Self, Problem> {
        together::check(&new)?;
        Ok(Self {
            package: id(IdKind::Package, &new.package_id)?,
            kind: new.kind.into(),
            scope: new.scope.try_into()?,
            protocol: new.protocol.into(),
            need_push: new.need_push,
            timeout_minutes: new.timeout_minutes,
            rate_per_minute: new.rate_per_minute,
            terms: new.terms.try_into()?,
            allow_large_notice: new.allow_large_notice,
            allow_sha256_over_mqtt: new.allow_sha256_over_mqtt,
        })
    }
}

impl TryFrom<NewScope> for server::NewScope {
    type Error = Problem;

    fn try_from(scope: NewScope) -> Result<Self, Problem> {
        Ok(match scope {
            NewScope::All => Self::All,
            NewScope::Named { device_names } => Self::Named(device_names),
            NewScope::Csv { csv, leave_out_unknown } => Self::Csv { csv, leave_out_unknown },
            NewScope::Percent { percent } => Self::Percent { thousandths: thousandths(percent)? },
            NewScope::Filter { filter } => Self::Filter(filter),
            NewScope::Group { group } => Self::Group(group),
        })
    }
}

/// 0 to 100 per cent in thousandths, if they are whole.
pub(super) fn exact_thousandths(percent: f64) -> Option<u32> {
    in_thousandths(percent, 100_000.0).map(|thousandths| thousandths as u32)
}

/// A number as whole thousandths from 0 to `most`, if it is one.
pub(super) fn in_thousandths(number: f64, most: f64) -> Option<i64> {
    let thousandths = (number * 1_000.0).round();
    let exact = (thousandths - number * 1_000.0).abs() < 1e-6;
    (exact && (0.0..=most).contains(&thousandths)).then_some(thousandths as i64)
}

pub(super) fn thousandths(percent: f64) -> Result<u32, Problem> {
    if let Some(thousandths) = exact_thousandths(percent).filter(|n| *n > 0) {
        return Ok(thousandths);
    }
    let detail = format!("{percent} per cent is not allowed: 0.001 to 100, in steps of 0.001");
    Err(Problem::unprocessable("percentInvalid", detail).with("percent", percent))
}

impl From<rollout::Scope> for JobScope {
    fn from(scope: rollout::Scope) -> Self {
        match scope {
            rollout::Scope::All => Self::All,
            rollout::Scope::Named => Self::Named,
            rollout::Scope::Percent { thousandths, .. } => {
                Self::Percent { percent: f64::from(thousandths) / 1_000.0 }
            }
            rollout::Scope::Filter { filter } => Self::Filter { filter },
            rollout::Scope::Group { name, .. } => Self::Group { group: name },
        }
    }
}

impl From<rollout::Counts> for Counts {
    fn from(counts: rollout::Counts) -> Self {
        use rollout::TaskState::{Canceled, Confirm, Failed, InProgress, Notified, Queued, Succeeded};
        Self {
            confirm: counts.get(Confirm),
            queued: counts.get(Queued),
            notified: counts.get(Notified),
            in_progress: counts.get(InProgress),
            succeeded: counts.get(Succeeded),
            failed: counts.get(Failed),
            canceled: counts.get(Canceled),
        }
    }
}

impl From<rollout::JobKind> for JobKind {
    fn from(kind: rollout::JobKind) -> Self {
        match kind {
            rollout::JobKind::Verify => Self::Verify,
            rollout::JobKind::Static => Self::Static,
            rollout::JobKind::Dynamic => Self::Dynamic,
        }
    }
}

impl From<JobKind> for rollout::JobKind {
    fn from(kind: JobKind) -> Self {
        match kind {
            JobKind::Verify => Self::Verify,
            JobKind::Static => Self::Static,
            JobKind::Dynamic => Self::Dynamic,
        }
    }
}

impl From<rollout::JobState> for JobState {
    fn from(state: rollout::JobState) -> Self {
        match state {
            rollout::JobState::Planned => Self::Planned,
            rollout::JobState::InProgress => Self::InProgress,
            rollout::JobState::Completed => Self::Completed,
            rollout::JobState::Canceled => Self::Canceled,
        }
    }
}

impl From<JobState> for rollout::JobState {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Planned => Self::Planned,
            JobState::InProgress => Self::InProgress,
            JobState::Completed => Self::Completed,
            JobState::Canceled => Self::Canceled,
        }
    }
}

impl From<rollout::Protocol> for Protocol {
    fn from(protocol: rollout::Protocol) -> Self {
        match protocol {
            rollout::Protocol::Mqtt => Self::Mqtt,
            rollout::Protocol::Http => Self::Http,
        }
    }
}

impl From<Protocol> for rollout::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Mqtt => Self::Mqtt,
            Protocol::Http => Self::Http,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_in_per_cent() {
        assert_eq!(thousandths(0.001).unwrap(), 1);
        assert_eq!(thousandths(12.345).unwrap(), 12_345);
        assert_eq!(thousandths(100.0).unwrap(), 100_000);
        for wrong in [0.0, -1.0, 100.001, 0.0005, f64::NAN, f64::INFINITY] {
            assert_eq!(thousandths(wrong).unwrap_err().code, "percentInvalid", "{wrong}");
        }
    }
}
