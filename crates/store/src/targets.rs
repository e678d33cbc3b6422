//! Whom a job would be for, looked at before it is made.

use std::collections::BTreeMap;

use rollout::Id;

use crate::Error;
use crate::record::{int, text};
use crate::sql::Tx;

/// What devices last said of one module. Those that never spoke of it are left out.
pub async fn versions_of(tx: &mut Tx, devices: &[Id], module: &str) -> Result<BTreeMap<Id, String>, Error> {
    let columns = [int("device_id"), text("module")];
    let rows = devices.iter().map(|id| vec![(*id).into(), module.into()]).collect();
    let statement = "select m.device_id, m.version from v join module_version m \
                     on m.device_id = v.device_id and m.module = v.module";
    let found = tx.bulk_rows(&columns, rows, statement).await?;
    found.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// What some devices have not finished: device, module and job of each task.
pub async fn unfinished(tx: &mut Tx, devices: &[Id]) -> Result<Vec<(Id, String, Id)>, Error> {
    let rows = devices.iter().map(|id| vec![(*id).into()]).collect();
    let statement = "select t.device_id, t.module, t.job_id from v join task t on t.device_id = v.device_id and t.open = 1";
    let found = tx.bulk_rows(&[int("device_id")], rows, statement).await?;
    found.iter().map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).collect()
}
