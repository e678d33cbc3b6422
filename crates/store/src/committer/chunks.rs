//! The next few of many: what is ready, whom a job enrols, which of its tasks an order touches.

use rollout::{Id, Job, JobKind, Ms, Release, Scope, TaskState};

use crate::select::Whom;
use crate::sql::{Field, Row, Tx, Val};
use crate::{Error, groups};

/// Which tasks an order on a whole job touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unworked {
    /// Those that have not ended: a cancel, an end, the release of all.
    Unfinished,
    /// Those that failed or were cancelled, some of which a re-upgrade starts again.
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

/// Some devices on the way of an enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Those it is for, in the order of their numbers.
    pub devices: Vec<Id>,
    /// The last device looked at; the next chunk begins after it.
    pub upto: Id,
    /// Whether there is none after it.
    pub last: bool,
}

/// Devices that a chunk looks at, where a filter or a group says whom it is for.
const LOOKED_AT: u32 = 5_000;

/// The next devices a job is for, after the device `cursor`. Of a share these are all devices the share is
/// taken from: the rules choose.
pub async fn enrol_chunk(tx: &mut Tx, job: &Job, cursor: Id, now: Ms, limit: u32) -> Result<Chunk, Error> {
    let whom = whom(tx, job, now).await?;
    chunk(tx, job.product_id, &whom, cursor, limit, LOOKED_AT).await
}

/// Where a job's devices are found. A filter takes the time the job was made for now, but goes with the clock in
/// a dynamic one.
async fn whom(tx: &mut Tx, job: &Job, now: Ms) -> Result<Whom, Error> {
    let now = if job.kind == JobKind::Dynamic { now } else { job.created_at };
    match &job.scope {
        Scope::All | Scope::Percent { .. } => Ok(Whom::All),
        Scope::Named => Ok(Whom::Named(job.id)),
        Scope::Filter { filter } => groups::filtered(tx, job.product_id, filter, now).await,
        Scope::Group { group, .. } => match groups::by_id(tx, *group).await? {
            Some(group) => groups::whom(tx, &group, now).await,
            None => Ok(Whom::Members(*group)),
        },
    }
}

/// The next devices of a product that a job takes, after the device `cursor`: enabled ones that have ever
/// connected, unless it names them. Where a condition says which, `look` devices at most are looked at.
pub(crate) async fn chunk(
    tx: &mut Tx,
    product: Id,
    whom: &Whom,
    cursor: Id,
    limit: u32,
    look: u32,
) -> Result<Chunk, Error> {
    let mut walk = whom.walk(product);
    walk.after(cursor);
    let more = whom.condition(tx.dialect);
    // Without a condition every device on the way is one of them.
    let seen: Option<Id> = if more.is_empty() { None } else { walk.ahead(tx, look).await? };
    if let Some(seen) = seen {
        walk.to(seen);
    }
    let key = walk.key();
    let (sql, args) = walk.first(key, more, limit.saturating_add(1));
    let mut found = ids(&tx.rows(sql, args).await?)?;
    let (devices, end) = cut(&mut found, limit);
    let last_one = devices.last().copied().unwrap_or(cursor);
    let upto = if end { seen.unwrap_or(last_one) } else { last_one };
    Ok(Chunk { devices, upto, last: end && seen.is_none() })
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

/// The next unfinished tasks that a job lets go, and whether there are none after them.
pub async fn release_chunk(
    tx: &mut Tx,
    job: Id,
    release: Release,
    limit: u32,
) -> Result<(Vec<Id>, bool), Error> {
    let (at, upto, cursor) = match release {
        Release::All { cursor } => return task_chunk(tx, job, cursor, Unworked::Unfinished, limit).await,
        Release::Waves { at, upto, cursor } => (at, upto, cursor),
    };
    // No wave but the first opens with its tasks, so an index of the others is enough.
    let sql = "select id from task where job_id = ? and open = 1 and wave > 0 and wave <= ? \
               and (wave, id) > (?, ?) order by wave, id limit ?";
    let args = vec![job.into(), upto.to_val(), at.to_val(), cursor.into(), limit.saturating_add(1).into()];
    let mut found = ids(&tx.rows(sql, args).await?)?;
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

fn cut(found: &mut Vec<Id>, limit: u32) -> (Vec<Id>, bool) {
    let last = found.len() <= limit as usize;
    found.truncate(limit as usize);
    (std::mem::take(found), last)
}

fn ids(rows: &[Row]) -> Result<Vec<Id>, Error> {
    rows.iter().map(|row| row.get(0)).collect()
}
