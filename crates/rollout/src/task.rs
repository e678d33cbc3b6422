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
        self.free_slot(task);
        self.clear_timers_of_attempt(task);
        let Some(job) = self.rows.tasks.get(&task).map(|t| t.job_id) else { return };
        let round = self.round_of(job);
        let Some(row) = self.task_mut(task) else { return };
        let told = row.is_known();
        row.ready_at = None;
        row.retry_at = None;
        row.start_clock = None;
        match to {
            TaskState::Succeeded => row.progress = 100,
            TaskState::Failed => row.failed_in = Some(round),
            _ => {}
        }
        let (device, stream_id) = (row.device_id, row.stream_id);
        let (module, version) = (row.module.clone(), row.dest_version.clone());
        self.move_task(task, to, Some(reason));
        self.clear_timer(Timer::Timeout(task));
        let succeeded = to == TaskState::Succeeded;
        if succeeded || told {
            self.give_up(device, &module, (!succeeded).then_some(version));
        }
        self.out.outbound.push(Outbound::Revoke { device, stream_id });
        self.complete_if_done(job);
        self.next_in_line(device);
    }

    /// Gives a task's download slot back.
    pub(crate) fn free_slot(&mut self, task: Id) {
        let now = self.now;
        let Some(row) = self.task_mut(task) else { return };
        let held_slot = row.slot_until.take().is_some_and(|until| until > now);
        self.rows.slots_used -= i64::from(held_slot);
    }

    /// Completes a running job none of whose tasks is unfinished and none still to come.
    pub(crate) fn complete_if_done(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        // Nobody waits for the start of a policy that takes no more devices.
        let goes =
            row.state == JobState::InProgress || (row.state == JobState::Planned && row.closed_at.is_some());
        if !goes || row.work.is_some() || row.counts.unfinished() > 0 {
            return;
        }
        if row.kind == JobKind::Dynamic {
            let row = row.clone();
            return self.end_policy_if_done(&row);
        }
        let verdict = match (row.counts.get(TaskState::Succeeded), row.counts.total()) {
            (_, 0) => PackageState::Unverified,
            (succeeded, total) if succeeded == total => PackageState::Verified,
            _ => PackageState::Failed,
        };
        self.end_completed(job);
        self.verify_ended(job, verdict);
    }

    pub(crate) fn end_completed(&mut self, job: Id) {
        self.move_job(job, JobState::Completed);
        self.clear_timer(Timer::Finish(job));
    }

    pub(crate) fn move_job(&mut self, job: Id, state: JobState) {
        let ended_at = matches!(state, JobState::Completed | JobState::Canceled).then_some(self.now);
        let Some(row) = self.job_mut(job) else { return };
        row.state = state;
        row.ended_at = ended_at;
        if ended_at.is_some() {
            row.hold = None;
            row.held_at = None;
            row.release = None;
        }
        let gated = row.gate.is_some() && ended_at.is_some();
        if gated {
            self.clear_timer(Timer::Gate(job));
        }
        self.job_event(job, EventKind::JobState { state });
    }

    pub(crate) fn verify_ended(&mut self, job: Id, state: PackageState) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        if row.kind == JobKind::Verify {
            self.set_package_state(row.package_id, state);
        }
    }
}
