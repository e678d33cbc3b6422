use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use server::rollout;
use utoipa::ToSchema;

use super::terms::{kbit, ms, some_limit};
use super::{Expected, NewScope, Tag, Window, given};
use crate::{Problem, time};

/// What to change of a job; absent members stay. It holds for all that happens from now on, also to the tasks
/// that are there; none of them is taken back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct JobChange {
    /// Which devices a dynamic job is for: `all`, a `filter` or a `group`. All devices are looked at anew, even for
    /// the scope it has; tasks of devices that it is no longer for stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<NewScope>,
    /// Minutes from a task's first progress to its failure, also of tasks that have begun; `null` is no limit.
    #[schema(value_type = Option<i64>)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub timeout_minutes: Option<Option<i64>>,
    /// Most pushes in any minute, from the next push on. Not of a job whose `needPush` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_000)]
    pub rate_per_minute: Option<i64>,
    /// What else was settled.
    pub terms: TermsChange,
    /// Takes a notice that devices with 2 KB buffers cannot receive, if `tags` make it so large.
    pub allow_large_notice: bool,
    /// What it was like when the change was thought of: if one of these members is otherwise now, nothing is changed and
    /// the answer is 409 `changedMeanwhile` with `now`, what those are.
    #[serde(skip_serializing_if = "Expected::is_empty")]
    pub expected: Expected,
}

/// What to change of a job's [`Terms`](super::Terms); absent members stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TermsChange {
    /// The versions that a dynamic job is for. All devices are looked at anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_versions: Option<Vec<String>>,
    /// How often a device may try in all, asked when an attempt fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3)]
    pub attempts: Option<i32>,
    /// Minutes from a failed attempt to the next, for those that fail from now on. Not with one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub retry_interval_minutes: Option<i64>,
    /// Whether the source version, reported after step 100, is a failed attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub rollback_fails: Option<bool>,
    /// Minutes a connected device may take from being told to its first progress, for attempts told from now on;
    /// 0 is no limit, for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 30)]
    pub start_timeout_minutes: Option<i64>,
    /// Pushes without getting further after which an attempt has failed; 0 is no limit. Not of a job whose `needPush` is
    /// false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 5)]
    pub most_pushes: Option<i32>,
    /// When the job starts, as long as it has not; `null` is now.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-23T01:00:00Z")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub start_at: Option<Option<String>>,
    /// When the job ends; `null` is never.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-23T05:00:00Z")]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub end_at: Option<Option<String>>,
    /// Whether what has begun is cancelled at the end too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub end_running: Option<bool>,
    /// When devices are told of the job; always if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<Window>>,
    /// What the files offered may need together, in 1 000 000 bits a second; `null` is no limit.
    #[schema(value_type = Option<f64>, example = 100)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_mbit_per_second: Option<Option<f64>>,
    /// For the devices to read, in the notices that leave from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
}

/// What of a job never changes, and why.
const FIXED: [(&[&str], &str); 4] = [
    (&["packageId", "kind"], "a job brings one package in one way. Make another job"),
    (
        &["protocol", "needPush"],
        "devices have been told how to get the file, or wait to be. Make another job, whose overwrite says what becomes of this one's tasks",
    ),
    (
        &["overwrite", "multiModule", "needConfirm", "onlyNew"],
        "its tasks were made by what it says. Make another job",
    ),
    (
        &[
            "waves",
            "minSuccess",
            "soakMinutes",
            "maxWaitMinutes",
            "maxFailures",
            "maxFailurePercent",
            "minOffers",
            "evidence",
            "lostAfterMinutes",
        ],
        "its waves and limits have counted by it since the job began. Skip to the next wave, resume what halted, or make another job",
    ),
];

impl JobChange {
    /// Refuses what never changes, so that one is told why instead of that it is unknown.
    pub(crate) fn check_fixed(body: &Map<String, Value>) -> Result<(), Problem> {
        let terms = body.get("terms").and_then(Value::as_object);
        let members = body.keys().chain(terms.into_iter().flat_map(Map::keys));
        for field in members {
            if let Some((_, why)) = FIXED.iter().find(|(fields, _)| fields.contains(&field.as_str())) {
                let detail = format!("{field} of a job does not change: {why}");
                return Err(Problem::unprocessable("fieldFixed", detail).with("field", field.as_str()));
            }
        }
        Ok(())
    }
}

impl TryFrom<JobChange> for server::JobChange {
    type Error = Problem;

    fn try_from(change: JobChange) -> Result<Self, Problem> {
        Ok(Self {
            scope: change.scope.map(TryInto::try_into).transpose()?,
            timeout_minutes: change.timeout_minutes,
            rate_per_minute: change.rate_per_minute,
            terms: change.terms.try_into()?,
            allow_large_notice: change.allow_large_notice,
        })
    }
}

impl TryFrom<TermsChange> for server::TermsChange {
    type Error = Problem;

    fn try_from(terms: TermsChange) -> Result<Self, Problem> {
        let windows = terms.windows.map(|all| all.into_iter().map(TryInto::try_into).collect());
        let tag = |tag: Tag| rollout::Tag { key: tag.key, value: tag.value };
        Ok(Self {
            src_versions: terms.src_versions,
            attempts: terms.attempts,
            retry_interval_ms: terms.retry_interval_minutes.map(ms),
            rollback_fails: terms.rollback_fails,
            start_timeout_ms: terms.start_timeout_minutes.map(ms).map(some_limit),
            most_pushes: terms.most_pushes.map(some_limit),
            start_at: terms.start_at.map(|at| time::moment("startAt", at.as_deref())).transpose()?,
            end_at: terms.end_at.map(|at| time::moment("endAt", at.as_deref())).transpose()?,
            end_running: terms.end_running,
            windows: windows.transpose()?,
            kbit_per_second: terms.max_mbit_per_second.map(|mbit| mbit.map(kbit).transpose()).transpose()?,
            tags: terms.tags.map(|tags| tags.into_iter().map(tag).collect()),
        })
    }
}
