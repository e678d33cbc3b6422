//! Tags of devices, one by one and many at once.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Answer, Platform, request, with};

const DEVICE: &str = "/products/a1TestPk001/devices/lamp-1";
const MANY: &str = "/products/a1TestPk001/device-tags";

async fn patch(platform: &Platform, body: &str) -> Answer {
    platform.send(request(Method::PATCH, DEVICE, body)).await
}

async fn codes(platform: &Platform) -> Vec<Value> {
    let events = platform.get("/events?productKey=a1TestPk001&deviceName=lamp-1").await;
    events.json["items"].as_array().unwrap().iter().map(|event| event["code"].clone()).collect()
}

#[tokio::test]
async fn a_device_keeps_the_tags_that_are_not_named() {
    let platform = Platform::with_product().await;
    let set = patch(&platform, r#"{"tags":{"region":"eu","timezone":"Europe/Berlin"}}"#).await;
    assert_eq!(set.json["tags"], json!({"region": "eu", "timezone": "Europe/Berlin"}));
    let changed = patch(&platform, r#"{"tags":{"region":null,"ring":"beta"}}"#).await;
    assert_eq!(changed.json["tags"], json!({"ring": "beta", "timezone": "Europe/Berlin"}));
    assert_eq!(platform.get(DEVICE).await.json["tags"], changed.json["tags"]);
    patch(&platform, r#"{"tags":{"ring":"beta","region":null}}"#).await;
    assert_eq!(codes(&platform).await, ["deviceCreated", "deviceTags", "deviceTags"]);
}

#[tokio::test]
async fn a_wrong_tag_changes_nothing() {
    let platform = Platform::with_product().await;
    for (body, code) in [
        (r#"{"enabled":false,"tags":{"a":"x","b c":"x"}}"#, "tagNameInvalid"),
        (r#"{"enabled":false,"tags":{"a":"x","b":""}}"#, "tagValueInvalid"),
        (r#"{"enabled":false,"tags":{"a":"x","timezone":"Berlin"}}"#, "timeZoneUnknown"),
    ] {
        let answer = patch(&platform, body).await;
        assert_eq!((answer.status, answer.problem()), (StatusCode::UNPROCESSABLE_ENTITY, code));
    }
    let device = platform.get(DEVICE).await.json;
    assert_eq!((&device["tags"], &device["enabled"]), (&json!({}), &json!(true)));
    let nobody = request(Method::PATCH, "/products/a1TestPk001/devices/lamp-9", r#"{"tags":{"a":"x"}}"#);
    assert_eq!(platform.send(nobody).await.problem(), "deviceNotFound");
}

#[tokio::test]
async fn many_are_tagged_at_once_and_a_wrong_line_is_told() {
    let platform = Platform::with_product().await;
    let names: Vec<_> = (0..600).map(|n| json!({"deviceName": format!("tram-{n:03}")})).collect();
    platform.made("/products/a1TestPk001/import-devices", &Value::from(names).to_string()).await;
    let all: Vec<_> = (0..600).map(|n| format!("tram-{n:03}")).chain(["nobody".into()]).collect();
    let body = json!({"deviceNames": all, "tags": {"region": "eu"}}).to_string();
    let done = platform.made(MANY, &body).await;
    assert_eq!((&done["changed"], &done["unchanged"]), (&json!(600), &json!(0)));
    let refused = &done["refused"][0];
    assert_eq!((&refused["line"], &refused["problem"]["code"]), (&json!(601), &json!("deviceNotFound")));
    assert_eq!(platform.made(MANY, &body).await["unchanged"], 600);

    let csv = "deviceName,region,timezone\nlamp-1,us,\ntram-000,,Mars/North\ntram-001,,Asia/Shanghai\n";
    let sent = with(request(Method::POST, MANY, csv), "content-type", "text/csv");
    let done = platform.send(sent).await.json;
    assert_eq!((&done["changed"], &done["refused"][0]["line"]), (&json!(2), &json!(3)));
    let tags = platform.get("/products/a1TestPk001/devices/tram-001").await.json["tags"].clone();
    assert_eq!(tags, json!({"region": "eu", "timezone": "Asia/Shanghai"}));
    let sent = with(request(Method::POST, MANY, "lamp-1,us\n"), "content-type", "text/csv");
    assert_eq!(platform.send(sent).await.problem(), "csvInvalid");
}
