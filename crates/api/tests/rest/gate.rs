//! Who may come in.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use otaru_api::Config;
use tower::ServiceExt as _;

use crate::common::{Platform, TOKEN, request, with};

#[tokio::test]
async fn only_the_administrator_is_answered() {
    let platform = Platform::start().await;
    for (value, code) in [
        ("Bearer 0123456789abcdee", "wrongToken"),
        ("Bearer", "noToken"),
        ("Bearer ", "wrongToken"),
        ("Basic 0123456789abcdef", "noToken"),
        ("0123456789abcdef", "noToken"),
    ] {
        let answer = platform.send(with(request(Method::GET, "/products", ""), "authorization", value)).await;
        assert_eq!((answer.status, answer.problem()), (StatusCode::UNAUTHORIZED, code), "{value}");
    }
    let lower_case = with(request(Method::GET, "/products", ""), "authorization", "bearer 0123456789abcdef");
    assert_eq!(platform.send(lower_case).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_not_even_a_wrong_path_is_told() {
    let platform = Platform::start().await;
    for path in ["/products", "/nothing"] {
        let mut request = request(Method::GET, path, "");
        request.headers_mut().remove("authorization");
        assert_eq!(platform.send(request).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

/// Who is not signed in yet must see the page to do it on; what is under `/api` stays as it is without pages.
#[tokio::test]
async fn pages_are_shown_without_a_token_outside_the_api() {
    let platform = Platform::start().await;
    let pages = Router::new().fallback_service(get(|| async { "a page" }));
    let router = otaru_api::router(platform.server.clone(), Config::new(TOKEN).pages(pages));
    let ask = async |method: Method, path: &str, host: &str| {
        let request = Request::builder().method(method).uri(path).header("host", host);
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    };
    for (path, status) in [
        ("/", StatusCode::OK),
        ("/products/a1TestPk001", StatusCode::OK),
        ("/apiary", StatusCode::OK),
        ("/livez", StatusCode::OK),
        ("/api", StatusCode::UNAUTHORIZED),
        ("/api/v1/nothing", StatusCode::UNAUTHORIZED),
        ("/api/v1/products", StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(ask(Method::GET, path, "localhost").await, status, "{path}");
    }
    assert_eq!(ask(Method::POST, "/", "localhost").await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(Method::GET, "/", "evil.example").await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused_even_with_the_token() {
    let platform = Platform::start().await;
    let foreign = with(request(Method::GET, "/products", ""), "host", "evil.example");
    let answer = platform.send(foreign).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::FORBIDDEN, "foreignHost"));
    assert_eq!(answer.json["params"]["host"], "evil.example");

    let foreign = with(request(Method::GET, "/products", ""), "origin", "http://evil.example");
    let answer = platform.send(foreign).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::FORBIDDEN, "foreignOrigin"));

    let same = with(request(Method::GET, "/products", ""), "origin", "http://localhost:8080");
    assert_eq!(platform.send(same).await.status, StatusCode::OK);
}

#[tokio::test]
async fn life_and_the_document_are_told_without_a_token() {
    let platform = Platform::start().await;
    for path in ["/livez", "/api/v1/openapi.json"] {
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(platform.send(request).await.status, StatusCode::OK, "{path}");
    }
    let foreign =
        Request::get("/api/v1/openapi.json").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(platform.send(foreign).await.problem(), "foreignHost");
}
