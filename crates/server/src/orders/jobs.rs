//! Jobs and their tasks.

use std::collections::BTreeSet;

use rollout::{
    CancelStates, Changes, Counts, EventKind, Gate, Hold, Id, Input, Job, JobKind, JobState, Overwrite,
    Package, PackageState, Product, Protocol, Share, SignMethod, Task, Terms, Timer, Wave, Work,
};
use serde_json::{Value, json};
use store::committer::{self as rows, Keys};
use store::jobs::Filter;
use store::{Order, Slice, Tx};

use super::forecast::{Forecast, Moment, Prospect};
use super::packages::{package_in, unknown_package};
use super::windows::{check_budget, check_opening, check_windows};
use super::{Paging, failed, product_in};
use crate::Server;
use crate::committer::keys;
use crate::core::Unit;
use crate::downlink::OfferError;
use crate::error::OrderError;
use crate::ids::IdKind;
use crate::zones::moment;

/// What a new job is made of.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The package.
    pub package: Id,
    /// What it is for.
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
    /// What else is settled.
    pub terms: Terms,
    /// Takes a notice that devices with 2 KB buffers cannot receive.
    pub allow_large_notice: bool,
    /// Takes SHA-256 over MQTT, where C SDK 4.x checks nothing.
    pub allow_sha256_over_mqtt: bool,
}

impl NewJob {
    /// Pushes in any minute.
    pub(super) fn rate(&self) -> i64 {
        self.rate_per_minute.unwrap_or(RATE_PER_MINUTE)
    }
}

/// Which devices a new job is for.
#[derive(Clone, Debug)]
pub enum NewScope {
    /// Every enabled device that has ever connected.
    All,
    /// Those named.
    Named(Vec<String>),
    /// Those of a list.
    Csv {
        /// Names, separated by commas or line ends; a first line may name columns, as in an import.
        csv: String,
        /// Whether names that are no devices of the product are left out; else the job is refused.
        leave_out_unknown: bool,
    },
    /// A share of `All`.
    Percent {
        /// Thousandths of a per cent, 1 to 100 000.
        thousandths: u32,
    },
    /// Those of `All` that a filter means (docs/filters.md).
    Filter(String),
    /// Those of `All` in this group.
    Group(String),
}

/// A job just made.
#[derive(Clone, Debug)]
pub struct CreatedJob {
    /// The job; its tasks are made in the moments that follow.
    pub job: Job,
    /// What was found of its devices.
    pub forecast: Forecast,
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
const MOST_VERIFY_DEVICES: usize = 10;
const RATE_PER_MINUTE: i64 = 10_000;
const MOST_RATE: i64 = 1_000_000;
const LONGEST_TIMEOUT_MINUTES: i64 = 7 * 24 * 60;
const LONGEST_WAIT_MINUTES: i64 = 365 * 24 * 60;
const MOST_ATTEMPTS: i64 = 100;
const MOST_PUSHES: i64 = 10_000;

impl Server {
    /// Makes a job. Its tasks follow in chunks.
    pub async fn create_job(&self, new: NewJob) -> Result<CreatedJob, OrderError> {
        let (package, prospect) = self.prospect(&new, Moment::Now).await?;
        if new.kind != JobKind::Dynamic {
            check_matched(&package, &prospect.forecast)?;
            check_first_wave(&prospect)?;
        }
        let job = self.insert_job(&new, &package, &prospect).await?;
        Ok(CreatedJob { job, forecast: prospect.forecast })
    }

    /// Tells what a job would do, and refuses what would be refused; nothing is made. Where looking at the devices takes
    /// long, what they say and whether they are connected may be of some seconds ago.
    pub async fn forecast_job(&self, new: &NewJob) -> Result<Forecast, OrderError> {
        let (package, prospect) = self.prospect(new, Moment::Lately).await?;
        check_verified(new, &package)?;
        check_schedule(&new.terms, self.core.now())?;
        check_soaks(&new.terms, self.core.now())?;
        Ok(prospect.forecast)
    }

