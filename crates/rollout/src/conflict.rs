//! Several jobs and one device: which tasks are in each other's way, and what becomes of them.

use alloc::vec::Vec;

use crate::decide::Decider;
use crate::rows::{Id, Job, JobState, Reason, Rows, Task, TaskState};
use crate::terms::Overwrite;

/// What becomes of a new task.
pub(crate) enum Outcome {
    /// It goes on, at once or behind those before it.
    Goes,
    /// It fails because of that one.
    Fails(Id),
}

impl Rows {
    /// Whether two unfinished tasks of one device are in each other's way. By the stricter of two
    /// jobs' scopes: the device, or its module.
    fn in_the_way(&self, a: &Task, b: &Task) -> bool {
        let multi = |t: &Task| self.jobs.get(&t.job_id).is_some_and(|j| j.terms.multi_module);
        a.module == b.module || !(multi(a) && multi(b))
    }

    /// Whether a task has not ended and its job has not been cancelled under it.
    pub(crate) fn is_open(&self, task: &Task) -> bool {
        !task.state.is_terminal()
            && self
                .jobs
                .get(&task.job_id)
                .is_some_and(|j| matches!(j.state, JobState::Planned | JobState::InProgress))
    }

    /// The earlier task a task waits behind. `of_device` are the tasks of its device.
    pub(crate) fn blocker<'a>(
        &'a self,
        task: &Task,
        of_device: impl Iterator<Item = &'a Task>,
    ) -> Option<&'a Task> {
        let mut earlier = of_device.filter(|t| t.device_id == task.device_id && t.id < task.id);
        earlier.find(|t| self.is_open(t) && self.in_the_way(t, task))
    }
}

impl Decider<'_> {
    /// The earlier task a task waits behind.
    pub(crate) fn blocked_by(&self, task: Id) -> Option<Id> {
        let row = self.rows.tasks.get(&task)?;
        let of_device = self.unfinished(row.device_id);
        let others = of_device.iter().filter_map(|id| self.rows.tasks.get(id));
        self.rows.blocker(row, others).map(|t| t.id)
    }

    /// The open tasks of a device that are in a task's way. Those that their cancelled job has not
    /// come to yet end here.
    fn rivals(&mut self, task: &Task) -> Vec<Id> {
        let mut rivals = Vec::new();
        for id in self.unfinished(task.device_id) {
            let Some(other) = self.rows.tasks.get(&id).filter(|t| t.id != task.id) else { continue };
            if !self.rows.is_open(other) {
                self.cancel_task(id);
            } else if self.rows.in_the_way(other, task) {
                rivals.push(id);
            }
        }
        rivals
    }

    /// Makes room for a new task, as its job's terms say.
    pub(crate) fn make_room(&mut self, job: &Job, task: &Task) -> Outcome {
        let rivals = self.rivals(task);
        let yields = |id: &Id| {
            let row = self.rows.tasks.get(id);
            let overwritten = job.terms.overwrite == Overwrite::Replace
                || (job.terms.multi_module && row.is_some_and(|t| t.module == task.module));
            overwritten && row.is_some_and(|t| t.state != TaskState::InProgress)
        };
        let (yielding, staying): (Vec<Id>, Vec<Id>) = rivals.into_iter().partition(yields);
        if let Some(first) = staying.first()
            && job.terms.overwrite != Overwrite::Queue
        {
            return Outcome::Fails(*first);
        }
        for id in yielding {
            self.end_task(id, TaskState::Canceled, Reason::Overwritten { job: job.id });
        }
        Outcome::Goes
    }

    /// Whether nothing is in the way of a task that would start again.
    pub(crate) fn has_room(&mut self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task).cloned() else { return false };
        self.rivals(&row).is_empty()
    }

    /// Offers what waited behind a task that has ended.
    pub(crate) fn next_in_line(&mut self, device: Id) {
        for task in self.unfinished(device) {
            if self.blocked_by(task).is_none() {
                self.offer_when_due(task);
            }
        }
    }
}
