//! Attempts: what makes one fail, when the next begins, and the clock until its first progress.

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Id, Ms, Reason, StartClock, Task, TaskState, Timer};
use crate::window::Openings;

impl Task {
    /// The first attempt since the task was made or last re-upgraded. What a device was given in one before it
    /// is of no use any more.
    pub fn first_attempt(&self) -> i32 {
        self.attempt - self.tries + 1
    }

    /// Whether the device was told of this attempt, or has begun it by itself.
    pub(crate) fn is_known(&self) -> bool {
        self.told_at.is_some() || self.heard_at.is_some()
    }

    /// Whether the device has reported progress in this attempt.
    pub(crate) fn has_begun(&self) -> bool {
        self.state == TaskState::InProgress && self.heard_at.is_some()
    }

    /// Forgets an attempt, so that the next begins from nothing.
    pub(crate) fn forget_attempt(&mut self) {
        self.attempt += 1;
        self.progress = 0;
        self.furthest = 0;
        self.pushes = 0;
        self.idle_pushes = 0;
        self.told_epoch = 0;
        self.told_at = None;
        self.ready_at = None;
        self.begun_at = None;
        self.heard_at = None;
        self.done_at = None;
        self.start_clock = None;
        self.retry_at = None;
    }
}

impl Decider<'_> {
    /// An attempt has failed: another one follows while some are left, else the task has failed.
    pub(crate) fn fail_attempt(&mut self, task: Id, reason: Reason) {
        let reason = self.cause(task, reason);
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let Some(terms) = self.rows.jobs.get(&row.job_id).map(|j| &j.terms) else { return };
        let over = self.rows.jobs.get(&row.job_id).is_some_and(|j| j.is_over(self.now));
        if row.tries >= terms.attempts || over {
            self.end_task(task, TaskState::Failed, reason);
            return;
        }
        let at = self.now.saturating_add(terms.retry_interval_ms);
        let round = self.round_of(row.job_id);
        self.free_slot(task);
        self.clear_timers_of_attempt(task);
        let Some(row) = self.task_mut(task) else { return };
        row.forget_attempt();
        row.tries += 1;
        row.failed_in = Some(round);
        row.retry_at = Some(at);
        let attempt = row.attempt;
        let version = self.version_of_task(task);
        if let Some(row) = self.task_mut(task) {
            row.src_version = version;
        }
        self.task_event(task, EventKind::TaskRetry { attempt, at, reason });
        if at <= self.now {
            self.retry_due(task)
        } else {
            self.set_timer(Timer::Retry(task), at)
        }
        self.settle_if_unsuited(task);
    }

    /// Looks in a moment at a task whose device has last reported a version that it is not for.
    pub(crate) fn settle_if_unsuited(&mut self, task: Id) {
        if self.rows.tasks.get(&task).is_some_and(|row| !self.rows.suits(row)) {
            self.set_timer(Timer::Settle(task), self.now);
        }
    }

    /// A device that speaks of the module in another case is why the platform heard nothing of it.
    pub(crate) fn cause(&self, task: Id, reason: Reason) -> Reason {
        let silent = matches!(
            reason,
            Reason::StartTimeout { .. } | Reason::TooManyPushes { .. } | Reason::Timeout { .. }
        );
        let Some(row) = self.rows.tasks.get(&task).filter(|_| silent) else { return reason };
        match self.rows.other_case(row.device_id, &row.module) {
            Some(reported) => Reason::ModuleCase { expected: row.module.clone(), reported: reported.into() },
            None => reason,
        }
    }

    pub(crate) fn version_of_task(&self, task: Id) -> Option<alloc::string::String> {
        let row = self.rows.tasks.get(&task)?;
        self.version_of(row.device_id, &row.module).map(|v| v.version.clone())
    }

    pub(crate) fn retry_due(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let Some(at) = row.retry_at.filter(|_| !row.state.is_terminal()) else { return };
        if at > self.now {
            self.set_timer(Timer::Retry(task), at);
            return;
        }
        if let Some(row) = self.task_mut(task) {
            row.retry_at = None;
        }
        self.offer_when_due(task);
    }

    /// Clears what waits for an attempt that has ended. The job's timeout goes on.
    pub(crate) fn clear_timers_of_attempt(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let (retry, start) = (row.retry_at.is_some(), matches!(row.start_clock, Some(StartClock::By(_))));
        let (heard, lost) = (row.heard_at.is_some(), row.is_lost());
        self.clear_timer(Timer::Settle(task));
        if heard {
            self.clear_timer(Timer::Lost(task));
        }
        if lost {
            self.mark_lost(task, false);
        }
        if retry {
            self.clear_timer(Timer::Retry(task));
        }
        if start {
            self.clear_timer(Timer::Unstarted(task));
        }
    }

    /// Starts the clock until the first progress, if this attempt has none yet. It runs while the device is
    /// connected and a window is open.
    pub(crate) fn start_clock(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if row.heard_at.is_some() || row.start_clock.is_some() {
            return;
        }
        let limit = self.rows.jobs.get(&row.job_id).and_then(|j| j.terms.start_timeout_ms);
        if let Some(limit) = limit {
            self.run_clock(task, limit);
        }
    }

    fn run_clock(&mut self, task: Id, left: Ms) {
        let Some(by) = self.openings_of(task).map(|windows| windows.after_open(self.now, left)) else {
            return;
        };
        if let Some(row) = self.task_mut(task) {
            row.start_clock = Some(StartClock::By(by));
        }
        self.set_timer(Timer::Unstarted(task), by);
    }

    fn openings_of(&self, task: Id) -> Option<Openings<'_>> {
        let task = self.rows.tasks.get(&task)?;
        Some(self.rows.openings_for(self.rows.jobs.get(&task.job_id)?, task))
    }

    /// Only connected time counts: the connection ended at `at`.
    pub(crate) fn stop_clock(&mut self, task: Id, at: Ms) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let Some(StartClock::By(by)) = row.start_clock else { return };
        let Some(left) = self.openings_of(task).map(|windows| windows.open_time(at, by)) else { return };
        if let Some(row) = self.task_mut(task) {
            row.start_clock = Some(StartClock::Left(left));
        }
        self.clear_timer(Timer::Unstarted(task));
    }

    pub(crate) fn resume_clock(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if let Some(StartClock::Left(left)) = row.start_clock {
            self.run_clock(task, left);
        }
    }

    pub(crate) fn unstarted(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let Some(StartClock::By(by)) = row.start_clock.filter(|_| !row.state.is_terminal()) else { return };
        if by > self.now {
            self.set_timer(Timer::Unstarted(task), by);
            return;
        }
        let Some(job) = self.rows.jobs.get(&row.job_id) else { return };
        let (limit, held) = (job.terms.start_timeout_ms, job.hold.is_some());
        match limit {
            Some(limit) if !held => {
                self.fail_attempt(task, Reason::StartTimeout { minutes: limit / 60_000 });
            }
            // Who came back to a held job was not told again: it has its time anew once the job goes on. A limit
            // that was there when the clock was set may be gone.
            limit => {
                if let Some(row) = self.task_mut(task) {
                    row.start_clock = limit.map(StartClock::Left);
                }
            }
        }
    }
}
