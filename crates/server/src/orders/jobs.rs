//! Jobs and their tasks.

use std::collections::BTreeSet;

use rollout::{
    Changes, Counts, EventKind, Id, Input, Job, JobKind, JobState, Package, PackageState, Product, Protocol,
    Scope, SignMethod, TaskState, Timer, Work, spread,
};
use store::committer::{self as rows, Keys};
use store::jobs::Filter;
use store::tasks::TaskView;
use store::{Slice, Tx};

use super::packages::{package_in, unknown_package};
use super::{Paging, failed, product_in};
use crate::Server;
use crate::committer::keys;
use crate::core::Unit;
use crate::downlink::OfferError;
use crate::error::OrderError;
use crate::ids::IdKind;

/// What a new job is made of.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The package.
    pub package: Id,
    /// Verify or static.
    pub kind: JobKind,
    /// Which devices.
    pub scope: NewScope,
    /// How the file travels.
    pub protocol: Protocol,
    /// Whether notices are pushed; otherwise devices must ask.
    pub need_push: bool,
    /// From a task's first progress to its failure.
    pub timeout_minutes: Option<i64>,
    /// Pushes in any minute; 10 000 if absent.
    pub rate_per_minute: Option<i64>,
    /// Takes a notice that devices with 2 KB buffers cannot receive.
    pub allow_large_notice: bool,
    /// Takes SHA-256 over MQTT, where C SDK 4.x checks nothing.
    pub allow_sha256_over_mqtt: bool,
}

/// Which devices a new job is for.
#[derive(Clone, Debug)]
pub enum NewScope {
    /// Every enabled device that has ever connected.
    All,
    /// Those named.
    Named(Vec<String>),
    /// A share of `All`.
    Percent {
        /// Thousandths of a per cent, 1 to 100 000.
        thousandths: u32,
    },
}

/// A job just made.
#[derive(Clone, Debug)]
pub struct CreatedJob {
    /// The job; its tasks are made in the moments that follow.
    pub job: Job,
    /// Devices that will get a task.
    pub matched: i64,
    /// Devices of the scope that already report the target version.
    pub on_target: i64,
    /// Devices that will get a task which fails at once, because another of theirs is unfinished.
    pub busy: i64,
    /// Bytes of its largest notice as an MQTT packet.
    pub largest_notice: usize,
}

/// Which jobs.
#[derive(Clone, Copy, Debug)]
pub enum JobFilter<'a> {
    /// All.
    All,
    /// Those of a product.
    Product(&'a str),
    /// Those of a package.
    Package(Id),
}

/// The largest notice that fits the 2 KB receive buffers common on small devices.
const LARGE_NOTICE: usize = 1_800;
/// The largest file blocks can be asked for over MQTT (docs/protocol.md 6).
const LARGEST_OVER_MQTT: i64 = 16 * 1024 * 1024;
/// Devices read in one transaction while a scope is looked at.
const LOOKED_AT_ONCE: u32 = 5_000;
const MOST_VERIFY_DEVICES: usize = 10;
const RATE_PER_MINUTE: i64 = 10_000;
const MOST_RATE: i64 = 1_000_000;
const LONGEST_TIMEOUT_MINUTES: i64 = 7 * 24 * 60;

/// The devices of a scope, looked at before the job is made.
struct Matched {
    scope: Scope,
    targets: Vec<Id>,
    matched: i64,
    on_target: i64,
    busy: i64,
}

/// A device a scope may take.
struct Candidate {
    device: Id,
    on_target: bool,
    busy: bool,
}

impl Matched {
    fn new(scope: Scope, targets: Vec<Id>, taken: &[&Candidate]) -> Self {
        let count = |wanted: fn(&Candidate) -> bool| {
            i64::try_from(taken.iter().filter(|c| wanted(c)).count()).unwrap_or(i64::MAX)
        };
        Self {
            scope,
            targets,
            matched: count(|c| !c.on_target),
            on_target: count(|c| c.on_target),
            busy: count(|c| c.busy && !c.on_target),
        }
    }
}

impl Server {
    /// Makes a job. Its tasks follow in chunks.
    pub async fn create_job(&self, new: NewJob) -> Result<CreatedJob, OrderError> {
        check_numbers(&new)?;
        let mut tx = self.read().await?;
        let package = package_in(&mut tx, new.package).await?;
        let product =
            store::products::get(&mut tx, package.product_id).await.map_err(failed("read products"))?;
        let product = product.ok_or_else(|| unknown_package(package.id))?;
        drop(tx);
        check_file(&new, &package)?;
        let largest_notice = self.check_notice(&new, &package, &product)?;
        let matched = self.match_scope(&new, &package, &product).await?;
        let job = self.insert_job(&new, &package, &matched).await?;
        let Matched { matched, on_target, busy, .. } = matched;
        Ok(CreatedJob { job, matched, on_target, busy, largest_notice })
    }

