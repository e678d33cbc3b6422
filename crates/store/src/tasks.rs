//! Tasks as operators and the door see them. Their changes are [`crate::committer::apply`]'s.

use rollout::{Id, Task, TaskState};

use crate::committer::tasks_in;
use crate::record::{Record, column_list};
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

/// Tasks of a job, in one state or in any, after the one numbered `after`.
pub async fn list_by_job(
    tx: &mut Tx,
    job: Id,
    state: Option<TaskState>,
    after: Option<Id>,
    limit: u32,
) -> Result<Slice<TaskView, Id>, Error> {
    let states = state.map_or(TaskState::ALL.to_vec(), |state| vec![state]);
    let ids = tasks_in(tx, job, &states, after.unwrap_or(Id::MIN), limit.saturating_add(1)).await?;
    let mut items = Vec::with_capacity(ids.len());
    for some in ids.chunks(tx.dialect.max_rows()) {
        let (any, args) = tx.dialect.any(some);
        items.append(&mut views(tx, &format!("task.id {any} order by task.id"), args).await?);
    }
    Ok(Slice::cut(items, limit, |view| view.task.id))
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
