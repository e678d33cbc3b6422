//! Files in pieces: over broken connections, restarts, and from two sides at once.

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::common::{Answer, Platform, request, with};

const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const PACKAGES: &str = "/products/a1TestPk001/packages?version=2.0.0&needVerify=false";

async fn begin(platform: &Platform, body: Value) -> String {
    let upload = platform.made("/uploads", &body.to_string()).await;
    assert_eq!(upload["offset"], 0);
    format!("/uploads/{}", upload["id"].as_str().unwrap())
}

fn piece(path: &str, offset: u64, body: impl Into<Body>) -> Request<Body> {
    let patch = with(request(Method::PATCH, path, ""), "content-type", "application/octet-stream");
    let mut patch = with(patch, "upload-offset", &offset.to_string());
    *patch.body_mut() = body.into();
    patch
}

async fn send(platform: &Platform, path: &str, offset: u64, body: &'static str) -> Answer {
    platform.send(piece(path, offset, body)).await
}

fn package_of(path: &str) -> String {
    format!("{PACKAGES}&uploadId={}", path.rsplit_once('/').unwrap().1)
}

#[tokio::test]
async fn pieces_become_a_package() {
    let platform = Platform::with_product().await;
    let path = begin(&platform, json!({"size": 3, "sha256": SHA256_OF_ABC.to_uppercase()})).await;
    let early = platform.post(&package_of(&path), "").await;
    assert_eq!((early.status, early.problem()), (StatusCode::CONFLICT, "uploadIncomplete"));
    assert_eq!(early.json["params"]["upload"], path.rsplit_once('/').unwrap().1);
    assert_eq!((&early.json["params"]["offset"], &early.json["params"]["size"]), (&0.into(), &3.into()));

    let first = send(&platform, &path, 0, "ab").await;
    assert_eq!((first.status, &first.json["offset"]), (StatusCode::OK, &2.into()));
    let wrong = send(&platform, &path, 0, "abc").await;
    assert_eq!((wrong.status, wrong.problem()), (StatusCode::CONFLICT, "wrongOffset"));
    assert_eq!(wrong.json["params"]["offset"], 2);
    assert_eq!(platform.get(&path).await.json, first.json);
    assert_eq!(platform.get("/uploads").await.json["items"], json!([first.json]));
    send(&platform, &path, 2, "c").await;

    let both = platform.post(&package_of(&path), "abc").await;
    assert_eq!((both.status, both.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "uploadAndBody"));
    let package = platform.made(&package_of(&path), "").await;
    assert_eq!((&package["sha256"], &package["size"]), (&SHA256_OF_ABC.into(), &3.into()));
    assert_eq!(package["md5"], "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(platform.get(&path).await.problem(), "uploadNotFound");
    assert_eq!(platform.post(&package_of(&path), "").await.problem(), "uploadNotFound");
}

#[tokio::test]
async fn what_came_before_the_connection_broke_is_kept() {
    let platform = Platform::with_product().await;
    let path = begin(&platform, json!({"size": 3})).await;
    let broken = vec![Ok(Bytes::from_static(b"ab")), Err(std::io::Error::other("the line is cut"))];
    let answer = platform.send(piece(&path, 0, Body::from_stream(futures_util::stream::iter(broken)))).await;
    assert_eq!(answer.problem(), "brokenBody");
    assert_eq!(platform.get(&path).await.json["offset"], 2);
    assert_eq!(send(&platform, &path, 2, "c").await.json["offset"], 3);
}

#[tokio::test]
async fn who_comes_later_takes_the_turn_of_a_connection_that_hangs() {
    let platform = Platform::with_product().await;
    let path = begin(&platform, json!({"size": 3})).await;
    let (taken, has_taken) = tokio::sync::oneshot::channel();
    // One byte comes, and then nothing for ever.
    let first = futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"a")) });
    let hangs = futures_util::stream::once(async move {
        taken.send(()).unwrap();
        std::future::pending().await
    });
    let hanging = futures_util::StreamExt::chain(first, hangs);
    let hanging = tokio::spawn({
        let (router, patch) = (platform.router.clone(), piece(&path, 0, Body::from_stream(hanging)));
        async move { tower::ServiceExt::oneshot(router, patch).await.unwrap().status() }
    });
    has_taken.await.unwrap();
    // Who is refused takes no turn.
    for (offset, body) in [(0, "abc"), (2, "c")] {
        let wrong = send(&platform, &path, offset, body).await;
        assert_eq!((wrong.problem(), &wrong.json["params"]["offset"]), ("wrongOffset", &1.into()));
    }
    assert!(!hanging.is_finished());
    assert_eq!(platform.get(&path).await.json["offset"], 0, "nothing has ended the request that hangs");
    assert_eq!(send(&platform, &path, 1, "bc").await.json["offset"], 3);
    assert_eq!(hanging.await.unwrap(), StatusCode::CONFLICT);
    assert_eq!(platform.made(&package_of(&path), "").await["sha256"], SHA256_OF_ABC);
}

