//! What those who watch over the platform are told.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use otaru_api::{Config, MetricsReaders, Reception};
use tower::ServiceExt;

use crate::common::{Platform, TOKEN};

const PAGE: &str = include_str!("../../../../docs/metrics.md");
const ALERTS: &str = include_str!("../../../../docs/alerts.yml");

async fn ask(router: &axum::Router, request: Request<Body>) -> (StatusCode, String) {
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

async fn get(router: &axum::Router, path: &str) -> (StatusCode, String) {
    ask(router, Request::get(path).body(Body::empty()).unwrap()).await
}

fn metrics(from: &str) -> Request<Body> {
    let peer: SocketAddr = from.parse().unwrap();
    let mut request = Request::get("/metrics").header("host", "localhost:8080").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// The names of the families in an answer.
fn names(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[tokio::test]
async fn a_platform_that_can_work_is_ready_and_one_without_database_says_so() {
    let platform = Platform::start().await;
    assert_eq!(get(&platform.router, "/readyz").await, (StatusCode::OK, "ok\n".into()));
    platform.store.close().await;
    let (status, why) = get(&platform.router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("the database cannot be"), "{why}");
    let json = Request::get("/readyz").header("accept", "application/json").body(Body::empty()).unwrap();
    let (status, problem) = ask(&platform.router, json).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem.contains(r#""code":"databaseUnreadable""#), "{problem}");
    assert_eq!(get(&platform.router, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_was_measured_is_told_by_the_names_of_now() {
    let platform = Platform::start().await;
    let past = loop {
        let past = platform.get("/status/past").await.json;
        if past["points"].as_array().is_some_and(|points| !points.is_empty()) {
            break past;
        }
        tokio::task::yield_now().await;
    };
    let names: Vec<_> = past["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(past["points"][0]["values"].as_array().unwrap().len(), names.len());
    for name in ["otaru_sessions", "otaru_refusals_total", "otaru_commit_duration_seconds_sum"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn a_platform_that_starts_or_stops_is_alive_but_not_ready() {
    let platform = Platform::start().await;
    let reception = Reception::default();
    let router = reception.router();
    let not_up = async |word: &str| {
        assert_eq!(get(&router, "/livez").await.0, StatusCode::OK);
        let (status, why) = get(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(why.contains(word), "{why}");
        let (status, problem) = get(&router, "/api/v1/status").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.contains("notUp"), "{problem}");
    };
    not_up("starting").await;
    reception.open(platform.router.clone());
    assert_eq!(get(&router, "/readyz").await.0, StatusCode::OK);
    assert_eq!(get(&router, "/livez").await.0, StatusCode::OK);
    assert_eq!(get(&router, "/api/v1/status").await.0, StatusCode::FORBIDDEN);
    reception.close();
    not_up("stopping").await;
}

#[tokio::test]
async fn metrics_are_read_from_this_machine_or_with_the_token() {
    let platform = Platform::start().await;
    for from in ["127.0.0.1:5000", "127.9.0.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
        assert_eq!(ask(&platform.router, metrics(from)).await.0, StatusCode::OK, "{from}");
    }
    for from in ["192.168.1.7:5000", "[fe80::1]:5000"] {
        assert_eq!(ask(&platform.router, metrics(from)).await.0, StatusCode::UNAUTHORIZED, "{from}");
        let mut with_token = metrics(from);
        with_token.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        assert_eq!(ask(&platform.router, with_token).await.0, StatusCode::OK, "{from}");
    }
    for header in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
        let mut passed_on = metrics("127.0.0.1:5000");
        passed_on.headers_mut().insert(header, "203.0.113.9".parse().unwrap());
        assert_eq!(ask(&platform.router, passed_on).await.0, StatusCode::UNAUTHORIZED, "{header}");
    }
    let mut rebound = metrics("127.0.0.1:5000");
    rebound.headers_mut().insert("host", "evil.example".parse().unwrap());
    assert_eq!(ask(&platform.router, rebound).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn who_may_read_metrics_can_be_set() {
    let platform = Platform::start().await;
    for (readers, near, far) in [
        (MetricsReaders::Token, StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
        (MetricsReaders::Anyone, StatusCode::OK, StatusCode::OK),
    ] {
        let config = Config::new(TOKEN).metrics_for(readers);
        let router = otaru_api::router(platform.server.clone(), config);
        assert_eq!(ask(&router, metrics("127.0.0.1:5000")).await.0, near, "{readers:?}");
        assert_eq!(ask(&router, metrics("192.168.1.7:5000")).await.0, far, "{readers:?}");
    }
}

#[tokio::test]
async fn what_is_measured_is_what_is_documented() {
    assert!(
        otaru_api::metrics_page() == PAGE,
        "docs/metrics.md is not what is measured; renew it with\n  cargo run -p otaru-api --example metrics"
    );
    let platform = Platform::start().await;
    let (_, text) = ask(&platform.router, metrics("127.0.0.1:5000")).await;
    let documented: BTreeSet<&str> =
        PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let missing: Vec<_> = names(&text).into_iter().filter(|name| !documented.contains(name)).collect();
    assert!(missing.is_empty() && names(&text).len() > 20, "{missing:?}");
}

#[tokio::test]
async fn alerts_speak_of_metrics_that_exist() {
    let platform = Platform::start().await;
    let (_, text) = ask(&platform.router, metrics("127.0.0.1:5000")).await;
    let known = names(&text);
    let words = ALERTS.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let used: BTreeSet<&str> =
        words.filter(|word| word.starts_with("otaru_") || word.starts_with("process_")).collect();
    assert!(used.len() > 10, "{used:?}");
    for name in used {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        assert!(known.contains(name) || family.is_some_and(|family| known.contains(family)), "{name}");
    }
    for reason in ALERTS.split("reason=").skip(1).filter_map(|rest| rest.split('"').nth(1)) {
        for reason in reason.split('|') {
            assert!(text.contains(&format!("reason=\"{reason}\"")), "{reason}");
        }
    }
}
