//! Groups of devices: those that were added, or those that a filter means. Events are the caller's to write.

use std::collections::{BTreeMap, BTreeSet};

use rollout::filter::{Condition, Field, Filter};
use rollout::{Id, Ms};

use crate::modules::Creation;
use crate::record::{GROUP_MEMBER, Record, int};
use crate::select::{Selection, Whom};
use crate::sql::Tx;
use crate::{Error, Slice};

/// Devices under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Row number.
    pub id: Id,
    /// Its product.
    pub product_id: Id,
    /// Unique in the product.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// The text of the filter that says who is in it; `None` are those that were added.
    pub filter: Option<String>,
    /// How many were added.
    pub members: i64,
    /// When it was made.
    pub created_at: Ms,
}

/// A device as a group knows it.
pub type Member = (Id, String);

/// Makes a group, unless its product has `at_most`.
pub async fn create(tx: &mut Tx, group: &Group, at_most: u32) -> Result<Creation, Error> {
    let lock = tx.dialect.for_update();
    tx.rows(format!("select id from product where id = ?{lock}"), vec![group.product_id.into()]).await?;
    if get(tx, group.product_id, &group.name).await?.is_some() {
        return Ok(Creation::Taken);
    }
    let count =
        tx.row("select count(*) from device_group where product_id = ?", vec![group.product_id.into()]);
    if count.await?.map_or(Ok(0), |row| row.get::<i64>(0))? >= i64::from(at_most) {
        return Ok(Creation::TooMany);
    }
    tx.insert("device_group", Group::TABLE.columns, vec![group.values()], "").await?;
    Ok(Creation::Created)
}

/// A group of a product by its name.
pub async fn get(tx: &mut Tx, product: Id, name: &str) -> Result<Option<Group>, Error> {
    Ok(tx.select_where("product_id = ? and name = ?", vec![product.into(), name.into()]).await?.pop())
}

/// A group by its number.
pub async fn by_id(tx: &mut Tx, id: Id) -> Result<Option<Group>, Error> {
    Ok(tx.select_in("id", &[id], "").await?.pop())
}

/// Locks a group, so that its members may be changed; gives it as it is then.
pub async fn lock(tx: &mut Tx, id: Id) -> Result<Option<Group>, Error> {
    let lock = tx.dialect.for_update();
    Ok(tx.select_in("id", &[id], lock).await?.pop())
}

/// Groups of a product by name, after the name `after`.
pub async fn list(
    tx: &mut Tx,
    product: Id,
    after: Option<&str>,
    limit: u32,
) -> Result<Slice<Group, String>, Error> {
    let args = vec![product.into(), after.unwrap_or_default().into(), (i64::from(limit) + 1).into()];
    let items = tx.select_where("product_id = ? and name > ? order by name limit ?", args).await?;
    Ok(Slice::cut(items, limit, |group: &Group| group.name.clone()))
}

/// Writes a group's description and filter.
pub async fn update(tx: &mut Tx, group: &Group) -> Result<(), Error> {
    tx.update(std::slice::from_ref(group), |_| None, &[], |_| vec![]).await.map(drop)
}

/// Removes a group without members.
pub async fn delete(tx: &mut Tx, id: Id) -> Result<(), Error> {
    tx.exec("delete from device_group where id = ?", vec![id.into()]).await.map(drop)
}

/// Adds devices to a locked group; gives those that were not in it.
pub async fn add(tx: &mut Tx, group: Id, devices: &[Member]) -> Result<BTreeSet<Id>, Error> {
    let row = |(device, name): &Member| vec![group.into(), (*device).into(), name.as_str().into()];
    let statement = "insert into group_member (group_id, device_id, device_name) \
                     select group_id, device_id, device_name from v where group_id is not null \
                     on conflict (group_id, device_id) do nothing returning device_id";
    let added = tx.bulk_rows(GROUP_MEMBER.columns, devices.iter().map(row).collect(), statement, &[]).await?;
    let added: BTreeSet<Id> = added.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    count(tx, group, added.len() as i64).await?;
    Ok(added)
}

/// Removes devices from a locked group; gives those that were in it.
pub async fn remove(tx: &mut Tx, group: Id, devices: &[Id]) -> Result<BTreeSet<Id>, Error> {
    let rows = devices.iter().map(|device| vec![group.into(), (*device).into()]).collect();
    let statement = "delete from group_member where group_id in (select group_id from v) \
                     and device_id in (select device_id from v) returning device_id";
    let removed = tx.bulk_rows(&[int("group_id"), int("device_id")], rows, statement, &[]).await?;
    let removed: BTreeSet<Id> = removed.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    count(tx, group, -(removed.len() as i64)).await?;
    Ok(removed)
}

