use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use super::head::Head;
use super::range::Range;
use crate::Blob;

/// A status with its words.
pub(crate) type Status = (u16, &'static str);

pub(crate) const OK: Status = (200, "OK");
pub(crate) const PARTIAL_CONTENT: Status = (206, "Partial Content");
pub(crate) const NOT_MODIFIED: Status = (304, "Not Modified");
pub(crate) const BAD_REQUEST: Status = (400, "Bad Request");
pub(crate) const FORBIDDEN: Status = (403, "Forbidden");
pub(crate) const NOT_FOUND: Status = (404, "Not Found");
pub(crate) const METHOD_NOT_ALLOWED: Status = (405, "Method Not Allowed");
pub(crate) const LENGTH_REQUIRED: Status = (411, "Length Required");
pub(crate) const CONTENT_TOO_LARGE: Status = (413, "Content Too Large");
pub(crate) const RANGE_NOT_SATISFIABLE: Status = (416, "Range Not Satisfiable");
pub(crate) const UPGRADE_REQUIRED: Status = (426, "Upgrade Required");
pub(crate) const HEAD_TOO_LARGE: Status = (431, "Request Header Fields Too Large");
pub(crate) const UNAVAILABLE: Status = (503, "Service Unavailable");
pub(crate) const VERSION_NOT_SUPPORTED: Status = (505, "HTTP Version Not Supported");

/// An answer. Its lines are short and its fields are spelt as small devices search for them
/// (docs/protocol.md 7).
pub(crate) struct Answer {
    pub(crate) status: Status,
    fields: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// Whether the connection ends with it, whatever the client says.
    pub(crate) is_last: bool,
}

/// What follows the head.
pub(crate) enum Body {
    /// Nothing, not even a length.
    Absent,
    /// A text.
    Text(String),
    /// `length` bytes of a file from `first` on.
    File { blob: Arc<dyn Blob>, first: u64, length: u64 },
}

impl Answer {
    /// A refusal, in a sentence for people.
    pub(crate) fn refuse(status: Status, why: &str) -> Self {
        Self::text(status, why).last()
    }

    /// A sentence for people.
    fn text(status: Status, text: &str) -> Self {
        let body = Body::Text(format!("{text}\n"));
        Self::new(status, body).with("Content-Type", "text/plain; charset=utf-8")
    }

    /// A message for devices.
    pub(crate) fn json(text: String) -> Self {
        Self::new(OK, Body::Text(text)).with("Content-Type", "application/json")
    }

    /// As much of a file as the request asks for.
    pub(crate) fn file(blob: Arc<dyn Blob>, asked: &Head) -> Self {
        let total = blob.len();
        let etag = blob.etag().map(|etag| format!("\"{etag}\""));
        let answer = match wanted(asked, etag.as_deref(), total) {
            Wanted::Nothing => Self::new(NOT_MODIFIED, Body::Absent),
            Wanted::Range(Range::Whole) => Self::new(OK, Body::File { blob, first: 0, length: total }),
            Wanted::Range(Range::Part { first, length }) => {
                Self::new(PARTIAL_CONTENT, Body::File { blob, first, length })
                    .with("Content-Range", format!("bytes {first}-{}/{total}", first + length - 1))
            }
            Wanted::Range(Range::Unsatisfiable) => {
                let text = format!("the range begins beyond the end of the file, which has {total} bytes");
                return Self::text(RANGE_NOT_SATISFIABLE, &text)
                    .with("Content-Range", format!("bytes */{total}"));
            }
        };
        let answer = answer.with("Accept-Ranges", "bytes");
        etag.into_iter().fold(answer, |answer, etag| answer.with("ETag", etag))
    }

    fn new(status: Status, body: Body) -> Self {
        let fields = match body {
            Body::File { .. } => vec![("Content-Type", "application/octet-stream".into())],
            _ => vec![],
        };
        Self { status, fields, body, is_last: false }
    }

    /// With a further field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// With which the connection ends: a stranger must not keep it by one refusal after the other.
    pub(crate) fn last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// The sentence that says why the request is refused, if it is.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) if self.is_last && self.status != OK => Some(text.trim_end()),
            _ => None,
        }
    }

    /// Bytes of the body, if there is one.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.body {
            Body::Absent => None,
            Body::Text(text) => Some(text.len() as u64),
            Body::File { length, .. } => Some(*length),
        }
    }

    /// Head and text of an answer that ends its connection.
    pub(crate) fn last_words(&self) -> String {
        let head = self.head(false);
        match &self.body {
            Body::Text(text) => head + text,
            _ => head,
        }
    }

    /// All before the body.
    pub(crate) fn head(&self, goes_on: bool) -> String {
        let (code, words) = self.status;
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut head = format!("HTTP/1.1 {code} {words}\r\nDate: {date}\r\n");
        let length = self.length().map(|length| ("Content-Length", length.to_string()));
        let close = (!goes_on).then(|| ("Connection", "close".into()));
        for (name, value) in length.iter().chain(&self.fields).chain(&close) {
            // A String takes everything.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }
}

/// What of a file a request is for.
enum Wanted {
    /// The client has it as it is.
    Nothing,
    Range(Range),
}

fn wanted(asked: &Head, etag: Option<&str>, total: u64) -> Wanted {
    if etag.is_some_and(|etag| is_known(asked, etag)) {
        return Wanted::Nothing;
    }
    // Of another version of the file a part is of no use.
    let other = asked.all("if-range").next().is_some() && asked.only("if-range") != etag;
    let range = asked.only("range").filter(|_| asked.method == "GET" && !other);
    Wanted::Range(range.map_or(Range::Whole, |range| Range::parse(range, total)))
}

fn is_known(asked: &Head, etag: &str) -> bool {
    let mut known = asked.all("if-none-match").flat_map(|tags| tags.split(',')).map(str::trim);
    known.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
