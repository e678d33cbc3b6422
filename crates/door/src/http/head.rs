use httparse::{EMPTY_HEADER, Status};

use super::answer;

/// Longest head of a request in bytes.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// Most fields of a head.
const MAX_FIELDS: usize = 64;

/// The head of a request.
///
/// It is read strictly where two readers of the same bytes could find different requests in them: a proxy
/// before this door must not be talked into seeing one request where the door sees two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// In the case it was sent in.
    pub(crate) method: String,
    /// Path and query as they were sent.
    pub(crate) target: String,
    /// Bytes of the body behind it.
    pub(crate) body: u64,
    /// HTTP/1.0.
    pub(crate) is_old: bool,
    /// Whether another request may follow on the connection.
    pub(crate) goes_on: bool,
    fields: Vec<(String, String)>,
}

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("the request's head is no HTTP: {0}")]
    Syntax(httparse::Error),
    #[error("HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    #[error("the lines of a request's head end with CR LF, and one does not")]
    LineEnd,
    #[error("the request's target is neither a path nor an http address")]
    Target,
    #[error("the request has no Host, or more than one")]
    Host,
    #[error("Content-Length is not a single number")]
    Length,
    #[error("Transfer-Encoding is not taken here: send Content-Length")]
    TransferEncoding,
    #[error("the request's head is longer than {MAX_HEAD} bytes, or has more than {MAX_FIELDS} fields")]
    TooLong,
}

impl Head {
    /// The head at the start of `bytes`, and its length; `None`: more bytes are needed.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Bad> {
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(bytes)? {
            Status::Complete(length) if length <= MAX_HEAD => length,
            Status::Partial if bytes.len() < MAX_HEAD => return Ok(None),
            _ => return Err(Bad::TooLong),
        };
        if ends_line_alone(&bytes[..length]) {
            return Err(Bad::LineEnd);
        }
        let text = |field: &httparse::Header<'_>| {
            (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned())
        };
        let mut head = Self {
            method: request.method.unwrap_or_default().into(),
            target: target(request.path.unwrap_or_default()).ok_or(Bad::Target)?.into(),
            body: 0,
            is_old: request.version == Some(0),
            goes_on: false,
            fields: request.headers.iter().map(text).collect(),
        };
        head.body = head.body_length()?;
        head.goes_on = !head.is_old && !head.lists("connection", "close");
        head.check_host()?;
        Ok(Some((head, length)))
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The values of all fields of this name, which is in lower case.
    pub(crate) fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> {
        self.fields.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The value of the only field of this name.
    pub(crate) fn only<'h>(&'h self, name: &str) -> Option<&'h str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether the comma-separated values of a name hold this word, in any case.
    pub(crate) fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(','));
        words.any(|other| other.trim().eq_ignore_ascii_case(word))
    }

    /// Only a request of HTTP/1.0 may go without.
    fn check_host(&self) -> Result<(), Bad> {
        match self.all("host").count() {
            1 => Ok(()),
            0 if self.is_old => Ok(()),
            _ => Err(Bad::Host),
        }
    }

    fn body_length(&self) -> Result<u64, Bad> {
        if self.all("transfer-encoding").next().is_some() {
            return Err(Bad::TransferEncoding);
        }
        if self.all("content-length").next().is_none() {
            return Ok(0);
        }
        let digits = self.only("content-length").filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or(Bad::Length)
    }
}

impl Bad {
    /// The status that says so.
    pub(crate) fn status(self) -> answer::Status {
        match self {
            Self::Version => answer::VERSION_NOT_SUPPORTED,
            Self::TransferEncoding => answer::LENGTH_REQUIRED,
            Self::TooLong => answer::HEAD_TOO_LARGE,
            Self::Syntax(_) | Self::LineEnd | Self::Target | Self::Host | Self::Length => answer::BAD_REQUEST,
        }
    }
}

impl From<httparse::Error> for Bad {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::Version => Self::Version,
            httparse::Error::TooManyHeaders => Self::TooLong,
            other => Self::Syntax(other),
        }
    }
}

/// Whether a line of these bytes ends with LF alone.
fn ends_line_alone(bytes: &[u8]) -> bool {
    let mut before = 0;
    bytes.iter().any(|byte| std::mem::replace(&mut before, *byte) != b'\r' && *byte == b'\n')
}

/// Path and query of a request's target. A client that takes the door for a proxy sends the whole address.
fn target(text: &str) -> Option<&str> {
    if text.starts_with('/') {
        return Some(text);
    }
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    rest.find('/').map(|at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Head {
        let (head, length) = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        head
    }

    #[test]
    fn a_request_of_an_sdk() {
        let head = head(
            "GET /ota/x.bin?y=%2F HTTP/1.1\r\nHost: h:1883\r\nAccept: text/html, */*;q=0.8\r\nRange: bytes=0-\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!((&*head.method, &*head.target, head.body), ("GET", "/ota/x.bin?y=%2F", 0));
        assert_eq!((head.only("range"), head.only("accept-encoding")), (Some("bytes=0-"), None));
        assert!(head.goes_on);
    }

    #[test]
    fn whether_another_may_follow() {
        for (text, goes_on) in [
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x , close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
        ] {
            assert_eq!(head(text).goes_on, goes_on, "{text}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        for (fields, is_taken) in
            [("", false), ("Host: a\r\n", true), ("Host:\r\n", true), ("Host: a\r\nhost: a\r\n", false)]
        {
            let taken = Head::parse(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes());
            assert_eq!(taken.is_ok(), is_taken, "{fields}");
        }
        let two = "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n";
        assert_eq!(Head::parse(two.as_bytes()), Err(Bad::Host));
    }

    #[test]
    fn a_whole_address_is_its_path() {
        for (target, path) in
            [("http://h:80/a?b", "/a?b"), ("https://h/", "/"), ("/http://h/a", "/http://h/a")]
        {
            assert_eq!(head(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).target, path);
        }
        for target in ["*", "h:443", "http://h", "ftp://h/a", "a"] {
            let text = format!("GET {target} HTTP/1.1\r\n\r\n");
            assert_eq!(Head::parse(text.as_bytes()), Err(Bad::Target), "{target}");
        }
    }

    #[test]
    fn a_head_that_never_ends_is_too_long() {
        let endless = |bytes: usize| [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; bytes]].concat();
        assert_eq!(Head::parse(&endless(1000)), Ok(None));
        assert_eq!(Head::parse(&endless(MAX_HEAD)), Err(Bad::TooLong));
        let fields = |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
        assert!(Head::parse(fields(MAX_FIELDS).as_bytes()).is_ok());
        assert_eq!(Head::parse(fields(MAX_FIELDS + 1).as_bytes()), Err(Bad::TooLong));
    }

    proptest! {
        #[test]
        fn a_head_is_the_same_whatever_follows_it(
            method in "[A-Z]{1,8}",
            path in "/[!-~]{0,40}",
            fields in prop::collection::vec(("[A-Za-z-]{1,12}", "[ -~]{0,30}"), 0..8),
            behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            let whole = Head::parse(text.as_bytes());
            prop_assert_eq!(Head::parse(&[text.as_bytes(), &behind].concat()), whole.clone());
            for cut in 0..text.len() {
                match Head::parse(&text.as_bytes()[..cut]) {
                    Ok(None) => {}
                    Err(error) => prop_assert_eq!(Err(error), whole.clone()),
                    Ok(Some(_)) => prop_assert!(false, "{} of {} bytes", cut, text.len()),
                }
            }
        }
    }
}
