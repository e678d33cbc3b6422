//! A client of the REST API.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use api::Problem;
use api::dto::{Listed, Page};
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use ureq::http::{Method, Request, Response, Uri};
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::cli::Connection;
use crate::token;

/// Nobody answers as the platform.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// The platform refuses.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Problem);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { detail, code, params, .. } = &self.0;
        write!(f, "{detail}{} [{code}]", remedy(code))?;
        unknown_names(params).iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl std::error::Error for Refused {}

/// A connection to one platform.
pub(crate) struct Client {
    agent: Agent,
    /// Where operators are answered, without a slash at its end.
    pub(crate) url: String,
    token: String,
}

impl Client {
    /// The token is looked for in the data folder if it was not given.
    pub(crate) fn new(connection: &Connection) -> anyhow::Result<Self> {
        let valid = connection.url.parse::<Uri>().is_ok_and(|url| {
            url.scheme_str() == Some("http") && url.host().is_some() && url.query().is_none()
        });
        ensure!(
            valid,
            "{:?} is not the address of a platform; write --url (or OTARU_URL) as http://HOST:PORT",
            connection.url
        );
        let token = match &connection.token {
            Some(token) => token.clone(),
            None => token::read(&connection.data.data)?.ok_or_else(|| no_token(connection))?,
        };
        Ok(Self::with_token(&connection.url, &token))
    }

    /// With a token that is known.
    pub(crate) fn with_token(url: &str, token: &str) -> Self {
        // A proxy from the environment is for the way out, not to a platform of one's own.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(10)));
        let url = url.trim_end_matches('/').to_string();
        Self { agent: config.build().into(), url, token: token.to_string() }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(self.send(Method::GET, path, None, ())?)
    }

    /// A file as it is.
    pub(crate) fn file(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        Ok(refused(self.send(Method::GET, path, None, ())?)?.body_mut().read_to_vec()?)
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        read(self.send(Method::POST, path, Some("application/json"), serde_json::to_vec(body)?)?)
    }

    pub(crate) fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        read(self.send(Method::PATCH, path, Some("application/json"), serde_json::to_vec(body)?)?)
    }

    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        read(self.send(Method::PUT, path, Some("application/json"), serde_json::to_vec(body)?)?)
    }

    /// An order without particulars.
    pub(crate) fn order<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(self.send(Method::POST, path, None, ())?)
    }

    /// An order that is carried out once, however often it has to be given.
    pub(crate) fn order_once<T: DeserializeOwned>(&self, path: &str, key: &str) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path, None).header("idempotency-key", key);
        read(self.agent.run(request.body(())?).map_err(|error| self.unreachable(&error))?)
    }

    /// Sends a piece of an upload.
    pub(crate) fn send_piece(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        mut piece: impl Read + 'static,
    ) -> anyhow::Result<()> {
        let request = self
            .request(Method::PATCH, path, Some("application/octet-stream"))
            .header("upload-offset", offset)
            .header("content-length", length)
            .header("expect", "100-continue");
        let answer = self.agent.run(request.body(SendBody::from_reader(&mut piece))?);
        refused(answer.map_err(|error| self.unreachable(&error))?).map(drop)
    }

    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<()> {
        refused(self.send(Method::DELETE, path, None, ())?).map(drop)
    }

    /// Sends a file as it is read.
    pub(crate) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        size: u64,
        mut file: impl Read + 'static,
    ) -> anyhow::Result<T> {
        // A refusal is wanted before the file is sent, not as a connection broken in the middle of it.
        let request = self
            .request(Method::POST, path, Some(content_type))
            .header("content-length", size)
            .header("expect", "100-continue");
        let answer = self.agent.run(request.body(SendBody::from_reader(&mut file))?);
        read(answer.map_err(|error| self.unreachable(&error))?)
    }

    /// A stream of messages, from after the one with the id `last` on.
    pub(crate) fn stream(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> anyhow::Result<impl Read + Send + 'static> {
        let mut request = self.request(Method::GET, path, None);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = self.agent.run(request.body(())?).map_err(|error| self.unreachable(&error))?;
        Ok(refused(answer)?.into_body().into_reader())
    }

    /// All items of a list, page by page.
    pub(crate) fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut on_page: impl FnMut(Vec<T>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let filters = joined(query);
        let mut cursor = String::new();
        loop {
            let page: Page<T> = self.get(&format!("{path}?limit=200&{filters}{cursor}"))?;
            on_page(page.items)?;
            let Some(next) = page.next_cursor else { return Ok(()) };
            cursor = format!("&cursor={next}");
        }
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: impl AsSendBody,
    ) -> anyhow::Result<Response<Body>> {
        let request = self.request(method, path, content_type).body(body)?;
        self.agent.run(request).map_err(|error| self.unreachable(&error))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
    ) -> ureq::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token));
        match content_type {
            Some(kind) => request.header("content-type", kind),
            None => request,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        let text = format!(
            "the platform at {} cannot be reached: {error}. Is `otaru serve` running? Another address goes with --url or OTARU_URL",
            self.url
        );
        Unreachable(text).into()
    }
}