async fn count(tx: &mut Tx, group: Id, n: i64) -> Result<(), Error> {
    let sql = "update device_group set members = members + ? where id = ?";
    tx.exec(sql, vec![n.into(), group.into()]).await.map(drop)
}

/// The first members of a group.
pub async fn some_members(tx: &mut Tx, group: Id, limit: u32) -> Result<Vec<Member>, Error> {
    let sql = "select device_id, device_name from group_member where group_id = ? order by device_id limit ?";
    let rows = tx.rows(sql, vec![group.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Takes a device out of every group it was added to. On PostgreSQL the groups are locked in the order of their
/// numbers.
pub(crate) async fn forget(tx: &mut Tx, device: Id) -> Result<(), Error> {
    let lock = tx.dialect.for_update();
    let sql = format!(
        "select id from device_group where id in (select group_id from group_member where device_id = ?) order by id{lock}"
    );
    for row in tx.rows(sql, vec![device.into()]).await? {
        remove(tx, row.get(0)?, &[device]).await?;
    }
    Ok(())
}

/// The names of the groups that devices were added to. Those in none are left out.
pub async fn of(tx: &mut Tx, devices: &[Id]) -> Result<BTreeMap<Id, BTreeSet<String>>, Error> {
    let rows = devices.iter().map(|id| vec![(*id).into()]).collect();
    let statement = "select k.device_id, g.name from v join group_member k on k.device_id = v.device_id \
                     join device_group g on g.id = k.group_id";
    let mut found: BTreeMap<Id, BTreeSet<String>> = BTreeMap::new();
    for row in tx.bulk_rows(&[int("device_id")], rows, statement, &[]).await? {
        found.entry(row.get(0)?).or_default().insert(row.get(1)?);
    }
    Ok(found)
}

/// A filter with the numbers of the groups it names, as far as they are there and have members of their own.
pub async fn selection(tx: &mut Tx, product: Id, filter: Filter, now: Ms) -> Result<Selection, Error> {
    let mut groups = BTreeMap::new();
    let names: BTreeSet<&str> = filter.groups().into_iter().collect();
    for name in names {
        if let Some(group) = get(tx, product, name).await?.filter(|group| group.filter.is_none()) {
            groups.insert(group.name, group.id);
        }
    }
    Ok(Selection { filter, groups, now })
}

/// A group as a filter means it.
pub async fn meaning(tx: &mut Tx, group: &Group, now: Ms) -> Result<Selection, Error> {
    selection(tx, group.product_id, filter_of(group)?, now).await
}

/// The filter that means those in a group.
pub(crate) fn filter_of(group: &Group) -> Result<Filter, Error> {
    let own = || Condition::OneOf { field: Field::Group, values: vec![group.name.clone()] };
    group.filter.as_ref().map_or_else(|| Ok(Filter::Is(own())), |text| parsed(text))
}

/// Where the devices of a group are found.
pub async fn whom(tx: &mut Tx, group: &Group, now: Ms) -> Result<Whom, Error> {
    match &group.filter {
        None => Ok(Whom::Members(group.id)),
        Some(text) => filtered(tx, group.product_id, text, now).await,
    }
}

/// Where the devices that a stored filter means are found.
pub(crate) async fn filtered(tx: &mut Tx, product: Id, text: &str, now: Ms) -> Result<Whom, Error> {
    Ok(Whom::Meant(selection(tx, product, parsed(text)?, now).await?))
}

pub(crate) fn parsed(text: &str) -> Result<Filter, Error> {
    Filter::parse(text).map_err(|e| Error::Unreadable { column: 0, what: e.to_string() })
}

/// All devices of a group.
pub async fn devices(tx: &mut Tx, group: &Group, now: Ms) -> Result<BTreeSet<Id>, Error> {
    let (from, part) = whom(tx, group, now).await?.all(group.product_id, tx.dialect);
    let found = tx.rows(format!("select device.id from {from} where {}", part.sql), part.args).await?;
    found.iter().map(|row| row.get(0)).collect()
}

/// Those of some devices that are in a group, if it is still there.
pub async fn among(tx: &mut Tx, group: Id, devices: &[Id], now: Ms) -> Result<BTreeSet<Id>, Error> {
    let Some(group) = by_id(tx, group).await? else { return Ok(BTreeSet::new()) };
    let whom = whom(tx, &group, now).await?;
    let mut found = BTreeSet::new();
    for some in devices.chunks(tx.dialect.max_rows()) {
        found.extend(whom.among(tx, some).await?);
    }
    Ok(found)
}
