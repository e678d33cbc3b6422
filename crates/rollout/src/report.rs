//! What a version report and a progress report mean.

use alloc::string::String;

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{DEFAULT_MODULE, Epoch, Id, ModuleVersion, Ms, Reason, Task, TaskState, Timer};

/// Most modules one device may report, so that a device cannot fill the table.
const MOST_MODULES: usize = 64;

impl Decider<'_> {
    pub(crate) fn reported(&mut self, device: Id, epoch: Epoch, module: String, version: String) {
        if !self.hears(device, epoch) {
            return;
        }
        if self.has_too_many_modules(device, &module) {
            self.out.dropped += 1;
            return;
        }
        let corrects = self.store_version(device, epoch, &module, &version);
        let task = self
            .unfinished(device)
            .into_iter()
            .find(|id| self.rows.tasks.get(id).is_some_and(|t| t.module == module));
        if let Some(task) = task {
            self.version_for_task(task, epoch, &version, corrects);
        }
    }

    fn has_too_many_modules(&self, device: Id, module: &str) -> bool {
        let known = || self.rows.versions.range((device, String::new())..(device + 1, String::new()));
        module != DEFAULT_MODULE
            && known().count() >= MOST_MODULES
            && !known().any(|((_, name), _)| name == module)
    }

    /// Keeps a report. Whether it corrects the first one of this connection, which said another version.
    fn store_version(&mut self, device: Id, epoch: Epoch, module: &str, version: &str) -> bool {
        let old = self.version_of(device, module);
        let previous = old.map(|v| v.version.clone());
        let same_connection = old.filter(|v| v.epoch == epoch);
        let first_reported_at = same_connection.map_or(self.now, |v| v.first_reported_at);
        let (corrects, not_before) = match same_connection {
            None => (false, self.now),
            Some(v) if v.version == version => (false, v.reported_at),
            // Later than the first even within a batch: so a first report is known as one.
            Some(v) => (v.reported_at == v.first_reported_at, v.first_reported_at + 1),
        };
        self.put_version(ModuleVersion {
            device_id: device,
            module: module.into(),
            version: version.into(),
            epoch,
            first_reported_at,
            reported_at: self.now.max(not_before),
        });
        if previous.as_deref() != Some(version) {
            let kind = EventKind::VersionChanged { module: module.into(), previous, version: version.into() };
            self.device_event(device, kind);
        }
        corrects
    }

    fn version_for_task(&mut self, task: Id, epoch: Epoch, version: &str, corrects: bool) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if row.dest_version == version {
            self.end_task(task, TaskState::Succeeded, Reason::Success);
            return;
        }
        let started = row.state == TaskState::InProgress;
        let is_source = row.src_version.as_deref() == Some(version);
        if row.src_version.is_none() || corrects && self.began_on_a_made_up_version(task) {
            self.set_source(task, version);
        } else if !is_source {
            self.settled(task);
            if started {
                return;
            }
        }
        if corrects {
            self.tell_again(task);
        }
        if self.awaits_push(task, epoch) {
            self.make_ready(task);
        }
    }

    fn set_source(&mut self, task: Id, version: &str) {
        if let Some(row) = self.task_mut(task) {
            row.src_version = Some(version.into());
        }
    }

    /// A device that was told after the report it now corrects may not have had ears for the notice yet: C SDK
    /// 3.x makes the first report itself and listens from about the application's own report on.
    fn tell_again(&mut self, task: Id) {
        if let Some(row) = self.task_mut(task).filter(|t| t.state == TaskState::Notified) {
            row.told_epoch = 0;
        }
    }

    /// Whether the source of a started task is the first report of the connection it was started on, which
    /// has not had time to settle.
    fn began_on_a_made_up_version(&self, task: Id) -> bool {
        let Some((row, last, settled_at)) = self.last_report(task) else { return false };
        row.state == TaskState::InProgress
            && row.progress < 100
            && row.first_progress_at.is_some_and(|at| at >= last.first_reported_at)
            && self.now < settled_at
    }

    /// A task, its module's last report on the present connection, and when that has settled.
    fn last_report(&self, task: Id) -> Option<(&Task, &ModuleVersion, Ms)> {
        let row = self.rows.tasks.get(&task)?;
        let last = self.version_of(row.device_id, &row.module)?;
        let settle = self.product_of(row.device_id)?.settle_ms;
        self.is_present(row.device_id, last.epoch).then_some((row, last, last.first_reported_at + settle))
    }

    /// What it means that a module's last report is neither a task's source nor its target: a started attempt
    /// has failed, before that it is the source. C SDK 3.x reports a made-up version before the real one, so a
    /// connection's first seconds must pass, and one that ends before them has told nothing.
    pub(crate) fn settled(&mut self, task: Id) {
        let Some((row, last, settled_at)) = self.last_report(task) else { return };
        let known = row.dest_version == last.version || row.src_version.as_ref() == Some(&last.version);
        if row.state.is_terminal() || known {
            return;
        }
        if settled_at > self.now {
            self.set_timer(Timer::Settle(task), settled_at);
            return;
        }
        let (expected, reported) = (row.dest_version.clone(), last.version.clone());
        if row.state == TaskState::InProgress {
            self.end_task(task, TaskState::Failed, Reason::VersionMismatch { expected, reported });
        } else {
            self.set_source(task, &reported);
        }
    }

    pub(crate) fn progressed(&mut self, device: Id, epoch: Epoch, module: &str, step: i32, desc: String) {
        if !self.hears(device, epoch) {
            return;
        }
        let Some(task) = self.active_task(device, module) else { return };
        if step < 0 { self.step_failed(task, step, desc) } else { self.step_done(task, step.min(100), desc) }
    }

    fn step_failed(&mut self, task: Id, step: i32, desc: String) {
        // A failure of a task the device was not told of speaks of an earlier attempt.
        let told = self.rows.tasks.get(&task).is_some_and(|t| t.state != TaskState::Queued);
        if told {
            self.end_task(task, TaskState::Failed, Reason::DeviceFailed { step, desc });
        }
    }

    fn step_done(&mut self, task: Id, step: i32, desc: String) {
        let (now, slot_ms) = (self.now, self.limits.slot_ms);
        let Some(row) = self.task_mut(task) else { return };
        let before = row.progress;
        row.progress = step;
        row.ready_at = None;
        let held_slot = row.slot_until.is_some_and(|until| until > now);
        row.slot_until = (step < 100).then_some(now + slot_ms);
        let holds_slot = row.slot_until.is_some();
        let first = row.state != TaskState::InProgress;
        self.rows.slots_used += i64::from(holds_slot) - i64::from(held_slot);
        if first {
            self.started(task);
        }
        if first || step / 10 != before / 10 {
            self.task_event(task, EventKind::TaskProgress { percent: step, desc });
        }
    }

    fn started(&mut self, task: Id) {
        let now = self.now;
        if let Some(version) = self.last_report(task).map(|(_, last, _)| last.version.clone()) {
            self.set_source(task, &version);
        }
        self.move_task(task, TaskState::InProgress, None);
        let Some(row) = self.task_mut(task) else { return };
        row.first_progress_at = Some(now);
        let job = row.job_id;
        if let Some(timeout) = self.rows.jobs.get(&job).and_then(|j| j.timeout_ms) {
            self.set_timer(Timer::Timeout(task), now + timeout);
        }
    }

    pub(crate) fn timed_out(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let Some(timeout) = self.rows.jobs.get(&row.job_id).and_then(|j| j.timeout_ms) else { return };
        let due = row.first_progress_at.is_some_and(|at| at + timeout <= self.now);
        if row.state == TaskState::InProgress && due {
            self.end_task(task, TaskState::Failed, Reason::Timeout { minutes: timeout / 60_000 });
        }
    }
}