#[tokio::test]
async fn what_is_not_the_file_is_refused() {
    let platform = Platform::with_product().await;
    for (body, code) in [
        (json!({"size": 0}), "fileEmpty"),
        (json!({"size": -1}), "badField"),
        (json!({"size": 1, "sha256": "abc"}), "sha256Invalid"),
        (json!({"size": 65_u64 << 30}), "tooManyUploads"),
    ] {
        assert_eq!(platform.post("/uploads", &body.to_string()).await.problem(), code, "{body}");
    }
    let path = begin(&platform, json!({"size": 3, "sha256": SHA256_OF_ABC})).await;
    let no_offset = with(request(Method::PATCH, &path, ""), "content-type", "application/octet-stream");
    assert_eq!(platform.send(no_offset).await.problem(), "noUploadOffset");
    assert_eq!(platform.send(request(Method::PATCH, &path, "{}")).await.problem(), "notAFile");
    let long = send(&platform, &path, 0, "abcd").await;
    assert_eq!((long.problem(), long.status), ("uploadTooLong", StatusCode::UNPROCESSABLE_ENTITY));
    let other = send(&platform, &path, 0, "abd").await;
    assert_eq!(
        (other.problem(), &other.json["params"]["expected"]),
        ("sha256Differs", &SHA256_OF_ABC.into())
    );
    assert_eq!(platform.get(&path).await.problem(), "uploadNotFound");
    // What is wrong with a package does not wait for its file.
    let path = begin(&platform, json!({"size": 3})).await;
    let module = platform.post(&format!("{}&module=MCU", package_of(&path)), "").await;
    assert_eq!(module.problem(), "moduleNotFound");
    let removed = platform.send(request(Method::DELETE, &path, "")).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(send(&platform, &path, 0, "abc").await.problem(), "uploadNotFound");
}

#[tokio::test]
async fn several_uploads_become_one_package() {
    let platform = Platform::with_product().await;
    let mut ids = vec![];
    for content in ["abc", "de"] {
        let path = begin(&platform, json!({"size": content.len()})).await;
        send(&platform, &path, 0, content).await;
        ids.push(path.rsplit_once('/').unwrap().1.to_owned());
    }
    let few = platform.post(&format!("{PACKAGES}&fileName=a&uploadId={}", ids.join(",")), "").await;
    assert_eq!((few.problem(), few.status), ("fileNamesDiffer", StatusCode::UNPROCESSABLE_ENTITY));
    let target = format!("{PACKAGES}&fileName=a.bin,b.bin&uploadId={}", ids.join(","));
    let order = || with(request(Method::POST, &target, ""), "idempotency-key", "once");
    let package = platform.send(order()).await;
    assert_eq!(package.status, StatusCode::CREATED, "{}", package.json);
    assert_eq!(platform.send(order()).await.json, package.json);
    assert_eq!((&package.json["size"], &package.json["fileName"]), (&5.into(), &"a.bin".into()));
    let files = package.json["files"].as_array().unwrap();
    assert_eq!((files.len(), &files[0]["sha256"]), (2, &SHA256_OF_ABC.into()));
    assert_eq!((&files[1]["fileName"], &files[1]["size"]), (&"b.bin".into(), &2.into()));
    let shown = platform.get(&format!("/packages/{}", package.json["id"].as_str().unwrap())).await;
    assert_eq!(shown.json, package.json);
    assert_eq!(platform.get("/uploads").await.json["items"], json!([]));
}

#[tokio::test]
async fn uploads_are_bounded_in_number() {
    let platform = Platform::with_product().await;
    for _ in 0..64 {
        begin(&platform, json!({"size": 1})).await;
    }
    let full = platform.post("/uploads", r#"{"size":1}"#).await;
    assert_eq!((full.status, full.problem()), (StatusCode::CONFLICT, "tooManyUploads"));
}

#[tokio::test]
async fn a_package_of_an_upload_is_made_once() {
    let platform = Platform::with_product().await;
    let path = begin(&platform, json!({"size": 3})).await;
    send(&platform, &path, 0, "abc").await;
    let order = || with(request(Method::POST, &package_of(&path), ""), "idempotency-key", "once");
    let package = platform.send(order()).await;
    assert_eq!(package.status, StatusCode::CREATED);
    assert_eq!(platform.send(order()).await.json, package.json);
    assert_eq!(platform.get("/packages").await.json["items"].as_array().unwrap().len(), 1);
}
