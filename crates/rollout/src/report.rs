//! What a version report and a progress report mean.

use alloc::string::String;

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{
    DEFAULT_MODULE, DeviceError, Epoch, Id, JobState, ModuleVersion, Ms, Reason, Task, TaskState, Timer,
};

/// Most modules one device may report, so that a device cannot fill the table.
const MOST_MODULES: usize = 64;

/// What a version report was.
struct Kept {
    /// It corrects the first one of this connection, which said another version.
    corrects: bool,
    /// It is another version than the last one.
    changed: bool,
    /// It is the target of a task that has ended: the device was not told of the end.
    late: bool,
}

impl Decider<'_> {
    pub(crate) fn reported(&mut self, device: Id, epoch: Epoch, module: String, version: String) {
        if !self.hears(device, epoch) {
            return;
        }
        if self.has_too_many_modules(device, &module) {
            self.out.dropped += 1;
            return;
        }
        let kept = self.store_version(device, epoch, &module, &version);
        for task in self.unfinished(device) {
            if self.rows.tasks.get(&task).is_some_and(|t| t.module == module && !t.state.is_terminal()) {
                self.version_for_task(task, epoch, &version, &kept);
            }
        }
        self.match_policies(device, &module, kept.changed);
    }

    fn has_too_many_modules(&self, device: Id, module: &str) -> bool {
        let known = || self.rows.versions.range((device, String::new())..(device + 1, String::new()));
        module != DEFAULT_MODULE
            && known().count() >= MOST_MODULES
            && !known().any(|((_, name), _)| name == module)
    }

    /// Keeps a report.
    fn store_version(&mut self, device: Id, epoch: Epoch, module: &str, version: &str) -> Kept {
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
        let given_up = old.and_then(|v| v.given_up.clone());
        let late = given_up.as_deref() == Some(version);
        self.put_version(ModuleVersion {
            device_id: device,
            module: module.into(),
            version: version.into(),
            epoch,
            first_reported_at,
            reported_at: self.now.max(not_before),
            given_up: given_up.filter(|_| !late),
        });
        let changed = previous.as_deref() != Some(version);
        if changed {
            let kind = EventKind::VersionChanged { module: module.into(), previous, version: version.into() };
            self.device_event(device, kind);
        }
        Kept { corrects, changed, late }
    }

    fn version_for_task(&mut self, task: Id, epoch: Epoch, version: &str, kept: &Kept) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if row.dest_version == version {
            self.end_task(task, TaskState::Succeeded, Reason::Success);
            return;
        }
        let begun = row.has_begun();
        if begun {
            self.heard(task);
        }
        if begun && kept.late {
            self.was_another(task);
        }
        if kept.corrects && self.began_on_a_made_up_version(task) {
            self.set_source(task, version);
        }
        if self.speaks_against(task).is_some() {
            self.settled(task);
            return;
        }
        self.follow_source(task, version);
        if kept.corrects {
            self.tell_again(task);
        }
        if self.awaits_push(task, epoch) {
            self.make_ready(task);
        }
    }

    /// What a device has told of an attempt was of an earlier task, which had ended without its knowledge: it is told
    /// of this one as if it had not been.
    fn was_another(&mut self, task: Id) {
        self.free_slot(task);
        self.clear_timers_of_attempt(task);
        self.clear_timer(Timer::Timeout(task));
        let Some(row) = self.task_mut(task) else { return };
        row.forget_attempt();
        row.first_progress_at = None;
        self.move_task(task, TaskState::Queued, None);
    }

    /// Keeps, or forgets, which version a device may still come to by a task that has ended.
    pub(crate) fn give_up(&mut self, device: Id, module: &str, version: Option<String>) {
        let Some(row) = self.version_of(device, module).filter(|row| row.given_up != version) else { return };
        let row = ModuleVersion { given_up: version, ..row.clone() };
        self.put_version(row);
    }

    /// Before the first progress the source is what the device reports, once it has settled; the first
    /// one known is taken at once.
    fn follow_source(&mut self, task: Id, version: &str) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        match row.src_version.as_deref() {
            None => self.set_source(task, version),
            Some(source) if source != version => self.settled(task),
            Some(_) => {}
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
            row.idle_pushes = (row.idle_pushes - 1).max(0);
        }
    }

    /// Whether the source of a started attempt is the first report of the connection it was started on, which
    /// has not had time to settle.
    fn began_on_a_made_up_version(&self, task: Id) -> bool {
        let Some((row, last, settled_at)) = self.last_report(task) else { return false };
        row.has_begun()
            && row.done_at.is_none()
            && row.begun_at.is_some_and(|at| at >= last.first_reported_at)
            && self.now < settled_at
    }

    /// A task, its module's last report on the present connection, and when that has settled.
    fn last_report(&self, task: Id) -> Option<(&Task, &ModuleVersion, Ms)> {
        let row = self.rows.tasks.get(&task)?;
        let last = self.version_of(row.device_id, &row.module)?;
        let settle = self.product_of(row.device_id)?.settle_ms;
        self.is_present(row.device_id, last.epoch).then_some((row, last, last.first_reported_at + settle))
    }

    fn heard(&mut self, task: Id) {
        let now = self.now;
        self.found(task);
        if let Some(row) = self.task_mut(task) {
            row.heard_at = Some(now);
        }
    }

    /// Why the last version of a task's module means that the attempt has failed, if it does: it is
    /// neither source nor target, or it is the source and came after step 100; before the task has
    /// begun, it is none of those its job is for.
    fn speaks_against(&self, task: Id) -> Option<Reason> {
        let row = self.rows.tasks.get(&task).filter(|t| !t.state.is_terminal())?;
        let last = self.version_of(row.device_id, &row.module)?;
        let terms = &self.rows.jobs.get(&row.job_id)?.terms;
        let (expected, reported) = (&row.dest_version, &last.version);
        if reported == expected {
            return None;
        }
        if !row.has_begun() {
            return (!self.rows.suits(row)).then(|| Reason::SourceExcluded { reported: reported.clone() });
        }
        // The first version ever heard is taken for the source.
        if row.src_version.as_ref().is_none_or(|source| source == reported) {
            let after_done = row.done_at.is_some_and(|at| at <= last.reported_at);
            return (terms.rollback_fails && after_done)
                .then(|| Reason::RolledBack { version: reported.clone() });
        }
        Some(Reason::VersionMismatch { expected: expected.clone(), reported: reported.clone() })
    }

    /// What it means that a module's last report is neither a task's source nor its target: a started attempt
    /// has failed, before that it is the source. C SDK 3.x reports a made-up version before the real one, so a
    /// connection's first seconds must pass, and one that ends before them has told nothing.
    pub(crate) fn settled(&mut self, task: Id) {
        let against = self.speaks_against(task);
        let Some((row, last, settled_at)) = self.last_report(task) else { return };
        let known = row.dest_version == last.version || row.src_version.as_ref() == Some(&last.version);
        if row.state.is_terminal() || (known && against.is_none()) {
            return;
        }
        if settled_at > self.now {
            self.set_timer(Timer::Settle(task), settled_at);
            return;
        }
        let reported = last.version.clone();
        let package = self.rows.packages.get(&row.package_id);
        let applies = package.is_some_and(|package| package.applies_to(Some(&reported)));
        match against {
            None => self.set_source(task, &reported),
            Some(reason @ Reason::SourceExcluded { .. }) => self.end_task(task, TaskState::Failed, reason),
            // A difference cannot be tried on another version.
            Some(reason) if !applies => self.end_task(task, TaskState::Failed, reason),
            Some(reason) => self.fail_attempt(task, reason),
        }
    }

    pub(crate) fn progressed(&mut self, device: Id, epoch: Epoch, module: &str, step: i32, desc: String) {
        if !self.hears(device, epoch) {
            return;
        }
        let Some(task) = self.active_task(device, module).filter(|t| self.may_begin(*t)) else { return };
        if step < 0 { self.step_failed(task, step, desc) } else { self.step_done(task, step.min(100), desc) }
    }

    /// Whether a device's word on a task can be meant for it: its job has started, its wave is open, and
    /// it is approved. Who was not told of it can mean it only while devices are told, and on a version it is for.
    fn may_begin(&self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        let Some(job) = self.rows.jobs.get(&row.job_id) else { return false };
        let tells = || job.hold.is_none() && self.rows.closed_until(task, self.now).is_none();
        job.state == JobState::InProgress
            && Self::is_wave_open(job, row.wave)
            && row.state != TaskState::Confirm
            && (row.is_known() || (tells() && self.rows.suits(row)))
    }

    fn step_failed(&mut self, task: Id, step: i32, desc: String) {
        // A failure of an attempt the device was not told of speaks of an earlier one.
        if !self.rows.tasks.get(&task).is_some_and(Task::is_known) {
            return;
        }
        let Some(row) = self.task_mut(task) else { return };
        row.device_error = Some(DeviceError { step, desc: desc.clone() });
        self.fail_attempt(task, Reason::DeviceFailed { step, desc });
    }

    fn step_done(&mut self, task: Id, step: i32, desc: String) {
        let (now, slot_ms) = (self.now, self.limits.slot_ms);
        let Some(row) = self.rows.tasks.get(&task) else { return };
        // Between two attempts it can only be a late word of the one that failed.
        if row.tries > 1 && !row.is_known() {
            return;
        }
        let first = row.heard_at.is_none();
        if first {
            self.begun(task);
            self.watch_silence(task);
        }
        self.found(task);
        let Some(row) = self.task_mut(task) else { return };
        let before = row.progress;
        row.progress = step;
        row.heard_at = Some(now);
        if step == 100 {
            row.done_at.get_or_insert(now);
        }
        row.ready_at = None;
        if first || step > row.furthest {
            row.idle_pushes = 0;
            row.furthest = step;
        }
        let held_slot = row.slot_until.is_some_and(|until| until > now);
        // Not moved with every report: the database keeps it in order.
        let long = row.slot_until.filter(|until| *until >= now + slot_ms);
        row.slot_until = (step < 100).then_some(long.unwrap_or(now + slot_ms + slot_ms / 8));
        let holds_slot = row.slot_until.is_some();
        self.rows.slots_used += i64::from(holds_slot) - i64::from(held_slot);
        if first || step / 10 != before / 10 {
            self.task_event(task, EventKind::TaskProgress { percent: step, desc });
        }
    }

    /// An attempt begins. The timeout counts from the first of them.
    fn begun(&mut self, task: Id) {
        let now = self.now;
        self.clear_timers_of_attempt(task);
        let suits = self.rows.tasks.get(&task).is_some_and(|row| self.rows.suits(row));
        match self.last_report(task).map(|(_, last, _)| last.version.clone()) {
            Some(version) if suits => self.set_source(task, &version),
            // It was told on another version than it reports now, which may yet be corrected.
            _ => self.settle_if_unsuited(task),
        }
        let held = self.job_of(task).map_or(0, |job| job.held_for(now));
        let Some(row) = self.task_mut(task) else { return };
        row.start_clock = None;
        let (before, running) = (row.first_progress_at, row.state == TaskState::InProgress);
        if before.is_none() {
            row.first_progress_at = Some(now);
            row.held_before = held;
        }
        row.begun_at = Some(now);
        if !running {
            self.move_task(task, TaskState::InProgress, None);
        }
        if let Some(at) = self.times_out_at(task).filter(|_| before.is_none()) {
            self.set_timer(Timer::Timeout(task), at);
        }
    }

    /// When a task's timeout passes, if its job has one and is not held any more until then.
    fn times_out_at(&self, task: Id) -> Option<Ms> {
        let (row, job) = (self.rows.tasks.get(&task)?, self.job_of(task)?);
        let held = job.held_for(self.now) - row.held_before;
        let counts_from = row.first_progress_at.filter(|_| row.state == TaskState::InProgress)?;
        Some(counts_from.saturating_add(job.timeout_ms?).saturating_add(held))
    }

    /// Sets the timer of a task that has begun by the timeout that its job has now.
    pub(crate) fn run_timeout(&mut self, task: Id) {
        match self.times_out_at(task) {
            Some(at) => self.set_timer(Timer::Timeout(task), at),
            None => self.clear_timer(Timer::Timeout(task)),
        }
    }

    pub(crate) fn timed_out(&mut self, task: Id) {
        let Some(at) = self.times_out_at(task) else { return };
        let Some(job) = self.job_of(task) else { return };
        if job.hold.is_some() {
            // The clock stands still; the timer is set anew when the job goes on.
            return;
        }
        if at > self.now {
            // The job was held meanwhile, or the timeout was shorter when the clock was set.
            self.run_timeout(task);
            return;
        }
        let minutes = job.timeout_ms.unwrap_or(0) / 60_000;
        let reason = self.cause(task, Reason::Timeout { minutes });
        self.end_task(task, TaskState::Failed, reason);
    }
}
