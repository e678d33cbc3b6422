use core::fmt::{self, Write};

use super::envelope::{code, module, object, params, text};
use super::error::{Error, Fault};
use super::request_error::{RequestError, request};
use super::{Id, MAX_VERSION, Offer};
use crate::Emit;
use crate::json::RawStr;

/// A device asks whether there is an upgrade (5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// Repeated by the answer.
    pub id: Id<'a>,
    /// `None`: the default module.
    pub module: Option<&'a str>,
}

impl<'a> Get<'a> {
    /// Reads a payload; `params` may be missing.
    pub fn parse(payload: &'a [u8]) -> Result<Self, RequestError<'a>> {
        request(payload, |message, id| {
            let params = message.get("params").and_then(|value| value.object());
            let module = params.map_or(Ok(None), |params| module(params, "params.module"))?;
            Ok(Get { id, module })
        })
    }
}

impl Emit for Get<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        out.write_str(",\"version\":\"1.0\",\"params\":{")?;
        if let Some(name) = self.module {
            write!(out, "\"module\":\"{name}\"")?;
        }
        out.write_str("},\"method\":\"thing.ota.firmware.get\"}")
    }
}

/// The answer to [`Get`] (5.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GetReply<'a> {
    id: Id<'a>,
    code: i32,
    offer: Option<Offer<'a>>,
}

impl<'a> GetReply<'a> {
    /// The answer that offers an upgrade. Fails if devices could not read it ([`Offer::check`]).
    pub fn offer(id: Id<'a>, offer: Offer<'a>) -> Result<Self, Error> {
        offer.check()?;
        Ok(GetReply { id, code: 200, offer: Some(offer) })
    }

    /// The answer that there is no upgrade.
    pub fn nothing(id: Id<'a>) -> Self {
        GetReply { id, code: 200, offer: None }
    }

    /// An error: 429 too often, 460 wrong parameter, 500 failure here.
    pub fn error(id: Id<'a>, code: i32) -> Self {
        GetReply { id, code, offer: None }
    }

    /// Reads a payload. An answer with an empty `data`, or another code than 200, holds no offer.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let code = code(message)?;
        let data = message.get("data").and_then(|value| value.object());
        let offered = data.filter(|data| code == 200 && data.members().next().is_some());
        Ok(GetReply { id: Id::of(message)?, code, offer: offered.map(Offer::of).transpose()? })
    }

    /// The id of the question.
    pub fn id(&self) -> Id<'a> {
        self.id
    }

    /// 200, or an error.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The upgrade, if there is one.
    pub fn offered(&self) -> Option<&Offer<'a>> {
        self.offer.as_ref()
    }
}

impl Emit for GetReply<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        write!(out, ",\"code\":{},\"data\":", self.code)?;
        match &self.offer {
            Some(offer) => offer.emit(out)?,
            None => out.write_str("{}")?,
        }
        out.write_str("}")
    }
}

/// A device asks in the old form (5.4); the answer is a [`super::Notice`] on the same topic, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldRequest<'a> {
    /// Not repeated by the answer.
    pub id: Id<'a>,
    /// The version that runs now, if it says so.
    pub version: Option<RawStr<'a>>,
}

impl<'a> OldRequest<'a> {
    /// Reads a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let version = match text(params(message)?, "version", "params.version", MAX_VERSION) {
            Err(Error::Field { fault: Fault::Missing, .. }) => None,
            found => Some(found?),
        };
        Ok(OldRequest { id: Id::of(message)?, version })
    }
}

impl Emit for OldRequest<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        out.write_str(",\"params\":{")?;
        if let Some(version) = self.version {
            write!(out, "\"version\":\"{}\"", version.raw())?;
        }
        out.write_str("}}")
    }
}
