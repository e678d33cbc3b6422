use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use server::{News, Watching};
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::last_event_id;
use super::{Answer, Api};
use crate::dto::Message;
use crate::extract::Path;
use crate::live::{HEARTBEAT, STOPS};

/// The last words to a viewer that is too slow.
const TOO_SLOW: &str = "messages came faster than they were read; connect again to see the last of them";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(watch_device))
}

/// Watch the messages of a device
///
/// Server-sent events: the `data` of each is a message up or down, made readable. The first viewer starts the keeping
/// of the last 200 messages; it ends 5 minutes after the last viewer has left. Nothing is kept of devices nobody
/// watches, and nothing outlives the process. At most 16 devices are watched at once.
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices/{deviceName}/messages/stream", tag = "devices",
    params(
        ("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device."),
        ("Last-Event-ID" = Option<i64>, Header, description = "The `number` of the last message seen."),
    ),
    responses((status = 200, body = Message, content_type = "text/event-stream", description = "Messages, without end.")))]
async fn watch_device(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<impl IntoResponse> {
    let last = last_event_id(&headers)?;
    let watching = api.server.watch_device(&product_key, &device_name).await?;
    let heart = KeepAlive::new().interval(HEARTBEAT).text("still here");
    Ok(Sse::new(Viewer::new(watching, last, api.server.news()).into_stream()).keep_alive(heart))
}

struct Viewer {
    watching: Watching,
    ready: VecDeque<Event>,
    news: News,
    is_gone: bool,
}

impl Viewer {
    fn new(mut watching: Watching, last: Option<i64>, news: News) -> Self {
        let before = std::mem::take(&mut watching.before);
        // A number nobody has here is of an earlier process, or of another time that the device was watched.
        let known = last.filter(|last| before.iter().any(|message| message.number == *last)).unwrap_or(0);
        let ready = std::iter::once(Event::default().comment("watching"))
            .chain(before.iter().filter(|message| message.number > known).map(written))
            .collect();
        Self { watching, ready, news, is_gone: false }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, async |mut viewer| {
            let event = viewer.next().await?;
            Some((Ok(event), viewer))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        if self.is_gone {
            return None;
        }
        let heard = tokio::select! {
            heard = self.watching.live.recv() => heard,
            () = self.news.over() => Err(RecvError::Closed),
        };
        Some(match heard {
            Ok(message) => written(&message),
            Err(why) => {
                self.is_gone = true;
                Event::default().comment(if why == RecvError::Closed { STOPS } else { TOO_SLOW })
            }
        })
    }
}

fn written(message: &Arc<server::Message>) -> Event {
    // Texts and numbers can always be written.
    let data = serde_json::to_string(&Message::of(message)).unwrap_or_default();
    Event::default().id(message.number.to_string()).data(data)
}
