//! Numbers that go on, by name.

use crate::Error;
use crate::sql::Tx;

/// The value of a name; 0 if it has none yet.
pub(crate) async fn get(tx: &mut Tx, name: &'static str) -> Result<i64, Error> {
    let row = tx.row("select value from counter where name = ?", vec![name.into()]).await?;
    row.map_or(Ok(0), |row| row.get(0))
}

/// Sets the value of a name.
pub(crate) async fn put(tx: &mut Tx, name: &'static str, value: i64) -> Result<(), Error> {
    let sql = "insert into counter (name, value, at) values (?, ?, 0) \
               on conflict (name) do update set value = excluded.value";
    tx.exec(sql, vec![name.into(), value.into()]).await.map(drop)
}
