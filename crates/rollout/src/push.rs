//! From "the device may be told" to the notice: window, rate, download slots, byte budgets, the notice itself.

use alloc::vec::Vec;

use crate::budget;
use crate::decide::{Decider, Limits, Offer, Outbound};
use crate::event::EventKind;
use crate::rate;
use crate::rows::{Epoch, Id, Job, Ms, Package, Reason, Rows, TaskState, Timer};
use crate::spread::spread;

/// How long a job that found no free download slot waits before it looks again.
const SLOT_RETRY_MS: Ms = 500;
/// Most pushes of one job in one transaction.
const MOST_AT_ONCE: i64 = 500;

/// Ready tasks of a job with windows that are looked at together: those whose window has closed meanwhile are
/// put off without spending anything.
const LOOK_AT: i64 = 64;
/// Jobs that wait for the server's byte budget look again within so many milliseconds of each other, so that none
/// is always the first.
const TURNS: i64 = 16;

/// How many ready tasks of a job, those that wait longest, are to be loaded for [`Timer::Push`]. `rows` hold
/// the job with its package, and what is in use.
pub fn push_limit(rows: &Rows, job: Id, limits: Limits, now: Ms) -> i64 {
    let least = match rows.jobs.get(&job) {
        Some(job) if !job.terms.windows.is_empty() => LOOK_AT,
        _ => 1,
    };
    pushes_left(rows, job, limits, now).max(least)
}

/// How many pushes of a job may leave now, by its rate, the free download slots, and the byte budgets.
fn pushes_left(rows: &Rows, job: Id, limits: Limits, now: Ms) -> i64 {
    let Some(row) = rows.jobs.get(&job) else { return 0 };
    let by_rate = rate::allowance(row.next_push_us, row.rate_per_minute, now);
    let by_slots = limits.downloads - rows.slots_used;
    by_rate.min(by_slots).min(offers_left(rows, row, limits, now)).clamp(0, MOST_AT_ONCE)
}

/// How often a job's file may be offered now, by the byte budgets of the job and of the server.
fn offers_left(rows: &Rows, job: &Job, limits: Limits, now: Ms) -> i64 {
    let size = rows.size_of(job);
    let of_job = job.terms.kbit_per_second.map(|kbit| (kbit, job.offered_until_us));
    let of_server = limits.kbit_per_second.map(|kbit| (kbit, rows.offered_until_us));
    let left = |(kbit, until)| budget::allowance(kbit, until, size, now);
    of_job.into_iter().chain(of_server).map(left).min().unwrap_or(i64::MAX)
}

impl Rows {
    /// Bytes of a job's file, or files.
    fn size_of(&self, job: &Job) -> i64 {
        self.packages.get(&job.package_id).map_or(0, Package::bytes)
    }
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

    /// Lets a task wait for its window, a rate token, a download slot and the byte budgets.
    pub(crate) fn make_ready(&mut self, task: Id) {
        let now = self.now;
        let opens = self.rows.closed_until(task, now);
        let Some(row) = self.task_mut(task) else { return };
        row.ready_at = Some(opens.unwrap_or(now));
        let job = row.job_id;
        self.set_timer(Timer::Push(job), now);
    }

