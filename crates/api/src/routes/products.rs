use axum::extract::State;
use axum::http::StatusCode;
use server::rollout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, page};
use crate::cursor::{List, paging};
use crate::dto::{
    DeviceCounts, NewProduct, Page, PageQuery, Product, ProductChange, ProductCredentials,
    RegistrationAllowance,
};
use crate::extract::{Json, Path, Query};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create_product, list_products))
        .routes(routes!(get_product, change_product, remove_product))
        .routes(routes!(get_product_credentials))
        .routes(routes!(allow_product_registration))
}

/// Make a product
///
/// It comes with the module `default`.
#[utoipa::path(post, path = "/api/v1/products", tag = "products",
    request_body = NewProduct,
    responses((status = 201, body = Product, description = "The product.")))]
async fn create_product(
    State(api): State<Api>,
    Json(new): Json<NewProduct>,
) -> Answer<(StatusCode, axum::Json<Product>)> {
    let product = api.server.create_product(new.into()).await?;
    Ok((StatusCode::CREATED, axum::Json(Product::of(product, DeviceCounts::default()))))
}

/// List products
#[utoipa::path(get, path = "/api/v1/products", tag = "products", params(PageQuery),
    responses((status = 200, body = Page<Product>, description = "Products, in the order they were made.")))]
async fn list_products(
    State(api): State<Api>,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Page<Product>>> {
    let paging = paging(List::Products, query.cursor.as_deref(), query.limit)?;
    let products = api.server.products(paging).await?;
    let ids: Vec<_> = products.items.iter().map(|product| product.id).collect();
    let counts = api.server.device_counts(&ids).await?;
    let devices = |id| counts.get(&id).copied().unwrap_or_default().into();
    Ok(page(List::Products, products, |product| {
        let devices = devices(product.id);
        Product::of(product, devices)
    }))
}

/// Get a product
#[utoipa::path(get, path = "/api/v1/products/{productKey}", tag = "products",
    params(("productKey" = String, Path, description = "The product.")),
    responses((status = 200, body = Product, description = "The product.")))]
async fn get_product(State(api): State<Api>, Path(product_key): Path<String>) -> Answer<axum::Json<Product>> {
    answer(&api, api.server.product(&product_key).await?).await
}

/// Change a product
///
/// With `expected` only if nobody has changed it meanwhile.
#[utoipa::path(patch, path = "/api/v1/products/{productKey}", tag = "products",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = ProductChange,
    responses((status = 200, body = Product, description = "The product as it is now.")))]
async fn change_product(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(mut change): Json<ProductChange>,
) -> Answer<axum::Json<Product>> {
    let expected = std::mem::take(&mut change.expected);
    let check = |now: &rollout::Product| expected.check(&Product::of(now.clone(), DeviceCounts::default()));
    answer(&api, api.server.change_product(&product_key, change.into(), check).await?).await
}

/// Get what a product's devices register with
#[utoipa::path(get, path = "/api/v1/products/{productKey}/credentials", tag = "products",
    params(("productKey" = String, Path, description = "The product.")),
    responses((status = 200, body = ProductCredentials, description = "Its secret.")))]
async fn get_product_credentials(
    State(api): State<Api>,
    Path(product_key): Path<String>,
) -> Answer<axum::Json<ProductCredentials>> {
    let product_secret = api.server.product_secret(&product_key).await?;
    Ok(axum::Json(ProductCredentials { product_key, product_secret }))
}

/// Let all devices of a product register again
///
/// For a while also those that were activated, as after a factory reset that has erased their secrets.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/allow-registration", tag = "products",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = RegistrationAllowance,
    responses((status = 200, body = Product, description = "The product as it is now.")))]
async fn allow_product_registration(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(allowance): Json<RegistrationAllowance>,
) -> Answer<axum::Json<Product>> {
    answer(&api, api.server.allow_product_registration(&product_key, allowance.minutes).await?).await
}

/// Remove a product
///
/// Only one without devices and packages.
#[utoipa::path(delete, path = "/api/v1/products/{productKey}", tag = "products",
    params(("productKey" = String, Path, description = "The product.")),
    responses((status = 204, description = "It is gone.")))]
async fn remove_product(State(api): State<Api>, Path(product_key): Path<String>) -> Answer<StatusCode> {
    api.server.remove_product(&product_key).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn answer(api: &Api, product: rollout::Product) -> Answer<axum::Json<Product>> {
    let devices = api.server.device_counts(&[product.id]).await?.remove(&product.id);
    Ok(axum::Json(Product::of(product, devices.unwrap_or_default().into())))
}
