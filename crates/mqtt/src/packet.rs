//! All packets of version 3, both directions.

use crate::bytes::{Reader, Writer};
use crate::{
    Connect, EmitError, Error, FixedHeader, PacketType, Publish, SubAck, Subscribe, Unsubscribe, Version,
};

/// A packet, borrowing its texts and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// Client: opens the session.
    Connect(Connect<'a>),
    /// Server: answers CONNECT.
    ConnAck {
        /// The server kept state of an earlier connection; always `false` in 3.1.
        session_present: bool,
        /// One of [`crate::connack`], or a number unknown to version 3.
        code: u8,
    },
    /// Either: a message.
    Publish(Publish<'a>),
    /// Either: answers a QoS 1 PUBLISH.
    PubAck {
        /// That of the PUBLISH.
        packet_id: u16,
    },
    /// Client: asks for messages.
    Subscribe(Subscribe<'a>),
    /// Server: answers SUBSCRIBE.
    SubAck(SubAck<'a>),
    /// Client: asks for no more messages.
    Unsubscribe(Unsubscribe<'a>),
    /// Server: answers UNSUBSCRIBE.
    UnsubAck {
        /// That of the UNSUBSCRIBE.
        packet_id: u16,
    },
    /// Client: still here.
    PingReq,
    /// Server: answers PINGREQ.
    PingResp,
    /// Client: goodbye.
    Disconnect,
}

impl<'a> Packet<'a> {
    /// Reads one whole packet: exactly the bytes that [`crate::frame_len`] counted. `version` is the
    /// connection's; a CONNECT brings its own.
    ///
    /// # Errors
    /// Any [`Error`]; the connection is to be closed, after CONNACK 1 for
    /// [`Error::UnsupportedVersion`].
    pub fn parse(bytes: &'a [u8], version: Version) -> Result<Self, Error> {
        let header = FixedHeader::parse(bytes)?.ok_or(Error::Truncated)?;
        let mut body = Reader::new(bytes);
        body.take(header.header_len)?;
        let after = bytes.len() - header.header_len;
        if after < header.remaining {
            return Err(Error::Truncated);
        }
        if after > header.remaining {
            return Err(Error::TrailingBytes);
        }
        check_flags(header, version)?;
        let packet = Self::parse_body(header, &mut body, version)?;
        body.end()?;
        Ok(packet)
    }

    fn parse_body(header: FixedHeader, body: &mut Reader<'a>, version: Version) -> Result<Self, Error> {
        Ok(match header.kind {
            PacketType::Connect => Self::Connect(Connect::parse(body)?),
            PacketType::ConnAck => parse_connack(body, version)?,
            PacketType::Publish => Self::Publish(Publish::parse(header.flags, body)?),
            PacketType::PubAck => Self::PubAck { packet_id: body.packet_id()? },
            PacketType::Subscribe => Self::Subscribe(Subscribe::parse(body)?),
            PacketType::SubAck => Self::SubAck(SubAck::parse(body)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::parse(body)?),
            PacketType::UnsubAck => Self::UnsubAck { packet_id: body.packet_id()? },
            PacketType::PingReq => Self::PingReq,
            PacketType::PingResp => Self::PingResp,
            PacketType::Disconnect => Self::Disconnect,
            PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
                return Err(Error::Unsupported(header.kind));
            }
        })
    }

    /// Writes the packet to the front of `out` and gives its length.
    ///
    /// # Errors
    /// [`EmitError::BufferTooSmall`] with the length needed; [`EmitError::Unencodable`] for a value
    /// that no packet can carry: a text with a NUL or beyond 65 535 bytes, a wildcard in a topic
    /// name, a packet identifier of zero, missing or too many, a DUP at QoS 0, an empty list, a
    /// password without a user name.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, EmitError> {
        let mut writer = Writer::new(out);
        self.write(&mut writer)?;
        if writer.fits() {
            Ok(writer.length())
        } else {
            Err(EmitError::BufferTooSmall { needed: writer.length() })
        }
    }

    /// Bytes that [`Packet::emit`] writes.
    ///
    /// # Errors
    /// For a value that no packet can carry.
    pub fn encoded_len(&self) -> Result<usize, EmitError> {
        let mut measure = Writer::new(&mut []);
        self.write(&mut measure)?;
        Ok(measure.length())
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        let mut measure = Writer::new(&mut []);
        self.write_body(&mut measure)?;
        FixedHeader::write(self.kind(), self.flags(), measure.length(), out)?;
        self.write_body(out)
    }

    fn write_body(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Connect(connect) => connect.write(out),
            Self::ConnAck { session_present, code } => {
                out.u8(u8::from(*session_present));
                out.u8(*code);
                Ok(())
            }
            Self::Publish(publish) => {
                publish.write_head(out)?;
                out.put(publish.payload);
                Ok(())
            }
            Self::PubAck { packet_id } | Self::UnsubAck { packet_id } => out.packet_id(*packet_id),
            Self::Subscribe(subscribe) => subscribe.write(out),
            Self::SubAck(suback) => suback.write(out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write(out),
            Self::PingReq | Self::PingResp | Self::Disconnect => Ok(()),
        }
    }

    /// The type of this packet.
    #[must_use]
    pub const fn kind(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck { .. } => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck { .. } => PacketType::PubAck,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck { .. } => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect => PacketType::Disconnect,
        }
    }

    fn flags(&self) -> u8 {
        match self {
            Self::Publish(publish) => publish.flags(),
            Self::Subscribe(_) | Self::Unsubscribe(_) => 0b0010,
            _ => 0,
        }
    }
}

/// 3.1 gives SUBSCRIBE and UNSUBSCRIBE a meaningful DUP bit and ignores what has no meaning; 3.1.1
/// fixes every bit but PUBLISH's.
fn check_flags(header: FixedHeader, version: Version) -> Result<(), Error> {
    let expected = match header.kind {
        PacketType::Publish => return Ok(()),
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
        _ => 0,
    };
    if version == Version::V31 || header.flags == expected { Ok(()) } else { Err(Error::Flags(header.flags)) }
}

/// The first byte means something in 3.1.1 only.
fn parse_connack<'a>(body: &mut Reader<'_>, version: Version) -> Result<Packet<'a>, Error> {
    let flags = body.u8()?;
    let code = body.u8()?;
    match (version, flags) {
        (Version::V31, _) => Ok(Packet::ConnAck { session_present: false, code }),
        (_, 0 | 1) => Ok(Packet::ConnAck { session_present: flags == 1, code }),
        _ => Err(Error::Flags(flags)),
    }
}
