//! Roll-ups, kept in the transactions of the changes they count: devices by version, now and by the hour, and how
//! tasks ended, by the minute.
//!
//! They cost nothing to a report that changes no version and ends no task, and a few statements to a batch of others.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use rollout::{Changes, Event, EventKind, Id, Ms, Reason, Task, TaskState};

use crate::Error;
use crate::record::{TASK_END, VERSION_CHANGE, VERSION_COUNT, int, text};
use crate::sql::{Field, Row, Tx};

/// Milliseconds of the changes of versions that are counted together.
pub const HOUR_MS: Ms = 3_600_000;
/// Milliseconds of the ends of tasks that are counted together.
pub const MINUTE_MS: Ms = 60_000;

/// Stands for all versions of a module: no device reports an empty one.
const ALL: &str = "";

/// A version, and the devices that run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionCount {
    /// As reported.
    pub version: String,
    /// Devices whose last report said so.
    pub devices: i64,
}

/// The devices that have reported a module, by version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// All of them.
    pub devices: i64,
    /// The versions most of them run, the most frequent first.
    pub versions: Vec<VersionCount>,
}

/// How the devices of a version became more or fewer in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// Which hour since 1970.
    pub hour: i64,
    /// The version; `None` is all of them together.
    pub version: Option<String>,
    /// By how many.
    pub devices: i64,
}

/// Which tasks of a product are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// All.
    All,
    /// A package's.
    Package(Id),
    /// A job's.
    Job(Id),
}

/// Tasks that ended alike in some minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The first of these minutes, since 1970.
    pub minute: i64,
    /// How.
    pub state: TaskState,
    /// Why: the code of the reason.
    pub reason: String,
    /// How many.
    pub tasks: i64,
    /// Of how many the time from the first progress to the end is known.
    pub timed: i64,
    /// All those times together.
    pub total_ms: i64,
    /// The longest of them.
    pub longest_ms: i64,
}

#[derive(Default)]
struct Tally {
    versions: BTreeMap<(Id, String, String), i64>,
    changes: BTreeMap<(Id, String, i64, String), i64>,
    ends: BTreeMap<(Id, i64, TaskState, String), End>,
}

#[derive(Default)]
struct End {
    product: Id,
    package: Id,
    n: i64,
    timed: i64,
    total_ms: i64,
    longest_ms: i64,
}

impl Tally {
    fn of(changes: &Changes) -> Self {
        let mut tally = Self::default();
        // Most batches end none.
        let tasks = LazyCell::new(|| -> BTreeMap<Id, &Task> {
            changes.tasks.iter().chain(&changes.tasks_new).map(|task| (task.id, task)).collect()
        });
        for event in &changes.events {
            match &event.kind {
                EventKind::VersionChanged { module, previous, version } => {
                    let of = (event.product_id, module.as_str(), event.at);
                    tally.version(of, version, 1);
                    match previous {
                        Some(previous) => tally.version(of, previous, -1),
                        None => tally.version(of, ALL, 1),
                    }
                }
                EventKind::TaskState { to, reason, .. } if to.is_terminal() => {
                    if let Some(task) = event.task_id.and_then(|id| tasks.get(&id)) {
                        tally.end(task, event, *to, reason.as_ref());
                    }
                }
                _ => {}
            }
        }
        tally
    }

    fn version(&mut self, (product, module, at): (Id, &str, Ms), version: &str, n: i64) {
        let (module, version) = (module.to_owned(), version.to_owned());
        *self.changes.entry((product, module.clone(), at / HOUR_MS, version.clone())).or_default() += n;
        *self.versions.entry((product, module, version)).or_default() += n;
    }

    fn end(&mut self, task: &Task, event: &Event, state: TaskState, reason: Option<&Reason>) {
        let key = (task.job_id, event.at / MINUTE_MS, state, code(reason));
        let end = self.ends.entry(key).or_default();
        (end.product, end.package) = (task.product_id, task.package_id);
        end.n += 1;
        if let Some(begun) = task.first_progress_at {
            let took = (event.at - begun).max(0);
            end.timed += 1;
            end.total_ms += took;
            end.longest_ms = end.longest_ms.max(took);
        }
    }
}

