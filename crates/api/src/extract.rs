//! Parts of a request, with a [`Problem`] for whatever is wrong with them.

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use server::{IdKind, OrderError};

use crate::Problem;

/// Longest JSON body of an order, in bytes.
pub(crate) const MAX_ORDER: usize = 1 << 20;
/// Longest body that holds a list of devices, in bytes.
pub(crate) const MAX_IMPORT: usize = 64 << 20;

/// The parameters in the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

/// The parameters in the query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::bad_request("badPath", format!("the path cannot be read: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Problem::bad_request("badQuery", format!("the query cannot be read: {}", rejection.body_text()))
    }
}

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Json<T, const MAX: usize = MAX_ORDER>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !has_type(&parts.headers, "application/json") {
            let detail = "the body must be JSON and say so: `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "notJson", detail));
        }
        parse(&collect(body, MAX).await?).map(Self)
    }
}

/// Whether `Content-Type` is this one, whatever its parameters.
pub(crate) fn has_type(headers: &HeaderMap, expected: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(expected))
}

/// A list of devices in a body, by its `Content-Type`: a CSV text, or JSON of a type `J`.
pub(crate) async fn list<J: DeserializeOwned, T>(
    request: Request,
    csv: impl FnOnce(&[u8]) -> Result<T, OrderError>,
    json: impl FnOnce(J) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let is_csv = has_type(&parts.headers, "text/csv");
    if !is_csv && !has_type(&parts.headers, "application/json") {
        let detail = "a device list is `Content-Type: text/csv` or `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "notADeviceList", detail));
    }
    let body = collect(body, MAX_IMPORT).await?;
    if is_csv { Ok(csv(&body)?) } else { json(parse(&body)?) }
}

/// The whole body, if it is no longer than `max` bytes.
pub(crate) async fn collect(body: Body, max: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail =
                format!("the body is longer than {max} bytes, which is the most this request may bring");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "bodyTooLarge", detail).with("max", max))
        }
        Err(error) => Err(broken_body(&*error)),
    }
}

/// The body ended before its end.
pub(crate) fn broken_body(error: &dyn std::error::Error) -> Problem {
    Problem::bad_request("brokenBody", format!("the body could not be read to its end: {error}"))
}

/// Reads JSON, naming the member that is wrong.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        match error.inner().classify() {
            Category::Data => {
                let detail = format!("the body's `{field}` is wrong: {}", error.inner());
                Problem::unprocessable("badField", detail).with("field", field)
            }
            _ => bad_json(error.inner()),
        }
    })?;
    reader.end().map_err(|error| bad_json(&error))?;
    refuse_nul(body)?;
    Ok(value)
}

/// No text of an order holds a NUL, and PostgreSQL takes none. In JSON it can only come escaped.
fn refuse_nul(body: &[u8]) -> Result<(), Problem> {
    const ESCAPED: &[u8] = br"\u0000";
    let suspect = body.windows(ESCAPED.len()).any(|part| part == ESCAPED);
    if suspect && serde_json::from_slice(body).is_ok_and(|value| holds_nul(&value)) {
        return Err(Problem::unprocessable("nulInText", "a text in the body holds the character NUL"));
    }
    Ok(())
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn bad_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request("badJson", format!("the body is not JSON: {error}"))
        .with("line", error.line())
        .with("column", error.column())
}

/// The number of an id in a path, a query or a body.
pub(crate) fn id(kind: IdKind, text: &str) -> Result<i64, Problem> {
    kind.parse(text).ok_or_else(|| {
        let (what, example) = (noun(kind), kind.text(0));
        let detail = format!("`{text}` is not the id of a {what}; one looks like {example}");
        Problem::unprocessable("badId", detail).with("id", text).with("kind", what)
    })
}

fn noun(kind: IdKind) -> &'static str {
    match kind {
        IdKind::Package => "package",
        IdKind::Job => "job",
        IdKind::Task => "task",
        IdKind::Upload => "upload",
        IdKind::Configuration => "configuration",
        IdKind::Device => "device",
    }
}
