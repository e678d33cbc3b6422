//! Wrong input, at every endpoint: each gets a problem that names what is wrong.

use axum::http::{Method, StatusCode};

use crate::common::{Platform, request, with};

const PK: &str = "/products/a1TestPk001";

#[tokio::test]
async fn wrong_paths_and_methods_are_told() {
    let platform = Platform::start().await;
    for path in ["", "/", "/nothing", "/products/a/b/c"] {
        let answer = platform.get(path).await;
        assert_eq!((answer.status, answer.problem()), (StatusCode::NOT_FOUND, "noSuchPath"), "{path}");
    }
    for (method, path) in [
        (Method::DELETE, "/products"),
        (Method::PUT, "/products/a1TestPk001"),
        (Method::GET, "/products/a1TestPk001/import-devices"),
        (Method::GET, "/jobs/job_0000000000000/cancel"),
        (Method::POST, "/status"),
        (Method::POST, "/openapi.json"),
    ] {
        let answer = platform.send(request(method.clone(), path, "")).await;
        let told = (answer.status, answer.problem());
        assert_eq!(told, (StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed"), "{method} {path}");
        assert!(answer.allow.is_some_and(|allowed| !allowed.contains(method.as_str())), "{method} {path}");
    }
}

/// Bodies that no order takes, and what is told of each: status, code, field.
#[tokio::test]
async fn a_wrong_body_is_told_by_its_field() {
    let platform = Platform::with_product().await;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    for (path, body, status, code, field) in [
        ("/products", "{", StatusCode::BAD_REQUEST, "badJson", None),
        ("/products", r#"{"name":"x"} y"#, StatusCode::BAD_REQUEST, "badJson", None),
        ("/products", "[]", unprocessable, "badField", Some(".")),
        ("/products", r#"{"name":7}"#, unprocessable, "badField", Some("name")),
        ("/products", r#"{"nam":"x"}"#, unprocessable, "badField", Some("nam")),
        ("/products", r#"{}"#, unprocessable, "badField", Some(".")),
        (
            "/products/a1TestPk001/devices",
            r#"{"deviceSecret":[]}"#,
            unprocessable,
            "badField",
            Some("deviceSecret"),
        ),
        (
            "/products/a1TestPk001/import-devices",
            r#"[{},{"deviceName":1}]"#,
            unprocessable,
            "badField",
            Some("[1].deviceName"),
        ),
        ("/products/a1TestPk001/modules", r#"{"name":null}"#, unprocessable, "badField", Some("name")),
        (
            "/jobs",
            r#"{"packageId":"pkg_0000000000000","kind":"STATIC","scope":{"kind":"some"}}"#,
            unprocessable,
            "badField",
            Some("scope.kind"),
        ),
        (
            "/jobs",
            r#"{"packageId":"pkg_0000000000000","kind":"BIG","scope":{"kind":"all"}}"#,
            unprocessable,
            "badField",
            Some("kind"),
        ),
    ] {
        let answer = platform.post(path, body).await;
        assert_eq!((answer.status, answer.problem()), (status, code), "{body}: {}", answer.json);
        if let Some(field) = field {
            assert_eq!(answer.json["params"]["field"], field, "{body}");
        }
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json_and_be_short() {
    let platform = Platform::with_product().await;
    let text = with(request(Method::POST, "/products", r#"{"name":"x"}"#), "content-type", "text/plain");
    let answer = platform.send(text).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "notJson"));

    let charset = with(
        request(Method::POST, "/products", r#"{"name":"x"}"#),
        "content-type",
        "Application/JSON; charset=utf-8",
    );
    assert_eq!(platform.send(charset).await.status, StatusCode::CREATED);

    let list =
        with(request(Method::POST, &format!("{PK}/import-devices"), "a"), "content-type", "text/plain");
    assert_eq!(platform.send(list).await.problem(), "notADeviceList");

    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    let answer = platform.post("/products", &long).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::PAYLOAD_TOO_LARGE, "bodyTooLarge"));
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let platform = Platform::with_product().await;
    let everywhere = [
        (Method::GET, "/products/nobody"),
        (Method::DELETE, "/products/nobody"),
        (Method::GET, "/products/nobody/devices"),
        (Method::GET, "/products/nobody/modules"),
        (Method::GET, "/products/a1TestPk001/devices/nobody"),
        (Method::DELETE, "/products/a1TestPk001/devices/nobody"),
        (Method::GET, "/products/a1TestPk001/devices/nobody/credentials"),
        (Method::GET, "/products/a1TestPk001/devices/nobody/tasks"),
        (Method::GET, "/products/nobody/device-secrets?deviceNames=lamp-1"),
        (Method::DELETE, "/products/a1TestPk001/modules/nothing"),
        (Method::GET, "/packages?productKey=nobody"),
        (Method::GET, "/packages/pkg_0000000000001"),
        (Method::DELETE, "/packages/pkg_0000000000001"),
        (Method::GET, "/jobs?productKey=nobody"),
        (Method::GET, "/jobs/job_0000000000001"),
        (Method::POST, "/jobs/job_0000000000001/cancel"),
        (Method::POST, "/jobs/job_0000000000001/re-upgrade"),
        (Method::GET, "/jobs/job_0000000000001/tasks"),
        (Method::GET, "/tasks/tsk_0000000000001"),
        (Method::POST, "/tasks/tsk_0000000000001/cancel"),
        (Method::POST, "/tasks/tsk_0000000000001/re-upgrade"),
        (Method::GET, "/events?productKey=nobody"),
        (Method::GET, "/events?productKey=a1TestPk001&deviceName=nobody"),
    ];
    for (method, path) in everywhere {
        let answer = platform.send(request(method.clone(), path, "")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.json);
        assert!(answer.problem().ends_with("NotFound"), "{method} {path}: {}", answer.json);
    }
    for (method, path, body) in [
        (Method::PATCH, "/products/nobody", "{}"),
        (Method::POST, "/products/nobody/devices", "{}"),
        (Method::POST, "/products/nobody/import-devices", "[{}]"),
        (Method::PATCH, "/products/a1TestPk001/devices/nobody", r#"{"enabled":false}"#),
        (Method::POST, "/products/nobody/modules", r#"{"name":"MCU"}"#),
        (Method::POST, "/products/nobody/packages?version=1", "x"),
        (
            Method::POST,
            "/jobs",
            r#"{"packageId":"pkg_0000000000001","kind":"STATIC","scope":{"kind":"all"}}"#,
        ),
    ] {
        let answer = platform.send(request(method.clone(), path, body)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.json);
        answer.problem();
    }
}

#[tokio::test]
async fn a_text_that_is_no_id_is_told_with_an_example() {
    let platform = Platform::start().await;
    for path in [
        "/packages/7",
        "/packages/job_0000000000001",
        "/jobs/pkg_0000000000001",
        "/jobs/job_1/tasks",
        "/tasks/tsk_",
        "/jobs?packageId=x",
        "/events?jobId=x",
        "/events?taskId=job_0000000000001",
    ] {
        let answer = platform.get(path).await;
        assert_eq!((answer.status, answer.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "badId"), "{path}");
        assert!(answer.json["detail"].as_str().unwrap().contains("_0000000000000"), "{}", answer.json);
    }
    let body = r#"{"packageId":"x","kind":"STATIC","scope":{"kind":"all"}}"#;
    assert_eq!(platform.post("/jobs", body).await.problem(), "badId");
}

#[tokio::test]
async fn a_wrong_query_is_told_by_its_parameter() {
    let platform = Platform::with_product().await;
    for (path, code, word) in [
        ("/products?limit=x", "badQuery", "limit"),
        ("/products?limit=0", "badLimit", "limit=0"),
        ("/jobs?limit=201", "badLimit", "200"),
        ("/products?colour=red", "badQuery", "colour"),
        ("/products?cursor=x", "badCursor", "nextCursor"),
        ("/products/a1TestPk001/devices?online=maybe", "badQuery", "online"),
        ("/jobs?productKey=a1TestPk001&packageId=pkg_0000000000001", "filtersExclusive", "packageId"),
        ("/jobs/job_0000000000001/tasks?state=GOOD", "badQuery", "state"),
        ("/events?deviceName=lamp-1", "filtersExclusive", "deviceName"),
    ] {
        let answer = platform.get(path).await;
        assert_eq!(answer.problem(), code, "{path}");
        assert!(answer.json["detail"].as_str().unwrap().contains(word), "{path}: {}", answer.json);
    }
    for (query, word) in [
        ("", "version"),
        ("?version=1&signMethod=sha1", "signMethod"),
        ("?version=1&needVerify=perhaps", "needVerify"),
    ] {
        let answer = platform.post(&format!("{PK}/packages{query}"), "x").await;
        assert_eq!(answer.problem(), "badQuery", "{query}");
        assert!(answer.json["detail"].as_str().unwrap().contains(word), "{query}: {}", answer.json);
    }
}

#[tokio::test]
async fn values_that_are_not_allowed_are_told() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    for (path, body) in [
        ("/products".to_string(), r#"{"name":""}"#.to_string()),
        ("/products".into(), r#"{"name":"x","productKey":"not a key"}"#.into()),
        (format!("{PK}/devices"), r#"{"deviceName":"a b"}"#.into()),
        (format!("{PK}/devices"), r#"{"deviceName":"lamp-2","deviceSecret":""}"#.into()),
        (format!("{PK}/modules"), r#"{"name":"a/b"}"#.into()),
        (format!("{PK}/packages?version="), "x".into()),
        (format!("{PK}/packages?version=3"), String::new()),
        ("/jobs".into(), job(&package, r#"{"kind":"percent","percent":0}"#)),
        ("/jobs".into(), job(&package, r#"{"kind":"percent","percent":101}"#)),
        ("/jobs".into(), job(&package, r#"{"kind":"named","deviceNames":[]}"#)),
    ] {
        let answer = platform.post(&path, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}: {}", answer.json);
        answer.problem();
    }
}

#[tokio::test]
async fn what_the_present_state_does_not_allow_is_a_conflict() {
    let platform = Platform::with_product().await;
    let package = platform.package().await;
    platform.made("/jobs", &job(&package, r#"{"kind":"named","deviceNames":["lamp-1"]}"#)).await;
    for (method, path, body) in [
        (Method::POST, "/products".to_string(), r#"{"name":"x","productKey":"a1TestPk001"}"#.to_string()),
        (Method::POST, format!("{PK}/devices"), r#"{"deviceName":"lamp-1"}"#.into()),
        (Method::POST, format!("{PK}/modules"), r#"{"name":"default"}"#.into()),
        (Method::DELETE, PK.into(), String::new()),
        (Method::DELETE, format!("/packages/{package}"), String::new()),
        (Method::POST, "/jobs".into(), job(&package, r#"{"kind":"all"}"#)),
    ] {
        let answer = platform.send(request(method.clone(), &path, &body)).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{method} {path} {body}: {}", answer.json);
        answer.problem();
    }
}

fn job(package: &str, scope: &str) -> String {
    format!(r#"{{"packageId":"{package}","kind":"STATIC","scope":{scope}}}"#)
}

#[tokio::test]
async fn a_nul_is_told_wherever_it_hides() {
    let platform = Platform::with_product().await;
    for path in [
        "/products/a1%00b",
        "/products/a1TestPk001/devices?prefix=%00",
        "/jobs?productKey=%00",
        "/events?cursor=%00",
    ] {
        let answer = platform.get(path).await;
        assert_eq!((answer.status, answer.problem()), (StatusCode::BAD_REQUEST, "nulInAddress"), "{path}");
    }
    let cursor = "/products/a1TestPk001/devices?cursor=AWEAYg";
    assert_eq!(platform.get(cursor).await.problem(), "badCursor");
    for (body, code) in [(r#"{"name":"a\u0000b"}"#, "nulInText"), (r#"{"name":"a\\u0000b"}"#, "")] {
        let answer = platform
            .send(with(request(Method::POST, "/products", body), "content-type", "application/json"))
            .await;
        assert_eq!(answer.json["code"].as_str().unwrap_or_default(), code, "{body}");
    }
}

/// Leaving the certificate out takes none away.
#[tokio::test]
async fn a_certificate_is_taken_away_by_null_only() {
    let platform = Platform::with_product().await;
    let path = format!("{PK}/devices/lamp-1/certificate");
    let put = |body: String| platform.send(request(Method::PUT, &path, &body));
    let sha256 = "0a".repeat(32);
    assert_eq!(put(format!(r#"{{"sha256":"{sha256}"}}"#)).await.status, StatusCode::OK);
    let answer = put("{}".into()).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "badField"));
    assert_eq!(platform.get(&path).await.json["sha256"], sha256);
    assert_eq!(put(r#"{"sha256":null}"#.into()).await.status, StatusCode::OK);
    assert_eq!(platform.get(&path).await.json["sha256"], serde_json::Value::Null);
}
