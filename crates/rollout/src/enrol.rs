//! A job's devices become tasks, a chunk at a time.

use alloc::collections::BTreeSet;
use alloc::string::String;

use crate::conflict::Outcome;
use crate::decide::{Decider, Enrolment};
use crate::event::EventKind;
use crate::fit::{Aim, Candidate, Fit};
use crate::rows::{Device, Id, Job, Package, Reason, Task, TaskState, Work};
use crate::spread::spread;

impl Decider<'_> {
    pub(crate) fn enrol(&mut self, job: Id, work: Work, chunk: &Enrolment) {
        if !matches!(work, Work::Enrol { .. }) || !self.is_at(job, work) {
            return;
        }
        let Some(row) = self.rows.jobs.get(&job).cloned() else { return };
        for device in &chunk.devices {
            if self.enrols(&row, *device) {
                self.enrol_one(&row, *device, &chunk.groups);
            }
        }
        let cursor = chunk.upto;
        self.set_work(job, (!chunk.last).then_some(Work::Enrol { cursor }));
        self.touched.insert(job);
        self.complete_if_done(job);
    }

    /// Makes a job's task for a device, if it is for this one. `groups` are those in each group that is a wave.
    pub(crate) fn enrol_one(&mut self, job: &Job, device: Id, groups: &[BTreeSet<Id>]) {
        let Some(package) = self.rows.packages.get(&job.package_id) else { return };
        let Some(row) = self.rows.devices.get(&device) else { return };
        if !self.fits(job, package, row) || !job.scope.holds(package.id, device) {
            return;
        }
        let (module, dest_version) = (package.module.clone(), package.version.clone());
        let src_version = self.version_of(device, &module).map(|v| v.version.clone());
        let wave = job.terms.wave_of(spread(job.package_id, device), |n| {
            groups.get(n).is_some_and(|group| group.contains(&device))
        });
        let task = Task { wave, ..self.new_task(job, device, module, src_version, dest_version) };
        let id = task.id;
        let outcome = self.make_room(job, &task);
        self.add_task(task);
        self.count_match(job, device);
        self.task_event(id, EventKind::TaskCreated);
        match outcome {
            Outcome::Fails(task) => self.end_task(id, TaskState::Failed, Reason::Conflict { task }),
            Outcome::Goes => self.offer_when_due(id),
        }
    }

    /// Whether a job takes a device as it is now, if its scope's share holds it.
    pub(crate) fn fits(&self, job: &Job, package: &Package, device: &Device) -> bool {
        let candidate = Candidate {
            enabled: device.enabled,
            came: device.first_online_at.is_some(),
            version: self.version_of(device.id, &package.module).map(|v| v.version.as_str()),
        };
        Aim::of(job, package).fit(candidate) == Fit::Taken
    }

    fn new_task(&mut self, job: &Job, device: Id, module: String, src: Option<String>, dest: String) -> Task {
        Task {
            id: self.ids.next_id(),
            job_id: job.id,
            product_id: job.product_id,
            package_id: job.package_id,
            device_id: device,
            module,
            wave: 0,
            stream_id: self.ids.next_stream(),
            state: if job.terms.need_confirm { TaskState::Confirm } else { TaskState::Queued },
            approved: !job.terms.need_confirm,
            progress: 0,
            furthest: 0,
            src_version: src,
            dest_version: dest,
            attempt: 1,
            tries: 1,
            retry_at: None,
            pushes: 0,
            idle_pushes: 0,
            told_epoch: 0,
            told_at: None,
            ready_at: None,
            slot_until: None,
            first_progress_at: None,
            held_before: 0,
            begun_at: None,
            start_clock: None,
            heard_at: None,
            lost_in: None,
            offered_in: None,
            failed_in: None,
            done_at: None,
            device_error: None,
            reason: None,
            created_at: self.now,
            updated_at: self.now,
        }
    }
}
