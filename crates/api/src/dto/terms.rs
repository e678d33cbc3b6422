use serde::{Deserialize, Serialize};
use server::rollout;
use utoipa::ToSchema;

use super::Window;
use super::job::{exact_thousandths, in_thousandths, thousandths};
use crate::{Problem, time};

/// What else is settled when a job is made. What is absent is as usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// How often a device may try in all; 3 if absent. Cancelling, the job's timeout and a conflict
    /// with another job are never followed by another attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3)]
    pub attempts: Option<i32>,
    /// The same as `attempts`, without the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i32>,
    /// Minutes from a failed attempt to the next; 1 if absent, 0 is at once. Only for 2 or more `attempts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub retry_interval_minutes: Option<i64>,
    /// Whether the source version, reported after step 100, is a failed attempt; true if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub rollback_fails: Option<bool>,
    /// Minutes a connected device may take from being told to its first progress before the attempt
    /// has failed; 30 if absent, 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 30)]
    pub start_timeout_minutes: Option<i64>,
    /// Pushes after which the attempt has failed, since the device began it or got further in it than before; 5 if
    /// absent, 0 is no limit. Not with `needPush` false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 5)]
    pub most_pushes: Option<i32>,
    /// What becomes of a device's task when another job's has not ended; `queue` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<Overwrite>,
    /// Whether tasks for other modules of the same device, of jobs that say the same, run beside these;
    /// false if absent. It lets a task replace one of the same module that is not in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub multi_module: Option<bool>,
    /// Whether each task waits for an operator or an app to approve it; false if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub need_confirm: Option<bool>,
    /// Only devices whose module reports one of these versions; all if empty. A dynamic job for all devices names
    /// at least one, unless its package is a difference; one for a filter or group that names none takes a
    /// device once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub src_versions: Vec<String>,
    /// Whether a dynamic job is only for versions that devices report after it was made, and not for what
    /// they report already; false if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub only_new: Option<bool>,
    /// When the job starts; at once if absent. Its tasks are made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-11-23T01:00:00Z")]
    pub start_at: Option<String>,
    /// When the job ends: what has not begun is cancelled, what has begun finishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-11-23T05:00:00Z")]
    pub end_at: Option<String>,
    /// Whether what has begun is cancelled at the end too; false if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub end_running: Option<bool>,
    /// When devices are told of the job, by the clocks where they are (the device's tag `timezone`, else the
    /// product's `timezone`, else the server's); always if empty. What has begun finishes outside them too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Spaces the files offered by their size, so that they need no more than this together, in
    /// 1 000 000 bits a second; no limit if absent. A download that runs is not slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 100)]
    pub max_mbit_per_second: Option<f64>,
    /// For the devices to read, in `extData` of their notices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Waves of a static job, each with all before it: groups first, then per cent or numbers of its devices,
    /// those of the groups among them. The last takes what is left. At least two; one for all if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// Successes in a wave before the next opens; 90 per cent of its tasks if absent. Only with `waves`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_success: Option<Share>,
    /// Minutes from enough successes to the next wave; 60 if absent. Only with `waves`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 60)]
    pub soak_minutes: Option<i64>,
    /// Minutes from the opening of a wave after which devices that were not told are waited for no longer:
    /// the next wave opens if enough of those that were told succeeded, else the job halts; 1440 if absent, 0 is
    /// no limit. Only with `waves`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_440)]
    pub max_wait_minutes: Option<i64>,
    /// The job halts when more devices have failed; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<i64>,
    /// The job halts when a larger part of the devices told has failed, in per cent: 0 to below 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failure_percent: Option<f64>,
    /// Devices that must be told before `maxFailurePercent` is looked at; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_offers: Option<i64>,
    /// The job halts when what has ended speaks for the rejected failure rate and against the accepted
    /// one: Wald's sequential test, with error rates of 5 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Minutes of silence after which a device that has begun is lost, and counts as failed until it
    /// speaks; 60 if absent, 0 is never. Not with a `timeoutMinutes` that is no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 60)]
    pub lost_after_minutes: Option<i64>,
}

/// A number of devices, or a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Share {
    /// So many.
    Count {
        /// How many.
        n: i64,
    },
    /// A part.
    Percent {
        /// 0.001 to 100, in steps of 0.001.
        percent: f64,
    },
}

