//! Tasks as operators and the door see them. Their changes are [`crate::committer::apply`]'s.

use rollout::{Id, Task, TaskState};

use crate::committer::tasks_in;
use crate::record::{Record, column_list};
use crate::select::Part;
use crate::sql::{Field, Tx, Val};
use crate::{Error, Order, Slice};

/// A task as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// The task.
    pub task: Task,
    /// Its device's name.
    pub device_name: String,
}

/// A task by its number.
pub async fn get(tx: &mut Tx, id: Id) -> Result<Option<TaskView>, Error> {
    Ok(views(tx, "task.id = ?", vec![id.into()]).await?.pop())
}

/// The task a stream belongs to.
pub async fn by_stream(tx: &mut Tx, stream_id: u32) -> Result<Option<Task>, Error> {
    let sql = format!("select {} from task where stream_id = ?", column_list(Task::TABLE.columns));
    let row = tx.row(sql, vec![stream_id.into()]).await?;
    row.map(|row| Task::read(&mut row.fields())).transpose()
}

/// Which tasks of a job a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those that ended for a reason with this code.
    pub reason: Option<&'a str>,
    /// Only those of this device.
    pub device: Option<Id>,
}

/// Tasks that a page of those with a reason looks at.
const LOOKED_AT: u32 = 4_000;

/// Tasks of a job after the one numbered `after`. Of those with a reason a page may be short, even empty, and not be
/// the last.
pub async fn list_by_job(
    tx: &mut Tx,
    job: Id,
    filter: Filter<'_>,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<TaskView, Id>, Error> {
    page_of_job(tx, job, filter, after, limit, LOOKED_AT).await
}

/// As [`list_by_job`]; a page of those with a reason looks at `look` tasks.
pub(crate) async fn page_of_job(
    tx: &mut Tx,
    job: Id,
    filter: Filter<'_>,
    after: Option<Id>,
    limit: u32,
    look: u32,
) -> Result<Slice<TaskView, Id>, Error> {
    let states = filter.state.map_or(TaskState::ALL.to_vec(), |state| vec![state]);
    let after = after.unwrap_or(Id::MIN);
    if let Some(device) = filter.device {
        return page_of_device(tx, job, device, filter, after, limit).await;
    }
    let Some(reason) = filter.reason else {
        let ids = tasks_in(tx, job, &states, after, limit.saturating_add(1)).await?;
        let items = views_of(tx, &ids).await?;
        return Ok(Slice::cut(items, limit, |view| view.task.id));
    };
    let looked_at = tasks_in(tx, job, &states, after, look).await?;
    let seen = looked_at.last().filter(|_| looked_at.len() >= look as usize).copied();
    let mut ids = for_reason(tx, &looked_at, reason).await?;
    ids.truncate(limit.saturating_add(1) as usize);
    let items = views_of(tx, &ids).await?;
    let mut page = Slice::cut(items, limit, |view| view.task.id);
    page.next = page.next.or(seen);
    Ok(page)
}

/// The few tasks that a job has of one device.
async fn page_of_device(
    tx: &mut Tx,
    job: Id,
    device: Id,
    filter: Filter<'_>,
    after: Id,
    limit: u32,
) -> Result<Slice<TaskView, Id>, Error> {
    let mut part = Part {
        sql: "task.device_id = ? and task.job_id = ? and task.id > ?".into(),
        args: vec![device.into(), job.into(), after.into()],
    };
    if let Some(state) = filter.state {
        part.and("task.state = ?", [state.to_val()]);
    }
    if let Some(code) = filter.reason {
        part.and_part(has_reason(code));
    }
    part.args.push(limit.saturating_add(1).into());
    let items = views(tx, &format!("{} order by task.id limit ?", part.sql), part.args).await?;
    Ok(Slice::cut(items, limit, |view| view.task.id))
}

/// That a task's reason has this code.
fn has_reason(code: &str) -> Part {
    let begin = format!("{{\"code\":{}", serde_json::Value::from(code));
    Part { sql: format!("substr(task.reason, 1, {}) = ?", begin.chars().count()), args: vec![begin.into()] }
}

/// Those of some tasks whose reason has this code.
async fn for_reason(tx: &mut Tx, ids: &[Id], code: &str) -> Result<Vec<Id>, Error> {
    let has_reason = has_reason(code);
    let mut found = Vec::new();
    for some in ids.chunks(tx.dialect.max_rows()) {
        let (any, mut args) = tx.dialect.any(some);
        args.extend_from_slice(&has_reason.args);
        let sql = format!("select id from task where id {any} and {} order by id", has_reason.sql);
        for row in tx.rows(sql, args).await? {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

async fn views_of(tx: &mut Tx, ids: &[Id]) -> Result<Vec<TaskView>, Error> {
    let mut items = Vec::with_capacity(ids.len());
    for some in ids.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        items.append(&mut views(tx, &format!("task.id {any} order by task.id"), args).await?);
    }
    Ok(items)
}

/// Whether a job has a failed task, or a cancelled one if those count too, that was approved or needed no approval.
pub async fn any_to_restart(tx: &mut Tx, job: Id, canceled: bool) -> Result<bool, Error> {
    let also = if canceled { TaskState::Canceled } else { TaskState::Failed };
    let sql = "select 1 from task where job_id = ? and state in (?, ?) and approved = 1 limit 1";
    let args = vec![job.into(), TaskState::Failed.to_val(), also.to_val()];
    Ok(tx.row(sql, args).await?.is_some())
}

/// Tasks of a device after the one numbered `after`.
pub async fn list_by_device(
    tx: &mut Tx,
    device: Id,
    order: Order,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<TaskView, Id>, Error> {
    let (part, [after, limit_and_one]) = order.part("task.id", after, limit);
    let args = vec![device.into(), after, limit_and_one];
    let items = views(tx, &format!("task.device_id = ? and {part}"), args).await?;
    Ok(Slice::cut(items, limit, |view| view.task.id))
}

async fn views(tx: &mut Tx, condition: &str, args: Vec<Val>) -> Result<Vec<TaskView>, Error> {
    let columns: Vec<String> = Task::TABLE.columns.iter().map(|c| format!("task.{}", c.name)).collect();
    let columns = columns.join(", ");
    let sql = format!(
        "select {columns}, device.name from task join device on device.id = task.device_id where {condition}"
    );
    let mut out = Vec::new();
    for row in tx.rows(sql, args).await? {
        let mut fields = row.fields();
        out.push(TaskView { task: Task::read(&mut fields)?, device_name: fields.next()? });
    }
    Ok(out)
}
