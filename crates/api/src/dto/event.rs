use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use server::{IdKind, Names, Numbered};
use utoipa::{IntoParams, ToSchema};

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
        let mut params = members(&event.kind);
        let code = params.remove("code").and_then(|c| c.as_str().map(String::from)).unwrap_or_default();
        public_ids(&mut params);
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

fn members(kind: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(kind) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Row numbers and milliseconds stay inside; outside they are ids and times.
fn public_ids(params: &mut Map<String, Value>) {
    for (name, kind) in [("package", IdKind::Package), ("task", IdKind::Task), ("job", IdKind::Job)] {
        if let Some(number) = params.get(name).and_then(Value::as_i64) {
            params.remove(name);
            params.insert(format!("{name}Id"), kind.text(number).into());
        }
    }
    if let Some(at) = params.get("at").and_then(Value::as_i64) {
        params.insert("at".into(), time::text(at).into());
    }
    params.values_mut().filter_map(Value::as_object_mut).for_each(public_ids);
}

#[cfg(test)]
mod tests {
    use server::rollout::{self, EventKind, Reason, TaskState};

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
}
