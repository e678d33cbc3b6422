//! `otaru device watch`.

use api::dto::{Message, MessageKind, MessageWay};

use super::follow::follow;
use super::{Format, when};
use crate::client::Client;
use crate::output::next_line;

/// Prints the messages of a device as they pass, until interrupted.
pub(super) fn run(path: &str, format: Format, client: &Client) -> anyhow::Result<()> {
    follow(client, &format!("{path}/messages/stream"), None, |message: Message| {
        let json = || serde_json::to_string(&message).unwrap_or_default();
        next_line(&if format.json { json() } else { line(&message) })
    })
}

fn line(message: &Message) -> String {
    let Message { at, way, topic, length, kind, payload, crc_ok, cut, .. } = message;
    let way = match way {
        MessageWay::Up => "up  ",
        MessageWay::Down => "down",
    };
    let shown = match (kind, payload.as_str()) {
        (MessageKind::Text, Some(text)) => text.to_owned(),
        _ => payload.to_string(),
    };
    let more = match crc_ok {
        _ if *cut => format!(" … of {length} bytes"),
        Some(true) => format!(" and the data, {length} bytes in all, CRC right"),
        Some(false) => format!(" and the data, {length} bytes in all, CRC WRONG"),
        None => String::new(),
    };
    format!("{}  {way}  {topic}  {shown}{more}", when(at))
}
