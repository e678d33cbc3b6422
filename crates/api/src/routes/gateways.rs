use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, page};
use crate::cursor::{List, paging};
use crate::dto::{Device, DeviceName, Page, PageQuery, SubDevice};
use crate::extract::{Json, Path, Query};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_sub_devices, add_sub_device)).routes(routes!(remove_sub_device))
}

/// List the sub-devices of a gateway
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices/{deviceName}/sub-devices", tag = "gateways",
    params(("productKey" = String, Path, description = "The gateway's product."),
        ("deviceName" = String, Path, description = "The gateway."), PageQuery),
    responses((status = 200, body = Page<SubDevice>, description = "Those in its topology.")))]
async fn list_sub_devices(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Page<SubDevice>>> {
    let paging = paging(List::SubDevices, query.cursor.as_deref(), query.limit)?;
    let found = api.server.sub_devices(&product_key, &device_name, paging).await?;
    Ok(page(List::SubDevices, found, Into::into))
}

/// Put a device under a gateway
///
/// Whichever it belonged to before. It goes online when its gateway logs it in.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/devices/{deviceName}/sub-devices", tag = "gateways",
    params(("productKey" = String, Path, description = "The gateway's product."),
        ("deviceName" = String, Path, description = "The gateway.")),
    request_body = DeviceName,
    responses((status = 200, body = Device, description = "The sub-device as it is now.")))]
async fn add_sub_device(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    Json(sub): Json<DeviceName>,
) -> Answer<axum::Json<Device>> {
    let sub = sub.into();
    api.server.add_sub_device(&product_key, &device_name, &sub).await?;
    Ok(axum::Json(api.server.device(&sub.product_key, &sub.device_name).await?.into()))
}

/// Take a device from its gateway
///
/// The gateway can no longer speak for it.
#[utoipa::path(delete,
    path = "/api/v1/products/{productKey}/devices/{deviceName}/sub-devices/{subProductKey}/{subDeviceName}",
    tag = "gateways",
    params(("productKey" = String, Path, description = "The gateway's product."),
        ("deviceName" = String, Path, description = "The gateway."),
        ("subProductKey" = String, Path, description = "The sub-device's product."),
        ("subDeviceName" = String, Path, description = "The sub-device.")),
    responses((status = 204, description = "It belongs to no gateway.")))]
async fn remove_sub_device(
    State(api): State<Api>,
    Path((product_key, device_name, sub_key, sub_name)): Path<(String, String, String, String)>,
) -> Answer<StatusCode> {
    let sub = DeviceName { product_key: sub_key, device_name: sub_name };
    api.server.remove_sub_device(&product_key, &device_name, &sub.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
