use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use server::rollout;
use server::{IdKind, JobFilter, TaskFilter};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, exclusive};
use crate::cursor::{List, paging};
use crate::dto::{
    CancelTasks, CreatedJob, Forecast, Job, JobChange, JobQuery, NewJob, Page, SkipWave, Task, TaskQuery,
    check_change,
};
use crate::extract::{Json, MAX_IMPORT, Path, Query, id, parse};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create_job, list_jobs))
        .routes(routes!(forecast_job))
        .routes(routes!(get_job, change_job))
        .routes(routes!(cancel_job))
        .routes(routes!(cancel_job_tasks))
        .routes(routes!(close_job))
        .routes(routes!(pause_job))
        .routes(routes!(resume_job))
        .routes(routes!(skip_wave))
        .routes(routes!(approve_job))
        .routes(routes!(reupgrade_job))
        .routes(routes!(list_job_tasks))
}

/// Make a job
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs",
    request_body = NewJob,
    responses((status = 201, body = CreatedJob, description = "The job; its tasks are made in the moments that follow.")))]
async fn create_job(
    State(api): State<Api>,
    Json(new): Json<NewJob, MAX_IMPORT>,
) -> Answer<(StatusCode, axum::Json<CreatedJob>)> {
    let created = api.server.create_job(new.try_into()?).await?;
    let names = api.names_of(created.job.product_id).await?;
    Ok((StatusCode::CREATED, axum::Json(CreatedJob::of(created, &names))))
}

/// Tell what a job would do
///
/// The body is that of the order that makes the job. Nothing is made; what would be refused is refused. Where looking
/// at the devices takes long, what was found serves for 10 seconds, or until the next order of an operator: what devices
/// report and whether they are connected may be of so long ago. The order that makes the job looks anew.
#[utoipa::path(post, path = "/api/v1/jobs/dry-run", tag = "jobs",
    request_body = NewJob,
    responses((status = 200, body = Forecast, description = "Whom it would take, and whom not, and why.")))]
async fn forecast_job(
    State(api): State<Api>,
    Json(new): Json<NewJob, MAX_IMPORT>,
) -> Answer<axum::Json<Forecast>> {
    Ok(axum::Json(api.server.forecast_job(&new.try_into()?).await?.into()))
}

/// List jobs
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(JobQuery),
    responses((status = 200, body = Page<Job>, description = "Jobs, in the order they were made, or against it.")))]
async fn list_jobs(State(api): State<Api>, Query(query): Query<JobQuery>) -> Answer<axum::Json<Page<Job>>> {
    let order = query.order.unwrap_or_default().into();
    let list = List::Jobs.ordered(order);
    let paging = paging(list, query.cursor.as_deref(), query.limit)?;
    let filter = match (&query.product_key, &query.package_id) {
        (None, None) => JobFilter::All,
        (Some(product_key), None) => JobFilter::Product(product_key),
        (None, Some(package)) => JobFilter::Package(id(IdKind::Package, package)?),
        _ => return Err(exclusive("productKey, packageId")),
    };
    let jobs = api.server.jobs(filter, query.state.map(Into::into), order, paging).await?;
    api.named_page(list, jobs, |row| row.product_id, Job::of).await
}

/// Get a job
#[utoipa::path(get, path = "/api/v1/jobs/{jobId}", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job with its counts.")))]
async fn get_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.job(id(IdKind::Job, &job)?).await?).await
}

/// Change a job
///
/// For all that happens from now on, also to the tasks that are there. None of them is taken back: those of devices
/// that the job is no longer for stay. What a job does not change is refused with `fieldFixed`, naming the field.
/// With `expected` the job is changed only if nobody has changed it meanwhile.
#[utoipa::path(patch, path = "/api/v1/jobs/{jobId}", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    request_body = JobChange,
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn change_job(
    State(api): State<Api>,
    Path(job): Path<String>,
    Json(body): Json<Map<String, Value>>,
) -> Answer<axum::Json<Job>> {
    JobChange::check_fixed(&body)?;
    let mut change: JobChange = parse(Value::Object(body).to_string().as_bytes())?;
    let id = id(IdKind::Job, &job)?;
    let names = api.names_of(api.server.job(id).await?.product_id).await?;
    let expected = std::mem::take(&mut change.expected);
    let given = change.clone();
    let check = |now: &rollout::Job| {
        expected.check(&Job::of(now.clone(), &names))?;
        check_change(&given, now)
    };
    answer(&api, api.server.change_job(id, change.try_into()?, check).await?).await
}

