//! Reason codes of MQTT 5: why something was not done. From 0x80 on they are failures.

use crate::{Error, PacketType, QoS};

/// Done; also "normal disconnection" and "granted QoS 0".
pub const SUCCESS: u8 = 0x00;
/// DISCONNECT: publish the will all the same.
pub const WITH_WILL: u8 = 0x04;
/// PUBACK: taken, but nobody listens.
pub const NO_SUBSCRIBERS: u8 = 0x10;
/// UNSUBACK: there was no such subscription.
pub const NO_SUBSCRIPTION: u8 = 0x11;
/// Failed, for a reason that is not told.
pub const UNSPECIFIED: u8 = 0x80;
/// The packet cannot be read.
pub const MALFORMED: u8 = 0x81;
/// The packet can be read, and must not be sent.
pub const PROTOCOL_ERROR: u8 = 0x82;
/// Valid, and not accepted by this server.
pub const IMPLEMENTATION: u8 = 0x83;
/// The version of the protocol is not served.
pub const VERSION: u8 = 0x84;
/// The client identifier is not accepted.
pub const CLIENT_ID: u8 = 0x85;
/// User name or password are wrong.
pub const BAD_LOGIN: u8 = 0x86;
/// Not allowed to this client.
pub const NOT_AUTHORISED: u8 = 0x87;
/// The server cannot serve.
pub const UNAVAILABLE: u8 = 0x88;
/// The server is busy.
pub const BUSY: u8 = 0x89;
/// The client is banned.
pub const BANNED: u8 = 0x8a;
/// The server stops.
pub const SHUTTING_DOWN: u8 = 0x8b;
/// The authentication method is not served.
pub const AUTH_METHOD: u8 = 0x8c;
/// Nothing came for one and a half times the keepalive.
pub const KEEP_ALIVE: u8 = 0x8d;
/// A newer connection of the same client.
pub const TAKEN_OVER: u8 = 0x8e;
/// The topic filter is not accepted.
pub const TOPIC_FILTER: u8 = 0x8f;
/// The topic name is not accepted.
pub const TOPIC_NAME: u8 = 0x90;
/// The packet identifier is in use.
pub const PACKET_ID_IN_USE: u8 = 0x91;
/// More messages wait for their PUBACK than the Receive Maximum allows.
pub const RECEIVE_MAXIMUM: u8 = 0x93;
/// A topic alias of zero, or above the maximum.
pub const TOPIC_ALIAS: u8 = 0x94;
/// The packet is longer than its receiver takes.
pub const TOO_LARGE: u8 = 0x95;
/// Messages come too fast.
pub const RATE: u8 = 0x96;
/// A limit of the receiver is exceeded.
pub const QUOTA: u8 = 0x97;
/// An operator ended the connection.
pub const ADMINISTRATIVE: u8 = 0x98;
/// The payload is not in the format announced.
pub const PAYLOAD_FORMAT: u8 = 0x99;
/// Retained messages are not served.
pub const RETAIN: u8 = 0x9a;
/// The quality of service is not served.
pub const QOS: u8 = 0x9b;
/// Another server is to be used for now.
pub const USE_ANOTHER_SERVER: u8 = 0x9c;
/// Another server is to be used from now on.
pub const SERVER_MOVED: u8 = 0x9d;
/// Shared subscriptions are not served.
pub const SHARED_SUBSCRIPTION: u8 = 0x9e;
/// Connections come too fast.
pub const CONNECTION_RATE: u8 = 0x9f;
/// The connection has lasted as long as it may.
pub const CONNECT_TIME: u8 = 0xa0;
/// Subscription identifiers are not served.
pub const SUBSCRIPTION_ID: u8 = 0xa1;
/// Wildcards in filters are not served.
pub const WILDCARD: u8 = 0xa2;

const PUBACK: &[u8] = &[
    SUCCESS,
    NO_SUBSCRIBERS,
    UNSPECIFIED,
    IMPLEMENTATION,
    NOT_AUTHORISED,
    TOPIC_NAME,
    PACKET_ID_IN_USE,
    QUOTA,
    PAYLOAD_FORMAT,
];

const SUBACK: &[u8] = &[
    QoS::AtMostOnce.level(),
    QoS::AtLeastOnce.level(),
    QoS::ExactlyOnce.level(),
    UNSPECIFIED,
    IMPLEMENTATION,
    NOT_AUTHORISED,
    TOPIC_FILTER,
    PACKET_ID_IN_USE,
    QUOTA,
    SHARED_SUBSCRIPTION,
    SUBSCRIPTION_ID,
    WILDCARD,
];

const UNSUBACK: &[u8] =
    &[SUCCESS, NO_SUBSCRIPTION, UNSPECIFIED, IMPLEMENTATION, NOT_AUTHORISED, TOPIC_FILTER, PACKET_ID_IN_USE];

const DISCONNECT: &[u8] = &[
    SUCCESS,
    WITH_WILL,
    UNSPECIFIED,
    MALFORMED,
    PROTOCOL_ERROR,
    IMPLEMENTATION,
    NOT_AUTHORISED,
    BUSY,
    SHUTTING_DOWN,
    AUTH_METHOD,
    KEEP_ALIVE,
    TAKEN_OVER,
    TOPIC_FILTER,
    TOPIC_NAME,
    RECEIVE_MAXIMUM,
    TOPIC_ALIAS,
    TOO_LARGE,
    RATE,
    QUOTA,
    ADMINISTRATIVE,
    PAYLOAD_FORMAT,
    RETAIN,
    QOS,
    USE_ANOTHER_SERVER,
    SERVER_MOVED,
    SHARED_SUBSCRIPTION,
    CONNECTION_RATE,
    CONNECT_TIME,
    SUBSCRIPTION_ID,
    WILDCARD,
];

/// The code, if the standard gives it a meaning in this kind of packet.
pub(crate) fn of(kind: PacketType, code: u8) -> Result<u8, Error> {
    let known = match kind {
        PacketType::PubAck => PUBACK,
        PacketType::SubAck => SUBACK,
        PacketType::UnsubAck => UNSUBACK,
        _ => DISCONNECT,
    };
    if known.contains(&code) { Ok(code) } else { Err(Error::ReturnCode(code)) }
}
