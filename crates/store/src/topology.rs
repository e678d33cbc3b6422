//! Which gateway a sub-device belongs to. Events are the caller's to write.

use std::collections::BTreeMap;

use rollout::{Id, Ms};

use crate::record::{int, text};
use crate::sql::{Fields, Tx};
use crate::{Error, Sealed, Slice};

/// A sub-device's place in a gateway's topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    /// The sub-device.
    pub device_id: Id,
    /// Its gateway.
    pub gateway_id: Id,
    /// Since when.
    pub added_at: Ms,
}

/// What a gateway's request about a sub-device is checked against.
#[derive(Clone, Debug)]
pub struct SubDevice {
    /// The device.
    pub device: Id,
    /// Its product.
    pub product: Id,
    /// A disabled one is refused.
    pub enabled: bool,
    /// Its secret, sealed for it.
    pub secret: Sealed,
    /// The gateway it belongs to.
    pub gateway: Option<Id>,
}

/// The names of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// Its product.
    pub product_key: String,
    /// Its name.
    pub device_name: String,
}

/// A sub-device as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubDeviceView {
    /// Its number.
    pub device: Id,
    /// Its names.
    pub name: DeviceName,
    /// Whether it is connected.
    pub online: bool,
    /// Since when it belongs to the gateway.
    pub added_at: Ms,
}

/// Devices by product key and name, in the order of the names: one walk down three indexes for each.
pub async fn find(tx: &mut Tx, names: &[(&str, &str)]) -> Result<Vec<Option<SubDevice>>, Error> {
    let statement = "select v.place, device.id, device.product_id, device.enabled, device.secret, k.gateway_id \
                     from v join product on product.product_key = v.product_key \
                     join device on device.product_id = product.id and device.name = v.name \
                     left join topology k on k.device_id = device.id";
    let read = |fields: &mut Fields<'_>| {
        Ok(SubDevice {
            device: fields.next()?,
            product: fields.next()?,
            enabled: fields.next()?,
            secret: Sealed(fields.next()?),
            gateway: fields.next()?,
        })
    };
    let rows = names.iter().map(|(key, name)| [(*key).into(), (*name).into()]);
    tx.bulk_found([text("product_key"), text("name")], rows, statement, read).await
}

/// Puts devices under a gateway, whichever they belonged to before.
pub async fn put(tx: &mut Tx, devices: &[Belonging]) -> Result<(), Error> {
    tx.upsert(devices).await
}

/// Takes devices out of the topology they are in.
pub async fn remove(tx: &mut Tx, devices: &[Id]) -> Result<(), Error> {
    let rows = devices.iter().map(|id| vec![(*id).into()]).collect();
    let statement = "delete from topology where device_id in (select device_id from v)";
    tx.bulk(&[int("device_id")], rows, statement).await.map(drop)
}

/// How many sub-devices a gateway has.
pub async fn count(tx: &mut Tx, gateway: Id) -> Result<i64, Error> {
    let row = tx.row("select count(*) from topology where gateway_id = ?", vec![gateway.into()]).await?;
    row.map_or(Ok(0), |row| row.get(0))
}

/// The sub-devices of all gateways of a product.
pub async fn under(tx: &mut Tx, product: Id) -> Result<Vec<Id>, Error> {
    let sql = "select k.device_id from device join topology k on k.gateway_id = device.id \
               where device.product_id = ?";
    tx.rows(sql, vec![product.into()]).await?.iter().map(|row| row.get(0)).collect()
}

/// Sub-devices of a gateway, after the device `after`.
pub async fn list(
    tx: &mut Tx,
    gateway: Id,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<SubDeviceView, Id>, Error> {
    let sql = "select k.device_id, product.product_key, device.name, device.online, k.added_at \
               from topology k join device on device.id = k.device_id \
               join product on product.id = device.product_id \
               where k.gateway_id = ? and k.device_id > ? order by k.device_id limit ?";
    let args = vec![gateway.into(), after.unwrap_or(Id::MIN).into(), (i64::from(limit) + 1).into()];
    let mut items = Vec::new();
    for row in tx.rows(sql, args).await? {
        let mut fields = row.fields();
        items.push(SubDeviceView {
            device: fields.next()?,
            name: DeviceName { product_key: fields.next()?, device_name: fields.next()? },
            online: fields.next()?,
            added_at: fields.next()?,
        });
    }
    Ok(Slice::cut(items, limit, |view| view.device))
}

/// The gateways of some devices. Those that belong to none are left out.
pub async fn gateways_of(tx: &mut Tx, devices: &[Id]) -> Result<BTreeMap<Id, DeviceName>, Error> {
    let rows = devices.iter().map(|id| vec![(*id).into()]).collect();
    let statement = "select v.device_id, product.product_key, device.name from v \
                     join topology k on k.device_id = v.device_id join device on device.id = k.gateway_id \
                     join product on product.id = device.product_id";
    let mut found = BTreeMap::new();
    for row in tx.bulk_rows(&[int("device_id")], rows, statement, &[]).await? {
        let mut fields = row.fields();
        let device = fields.next()?;
        found.insert(device, DeviceName { product_key: fields.next()?, device_name: fields.next()? });
    }
    Ok(found)
}

/// Forgets a device as sub-device and as gateway.
pub(crate) async fn forget(tx: &mut Tx, device: Id) -> Result<(), Error> {
    for sql in ["delete from topology where device_id = ?", "delete from topology where gateway_id = ?"] {
        tx.exec(sql, vec![device.into()]).await?;
    }
    Ok(())
}
