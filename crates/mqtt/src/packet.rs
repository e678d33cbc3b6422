//! All packets, both directions.

use crate::bytes::{Reader, Writer};
use crate::properties::place;
use crate::{
    Connect, EmitError, Error, FixedHeader, PacketType, Properties, Publish, SubAck, Subscribe, UnsubAck,
    Unsubscribe, Version, reason,
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
        /// One of [`crate::connack`], in version 5 of [`reason`], or an unknown number.
        code: u8,
        /// None in version 3.
        properties: Properties<'a>,
    },
    /// Either: a message.
    Publish(Publish<'a>),
    /// Either: answers a QoS 1 PUBLISH.
    PubAck {
        /// That of the PUBLISH.
        packet_id: u16,
        /// One of [`reason`]; in version 3 always [`reason::SUCCESS`].
        reason: u8,
        /// None in version 3.
        properties: Properties<'a>,
    },
    /// Client: asks for messages.
    Subscribe(Subscribe<'a>),
    /// Server: answers SUBSCRIBE.
    SubAck(SubAck<'a>),
    /// Client: asks for no more messages.
    Unsubscribe(Unsubscribe<'a>),
    /// Server: answers UNSUBSCRIBE.
    UnsubAck(UnsubAck<'a>),
    /// Client: still here.
    PingReq,
    /// Server: answers PINGREQ.
    PingResp,
    /// Client: goodbye. In version 5 the server may say it too.
    Disconnect {
        /// One of [`reason`]; in version 3 always [`reason::SUCCESS`].
        reason: u8,
        /// None in version 3.
        properties: Properties<'a>,
    },
}

impl<'a> Packet<'a> {
    /// A DISCONNECT that leaves in peace.
    pub const GOODBYE: Self = Self::disconnect(reason::SUCCESS);

    /// A PUBACK that says success.
    #[must_use]
    pub const fn puback(packet_id: u16) -> Self {
        Self::PubAck { packet_id, reason: reason::SUCCESS, properties: Properties::NONE }
    }

    /// A DISCONNECT without properties.
    #[must_use]
    pub const fn disconnect(reason: u8) -> Self {
        Self::Disconnect { reason, properties: Properties::NONE }
    }

    /// Reads one whole packet: exactly the bytes that [`crate::frame_len`] counted. `version` is the
    /// connection's; a CONNECT brings its own.
    ///
    /// # Errors
    /// Any [`Error`]; the connection is to be closed, after CONNACK 1 for
    /// [`Error::UnsupportedVersion`] and [`Error::VersionName`], and in version 5 after a DISCONNECT with [`Error::reason`].
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
            PacketType::Publish => Self::Publish(Publish::parse(header.flags, body, version)?),
            PacketType::PubAck => parse_puback(body, version)?,
            PacketType::Subscribe => Self::Subscribe(Subscribe::parse(body, version)?),
            PacketType::SubAck => Self::SubAck(SubAck::parse(body, version)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::parse(body, version)?),
            PacketType::UnsubAck => Self::UnsubAck(UnsubAck::parse(body, version)?),
            PacketType::PingReq => Self::PingReq,
            PacketType::PingResp => Self::PingResp,
            PacketType::Disconnect => {
                let (reason, properties) = parse_reason(header.kind, body, version, place::DISCONNECT)?;
                Self::Disconnect { reason, properties }
            }
            PacketType::Auth if version != Version::V5 => {
                return Err(Error::ReservedType(header.kind as u8));
            }
            PacketType::PubRec | PacketType::PubRel | PacketType::PubComp | PacketType::Auth => {
                return Err(Error::Unsupported(header.kind));
            }
        })
    }

    /// Writes the packet to the front of `out` and gives its length. `version` is the connection's; a
    /// CONNECT is written in its own.
    ///
    /// # Errors
    /// [`EmitError::BufferTooSmall`] with the length needed; [`EmitError::Unencodable`] for a value
    /// that no packet can carry: a text with a NUL or beyond 65 535 bytes, a wildcard in a topic
    /// name, a packet identifier of zero, missing or too many, a DUP at QoS 0, an empty list, a
    /// property out of its place, and whatever `version` does not have.
    pub fn emit(&self, version: Version, out: &mut [u8]) -> Result<usize, EmitError> {
        let mut writer = Writer::new(out);
        self.write(&mut writer, version)?;
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
    pub fn encoded_len(&self, version: Version) -> Result<usize, EmitError> {
        let mut measure = Writer::new(&mut []);
        self.write(&mut measure, version)?;
        Ok(measure.length())
    }

    fn write(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        let mut measure = Writer::new(&mut []);
        self.write_body(&mut measure, version)?;
        FixedHeader::write(self.kind(), self.flags(), measure.length(), out)?;
        self.write_body(out, version)
    }

    fn write_body(&self, out: &mut Writer<'_>, version: Version) -> Result<(), Error> {
        match self {
            Self::Connect(connect) => connect.write(out),
            Self::ConnAck { session_present, code, properties } => {
                out.u8(u8::from(*session_present));
                out.u8(*code);
                version.write_properties(properties, out, place::CONNACK)
            }
            Self::Publish(publish) => {
                publish.write_head(out, version)?;
                out.put(publish.payload);
                Ok(())
            }
            Self::PubAck { packet_id, reason, properties } => {
                out.packet_id(*packet_id)?;
                write_reason(PacketType::PubAck, *reason, properties, out, version, place::PUBACK)
            }
            Self::Subscribe(subscribe) => subscribe.write(out, version),
            Self::SubAck(suback) => suback.write(out, version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write(out, version),
            Self::UnsubAck(unsuback) => unsuback.write(out, version),
            Self::PingReq | Self::PingResp => Ok(()),
            Self::Disconnect { reason, properties } => {
                write_reason(PacketType::Disconnect, *reason, properties, out, version, place::DISCONNECT)
            }
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
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect { .. } => PacketType::Disconnect,
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

/// 3.1 gives SUBSCRIBE and UNSUBSCRIBE a meaningful DUP bit and ignores what has no meaning; later
/// versions fix every bit but PUBLISH's.
fn check_flags(header: FixedHeader, version: Version) -> Result<(), Error> {
    let expected = match header.kind {
        PacketType::Publish => return Ok(()),
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
        _ => 0,
    };
    if version == Version::V31 || header.flags == expected { Ok(()) } else { Err(Error::Flags(header.flags)) }
}

/// The first byte means something since 3.1.1. A server that does not speak version 5 refuses it in a
/// form without properties.
fn parse_connack<'a>(body: &mut Reader<'a>, version: Version) -> Result<Packet<'a>, Error> {
    let flags = body.u8()?;
    let code = body.u8()?;
    let session_present = match (version, flags) {
        (Version::V31, _) | (_, 0) => false,
        (_, 1) => true,
        _ => return Err(Error::Flags(flags)),
    };
    let properties =
        if body.is_empty() { Properties::NONE } else { version.properties(body, place::CONNACK)? };
    Ok(Packet::ConnAck { session_present, code, properties })
}

fn parse_puback<'a>(body: &mut Reader<'a>, version: Version) -> Result<Packet<'a>, Error> {
    let packet_id = body.packet_id()?;
    let (reason, properties) = parse_reason(PacketType::PubAck, body, version, place::PUBACK)?;
    Ok(Packet::PubAck { packet_id, reason, properties })
}

/// A reason and properties at the end of a packet; both, or the latter, are left out when they say
/// nothing.
fn parse_reason<'a>(
    kind: PacketType,
    body: &mut Reader<'a>,
    version: Version,
    place: u16,
) -> Result<(u8, Properties<'a>), Error> {
    if version != Version::V5 || body.is_empty() {
        return Ok((reason::SUCCESS, Properties::NONE));
    }
    let code = reason::of(kind, body.u8()?)?;
    let properties = if body.is_empty() { Properties::NONE } else { Properties::parse(body, place)? };
    Ok((code, properties))
}

fn write_reason(
    kind: PacketType,
    code: u8,
    properties: &Properties<'_>,
    out: &mut Writer<'_>,
    version: Version,
    place: u16,
) -> Result<(), Error> {
    if code == reason::SUCCESS && properties.is_empty() {
        return Ok(());
    }
    if version != Version::V5 {
        return Err(Error::OnlyV5);
    }
    out.u8(reason::of(kind, code)?);
    if properties.is_empty() { Ok(()) } else { properties.write(out, place) }
}