    fn check_notice(&self, new: &NewJob, package: &Package, product: &Product) -> Result<usize, OrderError> {
        let bytes = self.core.writer.largest_notice(package, &product.product_key, new.protocol);
        let bytes = bytes.map_err(|error| match error {
            OfferError::NoPublicUrl => OrderError::conflict(
                "publicUrlUnset",
                "a download over HTTP needs the address devices reach this platform at, and none is set: start it with --public-url http://HOST:1883 (the host as devices see it), or let the file travel over MQTT",
            ),
            error => OrderError::invalid("noticeInvalid", format!("devices could not read the notice: {error}")),
        })?;
        if bytes > LARGE_NOTICE && !new.allow_large_notice {
            let text = format!(
                "the largest notice of this job has {bytes} bytes; devices with the common receive buffer of 2 KB lose notices above {LARGE_NOTICE}. Shorten the public address, or allow large notices if these devices have larger buffers"
            );
            return Err(OrderError::conflict("noticeTooLarge", text)
                .with("bytes", bytes)
                .with("most", LARGE_NOTICE));
        }
        Ok(bytes)
    }

    async fn match_scope(
        &self,
        new: &NewJob,
        package: &Package,
        product: &Product,
    ) -> Result<Matched, OrderError> {
        let matched = match &new.scope {
            NewScope::Named(names) => self.match_named(names, package, product).await?,
            NewScope::All => self.match_share(None, package).await?,
            NewScope::Percent { thousandths } => self.match_share(Some(*thousandths), package).await?,
        };
        if matched.matched > 0 {
            return Ok(matched);
        }
        let text = format!(
            "no device would get a task: {} of the scope already report {:?}, and a device that never connected belongs only to a job that names it",
            matched.on_target, package.version
        );
        Err(OrderError::conflict("noDeviceMatched", text).with("onTarget", matched.on_target))
    }

    async fn match_named(
        &self,
        names: &[String],
        package: &Package,
        product: &Product,
    ) -> Result<Matched, OrderError> {
        let read = failed("read devices");
        let mut tx = self.read().await?;
        let names: Vec<String> = names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let found = store::devices::ids_of(&mut tx, product.id, &names).await.map_err(&read)?;
        let missing: Vec<&String> = names.iter().filter(|name| !found.contains_key(*name)).collect();
        if !missing.is_empty() {
            let first: Vec<&str> = missing.iter().take(10).map(|n| n.as_str()).collect();
            let text = format!(
                "{} of the {} devices named are not in the product {:?}, among them {}",
                missing.len(),
                names.len(),
                product.product_key,
                first.join(", ")
            );
            return Err(OrderError::not_found("deviceNotFound", text)
                .with("missing", missing.len())
                .with("first", first));
        }
        let targets: Vec<Id> = found.into_values().collect();
        let candidates = candidates(&mut tx, &targets, package).await?;
        Ok(Matched::new(Scope::Named, targets, &candidates.iter().collect::<Vec<_>>()))
    }

    /// Looks at every device the scope could take, in short reads.
    async fn match_share(&self, thousandths: Option<u32>, package: &Package) -> Result<Matched, OrderError> {
        let read = failed("read devices");
        let (mut found, mut cursor, mut end) = (Vec::new(), 0, false);
        while !end {
            let mut tx = self.read().await?;
            let (devices, last) =
                rows::enrollable(&mut tx, package.product_id, cursor, LOOKED_AT_ONCE).await.map_err(&read)?;
            found.append(&mut candidates(&mut tx, &devices, package).await?);
            cursor = devices.last().copied().unwrap_or(cursor);
            end = last;
        }
        Ok(share(thousandths, package.id, &found))
    }

