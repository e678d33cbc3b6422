use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use server::{EventFilter, EventPage, IdKind, Order, Slice};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, exclusive};
use crate::Problem;
use crate::cursor::{self, List, paging};
use crate::dto::{Event, EventQuery, FollowQuery, Page};
use crate::extract::{Query, id};
use crate::live::{Follower, names_of};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_events)).routes(routes!(follow_events))
}

/// List what happened
///
/// The oldest first: even the last page then has a `nextCursor`, with which to ask for what happened since. With
/// `order=desc` the newest first, down to the oldest that is kept. Events are kept as long as the platform's setting
/// `keep-events` says: a cursor to what came after one that is no longer kept is answered with 410 `eventsDropped`,
/// for some were missed; ask without a cursor to go on with the oldest that is kept.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, body = Page<Event>, description = "Events, in the order they became known, or against it.")))]
async fn list_events(
    State(api): State<Api>,
    Query(query): Query<EventQuery>,
) -> Answer<axum::Json<Page<Event>>> {
    let EventQuery { product_key, device_name, job_id, task_id, .. } = &query;
    let filter = filter([product_key, device_name, job_id, task_id])?;
    let order = query.order.unwrap_or_default().into();
    let list = List::Events.ordered(order);
    let paging = paging::<i64>(list, query.cursor.as_deref(), query.limit)?;
    let (items, next) = match order {
        Order::Newest => {
            let Slice { items, next } = api.server.latest_events(filter, paging).await?;
            (items, next)
        }
        Order::Oldest => {
            let EventPage { items, next } = api.server.events(filter, paging.after, paging.limit).await?;
            (items, Some(next))
        }
    };
    let names = names_of(&api.server, &items).await?;
    let items = items.into_iter().map(|numbered| Event::of(numbered, &names)).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|next| cursor::encode(list, &next)) }))
}

/// Follow what happens
///
/// Server-sent events: the `data` of each is an event as the list has it, its `id` is the event's `seq`. They come in
/// the order they became known, without gaps. Who connects again with the last id it has seen, in `Last-Event-ID` or
/// as `after`, goes on from there. Every 15 seconds a comment comes, with an `id` that stands for all
/// that was none of those asked for. A follower who reads too slowly is told so in a last comment, and cut off. If
/// what follows the id is no longer kept, the answer is 410 `eventsDropped`.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events",
    params(FollowQuery, ("Last-Event-ID" = Option<i64>, Header, description = "The `seq` of the last event seen.")),
    responses((status = 200, body = Event, content_type = "text/event-stream", description = "Events, without end.")))]
async fn follow_events(
    State(api): State<Api>,
    Query(query): Query<FollowQuery>,
    headers: HeaderMap,
) -> Answer<impl IntoResponse> {
    let FollowQuery { product_key, device_name, job_id, task_id, after } = &query;
    let which = api.server.which_events(filter([product_key, device_name, job_id, task_id])?).await?;
    let last = api.server.last_event().await?;
    let after = match last_event_id(&headers)?.or(*after) {
        Some(after) if (0..=last).contains(&after) => after,
        Some(after) => return Err(no_such_event(after, last)),
        None => last,
    };
    let follower = Follower::begin(api.feed.clone(), which, after).await?;
    Ok(follower.into_response())
}

/// The id of the last event seen, as one who connects again sends it.
pub(super) fn last_event_id(headers: &HeaderMap) -> Answer<Option<i64>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    id.map(Some).ok_or_else(|| {
        let detail = "the header Last-Event-ID is not the id of an event; it is the number that came as `id`";
        Problem::unprocessable("badEventId", detail).with("field", "Last-Event-ID")
    })
}

fn no_such_event(after: i64, last: i64) -> Problem {
    let detail = format!(
        "there is no event {after} to go on from; the last one is {last}, and 0 stands for before the first"
    );
    Problem::unprocessable("badEventId", detail).with("after", after).with("last", last)
}

fn filter(names: [&Option<String>; 4]) -> Answer<EventFilter<'_>> {
    match names.map(Option::as_deref) {
        [None, None, None, None] => Ok(EventFilter::All),
        [Some(product_key), None, None, None] => Ok(EventFilter::Product(product_key)),
        [Some(product_key), Some(device_name), None, None] => {
            Ok(EventFilter::Device(product_key, device_name))
        }
        [None, None, Some(job), None] => Ok(EventFilter::Job(id(IdKind::Job, job)?)),
        [None, None, None, Some(task)] => Ok(EventFilter::Task(id(IdKind::Task, task)?)),
        _ => Err(exclusive("productKey (with or without deviceName), jobId, taskId")),
    }
}