    async fn prospect(&self, new: &NewJob, moment: Moment) -> Result<(Package, Prospect), OrderError> {
        check_terms(new)?;
        check_scope(new)?;
        let mut tx = self.read().await?;
        let package = package_in(&mut tx, new.package).await?;
        let product =
            store::products::get(&mut tx, package.product_id).await.map_err(failed("read products"))?;
        let product = product.ok_or_else(|| unknown_package(package.id))?;
        drop(tx);
        check_file(new, &package)?;
        check_sources(new, &package)?;
        let largest_notice = self.check_notice(new, &package, &product)?;
        let mut prospect = self.look(new, &package, &product, largest_notice, moment).await?;
        if new.protocol == Protocol::Http {
            prospect.forecast.warnings = self.http_warnings();
        }
        Ok((package, prospect))
    }

    pub(super) fn check_notice(
        &self,
        new: &NewJob,
        package: &Package,
        product: &Product,
    ) -> Result<usize, OrderError> {
        let bytes =
            self.core.writer.largest_notice(package, &product.product_key, new.protocol, &new.terms.tags);
        let bytes = bytes.map_err(|error| match error {
            OfferError::NoPublicUrl => OrderError::conflict(
                "publicUrlUnset",
                "a download over HTTP needs the address devices reach this platform at, and none is set: start it with --public-url http://HOST:1883 (or https://, the host as devices see it), or let the file travel over MQTT",
            ),
            error => OrderError::invalid("noticeInvalid", format!("devices could not read the notice: {error}")),
        })?;
        if bytes > LARGE_NOTICE && !new.allow_large_notice {
            let text = format!(
                "the largest notice of this job has {bytes} bytes; devices with the common receive buffer of 2 KB lose notices above {LARGE_NOTICE}. Shorten the public address, make the package of fewer files, or allow large notices if these devices have larger buffers"
            );
            return Err(OrderError::conflict("noticeTooLarge", text)
                .with("bytes", bytes)
                .with("most", LARGE_NOTICE));
        }
        Ok(bytes)
    }

    async fn insert_job(
        &self,
        new: &NewJob,
        package: &Package,
        prospect: &Prospect,
    ) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let mut package = package_in(&mut unit.tx, package.id).await?;
        check_verified(new, &package)?;
        check_schedule(&new.terms, unit.now)?;
        check_soaks(&new.terms, unit.now)?;
        let terms = prospect.terms.clone();
        let gate = Gate::of(&terms, unit.now);
        let work = (!terms.only_new).then_some(Work::Enrol { cursor: 0 });
        let job = Job {
            id: self.core.next_id(),
            product_id: package.product_id,
            package_id: package.id,
            kind: new.kind,
            state: if new.terms.start_at.is_some() { JobState::Planned } else { JobState::InProgress },
            scope: prospect.scope.clone(),
            need_push: new.need_push,
            protocol: new.protocol,
            timeout_ms: new.timeout_minutes.map(|m| m * 60_000),
            rate_per_minute: new.rate(),
            next_push_us: 0,
            offered_until_us: 0,
            terms,
            hold: None,
            held_at: None,
            held_ms: 0,
            gate: Some(gate),
            work,
            release: None,
            created_at: unit.now,
            closed_at: None,
            ended_at: None,
            counts: Counts::default(),
        };
        let write = failed("make a job");
        store::jobs::create(&mut unit.tx, &job, &prospect.targets).await.map_err(&write)?;
        let mut changes = Changes::default();
        let timers = [
            (Timer::Work(job.id), job.work.map(|_| unit.now)),
            (Timer::Start(job.id), job.terms.start_at),
            (Timer::Finish(job.id), job.terms.end_at),
        ];
        changes.timers.extend(timers.into_iter().filter(|(_, at)| at.is_some()));
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

