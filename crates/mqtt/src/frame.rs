//! The fixed header: packet type, flags and remaining length.

use crate::Error;
use crate::bytes::{Writer, varint};

/// The largest remaining length that four bytes can say.
pub const MAX_REMAINING: usize = 268_435_455;

/// The packet types with their numbers; the last came with version 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // The names are those of the standard.
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    fn from_first_byte(byte: u8) -> Result<Self, Error> {
        Ok(match byte >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            reserved => return Err(Error::ReservedType(reserved)),
        })
    }
}

/// The first two to five bytes of every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    /// What kind of packet follows.
    pub kind: PacketType,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// Bytes of the fixed header itself, 2 to 5.
    pub header_len: usize,
    /// Bytes that follow the fixed header.
    pub remaining: usize,
}

impl FixedHeader {
    /// Reads the fixed header; `None` when `bytes` end before it does.
    ///
    /// A remaining length padded with zero groups is taken: nothing depends on it.
    ///
    /// # Errors
    /// [`Error::ReservedType`] and [`Error::VarInt`], as soon as they show.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let kind = PacketType::from_first_byte(first)?;
        let found = varint(rest)?;
        Ok(found.map(|(remaining, length)| Self {
            kind,
            flags: first & 0x0f,
            header_len: 1 + length,
            remaining,
        }))
    }

    /// Length of the whole packet.
    #[must_use]
    pub const fn packet_len(&self) -> usize {
        self.header_len + self.remaining
    }

    pub(crate) fn write(
        kind: PacketType,
        flags: u8,
        remaining: usize,
        out: &mut Writer<'_>,
    ) -> Result<(), Error> {
        out.u8((kind as u8) << 4 | flags);
        out.varint(remaining)
    }
}

/// Length of the whole packet that `bytes` begin with, once that is known; `None` while the fixed
/// header is incomplete. The packet itself may still be on its way.
///
/// # Errors
/// [`Error::TooLarge`] for a packet of more than `max` bytes, before any of it is stored, and what
/// [`FixedHeader::parse`] says.
pub fn frame_len(bytes: &[u8], max: usize) -> Result<Option<usize>, Error> {
    let Some(header) = FixedHeader::parse(bytes)? else { return Ok(None) };
    let length = header.packet_len();
    if length > max { Err(Error::TooLarge { length, max }) } else { Ok(Some(length)) }
}
