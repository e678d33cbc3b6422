//! Windows, zones and byte budgets as they are written in JSON.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::common::{Platform, request};

fn job(package: &str, terms: &serde_json::Value) -> String {
    let scope = json!({"kind": "named", "deviceNames": ["lamp-1"]});
    json!({"packageId": package, "kind": "STATIC", "scope": scope, "terms": terms}).to_string()
}

#[tokio::test]
async fn a_job_tells_its_windows_and_its_budget_as_they_were_given() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    let windows = json!([
        {"days": ["mon", "tue"], "from": "22:00", "to": "04:00"},
        {"days": ["sat"], "from": "00:00", "to": "24:00"},
    ]);
    let terms = json!({"windows": windows, "maxMbitPerSecond": 1.5});
    let made = platform.made("/jobs", &job(&package, &terms)).await;
    let told = &made["job"]["terms"];
    assert_eq!((&told["windows"], &told["maxMbitPerSecond"]), (&windows, &json!(1.5)));
    for (terms, code) in [
        (json!({"windows": [{"from": "22", "to": "04:00"}]}), "windowsInvalid"),
        (json!({"windows": [{"from": "22:00", "to": "22:00"}]}), "windowsInvalid"),
        (json!({"windows": [{"days": ["monday"], "from": "22:00", "to": "04:00"}]}), "badField"),
        (json!({"maxMbitPerSecond": 0.0001}), "numberInvalid"),
    ] {
        let answer = platform.post("/jobs", &job(&package, &terms)).await;
        let told = (answer.status, answer.problem());
        assert_eq!(told, (StatusCode::UNPROCESSABLE_ENTITY, code), "{terms}: {}", answer.json);
    }
}

#[tokio::test]
async fn a_products_zone_is_set_and_taken_away() {
    let platform = Platform::with_product().await;
    let path = "/products/a1TestPk001";
    let change = async |body: &str| platform.send(request(Method::PATCH, path, body)).await;
    assert_eq!(platform.get(path).await.json.get("timezone"), None);
    assert_eq!(change(r#"{"timezone":"europe/berlin"}"#).await.json["timezone"], "Europe/Berlin");
    assert_eq!(change(r#"{"name":"Lamp 2"}"#).await.json["timezone"], "Europe/Berlin", "as it was");
    let answer = change(r#"{"timezone":"CEST"}"#).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "timeZoneUnknown"));
    assert_eq!(answer.json["params"], json!({"field": "timezone", "value": "CEST"}));
    assert_eq!(change(r#"{"timezone":null}"#).await.json.get("timezone"), None);
    let new = r#"{"name":"Clock","productKey":"a1Clock","timezone":"Asia/Tokyo"}"#;
    assert_eq!(platform.made("/products", new).await["timezone"], "Asia/Tokyo");
}
