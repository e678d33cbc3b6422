//! Dynamic jobs: what a device reports makes its task.

use alloc::vec::Vec;

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Id, Job, JobKind, JobState, Work};

/// So many tasks a dynamic job makes for one device at most: one that never stays on the target would
/// get tasks without end.
const MOST_MATCHES: i64 = 10;

impl Decider<'_> {
    /// How many tasks a dynamic job has made for a device.
    fn matches(&self, job: Id, device: Id) -> i64 {
        self.rows.matches.get(&(job, device)).copied().unwrap_or(0)
    }

    /// Whether a dynamic job has made a task for a device.
    pub(crate) fn has_matched(&self, job: &Job, device: Id) -> bool {
        self.matches(job.id, device) > 0
    }

    pub(crate) fn count_match(&mut self, job: &Job, device: Id) {
        if job.kind == JobKind::Dynamic {
            *self.rows.matches.entry((job.id, device)).or_default() += 1;
        }
    }

    /// A module's version has become another one: the newest policy that is for it takes the device, and
    /// no other. It takes none while its last task for the device is unfinished.
    pub(crate) fn match_policies(&mut self, device: Id, module: &str) {
        let newest_first: Vec<Id> = self.rows.policies.iter().rev().copied().collect();
        let Some(job) = newest_first.into_iter().find(|job| self.is_for(*job, device, module)) else {
            return;
        };
        let Some(row) = self.rows.jobs.get(&job).cloned() else { return };
        let unfinished = self.unfinished(device);
        let busy = unfinished.iter().any(|id| self.rows.tasks.get(id).is_some_and(|t| t.job_id == job));
        if !busy && self.matches(job, device) < MOST_MATCHES {
            self.enrol_one(&row, device, &[]);
        }
    }

    /// Whether a policy is for a device whose module reports what it does.
    fn is_for(&self, job: Id, device: Id, module: &str) -> bool {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| self.takes_devices(j)) else { return false };
        let Some(package) = self.rows.packages.get(&row.package_id) else { return false };
        let Some(found) = self.rows.devices.get(&device) else { return false };
        package.module == module && row.product_id == found.product_id && self.fits(row, package, found)
    }

    fn takes_devices(&self, job: &Job) -> bool {
        job.kind == JobKind::Dynamic
            && matches!(job.state, JobState::Planned | JobState::InProgress)
            && job.closed_at.is_none()
            && !job.is_over(self.now)
    }

    /// From this moment a dynamic job takes no more devices; its tasks go on.
    pub(crate) fn close_job(&mut self, job: Id) {
        let now = self.now;
        if !self.rows.jobs.get(&job).is_some_and(|j| self.takes_devices(j)) {
            return;
        }
        let Some(row) = self.job_mut(job) else { return };
        row.closed_at = Some(now);
        let enrols = matches!(row.work, Some(Work::Enrol { .. }));
        self.job_event(job, EventKind::JobClosed);
        if enrols {
            self.set_work(job, None);
        }
        self.complete_if_done(job);
    }

    /// A policy ends when it is closed, or its scheduled end has come, and nothing of it is unfinished.
    pub(crate) fn end_policy_if_done(&mut self, job: &Job) {
        if job.closed_at.is_some() {
            self.end_by_order(job.id);
        } else if job.is_over(self.now) {
            self.end_completed(job.id);
        }
    }
}