    async fn insert_job(
        &self,
        new: &NewJob,
        package: &Package,
        matched: &Matched,
    ) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let mut package = package_in(&mut unit.tx, package.id).await?;
        check_verified(new, &package)?;
        let job = Job {
            id: self.core.next_id(),
            product_id: package.product_id,
            package_id: package.id,
            kind: new.kind,
            state: JobState::InProgress,
            scope: matched.scope,
            need_push: new.need_push,
            protocol: new.protocol,
            timeout_ms: new.timeout_minutes.map(|m| m * 60_000),
            rate_per_minute: new.rate_per_minute.unwrap_or(RATE_PER_MINUTE),
            next_push_us: 0,
            work: Some(Work::Enrol { cursor: 0 }),
            created_at: unit.now,
            ended_at: None,
            counts: Counts::default(),
        };
        let write = failed("make a job");
        store::jobs::create(&mut unit.tx, &job, &matched.targets).await.map_err(&write)?;
        let mut changes = Changes::default();
        changes.timers.insert(Timer::Work(job.id), Some(unit.now));
        unit.told(job.product_id, None, Some(job.id), EventKind::JobCreated);
        if new.kind == JobKind::Verify {
            package.state = PackageState::Verifying;
            let kind = EventKind::PackageState { package: package.id, state: package.state };
            unit.told(job.product_id, None, Some(job.id), kind);
            changes.packages.push(package);
        }
        unit.write(&changes).await.map_err(&write)?;
        unit.finish().await?;
        Ok(job)
    }

    /// Jobs in the order they were made.
    pub async fn jobs(&self, filter: JobFilter<'_>, paging: Paging) -> Result<Slice<Job, Id>, OrderError> {
        let mut tx = self.read().await?;
        let filter = match filter {
            JobFilter::All => Filter::All,
            JobFilter::Product(key) => Filter::Product(product_in(&mut tx, key).await?.id),
            JobFilter::Package(id) => Filter::Package(id),
        };
        store::jobs::list(&mut tx, filter, paging.after, paging.limit).await.map_err(failed("read jobs"))
    }

    /// One job with its counts.
    pub async fn job(&self, id: Id) -> Result<Job, OrderError> {
        let mut tx = self.read().await?;
        job_in(&mut tx, id).await
    }

    /// Cancels a job: from now on nothing of it is pushed or answered; its unfinished tasks end in
    /// the moments that follow.
    pub async fn cancel_job(&self, id: Id) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, id).await?;
        if job.state != JobState::InProgress {
            let text = format!(
                "the job {} has ended already; only a running job can be cancelled",
                IdKind::Job.text(id)
            );
            return Err(OrderError::conflict("jobEnded", text).with("job", IdKind::Job.text(id)));
        }
        unit.order(Input::CancelJob(id)).await?;
        unit.finish().await?;
        self.job(id).await
    }

    /// Starts every failed or cancelled task of a job again, unless its device has another
    /// unfinished task.
    pub async fn reupgrade_job(&self, id: Id) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, id).await?;
        if job.work.is_some() {
            let text = format!(
                "the job {} is still busy with its last order; try again in a moment",
                IdKind::Job.text(id)
            );
            return Err(OrderError::conflict("jobBusy", text).with("job", IdKind::Job.text(id)));
        }
        check_again(&mut unit.tx, &job).await?;
        if job.counts.get(TaskState::Failed) + job.counts.get(TaskState::Canceled) == 0 {
            let text =
                format!("the job {} has no failed or cancelled task to start again", IdKind::Job.text(id));
            return Err(OrderError::conflict("nothingToReupgrade", text).with("job", IdKind::Job.text(id)));
        }
        unit.order(Input::ReupgradeJob(id)).await?;
        unit.finish().await?;
        self.job(id).await
    }

    /// The tasks of a job in the order they were made, of one state or of all.
    pub async fn job_tasks(
        &self,
        id: Id,
        state: Option<TaskState>,
        paging: Paging,
    ) -> Result<Slice<TaskView, Id>, OrderError> {
        let mut tx = self.read().await?;
        job_in(&mut tx, id).await?;
        let found = store::tasks::list_by_job(&mut tx, id, state, paging.after, paging.limit).await;
        found.map_err(failed("read tasks"))
    }

    /// One task.
    pub async fn task(&self, id: Id) -> Result<TaskView, OrderError> {
        let mut tx = self.read().await?;
        let found = store::tasks::get(&mut tx, id).await.map_err(failed("read tasks"))?;
        found.ok_or_else(|| unknown_task(id))
    }

    /// Cancels one task.
    pub async fn cancel_task(&self, id: Id) -> Result<TaskView, OrderError> {
        let view = self.task(id).await?;
        if view.task.state.is_terminal() {
            let text = format!(
                "the task {} has ended already ({})",
                IdKind::Task.text(id),
                view.task.state.as_str()
            );
            return Err(OrderError::conflict("taskEnded", text).with("state", view.task.state.as_str()));
        }
        let mut unit = self.begin().await?;
        unit.order(Input::CancelTask(id)).await?;
        unit.finish().await?;
        self.task(id).await
    }

    /// Starts a failed or cancelled task again.
    pub async fn reupgrade_task(&self, id: Id) -> Result<TaskView, OrderError> {
        let view = self.task(id).await?;
        if !matches!(view.task.state, TaskState::Failed | TaskState::Canceled) {
            let text = format!(
                "the task {} is {}; only a failed or cancelled one can be started again",
                IdKind::Task.text(id),
                view.task.state.as_str()
            );
            return Err(OrderError::conflict("taskNotEnded", text).with("state", view.task.state.as_str()));
        }
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, view.task.job_id).await?;
        check_again(&mut unit.tx, &job).await?;
        let changes = unit.order(Input::ReupgradeTask(id)).await?;
        if changes == 0 {
            let text = format!(
                "the task {} cannot be started again now: its device has another unfinished task, or its job is still busy with its last order",
                IdKind::Task.text(id)
            );
            return Err(OrderError::conflict("taskBlocked", text).with("task", IdKind::Task.text(id)));
        }
        unit.finish().await?;
        self.task(id).await
    }
}

