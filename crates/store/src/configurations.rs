//! Remote configuration. Events are the caller's to write.

use std::collections::BTreeMap;

use rollout::{Id, Ms};

use crate::record::Record;
use crate::sql::Tx;
use crate::{Error, Slice};

/// A version of a product's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Its number.
    pub id: Id,
    /// Whose it is.
    pub product_id: Id,
    /// Counts from 1 in each product; the highest is the present one.
    pub version: i64,
    /// Its blob: 64 lower-case hex digits.
    pub sha256: String,
    /// Bytes.
    pub size: i64,
    /// When it was made.
    pub created_at: Ms,
}

/// What a product says of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose they are.
    pub product_id: Id,
    /// Whether its devices get it.
    pub enabled: bool,
    /// The version that was last pushed to all of them; 0 is none.
    pub pushed: i64,
}

impl Settings {
    /// What holds as long as nobody said anything.
    pub fn new(product_id: Id) -> Self {
        Self { product_id, enabled: true, pushed: 0 }
    }
}

/// What is known of a device's configuration; version 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfDevice {
    /// Which device.
    pub device_id: Id,
    /// Its product.
    pub product_id: Id,
    /// The version that was pushed to it by name.
    pub wanted: i64,
    /// The version it was last told of, by a push or because it asked.
    pub told: i64,
    /// When it was first told of that.
    pub told_at: Option<Ms>,
    /// The version whose file it last fetched.
    pub fetched: i64,
    /// When.
    pub fetched_at: Option<Ms>,
    /// The version whose push it last answered.
    pub answered: i64,
    /// When.
    pub answered_at: Option<Ms>,
    /// With which code; 200 is that it took it.
    pub code: Option<i32>,
}

/// Keeps a version whose blob is stored.
pub async fn create(tx: &mut Tx, configuration: &Configuration) -> Result<(), Error> {
    let row = vec![configuration.values()];
    tx.insert("configuration", Configuration::TABLE.columns, row, "").await.map(drop)
}

/// A version by its number.
pub async fn get(tx: &mut Tx, id: Id) -> Result<Option<Configuration>, Error> {
    Ok(tx.select_in("id", &[id], "").await?.pop())
}

/// A version of a product.
pub async fn find(tx: &mut Tx, product: Id, version: i64) -> Result<Option<Configuration>, Error> {
    let args = vec![product.into(), version.into()];
    Ok(tx.select_where("product_id = ? and version = ?", args).await?.pop())
}

/// The present versions of products, by product.
pub async fn present(tx: &mut Tx, products: &[Id]) -> Result<BTreeMap<Id, Configuration>, Error> {
    let newest = " and version = (select max(version) from configuration as c where c.product_id = configuration.product_id)";
    let found: Vec<Configuration> = tx.select_in("product_id", products, newest).await?;
    Ok(found.into_iter().map(|configuration| (configuration.product_id, configuration)).collect())
}

/// The versions of a product after this one.
pub async fn list(
    tx: &mut Tx,
    product: Id,
    after: Option<i64>,
    limit: u32,
) -> Result<Slice<Configuration, i64>, Error> {
    let args = vec![product.into(), after.unwrap_or(0).into(), (i64::from(limit) + 1).into()];
    let items = tx.select_where("product_id = ? and version > ? order by version limit ?", args).await?;
    Ok(Slice::cut(items, limit, |c: &Configuration| c.version))
}

/// What products say of their configuration, by product; those that said nothing are left out.
pub async fn settings(tx: &mut Tx, products: &[Id]) -> Result<BTreeMap<Id, Settings>, Error> {
    let found: Vec<Settings> = tx.select_in("product_id", products, "").await?;
    Ok(found.into_iter().map(|settings| (settings.product_id, settings)).collect())
}

/// Writes what a product says.
pub async fn put_settings(tx: &mut Tx, settings: &Settings) -> Result<(), Error> {
    tx.upsert(std::slice::from_ref(settings)).await
}

/// The keys of the products whose devices may wait for a push.
pub async fn pushing(tx: &mut Tx) -> Result<Vec<String>, Error> {
    let sql = "select p.product_key from product_configuration c join product p on p.id = c.product_id";
    tx.rows(sql, vec![]).await?.iter().map(|row| row.get(0)).collect()
}

/// What is known of devices, also of those of which nothing is; those that are not there are left out.
pub async fn devices(tx: &mut Tx, devices: &[Id]) -> Result<BTreeMap<Id, OfDevice>, Error> {
    let mut out = BTreeMap::new();
    for some in devices.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        let sql = format!(
            "select d.id, d.product_id, coalesce(c.wanted, 0), coalesce(c.told, 0), c.told_at, coalesce(c.fetched, 0), \
             c.fetched_at, coalesce(c.answered, 0), c.answered_at, c.code \
             from device d left join device_configuration c on c.device_id = d.id where d.id {any}"
        );
        for row in tx.rows(sql, args).await? {
            let state = OfDevice::read(&mut row.fields())?;
            out.insert(state.device_id, state);
        }
    }
    Ok(out)
}

/// Writes what is known of devices, in the order of their numbers.
pub async fn put_devices(tx: &mut Tx, states: &[OfDevice]) -> Result<(), Error> {
    tx.upsert(states).await
}

/// What is known of the devices of a product, after the one with this number.
pub async fn list_devices(
    tx: &mut Tx,
    product: Id,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<OfDevice, Id>, Error> {
    let args = vec![product.into(), after.unwrap_or(Id::MIN).into(), (i64::from(limit) + 1).into()];
    let items = tx.select_where("product_id = ? and device_id > ? order by device_id limit ?", args).await?;
    Ok(Slice::cut(items, limit, |state: &OfDevice| state.device_id))
}

/// The next connected devices of a product by name: numbers and names.
pub async fn online(tx: &mut Tx, product: Id, after: &str, limit: u32) -> Result<Vec<(Id, String)>, Error> {
    let sql =
        "select id, name from device where product_id = ? and online = 1 and name > ? order by name limit ?";
    let rows = tx.rows(sql, vec![product.into(), after.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Removes all versions of a product and what it says of them.
pub(crate) async fn remove(tx: &mut Tx, product: Id) -> Result<(), Error> {
    for sql in [
        "delete from configuration where product_id = ?",
        "delete from product_configuration where product_id = ?",
    ] {
        tx.exec(sql, vec![product.into()]).await?;
    }
    Ok(())
}
