//! A task moves, and its job with it.

use crate::decide::{Decider, Outbound};
use crate::event::EventKind;
use crate::rows::{Id, JobKind, JobState, PackageState, Reason, TaskState, Timer};

impl Decider<'_> {
    /// Moves a task, with its counts and its event.
    pub(crate) fn move_task(&mut self, task: Id, to: TaskState, reason: Option<Reason>) {
        let Some(row) = self.task_mut(task) else { return };
        let (from, job) = (row.state, row.job_id);
        row.state = to;
        row.reason.clone_from(&reason);
        self.count(job, from, -1);
        self.count(job, to, 1);
        self.task_event(task, EventKind::TaskState { from, to, reason });
    }

    /// Ends a task: frees what it holds, and its job if it was the last.
    pub(crate) fn end_task(&mut self, task: Id, to: TaskState, reason: Reason) {
        let now = self.now;
        let Some(row) = self.task_mut(task) else { return };
        row.ready_at = None;
        let held_slot = row.slot_until.take().is_some_and(|until| until > now);
        if to == TaskState::Succeeded {
            row.progress = 100;
        }
        let (device, stream_id, job) = (row.device_id, row.stream_id, row.job_id);
        self.rows.slots_used -= i64::from(held_slot);
        self.move_task(task, to, Some(reason));
        self.clear_timer(Timer::Timeout(task));
        self.clear_timer(Timer::Settle(task));
        self.out.outbound.push(Outbound::Revoke { device, stream_id });
        self.complete_if_done(job);
    }

    /// Completes a running job none of whose tasks is unfinished and none still to come.
    pub(crate) fn complete_if_done(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        if row.state != JobState::InProgress || row.work.is_some() || row.counts.unfinished() > 0 {
            return;
        }
        let verdict = match (row.counts.get(TaskState::Succeeded), row.counts.total()) {
            (_, 0) => PackageState::Unverified,
            (succeeded, total) if succeeded == total => PackageState::Verified,
            _ => PackageState::Failed,
        };
        self.move_job(job, JobState::Completed);
        self.verify_ended(job, verdict);
    }

    pub(crate) fn move_job(&mut self, job: Id, state: JobState) {
        let ended_at = (state != JobState::InProgress).then_some(self.now);
        let Some(row) = self.job_mut(job) else { return };
        row.state = state;
        row.ended_at = ended_at;
        self.job_event(job, EventKind::JobState { state });
    }

    pub(crate) fn verify_ended(&mut self, job: Id, state: PackageState) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        if row.kind == JobKind::Verify {
            self.set_package_state(row.package_id, state);
        }
    }
}
