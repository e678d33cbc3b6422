use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use server::{IdKind, OrderError, Piece};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, to_the_end};
use crate::Problem;
use crate::dto::{NewUpload, Page, Upload};
use crate::extract::{Json, Path, broken_body, has_type, id};

const OFFSET: &str = "upload-offset";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_uploads, create_upload)).routes(routes!(
        get_upload,
        continue_upload,
        remove_upload
    ))
}

/// List uploads
#[utoipa::path(get, path = "/api/v1/uploads", tag = "uploads",
    responses((status = 200, body = Page<Upload>, description = "All of them, in the order they were begun.")))]
async fn list_uploads(State(api): State<Api>) -> axum::Json<Page<Upload>> {
    let items = api.server.uploads().into_iter().map(Upload::of).collect();
    axum::Json(Page { items, next_cursor: None })
}

/// Begin an upload
///
/// For a file that may come in pieces, over any number of connections: send it with PATCH, and make a package of it
/// with `uploadId`. It is kept for 24 hours, also while the platform is down. A file that is sent at once needs no
/// upload: it is the body of the request that makes the package.
#[utoipa::path(post, path = "/api/v1/uploads", tag = "uploads", request_body = NewUpload,
    responses((status = 201, body = Upload, description = "The upload.")))]
async fn create_upload(State(api): State<Api>, Json(new): Json<NewUpload>) -> Answer<Response> {
    let upload = api.server.create_upload(new.into()).await?;
    Ok((StatusCode::CREATED, told(upload)).into_response())
}

/// Get an upload
///
/// How many bytes are here and will stay is its `offset`, also in the header `Upload-Offset` (HEAD gives that alone).
#[utoipa::path(get, path = "/api/v1/uploads/{uploadId}", tag = "uploads",
    params(("uploadId" = String, Path, description = "The upload.")),
    responses((status = 200, body = Upload, description = "The upload.")))]
async fn get_upload(State(api): State<Api>, Path(upload): Path<String>) -> Answer<Response> {
    Ok(told(api.server.upload(id(IdKind::Upload, &upload)?)?))
}

/// Give an upload up
#[utoipa::path(delete, path = "/api/v1/uploads/{uploadId}", tag = "uploads",
    params(("uploadId" = String, Path, description = "The upload.")),
    responses((status = 204, description = "It is gone.")))]
async fn remove_upload(State(api): State<Api>, Path(upload): Path<String>) -> Answer<StatusCode> {
    api.server.remove_upload(id(IdKind::Upload, &upload)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Go on with an upload
///
/// The body is the file from the offset on, to its end or as far as one likes. What has come when a connection breaks
/// is kept. An offset that is not the upload's is answered with 409 `wrongOffset` and the right one, as a parameter
/// and in `Upload-Offset`. A request that comes with the right offset while another one is sending takes its place.
#[utoipa::path(patch, path = "/api/v1/uploads/{uploadId}", tag = "uploads",
    params(
        ("uploadId" = String, Path, description = "The upload."),
        ("Upload-Offset" = u64, Header, description = "Where the body begins: the upload's `offset`."),
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "The next bytes of the file."),
    responses((status = 200, body = Upload, description = "The upload, with its new offset.")))]
async fn continue_upload(
    State(api): State<Api>,
    Path(upload): Path<String>,
    request: Request,
) -> Answer<Response> {
    let (parts, body) = request.into_parts();
    let upload = id(IdKind::Upload, &upload)?;
    let offset = offset(&parts.headers)?;
    Ok(to_the_end(async move {
        match api.server.continue_upload(upload, offset).await {
            Ok(piece) => receive(body, piece).await.map(told),
            Err(error) => refuse(error, &parts.headers, body).await,
        }
    })
    .await)
}

fn offset(headers: &HeaderMap) -> Answer<u64> {
    if !has_type(headers, "application/octet-stream") {
        let detail =
            "the body must be bytes of the file and say so: `Content-Type: application/octet-stream`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "notAFile", detail));
    }
    let offset = headers.get(OFFSET).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    offset.ok_or_else(|| {
        let detail =
            "the header `Upload-Offset: BYTES` is missing, or is no number; it says where the body begins";
        Problem::bad_request("noUploadOffset", detail)
    })
}

/// Takes what comes for as long as it is this request's turn. Whatever ends it, what has come is kept.
async fn receive(mut body: Body, mut piece: Piece) -> Answer<server::Upload> {
    let mut outcome = Ok(());
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            error = piece.overtaken() => {
                outcome = Err(error.into());
                break;
            }
        };
        let Some(frame) = frame else { break };
        match frame.map(|frame| frame.into_data()) {
            // The rest is read all the same: a client that still writes would not see why it is refused.
            Ok(Ok(chunk)) if outcome.is_ok() => {
                outcome = piece.write(chunk).await.map_err(Problem::from);
            }
            Ok(_) => {}
            Err(error) => {
                outcome = outcome.and(Err(broken_body(&error)));
                break;
            }
        }
    }
    let upload = piece.finish().await?;
    outcome.map(|()| upload)
}

/// Who asks before sending is answered before sending; the others once they have sent.
async fn refuse(error: OrderError, headers: &HeaderMap, mut body: Body) -> Answer<Response> {
    if !headers.contains_key("expect") {
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| broken_body(&error))?;
        }
    }
    let right = error.params.get("offset").map(ToString::to_string);
    let problem = Problem::from(error);
    Ok(match right {
        Some(right) => ([(OFFSET, right)], problem).into_response(),
        None => problem.into_response(),
    })
}

fn told(upload: server::Upload) -> Response {
    let upload = Upload::of(upload);
    ([(OFFSET, upload.offset.to_string())], axum::Json(upload)).into_response()
}