impl Unit {
    /// Carries an order out; tells how many tasks and jobs it changed.
    async fn order(&mut self, input: Input) -> Result<usize, OrderError> {
        let inputs = vec![input];
        let changes = self.decide(&keys(&inputs), inputs).await.map_err(failed("carry out an order"))?;
        Ok(changes.tasks.len() + changes.jobs.len())
    }

    /// Cancels what a device has not finished.
    pub(super) async fn cancel_tasks_of(&mut self, device: Id) -> Result<(), OrderError> {
        let failed = failed("cancel the tasks of a device");
        let keys = Keys { devices: BTreeSet::from([device]), ..Keys::default() };
        let found = rows::load(&mut self.tx, &keys, self.now).await.map_err(&failed)?;
        let inputs = found.tasks.into_keys().map(Input::CancelTask).collect();
        self.decide(&keys, inputs).await.map_err(&failed)?;
        Ok(())
    }
}

async fn candidates(tx: &mut Tx, devices: &[Id], package: &Package) -> Result<Vec<Candidate>, OrderError> {
    let read = failed("read devices");
    let versions = store::targets::versions_of(tx, devices, &package.module).await.map_err(&read)?;
    let busy = store::targets::busy(tx, devices).await.map_err(&read)?;
    let candidate = |device: &Id| Candidate {
        device: *device,
        on_target: versions.get(device).is_some_and(|v| *v == package.version),
        busy: busy.contains(device),
    };
    Ok(devices.iter().map(candidate).collect())
}

/// Of all devices the `floor(n·p/100)` with the lowest spreads, at least one. Those on target are
/// left out only then, so that a share stays a part of a larger one while it succeeds.
fn share(thousandths: Option<u32>, package: Id, found: &[Candidate]) -> Matched {
    let Some(thousandths) = thousandths else {
        return Matched::new(Scope::All, Vec::new(), &found.iter().collect::<Vec<_>>());
    };
    let mut spreads: Vec<i64> = found.iter().map(|c| spread(package, c.device)).collect();
    let wanted = (found.len() as u64 * u64::from(thousandths) / 100_000).max(1) as usize;
    let threshold = match wanted.min(found.len()).checked_sub(1) {
        Some(last) => *spreads.select_nth_unstable(last).1,
        None => i64::MIN,
    };
    let taken: Vec<&Candidate> = found.iter().filter(|c| spread(package, c.device) <= threshold).collect();
    Matched::new(Scope::Percent { thousandths, threshold }, Vec::new(), &taken)
}

fn check_numbers(new: &NewJob) -> Result<(), OrderError> {
    let range = |field: &'static str, value: Option<i64>, most: i64| {
        if value.is_none_or(|v| (1..=most).contains(&v)) {
            return Ok(());
        }
        let text = format!("{field} {} is not allowed: 1 to {most}", value.unwrap_or(0));
        Err(OrderError::invalid("numberInvalid", text).with("field", field).with("most", most))
    };
    range("timeoutMinutes", new.timeout_minutes, LONGEST_TIMEOUT_MINUTES)?;
    range("ratePerMinute", new.rate_per_minute, MOST_RATE)?;
    match &new.scope {
        NewScope::Percent { thousandths } if !(1..=100_000).contains(thousandths) => {
            Err(OrderError::invalid("percentInvalid", "the per cent of a job are 0.001 to 100"))
        }
        NewScope::Named(names) if names.is_empty() => {
            Err(OrderError::invalid("noDeviceNamed", "a job for named devices must name at least one"))
        }
        NewScope::Named(names) if new.kind == JobKind::Verify && names.len() > MOST_VERIFY_DEVICES => {
            let text = format!(
                "{} devices are too many for a verification: at most {MOST_VERIFY_DEVICES}",
                names.len()
            );
            Err(OrderError::invalid("tooManyDevices", text))
        }
        NewScope::Named(_) => Ok(()),
        _ if new.kind == JobKind::Verify => {
            Err(OrderError::invalid("verifyNamesDevices", "a verification is for devices named one by one"))
        }
        _ => Ok(()),
    }
}

