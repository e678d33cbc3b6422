//! The private parsers of this crate, for `fuzz/`.

use crate::http::form::Form;
use crate::http::head::Head;
use crate::http::range::Range;
pub use crate::proxy;
use crate::websocket::frames::Frames;

/// The identity of a pre-shared key in records of TLS.
pub fn psk_identity(records: &[u8]) -> Option<&str> {
    crate::tls::psk::offered(records)
}

/// Length of the head of the HTTP request at the start of some bytes, and of the body behind it.
pub fn request(bytes: &[u8]) -> Option<(usize, u64)> {
    let (head, length) = Head::parse(bytes).ok()??;
    Some((length, head.body))
}

/// What the WebSocket frames in some bytes hold for MQTT, taken in pieces of this length; `None`: they are
/// no frames.
pub fn unframed(bytes: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut frames = Frames::default();
    let mut all = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let length = frames.decode(&mut piece).ok()?;
        all.extend_from_slice(&piece[..length]);
    }
    Some(all)
}

/// The fields of a registration's form that are read, by name.
pub fn form(body: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let Form { product_key, device_name, random, sign, sign_method } = Form::read(body).ok()?;
    let fields =
        [("sign", sign), ("random", random), ("deviceName", device_name), ("productKey", product_key)];
    Some(fields.into_iter().chain(sign_method.map(|method| ("signMethod", method))).collect())
}

/// First byte and length of the part that a `Range` header asks for, of a file of `total` bytes; the whole
/// file is a part too.
pub fn range(value: &str, total: u64) -> Option<(u64, u64)> {
    match Range::parse(value, total) {
        Range::Whole => Some((0, total)),
        Range::Part { first, length } => Some((first, length)),
        Range::Unsatisfiable => None,
    }
}
