//! The endpoints, one file for each kind of thing.

mod configurations;
mod devices;
mod events;
mod gateways;
mod groups;
mod health;
mod jobs;
mod messages;
mod modules;
mod packages;
mod products;
mod statistics;
mod status;
mod tasks;
mod upload;
mod uploads;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use server::rollout::Id;
use server::{Names, Server, Slice};
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use health::takes_json;

use crate::cursor::{self, Key, Listing};
use crate::dto::Page;
use crate::idempotency::{Keys, once};
use crate::live::Feed;
use crate::metrics::Past;
use crate::{Config, Problem, document, gate};

/// What endpoints share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) server: Server,
    pub(crate) keys: Keys,
    pub(crate) devices: Arc<[SocketAddr]>,
    pub(crate) feed: Feed,
    pub(crate) past: Arc<Past>,
}

/// The answer of an endpoint.
pub(crate) type Answer<T> = Result<T, Problem>;

/// Everything operators can ask of a server.
pub fn router(server: Server, config: Config) -> Router {
    let begun = SystemTime::now();
    let api = Api {
        keys: Keys::default(),
        devices: config.devices.clone().into(),
        feed: Feed::new(server.clone()),
        past: Past::begin(server.clone(), begun),
        server,
    };
    let pages = config.pages.clone();
    let config = Arc::new(config);
    let (orders, document) = endpoints(&api).split_for_parts();
    let document = document::text(document::complete(document));
    let secured = orders
        .method_not_allowed_fallback(no_method)
        .route_layer(middleware::from_fn_with_state(Arc::clone(&config), gate::administrator));
    let lost = Router::new()
        .fallback(no_route)
        .layer(middleware::from_fn_with_state(Arc::clone(&config), gate::administrator));
    let server = api.server.clone();
    let metrics = Router::new()
        .route("/metrics", health::metrics(server.clone(), begun))
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&config), gate::metrics_reader));
    let open = Router::new()
        .route("/api/v1/openapi.json", get(move || async move { document::answer(document) }))
        .method_not_allowed_fallback(no_method);
    let health = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", health::ready(server))
        .method_not_allowed_fallback(no_method);
    secured
        .with_state(api)
        .merge(open)
        .merge(metrics)
        .fallback(async move |request| elsewhere(pages, lost, request).await)
        .layer(middleware::from_fn_with_state(config, gate::same_site))
        .merge(health)
}

/// The endpoints of the document. Only `once` needs the state this early, so the document can be made without.
pub(crate) fn documented() -> OpenApiRouter<Api> {
    small().merge(upload::routes())
}

fn endpoints(api: &Api) -> OpenApiRouter<Api> {
    small().layer(middleware::from_fn_with_state(api.clone(), once)).merge(upload::routes())
}

/// The endpoints whose bodies fit into memory.
fn small() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(devices::routes())
        .merge(messages::routes())
        .merge(groups::routes())
        .merge(configurations::routes())
        .merge(modules::routes())
        .merge(packages::routes())
        .merge(uploads::routes())
        .merge(gateways::routes())
        .merge(jobs::routes())
        .merge(tasks::routes())
        .merge(events::routes())
        .merge(statistics::routes())
        .merge(status::routes())
}

/// Carries an order out to its end, even if the one who sent it goes away meanwhile.
pub(crate) async fn to_the_end(order: impl Future<Output = Answer<Response>> + Send + 'static) -> Response {
    match tokio::spawn(order).await {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            tracing::error!(%error, "an order broke off");
            let detail = "the platform could not carry out the order; its log says more";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
        }
    }
}

impl Api {
    /// The key of one product.
    async fn names_of(&self, product: Id) -> Answer<Names> {
        Ok(self.server.names(BTreeSet::from([product]), BTreeSet::new()).await?)
    }

    /// A page of rows that know their product by number.
    async fn named_page<Row, T>(
        &self,
        list: impl Into<Listing>,
        rows: Slice<Row, Id>,
        product: impl Fn(&Row) -> Id,
        of: impl Fn(Row, &Names) -> T,
    ) -> Answer<axum::Json<Page<T>>> {
        let names = self.server.names(rows.items.iter().map(product).collect(), BTreeSet::new()).await?;
        Ok(page(list, rows, |row| of(row, &names)))
    }
}

/// A page of rows as it travels.
fn page<Row, K: Key, T>(
    list: impl Into<Listing>,
    rows: Slice<Row, K>,
    of: impl FnMut(Row) -> T,
) -> axum::Json<Page<T>> {
    let next_cursor = rows.next.map(|key| cursor::encode(list, &key));
    axum::Json(Page { items: rows.items.into_iter().map(of).collect(), next_cursor })
}

/// Where no endpoint is: on the pages for people, if there are any, else lost.
async fn elsewhere(pages: Option<Router>, lost: Router, request: Request) -> Response {
    let path = request.uri().path();
    let is_page = path != "/api" && !path.starts_with("/api/");
    pages.filter(|_| is_page).unwrap_or(lost).oneshot(request).await.into_response()
}

async fn no_route(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; /api/v1/openapi.json lists what there is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "noSuchPath", detail).with("path", uri.path())
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not possible at {}; the header Allow says what is", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", detail).with("method", method.as_str())
}

/// More filters than a list can be searched by.
fn exclusive(filters: &str) -> Problem {
    Problem::unprocessable("filtersExclusive", format!("give at most one of these filters: {filters}"))
}