    /// Jobs, of one state or of all, in the order they were made, or against it.
    pub async fn jobs(
        &self,
        filter: JobFilter<'_>,
        state: Option<JobState>,
        order: Order,
        paging: Paging,
    ) -> Result<Slice<Job, Id>, OrderError> {
        let mut tx = self.read().await?;
        let filter = match filter {
            JobFilter::All => Filter::All,
            JobFilter::Product(key) => Filter::Product(product_in(&mut tx, key).await?.id),
            JobFilter::Package(id) => Filter::Package(id),
        };
        store::jobs::list(&mut tx, filter, state, order, paging.after, paging.limit)
            .await
            .map_err(failed("read jobs"))
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
        if matches!(job.state, JobState::Completed | JobState::Canceled) {
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

    /// Cancels the unfinished tasks of a job that are in some states, in the moments that follow. A job
    /// left without unfinished tasks is cancelled.
    pub async fn cancel_job_tasks(&self, id: Id, states: CancelStates) -> Result<Job, OrderError> {
        if states == CancelStates::default() {
            let text =
                "states must name at least one of CONFIRM, QUEUED, NOTIFIED and IN_PROGRESS, and no other";
            return Err(OrderError::invalid("statesInvalid", text).with("field", "states"));
        }
        let why = "tasks are cancelled by their states in a job that has not ended and is not busy with another order";
        self.order_job(id, Input::CancelSome { job: id, states }, "jobBusy", why).await
    }

    /// Cancels every job of a package that has not ended.
    pub async fn cancel_package_jobs(&self, package: Id) -> Result<Vec<Job>, OrderError> {
        let (mut canceled, mut after) = (Vec::new(), None);
        loop {
            let paging = Paging { after, limit: 200 };
            let page = self.jobs(JobFilter::Package(package), None, Order::Oldest, paging).await?;
            for job in page.items.iter().filter(|job| job.ended_at.is_none()) {
                match self.cancel_job(job.id).await {
                    Ok(job) => canceled.push(job),
                    // By itself or by another operator, since the page was read.
                    Err(error) if error.code == "jobEnded" => {}
                    Err(error) => return Err(error),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(canceled);
            }
        }
    }

    /// Holds a running job: nothing of it is pushed or answered, running downloads go on.
    pub async fn pause_job(&self, id: Id) -> Result<Job, OrderError> {
        let why = "only a running job that is not held can be paused";
        self.order_job(id, Input::PauseJob(id), "jobNotRunning", why).await
    }

    /// Lets a held job go on.
    pub async fn resume_job(&self, id: Id) -> Result<Job, OrderError> {
        self.order_job(id, Input::ResumeJob(id), "jobNotHeld", "only a held job can be resumed").await
    }

    /// Lets a dynamic job take no more devices. Its tasks go on, and it is cancelled when the last has ended.
    pub async fn close_job(&self, id: Id) -> Result<Job, OrderError> {
        let why = "only a dynamic job that takes devices can be closed; cancel others";
        self.order_job(id, Input::CloseJob(id), "jobTakesNoDevices", why).await
    }

    /// Opens the next wave of a job without waiting for the gate of `wave`, counted from 0, if that is the open one.
    pub async fn skip_wave(&self, id: Id, wave: i32) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, id).await?;
        check_open_wave(&job, wave)?;
        let why = "only a running job that is not held and has a wave left can skip to it";
        self.order_in(unit, &job, Input::SkipWave { job: id, wave }, "noWaveToOpen", why).await
    }

    /// Approves every task of a job that waits for it; they go in the moments that follow.
    pub async fn approve_job(&self, id: Id) -> Result<Job, OrderError> {
        let why = "only tasks of a running job within its schedule can be approved, when it is not busy with another order";
        self.order_job(id, Input::ConfirmJob(id), "jobNotRunning", why).await
    }

    /// Carries out an order that a job can be in no state for.
    async fn order_job(
        &self,
        id: Id,
        input: Input,
        code: &'static str,
        why: &str,
    ) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, id).await?;
        self.order_in(unit, &job, input, code, why).await
    }

    /// The same for a job that was just read.
    async fn order_in(
        &self,
        mut unit: Unit,
        job: &Job,
        input: Input,
        code: &'static str,
        why: &str,
    ) -> Result<Job, OrderError> {
        let id = job.id;
        if unit.order(input).await? == 0 {
            let held = match job.hold {
                None => "",
                Some(Hold::Paused) => " and paused",
                Some(Hold::Halted { .. }) => " and halted",
            };
            let text = format!("the job {} is {}{held}: {why}", IdKind::Job.text(id), word(json!(job.state)));
            return Err(OrderError::conflict(code, text).with("job", IdKind::Job.text(id)));
        }
        unit.finish().await?;
        self.job(id).await
    }

