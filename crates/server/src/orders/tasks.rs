//! Tasks, and what they wait for.

use rollout::{Id, Input, Job, Task, TaskState, Waiting, waiting};
use store::committer as rows;
use store::tasks::Filter;
use store::{Slice, Tx};

use super::devices::{devices_named, unknown_device};
use super::jobs::job_in;
use super::packages::package_in;
use super::{Paging, failed, product_in};
use crate::Server;
use crate::core::Unit;
use crate::error::OrderError;
use crate::ids::IdKind;

/// A task as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// The task.
    pub task: Task,
    /// Its device's name.
    pub device_name: String,
    /// What it waits for, unless it has ended.
    pub waiting: Option<Waiting>,
}

/// Which tasks of a job a list shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskFilter<'a> {
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those that ended for a reason with this code.
    pub reason: Option<&'a str>,
    /// Only those of this device.
    pub device_name: Option<&'a str>,
}

/// Which unfinished tasks of some devices to cancel.
#[derive(Clone, Debug)]
pub struct CancelOf {
    /// The devices, by name.
    pub device_names: Vec<String>,
    /// Only those of this job.
    pub job: Option<Id>,
    /// Only those for this module.
    pub module: Option<String>,
}

/// Most devices whose tasks one order cancels.
const MOST_CANCELED: usize = 200;

impl Server {
    /// The tasks of a job in the order they were made. Of those with a reason a page may be short, even empty, and not
    /// be the last.
    pub async fn job_tasks(
        &self,
        id: Id,
        filter: TaskFilter<'_>,
        paging: Paging,
    ) -> Result<Slice<TaskView, Id>, OrderError> {
        let mut tx = self.read().await?;
        let product = job_in(&mut tx, id).await?.product_id;
        let TaskFilter { state, reason, device_name } = filter;
        let device = match device_name {
            Some(name) => Some(device_in(&mut tx, product, name).await?),
            None => None,
        };
        let filter = Filter { state, reason, device };
        let found = store::tasks::list_by_job(&mut tx, id, filter, paging.after, paging.limit).await;
        let Slice { items, next } = found.map_err(failed("read tasks"))?;
        Ok(Slice { items: self.views(&mut tx, items).await?, next })
    }

    /// One task.
    pub async fn task(&self, id: Id) -> Result<TaskView, OrderError> {
        let mut tx = self.read().await?;
        let found = store::tasks::get(&mut tx, id).await.map_err(failed("read tasks"))?;
        self.views(&mut tx, found.into_iter().collect()).await?.pop().ok_or_else(|| unknown_task(id))
    }

    /// Cancels one task.
    pub async fn cancel_task(&self, id: Id) -> Result<TaskView, OrderError> {
        let view = self.task(id).await?;
        if view.task.state.is_terminal() {
            let text = format!(
                "the task {} has ended already ({})",
                IdKind::Task.text(id),
                view.task.state.as_str()
            );
            return Err(OrderError::conflict("taskEnded", text).with("state", view.task.state.as_str()));
        }
        let mut unit = self.begin().await?;
        unit.order(Input::CancelTask(id)).await?;
        unit.finish().await?;
        self.task(id).await
    }

    /// Cancels what devices have not finished, at once; tells which tasks those were.
    pub async fn cancel_device_tasks(
        &self,
        product_key: &str,
        which: &CancelOf,
    ) -> Result<Vec<Id>, OrderError> {
        if !(1..=MOST_CANCELED).contains(&which.device_names.len()) {
            let text = format!(
                "{} names are not allowed: deviceNames takes 1 to {MOST_CANCELED}",
                which.device_names.len()
            );
            return Err(OrderError::invalid("deviceNamesInvalid", text).with("field", "deviceNames"));
        }
        let mut unit = self.begin().await?;
        let product = product_in(&mut unit.tx, product_key).await?;
        let devices = devices_named(&mut unit.tx, &product, &which.device_names).await?;
        if let Some(job) = which.job {
            job_in(&mut unit.tx, job).await?;
        }
        let wanted = |task: &Task| {
            which.job.is_none_or(|job| job == task.job_id)
                && which.module.as_ref().is_none_or(|module| *module == task.module)
        };
        let canceled = unit.cancel_tasks_of(devices.into_iter().collect(), wanted).await?;
        unit.finish().await?;
        Ok(canceled)
    }

