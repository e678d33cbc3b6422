use axum::extract::State;
use server::{IdKind, Span, UpgradesOf};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, exclusive};
use crate::cursor::within;
use crate::dto::{
    HistoryQuery, UpgradeQuery, UpgradeStatistics, VersionHistory, VersionQuery, VersionStatistics,
};
use crate::extract::{Path, Query, id};
use crate::time;

const DEFAULT_VERSIONS: u32 = 10;
const MAX_VERSIONS: u32 = 200;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_versions))
        .routes(routes!(get_version_history))
        .routes(routes!(get_upgrades))
}

/// Get which versions devices run
///
/// By the last version report of each device.
#[utoipa::path(get, path = "/api/v1/products/{productKey}/statistics/versions", tag = "statistics",
    params(("productKey" = String, Path, description = "The product."), VersionQuery),
    responses((status = 200, body = VersionStatistics, description = "The devices by version.")))]
async fn get_versions(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Answer<axum::Json<VersionStatistics>> {
    let most = most(query.limit)?;
    let found = api.server.versions(&product_key, query.module.as_deref(), most).await?;
    Ok(axum::Json(VersionStatistics::of(found)))
}

/// Get which versions devices ran, hour by hour
///
/// As long back as events are kept.
#[utoipa::path(get, path = "/api/v1/products/{productKey}/statistics/versions/history", tag = "statistics",
    params(("productKey" = String, Path, description = "The product."), HistoryQuery),
    responses((status = 200, body = VersionHistory, description = "The devices by version.")))]
async fn get_version_history(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Answer<axum::Json<VersionHistory>> {
    let HistoryQuery { module, limit, from, until } = query;
    let (most, span) = (most(limit)?, span(from.as_deref(), until.as_deref())?);
    let found = api.server.version_history(&product_key, module.as_deref(), span, most).await?;
    Ok(axum::Json(VersionHistory::of(found)))
}

/// Get how upgrades ended
///
/// Of the whole product, a package or a job, as long back as events are kept.
#[utoipa::path(get, path = "/api/v1/products/{productKey}/statistics/upgrades", tag = "statistics",
    params(("productKey" = String, Path, description = "The product."), UpgradeQuery),
    responses((status = 200, body = UpgradeStatistics, description = "Results, reasons and durations.")))]
async fn get_upgrades(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<UpgradeQuery>,
) -> Answer<axum::Json<UpgradeStatistics>> {
    let UpgradeQuery { package_id, job_id, from, until } = query;
    let of = match (package_id, job_id) {
        (None, None) => UpgradesOf::Product,
        (Some(package), None) => UpgradesOf::Package(id(IdKind::Package, &package)?),
        (None, Some(job)) => UpgradesOf::Job(id(IdKind::Job, &job)?),
        (Some(_), Some(_)) => return Err(exclusive("packageId, jobId")),
    };
    let span = span(from.as_deref(), until.as_deref())?;
    Ok(axum::Json(UpgradeStatistics::of(api.server.upgrades(&product_key, of, span).await?)))
}

fn most(limit: Option<u32>) -> Answer<u32> {
    within(limit.unwrap_or(DEFAULT_VERSIONS), MAX_VERSIONS, "versions are told of one by one")
}

fn span(from: Option<&str>, until: Option<&str>) -> Answer<Span> {
    Ok(Span { from: time::moment("from", from)?, until: time::moment("until", until)? })
}
