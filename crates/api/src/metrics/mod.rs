//! `/metrics`: what the server measures and what the system knows of this process, as Prometheus reads it.

mod page;
mod past;
mod process;
mod text;

use std::time::SystemTime;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use server::{Family, Kind, Labelled, Server, Values};

pub use page::page;
pub(crate) use past::Past;

/// The format's version 0.0.4, which everything that reads Prometheus metrics understands.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with everything there is to know.
pub(crate) fn answer(server: &Server, begun: SystemTime) -> Response {
    let families = families(server, begun);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text::text(&families)).into_response()
}

fn families(server: &Server, begun: SystemTime) -> Vec<Family> {
    whole(server.metrics(), process::families(begun))
}

fn whole(server: Vec<Family>, process: Vec<Family>) -> Vec<Family> {
    let version = ("version", env!("CARGO_PKG_VERSION").to_string());
    let build = Family {
        name: "otaru_build_info",
        help: "Always 1; its label says which version runs.",
        kind: Kind::Gauge,
        values: Values::Labelled(vec![Labelled { labels: vec![version], help: "", value: 1.0 }]),
    };
    [vec![build], server, process].concat()
}
