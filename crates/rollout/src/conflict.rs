//! Several jobs and one device: which tasks are in each other's way, and what becomes of them.

use alloc::vec::Vec;

use crate::decide::Decider;
use crate::rows::{Id, Job, JobState, Reason, Rows, Task, TaskState};
use crate::terms::{Overwrite, Terms};

/// What becomes of a new task.
pub(crate) enum Outcome {
    /// It goes on, at once or behind those before it.
    Goes,
    /// It fails because of that one.
    Fails(Id),
}

/// An unfinished task of a device, as a task of another job meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Whether it is for the same module.
    pub same_module: bool,
    /// Whether its job lets tasks for several modules run side by side.
    pub multi_module: bool,
    /// Whether its device has begun.
    pub in_progress: bool,
}

/// What becomes of a [`Rival`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// The two are not in each other's way.
    Beside,
    /// It is cancelled.
    Yields,
    /// It goes on.
    Stays,
}

impl Terms {
    /// What becomes of an unfinished task that a new one of a job with these terms meets. Two are in
    /// each other's way by the stricter of their jobs' scopes: the device, or its module.
    pub fn meets(&self, rival: Rival) -> Meeting {
        let Rival { same_module, multi_module, in_progress } = rival;
        let overwritten = self.overwrite == Overwrite::Replace || (self.multi_module && same_module);
        match () {
            () if !same_module && self.multi_module && multi_module => Meeting::Beside,
            () if overwritten && !in_progress => Meeting::Yields,
            () => Meeting::Stays,
        }
    }
}

impl Rows {
    /// What becomes of `old` when a task that is `new` meets it.
    fn meeting(&self, old: &Task, new: &Task) -> Meeting {
        let terms = |t: &Task| self.jobs.get(&t.job_id).map(|j| &j.terms);
        let rival = Rival {
            same_module: old.module == new.module,
            multi_module: terms(old).is_some_and(|t| t.multi_module),
            in_progress: old.state == TaskState::InProgress,
        };
        terms(new).map_or(Meeting::Stays, |terms| terms.meets(rival))
    }

    /// Whether two unfinished tasks of one device are in each other's way.
    fn in_the_way(&self, a: &Task, b: &Task) -> bool {
        self.meeting(a, b) != Meeting::Beside
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
            self.rows.tasks.get(id).is_some_and(|old| self.rows.meeting(old, task) == Meeting::Yields)
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
