//! A JSON reader for what devices send (docs/protocol.md 4.1, 6.1).
//!
//! [`parse`] walks the whole text once, without recursion, and refuses what is not JSON; afterwards values are found
//! in it by [`Object::get`] and the accessors of [`Value`], which borrow. Beyond the standard it takes a comma before
//! `}` or `]`; accessors take numbers written as strings. Stricter than the standard it refuses the NUL character,
//! also as `\u0000`, lone surrogates, and more than [`MAX_DEPTH`] levels.
//!
//! **When a key occurs twice in an object, the first one counts**, as in the C SDK, which searches the text.

mod check;
mod raw;

use core::fmt;

pub use raw::{Chars, RawStr};

/// Objects and arrays that may stand inside each other.
pub const MAX_DEPTH: u32 = 32;

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Byte offset in the input.
    pub at: usize,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bytes that are not UTF-8.
    Utf8,
    /// The text ends too early.
    End,
    /// A character that cannot stand here, or text after the end.
    Unexpected,
    /// A control character inside a string; it must be written as an escape.
    Control,
    /// An unknown or incomplete backslash escape.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// The NUL character.
    Nul,
    /// More than [`MAX_DEPTH`] levels.
    Depth,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Utf8 => "bytes that are not UTF-8",
            ErrorKind::End => "the text ends too early",
            ErrorKind::Unexpected => "unexpected character",
            ErrorKind::Control => "control character inside a string",
            ErrorKind::Escape => "bad backslash escape",
            ErrorKind::Surrogate => "half of a surrogate pair",
            ErrorKind::Nul => "NUL character",
            ErrorKind::Depth => "nested too deeply",
        };
        write!(f, "not JSON: {what} at byte {}", self.at)
    }
}

impl core::error::Error for Error {}

/// Reads a JSON text; white space around it is allowed, nothing else.
pub fn parse(input: &[u8]) -> Result<Value<'_>, Error> {
    let text =
        core::str::from_utf8(input).map_err(|e| Error { at: e.valid_up_to(), kind: ErrorKind::Utf8 })?;
    check::document(text)?;
    Ok(Value::of(trim(text)))
}

/// A value inside a text that [`parse`] has accepted.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number as it is written.
    Number(&'a str),
    /// A string.
    Str(RawStr<'a>),
    /// An array.
    Array(Array<'a>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    /// `text` is exactly one checked value.
    fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            Some(b'{') => Value::Object(Object(text)),
            Some(b'[') => Value::Array(Array(text)),
            Some(b'"') => Value::Str(RawStr::trusted(inside(text))),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(text),
        }
    }

    /// The object, if it is one.
    pub fn object(self) -> Option<Object<'a>> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }

    /// The array, if it is one.
    pub fn array(self) -> Option<Array<'a>> {
        if let Value::Array(array) = self { Some(array) } else { None }
    }

    /// The string, if it is one.
    pub fn str(self) -> Option<RawStr<'a>> {
        if let Value::Str(text) = self { Some(text) } else { None }
    }

    /// The text of a string, number, `true` or `false`.
    pub fn scalar(self) -> Option<RawStr<'a>> {
        match self {
            Value::Str(text) => Some(text),
            Value::Number(text) => Some(RawStr::trusted(text)),
            Value::Bool(true) => Some(RawStr::trusted("true")),
            Value::Bool(false) => Some(RawStr::trusted("false")),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A whole number, also when written as a string (`"256"`) or with an empty fraction (`256.0`).
    pub fn integer(self) -> Option<i64> {
        let text = match self {
            Value::Number(text) => text,
            Value::Str(text) => text.raw().trim_ascii(),
            _ => return None,
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if fraction.is_empty() || fraction.bytes().any(|b| b != b'0') {
            return None;
        }
        whole.parse().ok()
    }

    /// As [`Value::integer`], if it lies in the range of `T`.
    pub fn number<T: TryFrom<i64>>(self) -> Option<T> {
        self.integer().and_then(|n| T::try_from(n).ok())
    }
}

/// An object inside a checked text.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    /// Its text, braces included.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// The members in the order of the text, repeated keys included.
    pub fn members(self) -> Members<'a> {
        Members { rest: inside(self.0) }
    }

    /// The first member of that name; `null` counts as absent.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let (_, value) = self.members().find(|(k, _)| k.eq_str(key))?;
        if let Value::Null = value { None } else { Some(value) }
    }
}

/// An array inside a checked text.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a>(&'a str);

impl<'a> Array<'a> {
    /// Its text, brackets included.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// The elements.
    pub fn elements(self) -> Elements<'a> {
        Elements { rest: inside(self.0) }
    }
}

/// Iterator over the members of an [`Object`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Members<'a> {
    type Item = (RawStr<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = next_value(&mut self.rest)?;
        let value = next_value(&mut self.rest)?;
        Some((RawStr::trusted(inside(key)), Value::of(value)))
    }
}

/// Iterator over the elements of an [`Array`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        next_value(&mut self.rest).map(Value::of)
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// The text without its first and last byte (quotes, braces or brackets).
fn inside(text: &str) -> &str {
    text.get(1..text.len().saturating_sub(1)).unwrap_or("")
}

/// Takes the next key or value off a checked list, with the separators before it.
fn next_value<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
    let (value, left) = text.split_at_checked(check::value_len(text))?;
    *rest = left;
    (!value.is_empty()).then_some(value)
}
