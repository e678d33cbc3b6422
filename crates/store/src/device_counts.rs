//! How many devices each product has, and how many of them are connected, never were, or may not log in: kept in the
//! transactions of the events that change it.

use std::collections::BTreeMap;

use rollout::{Event, EventKind, Id};

use crate::Error;
use crate::record::DEVICE_COUNT;
use crate::sql::Tx;

/// The devices of a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// All of them.
    pub all: i64,
    /// Those that are connected.
    pub online: i64,
    /// Those that never were.
    pub never_connected: i64,
    /// Those that may not log in.
    pub disabled: i64,
}

impl DeviceCounts {
    /// Those that were connected and are not.
    pub const fn offline(&self) -> i64 {
        self.all - self.online - self.never_connected
    }

    fn add(&mut self, event: &EventKind) {
        match event {
            EventKind::DeviceCreated { .. } => {
                self.all += 1;
                self.never_connected += 1;
            }
            EventKind::DeviceConnected { first } => {
                self.online += 1;
                self.never_connected -= i64::from(*first);
            }
            EventKind::DeviceDisconnected => self.online -= 1,
            EventKind::DeviceEnabled { enabled } => self.disabled += if *enabled { -1 } else { 1 },
            // What a device was is no more known when its removal is told: see `forget`.
            _ => {}
        }
    }

    /// Each number by the name of its row.
    fn statuses(&mut self) -> [(&'static str, &mut i64); 4] {
        [
            ("all", &mut self.all),
            ("online", &mut self.online),
            ("neverConnected", &mut self.never_connected),
            ("disabled", &mut self.disabled),
        ]
    }
}

/// Counts what happened.
pub async fn note(tx: &mut Tx, events: &[Event]) -> Result<(), Error> {
    let mut changes: BTreeMap<Id, DeviceCounts> = BTreeMap::new();
    for event in events {
        changes.entry(event.product_id).or_default().add(&event.kind);
    }
    write(tx, changes).await
}

/// Takes a device that is about to be removed out of the counts.
pub(crate) async fn forget(tx: &mut Tx, device: Id) -> Result<(), Error> {
    let sql = "select product_id, online, first_online_at, enabled from device where id = ?";
    let Some(row) = tx.row(sql, vec![device.into()]).await? else { return Ok(()) };
    let mut fields = row.fields();
    let (product, online): (Id, bool) = (fields.next()?, fields.next()?);
    let (first_online_at, enabled): (Option<i64>, bool) = (fields.next()?, fields.next()?);
    let less = DeviceCounts {
        all: -1,
        online: -i64::from(online),
        never_connected: -i64::from(first_online_at.is_none()),
        disabled: -i64::from(!enabled),
    };
    write(tx, [(product, less)].into()).await
}

async fn write(tx: &mut Tx, mut changes: BTreeMap<Id, DeviceCounts>) -> Result<(), Error> {
    let of_product = |(product, counts): (&Id, &mut DeviceCounts)| {
        let product = *product;
        let changed = counts.statuses().into_iter().filter(|(_, n)| **n != 0);
        Vec::from_iter(changed.map(|(status, n)| vec![product.into(), status.into(), (*n).into()]))
    };
    let rows = changes.iter_mut().flat_map(of_product).collect();
    tx.add(&DEVICE_COUNT, rows).await
}

/// The counts of products; one without devices has none.
pub async fn of(tx: &mut Tx, products: &[Id]) -> Result<BTreeMap<Id, DeviceCounts>, Error> {
    let mut found: BTreeMap<Id, DeviceCounts> = BTreeMap::new();
    for some in products.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        let sql = format!("select product_id, status, n from device_count where product_id {any}");
        for row in tx.rows(sql, args).await? {
            let (product, status): (Id, String) = (row.get(0)?, row.get(1)?);
            let counts = found.entry(product).or_default();
            if let Some((_, n)) = counts.statuses().into_iter().find(|(name, _)| *name == status) {
                *n = row.get(2)?;
            }
        }
    }
    Ok(found)
}

/// Whether at least half of all devices are of this product.
pub(crate) async fn is_most(tx: &mut Tx, product: Id) -> Result<bool, Error> {
    let sql = "select 1 from device_count where status = 'all' group by status \
               having sum(case when product_id = ? then n else -n end) >= 0";
    Ok(tx.row(sql, vec![product.into()]).await?.is_some())
}

/// Removes the counts of a product.
pub(crate) async fn remove(tx: &mut Tx, product: Id) -> Result<(), Error> {
    tx.exec("delete from device_count where product_id = ?", vec![product.into()]).await.map(drop)
}