/// Which devices a wave adds to those before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Wave {
    /// So many in all.
    Count {
        /// How many.
        n: i64,
    },
    /// A part in all.
    Percent {
        /// 0.001 to 100, in steps of 0.001.
        percent: f64,
    },
    /// Those of a group.
    Group {
        /// Its name.
        group: String,
    },
}

impl From<Share> for Wave {
    fn from(share: Share) -> Self {
        match share {
            Share::Count { n } => Self::Count { n },
            Share::Percent { percent } => Self::Percent { percent },
        }
    }
}

/// Two failure rates for a sequential test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// A rate in per cent that is fine.
    #[schema(example = 1)]
    pub accepted_percent: f64,
    /// A rate in per cent that is not.
    #[schema(example = 10)]
    pub rejected_percent: f64,
}

impl From<rollout::Share> for Share {
    fn from(share: rollout::Share) -> Self {
        match share {
            rollout::Share::Count { n } => Self::Count { n },
            rollout::Share::Percent { thousandths } => Self::Percent { percent: percent(thousandths) },
        }
    }
}

impl TryFrom<Share> for rollout::Share {
    type Error = Problem;

    fn try_from(share: Share) -> Result<Self, Problem> {
        Ok(match share {
            Share::Count { n } => Self::Count { n },
            Share::Percent { percent } => Self::Percent { thousandths: thousandths(percent)? },
        })
    }
}

fn percent(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1_000.0
}

/// A word for the devices of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Letters, digits and dots.
    #[schema(example = "ring")]
    pub key: String,
    /// What it says.
    #[schema(example = "beta")]
    pub value: String,
}

/// What becomes of a new task when another job's task of the device has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Overwrite {
    /// It fails, and the old one goes on.
    Keep,
    /// It takes the place of one that is not in progress, and fails beside one that is.
    Replace,
    /// It waits until the old one has ended.
    Queue,
}

impl From<rollout::Overwrite> for Overwrite {
    fn from(row: rollout::Overwrite) -> Self {
        match row {
            rollout::Overwrite::Keep => Self::Keep,
            rollout::Overwrite::Replace => Self::Replace,
            rollout::Overwrite::Queue => Self::Queue,
        }
    }
}

impl From<Overwrite> for rollout::Overwrite {
    fn from(overwrite: Overwrite) -> Self {
        match overwrite {
            Overwrite::Keep => Self::Keep,
            Overwrite::Replace => Self::Replace,
            Overwrite::Queue => Self::Queue,
        }
    }
}

impl From<rollout::Terms> for Terms {
    fn from(row: rollout::Terms) -> Self {
        Self {
            attempts: Some(row.attempts),
            retry_count: None,
            retry_interval_minutes: Some(row.retry_interval_ms / 60_000),
            rollback_fails: Some(row.rollback_fails),
            start_timeout_minutes: Some(row.start_timeout_ms.map_or(0, |ms| ms / 60_000)),
            most_pushes: Some(row.most_pushes.unwrap_or(0)),
            overwrite: Some(row.overwrite.into()),
            multi_module: Some(row.multi_module),
            need_confirm: Some(row.need_confirm),
            src_versions: row.src_versions,
            only_new: Some(row.only_new),
            start_at: row.start_at.map(time::text),
            end_at: row.end_at.map(time::text),
            end_running: Some(row.end_running),
            windows: row.windows.into_iter().map(Into::into).collect(),
            max_mbit_per_second: row.kbit_per_second.map(|kbit| kbit as f64 / 1_000.0),
            tags: row.tags.into_iter().map(|t| Tag { key: t.key, value: t.value }).collect(),
            waves: told_waves(row.wave_groups, &row.waves),
            min_success: Some(row.min_success.into()),
            soak_minutes: Some(row.soak_ms / 60_000),
            max_wait_minutes: Some(row.max_wait_ms.map_or(0, |ms| ms / 60_000)),
            max_failures: row.limits.failures,
            max_failure_percent: row.limits.failure_thousandths.map(percent),
            min_offers: Some(row.limits.min_offers),
            evidence: row.limits.evidence.map(|e| Evidence {
                accepted_percent: percent(e.accepted),
                rejected_percent: percent(e.rejected),
            }),
            lost_after_minutes: Some(row.lost_ms.map_or(0, |ms| ms / 60_000)),
        }
    }
}