    /// Starts the failed tasks of a job again, and if it was cancelled those cancelled with it, unless their device has
    /// another unfinished task or has succeeded in a later job.
    pub async fn reupgrade_job(&self, id: Id) -> Result<Job, OrderError> {
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, id).await?;
        unit.check_again(&job).await?;
        let canceled = job.state == JobState::Canceled;
        if !store::tasks::any_to_restart(&mut unit.tx, id, canceled).await.map_err(failed("read tasks"))? {
            return Err(nothing_to_reupgrade(&job));
        }
        unit.order(Input::ReupgradeJob(id)).await?;
        unit.finish().await?;
        self.job(id).await
    }
}

impl Unit {
    /// Carries an order out; tells how many tasks and jobs it changed.
    pub(super) async fn order(&mut self, input: Input) -> Result<usize, OrderError> {
        let inputs = vec![input];
        let changes = self.decide(&keys(&inputs), inputs).await.map_err(failed("carry out an order"))?;
        Ok(changes.tasks.len() + changes.jobs.len())
    }

    /// Whether tasks of a job may start again.
    pub(super) async fn check_again(&mut self, job: &Job) -> Result<(), OrderError> {
        let refuse =
            |code, text: String| Err(OrderError::conflict(code, text).with("job", IdKind::Job.text(job.id)));
        let name = IdKind::Job.text(job.id);
        if job.work.is_some() {
            return refuse(
                "jobBusy",
                format!("the job {name} is still busy with its last order; try again in a moment"),
            );
        }
        if let Some(end) = job.terms.end_at.filter(|_| job.is_over(self.now)) {
            let end = moment(end);
            let text = format!(
                "the job {name} reached its end at {end}: nothing of it starts again after that. Make a new job for these devices"
            );
            return refuse("jobOver", text).map_err(|error| error.with("endAt", end));
        }
        let package = package_in(&mut self.tx, job.package_id).await?;
        if rollout::may_run_again(job, Some(&package)) {
            return Ok(());
        }
        let id = IdKind::Package.text(package.id);
        let text = format!(
            "the package {id} is {}: the verification {name} has ended and starts again only from UNVERIFIED or FAILED",
            word(json!(package.state))
        );
        refuse("packageNotVerifiable", text).map_err(|error| error.with("package", id))
    }

    /// Cancels what devices have not finished, as far as it is wanted; tells which tasks those are.
    pub(super) async fn cancel_tasks_of(
        &mut self,
        devices: BTreeSet<Id>,
        wanted: impl Fn(&Task) -> bool,
    ) -> Result<Vec<Id>, OrderError> {
        let failed = failed("cancel the tasks of a device");
        let keys = Keys { devices, ..Keys::default() };
        let found = rows::load(&mut self.tx, &keys, self.now).await.map_err(&failed)?;
        let tasks: Vec<Id> = found.tasks.values().filter(|t| wanted(t)).map(|t| t.id).collect();
        let inputs = tasks.iter().copied().map(Input::CancelTask).collect();
        self.decide(&keys, inputs).await.map_err(&failed)?;
        Ok(tasks)
    }
}

