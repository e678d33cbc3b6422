use axum::extract::{Request, State};
use axum::http::StatusCode;
use server::{Membership, Paging};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, page};
use crate::cursor::{List, paging};
use crate::dto::{Bulk, Group, GroupChange, Members, NewGroup, Page, PageQuery};
use crate::extract::{Json, Path, Query, list};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create_group, list_groups))
        .routes(routes!(get_group, change_group, remove_group))
        .routes(routes!(add_members))
        .routes(routes!(remove_members))
}

/// Make a group
///
/// Without a filter devices are added to it; with one it holds at any time those that the filter means.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/groups", tag = "groups",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = NewGroup,
    responses((status = 201, body = Group, description = "The group.")))]
async fn create_group(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(new): Json<NewGroup>,
) -> Answer<(StatusCode, axum::Json<Group>)> {
    let group = api.server.create_group(&product_key, new.into()).await?;
    Ok((StatusCode::CREATED, axum::Json(group.into())))
}

/// List the groups of a product
#[utoipa::path(get, path = "/api/v1/products/{productKey}/groups", tag = "groups",
    params(("productKey" = String, Path, description = "The product."), PageQuery),
    responses((status = 200, body = Page<Group>, description = "Its groups, by name.")))]
async fn list_groups(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Page<Group>>> {
    let paging = paging::<String>(List::Groups, query.cursor.as_deref(), query.limit)?;
    let paging = Paging { after: paging.after.as_deref(), limit: paging.limit };
    Ok(page(List::Groups, api.server.groups(&product_key, paging).await?, Into::into))
}

/// Get a group
#[utoipa::path(get, path = "/api/v1/products/{productKey}/groups/{group}", tag = "groups",
    params(("productKey" = String, Path, description = "The product."),
        ("group" = String, Path, description = "The group's name.")),
    responses((status = 200, body = Group, description = "The group. `GET …/devices?group=` lists its devices.")))]
async fn get_group(
    State(api): State<Api>,
    Path((product_key, group)): Path<(String, String)>,
) -> Answer<axum::Json<Group>> {
    Ok(axum::Json(api.server.group(&product_key, &group).await?.into()))
}

/// Change a group
///
/// With `expected` only if nobody has changed it meanwhile.
#[utoipa::path(patch, path = "/api/v1/products/{productKey}/groups/{group}", tag = "groups",
    params(("productKey" = String, Path, description = "The product."),
        ("group" = String, Path, description = "The group's name.")),
    request_body = GroupChange,
    responses((status = 200, body = Group, description = "The group as it is now.")))]
async fn change_group(
    State(api): State<Api>,
    Path((product_key, group)): Path<(String, String)>,
    Json(mut change): Json<GroupChange>,
) -> Answer<axum::Json<Group>> {
    let expected = std::mem::take(&mut change.expected);
    let check = |now: &server::Group| expected.check(&Group::from(now.clone()));
    Ok(axum::Json(api.server.change_group(&product_key, &group, change.into(), check).await?.into()))
}

/// Remove a group
///
/// Its devices and their tasks stay.
#[utoipa::path(delete, path = "/api/v1/products/{productKey}/groups/{group}", tag = "groups",
    params(("productKey" = String, Path, description = "The product."),
        ("group" = String, Path, description = "The group's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn remove_group(
    State(api): State<Api>,
    Path((product_key, group)): Path<(String, String)>,
) -> Answer<StatusCode> {
    api.server.remove_group(&product_key, &group).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Add devices to a group
///
/// From JSON with names or with a filter, or from a CSV text with a column `deviceName`. What is wrong with one
/// device does not hold up the others.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/groups/{group}/members", tag = "groups",
    params(("productKey" = String, Path, description = "The product."),
        ("group" = String, Path, description = "The group's name.")),
    request_body(content((Members = "application/json"), (String = "text/csv", example = "deviceName\nlamp-0001\n"))),
    responses((status = 200, body = Bulk, description = "How many were added, and which were refused.")))]
async fn add_members(
    State(api): State<Api>,
    Path((product_key, group)): Path<(String, String)>,
    request: Request,
) -> Answer<axum::Json<Bulk>> {
    change_members(&api, &product_key, &group, request, Membership::Join).await
}

/// Take devices out of a group
///
/// As they are added.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/groups/{group}/members/remove", tag = "groups",
    params(("productKey" = String, Path, description = "The product."),
        ("group" = String, Path, description = "The group's name.")),
    request_body(content((Members = "application/json"), (String = "text/csv", example = "deviceName\nlamp-0001\n"))),
    responses((status = 200, body = Bulk, description = "How many were taken out, and which were refused.")))]
async fn remove_members(
    State(api): State<Api>,
    Path((product_key, group)): Path<(String, String)>,
    request: Request,
) -> Answer<axum::Json<Bulk>> {
    change_members(&api, &product_key, &group, request, Membership::Leave).await
}

async fn change_members(
    api: &Api,
    product_key: &str,
    group: &str,
    request: Request,
    way: Membership,
) -> Answer<axum::Json<Bulk>> {
    let members = list(request, server::csv_members, |members: Members| members.try_into()).await?;
    Ok(axum::Json(api.server.change_members(product_key, group, members, way).await?.into()))
}
