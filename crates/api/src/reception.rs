use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::Problem;
use crate::routes::takes_json;

/// Answers operators from the moment their ports are taken: alive at once, the rest once the platform is up.
///
/// Bringing an old database up to date can take long; who supervises the process must not take it for dead.
#[derive(Clone, Debug)]
pub struct Reception(Arc<watch::Sender<Phase>>);

#[derive(Debug)]
enum Phase {
    Starting,
    Open(Router),
    Stopping,
}

impl Default for Reception {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl Reception {
    /// Lets operators in.
    pub fn open(&self, router: Router) {
        self.0.send_replace(Phase::Open(router));
    }

    /// Lets nobody in any more; requests under way go on.
    pub fn close(&self) {
        self.0.send_replace(Phase::Stopping);
    }

    /// What listeners serve.
    pub fn router(&self) -> Router {
        Router::new().route("/livez", get(|| async { "ok\n" })).fallback(pass_on).with_state(self.clone())
    }
}

async fn pass_on(State(reception): State<Reception>, request: Request) -> Response {
    let router = match &*reception.0.borrow() {
        Phase::Starting => Err("the platform is starting; try again soon"),
        Phase::Stopping => Err("the platform is stopping"),
        Phase::Open(router) => Ok(router.clone()),
    };
    match router {
        Ok(router) => router.oneshot(request).await.into_response(),
        Err(why) if request.uri().path() == "/readyz" && !takes_json(request.headers()) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
        }
        Err(why) => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "notUp", why);
            ([(header::RETRY_AFTER, "1")], problem).into_response()
        }
    }
}