/// The code of a reason, as it stands in its JSON.
fn code(reason: Option<&Reason>) -> String {
    let json = reason.and_then(|reason| serde_json::to_value(reason).ok());
    json.and_then(|json| Some(json.get("code")?.as_str()?.to_owned())).unwrap_or_default()
}

/// Counts what was decided.
pub async fn note(tx: &mut Tx, changes: &Changes) -> Result<(), Error> {
    write(tx, Tally::of(changes)).await
}

/// Takes a device that is about to be removed out of the counts.
pub async fn forget(tx: &mut Tx, product: Id, device: Id, now: Ms) -> Result<(), Error> {
    let sql = "select module, version from module_version where device_id = ?";
    let mut tally = Tally::default();
    for row in tx.rows(sql, vec![device.into()]).await? {
        let (module, version): (String, String) = (row.get(0)?, row.get(1)?);
        tally.version((product, &module, now), &version, -1);
        tally.version((product, &module, now), ALL, -1);
    }
    write(tx, tally).await
}

async fn write(tx: &mut Tx, tally: Tally) -> Result<(), Error> {
    let Tally { mut versions, mut changes, ends } = tally;
    versions.retain(|_, n| *n != 0);
    changes.retain(|_, n| *n != 0);
    let fewer: Vec<_> = versions
        .iter()
        .filter(|(_, n)| **n < 0)
        .map(|((product, module, version), _)| {
            vec![(*product).into(), module.as_str().into(), version.as_str().into()]
        })
        .collect();
    let key = [int("product_id"), text("module"), text("version")];
    let rows = versions
        .into_iter()
        .map(|((product, module, version), n)| vec![product.into(), module.into(), version.into(), n.into()]);
    tx.add(&VERSION_COUNT, rows.collect()).await?;
    // Versions are devices' words: one that nobody runs any more is not kept.
    let none = "delete from version_count where n = 0 and (product_id, module, version) in \
                (select product_id, module, version from v)";
    tx.bulk(&key, fewer, none).await?;
    add_changes(tx, changes).await?;
    add_ends(tx, ends).await
}

async fn add_changes(tx: &mut Tx, changes: BTreeMap<(Id, String, i64, String), i64>) -> Result<(), Error> {
    let rows = changes.into_iter().map(|((product, module, hour, version), n)| {
        vec![product.into(), module.into(), hour.into(), version.into(), n.into()]
    });
    tx.add(&VERSION_CHANGE, rows.collect()).await
}

async fn add_ends(tx: &mut Tx, ends: BTreeMap<(Id, i64, TaskState, String), End>) -> Result<(), Error> {
    let rows = ends.into_iter().map(|((job, minute, state, reason), end)| {
        vec![
            job.into(),
            minute.into(),
            state.to_val(),
            reason.into(),
            end.product.into(),
            end.package.into(),
            end.n.into(),
            end.timed.into(),
            end.total_ms.into(),
            end.longest_ms.into(),
        ]
    });
    let add = "on conflict (job_id, minute, state, reason) do update set n = task_end.n + excluded.n, \
               timed = task_end.timed + excluded.timed, total_ms = task_end.total_ms + excluded.total_ms, \
               longest_ms = case when excluded.longest_ms > task_end.longest_ms then excluded.longest_ms \
               else task_end.longest_ms end";
    tx.insert(TASK_END.name, TASK_END.columns, rows.collect(), add).await.map(drop)
}

/// The devices of a product by the version of a module, as it is now: the `limit` most frequent versions.
pub async fn versions(tx: &mut Tx, product: Id, module: &str, limit: u32) -> Result<Versions, Error> {
    let sql = "select n from version_count where product_id = ? and module = ? and version = ''";
    let all = tx.row(sql, vec![product.into(), module.into()]).await?;
    let sql = "select version, n from version_count where product_id = ? and module = ? and version <> '' \
               order by n desc limit ?";
    let rows = tx.rows(sql, vec![product.into(), module.into(), limit.into()]).await?;
    Ok(Versions {
        devices: all.map_or(Ok(0), |row| row.get(0))?,
        versions: rows.iter().map(count).collect::<Result<_, _>>()?,
    })
}

