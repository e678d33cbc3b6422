use std::time::SystemTime;

use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use server::Server;

/// Whether the platform can do its work, in words.
pub(super) fn ready(server: Server) -> MethodRouter {
    get(move || async move {
        match server.ready().await {
            Ok(()) => (StatusCode::OK, "ok\n".to_string()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    })
}

/// What the platform measures.
pub(super) fn metrics(server: Server) -> MethodRouter {
    let begun = SystemTime::now();
    get(move || async move { crate::metrics::answer(&server, begun) })
}
