use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api};
use crate::dto::{Module, NewModule, Page};
use crate::extract::{Json, Path};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create_module, list_modules)).routes(routes!(remove_module))
}

/// Make a module
#[utoipa::path(post, path = "/api/v1/products/{productKey}/modules", tag = "modules",
    params(("productKey" = String, Path, description = "The product.")),
    request_body = NewModule,
    responses((status = 201, body = Module, description = "The module.")))]
async fn create_module(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Json(new): Json<NewModule>,
) -> Answer<(StatusCode, axum::Json<Module>)> {
    let module = api.server.create_module(&product_key, new.into()).await?;
    Ok((StatusCode::CREATED, axum::Json(module.into())))
}

/// List the modules of a product
#[utoipa::path(get, path = "/api/v1/products/{productKey}/modules", tag = "modules",
    params(("productKey" = String, Path, description = "The product.")),
    responses((status = 200, body = Page<Module>, description = "Its modules, by name; always a single page.")))]
async fn list_modules(
    State(api): State<Api>,
    Path(product_key): Path<String>,
) -> Answer<axum::Json<Page<Module>>> {
    let modules = api.server.modules(&product_key).await?;
    Ok(axum::Json(Page { items: modules.into_iter().map(Into::into).collect(), next_cursor: None }))
}

/// Remove a module
///
/// Only one that no package is for.
#[utoipa::path(delete, path = "/api/v1/products/{productKey}/modules/{module}", tag = "modules",
    params(("productKey" = String, Path, description = "The product."),
        ("module" = String, Path, description = "The module's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn remove_module(
    State(api): State<Api>,
    Path((product_key, module)): Path<(String, String)>,
) -> Answer<StatusCode> {
    api.server.remove_module(&product_key, &module).await?;
    Ok(StatusCode::NO_CONTENT)
}
