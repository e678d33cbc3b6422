//! The tables, and how older ones become the present ones.

use std::num::ParseIntError;

use crate::sql::Tx;
use crate::{Error, meta};

/// The schema this program reads and writes. A later one is not opened.
pub const SCHEMA: u32 = 20;

/// What `meta` calls a database of ours.
const KIND: &str = "otaru";

/// One step a version.
const STEPS: [&str; SCHEMA as usize] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008.sql"),
    include_str!("schema/0009.sql"),
    include_str!("schema/0010.sql"),
    include_str!("schema/0011.sql"),
    include_str!("schema/0012.sql"),
    include_str!("schema/0013.sql"),
    include_str!("schema/0014.sql"),
    include_str!("schema/0015.sql"),
    include_str!("schema/0016.sql"),
    include_str!("schema/0017.sql"),
    include_str!("schema/0018.sql"),
    include_str!("schema/0019.sql"),
    include_str!("schema/0020.sql"),
];

/// What a database holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Empty,
    Ours { schema: u32 },
    Other { what: String },
}

pub(crate) async fn inspect(tx: &mut Tx) -> Result<Found, Error> {
    let count = |row: Option<crate::sql::Row>| row.map_or(Ok(0), |row| row.get::<i64>(0));
    let sql = tx.dialect.has_table();
    if count(tx.row(sql, vec!["meta".into()]).await?)? == 0 {
        let sql = tx.dialect.count_tables();
        return Ok(match count(tx.row(sql, vec![]).await?)? {
            0 => Found::Empty,
            n => Found::Other { what: format!("{n} tables of something else") },
        });
    }
    let kind = meta::get(tx, "kind").await.ok().flatten();
    if kind.as_deref() != Some(KIND) {
        let what = kind.unwrap_or_else(|| "tables of something else".into());
        return Ok(Found::Other { what });
    }
    let schema = meta::get(tx, "schema").await?.unwrap_or_default();
    Ok(match schema.parse() {
        Ok(schema) => Found::Ours { schema },
        Err(e) => {
            let e: ParseIntError = e;
            Found::Other { what: format!("a schema called {schema:?} ({e})") }
        }
    })
}

/// Makes the tables of schema `to` out of those of schema `from`; 0 is an empty database.
pub(crate) async fn migrate(tx: &mut Tx, from: u32, to: u32) -> Result<(), Error> {
    for step in &STEPS[from as usize..to as usize] {
        let script = tx.dialect.ddl(step);
        tx.script(script).await?;
    }
    meta::put(tx, "kind", KIND).await?;
    meta::put(tx, "schema", &to.to_string()).await
}
