use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use server::rollout::{self, EventKind};
use server::{IdKind, Names, Numbered};
use utoipa::{IntoParams, ToSchema};

use super::{Hold, Order, Reason};
use crate::time;

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place: later events have higher numbers.
    #[schema(example = 42)]
    pub seq: i64,
    /// When.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub at: String,
    /// What, as a stable word.
    #[schema(example = "taskState")]
    pub code: String,
    /// The values that belong to `code`.
    pub params: Map<String, Value>,
    /// In which product; absent if that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "a1TestPk001")]
    pub product_key: Option<String>,
    /// To which device; absent if that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "lamp-0001")]
    pub device_name: Option<String>,
    /// In which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "job_01h2xk7m3c8p0")]
    pub job_id: Option<String>,
    /// To which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "tsk_01h2xk7m3c8p0")]
    pub task_id: Option<String>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Of this product only.
    pub product_key: Option<String>,
    /// Of this device only; needs `productKey`.
    pub device_name: Option<String>,
    /// Of this job only; without the others.
    pub job_id: Option<String>,
    /// Of this task only; without the others.
    pub task_id: Option<String>,
    /// Which come first; `asc`, the oldest, if absent. A cursor belongs to one of the two.
    #[param(inline)]
    pub order: Option<Order>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

/// Which events are followed, and from where.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowQuery {
    /// Of this product only.
    pub product_key: Option<String>,
    /// Of this device only; needs `productKey`.
    pub device_name: Option<String>,
    /// Of this job only; without the others.
    pub job_id: Option<String>,
    /// Of this task only; without the others.
    pub task_id: Option<String>,
    /// Only those with a higher `seq`, from the first of them; absent is from now on. `Last-Event-ID` goes before it.
    pub after: Option<i64>,
}

impl Event {
    pub(crate) fn of(numbered: Numbered, names: &Names) -> Self {
        let Numbered { seq, event } = numbered;
        let (code, params) = told(&event.kind);
        Self {
            seq,
            at: time::text(event.at),
            code,
            params,
            product_key: names.products.get(&event.product_id).cloned(),
            device_name: event.device_id.and_then(|id| names.devices.get(&id).cloned()),
            job_id: event.job_id.map(|id| IdKind::Job.text(id)),
            task_id: event.task_id.map(|id| IdKind::Task.text(id)),
        }
    }
}

/// The code of what happened, and its values as the rest of the API tells them.
fn told(kind: &EventKind) -> (String, Map<String, Value>) {
    let mut params = members(kind);
    let code = params.remove("code").and_then(|c| c.as_str().map(String::from)).unwrap_or_default();
    for (name, value) in public(kind) {
        params.remove(name.strip_suffix("Id").unwrap_or(name));
        params.insert(name.into(), value);
    }
    (code, params)
}

/// The values that are kept in another form than they are told: row numbers, milliseconds, waves from 0,
/// thousandths.
fn public(kind: &EventKind) -> Vec<(&'static str, Value)> {
    match kind {
        EventKind::PackageCreated { package }
        | EventKind::PackageRemoved { package }
        | EventKind::PackageState { package, .. } => {
            vec![("packageId", IdKind::Package.text(*package).into())]
        }
        EventKind::JobHeld { hold } => vec![("hold", members(&Hold::from(*hold)).into())],
        EventKind::WaveOpened { wave, .. } => vec![("wave", (wave + 1).into())],
        EventKind::TaskState { reason: Some(reason), .. } => vec![("reason", reason_of(reason))],
        EventKind::TaskRetry { at, reason, .. } => {
            vec![("at", time::text(*at).into()), ("reason", reason_of(reason))]
        }
        EventKind::RegistrationAllowed { until } => vec![("until", until.map(time::text).into())],
        _ => vec![],
    }
}

fn reason_of(reason: &rollout::Reason) -> Value {
    members(&Reason::from(reason.clone())).into()
}

fn members(told: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(told) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use server::rollout::{Halt, Id, PackageState, Reason, TaskState};

    use super::*;

    #[test]
    fn an_event_has_ids_instead_of_row_numbers() {
        let kind = EventKind::TaskState {
            from: TaskState::Queued,
            to: TaskState::Failed,
            reason: Some(Reason::Conflict { task: 7 }),
        };
        let event = rollout::Event {
            at: 0,
            product_id: 1,
            device_id: Some(2),
            job_id: Some(3),
            task_id: Some(4),
            kind,
        };
        let names = Names { products: [(1, "a1Pk".to_string())].into(), ..Names::default() };
        let json = serde_json::to_value(Event::of(Numbered { seq: 9, event }, &names)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "seq": 9, "at": "1970-01-01T00:00:00.000Z", "code": "taskState",
                "params": {
                    "from": "QUEUED", "to": "FAILED",
                    "reason": {"code": "conflict", "taskId": IdKind::Task.text(7)},
                },
                "productKey": "a1Pk", "jobId": IdKind::Job.text(3), "taskId": IdKind::Task.text(4),
            })
        );
    }

    /// Whatever the API tells elsewhere, an event tells in the same units.
    #[test]
    fn an_event_tells_values_as_the_rest_of_the_api_does() {
        use serde_json::json;
        let halted = |halt| EventKind::JobHeld { hold: rollout::Hold::Halted { halt } };
        let package: Id = 5;
        for (kind, told_as) in [
            (EventKind::WaveOpened { wave: 1, skipped: false }, json!({"wave": 2})),
            (EventKind::WaveOpened { wave: 1, skipped: true }, json!({"wave": 2, "skipped": true})),
            (EventKind::DeviceConnected { first: false }, json!({})),
            (
                halted(Halt::FailureRate { failed: 3, offered: 20, limit: 12_500 }),
                json!({"hold": {"kind": "halted", "halt": {
                    "code": "failureRate", "failed": 3, "offered": 20, "limitPercent": 12.5}}}),
            ),
            (
                halted(Halt::Evidence { failed: 3, ended: 4, accepted: 1_000, rejected: 10_000 }),
                json!({"hold": {"kind": "halted", "halt": {
                    "code": "evidence", "failed": 3, "ended": 4, "acceptedPercent": 1.0, "rejectedPercent": 10.0}}}),
            ),
            (
                halted(Halt::WaveStalled { wave: 0, minutes: 60 }),
                json!({"hold": {"kind": "halted", "halt": {"code": "waveStalled", "wave": 1, "minutes": 60}}}),
            ),
            (EventKind::JobHeld { hold: rollout::Hold::Paused }, json!({"hold": {"kind": "paused"}})),
            (
                EventKind::TaskRetry { attempt: 2, at: 1_000, reason: Reason::Overwritten { job: 3 } },
                json!({"attempt": 2, "at": "1970-01-01T00:00:01.000Z",
                    "reason": {"code": "overwritten", "jobId": IdKind::Job.text(3)}}),
            ),
            (
                EventKind::PackageState { package, state: PackageState::Verified },
                json!({"packageId": IdKind::Package.text(5), "state": "VERIFIED"}),
            ),
            (EventKind::GroupJoined { group: "a".into() }, json!({"group": "a"})),
        ] {
            assert_eq!(Value::from(told(&kind).1), told_as, "{kind:?}");
        }
    }
}
