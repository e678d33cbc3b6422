//! Whether a job takes a device: one rule for the look before the job is made, and for what makes its tasks.

use crate::rows::{Id, Job, Package, Rows, Scope, Task};
use crate::spread::spread;
use crate::terms::Terms;

/// What of a device decides whether a job takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// A disabled device is refused at login.
    pub enabled: bool,
    /// Whether it has ever connected.
    pub came: bool,
    /// What its module runs, if it ever said so.
    pub version: Option<&'a str>,
}

/// Whether a job takes a device, or the first reason why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It gets a task.
    Taken,
    /// It may not log in.
    Disabled,
    /// It never connected.
    NeverConnected,
    /// It runs the target already.
    OnTarget,
    /// It never reported the module, and only certain versions are meant.
    NeverReported,
    /// The package is a difference to another version.
    OtherPackageSource,
    /// The job is for other versions.
    OtherSource,
}

/// What of a job decides which devices it takes.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    /// Which devices.
    pub scope: &'a Scope,
    /// What else is settled.
    pub terms: &'a Terms,
    /// The package.
    pub package: &'a Package,
}

impl<'a> Aim<'a> {
    pub(crate) fn of(job: &'a Job, package: &'a Package) -> Self {
        Self { scope: &job.scope, terms: &job.terms, package }
    }

    /// Whether the job takes a device, if its scope's share holds it.
    pub fn fit(&self, candidate: Candidate<'_>) -> Fit {
        let Candidate { enabled, came, version } = candidate;
        let named = *self.scope == Scope::Named;
        let of_package = self.package.applies_to(version);
        let of_job = self.terms.takes_source(version);
        match () {
            () if !named && !enabled => Fit::Disabled,
            () if !named && !came => Fit::NeverConnected,
            () if version == Some(&*self.package.version) => Fit::OnTarget,
            () if version.is_none() && !(of_package && of_job) => Fit::NeverReported,
            () if !of_package => Fit::OtherPackageSource,
            () if !of_job => Fit::OtherSource,
            () => Fit::Taken,
        }
    }
}

impl Rows {
    /// Whether a task's file is for what its device last reported: a difference is for one version only. A job that
    /// names versions is for those, and for the one the device came from, which may be what a failed attempt left.
    pub fn suits(&self, task: &Task) -> bool {
        let last = self.versions.get(&(task.device_id, task.module.clone())).map(|v| v.version.as_str());
        let of_package = self.packages.get(&task.package_id).is_some_and(|p| p.applies_to(last));
        let of_job = || self.jobs.get(&task.job_id).is_some_and(|j| j.terms.takes_source(last));
        let came_from = || last.is_some() && task.src_version.as_deref() == last;
        of_package && (came_from() || of_job())
    }
}

impl Scope {
    /// Whether its share holds a device. Whom a filter means, or a group holds, is known where devices are found.
    pub fn holds(&self, package: Id, device: Id) -> bool {
        match self {
            Self::All | Self::Named | Self::Filter { .. } | Self::Group { .. } => true,
            Self::Percent { threshold, .. } => spread(package, device) <= *threshold,
        }
    }
}