/// Cancel a job
///
/// From now on nothing of it is pushed or answered; its unfinished tasks end in the moments that follow.
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/cancel", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn cancel_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.cancel_job(id(IdKind::Job, &job)?).await?).await
}

/// Cancel the tasks of a job that are in some states
///
/// In the moments that follow. A job left without unfinished tasks is cancelled.
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/cancel-tasks", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    request_body = CancelTasks,
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn cancel_job_tasks(
    State(api): State<Api>,
    Path(job): Path<String>,
    Json(cancel): Json<CancelTasks>,
) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.cancel_job_tasks(id(IdKind::Job, &job)?, cancel.into()).await?).await
}

/// Let a dynamic job take no more devices
///
/// Its tasks go on, and it is cancelled when the last has ended. To cancel them too, cancel the job.
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/close", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn close_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.close_job(id(IdKind::Job, &job)?).await?).await
}

/// Pause a job
///
/// From now on nothing of it is pushed, and devices that ask are told that there is nothing. Downloads
/// that have begun go on.
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/pause", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn pause_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.pause_job(id(IdKind::Job, &job)?).await?).await
}

/// Let a held job go on
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/resume", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn resume_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.resume_job(id(IdKind::Job, &job)?).await?).await
}

/// Open a job's next wave now
///
/// Without waiting for the gate of the open one, which the order names.
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/skip", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    request_body = SkipWave,
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn skip_wave(
    State(api): State<Api>,
    Path(job): Path<String>,
    Json(skip): Json<SkipWave>,
) -> Answer<axum::Json<Job>> {
    let wave = skip.wave.saturating_sub(1);
    answer(&api, api.server.skip_wave(id(IdKind::Job, &job)?, wave).await?).await
}

/// Approve every task of a job that waits for it
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/approve", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job as it is now; its tasks go in the moments that follow.")))]
async fn approve_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.approve_job(id(IdKind::Job, &job)?).await?).await
}

/// Start a job's failed tasks again
///
/// If the job was cancelled, also those an operator cancelled; never those whose place another job took, or whose device
/// has succeeded since in a later job for the module. Each of them can be started again by its own id. Left out are also
/// those whose device has another unfinished task or reports a version that the job or its package is not for,
/// and those that were never approved. Nothing starts again once the job's `endAt` has come (409 `jobOver`).
#[utoipa::path(post, path = "/api/v1/jobs/{jobId}/re-upgrade", tag = "jobs",
    params(("jobId" = String, Path, description = "The job.")),
    responses((status = 200, body = Job, description = "The job as it is now.")))]
async fn reupgrade_job(State(api): State<Api>, Path(job): Path<String>) -> Answer<axum::Json<Job>> {
    answer(&api, api.server.reupgrade_job(id(IdKind::Job, &job)?).await?).await
}

/// List the tasks of a job
#[utoipa::path(get, path = "/api/v1/jobs/{jobId}/tasks", tag = "jobs",
    params(("jobId" = String, Path, description = "The job."), TaskQuery),
    responses((status = 200, body = Page<Task>, description = "Its tasks, in the order they were made.")))]
async fn list_job_tasks(
    State(api): State<Api>,
    Path(job): Path<String>,
    Query(query): Query<TaskQuery>,
) -> Answer<axum::Json<Page<Task>>> {
    let paging = paging(List::JobTasks, query.cursor.as_deref(), query.limit)?;
    let (reason, device_name) = (query.reason.as_deref(), query.device_name.as_deref());
    let filter = TaskFilter { state: query.state.map(Into::into), reason, device_name };
    let tasks = api.server.job_tasks(id(IdKind::Job, &job)?, filter, paging).await?;
    api.named_page(List::JobTasks, tasks, |row| row.task.product_id, Task::of).await
}

async fn answer(api: &Api, job: rollout::Job) -> Answer<axum::Json<Job>> {
    let names = api.names_of(job.product_id).await?;
    Ok(axum::Json(Job::of(job, &names)))
}
