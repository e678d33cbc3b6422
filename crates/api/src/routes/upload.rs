use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use server::rollout::{self, Id};
use server::{IdKind, NewFile, OrderError, PackageUpload};
use sha2::{Digest, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answer, Api, to_the_end};
use crate::Problem;
use crate::dto::{NewPackage, Package};
use crate::extract::{Path, Query, broken_body, collect, has_type, id};
use crate::idempotency::{Claim, fingerprint, finish};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create_package))
}

/// Make a package
///
/// The body is the file, as it is. It is written to disk while it comes in, and its digests are computed on the
/// way, so it may be of any size. A file that came in pieces before is named by `uploadId`: what is wrong with the
/// package is told before, an upload that is not complete with 409 `uploadIncomplete`, its id and its `offset`.
///
/// A package of several files is made of an upload for each: `uploadId` and `fileName` then list up to 20 of them, with
/// commas between them. Its jobs let them travel over HTTP.
#[utoipa::path(post, path = "/api/v1/products/{productKey}/packages", tag = "packages",
    params(("productKey" = String, Path, description = "The product."), NewPackage),
    request_body(content = String, content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, body = Package, description = "The package.")))]
async fn create_package(
    State(api): State<Api>,
    Path(product_key): Path<String>,
    Query(mut new): Query<NewPackage>,
    request: Request,
) -> Answer<Response> {
    let (parts, body) = request.into_parts();
    refuse_forms(&parts.headers)?;
    let claim = api.keys.claim(&parts.headers)?;
    if let Some(uploads) = new.upload_id.take() {
        let files = files(&uploads, &new.file_name)?;
        return of_uploads(api, claim, product_key, new, files, &parts, body).await;
    }
    match claim {
        None => at_once(&api, &product_key, new, &parts.headers, body).await,
        Some(claim) => once(api, claim, &product_key, new, &parts, body).await,
    }
}

/// The parts of a form would become parts of the firmware.
fn refuse_forms(headers: &HeaderMap) -> Answer<()> {
    if !has_type(headers, "multipart/form-data") {
        return Ok(());
    }
    let detail = "the body must be the file itself, as `Content-Type: application/octet-stream`, not a form (with curl: --data-binary @FILE)";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "notAFile", detail))
}

/// The uploads with the names of the files they are to be. The name of a single one may have commas.
fn files(uploads: &str, names: &str) -> Answer<Vec<NewFile>> {
    let uploads =
        uploads.split(',').map(|upload| id(IdKind::Upload, upload)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = if uploads.len() == 1 { vec![names] } else { names.split(',').collect() };
    if names.len() != uploads.len() {
        let detail = format!(
            "uploadId lists {} uploads and fileName {} names; give one name for each, without commas in it",
            uploads.len(),
            names.len()
        );
        return Err(Problem::unprocessable("fileNamesDiffer", detail));
    }
    let file = |(upload, name): (Id, &str)| NewFile { name: name.to_owned(), upload };
    Ok(uploads.into_iter().zip(names).map(file).collect())
}

/// The files are here already.
async fn of_uploads(
    api: Api,
    claim: Option<Claim>,
    product_key: String,
    new: NewPackage,
    files: Vec<NewFile>,
    parts: &Parts,
    body: Body,
) -> Answer<Response> {
    collect(body, 0).await.map_err(|_| {
        let detail =
            "the file is the body of the request, or uploads named by uploadId; give only one of them";
        Problem::unprocessable("uploadAndBody", detail)
    })?;
    let hash = finish(fingerprint(parts));
    if let Some(claim) = &claim
        && let Some(answer) = claim.answered(&api, &hash).await?
    {
        return Ok(answer);
    }
    Ok(to_the_end(async move {
        let order = async {
            let package = api.server.package_of_uploads(&product_key, new.into(), files).await?;
            made(&api, package).await
        };
        match claim {
            None => order.await,
            Some(claim) => {
                let answer = claim.carry_out(&hash, order).await?;
                claim.remember(&api, &hash, answer).await
            }
        }
    })
    .await)
}

async fn at_once(
    api: &Api,
    product_key: &str,
    new: NewPackage,
    headers: &HeaderMap,
    body: Body,
) -> Answer<Response> {
    let mut upload = match api.server.start_package(product_key, new.into()).await {
        Ok(upload) => upload,
        Err(error) => {
            // Who asks before sending is answered before sending.
            if !headers.contains_key(header::EXPECT) {
                receive(body, None, None).await??;
            }
            return Err(error.into());
        }
    };
    receive(body, Some(&mut upload), None).await??;
    let api = api.clone();
    Ok(to_the_end(async move { keep(&api, upload).await }).await)
}

/// Whether it is a repetition is known once the whole file is: until then a refusal waits too.
async fn once(
    api: Api,
    claim: Claim,
    product_key: &str,
    new: NewPackage,
    parts: &Parts,
    body: Body,
) -> Answer<Response> {
    let mut hash = fingerprint(parts);
    let mut upload = api.server.start_package(product_key, new.into()).await;
    // Dropped before the upload: who sees that its file is gone may send it again under its key.
    let claim = claim;
    let received = receive(body, upload.as_mut().ok(), Some(&mut hash)).await?;
    let hash = finish(hash);
    if let Some(answer) = claim.answered(&api, &hash).await? {
        return Ok(answer);
    }
    received?;
    let upload = upload?;
    Ok(to_the_end(async move {
        let answer = claim.carry_out(&hash, keep(&api, upload)).await?;
        claim.remember(&api, &hash, answer).await
    })
    .await)
}

/// Reads the file to its end, even if it is refused on the way: a client that still writes would see a broken
/// connection instead of the reason. The outer error is the connection's, the inner one the platform's.
async fn receive(
    mut body: Body,
    mut upload: Option<&mut PackageUpload>,
    mut hash: Option<&mut Sha256>,
) -> Answer<Result<(), OrderError>> {
    let mut written = Ok(());
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|error| broken_body(&error))?.into_data() else { continue };
        if let Some(hash) = &mut hash {
            hash.update(&chunk);
        }
        if let (Some(upload), Ok(())) = (&mut upload, &written) {
            written = upload.write(chunk).await;
        }
    }
    Ok(written)
}

async fn keep(api: &Api, upload: PackageUpload) -> Answer<Response> {
    made(api, upload.finish().await?).await
}

async fn made(api: &Api, package: rollout::Package) -> Answer<Response> {
    let names = api.names_of(package.product_id).await?;
    Ok((StatusCode::CREATED, axum::Json(Package::of(package, &names))).into_response())
}
