//! What all messages share: reading the object, its `params`, and the fields that recur.

use core::fmt::{self, Write};

use super::error::{Error, Fault};
use crate::credentials::valid_module;
use crate::json::{self, Object, RawStr};

pub(super) fn object(payload: &[u8]) -> Result<Object<'_>, Error> {
    json::parse(payload)?.object().ok_or(Error::NotAnObject)
}

pub(super) fn params(message: Object<'_>) -> Result<Object<'_>, Error> {
    let params = message.get("params").ok_or(Error::field("params", Fault::Missing))?;
    params.object().ok_or(Error::field("params", Fault::Type))
}

/// The module of a message: absent, empty and `default` all mean the whole firmware, `None`.
pub(super) fn module<'a>(holder: Object<'a>, field: &'static str) -> Result<Option<&'a str>, Error> {
    let Some(value) = holder.get("module") else { return Ok(None) };
    let text = value.str().ok_or(Error::field(field, Fault::Type))?;
    if text.is_empty() || text.eq_str("default") {
        return Ok(None);
    }
    match text.as_plain() {
        Some(name) if valid_module(name) => Ok(Some(name)),
        _ => Err(Error::field(field, Fault::Not("1-64 letters, digits, '.', '-' or '_'"))),
    }
}

/// A text of 1 to `max` characters.
pub(super) fn text<'a>(
    holder: Object<'a>,
    key: &str,
    field: &'static str,
    max: usize,
) -> Result<RawStr<'a>, Error> {
    let value = holder.get(key).ok_or(Error::field(field, Fault::Missing))?;
    let text = value.scalar().ok_or(Error::field(field, Fault::Type))?;
    if text.is_empty() {
        return Err(Error::field(field, Fault::Missing));
    }
    // Twelve bytes write the longest character.
    if text.raw().len() > 12 * max || text.len_chars() > max {
        return Err(Error::field(field, Fault::TooLong(max)));
    }
    Ok(text)
}

/// A whole number within limits.
pub(super) fn number<T: TryFrom<i64>>(
    holder: Object<'_>,
    key: &str,
    field: &'static str,
    (low, high): (i64, i64),
) -> Result<T, Error> {
    let value = holder.get(key).ok_or(Error::field(field, Fault::Missing))?;
    let range = Error::field(field, Fault::Range(low, high));
    let scalar = value.scalar().ok_or(Error::field(field, Fault::Type))?;
    let Some(number) = value.integer() else {
        let digits = |c: char| c.is_ascii_digit();
        let huge = scalar.raw().trim_start_matches('-').chars().all(digits) && !scalar.is_empty();
        return Err(if huge { range } else { Error::field(field, Fault::Type) });
    };
    let number = Some(number).filter(|n| (low..=high).contains(n)).ok_or(range)?;
    T::try_from(number).map_err(|_| range)
}

/// Whether brackets pair, so that a reader that counts them, also in strings, still finds the end of what is around.
pub(super) fn pair(text: &str, open: u8, close: u8) -> bool {
    let depth = text.bytes().try_fold(0_usize, |depth, byte| match byte {
        _ if byte == open => Some(depth + 1),
        _ if byte == close => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

/// Writes `,"module":"…"` unless it is the default one.
pub(super) fn emit_module(module: Option<&str>, out: &mut dyn Write) -> fmt::Result {
    module.map_or(Ok(()), |name| write!(out, ",\"module\":\"{name}\""))
}

/// The `code` of an answer.
pub(crate) fn code(message: Object<'_>) -> Result<i32, Error> {
    number(message, "code", "code", (i32::MIN.into(), i32::MAX.into()))
}
