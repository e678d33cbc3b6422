use axum::extract::State;
use axum::http::StatusCode;
use server::IdKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api};
use crate::cursor::{List, paging};
use crate::dto::{Job, Package, PackageQuery, Page};
use crate::extract::{Path, Query, id};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_packages))
        .routes(routes!(get_package, remove_package))
        .routes(routes!(cancel_package_jobs))
}

/// List packages
#[utoipa::path(get, path = "/api/v1/packages", tag = "packages", params(PackageQuery),
    responses((status = 200, body = Page<Package>, description = "Packages, in the order they were made, or against it.")))]
async fn list_packages(
    State(api): State<Api>,
    Query(query): Query<PackageQuery>,
) -> Answer<axum::Json<Page<Package>>> {
    let order = query.order.unwrap_or_default().into();
    let list = List::Packages.ordered(order);
    let paging = paging(list, query.cursor.as_deref(), query.limit)?;
    let packages = api.server.packages(query.product_key.as_deref(), order, paging).await?;
    api.named_page(list, packages, |row| row.product_id, Package::of).await
}

/// Get a package
#[utoipa::path(get, path = "/api/v1/packages/{packageId}", tag = "packages",
    params(("packageId" = String, Path, description = "The package.")),
    responses((status = 200, body = Package, description = "The package.")))]
async fn get_package(State(api): State<Api>, Path(package): Path<String>) -> Answer<axum::Json<Package>> {
    let package = api.server.package(id(IdKind::Package, &package)?).await?;
    let names = api.names_of(package.product_id).await?;
    Ok(axum::Json(Package::of(package, &names)))
}

/// Cancel every job of a package that has not ended
#[utoipa::path(post, path = "/api/v1/packages/{packageId}/cancel", tag = "packages",
    params(("packageId" = String, Path, description = "The package.")),
    responses((status = 200, body = Vec<Job>, description = "The jobs cancelled; their tasks end in the moments that follow.")))]
async fn cancel_package_jobs(
    State(api): State<Api>,
    Path(package): Path<String>,
) -> Answer<axum::Json<Vec<Job>>> {
    let package = api.server.package(id(IdKind::Package, &package)?).await?;
    let names = api.names_of(package.product_id).await?;
    let jobs = api.server.cancel_package_jobs(package.id).await?;
    Ok(axum::Json(jobs.into_iter().map(|job| Job::of(job, &names)).collect()))
}

/// Remove a package
///
/// Only one whose jobs have all ended.
#[utoipa::path(delete, path = "/api/v1/packages/{packageId}", tag = "packages",
    params(("packageId" = String, Path, description = "The package.")),
    responses((status = 204, description = "It is gone.")))]
async fn remove_package(State(api): State<Api>, Path(package): Path<String>) -> Answer<StatusCode> {
    api.server.remove_package(id(IdKind::Package, &package)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
