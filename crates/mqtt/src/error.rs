use core::fmt;

use crate::PacketType;

/// Why bytes are not a packet that this codec takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A field reaches beyond the end of the packet.
    Truncated,
    /// The packet is longer than its fields.
    TrailingBytes,
    /// The remaining length does not end after four bytes.
    RemainingLength,
    /// The packet would be longer than its receiver allows; both in bytes.
    TooLarge {
        /// Length of the whole packet, fixed header included.
        length: usize,
        /// The longest packet allowed.
        max: usize,
    },
    /// The packet type is 0 or 15, which version 3 reserves.
    ReservedType(u8),
    /// A packet type that only QoS 2 needs.
    Unsupported(PacketType),
    /// The four flag bits of the fixed header are not those of this packet type.
    Flags(u8),
    /// A quality of service of 3, or a wider number where one is expected.
    QoS(u8),
    /// A text is not UTF-8, or holds U+0000.
    Text,
    /// A topic name is empty or holds a wildcard.
    Topic,
    /// A topic filter is empty.
    Filter,
    /// A packet identifier of zero.
    PacketId,
    /// The protocol name is neither `MQTT` nor `MQIsdp`: the peer does not speak MQTT.
    ProtocolName,
    /// MQTT of another version than 3.1 and 3.1.1; the level it asked for.
    UnsupportedVersion(u8),
    /// The connect flags contradict each other or set the reserved bit.
    ConnectFlags(u8),
    /// A SUBSCRIBE, UNSUBSCRIBE or SUBACK without any entry.
    NoFilters,
    /// A SUBACK code other than 0, 1, 2 and 0x80.
    ReturnCode(u8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a field reaches beyond the end of the packet"),
            Self::TrailingBytes => f.write_str("the packet is longer than its fields"),
            Self::RemainingLength => f.write_str("the remaining length is longer than four bytes"),
            Self::TooLarge { length, max } => {
                write!(f, "the packet has {length} bytes, at most {max} are taken")
            }
            Self::ReservedType(kind) => write!(f, "packet type {kind} is reserved"),
            Self::Unsupported(kind) => write!(f, "{kind:?} belongs to QoS 2, which is not served"),
            Self::Flags(flags) => write!(f, "flags {flags:#06b} do not belong to this packet type"),
            Self::QoS(level) => write!(f, "QoS {level} does not exist"),
            Self::Text => f.write_str("a text is not UTF-8 or holds a NUL"),
            Self::Topic => f.write_str("a topic name is empty or holds a wildcard"),
            Self::Filter => f.write_str("a topic filter is empty"),
            Self::PacketId => f.write_str("a packet identifier is zero"),
            Self::ProtocolName => f.write_str("the protocol name is not MQTT's"),
            Self::UnsupportedVersion(level) => {
                write!(f, "protocol level {level} is not served, only 3 (MQTT 3.1) and 4 (3.1.1)")
            }
            Self::ConnectFlags(flags) => write!(f, "connect flags {flags:#010b} contradict each other"),
            Self::NoFilters => f.write_str("the packet lists no topic"),
            Self::ReturnCode(code) => write!(f, "SUBACK code {code:#04x} does not exist"),
        }
    }
}

impl core::error::Error for Error {}

/// Why a packet was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitError {
    /// The buffer is shorter than the packet.
    BufferTooSmall {
        /// Bytes the packet needs.
        needed: usize,
    },
    /// No packet can carry this value; what `parse` would say of it.
    Unencodable(Error),
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed } => write!(f, "the packet needs a buffer of {needed} bytes"),
            Self::Unencodable(error) => write!(f, "no packet can carry this: {error}"),
        }
    }
}

impl core::error::Error for EmitError {}

impl From<Error> for EmitError {
    fn from(error: Error) -> Self {
        Self::Unencodable(error)
    }
}
