//! From "the device may be told" to the notice: rate, download slots, the notice itself.

use alloc::vec::Vec;

use crate::decide::{Decider, Limits, Offer, Outbound};
use crate::event::EventKind;
use crate::rate;
use crate::rows::{Epoch, Id, Job, Ms, Reason, TaskState, Timer};

/// How long a job that found no free download slot waits before it looks again.
const SLOT_RETRY_MS: Ms = 500;
/// Most pushes of one job in one transaction.
const MOST_AT_ONCE: i64 = 500;

/// How many pushes of a job may leave now, by its rate and by the free download slots: as many of
/// its ready tasks, those that wait longest, are to be loaded for [`Timer::Push`].
pub fn push_limit(job: &Job, slots_used: i64, limits: Limits, now: Ms) -> i64 {
    let by_rate = rate::allowance(job.next_push_us, job.rate_per_minute, now);
    by_rate.min(limits.downloads - slots_used).clamp(0, MOST_AT_ONCE)
}

impl Decider<'_> {
    /// Whether a task's device should be told on connection `epoch`, and has not been yet.
    pub(crate) fn awaits_push(&self, task: Id, epoch: Epoch) -> bool {
        let Some(task) = self.rows.tasks.get(&task) else { return false };
        let Some(job) = self.rows.jobs.get(&task.job_id) else { return false };
        !task.state.is_terminal()
            && task.told_epoch != epoch
            && task.ready_at.is_none()
            && !self.is_shared(task.device_id)
            && job.need_push
            && self.may_tell(task.id)
    }

    /// Lets a task wait for a rate token and a download slot.
    pub(crate) fn make_ready(&mut self, task: Id) {
        let now = self.now;
        let Some(row) = self.task_mut(task) else { return };
        row.ready_at = Some(now);
        let job = row.job_id;
        self.set_timer(Timer::Push(job), now);
    }

    /// If the device is there, tells it at once when it has reported the module on this
    /// connection, else when its grace is over.
    pub(crate) fn offer_when_due(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let device = row.device_id;
        let Some(epoch) = self.rows.sessions.get(&device).map(|s| s.epoch) else { return };
        if !self.awaits_push(task, epoch) {
            return;
        }
        let reported = self.version_of(device, &row.module).is_some_and(|v| v.epoch == epoch);
        if reported { self.make_ready(task) } else { self.wait_for_report(device) }
    }

    /// Pushes the ready tasks of a job that were loaded, as far as its rate and the slots allow,
    /// and looks again when it may: there may be more than were loaded.
    pub(crate) fn push_ready(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let left = push_limit(row, self.rows.slots_used, self.limits, self.now);
        let mut pushed = 0;
        let ready = self.ready_tasks(job);
        for task in &ready {
            match self.pushable_to(*task) {
                Some(_) if left == pushed => break,
                Some(_) if self.pushed_too_often(*task) => {}
                Some(epoch) => {
                    self.push(*task, epoch);
                    pushed += 1;
                }
                None => self.not_ready(*task),
            }
        }
        self.spend(job, pushed);
        if left == 0 || !ready.is_empty() {
            self.push_again(job);
        }
    }

    /// Whether a task's device ignores its notices: then the attempt has failed.
    fn pushed_too_often(&mut self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let (pushes, job) = (row.idle_pushes, self.rows.jobs.get(&row.job_id));
        let too_often = job.and_then(|j| j.terms.most_pushes).is_some_and(|most| pushes >= most);
        if too_often {
            self.not_ready(task);
            self.fail_attempt(task, Reason::TooManyPushes { pushes });
        }
        too_often
    }

    fn not_ready(&mut self, task: Id) {
        if let Some(row) = self.task_mut(task) {
            row.ready_at = None;
        }
    }

    fn ready_tasks(&self, job: Id) -> Vec<Id> {
        let mut ready: Vec<(Ms, Id)> = self
            .rows
            .tasks
            .values()
            .filter(|t| t.job_id == job)
            .filter_map(|t| Some((t.ready_at?, t.id)))
            .collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, id)| id).collect()
    }

    /// The connection a ready task's notice goes to, unless things changed while it waited.
    fn pushable_to(&self, task: Id) -> Option<Epoch> {
        let row = self.rows.tasks.get(&task)?;
        let epoch = self.rows.sessions.get(&row.device_id)?.epoch;
        (row.told_epoch != epoch && self.may_tell(task)).then_some(epoch)
    }

    fn push_again(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let slots_full = self.rows.slots_used >= self.limits.downloads;
        let at =
            if slots_full { self.now + SLOT_RETRY_MS } else { rate::next_at(row.next_push_us).max(self.now) };
        self.set_timer(Timer::Push(job), at);
    }

    fn spend(&mut self, job: Id, pushed: i64) {
        if pushed == 0 {
            return;
        }
        let now = self.now;
        if let Some(row) = self.job_mut(job) {
            row.next_push_us = rate::spend(row.next_push_us, row.rate_per_minute, now, pushed);
        }
    }

    fn push(&mut self, task: Id, epoch: Epoch) {
        self.told(task, epoch);
        let Some(row) = self.task_mut(task) else { return };
        row.pushes += 1;
        row.idle_pushes += 1;
        let (push, device) = (row.pushes, row.device_id);
        self.task_event(task, EventKind::TaskPushed { push });
        if let Some(offer) = self.offer(task) {
            self.out.outbound.push(Outbound::Notice { to: (device, epoch), offer });
        }
    }

    /// Marks a task as told on connection `epoch`, by push or by answer.
    pub(crate) fn told(&mut self, task: Id, epoch: Epoch) {
        let (now, slot_ms) = (self.now, self.limits.slot_ms);
        let Some(row) = self.task_mut(task) else { return };
        row.ready_at = None;
        row.told_epoch = epoch;
        row.told_at = Some(now);
        let slot_was_free = row.slot_until.is_none_or(|until| until <= now);
        row.slot_until = Some(now + slot_ms);
        let queued = row.state == TaskState::Queued;
        let first = queued && row.tries == 1;
        let job = row.job_id;
        self.rows.slots_used += i64::from(slot_was_free);
        if queued {
            self.move_task(task, TaskState::Notified, None);
        }
        if first {
            self.count_offer(job);
        }
        self.start_clock(task);
    }

    /// What a notice of a task is made of.
    pub(crate) fn offer(&self, task: Id) -> Option<Offer> {
        let task = self.rows.tasks.get(&task)?;
        let package = self.rows.packages.get(&task.package_id)?.clone();
        let job = self.rows.jobs.get(&task.job_id)?;
        let (protocol, tags) = (job.protocol, job.terms.tags.clone());
        Some(Offer { task: task.id, stream_id: task.stream_id, protocol, package, tags })
    }
}
