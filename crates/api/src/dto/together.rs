//! Which fields of a new job, or of a change of one, mean something beside each other.
//!
//! Here stands what is told from a field that was given, though it is idle beside another. What is told from values
//! is refused where the order is carried out.

use server::{OrderError, rollout};

use super::{JobChange, NewJob, NewScope, Terms, TermsChange};

/// A field that means nothing because of what another says, or because that is absent.
struct Idle {
    fields: [&'static str; 2],
    is_given: fn(&NewJob) -> bool,
    text: &'static str,
}

const IDLE: [Idle; 9] = [
    Idle {
        fields: ["ratePerMinute", "needPush"],
        is_given: |new| new.rate_per_minute.is_some() && !new.need_push,
        text: "ratePerMinute spaces pushes, and with needPush false there are none: leave ratePerMinute out",
    },
    Idle {
        fields: ["mostPushes", "needPush"],
        is_given: |new| new.terms.most_pushes.is_some_and(|n| n != 0) && !new.need_push,
        text: "mostPushes counts pushes, and with needPush false there are none: leave mostPushes out",
    },
    Idle {
        fields: ["retryIntervalMinutes", "attempts"],
        is_given: |new| new.terms.retry_interval_minutes.is_some() && new.terms.attempts == Some(1),
        text: "retryIntervalMinutes is the time between two attempts, and attempts 1 allows one: allow 2 or more, or leave retryIntervalMinutes out",
    },
    Idle {
        fields: ["retryIntervalMinutes", "retryCount"],
        is_given: |new| new.terms.retry_interval_minutes.is_some() && new.terms.retry_count == Some(0),
        text: "retryIntervalMinutes is the time between two attempts, and retryCount 0 allows one: allow 1 or more, or leave retryIntervalMinutes out",
    },
    Idle {
        fields: ["minSuccess", "waves"],
        is_given: |new| new.terms.min_success.is_some() && new.terms.waves.is_empty(),
        text: "minSuccess says when the next of the waves opens: give waves too, or leave it out",
    },
    Idle {
        fields: ["soakMinutes", "waves"],
        is_given: |new| new.terms.soak_minutes.is_some() && new.terms.waves.is_empty(),
        text: "soakMinutes says when the next of the waves opens: give waves too, or leave it out",
    },
    Idle {
        fields: ["maxWaitMinutes", "waves"],
        is_given: |new| new.terms.max_wait_minutes.is_some() && new.terms.waves.is_empty(),
        text: "maxWaitMinutes is how long one of the waves is waited for: give waves too, or leave it out",
    },
    Idle {
        fields: ["minOffers", "maxFailurePercent"],
        is_given: |new| new.terms.min_offers.is_some() && new.terms.max_failure_percent.is_none(),
        text: "minOffers says from how many devices on maxFailurePercent is looked at: give that too, or leave it out",
    },
    Idle {
        fields: ["lostAfterMinutes", "timeoutMinutes"],
        is_given: |new| outlives(new.terms.lost_after_minutes, new.timeout_minutes),
        text: "lostAfterMinutes is how long a device that has begun may be silent, and timeoutMinutes ends its task by then: give a lostAfterMinutes that is shorter, or leave it out",
    },
];

/// Whether a task has ended before its device can be known as lost; 0 minutes are never.
fn outlives(lost_after: Option<i64>, timeout: Option<i64>) -> bool {
    lost_after.zip(timeout).is_some_and(|(lost_after, timeout)| lost_after != 0 && lost_after >= timeout)
}

/// Refuses a job one of whose fields means nothing beside the others.
pub(super) fn check(new: &NewJob) -> Result<(), OrderError> {
    match IDLE.iter().find(|idle| (idle.is_given)(new)) {
        None => Ok(()),
        Some(idle) => Err(OrderError::invalid("termsContradict", idle.text).with("fields", idle.fields)),
    }
}

/// Refuses a change one of whose fields means nothing beside the others, or beside what the job is.
pub(crate) fn check_change(change: &JobChange, job: &rollout::Job) -> Result<(), OrderError> {
    let TermsChange { attempts, retry_interval_minutes, most_pushes, .. } = change.terms;
    check(&NewJob {
        package_id: String::new(),
        kind: job.kind.into(),
        scope: NewScope::All,
        protocol: job.protocol.into(),
        need_push: job.need_push,
        timeout_minutes: None,
        rate_per_minute: change.rate_per_minute,
        terms: Terms {
            attempts: Some(attempts.unwrap_or(job.terms.attempts)),
            retry_interval_minutes,
            most_pushes,
            ..Terms::default()
        },
        allow_large_notice: false,
        allow_sha256_over_mqtt: false,
    })
}

impl Terms {
    /// Without what means nothing beside the rest: they may be given again as they are.
    pub(super) fn without_idle(self, need_push: bool, timeout_minutes: Option<i64>) -> Self {
        let (waits, tries) = (!self.waves.is_empty(), self.attempts != Some(1));
        Self {
            most_pushes: self.most_pushes.filter(|n| need_push || *n == 0),
            retry_interval_minutes: self.retry_interval_minutes.filter(|_| tries),
            min_success: self.min_success.filter(|_| waits),
            soak_minutes: self.soak_minutes.filter(|_| waits),
            max_wait_minutes: self.max_wait_minutes.filter(|_| waits),
            min_offers: self.min_offers.filter(|_| self.max_failure_percent.is_some()),
            lost_after_minutes: self.lost_after_minutes.filter(|n| !outlives(Some(*n), timeout_minutes)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use server::rollout;

    use super::*;
    use crate::dto::{JobKind, NewScope, Protocol};

    fn rows() -> Vec<rollout::Terms> {
        let usual = rollout::Terms::default();
        let wave = |thousandths| rollout::Wave {
            share: rollout::Share::Percent { thousandths },
            threshold: i64::MAX,
        };
        let limits = rollout::FailureLimits {
            failure_thousandths: Some(5_000),
            min_offers: 20,
            ..rollout::FailureLimits::default()
        };
        vec![
            rollout::Terms { waves: vec![wave(10_000), wave(100_000)], soak_ms: 0, ..usual.clone() },
            rollout::Terms { limits, ..usual.clone() },
            rollout::Terms { attempts: 1, ..usual.clone() },
            usual,
        ]
    }

    #[test]
    fn what_a_job_tells_of_its_terms_may_be_given_again() {
        let all = rows().into_iter().flat_map(|row| [(row.clone(), true, None), (row, false, Some(30))]);
        for (row, need_push, timeout_minutes) in all {
            let terms = Terms::from(row.clone()).without_idle(need_push, timeout_minutes);
            let new = NewJob {
                package_id: "pkg_0000000000001".into(),
                kind: JobKind::Static,
                scope: NewScope::All,
                protocol: Protocol::Mqtt,
                need_push,
                timeout_minutes,
                rate_per_minute: None,
                terms,
                allow_large_notice: false,
                allow_sha256_over_mqtt: false,
            };
            assert_eq!(server::NewJob::try_from(new).unwrap().terms, row);
        }
    }
}
