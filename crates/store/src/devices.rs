//! Devices as operators and the login see them. Events are the caller's to write.

use std::collections::{BTreeMap, BTreeSet};

use rollout::{Device, Gate, Id, ModuleVersion, Ms, Task, TaskState};

use crate::record::{Column, Record, column_list, int, text};
use crate::select::{Part, Walk};
use crate::sql::{Field, Fields, Tx, Val};
use crate::tags::{self, Tags};
use crate::topology::{self, DeviceName};
use crate::{Error, Removal, Sealed, Selection, Slice, device_counts, groups};

/// A device to be made.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its row.
    pub device: Device,
    /// Its secret, sealed for it.
    pub secret: Sealed,
}

/// Who logs in, or registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant<'a> {
    /// The product.
    pub product_key: &'a str,
    /// The device.
    pub device_name: &'a str,
    /// The client id that its token was given for, or is to be.
    pub client_id: Option<&'a str>,
}

/// What a login is checked against.
#[derive(Clone, Debug)]
pub struct Login {
    /// The device.
    pub device: Id,
    /// A disabled one is refused.
    pub enabled: bool,
    /// Its secret, sealed for it.
    pub secret: Sealed,
    /// The hash of its token, if it logs in with one and has one.
    pub token: Option<Vec<u8>>,
}

/// A device as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// The device.
    pub device: Device,
    /// Whether it is connected.
    pub online: bool,
    /// Until when it may register again although it was activated.
    pub registration_until: Option<Ms>,
    /// What it last said of its modules, by name.
    pub versions: Vec<ModuleVersion>,
    /// What operators say of it.
    pub tags: Tags,
    /// The groups it was added to, by name.
    pub groups: BTreeSet<String>,
    /// The gateway it belongs to.
    pub gateway: Option<DeviceName>,
}

/// Which devices of a product a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those whose names begin so.
    pub prefix: Option<String>,
    /// Only those that are, or are not, connected.
    pub online: Option<bool>,
    /// Only those that are meant.
    pub selection: Option<Selection>,
}

/// Devices that a page of those a filter means looks at: whom few fit costs no more than whom many do.
const LOOKED_AT: u32 = 4_000;

/// Makes devices. Gives the numbers of those made; of the others the name is taken, in the product or
/// by an earlier one of the same call.
pub async fn create(tx: &mut Tx, devices: &[NewDevice]) -> Result<BTreeSet<Id>, Error> {
    let secret: &[Column] = &Device::TABLE.hidden[..1];
    let columns = [Device::TABLE.columns, secret].concat();
    let rows =
        devices.iter().map(|d| [d.device.values(), vec![Val::from(&d.secret.0[..])]].concat()).collect();
    let list = column_list(&columns);
    let statement = format!(
        "insert into device ({list}) select {list} from v where id is not null \
         on conflict (product_id, name) do nothing returning id"
    );
    tx.bulk_rows(&columns, rows, &statement, &[]).await?.iter().map(|row| row.get(0)).collect()
}

/// What logins by product key and name are checked against, in the order of the claimants: one walk down
/// two indexes for each, and one more for a token.
pub async fn logins(tx: &mut Tx, claimants: &[Claimant<'_>]) -> Result<Vec<Option<Login>>, Error> {
    let statement = "select v.place, device.id, device.enabled, device.secret, device_token.hash from v \
                     join product on product.product_key = v.product_key \
                     join device on device.product_id = product.id and device.name = v.name \
                     left join device_token \
                     on device_token.device_id = device.id and device_token.client_id = v.client_id";
    let read = |fields: &mut Fields<'_>| {
        Ok(Login {
            device: fields.next()?,
            enabled: fields.next()?,
            secret: Sealed(fields.next()?),
            token: fields.next()?,
        })
    };
    found_for(tx, claimants, statement, read).await
}

