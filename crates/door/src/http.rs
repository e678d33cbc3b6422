//! The HTTP file door (docs/protocol.md 7): `GET`, whole files or one range, always with
//! `Content-Length`, never chunked, compressed or redirected.

mod body;
mod patient;
pub(crate) mod range;

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use crate::counters::count;
use crate::serve::Door;
use crate::turned::Why;
use crate::{Blob, FileRefusal, Platform};
use body::FileBody;
use patient::Patient;
use range::Range;

/// Longest request head in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Serves HTTP requests on a connection until it ends; the first one's head must be whole by
/// `deadline`.
pub(crate) async fn serve<P, S>(door: Arc<Door<P>>, stream: S, peer: SocketAddr, deadline: Instant)
where
    P: Platform,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = &door.config;
    let io = Patient::new(stream, config.write_timeout);
    let is_asked = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        is_asked.store(true, Ordering::Relaxed);
        let door = door.clone();
        async move { Ok::<_, Infallible>(door.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.connect_timeout)
        .max_buf_size(MAX_HEAD)
        .title_case_headers(true)
        .serve_connection(io, service);
    let served = tokio::select! {
        // Before the same deadline of hyper's, which says less.
        biased;
        () = silence(deadline, &is_asked) => {
            door.turn_stranger_away(peer, None, Why::LateHead(config.connect_timeout));
            return;
        }
        served = connection => served,
    };
    if let Err(error) = served {
        if error.source_is_timed_out() {
            count(&door.counters.write_timeout);
        }
        tracing::debug!(%error, "an HTTP connection broke off");
    }
}

/// Returns at `deadline` if nothing was asked by then.
async fn silence(deadline: Instant, is_asked: &AtomicBool) {
    sleep_until(deadline).await;
    if is_asked.load(Ordering::Relaxed) {
        pending().await
    }
}

trait TimedOut {
    fn source_is_timed_out(&self) -> bool;
}

impl TimedOut for hyper::Error {
    fn source_is_timed_out(&self) -> bool {
        let source =
            std::error::Error::source(self).and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    }
}

impl<P: Platform> Door<P> {
    async fn answer(&self, request: &Request<Incoming>) -> Response<FileBody> {
        let counters = &self.counters;
        count(&counters.http_requests);
        if request.method() != Method::GET {
            count(&counters.http_bad_method);
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        match self.platform.open_file(target).await {
            Ok(blob) => self.file(blob, request.headers()),
            Err(FileRefusal::Forbidden(reason)) => {
                count(&counters.http_forbidden);
                text(StatusCode::FORBIDDEN, &format!("{reason}\n"))
            }
            Err(FileRefusal::NotFound) => {
                count(&counters.http_not_found);
                text(StatusCode::NOT_FOUND, "no such file\n")
            }
            Err(FileRefusal::Unavailable) => {
                count(&counters.http_failed);
                text(StatusCode::SERVICE_UNAVAILABLE, "the file cannot be served at present\n")
            }
        }
    }

    fn file(&self, blob: Arc<dyn Blob>, asked: &HeaderMap) -> Response<FileBody> {
        let total = blob.len();
        let etag = blob.etag().and_then(|etag| HeaderValue::try_from(format!("\"{etag}\"")).ok());
        let mut response = match wanted(asked, etag.as_ref(), total) {
            Range::Whole => Response::new(FileBody::new(blob, 0, total, self.counters.clone())),
            Range::Part { first, length } => {
                let mut part = Response::new(FileBody::new(blob, first, length, self.counters.clone()));
                *part.status_mut() = StatusCode::PARTIAL_CONTENT;
                let last = first + length - 1;
                content_range(&mut part, &format!("bytes {first}-{last}/{total}"));
                part
            }
            Range::Unsatisfiable => {
                count(&self.counters.http_bad_range);
                let mut refused =
                    text(StatusCode::RANGE_NOT_SATISFIABLE, "the range begins beyond the end of the file\n");
                content_range(&mut refused, &format!("bytes */{total}"));
                return refused;
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(etag) = etag {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}

/// The range asked for; the whole file when `If-Range` names another version of it.
fn wanted(asked: &HeaderMap, etag: Option<&HeaderValue>, total: u64) -> Range {
    let stale = asked.get(header::IF_RANGE).is_some_and(|version| Some(version) != etag);
    let mut ranges = asked.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) if !stale => {
            range.to_str().map_or(Range::Whole, |range| Range::parse(range, total))
        }
        _ => Range::Whole,
    }
}

fn content_range(response: &mut Response<FileBody>, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

fn text(status: StatusCode, message: &str) -> Response<FileBody> {
    let mut response = Response::new(FileBody::text(message));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