    pub(crate) fn offers_left(&self, job: Id) -> i64 {
        self.rows.jobs.get(&job).map_or(0, |job| offers_left(&self.rows, job, self.limits, self.now))
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

    /// Pushes the ready tasks of a job that were loaded, as far as all bounds allow, and looks again when it
    /// may: there may be more than were loaded. Tasks that wait for their window are the last of the ready ones.
    pub(crate) fn push_ready(&mut self, job: Id) {
        let left = pushes_left(&self.rows, job, self.limits, self.now);
        let mut pushed = 0;
        let ready = self.ready_tasks(job);
        for task in &ready {
            let closed = self.rows.closed_until(*task, self.now);
            match self.pushable_to(*task) {
                Some(_) if closed.is_some() => self.put_off(*task, closed),
                Some(_) if left == pushed => break,
                Some(_) if self.pushed_too_often(*task) => {}
                Some(epoch) => {
                    self.push(*task, epoch);
                    pushed += 1;
                }
                None => self.put_off(*task, None),
            }
        }
        self.spend(job, pushed);
        if left == 0 || !ready.is_empty() {
            self.push_again(job);
        } else if let Some(opens) = self.next_opening(job) {
            self.set_timer(Timer::Push(job), opens);
        }
    }

    /// Whether a task's device ignores its notices: then the attempt has failed.
    fn pushed_too_often(&mut self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let (pushes, job) = (row.idle_pushes, self.rows.jobs.get(&row.job_id));
        let too_often = job.and_then(|j| j.terms.most_pushes).is_some_and(|most| pushes >= most);
        if too_often {
            self.put_off(task, None);
            self.fail_attempt(task, Reason::TooManyPushes { pushes });
        }
        too_often
    }

    /// Lets a ready task wait for the next opening of its window, or not at all any more.
    fn put_off(&mut self, task: Id, until: Option<Ms>) {
        if let Some(row) = self.task_mut(task) {
            row.ready_at = until;
        }
    }

    fn ready_tasks(&self, job: Id) -> Vec<Id> {
        let mut ready: Vec<(Ms, Id)> = self.waiting(job).filter(|(at, _)| *at <= self.now).collect();
        ready.sort_unstable();
        ready.into_iter().map(|(_, id)| id).collect()
    }

    fn next_opening(&self, job: Id) -> Option<Ms> {
        self.waiting(job).map(|(at, _)| at).min()
    }

    /// The tasks of a job that wait to be pushed, and since when, or until when their window is closed.
    fn waiting(&self, job: Id) -> impl Iterator<Item = (Ms, Id)> {
        let of_job = self.rows.tasks.values().filter(move |t| t.job_id == job);
        of_job.filter_map(|t| Some((t.ready_at?, t.id)))
    }

    /// The connection a ready task's notice goes to, unless things changed while it waited.
    fn pushable_to(&self, task: Id) -> Option<Epoch> {
        let row = self.rows.tasks.get(&task)?;
        let epoch = self.rows.sessions.get(&row.device_id)?.epoch;
        (row.told_epoch != epoch && !self.is_shared(row.device_id) && self.may_tell(task)).then_some(epoch)
    }

    fn push_again(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let slots_full = self.rows.slots_used >= self.limits.downloads;
        let at = if slots_full { self.now + SLOT_RETRY_MS } else { self.next_push_at(row) };
        self.set_timer(Timer::Push(job), at.max(self.now));
    }

    /// When the rate and the byte budgets allow the next push of a job.
    fn next_push_at(&self, job: &Job) -> Ms {
        let size = self.rows.size_of(job);
        let next = |kbit, until| budget::next_at(kbit, until, size);
        let of_job = job.terms.kbit_per_second.map(|kbit| next(kbit, job.offered_until_us));
        let turn = spread(job.id, self.now).rem_euclid(TURNS);
        let of_server = self.limits.kbit_per_second.map(|kbit| next(kbit, self.rows.offered_until_us) + turn);
        let by_rate = rate::next_at(job.next_push_us);
        of_job.into_iter().chain(of_server).fold(by_rate, Ms::max)
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
        let Some(job) = self.rows.tasks.get(&task).map(|t| t.job_id) else { return };
        let round = self.round_of(job);
        let Some(row) = self.task_mut(task) else { return };
        row.ready_at = None;
        row.told_epoch = epoch;
        row.told_at = Some(now);
        let slot_was_free = row.slot_until.is_none_or(|until| until <= now);
        row.slot_until = Some(now + slot_ms);
        let queued = row.state == TaskState::Queued;
        if row.offered_in.is_none() || (queued && row.tries == 1) {
            row.offered_in = Some(round);
        }
        self.rows.slots_used += i64::from(slot_was_free);
        if slot_was_free {
            self.spend_bytes(job);
        }
        if queued {
            self.move_task(task, TaskState::Notified, None);
        }
        self.start_clock(task);
    }

    /// A file is offered to a device: its bytes are taken from the budgets of the job and of the server.
    fn spend_bytes(&mut self, job: Id) {
        let now = self.now;
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let (size, of_job) = (self.rows.size_of(row), row.terms.kbit_per_second);
        if let Some(kbit) = of_job
            && let Some(row) = self.job_mut(job)
        {
            row.offered_until_us = budget::spend(kbit, row.offered_until_us, size, now);
        }
        if let Some(kbit) = self.limits.kbit_per_second {
            self.rows.offered_until_us = budget::spend(kbit, self.rows.offered_until_us, size, now);
            self.out.offered_until_us = Some(self.rows.offered_until_us);
        }
    }

    /// What a notice of a task is made of.
    pub(crate) fn offer(&self, task: Id) -> Option<Offer> {
        let task = self.rows.tasks.get(&task)?;
        let package = self.rows.packages.get(&task.package_id)?.clone();
        let job = self.rows.jobs.get(&task.job_id)?;
        let (protocol, tags) = (job.protocol, job.terms.tags.clone());
        let (stream_id, first_attempt) = (task.stream_id, task.first_attempt());
        Some(Offer { task: task.id, stream_id, first_attempt, protocol, package, tags })
    }
}
