use serde::{Deserialize, Serialize};
use server::{Ended, History, Upgrades, Versions};
use utoipa::{IntoParams, ToSchema};

use super::TaskState;
use crate::time;

/// The devices of a product by the version of a module.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatistics {
    /// Devices that have reported the module.
    #[schema(example = 1000)]
    pub devices: i64,
    /// The versions that most of them run, the most frequent first.
    pub versions: Vec<VersionShare>,
    /// Devices that run other versions.
    #[schema(example = 3)]
    pub others: i64,
    /// Devices of the product that never reported the module.
    #[schema(example = 20)]
    pub never_reported: i64,
}

/// A version and its devices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionShare {
    /// The version, as reported.
    #[schema(example = "2.0.0")]
    pub version: String,
    /// The devices.
    #[schema(example = 997)]
    pub devices: i64,
}

/// The devices of a product by the version of a module, over some time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionHistory {
    /// The versions that most devices ran at some moment of it.
    pub versions: Vec<String>,
    /// How it was before the first hour, and at the end of each hour in which something changed.
    pub points: Vec<VersionPoint>,
}

/// How it was at the end of an hour.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionPoint {
    /// When the hour began.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub hour: String,
    /// Devices that had reported the module.
    #[schema(example = 1000)]
    pub devices: i64,
    /// The devices of each of the versions, in their order.
    pub counts: Vec<i64>,
}

/// How upgrades ended. A task that is started again after it failed counts anew.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatistics {
    /// Tasks that succeeded.
    #[schema(example = 950)]
    pub succeeded: i64,
    /// Tasks that failed.
    #[schema(example = 50)]
    pub failed: i64,
    /// Tasks that were cancelled.
    #[schema(example = 0)]
    pub canceled: i64,
    /// Per cent of the first of the first two; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 95.0)]
    pub success_percent: Option<f64>,
    /// Seconds from the first progress to the success, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 42.5)]
    pub mean_seconds: Option<f64>,
    /// The longest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 180.0)]
    pub longest_seconds: Option<f64>,
    /// Why tasks failed or were cancelled, the most frequent reason first.
    pub reasons: Vec<ReasonCount>,
    /// Minutes that a point is for: 1 of a time of up to three hours, 10 of up to a day, else 60.
    #[schema(example = 60)]
    pub step_minutes: i64,
    /// When tasks ended; times in which none did are left out.
    pub points: Vec<UpgradePoint>,
}

/// How many tasks ended for a reason.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// How they ended.
    pub state: TaskState,
    /// The code of the reason, as tasks have it.
    #[schema(example = "deviceFailed")]
    pub code: String,
    /// How many.
    #[schema(example = 48)]
    pub tasks: i64,
}

/// How tasks ended in `stepMinutes`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradePoint {
    /// When that time began.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub at: String,
    /// Tasks that succeeded.
    pub succeeded: i64,
    /// Tasks that failed.
    pub failed: i64,
    /// Tasks that were cancelled.
    pub canceled: i64,
}

/// Which module's versions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// The module; `default` if absent.
    pub module: Option<String>,
    /// Most versions told of one by one: 1 to 200, 10 if absent.
    pub limit: Option<u32>,
}

/// Which module's versions, and when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// The module; `default` if absent.
    pub module: Option<String>,
    /// Most versions told of one by one: 1 to 200, 10 if absent.
    pub limit: Option<u32>,
    /// A time of the first hour, RFC 3339; a week before `until` if absent.
    pub from: Option<String>,
    /// A time of the last hour; now if absent.
    pub until: Option<String>,
}

/// Which upgrades, and when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UpgradeQuery {
    /// Of this package only.
    pub package_id: Option<String>,
    /// Of this job only; without `packageId`.
    pub job_id: Option<String>,
    /// When it begins, RFC 3339; a week before `until` if absent.
    pub from: Option<String>,
    /// When it ends; now if absent.
    pub until: Option<String>,
}

impl VersionStatistics {
    /// Of so many devices in all.
    pub(crate) fn of((Versions { devices, versions }, all): (Versions, i64)) -> Self {
        let known: i64 = versions.iter().map(|count| count.devices).sum();
        let share =
            |count: server::VersionCount| VersionShare { version: count.version, devices: count.devices };
        Self {
            devices,
            versions: versions.into_iter().map(share).collect(),
            others: devices - known,
            never_reported: all - devices,
        }
    }
}

impl VersionHistory {
    pub(crate) fn of(History { versions, points }: History) -> Self {
        let point = |point: server::Point| VersionPoint {
            hour: time::text(point.at),
            devices: point.devices,
            counts: point.counts,
        };
        Self { versions, points: points.into_iter().map(point).collect() }
    }
}

impl UpgradeStatistics {
    pub(crate) fn of(Upgrades { step_minutes, ended }: Upgrades) -> Self {
        use server::rollout::TaskState as State;
        let mut points: Vec<UpgradePoint> = Vec::new();
        for row in &ended {
            let at = time::text(row.minute * server::MINUTE_MS);
            if points.last().is_none_or(|last| last.at != at) {
                points.push(UpgradePoint { at, ..UpgradePoint::default() });
            }
            let Some(last) = points.last_mut() else { continue };
            match row.state {
                State::Succeeded => last.succeeded += row.tasks,
                State::Failed => last.failed += row.tasks,
                _ => last.canceled += row.tasks,
            }
        }
        let sum = |of: fn(&UpgradePoint) -> i64| points.iter().map(of).sum::<i64>();
        let (succeeded, failed, canceled) = (sum(|p| p.succeeded), sum(|p| p.failed), sum(|p| p.canceled));
        let tried = succeeded + failed;
        let successes = || ended.iter().filter(|row| row.state == State::Succeeded && row.timed > 0);
        let timed: i64 = successes().map(|row| row.timed).sum();
        let total: i64 = successes().map(|row| row.total_ms).sum();
        Self {
            succeeded,
            failed,
            canceled,
            success_percent: (tried > 0).then(|| succeeded as f64 * 100.0 / tried as f64),
            mean_seconds: (timed > 0).then(|| total as f64 / timed as f64 / 1_000.0),
            longest_seconds: successes().map(|row| row.longest_ms).max().map(|ms| ms as f64 / 1_000.0),
            reasons: reasons(&ended),
            step_minutes,
            points,
        }
    }
}

fn reasons(ended: &[Ended]) -> Vec<ReasonCount> {
    let mut found: Vec<ReasonCount> = Vec::new();
    for row in ended.iter().filter(|row| row.state != server::rollout::TaskState::Succeeded) {
        let state = TaskState::from(row.state);
        match found.iter_mut().find(|known| known.state == state && known.code == row.reason) {
            Some(known) => known.tasks += row.tasks,
            None => found.push(ReasonCount { state, code: row.reason.clone(), tasks: row.tasks }),
        }
    }
    found.sort_by_key(|reason| std::cmp::Reverse(reason.tasks));
    found
}
