use core::fmt::{self, Write};

use super::envelope::{emit_module, module, number, object, params, text};
use super::{Error, Id};
use crate::Emit;
use crate::json::RawStr;

/// Longest version in characters.
pub const MAX_VERSION: usize = 64;

/// Longest description of a progress report in characters; the rest is cut off.
pub const MAX_DESC: usize = 128;

/// A version report (5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inform<'a> {
    /// Nobody answers it.
    pub id: Id<'a>,
    /// The version that runs now, 1–64 characters.
    pub version: RawStr<'a>,
    /// `None`: the default module.
    pub module: Option<&'a str>,
}

impl<'a> Inform<'a> {
    /// Reads a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let params = params(message)?;
        Ok(Inform {
            id: Id::of(message)?,
            version: text(params, "version", "params.version", MAX_VERSION)?,
            module: module(params, "params.module")?,
        })
    }
}

impl Emit for Inform<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        write!(out, ",\"params\":{{\"version\":\"{}\"", self.version.raw())?;
        emit_module(self.module, out)?;
        out.write_str("}}")
    }
}

/// A progress report (5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Nobody answers it.
    pub id: Id<'a>,
    /// Per cent of the upgrade; negative is a failure: -1 upgrade, -2 download, -3 verification, -4 burning.
    pub step: i32,
    /// Free text for people, at most [`MAX_DESC`] characters after [`Progress::parse`].
    pub desc: RawStr<'a>,
    /// `None`: the default module.
    pub module: Option<&'a str>,
}

impl<'a> Progress<'a> {
    /// Reads a payload. A longer description is cut, one of another type than text or number reads as empty.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let params = params(message)?;
        let desc = params.get("desc").and_then(|value| value.scalar()).unwrap_or_default();
        Ok(Progress {
            id: Id::of(message)?,
            step: number(params, "step", "params.step", (i32::MIN.into(), i32::MAX.into()))?,
            desc: desc.first_chars(MAX_DESC),
            module: module(params, "params.module")?,
        })
    }
}

impl Emit for Progress<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        write!(out, ",\"params\":{{\"step\":\"{}\",\"desc\":\"{}\"", self.step, self.desc.raw())?;
        emit_module(self.module, out)?;
        out.write_str("}}")
    }
}
