//! An operator settles anew what was settled when a job was made.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::budget;
use crate::decide::Decider;
use crate::event::EventKind;
use crate::rate;
use crate::rows::{Id, Job, JobKind, JobState, Ms, Scope, Timer, Work};
use crate::terms::Terms;

/// What a job is to be from now on. The terms are those it has, but for what a [`JobField`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Which devices a dynamic job is for: all are looked at anew, even for the scope it has. `None` lets it be.
    pub scope: Option<Scope>,
    /// See [`Job::timeout_ms`].
    pub timeout_ms: Option<Ms>,
    /// See [`Job::rate_per_minute`].
    pub rate_per_minute: i64,
    /// See [`Job::terms`].
    pub terms: Terms,
}

/// Something of a job that can be changed, by the name that operators give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the field of its name; see Job and Terms")]
pub enum JobField {
    Scope,
    SrcVersions,
    RatePerMinute,
    MaxMbitPerSecond,
    TimeoutMinutes,
    Attempts,
    RetryIntervalMinutes,
    RollbackFails,
    StartTimeoutMinutes,
    MostPushes,
    StartAt,
    EndAt,
    EndRunning,
    Windows,
    Tags,
}

/// Why a job cannot be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrevisable {
    /// It has ended, or its scheduled end has come.
    Ended,
    /// Only a dynamic job takes devices after it was made.
    TakesNone(JobField),
    /// It takes no more devices.
    Closed(JobField),
    /// Another order on the whole job is being carried out.
    Busy(JobField),
    /// It has started.
    Started,
}

impl Job {
    /// What a revision changes.
    pub fn differences(&self, to: &Revision) -> Vec<JobField> {
        let (old, new) = (&self.terms, &to.terms);
        let fields = [
            (JobField::Scope, to.scope.is_some()),
            (JobField::SrcVersions, old.src_versions != new.src_versions),
            (JobField::RatePerMinute, self.rate_per_minute != to.rate_per_minute),
            (JobField::MaxMbitPerSecond, old.kbit_per_second != new.kbit_per_second),
            (JobField::TimeoutMinutes, self.timeout_ms != to.timeout_ms),
            (JobField::Attempts, old.attempts != new.attempts),
            (JobField::RetryIntervalMinutes, old.retry_interval_ms != new.retry_interval_ms),
            (JobField::RollbackFails, old.rollback_fails != new.rollback_fails),
            (JobField::StartTimeoutMinutes, old.start_timeout_ms != new.start_timeout_ms),
            (JobField::MostPushes, old.most_pushes != new.most_pushes),
            (JobField::StartAt, old.start_at != new.start_at),
            (JobField::EndAt, old.end_at != new.end_at),
            (JobField::EndRunning, old.end_running != new.end_running),
            (JobField::Windows, old.windows != new.windows),
            (JobField::Tags, old.tags != new.tags),
        ];
        fields.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
    }

    /// Why it cannot be changed so, if it cannot.
    pub fn refuses(&self, to: &Revision, now: Ms) -> Option<Unrevisable> {
        let open = matches!(self.state, JobState::Planned | JobState::InProgress);
        if !open || self.is_over(now) {
            return Some(Unrevisable::Ended);
        }
        self.differences(to).into_iter().find_map(|field| match field {
            JobField::Scope | JobField::SrcVersions => self.refuses_devices(field),
            JobField::StartAt => (self.state != JobState::Planned).then_some(Unrevisable::Started),
            _ => None,
        })
    }

    fn refuses_devices(&self, field: JobField) -> Option<Unrevisable> {
        match () {
            () if self.kind != JobKind::Dynamic => Some(Unrevisable::TakesNone(field)),
            () if self.closed_at.is_some() => Some(Unrevisable::Closed(field)),
            () if self.work.is_some_and(|w| !matches!(w, Work::Enrol { .. })) => {
                Some(Unrevisable::Busy(field))
            }
            () => None,
        }
    }
}

impl Decider<'_> {
    /// Holds for all that happens from now on, also to the tasks there are. None of them is taken back.
    pub(crate) fn revise_job(&mut self, job: Id, to: Revision) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let fields = row.differences(&to);
        if fields.is_empty() || row.refuses(&to, self.now).is_some() {
            return;
        }
        let changes = |wanted: &[JobField]| wanted.iter().any(|field| fields.contains(field));
        let whom = changes(&[JobField::Scope, JobField::SrcVersions]) && !row.terms.only_new;
        let clocks = changes(&[JobField::TimeoutMinutes, JobField::Windows]);
        let pace = changes(&[JobField::RatePerMinute, JobField::MaxMbitPerSecond]);
        let (start, end) = (changes(&[JobField::StartAt]), changes(&[JobField::EndAt]));
        self.settle(job, to);
        self.job_event(job, EventKind::JobChanged { fields });
        if start {
            self.reschedule_start(job);
        }
        if end {
            self.reschedule_end(job);
        }
        if whom {
            self.set_work(job, Some(Work::Enrol { cursor: 0 }));
        }
        if clocks {
            self.release(job);
        }
        if pace {
            self.set_timer(Timer::Push(job), self.now);
        }
    }

    fn settle(&mut self, job: Id, to: Revision) {
        let now = self.now;
        let Some(row) = self.job_mut(job) else { return };
        let Revision { scope, timeout_ms, rate_per_minute, terms } = to;
        row.next_push_us = rate::respaced(row.next_push_us, row.rate_per_minute, rate_per_minute);
        row.offered_until_us =
            budget::rescaled(row.offered_until_us, row.terms.kbit_per_second, terms.kbit_per_second, now);
        row.scope = scope.unwrap_or_else(|| row.scope.clone());
        row.timeout_ms = timeout_ms;
        row.rate_per_minute = rate_per_minute;
        row.terms = terms;
    }

    fn reschedule_start(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let at = row.terms.start_at.unwrap_or(self.now);
        self.set_timer(Timer::Start(job), at);
        if let Some(gate) = self.gate_mut(job) {
            gate.opened_at = at;
        }
    }

    fn reschedule_end(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        match row.terms.end_at {
            Some(at) => self.set_timer(Timer::Finish(job), at),
            None => self.clear_timer(Timer::Finish(job)),
        }
    }

    /// Lets the clocks of a task go by the terms that its job has now.
    pub(crate) fn rearm(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task).filter(|t| !t.state.is_terminal()) else { return };
        let (begun, ready) = (row.first_progress_at.is_some(), row.ready_at);
        if begun {
            self.run_timeout(task);
        }
        if let Some(ready) = ready {
            self.await_window(task, ready);
        }
    }

    fn await_window(&mut self, task: Id, ready: Ms) {
        let opens = self.rows.closed_until(task, self.now);
        // Who waits for the rate only keeps its place.
        let until = opens.unwrap_or(ready.min(self.now));
        if until == ready {
            return;
        }
        let Some(row) = self.task_mut(task) else { return };
        row.ready_at = Some(until);
        let job = row.job_id;
        self.set_timer(Timer::Push(job), self.now);
    }
}
