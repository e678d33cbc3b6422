use core::fmt::{self, Write};

use super::error::{Error, Fault};
use crate::json::{Object, RawStr};

/// Longest id in bytes, as it is written between the quotes.
pub const MAX_ID: usize = 192;

/// The id of a request, which its answer repeats byte for byte as a JSON string (4.1).
///
/// Devices send strings, numbers or none; none reads as the empty id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Id<'a>(RawStr<'a>);

impl<'a> Id<'a> {
    /// From what stands between the quotes; `None` if that is no string content or longer than [`MAX_ID`].
    pub fn from_raw(raw: &'a str) -> Option<Self> {
        let fits = raw.len() <= MAX_ID;
        RawStr::from_raw(raw).ok().filter(|_| fits).map(Id)
    }

    /// A number in decimal digits, written into `buffer`.
    pub fn decimal(number: u32, buffer: &'a mut [u8; 10]) -> Self {
        let mut start = buffer.len();
        let mut rest = number;
        for (at, digit) in buffer.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            start = at;
            if rest == 0 {
                break;
            }
        }
        let digits: &'a [u8] = buffer;
        Id(RawStr::plain(core::str::from_utf8(&digits[start..]).unwrap_or("")).unwrap_or_default())
    }

    /// What stands between the quotes.
    pub fn raw(self) -> &'a str {
        self.0.raw()
    }

    pub(crate) fn of(message: Object<'a>) -> Result<Self, Error> {
        let Some(id) = message.get("id").and_then(|value| value.scalar()) else { return Ok(Id::default()) };
        if id.raw().len() > MAX_ID {
            return Err(Error::field("id", Fault::TooLong(MAX_ID)));
        }
        Ok(Id(id))
    }

    pub(crate) fn emit(self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "\"{}\"", self.raw())
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
