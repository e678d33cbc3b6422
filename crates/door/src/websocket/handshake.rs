use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::http::answer::{Answer, BAD_REQUEST, UPGRADE_REQUIRED};
use crate::http::head::Head;

/// RFC 6455, 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to a request that asks for a WebSocket, if it does: the head that opens it, or why not.
pub(crate) fn asked(head: &Head) -> Option<Result<String, Answer>> {
    head.lists("upgrade", "websocket").then(|| open(head))
}

fn open(head: &Head) -> Result<String, Answer> {
    let refuse = |text| Err(Answer::refuse(BAD_REQUEST, text));
    if head.is_old || head.method != "GET" || !head.lists("connection", "upgrade") {
        return refuse("a WebSocket is asked for with GET, HTTP/1.1 and `Connection: Upgrade`");
    }
    if head.only("sec-websocket-version") != Some("13") {
        return Err(Answer::refuse(UPGRADE_REQUIRED, "version 13 of WebSocket is spoken here")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13"));
    }
    let key = head.only("sec-websocket-key").unwrap_or_default();
    if STANDARD.decode(key).map(|key| key.len()) != Ok(16) {
        return refuse("Sec-WebSocket-Key is not the Base64 of 16 bytes");
    }
    if !head.lists("sec-websocket-protocol", "mqtt") {
        return refuse("WebSocket carries MQTT here: offer the subprotocol `mqtt`");
    }
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        accept(key)
    ))
}

fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
