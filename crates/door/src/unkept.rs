//! Answers to what SDKs publish and wait for, though nothing of it is kept (docs/protocol.md 3.5).

use std::time::{SystemTime, UNIX_EPOCH};

use wire::Emit;
use wire::message::{Error, Post, PostReply, Shadow, ShadowReply, TimeReply, TimeRequest};
use wire::topic::{Kind, Topic};

/// An answer and its topic.
pub(crate) struct Answer {
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// The answer to a publish on one of these topics; nothing if the device wants none.
pub(crate) fn answer(topic: &Topic<'_>, payload: &[u8]) -> Result<Option<Answer>, Error> {
    let Topic { product_key, device_name, .. } = topic;
    let (topic, payload) = match topic.kind {
        Kind::Time => {
            let TimeRequest { device_send_ms } = TimeRequest::parse(payload)?;
            let reply = TimeReply { device_send_ms, server_ms: now_ms() };
            (format!("/ext/ntp/{product_key}/{device_name}/response"), text(&reply))
        }
        Kind::Shadow => {
            let reply = ShadowReply { to: Shadow::parse(payload)?, at_s: now_ms() / 1_000 };
            (format!("/shadow/get/{product_key}/{device_name}"), text(&reply))
        }
        kind => {
            let Post { id, wants_answer } = Post::parse(payload)?;
            if !wants_answer {
                return Ok(None);
            }
            let of = if kind == Kind::LogConfigGet { PostReply::no_logs } else { PostReply::received };
            (format!("{topic}_reply"), text(&of(id)))
        }
    };
    Ok(Some(Answer { topic, payload }))
}

/// A message as it travels.
pub(crate) fn text(message: &impl Emit) -> String {
    let mut text = String::with_capacity(message.encoded_len());
    // A String takes everything.
    let _ = message.emit(&mut text);
    text
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
