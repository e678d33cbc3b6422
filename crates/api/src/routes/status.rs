use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api};
use crate::dto::{MeasuredPast, PastQuery, Status};
use crate::extract::Query;
use crate::time;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_status)).routes(routes!(get_past))
}

/// Get how the platform is doing
#[utoipa::path(get, path = "/api/v1/status", tag = "status",
    responses((status = 200, body = Status, description = "Connected devices and counters.")))]
async fn get_status(State(api): State<Api>) -> axum::Json<Status> {
    axum::Json(Status::of(api.server.status(), &api.devices))
}

/// Get what was measured in the last hour
///
/// The numbers of `/metrics` every 15 seconds since the start, all labels together, of histograms the sum and the count.
#[utoipa::path(get, path = "/api/v1/status/past", tag = "status",
    params(PastQuery),
    responses((status = 200, body = MeasuredPast, description = "The measures, the oldest first.")))]
async fn get_past(
    State(api): State<Api>,
    Query(query): Query<PastQuery>,
) -> Answer<axum::Json<MeasuredPast>> {
    let after = time::moment("after", query.after.as_deref())?;
    Ok(axum::Json(api.past.told(after)))
}
