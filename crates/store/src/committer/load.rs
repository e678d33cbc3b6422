//! The rows a batch decides upon.

use std::collections::{BTreeMap, BTreeSet};

use rollout::{Id, Job, JobKind, Ms, Rows, Scope, Session, TIME_ZONE_TAG, Task, TaskState};

use crate::groups::Group;
use crate::sql::{Field, Tx};
use crate::{Error, groups, tags};

/// Slots are counted up to here, so that no number of downloads makes a batch slow. The limit on downloads
/// must be lower than this by at least a batch.
pub const MAX_SLOTS: i64 = 65_536;

/// What a batch speaks of.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Devices that reported, asked, came or went.
    pub devices: BTreeSet<Id>,
    /// Tasks that are due or ordered about.
    pub tasks: BTreeSet<Id>,
    /// Those of them that start again with their job.
    pub restarts: BTreeSet<Id>,
    /// Jobs that are due, ordered about or worked on.
    pub jobs: BTreeSet<Id>,
    /// Packages besides those of the jobs.
    pub packages: BTreeSet<Id>,
    /// Devices that say the version of a module, and which.
    pub reports: BTreeSet<(Id, String)>,
    /// Whether devices of a dynamic job's enrolment are among these.
    pub enrols_policy: bool,
    /// What dynamic jobs are to be for.
    pub scopes: BTreeSet<Scope>,
}

impl Keys {
    /// Whether a dynamic job may be for a device now.
    fn asks_policies(&self, device: Id) -> bool {
        let first = (device, String::new());
        self.enrols_policy || self.reports.range(first..).next().is_some_and(|(id, _)| *id == device)
    }
}

/// Loads the rows of `keys` and all that [`Rows`] promises beside them, in a number of statements that
/// does not depend on theirs. On PostgreSQL devices, jobs and packages are locked, each in the order of
/// their numbers: the lock on a device stands for its session, versions and tasks, the one on a job for
/// its counts.
pub async fn load(tx: &mut Tx, keys: &Keys, now: Ms) -> Result<Rows, Error> {
    let mut rows = Rows::default();
    load_devices(tx, keys, &mut rows).await?;
    load_tasks(tx, keys, &mut rows).await?;
    rows.overtaken = overtaken(tx, &list(&keys.restarts)).await?;
    load_policies(tx, keys, &mut rows).await?;
    load_jobs(tx, keys, &mut rows).await?;
    load_matches(tx, keys, &mut rows).await?;
    load_meanings(tx, keys, &mut rows).await?;
    load_packages(tx, keys, &mut rows).await?;
    load_products(tx, &mut rows).await?;
    if !rows.jobs.is_empty() {
        rows.slots_used = slots_used(tx, now).await?;
    }
    load_zones(tx, &mut rows).await?;
    Ok(rows)
}

/// What tells why unfinished tasks wait: their devices with sessions, versions and unfinished tasks, with
/// jobs and products. Locks nothing.
pub async fn surroundings(tx: &mut Tx, tasks: &[&Task], now: Ms) -> Result<Rows, Error> {
    let devices: BTreeSet<Id> = tasks.iter().map(|t| t.device_id).collect();
    let mut rows = Rows::default();
    let unfinished = tx.select_in("device_id", &list(&devices), " and open = 1").await?;
    rows.tasks = unfinished.into_iter().map(by(|t: &Task| t.id)).collect();
    rows.devices = tx
        .select_in("id", &list(&devices), "")
        .await?
        .into_iter()
        .map(by(|d: &rollout::Device| d.id))
        .collect();
    load_presence(tx, &list(&devices), &mut rows).await?;
    let ids: BTreeSet<Id> = rows.tasks.values().map(|t| t.job_id).collect();
    let jobs = tx.select_in("id", &list(&ids), "").await?;
    rows.jobs = jobs.into_iter().map(by(|j: &Job| j.id)).collect();
    load_products(tx, &mut rows).await?;
    load_zones(tx, &mut rows).await?;
    rows.slots_used = slots_used(tx, now).await?;
    Ok(rows)
}

async fn load_devices(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let mut ids = keys.devices.clone();
    ids.extend(devices_of(tx, &list(&keys.tasks)).await?);
    let ids = list(&ids);
    let lock = format!(" order by id{}", tx.dialect.for_update());
    rows.devices =
        tx.select_in("id", &ids, &lock).await?.into_iter().map(by(|d: &rollout::Device| d.id)).collect();
    let ids = list(rows.devices.keys());
    load_presence(tx, &ids, rows).await
}

