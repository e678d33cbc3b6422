//! Time that never runs backwards, and stream numbers.

use rollout::Ms;

use crate::sql::Tx;
use crate::{Clock, Error};

/// The time of a batch: the database's on PostgreSQL, otherwise `host_ms`, but never before the last
/// event's.
pub async fn now(tx: &mut Tx, host_ms: Ms) -> Result<Ms, Error> {
    let clock = match tx.clock {
        Clock::Database => tx.dialect.clock(),
        Clock::Caller => None,
    };
    let sql = format!("select at, {} from counter where name = 'event'", clock.unwrap_or("0"));
    let Some(row) = tx.row(sql, vec![]).await? else { return Ok(host_ms) };
    let (last, database) = if clock.is_some() { (row.get(0)?, row.get(1)?) } else { (row.get(0)?, host_ms) };
    Ok(database.max(last))
}

/// Takes the next `n` stream numbers; gives the first. Numbers of an undone transaction are given again.
/// To be called before the transaction writes events.
pub async fn reserve_streams(tx: &mut Tx, n: u32) -> Result<u32, Error> {
    let sql = "update counter set value = value + ? where name = 'stream' and value + ? <= 4294967295 returning value";
    let row = tx.row(sql, vec![n.into(), n.into()]).await?.ok_or(Error::StreamsUsedUp)?;
    Ok(row.get::<u32>(0)? - n + 1)
}
