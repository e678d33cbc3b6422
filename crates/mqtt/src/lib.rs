//! MQTT packets, borrow-only: versions 3.1 (`MQIsdp`, level 3), 3.1.1 (`MQTT`, level 4) and 5 (`MQTT`,
//! level 5).
//!
//! One codec for both ends of a connection, without allocation, clock or socket. A whole packet is
//! found in a stream with [`frame_len`], read with [`Packet::parse`] and written with
//! [`Packet::emit`]; a parsed packet borrows from the bytes it was read from.
//!
//! **`parse` and `emit` are inverse**: what `emit` writes, `parse` reads back as an equal value, and
//! a value that no packet can carry is refused by `emit` rather than written wrongly.
//!
//! QoS 0 and 1 are carried whole. A QoS 2 PUBLISH can be read, so that its receiver can say why it
//! hangs up; the packets that only QoS 2 needs are [`Error::Unsupported`], and so is AUTH.
#![no_std]

mod bytes;
mod connect;
mod error;
mod frame;
mod list;
mod packet;
mod properties;
mod publish;
pub mod reason;
mod subscribe;

pub use connect::{Connect, Will, connack};
pub use error::{EmitError, Error};
pub use frame::{FixedHeader, MAX_REMAINING, PacketType, frame_len};
pub use packet::Packet;
pub use properties::{Properties, Property, SubscriptionId};
pub use publish::{Publish, publish_header};
pub use subscribe::{
    Filters, Options, RetainHandling, SUBACK_FAILURE, SubAck, Subscribe, Topics, UnsubAck, Unsubscribe,
};

use bytes::{Reader, Writer};

/// The protocol version of a connection, fixed by its CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    #[default]
    V311,
    /// MQTT 5: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Self::V31 => "MQIsdp",
            Self::V311 | Self::V5 => "MQTT",
        }
    }

    fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// The properties at this place of a packet; version 3 has none.
    fn properties<'a>(self, body: &mut Reader<'a>, place: u16) -> Result<Properties<'a>, Error> {
        if self == Self::V5 { Properties::parse(body, place) } else { Ok(Properties::NONE) }
    }

    fn write_properties(
        self,
        properties: &Properties<'_>,
        out: &mut Writer<'_>,
        place: u16,
    ) -> Result<(), Error> {
        match self {
            Self::V5 => properties.write(out, place),
            _ if properties.is_empty() => Ok(()),
            _ => Err(Error::OnlyV5),
        }
    }
}

/// Quality of service of a message or a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum QoS {
    /// 0: sent once, never acknowledged.
    #[default]
    AtMostOnce,
    /// 1: acknowledged with a PUBACK, may arrive twice.
    AtLeastOnce,
    /// 2: carried by the codec, served by nobody here.
    ExactlyOnce,
}

impl QoS {
    /// The level as a number, 0 to 2.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// The level with this number.
    ///
    /// # Errors
    /// [`Error::QoS`] for any number above 2.
    pub const fn from_level(level: u8) -> Result<Self, Error> {
        match level {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(Error::QoS(other)),
        }
    }
}
