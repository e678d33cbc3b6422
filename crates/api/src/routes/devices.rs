use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::json;
use server::{DeviceFilter, IdKind, Paging};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, page};
use crate::cursor::{List, paging};
use crate::dto::{
    Bulk, CancelOf, CanceledTasks, Credentials, Device, DeviceCertificate, DeviceChange, DeviceQuery,
    DeviceSecret, DeviceSecrets, Expected, Import, ImportResult, Login, NewDevice, OrderedQuery, Page,
    RegistrationAllowance, SecretsQuery, Tagging, Task,
};
use crate::extract::{Json, Path, Query, list};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create_device, list_devices))
        .routes(routes!(import_devices))
        .routes(routes!(tag_devices))
        .routes(routes!(cancel_device_tasks))
        .routes(routes!(get_device, change_device, remove_device))
        .routes(routes!(get_credentials))
        .routes(routes!(get_device_secrets))
        .routes(routes!(get_certificate, set_certificate))
        .routes(routes!(allow_device_registration))
        .routes(routes!(list_device_tasks))
}

/// Make a device
#[utoipa::path(post, path = "/api/v1/products/{productKey}/devices", tag = "devices",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = NewDevice,
    responses((status = 201, body = Device, description = "The device.")))]
async fn create_device(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(new): Json<NewDevice>,
) -> Answer<(StatusCode, axum::Json<Device>)> {
    let made = api.server.create_device(&product_key, new.into()).await?;
    let device = api.server.device(&product_key, &made.device.name).await?;
    Ok((StatusCode::CREATED, axum::Json(device.into())))
}

/// Make many devices
///
/// From a JSON array, or from a CSV text. Its first line may name the columns, in any order: `deviceName`, and if
/// wanted `deviceSecret` and `productKey`; without such a line they are name and secret. Secrets may be missing. What is wrong with one device does not hold up
/// the others.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/import-devices", tag = "devices",
    params(("productKey" = String, Path, description = "The product.")),
    request_body(content((Vec<NewDevice> = "application/json"),
        (String = "text/csv", example = "deviceName,deviceSecret\nlamp-0001,\n"))),
    responses((status = 200, body = Import, description = "A result for each device of the list.")))]
async fn import_devices(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    request: Request,
) -> Answer<axum::Json<Import>> {
    let csv = |file: &[u8]| server::csv_devices(file, &product_key);
    let json = |list: Vec<NewDevice>| Ok((1..).zip(list.into_iter().map(server::NewDevice::from)).collect());
    let list: Vec<(u64, server::NewDevice)> = list(request, csv, json).await?;
    let asked: Vec<_> = list.iter().map(|(line, new)| (*line, new.device_name.clone())).collect();
    let made =
        api.server.import_devices(&product_key, list.into_iter().map(|(_, new)| new).collect()).await?;
    let results: Vec<ImportResult> = asked
        .into_iter()
        .zip(made)
        .map(|((line, name), made)| match made {
            Ok(made) => ImportResult { line, device_name: Some(made.device.name), problem: None },
            Err(error) => ImportResult { line, device_name: name, problem: Some(error.into()) },
        })
        .collect();
    let refused = results.iter().filter(|result| result.problem.is_some()).count();
    Ok(axum::Json(Import { created: results.len() - refused, refused, results }))
}

/// Cancel what devices have not finished
///
/// At once and together: if one of the names is not of the product, nothing is cancelled. Devices are not told;
/// what they are downloading stops.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/cancel-tasks", tag = "devices",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = CancelOf,
    responses((status = 200, body = CanceledTasks, description = "The tasks that were cancelled.")))]
async fn cancel_device_tasks(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(cancel): Json<CancelOf>,
) -> Answer<axum::Json<CanceledTasks>> {
    let canceled = api.server.cancel_device_tasks(&product_key, &cancel.try_into()?).await?;
    let task_ids = canceled.into_iter().map(|task| IdKind::Task.text(task)).collect();
    Ok(axum::Json(CanceledTasks { task_ids }))
}

/// Change the tags of many devices
///
/// From JSON with the devices' names, or from a CSV text whose first line names the columns: `deviceName`, and
/// one for each tag; an empty cell leaves the tag as it is. What is wrong with one device does not hold up the
/// others.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/device-tags", tag = "devices",
    params(("productKey" = String, Path, description = "The product.")),
    request_body(content((Tagging = "application/json"),
        (String = "text/csv", example = "deviceName,region,timezone\nlamp-0001,eu,Europe/Berlin\n"))),
    responses((status = 200, body = Bulk, description = "How many were changed, and which were refused.")))]
async fn tag_devices(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    request: Request,
) -> Answer<axum::Json<Bulk>> {
    let changes = list(request, server::csv_tags, |tagging: Tagging| Ok(tagging.into())).await?;
    Ok(axum::Json(api.server.tag_devices(&product_key, changes).await?.into()))
}

/// List the devices of a product
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices", tag = "devices",
    params(("productKey" = String, Path, description = "The product."), DeviceQuery),
    responses((status = 200, body = Page<Device>, description = "Devices, by name.")))]
async fn list_devices(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(query): Query<DeviceQuery>,
) -> Answer<axum::Json<Page<Device>>> {
    let paging = paging::<String>(List::Devices, query.cursor.as_deref(), query.limit)?;
    let DeviceQuery { prefix, online, filter, group, .. } = query;
    let filter = DeviceFilter { prefix, online, filter, group };
    let paging = Paging { after: paging.after.as_deref(), limit: paging.limit };
    Ok(page(List::Devices, api.server.devices(&product_key, &filter, paging).await?, Into::into))
}

