use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::dto::Status;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_status))
}

/// Get how the platform is doing
#[utoipa::path(get, path = "/api/v1/status", tag = "status",
    responses((status = 200, body = Status, description = "Connected devices and counters.")))]
async fn get_status(State(api): State<Api>) -> axum::Json<Status> {
    axum::Json(Status::of(api.server.status(), &api.devices))
}
