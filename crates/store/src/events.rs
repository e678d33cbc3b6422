//! Reading what happened, in the order of the commits.

use rollout::{Event, Id, Ms};

use crate::sql::{Fields, Tx, Val};
use crate::{Error, Order, Slice, counter};

/// An event and its number. Numbers have no gaps and grow in the order of the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Its number, from 1.
    pub seq: i64,
    /// The event.
    pub event: Event,
}

/// Which events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All.
    All,
    /// Those of a product.
    Product(Id),
    /// Those of a device.
    Device(Id),
    /// Those of a job.
    Job(Id),
    /// Those of a task.
    Task(Id),
}

impl Filter {
    /// Whether an event is one of them.
    pub fn takes(self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::Product(id) => event.product_id == id,
            Self::Device(id) => event.device_id == Some(id),
            Self::Job(id) => event.job_id == Some(id),
            Self::Task(id) => event.task_id == Some(id),
        }
    }
}

/// Events after the one numbered `after` (0 for the first), at most `limit`.
pub async fn list(tx: &mut Tx, filter: Filter, after: i64, limit: u32) -> Result<Vec<Numbered>, Error> {
    select(tx, filter, "seq > ? order by seq limit ?", [after.into(), limit.into()]).await
}

/// Events before the one numbered `before`, or the last ones; the newest first.
pub async fn latest(
    tx: &mut Tx,
    filter: Filter,
    before: Option<i64>,
    limit: u32,
) -> Result<Slice<Numbered, i64>, Error> {
    let (part, args) = Order::Newest.part("seq", before, limit);
    let items = select(tx, filter, &part, args).await?;
    Ok(Slice::cut(items, limit, |numbered: &Numbered| numbered.seq))
}

async fn select(tx: &mut Tx, filter: Filter, part: &str, of_part: [Val; 2]) -> Result<Vec<Numbered>, Error> {
    let (of, mut args): (_, Vec<Val>) = match filter {
        Filter::All => ("", vec![]),
        Filter::Product(id) => ("product_id = ? and", vec![id.into()]),
        Filter::Device(id) => ("device_id = ? and", vec![id.into()]),
        Filter::Job(id) => ("job_id = ? and", vec![id.into()]),
        Filter::Task(id) => (
            "device_id = (select device_id from task where id = ?) and task_id = ? and",
            vec![id.into(), id.into()],
        ),
    };
    args.extend(of_part);
    let sql =
        format!("select seq, at, product_id, device_id, job_id, task_id, kind from event where {of} {part}");
    tx.rows(sql, args).await?.iter().map(|row| read(&mut row.fields())).collect()
}

/// The number of the last event; 0 before the first.
pub async fn last(tx: &mut Tx) -> Result<i64, Error> {
    counter::get(tx, "event").await
}

/// The number of the last event that was dropped; 0 if none was.
pub async fn dropped(tx: &mut Tx) -> Result<i64, Error> {
    counter::get(tx, "event_dropped").await
}

/// Drops the oldest events, at most `limit`, of those from before a time. True if there may be more of them.
///
/// The times of events grow with their numbers, so these are the first ones and leave no gap.
pub async fn drop_oldest(tx: &mut Tx, before: Ms, limit: u32) -> Result<bool, Error> {
    let dropped = dropped(tx).await?;
    let sql = "select max(seq) from (select seq, at from event where seq > ? order by seq limit ?) as oldest where at < ?";
    let row = tx.row(sql, vec![dropped.into(), limit.into(), before.into()]).await?;
    let Some(last) = row.map_or(Ok(None), |row| row.get::<Option<i64>>(0))? else { return Ok(false) };
    counter::put(tx, "event_dropped", last).await?;
    tx.exec("delete from event where seq > ? and seq <= ?", vec![dropped.into(), last.into()]).await?;
    Ok(last - dropped >= i64::from(limit))
}

fn read(fields: &mut Fields<'_>) -> Result<Numbered, Error> {
    Ok(Numbered {
        seq: fields.next()?,
        event: Event {
            at: fields.next()?,
            product_id: fields.next()?,
            device_id: fields.next()?,
            job_id: fields.next()?,
            task_id: fields.next()?,
            kind: fields.next()?,
        },
    })
}
