use serde::{Deserialize, Serialize};
use server::IdKind;
use server::rollout::Hold;
use utoipa::ToSchema;

use crate::time;

/// What a job would do if it were made now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Devices that get a task.
    pub matched: i64,
    /// What some of them are; one device may be several of these.
    pub of_matched: OfMatched,
    /// Paused and halted jobs of the product, if unfinished tasks are in the way of this one: theirs end only when an
    /// operator resumes or cancels them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_ahead: Vec<HeldJob>,
    /// Devices of the scope that already report the version, and get none.
    pub on_target: i64,
    /// Devices that get none for another reason.
    pub excluded: Excluded,
    /// The first hundred names of a list that are no devices of the product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Listed>,
    /// The lines that all of these names stand in, as `3,7-9`; what is beyond 10 000 such spans is `…`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "3,7-9")]
    pub unknown_lines: String,
    /// Tasks by wave.
    pub waves: Vec<i64>,
    /// Bytes of the job's largest notice as an MQTT packet.
    pub largest_notice: usize,
    /// What it costs.
    pub estimate: Estimate,
    /// What is hardly meant, though it is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Something that is hardly meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// What a program goes by: `publicUrlLoopback`, for one.
    pub code: String,
    /// What it is and what to do, in words.
    pub text: String,
}

/// A job that goes on when an operator lets it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldJob {
    /// The job.
    #[schema(example = "job_1")]
    pub job_id: String,
    /// Whether it halted by itself, or an operator paused it.
    pub halted: bool,
    /// Its unfinished tasks.
    pub unfinished: i64,
}

/// A name in a list of devices, and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The line, from 1.
    pub line: u64,
    /// The name.
    pub device_name: String,
}

/// Devices among those that get a task.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfMatched {
    /// Connected before, and not now.
    pub offline: i64,
    /// Never connected.
    pub never_connected: i64,
    /// May not log in.
    pub disabled: i64,
    /// Never reported the module.
    pub never_reported: i64,
    /// Their task waits behind another unfinished one.
    pub queued: i64,
    /// Their task takes the place of another one.
    pub replacing: i64,
    /// Their task fails at once, because of another one.
    pub conflicting: i64,
}

/// Devices that get no task, by the first of these reasons that holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Excluded {
    /// Names of a list that are no devices of the product.
    pub unknown: i64,
    /// They may not log in.
    pub disabled: i64,
    /// They never connected.
    pub never_connected: i64,
    /// The job's share does not hold them.
    pub outside_share: i64,
    /// They never reported the module, and only certain versions are meant.
    pub never_reported: i64,
    /// The package is a difference to another version than theirs.
    pub other_package_source: i64,
    /// They report none of `srcVersions`.
    pub other_source: i64,
}

/// How much a job carries, and how long it takes when every device is connected, approved at once, and nothing fails.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Bytes of files, over all devices.
    pub bytes: i64,
    /// When the first device can be told: after `startAt`, in one of `windows`, by the product's clock.
    #[schema(format = DateTime, example = "2026-11-23T21:00:00.000Z")]
    pub starts_at: String,
    /// When the last device can have succeeded: by the job's rate, the byte budgets, the downloads at once, the windows,
    /// and the time each wave soaks.
    #[schema(format = DateTime, example = "2026-11-23T23:12:00.000Z")]
    pub done_at: String,
    /// Seconds from the one to the other.
    pub seconds: i64,
    /// Whether `endAt` comes before that: then the last devices are not told.
    pub cut_short: bool,
    /// What each device is taken to download in a second: an assumption.
    #[schema(example = 32_768)]
    pub bytes_per_second: i64,
    /// How many download at once.
    #[schema(example = 500)]
    pub downloads: i64,
}

impl From<server::Forecast> for Forecast {
    fn from(found: server::Forecast) -> Self {
        let server::Forecast {
            matched,
            of_matched,
            held_ahead,
            on_target,
            excluded,
            unknown,
            waves,
            largest_notice,
            estimate,
            warnings,
        } = found;
        let held = |job: server::HeldJob| HeldJob {
            job_id: IdKind::Job.text(job.id),
            halted: matches!(job.hold, Hold::Halted { .. }),
            unfinished: job.unfinished,
        };
        let listed = |l: server::Listed| Listed { line: l.line, device_name: l.device_name };
        Self {
            matched,
            of_matched: of_matched.into(),
            held_ahead: held_ahead.into_iter().map(held).collect(),
            on_target,
            excluded: excluded.into(),
            unknown: unknown.first.into_iter().map(listed).collect(),
            unknown_lines: unknown.lines,
            waves,
            largest_notice,
            estimate: estimate.into(),
            warnings: warnings.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<server::Warning> for Warning {
    fn from(warning: server::Warning) -> Self {
        Self { code: warning.code().into(), text: warning.to_string() }
    }
}

impl From<server::OfMatched> for OfMatched {
    fn from(of: server::OfMatched) -> Self {
        Self {
            offline: of.offline,
            never_connected: of.never_connected,
            disabled: of.disabled,
            never_reported: of.never_reported,
            queued: of.queued,
            replacing: of.replacing,
            conflicting: of.conflicting,
        }
    }
}

impl From<server::Excluded> for Excluded {
    fn from(excluded: server::Excluded) -> Self {
        Self {
            unknown: excluded.unknown,
            disabled: excluded.disabled,
            never_connected: excluded.never_connected,
            outside_share: excluded.outside_share,
            never_reported: excluded.never_reported,
            other_package_source: excluded.other_package_source,
            other_source: excluded.other_source,
        }
    }
}

impl From<server::Estimate> for Estimate {
    fn from(estimate: server::Estimate) -> Self {
        let server::Estimate { bytes, starts_at, done_at, cut_short, bytes_per_second, downloads } = estimate;
        let seconds = (done_at - starts_at) / 1_000;
        let (starts_at, done_at) = (time::text(starts_at), time::text(done_at));
        Self { bytes, starts_at, done_at, seconds, cut_short, bytes_per_second, downloads }
    }
}
