//! The operator's door: REST under `/api/v1`.
//!
//! Every endpoint is one order or one question to [`server::Server`]; what travels is described by the types of
//! [`dto`] and by the OpenAPI document ([`document`], checked in as docs/openapi.json). JSON members are
//! lowerCamelCase, times RFC 3339 in UTC, ids opaque texts that sort by time.
//!
//! - **Errors** are problem details of RFC 9457 ([`Problem`]) with a stable `code` and `params`, whatever went wrong.
//! - **Lists** are pages: `limit` (1 to 200, 50 if absent) and an opaque `cursor`, the last page's `nextCursor`.
//! - **Orders** (POST) take an `Idempotency-Key`: the same key with the same request is carried out once.
//! - **Who asks** is settled before anything else: `Host` must name this platform, `Origin`, if any, must be the
//!   same site, and the bearer token must be the administrator's.
//!
//! Beside it are `/livez`, `/readyz` and `/metrics`, for whoever watches over the platform (docs/metrics.md), and
//! whatever pages [`Config::pages`] brings.

mod config;
mod cursor;
mod document;
pub mod dto;
mod extract;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod idempotency;
mod live;
mod metrics;
mod problem;
mod reception;
mod routes;
mod time;

pub use config::{Config, MetricsReaders};
pub use document::document;
pub use metrics::page as metrics_page;
pub use problem::{Problem, ProblemType};
pub use reception::Reception;
pub use routes::router;

use std::future::Future;

/// Answers operators on a listener until `stop` is ready; requests under way are finished.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: axum::Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}
