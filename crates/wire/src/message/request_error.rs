use core::fmt;

use super::Id;
use super::envelope::object;
use super::error::Error;
use crate::json::Object;

/// Why a payload is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError<'a> {
    /// Not JSON, or an id that cannot be repeated: dropped.
    Unreadable(Error),
    /// A parameter is missing or out of range: answered with error 460.
    Parameter {
        /// The id for the answer.
        id: Id<'a>,
        /// Which parameter, and what is allowed.
        error: Error,
    },
}

impl fmt::Display for RequestError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Unreadable(error) | RequestError::Parameter { error, .. } => error.fmt(f),
        }
    }
}

impl core::error::Error for RequestError<'_> {}

/// Reads a payload that wants an answer; `of` reads its parameters.
pub(super) fn request<'a, T>(
    payload: &'a [u8],
    of: impl FnOnce(Object<'a>, Id<'a>) -> Result<T, Error>,
) -> Result<T, RequestError<'a>> {
    let message = object(payload).map_err(RequestError::Unreadable)?;
    let id = Id::of(message).map_err(RequestError::Unreadable)?;
    of(message, id).map_err(|error| RequestError::Parameter { id, error })
}