pub(super) fn check_terms(new: &NewJob) -> Result<(), OrderError> {
    let range = |field: &'static str, value: Option<i64>, least: i64, most: i64| {
        let Some(value) = value.filter(|v| !(least..=most).contains(v)) else { return Ok(()) };
        let text = format!("{field} {value} is not allowed: {least} to {most}");
        let error = OrderError::invalid("numberInvalid", text).with("field", field).with("value", value);
        Err(error.with("least", least).with("most", most))
    };
    range("timeoutMinutes", new.timeout_minutes, 1, LONGEST_TIMEOUT_MINUTES)?;
    range("ratePerMinute", new.rate_per_minute, 1, MOST_RATE)?;
    let terms = &new.terms;
    range("attempts", Some(terms.attempts.into()), 1, MOST_ATTEMPTS)?;
    // A limit of 0 is none, and no longer there.
    let start_timeout = terms.start_timeout_ms.map(minutes);
    range("startTimeoutMinutes", start_timeout, 0, LONGEST_TIMEOUT_MINUTES)?;
    range("mostPushes", terms.most_pushes.map(i64::from), 0, MOST_PUSHES)?;
    range("soakMinutes", Some(minutes(terms.soak_ms)), 0, LONGEST_WAIT_MINUTES)?;
    range("maxWaitMinutes", terms.max_wait_ms.map(minutes), 0, LONGEST_WAIT_MINUTES)?;
    range("lostAfterMinutes", terms.lost_ms.map(minutes), 0, LONGEST_WAIT_MINUTES)?;
    check_retry(new)?;
    check_conflicts(terms)?;
    check_lists(terms)?;
    check_gates(new)?;
    check_end(terms)?;
    check_windows(terms)?;
    check_budget(terms)?;
    check_policy(new)
}

fn check_scope(new: &NewJob) -> Result<(), OrderError> {
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
            let text = "a verification is for devices named one by one: give a scope of kind named";
            Err(OrderError::invalid("verifyNamesDevices", text).with("fields", ["scope", "kind"]))
        }
        _ => Ok(()),
    }
}

/// Rounded so that what is negative stays so.
const fn minutes(ms: i64) -> i64 {
    ms.div_euclid(60_000)
}

/// A dynamic job is for whoever comes to be one it is for, and for nobody named, counted or in waves.
fn check_policy(new: &NewJob) -> Result<(), OrderError> {
    let refuse = |fields: &[&str], text: &str| {
        Err(OrderError::invalid("policyInvalid", text).with("fields", fields.to_vec()))
    };
    if new.kind != JobKind::Dynamic {
        return match new.terms.only_new {
            true => refuse(&["onlyNew", "kind"], "onlyNew true is for a job of kind DYNAMIC"),
            false => Ok(()),
        };
    }
    if !matches!(new.scope, NewScope::All | NewScope::Filter(_) | NewScope::Group(_)) {
        return refuse(
            &["scope", "kind"],
            "a job of kind DYNAMIC has the scope all, filter or group: devices that are named or counted do not become more",
        );
    }
    if new.terms.count_waves() > 0 {
        return refuse(
            &["waves", "kind"],
            "waves are for a job of kind STATIC: nobody knows yet whom a dynamic one takes",
        );
    }
    Ok(())
}

/// Nobody who runs the target is upgraded to it, and a difference is for one version only.
fn check_listed_sources(new: &NewJob, package: &Package) -> Result<(), OrderError> {
    let listed = &new.terms.src_versions;
    let refuse = |text: String| {
        Err(OrderError::invalid("termsContradict", text).with("fields", ["srcVersions", "packageId"]))
    };
    if listed.contains(&package.version) {
        return refuse(format!(
            "srcVersions names {:?}, which is the version of the package: no device that reports it is upgraded. Leave it out",
            package.version
        ));
    }
    match &package.src_version {
        Some(source) if listed.iter().any(|version| version != source) => refuse(format!(
            "the package is a difference to the version {source:?}, and srcVersions names others: it may name that one, or be left out"
        )),
        _ => Ok(()),
    }
}

/// Some SDKs report a made-up version before the real one, at every connect: whoever is for any version but the
/// target is for that one too.
pub(super) fn check_sources(new: &NewJob, package: &Package) -> Result<(), OrderError> {
    check_listed_sources(new, package)?;
    let all = matches!(new.scope, NewScope::All) && new.terms.src_versions.is_empty();
    if new.kind != JobKind::Dynamic || !all || package.src_version.is_some() {
        return Ok(());
    }
    let text = "a job of kind DYNAMIC for all devices must name in srcVersions the versions it is for, unless its package is a difference";
    Err(OrderError::invalid("policyInvalid", text).with("fields", ["srcVersions", "kind"]))
}

