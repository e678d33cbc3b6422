use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use otaru_api::Config;
use serde_json::Value;
use server::{Clock, Server, rollout::Limits};
use tower::ServiceExt;

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// A platform without listeners.
pub(crate) struct Platform {
    pub(crate) router: Router,
    pub(crate) server: Server,
    pub(crate) store: store::Store,
    _folder: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) allow: Option<String>,
    pub(crate) json: Value,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::start_known_as(None).await
    }

    /// With the address at which devices reach it.
    pub(crate) async fn start_known_as(public_url: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = store::Config {
            data: folder.path().join("data"),
            database: "sqlite".into(),
            clock: store::Clock::default(),
        };
        let store = store::Store::open(config).await.unwrap();
        let config = server::Config {
            store: store.clone(),
            public_url,
            limits: Limits::default(),
            sub_devices: 2_000,
            timezone: "UTC".into(),
            keep_events: None,
            clock: Clock::System,
            door_counters: Arc::default(),
            tls: None,
        };
        let server = Server::start(config).await.unwrap();
        let router = otaru_api::router(server.clone(), Config::new(TOKEN));
        Self { router, server, store, _folder: folder }
    }

    /// With a product `a1TestPk001` and, in it, a device `lamp-1`.
    pub(crate) async fn with_product() -> Self {
        Self::start().await.given_product().await
    }

    /// The same, of a platform that has nothing yet.
    pub(crate) async fn given_product(self) -> Self {
        let platform = self;
        platform.made("/products", r#"{"name":"Lamp","productKey":"a1TestPk001"}"#).await;
        platform.made("/products/a1TestPk001/devices", r#"{"deviceName":"lamp-1"}"#).await;
        platform
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_string());
        Answer {
            status: parts.status,
            content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
            allow: header(header::ALLOW),
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, "")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(request(Method::POST, path, body)).await
    }

    /// Posts what must be taken.
    pub(crate) async fn made(&self, path: &str, body: &str) -> Value {
        let answer = self.post(path, body).await;
        assert!(answer.status.is_success(), "{path} {body}: {}", answer.json);
        answer.json
    }

    /// A package of version 2.0.0 that needs no verification.
    pub(crate) async fn package(&self) -> String {
        let path = "/products/a1TestPk001/packages?version=2.0.0&needVerify=false";
        self.made(path, "the file").await["id"].as_str().unwrap().to_string()
    }
}

impl Answer {
    /// The code of what must be a problem, and well-formed.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.content_type, "application/problem+json", "{}", self.json);
        assert_eq!(self.json["status"], self.status.as_u16());
        assert_eq!(self.json["type"], "about:blank");
        assert_eq!(self.json["title"], self.status.canonical_reason().unwrap());
        assert!(self.json["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", self.json);
        assert!(self.json["params"].is_object());
        self.json["code"].as_str().unwrap()
    }
}

/// A request of the administrator; a path of the API, a JSON body unless empty.
pub(crate) fn request(method: Method, path: &str, body: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header(header::HOST, "localhost:8080")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Body::from(body.to_string())).unwrap()
}

/// Sets a header.
pub(crate) fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}
