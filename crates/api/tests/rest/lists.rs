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

    let path = "/products/a1TestPk001/device-secrets?deviceNames=";
    let secrets = platform.get(&format!("{path}lamp-2,nobody,lamp-1,lamp-2")).await.json;
    let names: Vec<_> = secrets["items"].as_array().unwrap().iter().map(|item| &item["deviceName"]).collect();
    assert_eq!(names, ["lamp-1", "lamp-2"]);
    assert_eq!(secrets["items"][1]["deviceSecret"], credentials["deviceSecret"]);
    assert_eq!(secrets["items"][0]["deviceSecret"].as_str().unwrap().len(), 32);
    let many: Vec<String> = (0..101).map(|n| format!("lamp-{n}")).collect();
    assert_eq!(platform.get(&format!("{path}{}", many.join(","))).await.problem(), "deviceNamesInvalid");
}

#[tokio::test]
async fn no_secret_is_in_any_answer_that_is_not_for_it() {
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
async fn events_are_told_from_the_newest_back_to_the_first() {
    let platform = Platform::with_product().await;
    for module in ["MCU", "BLE", "GPS"] {
        platform.made("/products/a1TestPk001/modules", &format!(r#"{{"name":"{module}"}}"#)).await;
    }
    for (which, last) in
        [("", 5), ("&productKey=a1TestPk001", 5), ("&productKey=a1TestPk001&deviceName=lamp-1", 2)]
    {
        let (mut seqs, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = platform.get(&format!("/events?order=desc&limit=2{which}{cursor}")).await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.json);
            seqs.extend(page.json["items"].as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()));
            let Some(next) = page.json["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let first = if last == 2 { 2 } else { 1 };
        assert_eq!(seqs, (first..=last).rev().collect::<Vec<_>>(), "{which}");
    }
    let forwards = platform.get("/events?limit=1").await.json;
    let cursor = forwards["nextCursor"].as_str().unwrap();
    assert_eq!(platform.get(&format!("/events?order=desc&cursor={cursor}")).await.problem(), "badCursor");
    assert_eq!(platform.get("/events?order=down").await.problem(), "badQuery");
}

#[tokio::test]
async fn lists_are_told_with_the_newest_first_too() {
    let platform = Platform::with_product().await;
    let mut packages = Vec::new();
    for version in ["1", "2", "3"] {
        let path = format!("/products/a1TestPk001/packages?version={version}&needVerify=false");
        packages.push(platform.made(&path, "the file").await["id"].clone());
    }
    let mut jobs = Vec::new();
    for package in &packages {
        let scope = serde_json::json!({"kind": "named", "deviceNames": ["lamp-1"]});
        let new = serde_json::json!({"packageId": package, "kind": "STATIC", "scope": scope});
        let job = platform.made("/jobs", &new.to_string()).await["job"]["id"].clone();
        let path = format!("/jobs/{}", job.as_str().unwrap());
        // Its task is made once the job is.
        while platform.get(&path).await.json["busy"] == true {
            tokio::task::yield_now().await;
        }
        jobs.push(job);
    }
    for (list, field, oldest) in [
        ("/packages", "id", &packages),
        ("/jobs", "id", &jobs),
        ("/products/a1TestPk001/devices/lamp-1/tasks", "jobId", &jobs),
    ] {
        let first = platform.get(&format!("{list}?order=desc&limit=2")).await.json;
        let cursor = first["nextCursor"].as_str().unwrap();
        let last = platform.get(&format!("{list}?order=desc&limit=2&cursor={cursor}")).await.json;
        assert_eq!(last.get("nextCursor"), None, "{list}");
        let items = [&first, &last].map(|page| page["items"].as_array().unwrap().clone()).concat();
        let told: Vec<_> = items.iter().map(|item| item[field].clone()).collect();
        assert_eq!(told, oldest.iter().rev().cloned().collect::<Vec<_>>(), "{list}");
        assert_eq!(platform.get(&format!("{list}?cursor={cursor}")).await.problem(), "badCursor", "{list}");
    }
}

/// What two operators change at once is lost by neither.
#[tokio::test]
async fn what_was_changed_meanwhile_is_not_written_over() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    platform.made("/products/a1TestPk001/groups", r#"{"name":"eu","filter":"tag.region = eu"}"#).await;
    let new = format!(
        r#"{{"packageId":"{package}","kind":"STATIC","scope":{{"kind":"named","deviceNames":["lamp-1"]}}}}"#
    );
    let job = platform.made("/jobs", &new).await["job"]["id"].as_str().unwrap().to_owned();
    let change = async |path: &str, body: &str| platform.send(request(Method::PATCH, path, body)).await;
    for (path, first, second, still, now) in [
        (
            "/products/a1TestPk001",
            r#"{"name":"Tram","expected":{"name":"Lamp"}}"#,
            r#"{"name":"Bus","expected":{"name":"Lamp"}}"#,
            r#"{"timezone":"Europe/Berlin","expected":{"timezone":null}}"#,
            serde_json::json!({"name": "Tram"}),
        ),
        (
            "/products/a1TestPk001/groups/eu",
            r#"{"filter":"tag.region = us","expected":{"filter":"tag.region = eu"}}"#,
            r#"{"filter":"tag.region = cn","expected":{"filter":"tag.region = eu"}}"#,
            r#"{"description":"Few","expected":{"description":null}}"#,
            serde_json::json!({"filter": "tag.region = us"}),
        ),
        (
            "/products/a1TestPk001/devices/lamp-1",
            r#"{"tags":{"region":"eu"},"expected":{"tags":{"region":null}}}"#,
            r#"{"tags":{"region":"us"},"expected":{"tags":{"region":null}}}"#,
            r#"{"tags":{"ring":"beta"},"expected":{"tags":{"ring":null}}}"#,
            serde_json::json!({"tags.region": "eu"}),
        ),
        (
            &format!("/jobs/{job}"),
            r#"{"terms":{"attempts":5},"expected":{"terms":{"attempts":3}}}"#,
            r#"{"terms":{"attempts":1},"expected":{"terms":{"attempts":3}}}"#,
            r#"{"timeoutMinutes":60,"expected":{"timeoutMinutes":null}}"#,
            serde_json::json!({"terms.attempts": 5}),
        ),
    ] {
        let answer = change(path, first).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json);
        let before = platform.get(path).await.json;
        let refused = change(path, second).await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::CONFLICT, "changedMeanwhile"), "{path}");
        assert_eq!(refused.json["params"]["now"], now, "{path}");
        assert_eq!(platform.get(path).await.json, before, "{path}");
        assert_eq!(change(path, still).await.status, StatusCode::OK, "{path}");
    }
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