/// The timeout counts on over attempts: an interval as long as it would leave no time for a second.
fn check_retry(new: &NewJob) -> Result<(), OrderError> {
    let interval = minutes(new.terms.retry_interval_ms);
    let timeout = new.timeout_minutes.filter(|_| new.terms.attempts > 1);
    let most = timeout.map_or(LONGEST_TIMEOUT_MINUTES, |timeout| timeout - 1);
    if (0..=most).contains(&interval) {
        return Ok(());
    }
    let text = format!(
        "retryIntervalMinutes {interval} is not allowed: 0 to {most}{}",
        if timeout.is_some() { ", so that it is shorter than timeoutMinutes" } else { "" }
    );
    let error = OrderError::invalid("retryIntervalInvalid", text)
        .with("field", "retryIntervalMinutes")
        .with("value", interval)
        .with("least", 0)
        .with("most", most);
    Err(if timeout.is_some() {
        error.with("fields", ["retryIntervalMinutes", "timeoutMinutes"])
    } else {
        error
    })
}

fn check_conflicts(terms: &Terms) -> Result<(), OrderError> {
    if !(terms.multi_module && terms.overwrite == Overwrite::Replace) {
        return Ok(());
    }
    let text = "multiModule true does not go with overwrite replace: it replaces tasks of the same module anyway, and lets those of others run. Allowed are keep and queue";
    Err(OrderError::invalid("termsContradict", text).with("fields", ["multiModule", "overwrite"]))
}

const MOST_WAVES: usize = 50;

fn check_gates(new: &NewJob) -> Result<(), OrderError> {
    let terms = &new.terms;
    let refuse =
        |field: &'static str, text: &str| Err(OrderError::invalid("gateInvalid", text).with("field", field));
    let part = |thousandths: u32| (1..=100_000).contains(&thousandths);
    let fits = |share: Share| match share {
        Share::Count { n } => n > 0,
        Share::Percent { thousandths } => part(thousandths),
    };
    let grows = |pair: &[Wave]| match (pair[0].share, pair[1].share) {
        (Share::Count { n: a }, Share::Count { n: b }) => a < b,
        (Share::Percent { thousandths: a }, Share::Percent { thousandths: b }) => a < b,
        (Share::Count { .. }, Share::Percent { thousandths }) => thousandths == 100_000,
        (Share::Percent { .. }, Share::Count { .. }) => false,
    };
    if terms.count_waves() > 0 && new.kind == JobKind::Verify {
        let text = "waves are for a job of kind STATIC: a verification is for a few devices named one by one";
        return Err(OrderError::invalid("policyInvalid", text).with("fields", ["waves", "kind"]));
    }
    if terms.count_waves() == 1 && new.kind == JobKind::Static {
        return refuse(
            "waves",
            "waves names only one, and the last takes all that is left: name at least two, as 10 and 100 per cent, or leave waves out",
        );
    }
    let groups: BTreeSet<&str> = terms.wave_groups.iter().map(|wave| wave.name.as_str()).collect();
    if terms.count_waves() > MOST_WAVES
        || groups.len() < terms.wave_groups.len()
        || !terms.waves.iter().all(|w| fits(w.share))
        || !terms.waves.windows(2).all(grows)
    {
        return refuse(
            "waves",
            "waves are at most 50: groups first, each once, then shares, each larger than the one before: all as numbers of devices or all as 0.001 to 100 per cent; the last may be 100 per cent in any case, and takes what is left",
        );
    }
    if !fits(terms.min_success) {
        return refuse("minSuccess", "minSuccess must be at least one success, or 0.001 to 100 per cent");
    }
    if terms.max_wait_ms.is_some_and(|wait| wait < terms.soak_ms) {
        let (wait, soak) = (terms.max_wait_ms.map_or(0, minutes), minutes(terms.soak_ms));
        let text = format!(
            "maxWaitMinutes {wait} must not be shorter than soakMinutes {soak}: raise the one (0 is no limit) or lower the other"
        );
        return Err(
            OrderError::invalid("termsContradict", text).with("fields", ["maxWaitMinutes", "soakMinutes"])
        );
    }
    let limits = &terms.limits;
    if limits.failures.is_some_and(|n| n < 0)
        || limits.min_offers < 0
        || limits.failure_thousandths.is_some_and(|p| p >= 100_000)
    {
        return refuse(
            "limits",
            "limits are 0 or more failures, and 0 to below 100 per cent of at least 0 devices told",
        );
    }
    if limits.evidence.is_some_and(|e| !part(e.accepted) || e.rejected >= 100_000 || e.accepted >= e.rejected)
    {
        return refuse(
            "evidence",
            "evidence needs an accepted failure rate above 0 and a larger rejected one below 100 per cent",
        );
    }
    Ok(())
}

