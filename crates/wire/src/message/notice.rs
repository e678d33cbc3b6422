use core::fmt::{self, Write};

use super::Offer;
use super::envelope::object;
use super::error::{Error, Fault};
use crate::Emit;

/// The notice of an upgrade (5.2), also the answer to [`super::OldRequest`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Notice<'a> {
    id_ms: u64,
    offer: Offer<'a>,
}

impl<'a> Notice<'a> {
    /// A notice to be sent; `id_ms` is the time in milliseconds. Fails if devices could not read it
    /// ([`Offer::check`]).
    pub fn new(id_ms: u64, offer: Offer<'a>) -> Result<Self, Error> {
        offer.check()?;
        Ok(Notice { id_ms, offer })
    }

    /// Reads a payload. An id that is no number reads as 0; `message`, if given, must be `success`.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        if let Some(word) = message.get("message")
            && !word.str().is_some_and(|word| word.eq_str("success"))
        {
            return Err(Error::field("message", Fault::Not("\"success\"")));
        }
        let id_ms = message.get("id").and_then(|value| value.number()).unwrap_or_default();
        let data = message.get("data").ok_or(Error::field("data", Fault::Missing))?;
        let data = data.object().ok_or(Error::field("data", Fault::Type))?;
        Ok(Notice { id_ms, offer: Offer::of(data)? })
    }

    /// Milliseconds since 1970 at the sender.
    pub fn id_ms(&self) -> u64 {
        self.id_ms
    }

    /// The upgrade.
    pub fn offer(&self) -> &Offer<'a> {
        &self.offer
    }
}

impl Emit for Notice<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"code\":\"1000\",\"data\":")?;
        self.offer.emit(out)?;
        write!(out, ",\"id\":{},\"message\":\"success\"}}", self.id_ms)
    }
}