/// What a statement finds for claimants, in their order; see [`Tx::bulk_found`].
pub(crate) async fn found_for<T>(
    tx: &mut Tx,
    claimants: &[Claimant<'_>],
    statement: &str,
    read: impl Fn(&mut Fields<'_>) -> Result<T, Error>,
) -> Result<Vec<Option<T>>, Error> {
    let rows = claimants.iter().map(|who| {
        let client_id = who.client_id.map_or(Val::Text(None), Val::from);
        [who.product_key.into(), who.device_name.into(), client_id]
    });
    tx.bulk_found([text("product_key"), text("name"), text("client_id")], rows, statement, read).await
}

/// A device by its number.
pub async fn get(tx: &mut Tx, id: Id) -> Result<Option<DeviceView>, Error> {
    let columns = column_list(Device::TABLE.columns);
    let sql = format!("select {columns}, online, registration_until from device where id = ?");
    let mut found = views(tx, sql, vec![id.into()]).await?;
    Ok(found.pop())
}

/// A device of a product by its name.
pub async fn find(tx: &mut Tx, product: Id, name: &str) -> Result<Option<DeviceView>, Error> {
    let columns = column_list(Device::TABLE.columns);
    let sql =
        format!("select {columns}, online, registration_until from device where product_id = ? and name = ?");
    let mut found = views(tx, sql, vec![product.into(), name.into()]).await?;
    Ok(found.pop())
}

/// The names of devices by number.
pub async fn names(tx: &mut Tx, ids: BTreeSet<Id>) -> Result<BTreeMap<Id, String>, Error> {
    tx.texts_in("device", "name", ids).await
}

/// The numbers of named devices of a product. Names that are not there are left out.
pub async fn ids_of(tx: &mut Tx, product: Id, names: &[String]) -> Result<BTreeMap<String, Id>, Error> {
    let columns = [int("product_id"), text("name")];
    let rows = names.iter().map(|name| vec![product.into(), name.as_str().into()]).collect();
    let statement = "select device.name, device.id from v join device \
                     on device.product_id = v.product_id and device.name = v.name";
    let found = tx.bulk_rows(&columns, rows, statement, &[]).await?;
    found.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Locks devices, so that what depends on what they are may be changed.
pub async fn lock(tx: &mut Tx, ids: &[Id]) -> Result<(), Error> {
    let rest = format!(" order by id{}", tx.dialect.for_update());
    tx.select_in::<Device>("id", ids, &rest).await.map(drop)
}

/// Devices of a product by name, after the name `after`. Of those that a filter means a page may be short, even
/// empty, and not be the last.
pub async fn list(
    tx: &mut Tx,
    product: Id,
    filter: &Filter,
    after: Option<&str>,
    limit: u32,
) -> Result<Slice<DeviceView, String>, Error> {
    page(tx, product, filter, after, limit, LOOKED_AT).await
}

/// As [`list`]; a page looks at `look` devices.
pub(crate) async fn page(
    tx: &mut Tx,
    product: Id,
    filter: &Filter,
    after: Option<&str>,
    limit: u32,
    look: u32,
) -> Result<Slice<DeviceView, String>, Error> {
    let mut walk = Walk::by_name(product, filter.selection.as_ref());
    let mut more = Part::default();
    if let Some(prefix) = &filter.prefix {
        walk.begins(prefix);
    }
    if let Some(after) = after {
        walk.after(after);
    }
    if let Some(online) = filter.online {
        more.and("device.online = ?", [online.into()]);
    }
    let mut seen: Option<String> = None;
    if let Some(selection) = &filter.selection {
        more.and_part(selection.condition(tx.dialect));
        seen = walk.ahead(tx, look).await?;
    }
    if let Some(seen) = &seen {
        walk.to(seen.as_str());
    }
    let columns: Vec<String> = Device::TABLE.columns.iter().map(|c| format!("device.{}", c.name)).collect();
    let columns = format!("{}, device.online, device.registration_until", columns.join(", "));
    let (sql, args) = walk.first(&columns, more, limit.saturating_add(1));
    let items = views(tx, sql, args).await?;
    let mut page = Slice::cut(items, limit, |view| view.device.name.clone());
    page.next = page.next.or(seen);
    Ok(page)
}

/// Lets a device log in, or refuses it from now on. False if it is not there.
pub async fn set_enabled(tx: &mut Tx, id: Id, enabled: bool) -> Result<bool, Error> {
    let sql = "update device set enabled = ? where id = ?";
    Ok(tx.exec(sql, vec![enabled.into(), id.into()]).await? == 1)
}

/// Lets a device register again until then, or no more. False if it is not there.
pub async fn set_registration(tx: &mut Tx, id: Id, until: Option<Ms>) -> Result<bool, Error> {
    let sql = "update device set registration_until = ? where id = ?";
    Ok(tx.exec(sql, vec![until.to_val(), id.into()]).await? == 1)
}

/// The jobs with a gate that a device has tasks of and that have not ended.
pub async fn gated_jobs(tx: &mut Tx, id: Id) -> Result<Vec<Id>, Error> {
    let sql = "select id from job where gate is not null and ended_at is null \
               and id in (select job_id from task where device_id = ?) order by id";
    tx.rows(sql, vec![id.into()]).await?.iter().map(|row| row.get(0)).collect()
}

/// Removes a device with its session, versions, timers and tasks. Jobs that have ended count its tasks for ever: they
/// are history. Those of the others leave the counts, those of the waves too: let the gates ([`gated_jobs`]) be
/// looked at.
/// A device with unfinished tasks is in use: cancel them first, and take it out of the statistics
/// ([`crate::statistics::forget`]).
pub async fn delete(tx: &mut Tx, id: Id) -> Result<Removal, Error> {
    let lock = tx.dialect.for_update();
    if tx.row(format!("select id from device where id = ?{lock}"), vec![id.into()]).await?.is_none() {
        return Ok(Removal::Missing);
    }
    let open = "select 1 from task where device_id = ? and open = 1 limit 1";
    if tx.row(open, vec![id.into()]).await?.is_some() {
        return Ok(Removal::InUse);
    }
    uncount_tasks(tx, id).await?;
    device_counts::forget(tx, id).await?;
    groups::forget(tx, id).await?;
    topology::forget(tx, id).await?;
    for sql in [
        "delete from timer where kind in ('timeout', 'settle') and subject in (select id from task where device_id = ?)",
        "delete from timer where kind in ('grace', 'quiet') and subject = ?",
        "delete from task where device_id = ?",
        "delete from device_tag where device_id = ?",
        "delete from device_configuration where device_id = ?",
        "delete from device_certificate where device_id = ?",
        "delete from device_token where device_id = ?",
        "delete from module_version where device_id = ?",
        "delete from session where device_id = ?",
        "delete from device where id = ?",
    ] {
        tx.exec(sql, vec![id.into()]).await?;
    }
    Ok(Removal::Removed)
}

async fn uncount_tasks(tx: &mut Tx, device: Id) -> Result<(), Error> {
    let lock = tx.dialect.for_update();
    let jobs = "select id from job where ended_at is null \
                and id in (select job_id from task where device_id = ?) order by id";
    tx.rows(format!("{jobs}{lock}"), vec![device.into()]).await?;
    let sql = "select task.job_id, task.state, count(*) from task join job on job.id = task.job_id \
               where task.device_id = ? and job.ended_at is null \
               group by task.job_id, task.state order by task.job_id, task.state";
    for row in tx.rows(sql, vec![device.into()]).await? {
        let mut fields = row.fields();
        let (job, state, n): (Id, TaskState, i64) = (fields.next()?, fields.next()?, fields.next()?);
        let sql = "update job_count set n = n - ? where job_id = ? and state = ?";
        tx.exec(sql, vec![n.into(), job.into(), state.to_val()]).await?;
    }
    uncount_in_waves(tx, device).await
}

async fn uncount_in_waves(tx: &mut Tx, device: Id) -> Result<(), Error> {
    let sql = "select id, gate from job where gate is not null and ended_at is null \
               and id in (select job_id from task where device_id = ?)";
    let mut gates: BTreeMap<Id, Gate> = BTreeMap::new();
    for row in tx.rows(sql, vec![device.into()]).await? {
        gates.insert(row.get(0)?, row.get(1)?);
    }
    for task in tx.select_in::<Task>("device_id", &[device], "").await? {
        if let Some(gate) = gates.get_mut(&task.job_id) {
            gate.forget(&task);
        }
    }
    for (job, gate) in gates {
        tx.exec("update job set gate = ? where id = ?", vec![gate.to_val(), job.into()]).await?;
    }
    Ok(())
}

async fn views(tx: &mut Tx, sql: String, args: Vec<Val>) -> Result<Vec<DeviceView>, Error> {
    let read = |fields: &mut Fields<'_>| -> Result<DeviceView, Error> {
        Ok(DeviceView {
            device: Device::read(fields)?,
            online: fields.next()?,
            registration_until: fields.next()?,
            versions: vec![],
            tags: Tags::new(),
            groups: BTreeSet::new(),
            gateway: None,
        })
    };
    let rows = tx.rows(sql, args).await?;
    let mut found = rows.iter().map(|row| read(&mut row.fields())).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Id> = found.iter().map(|view| view.device.id).collect();
    let mut versions: BTreeMap<Id, Vec<ModuleVersion>> = BTreeMap::new();
    for version in tx.select_in::<ModuleVersion>("device_id", &ids, " order by device_id, module").await? {
        versions.entry(version.device_id).or_default().push(version);
    }
    let mut tags = tags::of(tx, &ids).await?;
    let mut groups = groups::of(tx, &ids).await?;
    let mut gateways = topology::gateways_of(tx, &ids).await?;
    for view in &mut found {
        view.groups = groups.remove(&view.device.id).unwrap_or_default();
        view.gateway = gateways.remove(&view.device.id);
        view.tags = tags.remove(&view.device.id).unwrap_or_default();
        view.versions = versions.remove(&view.device.id).unwrap_or_default();
    }
    Ok(found)
}
