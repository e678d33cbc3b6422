//! Tags: what operators say of devices. Events are the caller's to write.

use std::collections::BTreeMap;

use rollout::Id;

use crate::Error;
use crate::record::{int, text};
use crate::sql::Tx;

/// A tag of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTag {
    /// The device.
    pub device_id: Id,
    /// Unique among the device's tags.
    pub name: String,
    /// What it says.
    pub value: String,
    /// The device's product.
    pub product_id: Id,
    /// The device's name.
    pub device_name: String,
}

/// A device's tags by name.
pub type Tags = BTreeMap<String, String>;

/// The tags of some devices. Those without any are left out.
pub async fn of(tx: &mut Tx, devices: &[Id]) -> Result<BTreeMap<Id, Tags>, Error> {
    let mut found: BTreeMap<Id, Tags> = BTreeMap::new();
    for tag in tx.select_in::<DeviceTag>("device_id", devices, "").await? {
        found.entry(tag.device_id).or_default().insert(tag.name, tag.value);
    }
    Ok(found)
}

/// The value of one tag of some devices. Those without it are left out.
pub async fn values(tx: &mut Tx, devices: &[Id], name: &str) -> Result<BTreeMap<Id, String>, Error> {
    let rows = devices.iter().map(|id| vec![(*id).into()]).collect();
    let statement = "select t.device_id, t.value from v join device_tag t \
                     on t.device_id = v.device_id and t.name = ?";
    let found = tx.bulk_rows(&[int("device_id")], rows, statement, &[name.into()]).await?;
    found.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Sets tags, each in place of the device's earlier one of that name.
pub async fn set(tx: &mut Tx, tags: &[DeviceTag]) -> Result<(), Error> {
    tx.upsert(tags).await
}

/// Removes tags by device and name.
pub async fn unset(tx: &mut Tx, tags: &[(Id, String)]) -> Result<(), Error> {
    let rows = tags.iter().map(|(device, name)| vec![(*device).into(), name.as_str().into()]).collect();
    let statement = "delete from device_tag where device_id in (select device_id from v) and exists \
                     (select 1 from v where v.device_id = device_tag.device_id and v.name = device_tag.name)";
    tx.bulk(&[int("device_id"), text("name")], rows, statement).await.map(drop)
}
