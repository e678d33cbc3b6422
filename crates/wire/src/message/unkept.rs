//! What devices publish and wait for an answer to, though nothing of it is kept (3.5).

use core::fmt::{self, Write};

use super::Id;
use super::envelope::{number, object};
use super::error::Error;
use crate::Emit;

/// A post of the thing model, tags or logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post<'a> {
    /// Repeated by the answer.
    pub id: Id<'a>,
    /// Whether it wants one: yes, unless it says `"sys":{"ack":0}`.
    pub wants_answer: bool,
}

impl<'a> Post<'a> {
    /// Reads a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let sys = message.get("sys").and_then(|value| value.object());
        let ack = sys.and_then(|sys| sys.get("ack")).and_then(|ack| ack.integer());
        Ok(Post { id: Id::of(message)?, wants_answer: ack != Some(0) })
    }
}

/// The answer to a [`Post`], or to the question for how to send logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostReply<'a> {
    id: Id<'a>,
    data: &'static str,
}

impl<'a> PostReply<'a> {
    /// It came.
    pub fn received(id: Id<'a>) -> Self {
        PostReply { id, data: "{}" }
    }

    /// No logs are wanted.
    pub fn no_logs(id: Id<'a>) -> Self {
        PostReply { id, data: "{\"getType\":\"content\",\"content\":{\"mode\":0}}" }
    }
}

impl Emit for PostReply<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        write!(out, ",\"version\":\"1.0\",\"code\":200,\"data\":{},\"message\":\"success\"}}", self.data)
    }
}

/// What a device wants of its shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shadow {
    /// To read it.
    Get,
    /// To change it, or to delete some or all of it.
    Change {
        /// The version that the shadow is to have.
        version: i64,
    },
    /// Something that shadows cannot do.
    Unknown,
}

impl Shadow {
    /// Reads a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let method = message.get("method").and_then(|value| value.str()).unwrap_or_default();
        Ok(if method.eq_str("get") {
            Shadow::Get
        } else if method.eq_str("update") || method.eq_str("delete") {
            let version = message.get("version").and_then(|value| value.integer());
            Shadow::Change { version: version.unwrap_or_default() }
        } else {
            Shadow::Unknown
        })
    }
}

/// The answer to a [`Shadow`]: it is empty, and takes everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowReply {
    /// What was wanted.
    pub to: Shadow,
    /// Seconds since 1970.
    pub at_s: i64,
}

impl Emit for ShadowReply {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("{\"method\":\"reply\",\"payload\":{\"status\":")?;
        match self.to {
            Shadow::Get => out.write_str("\"success\",\"state\":{},\"metadata\":{},\"version\":0")?,
            Shadow::Change { version } => write!(out, "\"success\",\"version\":{version}")?,
            Shadow::Unknown => out.write_str(
                "\"error\",\"content\":{\"errorcode\":\"406\",\"errormessage\":\"unknown method\"}",
            )?,
        }
        write!(out, "}},\"timestamp\":{}}}", self.at_s)
    }
}

/// A device asks for the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRequest {
    /// Milliseconds by the device's own clock when it asked; repeated by the answer.
    pub device_send_ms: i64,
}

impl TimeRequest {
    /// Reads a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let message = object(payload)?;
        let any = (i64::MIN, i64::MAX);
        Ok(TimeRequest { device_send_ms: number(message, "deviceSendTime", "deviceSendTime", any)? })
    }
}

/// The answer to a [`TimeRequest`]; the numbers are written as strings, as devices expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeReply {
    /// From the question.
    pub device_send_ms: i64,
    /// When it came and the answer left, in milliseconds since 1970.
    pub server_ms: i64,
}

impl Emit for TimeReply {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        let TimeReply { device_send_ms, server_ms } = self;
        write!(out, "{{\"deviceSendTime\":\"{device_send_ms}\",\"serverRecvTime\":\"{server_ms}\"")?;
        write!(out, ",\"serverSendTime\":\"{server_ms}\"}}")
    }
}
