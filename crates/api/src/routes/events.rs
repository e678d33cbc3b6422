use axum::extract::State;
use server::{EventFilter, EventPage, IdKind};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, exclusive};
use crate::cursor::{self, List, paging};
use crate::dto::{Event, EventQuery, Page};
use crate::extract::{Query, id};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// List what happened
///
/// The oldest first. Even the last page has a `nextCursor`, with which to ask for what happened since. Events are
/// kept as long as the platform's setting `keep-events` says: a cursor that points before the oldest is answered with
/// 410 `eventsDropped`, for some were missed; ask without a cursor to go on with the oldest that is kept.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, body = Page<Event>, description = "Events, in the order they became known.")))]
async fn list_events(
    State(api): State<Api>,
    Query(query): Query<EventQuery>,
) -> Answer<axum::Json<Page<Event>>> {
    let paging = paging::<i64>(List::Events, query.cursor.as_deref(), query.limit)?;
    let EventPage { items, next } = api.server.events(filter(&query)?, paging.after, paging.limit).await?;
    let products = items.iter().map(|numbered| numbered.event.product_id).collect();
    let devices = items.iter().filter_map(|numbered| numbered.event.device_id).collect();
    let names = api.server.names(products, devices).await?;
    let items = items.into_iter().map(|numbered| Event::of(numbered, &names)).collect();
    Ok(axum::Json(Page { items, next_cursor: Some(cursor::encode(List::Events, &next)) }))
}

fn filter(query: &EventQuery) -> Answer<EventFilter<'_>> {
    let EventQuery { product_key, device_name, job_id, task_id, .. } = query;
    match (product_key, device_name, job_id, task_id) {
        (None, None, None, None) => Ok(EventFilter::All),
        (Some(product_key), None, None, None) => Ok(EventFilter::Product(product_key)),
        (Some(product_key), Some(device_name), None, None) => {
            Ok(EventFilter::Device(product_key, device_name))
        }
        (None, None, Some(job), None) => Ok(EventFilter::Job(id(IdKind::Job, job)?)),
        (None, None, None, Some(task)) => Ok(EventFilter::Task(id(IdKind::Task, task)?)),
        _ => Err(exclusive("productKey (with or without deviceName), jobId, taskId")),
    }
}