impl TryFrom<Terms> for rollout::Terms {
    type Error = Problem;

    fn try_from(mut terms: Terms) -> Result<Self, Problem> {
        let usual = Self::default();
        let limits = limits(&terms)?;
        let (wave_groups, waves) = waves(std::mem::take(&mut terms.waves))?;
        Ok(Self {
            attempts: attempts(&terms)?.unwrap_or(usual.attempts),
            retry_interval_ms: terms.retry_interval_minutes.map_or(usual.retry_interval_ms, ms),
            rollback_fails: terms.rollback_fails.unwrap_or(usual.rollback_fails),
            start_timeout_ms: limit(terms.start_timeout_minutes.map(ms), usual.start_timeout_ms),
            most_pushes: limit(terms.most_pushes, usual.most_pushes),
            overwrite: terms.overwrite.map_or(usual.overwrite, Into::into),
            multi_module: terms.multi_module.unwrap_or(usual.multi_module),
            need_confirm: terms.need_confirm.unwrap_or(usual.need_confirm),
            src_versions: terms.src_versions,
            only_new: terms.only_new.unwrap_or(usual.only_new),
            start_at: time::moment("startAt", terms.start_at.as_deref())?,
            end_at: time::moment("endAt", terms.end_at.as_deref())?,
            end_running: terms.end_running.unwrap_or(usual.end_running),
            windows: terms.windows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            kbit_per_second: terms.max_mbit_per_second.map(kbit).transpose()?,
            tags: terms.tags.into_iter().map(|t| rollout::Tag { key: t.key, value: t.value }).collect(),
            wave_groups,
            waves,
            min_success: terms.min_success.map_or(Ok(usual.min_success), TryInto::try_into)?,
            soak_ms: terms.soak_minutes.map_or(usual.soak_ms, ms),
            max_wait_ms: limit(terms.max_wait_minutes.map(ms), usual.max_wait_ms),
            limits,
            lost_ms: limit(terms.lost_after_minutes.map(ms), usual.lost_ms),
        })
    }
}

/// Where a share ends is found with the devices of the job, and so are its groups.
fn waves(waves: Vec<Wave>) -> Result<(Vec<rollout::WaveGroup>, Vec<rollout::Wave>), Problem> {
    let (mut groups, mut shares) = (Vec::new(), Vec::new());
    for wave in waves {
        let share = match wave {
            Wave::Group { group } if shares.is_empty() => {
                groups.push(rollout::WaveGroup { group: 0, name: group });
                continue;
            }
            Wave::Group { group } => {
                let detail = format!(
                    "the wave of the group {group:?} comes after one of a share: groups come first, then shares"
                );
                return Err(Problem::unprocessable("gateInvalid", detail).with("field", "waves"));
            }
            Wave::Count { n } => Share::Count { n },
            Wave::Percent { percent } => Share::Percent { percent },
        };
        shares.push(rollout::Wave { share: share.try_into()?, threshold: i64::MAX });
    }
    Ok((groups, shares))
}

fn told_waves(groups: Vec<rollout::WaveGroup>, shares: &[rollout::Wave]) -> Vec<Wave> {
    let groups = groups.into_iter().map(|wave| Wave::Group { group: wave.name });
    groups.chain(shares.iter().map(|wave| Share::from(wave.share).into())).collect()
}

fn limits(terms: &Terms) -> Result<rollout::FailureLimits, Problem> {
    let evidence = terms.evidence.map(|e| {
        let (accepted, rejected) = (thousandths(e.accepted_percent)?, thousandths(e.rejected_percent)?);
        Ok::<_, Problem>(rollout::Evidence { accepted, rejected })
    });
    let failure_thousandths = terms.max_failure_percent.map(failure_thousandths).transpose()?;
    Ok(rollout::FailureLimits {
        failures: terms.max_failures,
        failure_thousandths,
        min_offers: terms.min_offers.unwrap_or(if failure_thousandths.is_some() { 10 } else { 0 }),
        evidence: evidence.transpose()?,
    })
}

/// None at all may fail, but not all of them.
fn failure_thousandths(percent: f64) -> Result<u32, Problem> {
    let given = exact_thousandths(percent).filter(|n| *n < 100_000);
    given.ok_or_else(|| {
        let detail = format!("maxFailurePercent {percent} is not allowed: 0 to below 100, in steps of 0.001");
        Problem::unprocessable("percentInvalid", detail).with("field", "maxFailurePercent")
    })
}

