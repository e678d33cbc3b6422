use axum::extract::State;
use server::{IdKind, TaskView};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api};
use crate::dto::Task;
use crate::extract::{Path, id};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_task))
        .routes(routes!(cancel_task))
        .routes(routes!(approve_task))
        .routes(routes!(reupgrade_task))
}

/// Get a task
#[utoipa::path(get, path = "/api/v1/tasks/{taskId}", tag = "tasks",
    params(("taskId" = String, Path, description = "The task.")),
    responses((status = 200, body = Task, description = "The task.")))]
async fn get_task(State(api): State<Api>, Path(task): Path<String>) -> Answer<axum::Json<Task>> {
    answer(&api, api.server.task(id(IdKind::Task, &task)?).await?).await
}

/// Cancel a task
#[utoipa::path(post, path = "/api/v1/tasks/{taskId}/cancel", tag = "tasks",
    params(("taskId" = String, Path, description = "The task.")),
    responses((status = 200, body = Task, description = "The task as it is now.")))]
async fn cancel_task(State(api): State<Api>, Path(task): Path<String>) -> Answer<axum::Json<Task>> {
    answer(&api, api.server.cancel_task(id(IdKind::Task, &task)?).await?).await
}

/// Approve a task that waits for it
#[utoipa::path(post, path = "/api/v1/tasks/{taskId}/approve", tag = "tasks",
    params(("taskId" = String, Path, description = "The task.")),
    responses((status = 200, body = Task, description = "The task as it is now.")))]
async fn approve_task(State(api): State<Api>, Path(task): Path<String>) -> Answer<axum::Json<Task>> {
    answer(&api, api.server.approve_task(id(IdKind::Task, &task)?).await?).await
}

/// Start a failed or cancelled task again
///
/// If it was approved, its device has no other unfinished task and reports a version its job and package are for, and
/// its job's `endAt` has not come.
#[utoipa::path(post, path = "/api/v1/tasks/{taskId}/re-upgrade", tag = "tasks",
    params(("taskId" = String, Path, description = "The task.")),
    responses((status = 200, body = Task, description = "The task as it is now.")))]
async fn reupgrade_task(State(api): State<Api>, Path(task): Path<String>) -> Answer<axum::Json<Task>> {
    answer(&api, api.server.reupgrade_task(id(IdKind::Task, &task)?).await?).await
}

async fn answer(api: &Api, view: TaskView) -> Answer<axum::Json<Task>> {
    let names = api.names_of(view.task.product_id).await?;
    Ok(axum::Json(Task::of(view, &names)))
}
