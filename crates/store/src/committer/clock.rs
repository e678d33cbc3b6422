//! The time, and stream numbers.

use rollout::Ms;

use crate::sql::Tx;
use crate::{Clock, Error};

/// What clock and log say at the beginning of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// PostgreSQL's clock, so that all nodes agree, otherwise the caller's.
    pub clock: Ms,
    /// When the last event was. It may be later, if a clock was set back.
    pub last_event: Ms,
}

/// Reads the clock and the end of the log.
pub async fn times(tx: &mut Tx, host_ms: Ms) -> Result<Times, Error> {
    let clock = match tx.clock {
        Clock::Database => tx.dialect.clock(),
        Clock::Caller => None,
    };
    let sql = format!("select at, {} from counter where name = 'event'", clock.unwrap_or("0"));
    let Some(row) = tx.row(sql, vec![]).await? else {
        return Ok(Times { clock: host_ms, last_event: host_ms });
    };
    let last_event = row.get(0)?;
    Ok(Times { clock: if clock.is_some() { row.get(1)? } else { host_ms }, last_event })
}

/// The time of a transaction that stands alone: the clock's, but never before the last event's.
pub async fn now(tx: &mut Tx, host_ms: Ms) -> Result<Ms, Error> {
    let times = times(tx, host_ms).await?;
    Ok(times.clock.max(times.last_event))
}

/// Takes the next `n` stream numbers; gives the first. Numbers of an undone transaction are given again.
/// To be called before the transaction writes events.
pub async fn reserve_streams(tx: &mut Tx, n: u32) -> Result<u32, Error> {
    let sql = "update counter set value = value + ? where name = 'stream' and value + ? <= 4294967295 returning value";
    let row = tx.row(sql, vec![n.into(), n.into()]).await?.ok_or(Error::StreamsUsedUp)?;
    Ok(row.get::<u32>(0)? - n + 1)
}

/// Gives back the last `n` of the stream numbers that this transaction took.
pub async fn return_streams(tx: &mut Tx, n: u32) -> Result<(), Error> {
    tx.exec("update counter set value = value - ? where name = 'stream'", vec![n.into()]).await.map(drop)
}