    /// Lets a task go that waits for approval.
    pub async fn approve_task(&self, id: Id) -> Result<TaskView, OrderError> {
        let view = self.task(id).await?;
        let mut unit = self.begin().await?;
        if unit.order(Input::ConfirmTask(id)).await? == 0 {
            let text = format!(
                "the task {} is {}: only one that waits for approval, in a running job within its schedule, can be approved",
                IdKind::Task.text(id),
                view.task.state.as_str()
            );
            return Err(OrderError::conflict("taskNotWaiting", text).with("state", view.task.state.as_str()));
        }
        unit.finish().await?;
        self.task(id).await
    }

    /// Starts a failed or cancelled task again.
    pub async fn reupgrade_task(&self, id: Id) -> Result<TaskView, OrderError> {
        let view = self.task(id).await?;
        if !matches!(view.task.state, TaskState::Failed | TaskState::Canceled) {
            let text = format!(
                "the task {} is {}; only a failed or cancelled one can be started again",
                IdKind::Task.text(id),
                view.task.state.as_str()
            );
            return Err(OrderError::conflict("taskNotEnded", text).with("state", view.task.state.as_str()));
        }
        if !view.task.approved {
            let text = format!(
                "the task {} was never approved, and only what was approved starts again; make a new job for its device",
                IdKind::Task.text(id)
            );
            return Err(OrderError::conflict("taskNotApproved", text).with("task", IdKind::Task.text(id)));
        }
        let mut unit = self.begin().await?;
        let job = job_in(&mut unit.tx, view.task.job_id).await?;
        unit.check_again(&job).await?;
        let changes = unit.order(Input::ReupgradeTask(id)).await?;
        if changes == 0 {
            unit.check_suits(job, view.task).await?;
            let text = format!(
                "the task {} cannot be started again now: its device has another unfinished task",
                IdKind::Task.text(id)
            );
            return Err(OrderError::conflict("taskBlocked", text).with("task", IdKind::Task.text(id)));
        }
        unit.finish().await?;
        self.task(id).await
    }

    /// Adds what tasks wait for, in a number of statements that does not depend on theirs.
    pub(super) async fn views(
        &self,
        tx: &mut Tx,
        found: Vec<store::tasks::TaskView>,
    ) -> Result<Vec<TaskView>, OrderError> {
        let now = self.core.now();
        let open: Vec<&Task> = found.iter().map(|v| &v.task).filter(|t| !t.state.is_terminal()).collect();
        let mut around = match open.as_slice() {
            [] => rollout::Rows::default(),
            open => rows::surroundings(tx, open, now).await.map_err(failed("read tasks"))?,
        };
        self.core.complete(&mut around, now);
        let view = |found: store::tasks::TaskView| {
            let store::tasks::TaskView { task, device_name } = found;
            let waiting = waiting(&around, &task, self.core.limits, now);
            TaskView { task, device_name, waiting }
        };
        Ok(found.into_iter().map(view).collect())
    }
}

fn unknown_task(id: Id) -> OrderError {
    let id = IdKind::Task.text(id);
    OrderError::not_found("taskNotFound", format!("there is no task {id}")).with("task", id)
}

impl Unit {
    /// Whether the device of a task reports a version that its job and package are for.
    async fn check_suits(&mut self, job: Job, task: Task) -> Result<(), OrderError> {
        let package = package_in(&mut self.tx, job.package_id).await?;
        let mut rows =
            rows::surroundings(&mut self.tx, &[&task], self.now).await.map_err(failed("read tasks"))?;
        let wanted = package.src_version.clone().map_or(job.terms.src_versions.clone(), |from| vec![from]);
        rows.packages.insert(package.id, package);
        rows.jobs.insert(job.id, job);
        if rows.suits(&task) {
            return Ok(());
        }
        let id = IdKind::Task.text(task.id);
        let reported = rows.versions.get(&(task.device_id, task.module)).map_or("", |v| v.version.as_str());
        let wanted = wanted.join(", ");
        let text = format!(
            "the task {id} cannot be started again now: its device reports {reported}, and its job and package are for {wanted}; make a job with a package for the version it has"
        );
        Err(OrderError::conflict("sourceExcluded", text).with("task", id).with("reported", reported))
    }
}

async fn device_in(tx: &mut Tx, product: Id, name: &str) -> Result<Id, OrderError> {
    let found = store::devices::ids_of(tx, product, &[name.to_owned()]).await;
    if let Some(id) = found.map_err(failed("read devices"))?.remove(name) {
        return Ok(id);
    }
    let keys = store::products::keys(tx, [product].into()).await.map_err(failed("read products"))?;
    Err(unknown_device(keys.get(&product).map_or("", String::as_str), name))
}