const MOST_SOURCES: usize = 100;
const MOST_TAGS: usize = 50;
const LONGEST_TAGS: usize = 4_096;

fn check_lists(terms: &Terms) -> Result<(), OrderError> {
    let unique = |names: Vec<&String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    let sources = terms.src_versions.iter().collect::<Vec<_>>();
    if sources.len() > MOST_SOURCES || !unique(sources) {
        let text = format!("srcVersions takes at most {MOST_SOURCES} versions, each once");
        return Err(OrderError::invalid("srcVersionsInvalid", text).with("field", "srcVersions"));
    }
    let length: usize = terms.tags.iter().map(|t| t.key.chars().count() + t.value.chars().count()).sum();
    let keys = terms.tags.iter().map(|t| &t.key).collect::<Vec<_>>();
    let plain = |key: &&String| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    if keys.len() > MOST_TAGS || length > LONGEST_TAGS || !keys.iter().all(plain) || !unique(keys) {
        let text = format!(
            "tags take at most {MOST_TAGS} keys, each once, of letters, digits and dots, and {LONGEST_TAGS} characters in all"
        );
        return Err(OrderError::invalid("tagsInvalid", text).with("field", "tags"));
    }
    Ok(())
}

fn check_matched(package: &Package, forecast: &Forecast) -> Result<(), OrderError> {
    if forecast.matched > 0 {
        return Ok(());
    }
    let (on_target, excluded) = (forecast.on_target, forecast.excluded.by_version());
    let text = format!(
        "no device would get a task: {on_target} of the scope already report {:?}, {excluded} report none of the source versions wanted, and a device that never connected belongs only to a job that names it",
        package.version
    );
    Err(OrderError::conflict("noDeviceMatched", text).with("onTarget", on_target).with("excluded", excluded))
}

/// A gate without tasks would open at once. A share takes at least one device, but a group may hold none.
fn check_first_wave(prospect: &Prospect) -> Result<(), OrderError> {
    if prospect.forecast.waves.first().is_none_or(|tasks| *tasks > 0) {
        return Ok(());
    }
    let group = prospect.terms.wave_groups.first().map_or("", |wave| wave.name.as_str());
    let text = format!(
        "the first wave would be empty: no device of the group {group:?} would get a task of this job. Add devices to the group, or begin with another wave"
    );
    Err(OrderError::conflict("firstWaveEmpty", text).with("field", "waves").with("group", group))
}

/// What can be told of a schedule without a clock.
fn check_end(terms: &Terms) -> Result<(), OrderError> {
    let refuse = |fields: [&'static str; 2], text: &str| {
        Err(OrderError::invalid("termsContradict", text).with("field", fields[0]).with("fields", fields))
    };
    match (terms.start_at, terms.end_at) {
        (_, None) if terms.end_running => refuse(
            ["endRunning", "endAt"],
            "endRunning true says what becomes of running tasks at endAt: give endAt too, or leave it out",
        ),
        (Some(start), Some(end)) if end <= start => {
            refuse(["endAt", "startAt"], "endAt must lie after startAt")
        }
        _ => Ok(()),
    }
}

