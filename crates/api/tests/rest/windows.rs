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
async fn minutes_out_of_range_are_refused_before_a_job_is_made() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    let (week, year) = (7 * 24 * 60, 365 * 24 * 60);
    for (field, least, most) in [
        ("lostAfterMinutes", 0, year),
        ("soakMinutes", 0, year),
        ("maxWaitMinutes", 0, year),
        ("retryIntervalMinutes", 0, week),
        ("startTimeoutMinutes", 0, week),
        ("timeoutMinutes", 1, week),
    ] {
        let order = |minutes: i64| {
            let waves = json!([{"kind": "count", "n": 1}, {"kind": "percent", "percent": 100}]);
            let terms = match field {
                "soakMinutes" | "maxWaitMinutes" => json!({"waves": waves}),
                "timeoutMinutes" => json!({"attempts": 1}),
                _ => json!({}),
            };
            let mut body: serde_json::Value = serde_json::from_str(&job(&package, &terms)).unwrap();
            let place = if field == "timeoutMinutes" { &mut body } else { &mut body["terms"] };
            place[field] = minutes.into();
            body.to_string()
        };
        for wrong in [i64::MIN, -1, least - 1, most + 1, 1_000_000_000_000, i64::MAX] {
            let answer = platform.post("/jobs", &order(wrong)).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {wrong}: {}", answer.json);
            let params = &answer.json["params"];
            assert_eq!((&params["field"], &params["most"]), (&field.into(), &most.into()), "{}", answer.json);
            // What is no number of milliseconds is told as the nearest one that is.
            let told =
                if wrong.checked_mul(60_000).is_some() { wrong.into() } else { params["value"].clone() };
            assert_eq!(params["value"], told);
            let text = answer.json["detail"].as_str().unwrap();
            assert!(text.contains(&format!("{field} {told} is not allowed: {least} to {most}")), "{text}");
        }
        for right in [least, if field == "soakMinutes" { 1 } else { most }] {
            let answer = platform.post("/jobs/dry-run", &order(right)).await;
            assert_eq!(answer.status, StatusCode::OK, "{field} {right}: {}", answer.json);
        }
    }
    assert_eq!(platform.get("/jobs").await.json["items"], json!([]));
    let one = json!({"retryIntervalMinutes": i64::MAX});
    assert_eq!(platform.post("/jobs", &job(&package, &one)).await.problem(), "retryIntervalInvalid");
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
