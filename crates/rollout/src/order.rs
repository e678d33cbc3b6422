//! What an operator orders: cancel, and start again.

use alloc::vec::Vec;

use crate::decide::Decider;
use crate::rows::{
    CancelStates, Id, Job, JobKind, JobState, Package, PackageState, Reason, Task, TaskState, Timer, Work,
};

/// Whether tasks of a job may start again: its package is still there, and a verify job that has ended does
/// not take a verdict away that another one gave, or disturb one that is on its way to it.
pub fn may_run_again(job: &Job, package: Option<&Package>) -> bool {
    let open = |state| matches!(state, PackageState::Unverified | PackageState::Failed);
    package.is_some_and(|p| {
        job.kind != JobKind::Verify
            || matches!(job.state, JobState::Planned | JobState::InProgress)
            || open(p.state)
    })
}

impl Decider<'_> {
    /// From this moment no task of the job is pushed or answered; each ends in its chunk.
    pub(crate) fn cancel_job(&mut self, job: Id) {
        let open = |j: &Job| matches!(j.state, JobState::Planned | JobState::InProgress);
        if !self.rows.jobs.get(&job).is_some_and(open) {
            return;
        }
        self.end_by_order(job);
        let now = self.now;
        if let Some(row) = self.job_mut(job).filter(|j| j.kind == JobKind::Dynamic) {
            // Not even a re-upgrade lets it take devices again.
            row.closed_at.get_or_insert(now);
        }
        self.set_work(job, Some(Work::Cancel { cursor: 0 }));
    }

    pub(crate) fn end_by_order(&mut self, job: Id) {
        self.move_job(job, JobState::Canceled);
        self.clear_timer(Timer::Start(job));
        self.clear_timer(Timer::Finish(job));
        self.verify_ended(job, PackageState::Failed);
    }

    pub(crate) fn reupgrade_job(&mut self, job: Id) {
        if self.accepts_reupgrade(job) {
            let canceled = self.rows.jobs.get(&job).is_some_and(|j| j.state == JobState::Canceled);
            self.run_again(job);
            self.set_work(job, Some(Work::Reupgrade { cursor: 0, canceled }));
        }
    }

    /// A chunk of any work but the first.
    pub(crate) fn work_on_tasks(&mut self, job: Id, work: Work, tasks: &[Id], last: bool) {
        if !self.is_at(job, work) {
            return;
        }
        let next = |cursor: Id| tasks.last().copied().unwrap_or(cursor);
        let work = match work {
            Work::Cancel { cursor } => {
                tasks.iter().for_each(|task| self.cancel_task(*task));
                Work::Cancel { cursor: next(cursor) }
            }
            Work::Reupgrade { cursor, canceled } => {
                let meant: Vec<Id> =
                    tasks.iter().copied().filter(|task| self.starts_with_its_job(*task, canceled)).collect();
                meant.iter().for_each(|task| self.restart_task(*task));
                Work::Reupgrade { cursor: next(cursor), canceled }
            }
            Work::CancelSome { cursor, states, any } => {
                let meant = |task: &&Id| self.rows.tasks.get(*task).is_some_and(|t| states.has(t.state));
                let meant: Vec<Id> = tasks.iter().filter(meant).copied().collect();
                meant.iter().for_each(|task| self.cancel_task(*task));
                Work::CancelSome { cursor: next(cursor), states, any: any || !meant.is_empty() }
            }
            Work::Confirm { cursor } => {
                tasks.iter().for_each(|task| self.confirm_task(*task));
                Work::Confirm { cursor: next(cursor) }
            }
            Work::Finish { cursor } => {
                tasks.iter().for_each(|task| self.finish_task(*task));
                Work::Finish { cursor: next(cursor) }
            }
            Work::Enrol { .. } => return,
        };
        self.set_work(job, (!last).then_some(work));
        self.touched.insert(job);
        if last && matches!(work, Work::CancelSome { any: true, .. }) {
            self.cancel_if_empty(job);
        }
        self.complete_if_done(job);
    }

    /// A job none of whose tasks is left by an order on the job is cancelled, not completed. A dynamic one
    /// goes on to take devices.
    fn cancel_if_empty(&mut self, job: Id) {
        let empty =
            |j: &Job| j.kind != JobKind::Dynamic && j.counts.unfinished() == 0 && j.ended_at.is_none();
        if self.rows.jobs.get(&job).is_some_and(empty) {
            self.end_by_order(job);
        }
    }

    /// Cancels the tasks of a job that are in some states.
    pub(crate) fn cancel_some(&mut self, job: Id, states: CancelStates) {
        let free = |j: &Job| j.ended_at.is_none() && j.work.is_none();
        if self.rows.jobs.get(&job).is_some_and(free) {
            self.set_work(job, Some(Work::CancelSome { cursor: 0, states, any: false }));
        }
    }

    pub(crate) fn cancel_task(&mut self, task: Id) {
        if self.rows.tasks.get(&task).is_some_and(|t| !t.state.is_terminal()) {
            self.end_task(task, TaskState::Canceled, Reason::CanceledByOperator);
        }
    }

    pub(crate) fn reupgrade_task(&mut self, task: Id) {
        let Some(job) = self.rows.tasks.get(&task).map(|t| t.job_id) else { return };
        if self.accepts_reupgrade(job) && self.may_restart(task) {
            self.run_again(job);
            self.restart_task(task);
            self.complete_if_done(job);
        }
    }

    fn accepts_reupgrade(&self, job: Id) -> bool {
        let Some(row) = self.rows.jobs.get(&job) else { return false };
        row.work.is_none()
            && !row.is_over(self.now)
            && may_run_again(row, self.rows.packages.get(&row.package_id))
    }

    fn run_again(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let ended = matches!(row.state, JobState::Completed | JobState::Canceled);
        let (verify, package, end) = (row.kind == JobKind::Verify, row.package_id, row.terms.end_at);
        let start = row.terms.start_at.filter(|at| *at > self.now);
        if ended {
            self.move_job(job, if start.is_some() { JobState::Planned } else { JobState::InProgress });
            self.forgive(job);
            if let Some(start) = start {
                self.set_timer(Timer::Start(job), start);
                if let Some(gate) = self.gate_mut(job) {
                    gate.opened_at = start;
                }
            }
            if let Some(end) = end {
                self.set_timer(Timer::Finish(job), end);
            }
        }
        if verify {
            self.set_package_state(package, PackageState::Verifying);
        }
    }

    /// Only a failed or cancelled task starts again that was approved, whose device is on the target or on a version
    /// that it is for, that nothing is in the way of, and whose job has not reached its scheduled end.
    fn may_restart(&mut self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let Some(job) = self.rows.jobs.get(&row.job_id) else { return false };
        matches!(row.state, TaskState::Failed | TaskState::Canceled)
            && row.approved
            && !job.is_over(self.now)
            && (self.is_on_target(row) || self.rows.suits(row))
            && self.has_room(task)
    }

    /// Whether an order on its whole job starts a task again. What was cancelled on purpose stays so unless the job
    /// was cancelled, and nobody is taken back whom a later job has served.
    fn starts_with_its_job(&self, task: Id, canceled: bool) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let by_operator = row.reason == Some(Reason::CanceledByOperator);
        (row.state == TaskState::Failed || (canceled && by_operator)) && !self.rows.overtaken.contains(&task)
    }

    fn is_on_target(&self, task: &Task) -> bool {
        self.version_of(task.device_id, &task.module).is_some_and(|v| v.version == task.dest_version)
    }

    fn restart_task(&mut self, task: Id) {
        if !self.may_restart(task) {
            return;
        }
        self.move_task(task, TaskState::Queued, None);
        let Some(row) = self.task_mut(task) else { return };
        row.forget_attempt();
        row.tries = 1;
        row.first_progress_at = None;
        row.failed_in = None;
        row.device_error = None;
        let dest = row.dest_version.clone();
        let version = self.version_of_task(task);
        if version.as_deref() == Some(&*dest) {
            self.end_task(task, TaskState::Succeeded, Reason::Success);
            return;
        }
        if let Some(row) = self.task_mut(task) {
            row.src_version = version;
        }
        self.offer_when_due(task);
    }
}
