//! Facts about the installation, by name.

use crate::Error;
use crate::sql::Tx;

/// The value of a name.
pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<String>, Error> {
    let row = tx.row("select value from meta where name = ?", vec![name.into()]).await?;
    row.map(|row| row.get(0)).transpose()
}

/// Sets the value of a name.
pub async fn put(tx: &mut Tx, name: &str, value: &str) -> Result<(), Error> {
    let sql = "insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value";
    tx.exec(sql, vec![name.into(), value.into()]).await.map(drop)
}
