//! What an operator orders: cancel, and start again.

use crate::decide::Decider;
use crate::rows::{Id, Job, JobKind, JobState, Package, PackageState, Reason, TaskState, Work};

/// Whether tasks of a job may start again: its package is still there, and a verify job that has ended does
/// not take a verdict away that another one gave, or disturb one that is on its way to it.
pub fn may_run_again(job: &Job, package: Option<&Package>) -> bool {
    let open = |state| matches!(state, PackageState::Unverified | PackageState::Failed);
    package.is_some_and(|p| job.kind != JobKind::Verify || job.state == JobState::InProgress || open(p.state))
}

impl Decider<'_> {
    /// From this moment no task of the job is pushed or answered; each ends in its chunk.
    pub(crate) fn cancel_job(&mut self, job: Id) {
        if !self.job_runs(job) {
            return;
        }
        self.move_job(job, JobState::Canceled);
        self.verify_ended(job, PackageState::Failed);
        self.set_work(job, Some(Work::Cancel { cursor: 0 }));
    }

    pub(crate) fn reupgrade_job(&mut self, job: Id) {
        if self.accepts_reupgrade(job) {
            self.run_again(job);
            self.set_work(job, Some(Work::Reupgrade { cursor: 0 }));
        }
    }

    /// A chunk of a job's cancellation or re-upgrade.
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
            Work::Reupgrade { cursor } => {
                tasks.iter().for_each(|task| self.restart_task(*task));
                Work::Reupgrade { cursor: next(cursor) }
            }
            Work::Enrol { .. } => return,
        };
        self.set_work(job, (!last).then_some(work));
        self.complete_if_done(job);
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
        row.work.is_none() && may_run_again(row, self.rows.packages.get(&row.package_id))
    }

    fn run_again(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let (ended, verify, package) =
            (row.state != JobState::InProgress, row.kind == JobKind::Verify, row.package_id);
        if ended {
            self.move_job(job, JobState::InProgress);
        }
        if verify {
            self.set_package_state(package, PackageState::Verifying);
        }
    }

    /// Only a failed or cancelled task of a device without another unfinished one starts again.
    fn may_restart(&mut self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let device = row.device_id;
        matches!(row.state, TaskState::Failed | TaskState::Canceled) && self.busy_with(device).is_none()
    }

    /// The task that keeps a device busy. One that its cancelled job has not come to yet ends here.
    pub(crate) fn busy_with(&mut self, device: Id) -> Option<Id> {
        for task in self.unfinished(device) {
            if self.rows.tasks.get(&task).is_some_and(|t| self.job_runs(t.job_id)) {
                return Some(task);
            }
            self.cancel_task(task);
        }
        None
    }

    fn restart_task(&mut self, task: Id) {
        if !self.may_restart(task) {
            return;
        }
        self.move_task(task, TaskState::Queued, None);
        let Some(row) = self.task_mut(task) else { return };
        row.progress = 0;
        row.attempt += 1;
        row.pushes = 0;
        row.told_epoch = 0;
        row.told_at = None;
        row.first_progress_at = None;
        let (device, module, dest) = (row.device_id, row.module.clone(), row.dest_version.clone());
        let version = self.version_of(device, &module).map(|v| v.version.clone());
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