/// Get a device
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices/{deviceName}", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    responses((status = 200, body = Device, description = "The device.")))]
async fn get_device(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
) -> Answer<axum::Json<Device>> {
    Ok(axum::Json(api.server.device(&product_key, &device_name).await?.into()))
}

/// Enable or disable a device, change its tags
///
/// With `expected` the tags change only if nobody has changed those meanwhile.
#[utoipa::path(patch, path = "/api/v1/products/{productKey}/devices/{deviceName}", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    request_body = DeviceChange,
    responses((status = 200, body = Device, description = "The device as it is now.")))]
async fn change_device(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    Json(change): Json<DeviceChange>,
) -> Answer<axum::Json<Device>> {
    if !change.tags.is_empty() {
        let expected = change.expected.map_or_else(Expected::default, Expected::from);
        let check = |tags: &BTreeMap<String, String>| expected.check(&json!({ "tags": tags }));
        api.server.tag_device(&product_key, &device_name, change.tags, check).await?;
    }
    if let Some(enabled) = change.enabled {
        api.server.set_device_enabled(&product_key, &device_name, enabled).await?;
    }
    Ok(axum::Json(api.server.device(&product_key, &device_name).await?.into()))
}

/// Remove a device
///
/// What it has not finished is cancelled, and its connection is ended.
#[utoipa::path(delete, path = "/api/v1/products/{productKey}/devices/{deviceName}", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    responses((status = 204, description = "It is gone.")))]
async fn remove_device(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
) -> Answer<StatusCode> {
    api.server.remove_device(&product_key, &device_name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a device register again
///
/// For a while also if it was activated, as after a factory reset that has erased its secret.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/devices/{deviceName}/allow-registration", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    request_body = RegistrationAllowance,
    responses((status = 200, body = Device, description = "The device as it is now.")))]
async fn allow_device_registration(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    Json(allowance): Json<RegistrationAllowance>,
) -> Answer<axum::Json<Device>> {
    let minutes = allowance.minutes;
    let device = api.server.allow_device_registration(&product_key, &device_name, minutes).await?;
    Ok(axum::Json(device.into()))
}

/// Get what a device needs to connect
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices/{deviceName}/credentials", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    responses((status = 200, body = Credentials, description = "Its secret, and the values of an MQTT CONNECT.")))]
async fn get_credentials(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
) -> Answer<axum::Json<Credentials>> {
    let found = api.server.credentials(&product_key, &device_name).await?;
    let logins = found.logins.into_iter().map(|login| Login {
        sign_method: login.sign_method.to_string(),
        client_id: login.client_id,
        username: login.username,
        password: login.password,
    });
    let logins = logins.collect();
    Ok(axum::Json(Credentials { product_key, device_name, device_secret: found.device_secret, logins }))
}

/// Get the secrets of devices
///
/// As after an import, to write them into the devices. Names that are not of the product are left out.
#[utoipa::path(get, path = "/api/v1/products/{productKey}/device-secrets", tag = "devices",
    params(("productKey" = String, Path, description = "The product."), SecretsQuery),
    responses((status = 200, body = DeviceSecrets, description = "Names and secrets.")))]
async fn get_device_secrets(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(wanted): Query<SecretsQuery>,
) -> Answer<axum::Json<DeviceSecrets>> {
    let names: BTreeSet<String> = wanted.device_names.split(',').map(str::to_owned).collect();
    let found = api.server.device_secrets(&product_key, names).await?;
    let secret = |(device_name, device_secret)| DeviceSecret { device_name, device_secret };
    Ok(axum::Json(DeviceSecrets { items: found.into_iter().map(secret).collect() }))
}

/// Get the certificate by which a device may come in
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices/{deviceName}/certificate", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    responses((status = 200, body = DeviceCertificate, description = "Its SHA-256, if there is one.")))]
async fn get_certificate(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
) -> Answer<axum::Json<DeviceCertificate>> {
    let sha256 = api.server.device_certificate(&product_key, &device_name).await?;
    Ok(axum::Json(DeviceCertificate { sha256 }))
}

/// Let a device come in by a certificate
///
/// Of a CA that the platform was started with; by this one and no other, with null by none. Its secret goes on
/// being good. A connection of the device ends.
#[utoipa::path(put, path = "/api/v1/products/{productKey}/devices/{deviceName}/certificate", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device.")),
    request_body = DeviceCertificate,
    responses((status = 200, body = DeviceCertificate, description = "Its SHA-256 as it is now.")))]
async fn set_certificate(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    Json(DeviceCertificate { sha256 }): Json<DeviceCertificate>,
) -> Answer<axum::Json<DeviceCertificate>> {
    let sha256 = api.server.set_device_certificate(&product_key, &device_name, sha256.as_deref()).await?;
    Ok(axum::Json(DeviceCertificate { sha256 }))
}

/// List the tasks of a device
#[utoipa::path(get, path = "/api/v1/products/{productKey}/devices/{deviceName}/tasks", tag = "devices",
    params(("productKey" = String, Path, description = "The product."),
        ("deviceName" = String, Path, description = "The device."), OrderedQuery),
    responses((status = 200, body = Page<Task>, description = "Its tasks, of all jobs.")))]
async fn list_device_tasks(
    State(api): State<Api>,
    Path((product_key, device_name)): Path<(String, String)>,
    Query(query): Query<OrderedQuery>,
) -> Answer<axum::Json<Page<Task>>> {
    let order = query.order.unwrap_or_default().into();
    let list = List::DeviceTasks.ordered(order);
    let paging = paging(list, query.cursor.as_deref(), query.limit)?;
    let tasks = api.server.device_tasks(&product_key, &device_name, order, paging).await?;
    api.named_page(list, tasks, |row| row.task.product_id, Task::of).await
}