pub(super) fn kbit(mbit: f64) -> Result<i64, Problem> {
    if let Some(kbit) = in_thousandths(mbit, 1e9).filter(|kbit| *kbit > 0) {
        return Ok(kbit);
    }
    let detail = format!("maxMbitPerSecond {mbit} is not allowed: 0.001 to 1000000, in steps of 0.001");
    Err(Problem::unprocessable("numberInvalid", detail).with("field", "maxMbitPerSecond"))
}

pub(super) fn ms(minutes: i64) -> i64 {
    minutes.saturating_mul(60_000)
}

/// A limit as it was given: 0 is none.
fn limit<T: PartialEq + Default>(given: Option<T>, usual: Option<T>) -> Option<T> {
    given.map_or(usual, some_limit)
}

/// A limit, unless it is 0.
pub(super) fn some_limit<T: PartialEq + Default>(given: T) -> Option<T> {
    (given != T::default()).then_some(given)
}

fn attempts(terms: &Terms) -> Result<Option<i32>, Problem> {
    match (terms.attempts, terms.retry_count) {
        (Some(_), Some(_)) => Err(Problem::unprocessable(
            "termsContradict",
            "attempts and retryCount say the same thing (retryCount leaves the first attempt out): give one of them",
        )
        .with("fields", ["attempts", "retryCount"])),
        (attempts, None) => Ok(attempts),
        (None, Some(retries)) => Ok(Some(retries.saturating_add(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(terms: Terms) -> rollout::Terms {
        terms.try_into().unwrap()
    }

    #[test]
    fn what_is_absent_is_as_usual() {
        assert_eq!(row(Terms::default()), rollout::Terms::default());
        assert_eq!(row(Terms::from(rollout::Terms::default())), rollout::Terms::default());
    }

    #[test]
    fn zero_is_no_limit_and_comes_back_as_zero() {
        let none = Terms { start_timeout_minutes: Some(0), most_pushes: Some(0), ..Terms::default() };
        let made = row(none);
        assert_eq!((made.start_timeout_ms, made.most_pushes), (None, None));
        let told = Terms::from(made);
        assert_eq!((told.start_timeout_minutes, told.most_pushes), (Some(0), Some(0)));
    }

    #[test]
    fn no_failure_at_all_may_be_allowed() {
        let of = |percent| Terms { max_failure_percent: Some(percent), ..Terms::default() };
        for (percent, thousandths) in [(0.0, 0), (0.001, 1), (99.999, 99_999)] {
            let made = row(of(percent));
            assert_eq!(made.limits.failure_thousandths, Some(thousandths));
            assert_eq!(Terms::from(made).max_failure_percent, Some(percent));
        }
        for wrong in [-0.001, 0.0001, 100.0, f64::INFINITY, f64::NAN] {
            let problem = rollout::Terms::try_from(of(wrong)).unwrap_err();
            assert!(problem.detail.contains("0 to below 100"), "{}", problem.detail);
        }
    }

    #[test]
    fn a_byte_budget_is_told_in_mbit() {
        let of = |mbit| Terms { max_mbit_per_second: Some(mbit), ..Terms::default() };
        for (mbit, kbit) in [(0.001, 1), (1.5, 1_500), (1e6, 1_000_000_000)] {
            let made = row(of(mbit));
            assert_eq!(made.kbit_per_second, Some(kbit));
            assert_eq!(Terms::from(made).max_mbit_per_second, Some(mbit));
        }
        for wrong in [0.0, -1.0, 0.0005, 1e7, f64::NAN, f64::INFINITY] {
            assert_eq!(rollout::Terms::try_from(of(wrong)).unwrap_err().code, "numberInvalid", "{wrong}");
        }
    }

    #[test]
    fn a_retry_count_wins_over_the_usual_attempts_but_not_over_given_ones() {
        assert_eq!(row(Terms { retry_count: Some(5), ..Terms::default() }).attempts, 6);
        let both = Terms { retry_count: Some(1), attempts: Some(2), ..Terms::default() };
        assert_eq!(rollout::Terms::try_from(both).unwrap_err().code, "termsContradict");
    }
}
