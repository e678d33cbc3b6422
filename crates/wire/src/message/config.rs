use core::fmt::{self, Write};

use super::envelope::{code, object};
use super::error::{Error, Fault};
use super::offer::{MAX_URL, lower_hex, safe};
use super::request_error::{RequestError, request};
use super::{Digest, Id};
use crate::Emit;
use crate::json::{Object, RawStr};

/// A device asks for the remote configuration of its product (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigGet<'a> {
    /// Repeated by the answer.
    pub id: Id<'a>,
}

impl<'a> ConfigGet<'a> {
    /// Reads a payload; `params` may be missing.
    pub fn parse(payload: &'a [u8]) -> Result<Self, RequestError<'a>> {
        request(payload, |message, id| {
            if let Some(params) = message.get("params").and_then(|value| value.object()) {
                expect(
                    params,
                    "configScope",
                    Error::field("params.configScope", Fault::Not("product")),
                    "product",
                )?;
                expect(params, "getType", Error::field("params.getType", Fault::Not("file")), "file")?;
            }
            Ok(ConfigGet { id })
        })
    }
}

/// Refuses a member that is there and is another word.
fn expect(params: Object<'_>, key: &str, otherwise: Error, word: &str) -> Result<(), Error> {
    let is_word = |value: crate::json::Value<'_>| value.str().is_some_and(|text| text.eq_str(word));
    if params.get(key).is_none_or(is_word) { Ok(()) } else { Err(otherwise) }
}

/// A version of a configuration, as devices are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// Its name; without characters that would need an escape.
    pub id: RawStr<'a>,
    /// Bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: &'a str,
    /// Where the file is.
    pub url: RawStr<'a>,
}

impl Config<'_> {
    /// Whether devices can read it: they search the text (4.2).
    fn check(&self) -> Result<(), Error> {
        lower_hex(self.sha256, "data.sign", Digest::Sha256)?;
        safe(self.url, "data.url", MAX_URL)
    }

    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        let Config { id, size, sha256, url } = self;
        write!(out, "{{\"configId\":\"{}\",\"configSize\":{size},\"sign\":\"{sha256}\"", id.raw())?;
        write!(out, ",\"signMethod\":\"Sha256\",\"url\":\"{}\",\"getType\":\"file\"}}", url.raw())
    }
}

/// The answer to [`ConfigGet`] (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigReply<'a> {
    id: Id<'a>,
    found: Result<Config<'a>, i32>,
}

impl<'a> ConfigReply<'a> {
    /// The answer that there is a configuration. Fails if devices could not read it.
    pub fn found(id: Id<'a>, config: Config<'a>) -> Result<Self, Error> {
        config.check()?;
        Ok(ConfigReply { id, found: Ok(config) })
    }

    /// The answer that there is none, or that the question is wrong.
    pub fn error(id: Id<'a>, code: i32) -> Self {
        ConfigReply { id, found: Err(code) }
    }
}

impl Emit for ConfigReply<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        match self.found {
            Ok(config) => {
                out.write_str(",\"version\":\"1.0\",\"code\":200,\"data\":")?;
                config.emit(out)?;
                out.write_str("}")
            }
            Err(code) => write!(out, ",\"version\":\"1.0\",\"code\":{code},\"data\":{{}}}}"),
        }
    }
}

/// The notice of a configuration (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigPush<'a> {
    version: u32,
    config: Config<'a>,
}

impl<'a> ConfigPush<'a> {
    /// The notice of the version with this number, which the device repeats. Fails if devices could not read it.
    pub fn new(version: u32, config: Config<'a>) -> Result<Self, Error> {
        config.check()?;
        Ok(ConfigPush { version, config })
    }
}

impl Emit for ConfigPush<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{{\"id\":\"{}\",\"version\":\"1.0\",\"params\":", self.version)?;
        self.config.emit(out)?;
        out.write_str(",\"method\":\"thing.config.push\"}")
    }
}

/// What a device says to a [`ConfigPush`] (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigPushReply {
    /// The number of the version, from the notice.
    pub version: u32,
    /// 200 if it took it.
    pub code: i32,
}

impl ConfigPushReply {
    /// Reads a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let id = message.get("id").ok_or(Error::field("id", Fault::Missing))?;
        let version = id.number().ok_or(Error::field("id", Fault::Not("the id of a push")))?;
        Ok(ConfigPushReply { version, code: code(message)? })
    }
}