/// Between its start and its end there is time for all waves of a new job to soak, but the last.
fn check_soaks(terms: &Terms, now: i64) -> Result<(), OrderError> {
    let Some(end) = terms.end_at.filter(|_| terms.count_waves() > 1) else { return Ok(()) };
    let soaks = i64::try_from(terms.count_waves() - 1).unwrap_or(i64::MAX);
    let last_opens = terms.start_at.unwrap_or(now).saturating_add(soaks.saturating_mul(terms.soak_ms));
    if last_opens < end {
        return Ok(());
    }
    let text = format!(
        "the last wave could not open before endAt: {soaks} waves before it soak for soakMinutes {} each. Move endAt, or let them soak less",
        minutes(terms.soak_ms)
    );
    Err(OrderError::invalid("termsContradict", text).with("fields", ["soakMinutes", "endAt"]))
}

/// Two operators who skip at once mean the same wave.
fn check_open_wave(job: &Job, wave: i32) -> Result<(), OrderError> {
    let Some(open) = job.gate.as_ref().map(|gate| gate.wave).filter(|open| *open != wave) else {
        return Ok(());
    };
    let (id, wave, open) = (IdKind::Job.text(job.id), wave + 1, open + 1);
    let text = format!(
        "the open wave of the job {id} is wave {open}, not wave {wave}, so nothing was skipped: look at the job, and name the wave that is not to be waited for"
    );
    Err(OrderError::conflict("waveNotOpen", text).with("job", id).with("wave", wave).with("openWave", open))
}

pub(super) fn check_schedule(terms: &Terms, now: i64) -> Result<(), OrderError> {
    let refuse = |field: &'static str, text: &str| {
        Err(OrderError::invalid("scheduleInvalid", text).with("field", field))
    };
    if terms.start_at.is_some_and(|at| at <= now) {
        return refuse("startAt", "startAt must lie in the future; leave it out to start at once");
    }
    match terms.end_at {
        Some(end) if end <= now => refuse("endAt", "endAt must lie in the future"),
        _ => check_opening(terms, now),
    }
}

fn check_file(new: &NewJob, package: &Package) -> Result<(), OrderError> {
    if new.protocol != Protocol::Mqtt {
        return Ok(());
    }
    if !package.more_files.is_empty() {
        let text = "the package has several files, and devices know no way to ask for them over MQTT. Let them travel over HTTP";
        return Err(OrderError::conflict("severalFilesOverMqtt", text));
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
    let is = word(json!(state));
    let (ok, code, text) = match new.kind {
        JobKind::Verify => (
            matches!(state, PackageState::Unverified | PackageState::Failed),
            "packageNotVerifiable",
            format!("the package {id} is {is}: a verification starts only from UNVERIFIED or FAILED"),
        ),
        JobKind::Static | JobKind::Dynamic => (
            matches!(state, PackageState::Verified | PackageState::NotRequired),
            "packageNotVerified",
            format!(
                "the package {id} is {is}: verify it on a test device first (otaru job verify {id} DEVICE), or upload it without the need of it (otaru package add … --no-verify)"
            ),
        ),
    };
    if ok { Ok(()) } else { Err(OrderError::conflict(code, text).with("package", id)) }
}

/// A state as the API spells it.
fn word(state: Value) -> String {
    state.as_str().unwrap_or_default().to_owned()
}

fn nothing_to_reupgrade(job: &Job) -> OrderError {
    let id = IdKind::Job.text(job.id);
    let unapproved = if job.terms.need_confirm { ", or none that was ever approved" } else { "" };
    let which = if job.state == JobState::Canceled { "failed or cancelled" } else { "failed" };
    let text = format!(
        "the job {id} has no {which} task to start again{unapproved}; a task that was cancelled alone starts again by its own id"
    );
    OrderError::conflict("nothingToReupgrade", text).with("job", id)
}

pub(super) async fn job_in(tx: &mut Tx, id: Id) -> Result<Job, OrderError> {
    let found = store::jobs::get(tx, id).await.map_err(failed("read jobs"))?;
    found.ok_or_else(|| unknown_job(id))
}

fn unknown_job(id: Id) -> OrderError {
    let id = IdKind::Job.text(id);
    OrderError::not_found("jobNotFound", format!("there is no job {id}")).with("job", id)
}
