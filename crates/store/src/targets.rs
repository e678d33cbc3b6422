//! Whom a job would be for, looked at before it is made.

use rollout::{Id, Job, Package, Rival, TaskState};

use crate::record::int;
use crate::select::{Part, Whom};
use crate::sql::{Dialect, Field, Row, Tx, Val};
use crate::{Error, device_counts};

/// Which devices are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Among<'a> {
    /// Those of the package's product.
    Whom(&'a Whom),
    /// These.
    Devices(&'a [Id]),
}

/// Devices that are the same to a job: all that decides about them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Whether they may log in.
    pub enabled: bool,
    /// Whether they ever connected.
    pub came: bool,
    /// Whether they are connected.
    pub online: bool,
    /// What they last said of the package's module.
    pub version: Option<String>,
    /// Their unfinished tasks, each kind once.
    pub rivals: Vec<Rival>,
    /// How many they are.
    pub n: i64,
    /// Which, if that was asked for.
    pub devices: Vec<Id>,
}

/// Sorts devices by what decides whether a job of `package` takes them, and what its tasks would meet in
/// tasks of `jobs`. One statement for a product: the rules are asked once for each kind of device, not
/// once for each device.
pub async fn alike(
    tx: &mut Tx,
    among: Among<'_>,
    package: &Package,
    jobs: &[Job],
    which: bool,
) -> Result<Vec<Alike>, Error> {
    let only = if matches!(among, Among::Devices(_)) { " and t.device_id in (select id from v)" } else { "" };
    let rivals = rivals(tx, &package.module, jobs, only);
    let (kinds, rivals, of_rivals) =
        rivals.map_or(("0", String::new(), vec![]), |(sql, args)| ("coalesce(r.kinds, 0)", sql, args));
    let devices = if which { "string_agg(cast(device.id as text), ',')" } else { "''" };
    let mut args = [vec![package.module.as_str().into()], of_rivals].concat();
    let select = |from: &str| {
        format!(
            "select m.version as version, device.enabled + case when device.first_online_at is null then 0 else {CAME} end \
             + {ONLINE} * device.online + {RIVALS} * {kinds} as flags, count(*), {devices} from {from} \
             left join module_version m on m.device_id = device.id and m.module = ? {rivals}"
        )
    };
    let rows = match among {
        Among::Whom(whom) => {
            let (from, part) = match whom {
                Whom::All if is_read_in_order(tx, package.product_id).await? => in_order(package.product_id),
                whom => whom.all(package.product_id, tx.dialect),
            };
            args.extend(part.args);
            tx.rows(format!("{} where {} group by 1, 2", select(&from), part.sql), args).await?
        }
        Among::Devices(ids) => {
            let ids = ids.iter().map(|id| vec![(*id).into()]).collect();
            let statement = format!("{} group by 1, 2", select("v join device on device.id = v.id"));
            tx.bulk_rows(&[int("id")], ids, &statement, &args).await?
        }
    };
    rows.iter().map(read).collect()
}

/// Whether the devices of a product are found sooner by reading all there are. SQLite has no index of them but by name,
/// and from one name to the next the row is on another page.
async fn is_read_in_order(tx: &mut Tx, product: Id) -> Result<bool, Error> {
    Ok(tx.dialect == Dialect::Sqlite && device_counts::is_most(tx, product).await?)
}

/// As [`Whom::all`] of all, along the rows themselves: the sign keeps indexes out of it.
fn in_order(product: Id) -> (String, Part) {
    ("device".into(), Part { sql: "+device.product_id = ?".into(), args: vec![product.into()] })
}

const ENABLED: i64 = 1;
const CAME: i64 = 2;
const ONLINE: i64 = 4;
/// From here on a bit for each kind of rival.
const RIVALS: i64 = 8;

/// Joins, as `r`, the kinds of devices' unfinished tasks of `jobs`, as the sum of a bit each: see [`rival`].
/// `only` narrows the tasks down.
fn rivals(tx: &Tx, module: &str, jobs: &[Job], only: &str) -> Option<(String, Vec<Val>)> {
    if jobs.is_empty() {
        return None;
    }
    let ids: Vec<Id> = jobs.iter().map(|j| j.id).collect();
    let multi: Vec<Id> = jobs.iter().filter(|j| j.terms.multi_module).map(|j| j.id).collect();
    let ((of_multi, multi), (of_jobs, ids)) = (tx.dialect.any(&multi), tx.dialect.any(&ids));
    let sql = format!(
        "left join (select t.device_id, sum(distinct (case when t.module = ? then 16 else 1 end) \
         * (case when t.state = ? then 4 else 1 end) * (case when t.job_id {of_multi} then 2 else 1 end)) as kinds \
         from task t where t.open = 1 and t.job_id {of_jobs}{only} group by t.device_id) r on r.device_id = device.id"
    );
    let args = [vec![module.into(), TaskState::InProgress.to_val()], multi, ids].concat();
    Some((sql, args))
}

/// The kind of task that has this bit.
fn rival(bit: i64) -> Rival {
    Rival { multi_module: bit & 1 != 0, in_progress: bit & 2 != 0, same_module: bit & 4 != 0 }
}

fn read(row: &Row) -> Result<Alike, Error> {
    let mut fields = row.fields();
    let (version, flags): (Option<String>, i64) = (fields.next()?, fields.next()?);
    let (n, devices): (i64, String) = (fields.next()?, fields.next()?);
    Ok(Alike {
        enabled: flags & ENABLED != 0,
        came: flags & CAME != 0,
        online: flags & ONLINE != 0,
        version,
        rivals: (0..8).filter(|bit| ((flags / RIVALS) >> bit) & 1 != 0).map(rival).collect(),
        n,
        devices: devices.split(',').filter_map(|id| id.parse().ok()).collect(),
    })
}