fn no_token(connection: &Connection) -> anyhow::Error {
    let file = token::file(&connection.data.data);
    let text = format!(
        "there is no token: {} does not exist. `otaru serve` makes it; for another data folder use --data or OTARU_DATA, for a platform on another machine give --token or OTARU_TOKEN",
        file.display()
    );
    Unreachable(text).into()
}

fn read<T: DeserializeOwned>(answer: Response<Body>) -> anyhow::Result<T> {
    let mut answer = refused(answer)?;
    // A page of 200 items is far smaller; a list of a million imported devices is not.
    let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec()?;
    serde_json::from_slice(&body)
        .context("the platform's answer is not what this program expects; are both of one version?")
}

/// Turns a problem into an error.
fn refused(mut answer: Response<Body>) -> anyhow::Result<Response<Body>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.body_mut().read_to_vec().unwrap_or_default();
    Err(match serde_json::from_slice::<Problem>(&body) {
        // It starts or stops.
        Ok(problem) if problem.code == "notUp" => Unreachable(problem.detail).into(),
        Ok(problem) => Refused(problem).into(),
        Err(_) => {
            anyhow!("the platform answered {status}, and nothing this program understands; is it Otaru?")
        }
    })
}

/// How a command does what a refusal speaks of.
fn remedy(code: &str) -> &'static str {
    match code {
        "imageVersionDiffers" => " (with --accept-image-version)",
        "sha256OverMqtt" => " (with --allow-sha256-over-mqtt)",
        "deviceListInvalid" => " (with --leave-out-unknown)",
        "noticeTooLarge" => " (with --allow-large-notice)",
        "severalFilesOverMqtt" | "fileTooLargeForMqtt" => " (with --protocol http)",
        _ => "",
    }
}

/// Most names of a list that people are shown one by one.
const SHOWN: usize = 10;

/// Names of a list that are no devices: the first, and the lines of all.
pub(crate) fn listed(first: &[Listed], lines: &str) -> Vec<String> {
    let name = |listed: &Listed| format!("line {}: {:?}", listed.line, listed.device_name);
    let mut told: Vec<String> = first.iter().take(SHOWN).map(name).collect();
    if first.len() > SHOWN {
        told.push(format!("in all, lines {lines}"));
    }
    told
}

/// What a refusal tells of names of a list that are no devices.
fn unknown_names(params: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let first = params.get("first").and_then(|first| Vec::<Listed>::deserialize(first).ok());
    let lines = params.get("lines").and_then(|lines| lines.as_str());
    first.zip(lines).map_or(vec![], |(first, lines)| listed(&first, lines))
}

/// Names and values as a query.
pub(crate) fn joined(query: &[(&str, &str)]) -> String {
    let given: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
    given.join("&")
}

/// A text as a part of a path or query.
pub(crate) fn segment(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if kept(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refused_list_is_told_with_the_lines_of_all_wrong_names() {
        let told = |names: u64| {
            let first: Vec<_> =
                (1..=names).map(|n| serde_json::json!({"line": n, "deviceName": format!("x{n}")})).collect();
            let params = serde_json::json!({"unknown": names, "first": first, "lines": "1-99,200"});
            let problem = serde_json::json!({"type": "about:blank", "title": "", "status": 422, "detail": "wrong",
                "code": "deviceListInvalid", "params": params});
            Refused(serde_json::from_value(problem).unwrap()).to_string()
        };
        let (few, many) = (told(2), told(100));
        assert_eq!(few.lines().skip(1).collect::<Vec<_>>(), [r#"    line 1: "x1""#, r#"    line 2: "x2""#]);
        assert_eq!(many.lines().count(), 12);
        assert!(many.ends_with("    in all, lines 1-99,200"), "{many}");
    }

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        assert_eq!(segment("lamp-1.a_b~"), "lamp-1.a_b~");
        assert_eq!(segment("a/b?c&d=e 灯"), "a%2Fb%3Fc%26d%3De%20%E7%81%AF");
    }
}
