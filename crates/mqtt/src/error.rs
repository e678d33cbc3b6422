use core::fmt;

use crate::{PacketType, reason};

/// The property that stands for a topic.
const TOPIC_ALIAS: u8 = 0x23;

/// Why bytes are not a packet that this codec takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A field reaches beyond the end of the packet.
    Truncated,
    /// The packet is longer than its fields.
    TrailingBytes,
    /// A variable byte integer, as the remaining length is one, does not end after four bytes.
    VarInt,
    /// The packet would be longer than its receiver allows; both in bytes.
    TooLarge {
        /// Length of the whole packet, fixed header included.
        length: usize,
        /// The longest packet allowed.
        max: usize,
    },
    /// The packet type is 0, or 15 in version 3, which reserves it.
    ReservedType(u8),
    /// A packet type that only QoS 2 or enhanced authentication needs.
    Unsupported(PacketType),
    /// The four flag bits of the fixed header are not those of this packet type.
    Flags(u8),
    /// A quality of service of 3, or a wider number where one is expected.
    QoS(u8),
    /// A text is not UTF-8, or holds U+0000.
    Text,
    /// A topic name is empty or holds a wildcard. In version 5 it may be empty beside a topic alias.
    Topic,
    /// A topic filter is empty.
    Filter,
    /// A packet identifier of zero.
    PacketId,
    /// The protocol name is neither `MQTT` nor `MQIsdp`: the peer does not speak MQTT.
    ProtocolName,
    /// MQTT of another version than 3.1, 3.1.1 and 5; the level it asked for.
    UnsupportedVersion(u8),
    /// A level that is served, beside the protocol name of another: `MQIsdp` belongs to level 3, `MQTT` to
    /// 4 and 5.
    VersionName(u8),
    /// The connect flags contradict each other or set the reserved bit.
    ConnectFlags(u8),
    /// A SUBSCRIBE, UNSUBSCRIBE or SUBACK without any entry.
    NoFilters,
    /// A code that this kind of packet does not have.
    ReturnCode(u8),
    /// Subscription options with reserved bits, or with a retain handling of 3.
    Options(u8),
    /// A property that does not exist, or does not belong into this packet.
    Property(u8),
    /// A property that may stand in a packet once stands there twice.
    PropertyTwice(u8),
    /// A property with a value that it may not have.
    PropertyValue(u8),
    /// Properties, reasons or options, which only version 5 has, in a packet of version 3.
    OnlyV5,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a field reaches beyond the end of the packet"),
            Self::TrailingBytes => f.write_str("the packet is longer than its fields"),
            Self::VarInt => f.write_str("a length or number does not end after four bytes"),
            Self::TooLarge { length, max } => {
                write!(f, "the packet has {length} bytes, at most {max} are taken")
            }
            Self::ReservedType(kind) => write!(f, "packet type {kind} is reserved"),
            Self::Unsupported(kind) => {
                write!(f, "{kind:?} belongs to QoS 2 or to enhanced authentication, which are not served")
            }
            Self::Flags(flags) => write!(f, "flags {flags:#06b} do not belong to this packet type"),
            Self::QoS(level) => write!(f, "QoS {level} does not exist"),
            Self::Text => f.write_str("a text is not UTF-8 or holds a NUL"),
            Self::Topic => f.write_str("a topic name is empty or holds a wildcard"),
            Self::Filter => f.write_str("a topic filter is empty"),
            Self::PacketId => f.write_str("a packet identifier is zero"),
            Self::ProtocolName => f.write_str("the protocol name is not MQTT's"),
            Self::UnsupportedVersion(level) => {
                write!(f, "protocol level {level} is not served, only 3 (MQTT 3.1), 4 (3.1.1) and 5")
            }
            Self::VersionName(level) => {
                let name = if *level == 3 { "MQTT" } else { "MQIsdp" };
                write!(
                    f,
                    "protocol name {name} does not belong to level {level}: MQIsdp is of level 3, MQTT of 4 and 5"
                )
            }
            Self::ConnectFlags(flags) => write!(f, "connect flags {flags:#010b} contradict each other"),
            Self::NoFilters => f.write_str("the packet lists no topic"),
            Self::ReturnCode(code) => write!(f, "this kind of packet has no code {code:#04x}"),
            Self::Options(options) => write!(f, "subscription options {options:#010b} do not exist"),
            Self::Property(id) => write!(f, "property {id:#04x} does not belong into this packet"),
            Self::PropertyTwice(id) => write!(f, "property {id:#04x} stands in the packet twice"),
            Self::PropertyValue(id) => write!(f, "property {id:#04x} has a value that it may not have"),
            Self::OnlyV5 => f.write_str("properties, reasons and options are of MQTT 5 only"),
        }
    }
}

impl core::error::Error for Error {}

impl Error {
    /// What a DISCONNECT or a refusing CONNACK of version 5 says of it.
    #[must_use]
    pub const fn reason(&self) -> u8 {
        match self {
            Self::TooLarge { .. } => reason::TOO_LARGE,
            Self::UnsupportedVersion(_) | Self::VersionName(_) => reason::VERSION,
            Self::PropertyValue(TOPIC_ALIAS) => reason::TOPIC_ALIAS,
            // Three is no retain handling; beyond it are bits that mean nothing.
            Self::Options(0x30..0x40) => reason::PROTOCOL_ERROR,
            Self::Unsupported(_)
            | Self::Topic
            | Self::PacketId
            | Self::NoFilters
            | Self::PropertyTwice(_)
            | Self::PropertyValue(_) => reason::PROTOCOL_ERROR,
            _ => reason::MALFORMED,
        }
    }
}

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
