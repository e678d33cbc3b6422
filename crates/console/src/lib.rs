//! The operators' web page, as it was built, inside the binary.
//!
//! Its source is the folder `console` of the checkout; `console/build.sh` makes of it what is embedded here. A binary
//! that was built without says so.

use axum::Router;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The files by their paths, and beside each that is worth it `PATH.gz`.
type Files = &'static [(&'static str, &'static [u8])];

static BUILT: Files = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Scripts come from here alone. Styles are also made by them, which the component library does.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ABSENT: &str = "This otaru was built without its web page. To have it, with Node.js 20.19 or later, in the checkout:\n\n  \
                      console/build.sh\n  cargo build --release -p otaru\n";

/// Answers whatever path with the page, or one of its files.
pub fn router() -> Router {
    router_of(BUILT)
}

/// Whether the page is in this binary.
pub fn is_built() -> bool {
    !BUILT.is_empty()
}

fn router_of(files: Files) -> Router {
    let answer = async move |uri: Uri, headers: HeaderMap| answer(files, uri.path(), &headers);
    Router::new().fallback_service(get(answer))
}

fn answer(files: Files, path: &str, asked: &HeaderMap) -> Response {
    // The page has addresses of its own, which are no files.
    let path = if path.starts_with("/assets/") || find(files, path).is_some() { path } else { "/index.html" };
    let Some(plain) = find(files, path) else {
        let text = if files.is_empty() { ABSENT } else { "there is no such file; load the page anew\n" };
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let headers = [
        (CONTENT_TYPE, kind(path)),
        (CACHE_CONTROL, caching(path)),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (VARY, "accept-encoding"),
    ];
    match find(files, &format!("{path}.gz")).filter(|_| takes_gzip(asked)) {
        Some(packed) => (headers, [(CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (headers, plain).into_response(),
    }
}

fn find(files: Files, path: &str) -> Option<&'static [u8]> {
    let at = files.binary_search_by_key(&path, |(path, _)| path).ok()?;
    Some(files[at].1)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Names of assets hold a digest of what is in them.
fn caching(path: &str) -> &'static str {
    if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.split_once('=').and_then(|(_, weight)| weight.trim().parse().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight: f32| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::Body;
    use axum::http::{HeaderName, Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const FILES: Files = &[
        ("/assets/page-3f.js", b"plain"),
        ("/assets/page-3f.js.gz", b"packed"),
        ("/icon.svg", b"<svg/>"),
        ("/index.html", b"page"),
    ];

    async fn ask(files: Files, path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        router_of(files).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn body(answer: Response) -> Vec<u8> {
        answer.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn addresses_of_the_page_are_the_page_and_lost_files_are_not() {
        for path in ["/", "/products/a1Pk/devices/lamp.0001", "/jobs/job_1?x=1", "/index.html"] {
            let answer = ask(FILES, path, &[]).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-cache");
            assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(body(answer).await, b"page");
        }
        // An old page asks for the assets of an old build.
        assert_eq!(ask(FILES, "/assets/page-2e.js", &[]).await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_file_comes_packed_to_who_takes_it() {
        for (coding, expected) in [
            ("gzip, deflate, br", &b"packed"[..]),
            ("br;q=1, GZIP;q=0.5", b"packed"),
            ("gzip;q=0", b"plain"),
            ("gzip; q=0.0", b"plain"),
            ("identity", b"plain"),
        ] {
            let answer = ask(FILES, "/assets/page-3f.js", &[(ACCEPT_ENCODING, coding)]).await;
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
            assert_eq!(answer.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
            assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), expected == b"packed", "{coding}");
            assert_eq!(body(answer).await, expected, "{coding}");
        }
        assert_eq!(body(ask(FILES, "/icon.svg", &[(ACCEPT_ENCODING, "gzip")]).await).await, b"<svg/>");
    }

    #[tokio::test]
    async fn scripts_of_others_are_not_let_in() {
        let answer = ask(FILES, "/", &[]).await;
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let scripts = policy.split("; ").find(|part| part.starts_with("script-src")).unwrap();
        assert_eq!(scripts, "script-src 'self'");
        assert!(policy.contains("frame-ancestors 'none'"));
    }

    #[tokio::test]
    async fn who_was_built_without_the_page_says_so() {
        let answer = ask(&[], "/", &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert!(String::from_utf8(body(answer).await).unwrap().contains("console/build.sh"));
    }
}
