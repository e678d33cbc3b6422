//! The same order, sent again.

use axum::http::{Method, StatusCode};

use crate::common::{Answer, Platform, request, with};

async fn post(platform: &Platform, key: &str, path: &str, body: &str) -> Answer {
    platform.send(with(request(Method::POST, path, body), "idempotency-key", key)).await
}

#[tokio::test]
async fn an_order_with_a_key_is_carried_out_once() {
    let platform = Platform::start().await;
    let first = post(&platform, "k1", "/products", r#"{"name":"Lamp"}"#).await;
    let again = post(&platform, "k1", "/products", r#"{"name":"Lamp"}"#).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(
        (first.status, &first.content_type, &first.json),
        (again.status, &again.content_type, &again.json)
    );
    assert_eq!(platform.get("/products").await.json["items"].as_array().unwrap().len(), 1);

    let other_key = post(&platform, "k2", "/products", r#"{"name":"Lamp"}"#).await;
    assert_ne!(other_key.json["productKey"], first.json["productKey"]);
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let platform = Platform::with_product().await;
    post(&platform, "k1", "/products", r#"{"name":"Lamp"}"#).await;
    for (path, body) in
        [("/products", r#"{"name":"Lamps"}"#), ("/products/a1TestPk001/modules", r#"{"name":"Lamp"}"#)]
    {
        let answer = post(&platform, "k1", path, body).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotencyKeyReused")
        );
    }
}

#[tokio::test]
async fn a_refused_order_may_be_sent_again() {
    let platform = Platform::start().await;
    let body = r#"{"deviceName":"lamp-1"}"#;
    let early = post(&platform, "k1", "/products/a1TestPk001/devices", body).await;
    assert_eq!(early.status, StatusCode::NOT_FOUND);
    platform.made("/products", r#"{"name":"Lamp","productKey":"a1TestPk001"}"#).await;
    let late = post(&platform, "k1", "/products/a1TestPk001/devices", body).await;
    assert_eq!(late.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_package_is_uploaded_once() {
    let platform = Platform::with_product().await;
    let path = "/products/a1TestPk001/packages?version=2.0.0";
    let first = post(&platform, "k1", path, "the file").await;
    let again = post(&platform, "k1", path, "the file").await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.json, again.json);
    let other = post(&platform, "k1", path, "another file").await;
    assert_eq!(other.problem(), "idempotencyKeyReused");
    assert_eq!(platform.get("/packages").await.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_told() {
    let platform = Platform::start().await;
    for key in ["", &"k".repeat(129)] {
        let answer = post(&platform, key, "/products", r#"{"name":"Lamp"}"#).await;
        assert_eq!((answer.status, answer.problem()), (StatusCode::BAD_REQUEST, "badIdempotencyKey"));
    }
}

#[tokio::test]
async fn two_at_once_make_one() {
    let platform = Platform::start().await;
    let send = || post(&platform, "k1", "/products", r#"{"name":"Lamp"}"#);
    let answers = tokio::join!(send(), send(), send());
    for answer in [&answers.0, &answers.1, &answers.2] {
        let done = answer.status == StatusCode::CREATED;
        assert!(done || answer.problem() == "idempotencyKeyInUse", "{}", answer.json);
    }
    assert_eq!(platform.get("/products").await.json["items"].as_array().unwrap().len(), 1);
}
