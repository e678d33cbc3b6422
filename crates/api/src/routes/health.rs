use std::time::SystemTime;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use server::{Server, Unready};

use crate::Problem;

/// Whether the platform can do its work, in words; to those that take JSON, a problem.
pub(super) fn ready(server: Server) -> MethodRouter {
    get(move |headers: HeaderMap| async move {
        match server.ready().await {
            Ok(()) => (StatusCode::OK, "ok\n").into_response(),
            Err(why) if takes_json(&headers) => problem(&why).into_response(),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
        }
    })
}

/// Whether who asks reads problems rather than words.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("json"))
}

fn problem(why: &Unready) -> Problem {
    let code = match why {
        Unready::Silent => "databaseSilent",
        Unready::Database(_) => "databaseUnreadable",
        Unready::Stuck { .. } => "reportsStuck",
        Unready::NotWritten => "nothingWritten",
    };
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, why.to_string());
    match why {
        Unready::Stuck { waiting } => problem.with("waiting", *waiting),
        _ => problem,
    }
}

/// What the platform measures.
pub(super) fn metrics(server: Server, begun: SystemTime) -> MethodRouter {
    get(move || async move { crate::metrics::answer(&server, begun) })
}
