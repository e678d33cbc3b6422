//! Reading what happened, in the order of the commits.

use rollout::{Event, Id};

use crate::Error;
use crate::sql::{Fields, Tx, Val};

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

/// Events after the one numbered `after` (0 for the first), at most `limit`.
pub async fn list(tx: &mut Tx, filter: Filter, after: i64, limit: u32) -> Result<Vec<Numbered>, Error> {
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
    args.extend([after.into(), limit.into()]);
    let sql = format!(
        "select seq, at, product_id, device_id, job_id, task_id, kind from event where {of} seq > ? order by seq limit ?"
    );
    tx.rows(sql, args).await?.iter().map(|row| read(&mut row.fields())).collect()
}

/// The number of the last event; 0 before the first.
pub async fn last(tx: &mut Tx) -> Result<i64, Error> {
    let row = tx.row("select value from counter where name = 'event'", vec![]).await?;
    row.map_or(Ok(0), |row| row.get(0))
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
