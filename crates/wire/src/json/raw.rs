use core::fmt;

use super::{Error, check};
use crate::BufferTooSmall;

/// The inside of a JSON string as it stands in the text, escapes unresolved.
///
/// Always valid between quotes: escapes are complete, surrogates paired, NUL absent. Two are equal when they mean the
/// same text. `Display` writes the text meant.
#[derive(Clone, Copy, Default)]
pub struct RawStr<'a>(&'a str);

impl<'a> RawStr<'a> {
    pub(super) fn trusted(raw: &'a str) -> Self {
        RawStr(raw)
    }

    /// A text that needs no escape; `None` if it holds `"`, `\` or control characters.
    pub fn plain(text: &'a str) -> Option<Self> {
        let needs_escape = text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\');
        (!needs_escape).then_some(RawStr(text))
    }

    /// The inside of a string literal, as [`RawStr::raw`] gave it.
    pub fn from_raw(raw: &'a str) -> Result<Self, Error> {
        check::string_content(raw).map(|()| RawStr(raw))
    }

    /// The bytes between the quotes.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// The text, if it is written without escapes.
    pub fn as_plain(self) -> Option<&'a str> {
        (!self.0.contains('\\')).then_some(self.0)
    }

    /// The characters meant.
    pub fn chars(self) -> Chars<'a> {
        Chars { rest: self.0 }
    }

    /// Number of characters meant.
    pub fn len_chars(self) -> usize {
        self.chars().count()
    }

    /// Whether nothing stands between the quotes.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Whether this means `text`.
    pub fn eq_str(self, text: &str) -> bool {
        match self.as_plain() {
            Some(plain) => plain == text,
            None => self.chars().eq(text.chars()),
        }
    }

    /// At most the first `count` characters.
    pub fn first_chars(self, count: usize) -> Self {
        let mut chars = self.chars();
        for _ in chars.by_ref().take(count) {}
        RawStr(&self.0[..self.0.len() - chars.rest.len()])
    }

    /// Writes the text meant into a buffer.
    pub fn unescape_into(self, buffer: &mut [u8]) -> Result<&str, BufferTooSmall> {
        let mut len = 0;
        for c in self.chars() {
            let end = len + c.len_utf8();
            c.encode_utf8(buffer.get_mut(len..end).ok_or(BufferTooSmall)?);
            len = end;
        }
        core::str::from_utf8(&buffer[..len]).map_err(|_| BufferTooSmall)
    }
}

impl PartialEq for RawStr<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.chars().eq(other.chars())
    }
}

impl Eq for RawStr<'_> {}

impl fmt::Debug for RawStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Display for RawStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_plain() {
            Some(plain) => f.pad(plain),
            None => self.chars().try_for_each(|c| fmt::Write::write_char(f, c)),
        }
    }
}

/// Iterator over the characters that a [`RawStr`] means.
#[derive(Clone, Debug)]
pub struct Chars<'a> {
    rest: &'a str,
}

impl Chars<'_> {
    /// The `\u` unit `skip` bytes further on.
    fn unit(&self, skip: usize) -> Option<u32> {
        check::hex(self.rest.as_bytes().get(skip + 2..skip + 6)?)
    }

    fn unicode(&self) -> Option<(char, usize)> {
        let first = self.unit(0)?;
        if let 0xD800..=0xDBFF = first {
            let second = self.unit(6)?;
            let joined = 0x10000 + ((first & 0x3FF) << 10 | second & 0x3FF);
            return Some((char::from_u32(joined)?, 12));
        }
        Some((char::from_u32(first)?, 6))
    }

    fn escaped(&self) -> Option<(char, usize)> {
        Some(match self.rest.as_bytes().get(1)? {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => return self.unicode(),
            other => (char::from(*other), 2),
        })
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let first = self.rest.chars().next()?;
        let (c, len) = if first == '\\' { self.escaped()? } else { (first, first.len_utf8()) };
        self.rest = self.rest.get(len..)?;
        Some(c)
    }
}
