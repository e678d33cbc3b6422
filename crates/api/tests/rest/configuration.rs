//! Remote configuration.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::common::{Platform, request};

const PATH: &str = "/products/a1TestPk001/configuration";

#[tokio::test]
async fn a_configuration_is_kept_in_versions_and_switched() {
    let platform = Platform::with_product().await;
    assert_eq!(platform.get(PATH).await.json, json!({"enabled": true}));
    let versions = format!("{PATH}/versions");
    let made = platform.post(&versions, r#"{"a": 1}"#).await;
    assert_eq!((made.status, &made.json["version"]), (StatusCode::CREATED, &json!(1)));
    assert!(made.json["id"].as_str().unwrap().starts_with("cfg_"));
    platform.made(&versions, "[2]").await;
    let listed = platform.get(&format!("{versions}?limit=1")).await.json;
    assert_eq!(listed["items"][0]["version"], 1);
    let cursor = listed["nextCursor"].as_str().unwrap();
    let listed = platform.get(&format!("{versions}?cursor={cursor}")).await.json;
    assert_eq!((listed["items"][0]["version"].clone(), &listed["nextCursor"]), (json!(2), &json!(null)));
    let file = platform.get(&format!("{versions}/1/file")).await;
    assert_eq!((&*file.content_type, &file.json), ("application/json", &json!({"a": 1})));

    let off = platform.send(request(Method::PATCH, PATH, r#"{"enabled":false}"#)).await;
    assert_eq!((&off.json["enabled"], &off.json["present"]["version"]), (&json!(false), &json!(2)));
    assert_eq!(platform.get(&format!("{PATH}/devices")).await.json, json!({"items": []}));
    let events = platform.get("/events?productKey=a1TestPk001").await.json;
    let codes: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["code"]).collect();
    assert_eq!(codes[2..], ["configurationCreated", "configurationCreated", "configurationEnabled"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_told() {
    let platform = Platform::with_product().await;
    let versions = format!("{PATH}/versions");
    let large = format!("\"{}\"", "x".repeat(70_000));
    for (path, body, status, code) in [
        (&*versions, "{", StatusCode::UNPROCESSABLE_ENTITY, "configurationInvalid"),
        (&versions, &large, StatusCode::UNPROCESSABLE_ENTITY, "configurationTooLarge"),
        ("/products/none/configuration/versions", "{}", StatusCode::NOT_FOUND, "productNotFound"),
        (&format!("{PATH}/push"), r#"{"all":true}"#, StatusCode::CONFLICT, "publicUrlUnset"),
        (&format!("{PATH}/push"), r#"{"deviceNames":["lamp1"]}"#, StatusCode::CONFLICT, "publicUrlUnset"),
        (
            &format!("{PATH}/push"),
            r#"{"deviceNames":[]}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
            "deviceNamesInvalid",
        ),
        (&format!("{PATH}/push"), r#"{"everybody":true}"#, StatusCode::UNPROCESSABLE_ENTITY, "badField"),
    ] {
        let answer = platform.post(path, body).await;
        assert_eq!((answer.status, answer.problem()), (status, code), "{path} {body:.40}");
    }
    // Nobody tells a whole product of anything by leaving something out.
    for body in
        ["{}", r#"{"deviceNames":null}"#, r#"{"all":false}"#, r#"{"all":true,"deviceNames":["lamp1"]}"#]
    {
        let answer = platform.post(&format!("{PATH}/push"), body).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (StatusCode::UNPROCESSABLE_ENTITY, "pushUnaddressed"),
            "{body}"
        );
    }
    let answer = platform.get(&format!("{versions}/1/file")).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::NOT_FOUND, "configurationNotFound"));
    let answer = platform.get(&format!("{versions}/x/file")).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::BAD_REQUEST, "badPath"));
}

#[tokio::test]
async fn a_byte_order_mark_is_refused_by_its_name() {
    let platform = Platform::with_product().await;
    let answer = platform.post(&format!("{PATH}/versions"), "\u{feff}{}").await;
    assert_eq!(answer.problem(), "configurationInvalid");
    assert!(answer.json["detail"].as_str().unwrap().contains("byte-order mark"), "{}", answer.json);
}

#[tokio::test]
async fn a_push_warns_of_an_address_that_leads_devices_to_themselves() {
    for (url, code) in
        [("http://127.0.0.1:1883", json!("publicUrlLoopback")), ("http://otaru.example:1883", json!(null))]
    {
        let platform = Platform::start_known_as(Some(url.into())).await.given_product().await;
        platform.made(&format!("{PATH}/versions"), "{}").await;
        for whom in [r#"{"all":true}"#, r#"{"deviceNames":["lamp-1"]}"#] {
            let pushed = platform.made(&format!("{PATH}/push"), whom).await;
            assert_eq!((&pushed["version"], &pushed["warnings"][0]["code"]), (&json!(1), &code), "{url}");
        }
    }
}
