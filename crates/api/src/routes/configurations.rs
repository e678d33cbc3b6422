use std::collections::BTreeSet;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, page};
use crate::Problem;
use crate::cursor::{List, paging};
use crate::dto::{
    Configuration, ConfigurationChange, ConfigurationPush, ConfigurationVersion, DeviceConfiguration,
    NewConfigurationQuery, Page, PageQuery, PushedConfiguration,
};
use crate::extract::{Json, MAX_ORDER, Path, Query, collect};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_configuration, change_configuration))
        .routes(routes!(create_configuration, list_configurations))
        .routes(routes!(get_configuration_file))
        .routes(routes!(push_configuration))
        .routes(routes!(list_device_configurations))
}

/// Get the remote configuration of a product
#[utoipa::path(get, path = "/api/v1/products/{productKey}/configuration", tag = "configuration",
    params(("productKey" = String, Path, description = "The product.")),
    responses((status = 200, body = Configuration, description = "The configuration.")))]
async fn get_configuration(
    State(api): State<Api>,
    Path(product_key): Path<String>,
) -> Answer<axum::Json<Configuration>> {
    Ok(axum::Json(api.server.configuration(&product_key).await?.into()))
}

/// Switch the remote configuration of a product on or off
#[utoipa::path(patch, path = "/api/v1/products/{productKey}/configuration", tag = "configuration",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = ConfigurationChange,
    responses((status = 200, body = Configuration, description = "The configuration as it is now.")))]
async fn change_configuration(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(change): Json<ConfigurationChange>,
) -> Answer<axum::Json<Configuration>> {
    let found = match change.enabled {
        Some(enabled) => api.server.enable_configuration(&product_key, enabled).await?,
        None => api.server.configuration(&product_key).await?,
    };
    Ok(axum::Json(found.into()))
}

/// Make a version of the remote configuration
///
/// The body is the file: any JSON of at most 65 536 bytes, kept byte for byte. Devices that ask get it from now on;
/// a push tells those that do not. The same file as the present one is the present version, and makes none.
/// With `expectedVersion` only if nobody has made another version meanwhile.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/configuration/versions", tag = "configuration",
    params(("productKey" = String, Path, description = "The product."), NewConfigurationQuery),
    request_body(content = String, content_type = "application/json", description = "The file."),
    responses((status = 201, body = ConfigurationVersion, description = "The version that is present now.")))]
async fn create_configuration(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<NewConfigurationQuery>,
    request: Request,
) -> Answer<(StatusCode, axum::Json<ConfigurationVersion>)> {
    let file = collect(request.into_body(), MAX_ORDER).await?;
    let made = api.server.set_configuration(&product_key, file, query.expected_version).await?;
    Ok((StatusCode::CREATED, axum::Json(made.into())))
}

/// List the versions of the remote configuration
#[utoipa::path(get, path = "/api/v1/products/{productKey}/configuration/versions", tag = "configuration",
    params(("productKey" = String, Path, description = "The product."), PageQuery),
    responses((status = 200, body = Page<ConfigurationVersion>, description = "The versions, the oldest first.")))]
async fn list_configurations(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Page<ConfigurationVersion>>> {
    let paging = paging(List::Configurations, query.cursor.as_deref(), query.limit)?;
    Ok(page(List::Configurations, api.server.configurations(&product_key, paging).await?, Into::into))
}

/// Get the file of a version
#[utoipa::path(get, path = "/api/v1/products/{productKey}/configuration/versions/{version}/file",
    tag = "configuration",
    params(("productKey" = String, Path, description = "The product."),
        ("version" = i64, Path, description = "The version.")),
    responses((status = 200, body = String, content_type = "application/json",
        description = "The file, byte for byte.")))]
async fn get_configuration_file(
    State(api): State<Api>,
    Path((product_key, version)): Path<(String, i64)>,
) -> Answer<Response> {
    let file = api.server.configuration_file(&product_key, version).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], file).into_response())
}

/// Push the remote configuration
///
/// Tells devices of the present version: those that are connected at once, others when they come, until they have
/// fetched it or answered.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/configuration/push", tag = "configuration",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = ConfigurationPush,
    responses((status = 200, body = PushedConfiguration, description = "The version that is pushed.")))]
async fn push_configuration(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(push): Json<ConfigurationPush>,
) -> Answer<axum::Json<PushedConfiguration>> {
    let pushed = match push {
        ConfigurationPush { all: true, device_names: None } => {
            api.server.push_configuration(&product_key).await?
        }
        ConfigurationPush { all: false, device_names: Some(names) } => {
            api.server.push_configuration_to(&product_key, &names).await?
        }
        _ => {
            let text = "a push says whom it is for: give deviceNames, or \"all\": true for all devices of the product";
            return Err(Problem::unprocessable("pushUnaddressed", text));
        }
    };
    let warnings = api.server.http_warnings().into_iter().map(Into::into).collect();
    Ok(axum::Json(PushedConfiguration { version: pushed.into(), warnings }))
}

/// List what is known of the devices' configuration
#[utoipa::path(get, path = "/api/v1/products/{productKey}/configuration/devices", tag = "configuration",
    params(("productKey" = String, Path, description = "The product."), PageQuery),
    responses((status = 200, body = Page<DeviceConfiguration>,
        description = "The devices of which something is known, in the order they were made.")))]
async fn list_device_configurations(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Page<DeviceConfiguration>>> {
    let paging = paging(List::DeviceConfigurations, query.cursor.as_deref(), query.limit)?;
    let rows = api.server.device_configurations(&product_key, paging).await?;
    let devices = rows.items.iter().map(|row| row.device_id).collect();
    let names = api.server.names(BTreeSet::new(), devices).await?;
    Ok(page(List::DeviceConfigurations, rows, |row| DeviceConfiguration::of(row, &names)))
}
