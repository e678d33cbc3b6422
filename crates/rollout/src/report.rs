//! What a version report and a progress report mean.

use alloc::string::String;

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{DEFAULT_MODULE, Epoch, Id, ModuleVersion, Reason, TaskState, Timer};

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
        self.store_version(device, epoch, &module, &version);
        let task = self
            .unfinished(device)
            .into_iter()
            .find(|id| self.rows.tasks.get(id).is_some_and(|t| t.module == module));
        if let Some(task) = task {
            self.version_for_task(task, epoch, &version);
        }
    }

    fn has_too_many_modules(&self, device: Id, module: &str) -> bool {
        let known = || self.rows.versions.range((device, String::new())..(device + 1, String::new()));
        module != DEFAULT_MODULE
            && known().count() >= MOST_MODULES
            && !known().any(|((_, name), _)| name == module)
    }

    fn store_version(&mut self, device: Id, epoch: Epoch, module: &str, version: &str) {
        let old = self.version_of(device, module);
        let previous = old.map(|v| v.version.clone());
        let first_reported_at = old.filter(|v| v.epoch == epoch).map_or(self.now, |v| v.first_reported_at);
        self.put_version(ModuleVersion {
            device_id: device,
            module: module.into(),
            version: version.into(),
            epoch,
            first_reported_at,
            reported_at: self.now,
        });
        if previous.as_deref() != Some(version) {
            let kind = EventKind::VersionChanged { module: module.into(), previous, version: version.into() };
            self.device_event(device, kind);
        }
    }

    fn version_for_task(&mut self, task: Id, epoch: Epoch, version: &str) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if row.dest_version == version {
            self.end_task(task, TaskState::Succeeded, Reason::Success);
            return;
        }
        let started = row.state == TaskState::InProgress;
        let is_source = row.src_version.as_deref() == Some(version);
        if started && row.src_version.is_some() && !is_source {
            self.settled(task);
            return;
        }
        if !is_source && let Some(row) = self.task_mut(task) {
            row.src_version = Some(version.into());
        }
        if self.awaits_push(task, epoch) {
            self.make_ready(task);
        }
    }

    /// Fails a started task whose module's last report is neither its source nor its target. C SDK
    /// 3.x reports a made-up version before the real one, so a connection's first seconds may pass.
    pub(crate) fn settled(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        let Some(last) = self.version_of(row.device_id, &row.module) else { return };
        let Some(settle) = self.product_of(row.device_id).map(|p| p.settle_ms) else { return };
        let known = row.dest_version == last.version || row.src_version.as_ref() == Some(&last.version);
        if row.state != TaskState::InProgress || known {
            return;
        }
        let settled_at = last.first_reported_at + settle;
        if settled_at > self.now {
            self.set_timer(Timer::Settle(task), settled_at);
            return;
        }
        let (expected, reported) = (row.dest_version.clone(), last.version.clone());
        self.end_task(task, TaskState::Failed, Reason::VersionMismatch { expected, reported });
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