/// What devices are and say at present.
async fn load_presence(tx: &mut Tx, devices: &[Id], rows: &mut Rows) -> Result<(), Error> {
    let sessions = tx.select_in("device_id", devices, "").await?;
    rows.sessions = sessions.into_iter().map(by(|s: &Session| s.device_id)).collect();
    let key = |v: &rollout::ModuleVersion| (v.device_id, v.module.clone());
    rows.versions = tx.select_in("device_id", devices, "").await?.into_iter().map(by(key)).collect();
    Ok(())
}

async fn load_tasks(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let devices = list(rows.devices.keys());
    let unfinished = tx.select_in("device_id", &devices, " and open = 1").await?;
    rows.tasks = unfinished.into_iter().map(by(|t: &Task| t.id)).collect();
    let missing: Vec<Id> = keys.tasks.iter().filter(|id| !rows.tasks.contains_key(id)).copied().collect();
    rows.tasks.extend(tx.select_in("id", &missing, "").await?.into_iter().map(by(|t: &Task| t.id)));
    Ok(())
}

/// The dynamic jobs that may be for who reports, or is enrolled.
async fn load_policies(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let asked = |device: &&rollout::Device| keys.asks_policies(device.id);
    let products: BTreeSet<Id> = rows.devices.values().filter(asked).map(|d| d.product_id).collect();
    let products = list(&products);
    let reported: BTreeSet<&String> = keys.reports.iter().map(|(_, module)| module).collect();
    for some in products.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        let sql = format!(
            "select j.id, p.module from job j join package p on p.id = j.package_id \
             where j.product_id {any} and j.kind = 'DYNAMIC' and j.ended_at is null and j.closed_at is null"
        );
        for row in tx.rows(sql, args).await? {
            let (job, module): (Id, String) = (row.get(0)?, row.get(1)?);
            rows.policies.extend((keys.enrols_policy || reported.contains(&module)).then_some(job));
        }
    }
    Ok(())
}

/// How often the dynamic jobs of a batch have taken its devices: each time is a task.
async fn load_matches(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let asked = rows.jobs.values().filter(|j| j.kind == JobKind::Dynamic);
    let asked = asked.filter(|j| rows.policies.contains(&j.id) || keys.jobs.contains(&j.id));
    let jobs: Vec<Id> = asked.map(|j| j.id).collect();
    let devices = if jobs.is_empty() { vec![] } else { list(&keys.devices) };
    let (of_jobs, ids) = tx.dialect.any(&jobs);
    for some in devices.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        let sql = format!(
            "select job_id, device_id, count(*) from task where device_id {any} and job_id {of_jobs} \
             group by job_id, device_id"
        );
        for row in tx.rows(sql, [args, ids.clone()].concat()).await? {
            rows.matches.insert((row.get(0)?, row.get(1)?), row.get(2)?);
        }
    }
    Ok(())
}

/// Those of some tasks whose device has succeeded in a later one for the same module.
async fn overtaken(tx: &mut Tx, tasks: &[Id]) -> Result<BTreeSet<Id>, Error> {
    let mut found = BTreeSet::new();
    for some in tasks.chunks(tx.dialect.max_rows()) {
        let (any, mut args) = tx.dialect.any(some);
        args.push(TaskState::Succeeded.to_val());
        let sql = format!(
            "select old.id from task old where old.id {any} and exists (select 1 from task later \
             where later.device_id = old.device_id and later.id > old.id and later.module = old.module and later.state = ?)"
        );
        for row in tx.rows(sql, args).await? {
            found.insert(row.get(0)?);
        }
    }
    Ok(found)
}