fn check_file(new: &NewJob, package: &Package) -> Result<(), OrderError> {
    if new.protocol != Protocol::Mqtt {
        return Ok(());
    }
    if package.size > LARGEST_OVER_MQTT {
        let text = format!(
            "the file has {} bytes; over MQTT at most {LARGEST_OVER_MQTT} can be asked for. Let it travel over HTTP",
            package.size
        );
        return Err(OrderError::conflict("fileTooLargeForMqtt", text).with("bytes", package.size));
    }
    if package.sign_method == SignMethod::Sha256 && !new.allow_sha256_over_mqtt {
        let text = "the package is signed with SHA-256, which C SDK 4.x does not check when the file travels over MQTT. Use a package signed with MD5, let it travel over HTTP, or allow it if these devices check it";
        return Err(OrderError::conflict("sha256OverMqtt", text));
    }
    Ok(())
}

fn check_verified(new: &NewJob, package: &Package) -> Result<(), OrderError> {
    let id = IdKind::Package.text(package.id);
    let state = package.state;
    let (ok, code, text) = match new.kind {
        JobKind::Verify => (
            matches!(state, PackageState::Unverified | PackageState::Failed),
            "packageNotVerifiable",
            format!("the package {id} is {state:?}: a verification starts only from Unverified or Failed"),
        ),
        JobKind::Static => (
            matches!(state, PackageState::Verified | PackageState::NotRequired),
            "packageNotVerified",
            format!(
                "the package {id} is {state:?}: verify it on a test device first (otaru job verify {id} DEVICE), or upload it with verification turned off"
            ),
        ),
    };
    if ok { Ok(()) } else { Err(OrderError::conflict(code, text).with("package", id)) }
}

async fn check_again(tx: &mut Tx, job: &Job) -> Result<(), OrderError> {
    let package = package_in(tx, job.package_id).await?;
    if rollout::may_run_again(job, Some(&package)) {
        return Ok(());
    }
    let (job, id) = (IdKind::Job.text(job.id), IdKind::Package.text(package.id));
    let text = format!(
        "the package {id} is {:?}: the verification {job} has ended and starts again only from Unverified or Failed",
        package.state
    );
    Err(OrderError::conflict("packageNotVerifiable", text).with("job", job).with("package", id))
}

async fn job_in(tx: &mut Tx, id: Id) -> Result<Job, OrderError> {
    let found = store::jobs::get(tx, id).await.map_err(failed("read jobs"))?;
    found.ok_or_else(|| unknown_job(id))
}

fn unknown_job(id: Id) -> OrderError {
    let id = IdKind::Job.text(id);
    OrderError::not_found("jobNotFound", format!("there is no job {id}")).with("job", id)
}

fn unknown_task(id: Id) -> OrderError {
    let id = IdKind::Task.text(id);
    OrderError::not_found("taskNotFound", format!("there is no task {id}")).with("task", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(n: i64) -> Vec<Candidate> {
        (0..n).map(|device| Candidate { device, on_target: false, busy: device % 10 == 0 }).collect()
    }

    #[test]
    fn a_share_is_the_floor_but_at_least_one() {
        let matched = |thousandths, n| share(Some(thousandths), 7, &fleet(n)).matched;
        assert_eq!(
            (matched(10_000, 55), matched(1, 55), matched(100_000, 55), matched(50_000, 0)),
            (5, 1, 55, 0)
        );
        let all = share(None, 7, &fleet(55));
        assert_eq!((all.matched, all.busy, all.scope), (55, 6, Scope::All));
    }

    #[test]
    fn a_share_that_succeeded_is_a_part_of_a_larger_one() {
        let mut fleet = fleet(100);
        let Scope::Percent { threshold, .. } = share(Some(10_000), 7, &fleet).scope else {
            panic!("no share")
        };
        for candidate in &mut fleet {
            candidate.on_target = spread(7, candidate.device) <= threshold;
        }
        let larger = share(Some(30_000), 7, &fleet);
        assert_eq!((larger.matched, larger.on_target), (20, 10));
    }
}
