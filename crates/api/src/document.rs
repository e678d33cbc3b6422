use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, Required, ResponseBuilder, Schema};
use utoipa::{OpenApi as _, PartialSchema, ToSchema};

use crate::{Problem, routes};

const TOKEN: &str = "adminToken";

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Otaru",
    description = "What operators can ask of an Otaru platform. Every error is a problem detail (RFC 9457) with a \
                   stable `code`. Lists are read in pages. A POST with an `Idempotency-Key` is carried out once.",
))]
struct Head;

/// The OpenAPI document as it is checked in: docs/openapi.json.
pub fn document() -> String {
    text(complete(routes::documented().into_openapi()))
}

/// Adds what holds for every operation: who may ask, what an error looks like, how an order is sent once.
pub(crate) fn complete(document: OpenApi) -> OpenApi {
    let mut whole = Head::openapi();
    whole.merge(document);
    let components = whole.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into(), Problem::schema());
    components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    whole.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0])]);
    whole.paths.paths.values_mut().for_each(complete_path);
    whole
}

fn complete_path(path: &mut PathItem) {
    path.post.iter_mut().for_each(take_key);
    let PathItem { get, post, put, patch, delete, .. } = path;
    [get, post, put, patch, delete].into_iter().flatten().for_each(may_fail);
}

fn take_key(operation: &mut Operation) {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The same key with the same request is carried out once, and answered alike."))
        .schema(Some(Schema::Object(
            ObjectBuilder::new().schema_type(Type::String).max_length(Some(128)).build(),
        )))
        .build();
    operation.parameters.get_or_insert_default().push(key.into());
}

fn may_fail(operation: &mut Operation) {
    let problem = ResponseBuilder::new()
        .description("Why it was not done.")
        .content("application/problem+json", Content::new(Some(Ref::from_schema_name(Problem::name()))))
        .build();
    operation.responses.responses.insert("default".into(), problem.into());
}

/// The document as it is served and checked in.
pub(crate) fn text(document: OpenApi) -> String {
    let json = document.to_pretty_json().expect("the document is made of texts and numbers");
    json + "\n"
}

pub(crate) fn answer(document: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document)
}