/// Whom policies mean that are for a filter or a group, and what their filters ask of the devices.
async fn load_meanings(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let of_policies = rows.policies.iter().filter_map(|job| rows.jobs.get(job)).map(|job| &job.scope);
    let scopes: BTreeSet<&Scope> = of_policies.chain(&keys.scopes).collect();
    let group_of = |scope: &Scope| if let Scope::Group { group, .. } = scope { Some(*group) } else { None };
    let ids: BTreeSet<Id> = scopes.iter().copied().filter_map(group_of).collect();
    let of_groups: Vec<Group> = tx.select_in("id", &list(&ids), "").await?;
    let mut meanings = BTreeMap::new();
    for scope in scopes {
        let found = match scope {
            Scope::Filter { filter } => Some(groups::parsed(filter)?),
            Scope::Group { group, .. } => {
                of_groups.iter().find(|g| g.id == *group).map(groups::filter_of).transpose()?
            }
            Scope::All | Scope::Named | Scope::Percent { .. } => None,
        };
        meanings.extend(found.map(|filter| (scope.clone(), filter)));
    }
    rows.meanings = meanings;
    if rows.meanings.is_empty() {
        return Ok(());
    }
    let devices: Vec<Id> = rows.devices.keys().copied().filter(|id| keys.asks_policies(*id)).collect();
    for (device, tags) in tags::of(tx, &devices).await? {
        rows.labels.entry(device).or_default().tags = tags;
    }
    for (device, groups) in groups::of(tx, &devices).await? {
        rows.labels.entry(device).or_default().groups = groups;
    }
    Ok(())
}

async fn load_jobs(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let mut ids = keys.jobs.clone();
    ids.extend(&rows.policies);
    ids.extend(rows.tasks.values().map(|t| t.job_id));
    let lock = format!(" order by id{}", tx.dialect.for_update());
    let mut jobs = tx.select_in("id", &list(&ids), &lock).await?;
    load_counts(tx, &mut jobs).await?;
    rows.jobs = jobs.into_iter().map(by(|j: &Job| j.id)).collect();
    Ok(())
}

async fn load_packages(tx: &mut Tx, keys: &Keys, rows: &mut Rows) -> Result<(), Error> {
    let mut ids = keys.packages.clone();
    ids.extend(rows.jobs.values().map(|j| j.package_id));
    ids.extend(rows.tasks.values().map(|t| t.package_id));
    let lock = format!(" order by id{}", tx.dialect.for_update());
    let packages = tx.select_in("id", &list(&ids), &lock).await?;
    rows.packages = packages.into_iter().map(by(|p: &rollout::Package| p.id)).collect();
    Ok(())
}

async fn load_products(tx: &mut Tx, rows: &mut Rows) -> Result<(), Error> {
    let mut ids: BTreeSet<Id> = rows.devices.values().map(|d| d.product_id).collect();
    ids.extend(rows.jobs.values().map(|j| j.product_id));
    ids.extend(rows.packages.values().map(|p| p.product_id));
    let products = tx.select_in("id", &list(&ids), "").await?;
    rows.products = products.into_iter().map(by(|p: &rollout::Product| p.id)).collect();
    Ok(())
}

/// The zones that devices name, if a job of the batch goes by them.
async fn load_zones(tx: &mut Tx, rows: &mut Rows) -> Result<(), Error> {
    if rows.jobs.values().any(|job| !job.terms.windows.is_empty()) {
        rows.zone_tags = tags::values(tx, &list(rows.devices.keys()), TIME_ZONE_TAG).await?;
    }
    Ok(())
}

/// Fills in the counts of jobs just read.
pub(crate) async fn load_counts(tx: &mut Tx, jobs: &mut [Job]) -> Result<(), Error> {
    let ids: Vec<Id> = jobs.iter().map(|j| j.id).collect();
    for some in ids.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        for row in tx.rows(format!("select job_id, state, n from job_count where job_id {any}"), args).await?
        {
            let mut fields = row.fields();
            let (id, state, n): (Id, TaskState, i64) = (fields.next()?, fields.next()?, fields.next()?);
            jobs.iter_mut().filter(|j| j.id == id).for_each(|j| j.counts.add(state, n));
        }
    }
    Ok(())
}

async fn devices_of(tx: &mut Tx, tasks: &[Id]) -> Result<Vec<Id>, Error> {
    let mut out = Vec::new();
    for some in tasks.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        for row in tx.rows(format!("select device_id from task where id {any}"), args).await? {
            out.push(row.get(0)?);
        }
    }
    Ok(out)
}

/// Downloads that hold a slot.
pub async fn slots_used(tx: &mut Tx, now: Ms) -> Result<i64, Error> {
    let sql = "select count(*) from \
               (select 1 from task where slot_until is not null and slot_until > ? limit ?) as used";
    tx.row(sql, vec![now.into(), MAX_SLOTS.into()]).await?.map_or(Ok(0), |row| row.get(0))
}

fn list<'a>(ids: impl IntoIterator<Item = &'a Id>) -> Vec<Id> {
    ids.into_iter().copied().collect()
}

fn by<T, K>(key: impl Fn(&T) -> K) -> impl Fn(T) -> (K, T) {
    move |row| (key(&row), row)
}
