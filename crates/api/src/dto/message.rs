use serde::{Deserialize, Serialize};
use serde_json::Value;
use server::{Content, Way};
use utoipa::ToSchema;

use crate::time;

/// A message between a watched device and the platform.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its place: later messages have higher numbers, also across devices, until the platform restarts.
    #[schema(example = 42)]
    pub number: i64,
    /// When it passed.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub at: String,
    /// From the device or to it.
    pub way: MessageWay,
    /// The topic.
    #[schema(example = "/ota/device/inform/a1TestPk001/lamp-0001")]
    pub topic: String,
    /// Bytes of the payload.
    #[schema(example = 52)]
    pub length: usize,
    /// What the payload is.
    pub kind: MessageKind,
    /// The payload, or of a frame its head. What opens something is replaced by `…`: secrets, and the end of an address.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// Of a frame with data: whether their CRC is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc_ok: Option<bool>,
    /// Whether the payload is longer than what is shown of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageWay {
    /// From the device.
    Up,
    /// To the device.
    Down,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// JSON.
    Json,
    /// The answer to a request for a block.
    Frame,
    /// Anything else, shown as text; what is none by its bytes, as `ff 00`.
    Text,
}

impl Message {
    pub(crate) fn of(message: &server::Message) -> Self {
        let server::Message { number, at, way, ref topic, length, ref content } = *message;
        let (kind, payload, crc_ok, cut) = match content {
            Content::Json(json) => (MessageKind::Json, value(json), None, false),
            Content::Frame { head, crc_ok } => (MessageKind::Frame, value(head), *crc_ok, false),
            Content::Text { text, cut } => (MessageKind::Text, text.as_str().into(), None, *cut),
        };
        let way = match way {
            Way::Up => MessageWay::Up,
            Way::Down => MessageWay::Down,
        };
        Self { number, at: time::text(at), way, topic: topic.clone(), length, kind, payload, crc_ok, cut }
    }
}

/// It was JSON when it was kept.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
