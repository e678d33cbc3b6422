//! What has been received.

use core::fmt;

use mqtt::{Error, FixedHeader, Packet, PacketType, Publish, Version};

/// What the bytes received so far begin with. `len` bytes are to be taken away before the next look.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'p> {
    /// Not a whole packet yet.
    Part,
    /// A packet that needs nothing of the caller.
    Packet {
        /// Its length.
        len: usize,
    },
    /// A message.
    Message {
        /// Length of its packet.
        len: usize,
        /// Its topic.
        topic: &'p str,
        /// Its payload.
        payload: &'p [u8],
    },
    /// A packet that is longer than the caller's buffer: its bytes are to be dropped as they come. If it is a message,
    /// [`crate::Updater::handle_too_long`] is to be told.
    TooLong {
        /// Its length.
        len: usize,
        /// The topic of a message.
        topic: Option<&'p str>,
    },
    /// Nothing that this client can go on with: [`super::Client::poll`] closes the connection.
    Broken,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The platform does not take the login, with this CONNACK code. It is tried again, but not soon.
    Refused(u8),
    /// The platform cannot serve at present.
    Unavailable,
    /// The platform says nothing.
    Silent,
    /// The platform sent what this client does not understand.
    Protocol(Error),
    /// The platform ended the connection, in version 5 for this reason.
    Ended(u8),
    /// The buffer for sending is too small for this many bytes.
    Buffer(usize),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => {
                write!(f, "the platform refuses the login (CONNACK {code}), is the secret right?")
            }
            Self::Unavailable => f.write_str("the platform cannot serve at present"),
            Self::Silent => f.write_str("the platform says nothing"),
            Self::Protocol(error) => write!(f, "the platform sent what is no MQTT: {error}"),
            Self::Ended(reason) => write!(f, "the platform ended the connection (reason {reason})"),
            Self::Buffer(needed) => write!(f, "the buffer for sending must hold {needed} bytes"),
        }
    }
}

/// Bytes that are no packet for this client.
pub(super) enum Other<'p> {
    Received(Received<'p>),
    Broken(Error),
}

/// The packet that the bytes begin with, and its length. `room` is the length of the longest packet that fits.
pub(super) fn packet(bytes: &[u8], room: usize, version: Version) -> Result<(Packet<'_>, usize), Other<'_>> {
    let header = FixedHeader::parse(bytes).map_err(Other::Broken)?;
    let header = header.ok_or(Other::Received(Received::Part))?;
    let len = header.packet_len();
    if len > room {
        return Err(Other::Received(too_long(bytes, &header)));
    }
    let whole = bytes.get(..len).ok_or(Other::Received(Received::Part))?;
    Packet::parse(whole, version).map(|packet| (packet, len)).map_err(Other::Broken)
}

/// The topic of a message is its first field.
fn too_long<'p>(bytes: &'p [u8], header: &FixedHeader) -> Received<'p> {
    let len = header.packet_len();
    let body = &bytes[header.header_len..];
    if header.kind != PacketType::Publish {
        return Received::TooLong { len, topic: None };
    }
    let Some((size, rest)) = body.split_first_chunk::<2>() else { return Received::Part };
    match rest.get(..usize::from(u16::from_be_bytes(*size))) {
        Some(topic) => Received::TooLong { len, topic: core::str::from_utf8(topic).ok() },
        None if body.len() >= LONGEST_TOPIC => Received::TooLong { len, topic: None },
        None => Received::Part,
    }
}

/// No topic of the platform is longer, in bytes.
const LONGEST_TOPIC: usize = 128;

/// The message of a PUBLISH.
pub(super) fn message<'p>(publish: &Publish<'p>, len: usize) -> Received<'p> {
    Received::Message { len, topic: publish.topic, payload: publish.payload }
}
