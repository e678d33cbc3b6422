//! Dynamic jobs, or policies: what a device reports makes its task.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::decide::Decider;
use crate::event::EventKind;
use crate::filter::{Facts, Filter};
use crate::rows::{Device, Id, Job, JobKind, JobState, Labels, Package, Scope, Work};

/// So many tasks a dynamic job makes for one device at most: one that never stays on the target would
/// get tasks without end.
const MOST_MATCHES: i64 = 10;

impl Decider<'_> {
    /// How many tasks a dynamic job has made for a device.
    fn matches(&self, job: Id, device: Id) -> i64 {
        self.rows.matches.get(&(job, device)).copied().unwrap_or(0)
    }

    pub(crate) fn count_match(&mut self, job: &Job, device: Id) {
        if job.kind == JobKind::Dynamic {
            *self.rows.matches.entry((job.id, device)).or_default() += 1;
        }
    }

    /// Whether a chunk of a job's enrolment takes a device. That of a policy leaves it to a newer one, and to a
    /// report that came before the chunk.
    pub(crate) fn enrols(&self, job: &Job, device: Id) -> bool {
        let Some(package) = self.rows.packages.get(&job.package_id) else { return false };
        job.kind != JobKind::Dynamic
            || self.matches(job.id, device) == 0
                && self.newest_for(device, &package.module, false) == Some(job.id)
    }

    /// A module has reported its version: the newest policy that is for the device takes it, and no other. It
    /// takes none while its last task for the device is unfinished.
    pub(crate) fn match_policies(&mut self, device: Id, module: &str, changed: bool) {
        let Some(job) = self.newest_for(device, module, changed) else { return };
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let Some(package) = self.rows.packages.get(&row.package_id) else { return };
        let most = if changed && names_sources(row, package) { MOST_MATCHES } else { 1 };
        if self.matches(job, device) >= most {
            return;
        }
        let unfinished = self.unfinished(device);
        let busy = unfinished.iter().any(|id| self.rows.tasks.get(id).is_some_and(|t| t.job_id == job));
        if !busy {
            self.enrol_one(&row.clone(), device, &[]);
        }
    }

    /// The newest policy that is for a device whose module reports what it does, as something new or not.
    fn newest_for(&self, device: Id, module: &str, changed: bool) -> Option<Id> {
        let mut newest_first = self.rows.policies.iter().rev().copied();
        newest_first.find(|job| self.is_for(*job, device, module, changed))
    }

    fn is_for(&self, job: Id, device: Id, module: &str, changed: bool) -> bool {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| self.takes_devices(j)) else { return false };
        let Some(package) = self.rows.packages.get(&row.package_id) else { return false };
        let Some(found) = self.rows.devices.get(&device) else { return false };
        // What was new when it came is still this policy's when it comes again.
        (changed || !row.terms.only_new || self.matches(job, device) > 0)
            && package.module == module
            && row.product_id == found.product_id
            && self.fits(row, package, found)
            && self.means(row, found)
    }

    /// Whether the scope of a policy holds a device.
    fn means(&self, job: &Job, device: &Device) -> bool {
        let meant = |filter: &Filter| {
            let none = Labels::default();
            let Labels { tags, groups } = self.rows.labels.get(&device.id).unwrap_or(&none);
            let versions = self.versions_of(device.id);
            let online = self.rows.sessions.contains_key(&device.id);
            filter.matches(&Facts { device, online, tags, versions: &versions, groups }, self.now)
        };
        job.scope == Scope::All || self.rows.meanings.get(&job.scope).is_some_and(meant)
    }

    fn versions_of(&self, device: Id) -> BTreeMap<String, String> {
        let of_device = self.rows.versions.range((device, String::new())..(device + 1, String::new()));
        of_device.map(|((_, module), row)| (module.clone(), row.version.clone())).collect()
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

/// Whether a policy says which versions it is for. One that does not is for a device, not for what that reports,
/// and takes it once.
fn names_sources(job: &Job, package: &Package) -> bool {
    !job.terms.src_versions.is_empty() || package.src_version.is_some()
}
