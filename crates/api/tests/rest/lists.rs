//! Lists in pages, what is in them, and imports.

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::common::{Platform, request, with};

/// All items of a list, with how many each page had.
async fn pages(platform: &Platform, path: &str, limit: usize) -> (Vec<Value>, Vec<usize>) {
    let (mut items, mut lengths, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = platform.get(&format!("{path}?limit={limit}{cursor}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.json);
        let found = page.json["items"].as_array().unwrap();
        lengths.push(found.len());
        items.extend(found.clone());
        let Some(next) = page.json["nextCursor"].as_str() else { return (items, lengths) };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let platform = Platform::start().await;
    for n in 0..7 {
        platform.made("/products", &format!(r#"{{"name":"Lamp {n}"}}"#)).await;
    }
    let (items, lengths) = pages(&platform, "/products", 3).await;
    assert_eq!(lengths, [3, 3, 1]);
    let names: Vec<_> = items.iter().map(|product| product["name"].as_str().unwrap()).collect();
    assert_eq!(names, (0..7).map(|n| format!("Lamp {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn devices_are_listed_by_name_and_a_cursor_stays_in_its_list() {
    let platform = Platform::with_product().await;
    let names = r#"[{"deviceName":"lamp-3"},{"deviceName":"lamp-2"},{"deviceName":"tram-1"}]"#;
    platform.made("/products/a1TestPk001/import-devices", names).await;
    let (items, lengths) = pages(&platform, "/products/a1TestPk001/devices", 2).await;
    assert_eq!(lengths, [2, 2]);
    let names: Vec<_> = items.iter().map(|device| device["deviceName"].as_str().unwrap()).collect();
    assert_eq!(names, ["lamp-1", "lamp-2", "lamp-3", "tram-1"]);

    let trams = platform.get("/products/a1TestPk001/devices?prefix=tram&online=false").await;
    assert_eq!(trams.json["items"].as_array().unwrap().len(), 1);

    let page = platform.get("/products/a1TestPk001/devices?limit=1").await;
    let cursor = page.json["nextCursor"].as_str().unwrap();
    assert_eq!(platform.get(&format!("/packages?cursor={cursor}")).await.problem(), "badCursor");
}

#[tokio::test]
async fn an_import_tells_of_each_line() {
    let platform = Platform::with_product().await;
    let csv =
        "deviceName,deviceSecret\r\nlamp-1,\nlamp-2,0123456789abcdef0123456789abcdef\na b,\n\nlamp-2,\n";
    let path = "/products/a1TestPk001/import-devices";
    let answer = platform.send(with(request(Method::POST, path, csv), "content-type", "text/csv")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert_eq!((&answer.json["created"], &answer.json["refused"]), (&1.into(), &3.into()));
    let results = answer.json["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["deviceName"].as_str().unwrap()).collect();
    assert_eq!(names, ["lamp-1", "lamp-2", "a b", "lamp-2"]);
    let lines: Vec<_> = results.iter().map(|result| result["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 6]);
    let statuses: Vec<_> = results.iter().map(|result| result["problem"]["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(409), None, Some(422), Some(409)]);

    let credentials = platform.get("/products/a1TestPk001/devices/lamp-2/credentials").await.json;
    assert_eq!(credentials["deviceSecret"], "0123456789abcdef0123456789abcdef");
    assert_eq!(credentials["logins"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn no_secret_is_in_any_answer_but_credentials() {
    let platform = Platform::with_product().await;
    let secret = "5ecretsecretsecretsecretsecret00";
    let made = platform
        .made(
            "/products/a1TestPk001/devices",
            &format!(r#"{{"deviceName":"lamp-9","deviceSecret":"{secret}"}}"#),
        )
        .await;
    assert!(!made.to_string().contains(secret));
    for path in
        ["/products/a1TestPk001/devices", "/products/a1TestPk001/devices/lamp-9", "/events", "/status"]
    {
        assert!(!platform.get(path).await.json.to_string().contains(secret), "{path}");
    }
}

#[tokio::test]
async fn events_tell_what_was_ordered_and_go_on_from_a_cursor() {
    let platform = Platform::with_product().await;
    let events = platform.get("/events").await.json;
    let codes: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["productCreated", "deviceCreated"]);
    assert_eq!(events["items"][1]["deviceName"], "lamp-1");

    let cursor = events["nextCursor"].as_str().unwrap();
    let since = format!("/events?cursor={cursor}");
    assert_eq!(platform.get(&since).await.json["items"].as_array().unwrap().len(), 0);
    platform.made("/products/a1TestPk001/modules", r#"{"name":"MCU"}"#).await;
    let later = platform.get(&since).await.json;
    assert_eq!(later["items"][0]["code"], "moduleCreated");
    assert_eq!(later["items"][0]["params"]["module"], "MCU");
}

#[tokio::test]
async fn things_are_changed_and_removed() {
    let platform = Platform::with_product().await;
    let change = r#"{"name":"Tram","settleSeconds":5,"graceSeconds":0}"#;
    let changed = platform.send(request(Method::PATCH, "/products/a1TestPk001", change)).await.json;
    assert_eq!((&changed["name"], &changed["settleSeconds"]), (&"Tram".into(), &5.into()));
    assert_eq!(platform.get("/products/a1TestPk001").await.json, changed);

    let device = "/products/a1TestPk001/devices/lamp-1";
    let disabled = platform.send(request(Method::PATCH, device, r#"{"enabled":false}"#)).await.json;
    assert_eq!(disabled["enabled"], false);
    platform.made("/products/a1TestPk001/modules", r#"{"name":"MCU"}"#).await;
    for path in ["/products/a1TestPk001/modules/MCU", device, "/products/a1TestPk001"] {
        let removed = platform.send(request(Method::DELETE, path, "")).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{path}: {}", removed.json);
        assert_eq!(
            platform.send(request(Method::DELETE, path, "")).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_device_may_be_called_like_an_order() {
    let platform = Platform::with_product().await;
    for name in ["import", "cancel-tasks", "import-devices", "tasks"] {
        platform.made("/products/a1TestPk001/devices", &format!(r#"{{"deviceName":"{name}"}}"#)).await;
        let path = format!("/products/a1TestPk001/devices/{name}");
        assert_eq!(platform.get(&path).await.json["deviceName"], name);
        let gone = platform.send(request(Method::DELETE, &path, "")).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{name}: {}", gone.json);
    }
}
