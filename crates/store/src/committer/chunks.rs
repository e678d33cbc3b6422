//! The next few of many: what is ready, whom a job enrols, which of its tasks an order touches.

use rollout::{Id, Job, Ms, Scope, TaskState};

use crate::Error;
use crate::sql::{Field, Row, Tx, Val};

/// Which tasks an order on a whole job touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unworked {
    /// Those that have not ended: a cancel, an end, a release.
    Unfinished,
    /// Those that failed or were cancelled: a re-upgrade.
    Restartable,
    /// Those that wait for approval.
    Unapproved,
}

impl Unworked {
    const fn states(self) -> &'static [TaskState] {
        match self {
            Self::Unfinished => {
                &[TaskState::Confirm, TaskState::Queued, TaskState::Notified, TaskState::InProgress]
            }
            Self::Restartable => &[TaskState::Failed, TaskState::Canceled],
            Self::Unapproved => &[TaskState::Confirm],
        }
    }
}

/// Tasks of a job that wait to be pushed, the longest waiting first. If all of them wait for their windows, the
/// one whose window opens first.
pub async fn ready_tasks(tx: &mut Tx, job: Id, now: Ms, limit: u32) -> Result<Vec<Id>, Error> {
    let sql = "select id, ready_at from task where job_id = ? and ready_at is not null order by ready_at, id limit ?";
    let found = tx.rows(sql, vec![job.into(), limit.into()]).await?;
    let found =
        found.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect::<Result<Vec<(Id, Ms)>, Error>>()?;
    let due = found.iter().take_while(|(_, at)| *at <= now).count();
    Ok(found.into_iter().take(due.max(1)).map(|(id, _)| id).collect())
}

/// The next devices a job is for, after the device `cursor`, and whether there are none after them. Of a
/// share these are all devices the share is taken from: the rules choose.
pub async fn enrol_chunk(tx: &mut Tx, job: &Job, cursor: Id, limit: u32) -> Result<(Vec<Id>, bool), Error> {
    match job.scope {
        Scope::All | Scope::Percent { .. } => enrollable(tx, job.product_id, cursor, limit).await,
        Scope::Named => {
            let sql = "select device_id from job_target where job_id = ? and device_id > ? order by device_id limit ?";
            chunk(tx, sql.into(), vec![job.id.into(), cursor.into()], limit).await
        }
    }
}

/// The next enabled devices of a product that have ever connected, after the device `cursor`, and whether
/// there are none after them.
pub async fn enrollable(tx: &mut Tx, product: Id, cursor: Id, limit: u32) -> Result<(Vec<Id>, bool), Error> {
    let sql = "select id from device where product_id = ? and first_online_at is not null and enabled = 1 \
               and id > ? order by id limit ?";
    chunk(tx, sql.into(), vec![product.into(), cursor.into()], limit).await
}

/// The next tasks of a job that an order touches, after the task `cursor`, and whether there are none
/// after them.
pub async fn task_chunk(
    tx: &mut Tx,
    job: Id,
    cursor: Id,
    which: Unworked,
    limit: u32,
) -> Result<(Vec<Id>, bool), Error> {
    let mut found = tasks_in(tx, job, which.states(), cursor, limit.saturating_add(1)).await?;
    Ok(cut(&mut found, limit))
}

/// Tasks of a job in any of some states, after the task `cursor`, in order: one short walk of the index a
/// state.
pub(crate) async fn tasks_in(
    tx: &mut Tx,
    job: Id,
    states: &[TaskState],
    cursor: Id,
    limit: u32,
) -> Result<Vec<Id>, Error> {
    let part = |n: usize| {
        format!(
            "select id from (select id from task where job_id = ? and state = ? and id > ? order by id limit ?) as s{n}"
        )
    };
    let parts: Vec<String> = (0..states.len()).map(part).collect();
    let sql = format!("{} order by id limit ?", parts.join(" union all "));
    let per_state = |state: &TaskState| [job.into(), state.to_val(), cursor.into(), limit.into()];
    let mut args: Vec<Val> = states.iter().flat_map(per_state).collect();
    args.push(limit.into());
    ids(&tx.rows(sql, args).await?)
}

async fn chunk(tx: &mut Tx, sql: String, mut args: Vec<Val>, limit: u32) -> Result<(Vec<Id>, bool), Error> {
    args.push(limit.saturating_add(1).into());
    let mut found = ids(&tx.rows(sql, args).await?)?;
    Ok(cut(&mut found, limit))
}

fn cut(found: &mut Vec<Id>, limit: u32) -> (Vec<Id>, bool) {
    let last = found.len() <= limit as usize;
    found.truncate(limit as usize);
    (std::mem::take(found), last)
}

fn ids(rows: &[Row]) -> Result<Vec<Id>, Error> {
    rows.iter().map(|row| row.get(0)).collect()
}
