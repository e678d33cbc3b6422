//! A job's devices become tasks, a chunk at a time.

use alloc::string::String;

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Id, Job, JobState, Reason, Scope, Task, TaskState, Work};
use crate::spread::spread;

impl Decider<'_> {
    pub(crate) fn enrol(&mut self, job: Id, devices: &[Id], last: bool) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let Some(Work::Enrol { cursor }) = row.work else { return };
        if row.state != JobState::InProgress {
            return;
        }
        let row = row.clone();
        for device in devices {
            self.enrol_one(&row, *device);
        }
        let cursor = devices.last().copied().unwrap_or(cursor);
        self.set_work(job, (!last).then_some(Work::Enrol { cursor }));
        self.complete_if_done(job);
    }

    fn enrol_one(&mut self, job: &Job, device: Id) {
        let Some(package) = self.rows.packages.get(&job.package_id) else { return };
        let (module, dest_version) = (package.module.clone(), package.version.clone());
        let in_share = match job.scope {
            Scope::All | Scope::Named => true,
            Scope::Percent { threshold, .. } => spread(package.id, device) <= threshold,
        };
        let src_version = self.version_of(device, &module).map(|v| v.version.clone());
        let present = self.rows.devices.contains_key(&device);
        if !present || !in_share || src_version.as_deref() == Some(&*dest_version) {
            return;
        }
        let conflict = self.unfinished(device).first().copied();
        let task = self.new_task(job, device, module, src_version, dest_version);
        let id = task.id;
        self.add_task(task);
        self.task_event(id, EventKind::TaskCreated);
        match conflict {
            Some(task) => self.end_task(id, TaskState::Failed, Reason::Conflict { task }),
            None => self.offer_when_due(id),
        }
    }

    fn new_task(&mut self, job: &Job, device: Id, module: String, src: Option<String>, dest: String) -> Task {
        Task {
            id: self.ids.next_id(),
            job_id: job.id,
            product_id: job.product_id,
            package_id: job.package_id,
            device_id: device,
            module,
            stream_id: self.ids.next_stream(),
            state: TaskState::Queued,
            progress: 0,
            src_version: src,
            dest_version: dest,
            attempt: 1,
            pushes: 0,
            told_epoch: 0,
            told_at: None,
            ready_at: None,
            slot_until: None,
            first_progress_at: None,
            reason: None,
            created_at: self.now,
            updated_at: self.now,
        }
    }
}
