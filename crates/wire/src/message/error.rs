use core::fmt;

use crate::json;

/// Why a message cannot be read, or must not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The payload is not JSON.
    Json(json::Error),
    /// The payload is JSON, but not an object.
    NotAnObject,
    /// A field is missing or wrong.
    Field {
        /// Its path, for instance `params.version`.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl Error {
    pub(super) fn field(field: &'static str, fault: Fault) -> Self {
        Error::Field { field, fault }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Absent, `null` or empty, but required.
    Missing,
    /// Of another JSON type, or a number that is not whole.
    Type,
    /// Longer than this many characters (bytes for ids and file tokens).
    TooLong(usize),
    /// Outside the range, limits included.
    Range(i64, i64),
    /// Not one of the words or forms allowed; the text says which.
    Not(&'static str),
    /// Holds a character that devices with a textual JSON search cannot read: `"`, `\`, `{`, `}`, a control
    /// character, or, in files, a `[` without its `]` (4.2).
    Unsafe,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Json(error) => error.fmt(f),
            Error::NotAnObject => f.write_str("the message is not a JSON object"),
            Error::Field { field, fault } => write!(f, "{field} {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing => f.write_str("is missing"),
            Fault::Type => f.write_str("has the wrong type"),
            Fault::TooLong(max) => write!(f, "is too long: at most {max} characters"),
            Fault::Range(low, high) => write!(f, "is out of range: {low} to {high}"),
            Fault::Not(allowed) => write!(f, "must be {allowed}"),
            Fault::Unsafe => f.write_str(
                "holds a quote, backslash, brace, unpaired bracket or control character, which devices of the C SDK cannot read",
            ),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        if let Error::Json(error) = self { Some(error) } else { None }
    }
}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Error::Json(error)
    }
}
