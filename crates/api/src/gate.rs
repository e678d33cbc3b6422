//! Who may come in, settled before a request is looked at.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Config, MetricsReaders, Problem};

/// Lets a request pass whose `Host` names this platform and whose `Origin`, if any, is the same site.
///
/// A page of another site can make a browser send requests here, and with its own DNS even under a name of
/// its own; both show in these headers.
pub(crate) async fn same_site(State(config): State<Arc<Config>>, request: Request, next: Next) -> Response {
    match check_site(&config, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets a request pass that bears the administrator's token.
pub(crate) async fn administrator(
    State(config): State<Arc<Config>>,
    request: Request,
    next: Next,
) -> Response {
    match check_token(&config, request.headers()).and_then(|()| check_text(request.uri())) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets a request pass that may read `/metrics`.
pub(crate) async fn metrics_reader(
    State(config): State<Arc<Config>>,
    request: Request,
    next: Next,
) -> Response {
    let free = match config.metrics {
        MetricsReaders::Token => false,
        MetricsReaders::Loopback => is_local(&request),
        MetricsReaders::Anyone => true,
    };
    match if free { Ok(()) } else { check_token(&config, request.headers()) } {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Headers of a proxy. It may stand on this machine, who asks need not.
const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

fn is_local(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    near && !PASSED_ON.iter().any(|header| request.headers().contains_key(*header))
}

fn check_site(config: &Config, headers: &HeaderMap) -> Result<(), Problem> {
    let host = text(headers, header::HOST).unwrap_or_default();
    if !config.allows(without_port(host)) {
        let detail = format!(
            "this platform does not answer under the host name `{host}`; use localhost, an address it listens on, \
             or allow the name with `otaru serve --allow-host`"
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreignHost", detail).with("host", host));
    }
    match headers.get(header::ORIGIN).map(|o| o.to_str().unwrap_or("not a text")) {
        None => Ok(()),
        Some(origin) if origin.split_once("://").is_some_and(|(_, site)| site.eq_ignore_ascii_case(host)) => {
            Ok(())
        }
        Some(origin) => {
            let detail = format!("a page of `{origin}` may not give orders here; only pages of `{host}` may");
            Err(Problem::new(StatusCode::FORBIDDEN, "foreignOrigin", detail).with("origin", origin))
        }
    }
}

fn check_token(config: &Config, headers: &HeaderMap) -> Result<(), Problem> {
    let unauthorized = |code, detail| Err(Problem::new(StatusCode::UNAUTHORIZED, code, detail));
    let given = text(headers, header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let Some((_, token)) = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        let detail = "the header `Authorization: Bearer TOKEN` is missing; the token is in the file admin-token of \
                      the data folder";
        return unauthorized("noToken", detail);
    };
    if bool::from(Sha256::digest(token.trim()).ct_eq(&config.token)) {
        return Ok(());
    }
    unauthorized(
        "wrongToken",
        "the token is not this platform's; it is in the file admin-token of its data folder",
    )
}

/// No name or id holds a NUL, and PostgreSQL takes none.
fn check_text(uri: &Uri) -> Result<(), Problem> {
    if !uri.path_and_query().is_some_and(|target| target.as_str().contains("%00")) {
        return Ok(());
    }
    Err(Problem::bad_request(
        "nulInAddress",
        "the address holds the character NUL (%00), which no name or id has",
    ))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `[::1]:8080` and `localhost:8080` without their ports.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn code(config: &Config, host: &str, origin: Option<&str>) -> Option<String> {
        check_site(config, &headers(host, origin)).err().map(|p| p.code)
    }

    #[test]
    fn only_names_of_this_platform_are_answered() {
        let config =
            Config::new("t").allow_host("otaru.Example").allow_listener("10.0.0.7:8080".parse().unwrap());
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "otaru.example",
            "10.0.0.7:80",
        ] {
            assert_eq!(code(&config, good, None), None, "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example:8080",
            "10.0.0.8",
            "127.0.0.1.evil.example",
            "::",
            ":80",
        ] {
            assert_eq!(code(&config, bad, None).as_deref(), Some("foreignHost"), "{bad}");
        }
    }

    #[test]
    fn who_listens_everywhere_answers_under_addresses_but_not_under_names() {
        let config = Config::new("t").allow_listener("0.0.0.0:8080".parse().unwrap());
        assert_eq!(code(&config, "192.168.1.5:8080", None), None);
        assert_eq!(code(&config, "evil.example:8080", None).as_deref(), Some("foreignHost"));
    }

    #[test]
    fn only_pages_of_the_same_site_may_ask() {
        let config = Config::new("t");
        assert_eq!(code(&config, "localhost:8080", Some("http://localhost:8080")), None);
        for foreign in
            ["http://localhost", "http://localhost:8081", "https://evil.example", "null", "localhost:8080"]
        {
            assert_eq!(
                code(&config, "localhost:8080", Some(foreign)).as_deref(),
                Some("foreignOrigin"),
                "{foreign}"
            );
        }
    }
}
