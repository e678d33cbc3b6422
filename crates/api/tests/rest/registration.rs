//! Who may register, as operators see and set it.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::common::{Platform, request};

#[tokio::test]
async fn the_switches_of_a_product_are_off_until_they_are_set() {
    let platform = Platform::with_product().await;
    let path = "/products/a1TestPk001";
    let product = platform.get(path).await.json;
    assert_eq!(
        (&product["dynamicRegistration"], &product["withoutPreRegistration"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(product.get("registrationAllowedUntil"), None);
    let change = async |body: &str| platform.send(request(Method::PATCH, path, body)).await;
    let product = change(r#"{"dynamicRegistration":true}"#).await.json;
    assert_eq!(
        (&product["dynamicRegistration"], &product["withoutPreRegistration"]),
        (&json!(true), &json!(false))
    );
    let product = change(r#"{"withoutPreRegistration":true}"#).await.json;
    assert_eq!(
        (&product["dynamicRegistration"], &product["withoutPreRegistration"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(change(r#"{"dynamicRegistration":"on"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_products_secret_is_shown_where_it_is_asked_for() {
    let platform = Platform::start().await;
    let new = r#"{"name":"Lamp","productKey":"a1TestPk001","productSecret":"ProductSecret001"}"#;
    assert!(!platform.made("/products", new).await.to_string().contains("ProductSecret001"));
    let credentials = platform.get("/products/a1TestPk001/credentials").await.json;
    assert_eq!(credentials, json!({"productKey": "a1TestPk001", "productSecret": "ProductSecret001"}));
    platform.made("/products", r#"{"name":"Clock","productKey":"a1Clock"}"#).await;
    let made = platform.get("/products/a1Clock/credentials").await.json;
    assert!(made["productSecret"].as_str().is_some_and(|secret| secret.len() == 16), "{made}");
    assert_eq!(platform.get("/products/nothing/credentials").await.problem(), "productNotFound");
}

#[tokio::test]
async fn registering_again_is_allowed_for_a_time_and_told_as_an_event() {
    let platform = Platform::with_product().await;
    for path in ["/products/a1TestPk001", "/products/a1TestPk001/devices/lamp-1"] {
        let order = format!("{path}/allow-registration");
        let allowed = platform.made(&order, r#"{"minutes":60}"#).await;
        let until = allowed["registrationAllowedUntil"].clone();
        assert!(until.as_str().is_some_and(|until| until.ends_with('Z')), "{allowed}");
        assert_eq!(platform.get(path).await.json["registrationAllowedUntil"], until);
        let event =
            platform.get("/events?limit=200").await.json["items"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&event["code"], &event["params"]),
            (&json!("registrationAllowed"), &json!({"until": until}))
        );
        assert_eq!(event.get("deviceName").is_some(), path.contains("lamp-1"));
        let ended = platform.made(&order, r#"{"minutes":0}"#).await;
        assert_eq!(ended.get("registrationAllowedUntil"), None);
        for minutes in [-1_i64, 43_201, i64::MAX] {
            let answer = platform.post(&order, &json!({"minutes": minutes}).to_string()).await;
            assert_eq!(
                (answer.status, answer.problem()),
                (StatusCode::UNPROCESSABLE_ENTITY, "minutesInvalid")
            );
        }
    }
    let nobody = "/products/a1TestPk001/devices/nobody/allow-registration";
    assert_eq!(platform.post(nobody, r#"{"minutes":1}"#).await.problem(), "deviceNotFound");
}