/// The devices of some versions of a module, as it is now.
pub async fn counts_of(
    tx: &mut Tx,
    product: Id,
    module: &str,
    versions: impl Iterator<Item = &str>,
) -> Result<Vec<VersionCount>, Error> {
    let columns = [int("product_id"), text("module"), text("version")];
    let rows = versions.map(|version| vec![product.into(), module.into(), version.into()]).collect();
    let statement = "select v.version, version_count.n from v join version_count \
                     on version_count.product_id = v.product_id and version_count.module = v.module \
                     and version_count.version = v.version";
    tx.bulk_rows(&columns, rows, statement, &[]).await?.iter().map(count).collect()
}

fn count(row: &Row) -> Result<VersionCount, Error> {
    Ok(VersionCount { version: row.get(0)?, devices: row.get(1)? })
}

/// How the versions of a module changed from an hour on, the oldest first; at most `limit` changes.
pub async fn changes(
    tx: &mut Tx,
    product: Id,
    module: &str,
    from: i64,
    limit: u32,
) -> Result<Vec<VersionChange>, Error> {
    let sql = "select hour, version, n from version_change where product_id = ? and module = ? and hour >= ? \
               order by hour, version limit ?";
    let rows = tx.rows(sql, vec![product.into(), module.into(), from.into(), limit.into()]).await?;
    let change = |row: &Row| {
        let version: String = row.get(1)?;
        let version = (version != ALL).then_some(version);
        Ok(VersionChange { hour: row.get(0)?, version, devices: row.get(2)? })
    };
    rows.iter().map(change).collect()
}

/// How tasks ended in the minutes from `from` to before `until`, `step` of them together, the oldest first; at most
/// `limit` rows.
pub async fn ends(
    tx: &mut Tx,
    product: Id,
    of: Of,
    (from, until): (i64, i64),
    step: i64,
    limit: u32,
) -> Result<Vec<Ended>, Error> {
    let (of, id) = match of {
        Of::All => ("", None),
        Of::Package(id) => ("package_id = ? and", Some(id)),
        Of::Job(id) => ("job_id = ? and", Some(id)),
    };
    // PostgreSQL adds up to a wider type.
    let sql = format!(
        "select minute / {step} * {step} as begun, state, reason, cast(sum(n) as bigint), cast(sum(timed) as bigint), \
         cast(sum(total_ms) as bigint), max(longest_ms) from task_end \
         where {of} product_id = ? and minute >= ? and minute < ? group by begun, state, reason \
         order by begun, state, reason limit ?"
    );
    let mut args = Vec::from_iter(id.map(Into::into));
    args.extend([product.into(), from.into(), until.into(), limit.into()]);
    let rows = tx.rows(sql, args).await?;
    let ended = |row: &Row| {
        let mut fields = row.fields();
        Ok(Ended {
            minute: fields.next()?,
            state: fields.next()?,
            reason: fields.next()?,
            tasks: fields.next()?,
            timed: fields.next()?,
            total_ms: fields.next()?,
            longest_ms: fields.next()?,
        })
    };
    rows.iter().map(ended).collect()
}

/// Drops what was counted in the hours before a time; what is now stays.
pub async fn drop_before(tx: &mut Tx, before: Ms) -> Result<(), Error> {
    tx.exec("delete from version_change where hour < ?", vec![(before / HOUR_MS).into()]).await?;
    tx.exec("delete from task_end where minute < ?", vec![(before / MINUTE_MS).into()]).await?;
    Ok(())
}

/// Removes what was counted of a product.
pub(crate) async fn remove(tx: &mut Tx, product: Id) -> Result<(), Error> {
    for table in ["version_count", "version_change", "task_end"] {
        tx.exec(format!("delete from {table} where product_id = ?"), vec![product.into()]).await?;
    }
    Ok(())
}
