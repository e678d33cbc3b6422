//! Writing what was decided.

use std::collections::BTreeMap;

use rollout::{Changes, Epoch, Event, Id, Task};

use crate::committer::timers;
use crate::record::{EVENT, JOB_COUNT, Record, int};
use crate::sql::{Field, Tx, Val};
use crate::{Error, counter};

/// Writes everything but `outbound`, in a number of statements that does not depend on how much it is.
/// Events come last: on PostgreSQL their counter's row is locked from there to the commit, which makes
/// the order of their numbers the order of the commits.
pub async fn apply(tx: &mut Tx, changes: &Changes) -> Result<(), Error> {
    end_sessions(tx, changes).await?;
    tx.upsert(&changes.sessions).await?;
    update_devices(tx, changes).await?;
    tx.upsert(&changes.versions).await?;
    insert_tasks(tx, &changes.tasks_new).await?;
    let before = |task: &Task| changes.tasks_before.get(&task.id);
    tx.update(&changes.tasks, before, &[int("open")], |t| vec![is_open(t)]).await?;
    tx.update(&changes.jobs, |_| None, &[], |_| vec![]).await?;
    tx.update(&changes.packages, |_| None, &[], |_| vec![]).await?;
    add_counts(tx, changes).await?;
    note_offers(tx, changes.offered_until_us).await?;
    timers::set(tx, &changes.timers).await?;
    append_events(tx, &changes.events).await
}

/// Until when what was offered uses up the byte budget, in microseconds: a server that starts goes on from there.
pub async fn offered_until(tx: &mut Tx) -> Result<i64, Error> {
    counter::get(tx, "offer").await
}

async fn note_offers(tx: &mut Tx, until_us: Option<i64>) -> Result<(), Error> {
    let Some(until_us) = until_us else { return Ok(()) };
    counter::put(tx, "offer", until_us).await
}

/// Numbers and writes events. The last thing a transaction does.
pub async fn append_events(tx: &mut Tx, events: &[Event]) -> Result<(), Error> {
    let (Some(at), Ok(n)) = (events.iter().map(|e| e.at).max(), i64::try_from(events.len())) else {
        return Ok(());
    };
    let sql = "update counter set value = value + ?, at = case when at > ? then at else ? end \
               where name = 'event' returning value, at";
    let Some(row) = tx.row(sql, vec![n.into(), at.into(), at.into()]).await? else { return Ok(()) };
    let (last, at): (i64, i64) = (row.get(0)?, row.get(1)?);
    let values = |(event, seq): (&Event, i64)| {
        vec![
            seq.into(),
            at.into(),
            event.product_id.into(),
            event.device_id.to_val(),
            event.job_id.to_val(),
            event.task_id.to_val(),
            event.kind.to_val(),
        ]
    };
    let rows = events.iter().zip(last - n + 1..).map(values).collect();
    tx.insert(EVENT.name, EVENT.columns, rows, "").await.map(drop)
}

/// Connections after that of the device `cursor`, in the order of the devices: their devices and numbers.
pub async fn connections(tx: &mut Tx, cursor: Id, limit: u32) -> Result<Vec<(Id, Epoch)>, Error> {
    let sql = "select device_id, epoch from session where device_id > ? order by device_id limit ?";
    let rows = tx.rows(sql, vec![cursor.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

async fn end_sessions(tx: &mut Tx, changes: &Changes) -> Result<(), Error> {
    let rows = changes.sessions_ended.iter().map(|(d, e)| vec![(*d).into(), (*e).into()]).collect();
    let statement = "delete from session where exists \
                     (select 1 from v where v.device_id = session.device_id and v.epoch >= session.epoch) \
                     and device_id in (select device_id from v)";
    tx.bulk(&[int("device_id"), int("epoch")], rows, statement).await.map(drop)
}

/// Devices, and whether they are online: a column that lists are filtered by.
async fn update_devices(tx: &mut Tx, changes: &Changes) -> Result<(), Error> {
    let mut online: BTreeMap<Id, bool> = changes.sessions_ended.iter().map(|(d, _)| (*d, false)).collect();
    online.extend(changes.sessions.iter().map(|s| (s.device_id, true)));
    let flag = |id: &Id| online.get(id).copied().to_val();
    tx.update(&changes.devices, |_| None, &[int("online")], |d| vec![flag(&d.id)]).await?;
    let written = |id: &Id| changes.devices.iter().any(|d| d.id == *id);
    let others = online.iter().filter(|(id, _)| !written(id));
    let rows = others.map(|(id, on)| vec![(*id).into(), (*on).into()]).collect();
    let statement = "update device set online = v.online from v where device.id = v.id";
    tx.bulk(&[int("id"), int("online")], rows, statement).await.map(drop)
}

async fn insert_tasks(tx: &mut Tx, tasks: &[Task]) -> Result<(), Error> {
    let columns = [Task::TABLE.columns, Task::TABLE.hidden].concat();
    let rows = tasks.iter().map(|t| [t.values(), vec![is_open(t)]].concat()).collect();
    tx.insert("task", &columns, rows, "").await.map(drop)
}

fn is_open(task: &Task) -> Val {
    (!task.state.is_terminal()).into()
}

async fn add_counts(tx: &mut Tx, changes: &Changes) -> Result<(), Error> {
    let values = |((job, state), n): (&(Id, rollout::TaskState), &i64)| {
        vec![(*job).into(), state.to_val(), (*n).into()]
    };
    let rows = changes.counts.iter().map(values).collect();
    tx.add(&JOB_COUNT, rows).await
}
