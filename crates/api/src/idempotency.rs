//! Orders that are carried out once, however often they are sent.
//!
//! Only answers of orders that were carried out are remembered: one that was refused changed nothing and may be
//! sent again. An order with a key is carried out even if the one who sent it goes away meanwhile. Its answer is
//! remembered right after it, in a transaction of its own: if the node dies between the two, a repetition is carried
//! out again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::extract::{MAX_IMPORT, collect};
use crate::routes::Api;
use crate::{Problem, routes};

/// The header.
pub(crate) const HEADER: &str = "idempotency-key";

const MAX_KEY: usize = 128;

/// The keys of the orders under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Arc<Mutex<HashSet<String>>>);

/// A key that nobody else may use until it is dropped.
pub(crate) struct Claim {
    keys: Keys,
    key: String,
}

impl Keys {
    /// Claims the key of a request, if it has one.
    pub(crate) fn claim(&self, headers: &HeaderMap) -> Result<Option<Claim>, Problem> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let key = value.to_str().ok().filter(|key| (1..=MAX_KEY).contains(&key.len())).ok_or_else(|| {
            let detail =
                format!("Idempotency-Key must have 1 to {MAX_KEY} ASCII characters, best a random UUID");
            Problem::bad_request("badIdempotencyKey", detail)
        })?;
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.into()) {
            let detail = format!(
                "an order with the Idempotency-Key `{key}` is still being carried out; ask again soon"
            );
            return Err(Problem::new(StatusCode::CONFLICT, "idempotencyKeyInUse", detail).with("key", key));
        }
        Ok(Some(Claim { keys: self.clone(), key: key.into() }))
    }
}

impl Claim {
    /// The answer that was given to this very request before.
    pub(crate) async fn answered(&self, api: &Api, hash: &str) -> Result<Option<Response>, Problem> {
        let stored = api.server.answered(&self.key, hash).await?;
        // As `remember` wrote it: the status, a blank, the body.
        let answer = stored.as_deref().and_then(|text| text.split_once(' '));
        Ok(answer.map(|(status, body)| {
            respond(status.parse().unwrap_or(200), Bytes::copy_from_slice(body.as_bytes()))
        }))
    }

    /// Carries out the order of the key.
    pub(crate) async fn carry_out<T>(&self, hash: &str, order: impl Future<Output = T>) -> T {
        server::under_key(&self.key, hash, order).await
    }

    /// Remembers the answer, and gives it. The order is done: it is answered even if it cannot be remembered.
    pub(crate) async fn remember(
        &self,
        api: &Api,
        hash: &str,
        answer: Response,
    ) -> Result<Response, Problem> {
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = collect(answer.into_body(), usize::MAX).await?;
        let text = format!("{status} {}", String::from_utf8_lossy(&body));
        if let Err(error) = api.server.remember(&self.key, hash, text).await {
            tracing::error!(%error, key = self.key, "an answer could not be remembered");
        }
        Ok(respond(status, body))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// What tells requests apart: method, path, query and body.
pub(crate) fn fingerprint(request: &axum::http::request::Parts) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(format!("{} {}\n", request.method, request.uri));
    hash
}

/// The fingerprint as text.
pub(crate) fn finish(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Carries out a POST with an `Idempotency-Key` once.
pub(crate) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    match api.keys.claim(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(claim)) => routes::to_the_end(carry_out(api, claim, request, next)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn carry_out(api: Api, claim: Claim, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = collect(body, MAX_IMPORT).await?;
    let hash = finish(fingerprint(&parts).chain_update(&body));
    if let Some(answer) = claim.answered(&api, &hash).await? {
        return Ok(answer);
    }
    let answer = claim.carry_out(&hash, next.run(Request::from_parts(parts, Body::from(body)))).await;
    claim.remember(&api, &hash, answer).await
}

fn respond(status: u16, body: Bytes) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut answer = (status, body).into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
