//! Packets of version 3 of an independent codec (`rmqtt-codec`), made at random and compared with ours.

pub(crate) mod v5;

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use otaru_mqtt::{Packet, QoS, UnsubAck, Version};
use proptest::prelude::*;
use rmqtt_codec::types::{Protocol, Publish, QoS as TheirQoS};
use rmqtt_codec::v3::{
    Codec, Connect, ConnectAck, ConnectAckReason, LastWill, Packet as Theirs, SubscribeReturnCode,
};
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Any packet that both codecs know, with the version it belongs to.
pub(crate) fn any_packet() -> impl Strategy<Value = (Theirs, Version)> {
    let version = prop_oneof![Just(Version::V31), Just(Version::V311)];
    version.prop_flat_map(|version| (packet_of(version), Just(version)))
}

/// The packet as the independent codec writes it.
pub(crate) fn their_bytes(packet: &Theirs, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    Codec::default().encode(packet.clone(), &mut out).unwrap();
    let mut bytes = out.to_vec();
    if matches!((packet, version), (Theirs::Connect(_), Version::V31)) {
        // rmqtt-codec 0.3.1 writes level 4 after the name MQIsdp, and reads both.
        let name = bytes.windows(6).position(|window| window == b"MQIsdp").unwrap();
        bytes[name + 6] = 3;
    }
    bytes
}

/// What the independent codec reads.
pub(crate) fn their_parse(bytes: &[u8]) -> Theirs {
    Codec::default().decode(&mut BytesMut::from(bytes)).unwrap().unwrap().0
}

/// Our packet in the independent codec's terms.
pub(crate) fn to_theirs(packet: &Packet<'_>) -> Theirs {
    match packet {
        Packet::Connect(connect) => Theirs::Connect(Box::new(Connect {
            protocol: Protocol(if connect.version == Version::V31 { 3 } else { 4 }),
            clean_session: connect.clean,
            keep_alive: connect.keep_alive,
            last_will: connect.will.map(|will| LastWill {
                qos: their_qos(will.qos),
                retain: will.retain,
                topic: will.topic.into(),
                message: Bytes::copy_from_slice(will.message),
            }),
            client_id: connect.client_id.into(),
            username: connect.username.map(ByteString::from),
            password: connect.password.map(Bytes::copy_from_slice),
            cert: None,
        })),
        Packet::ConnAck { session_present, code, .. } => Theirs::ConnectAck(ConnectAck {
            return_code: ConnectAckReason::try_from(*code).unwrap(),
            session_present: *session_present,
        }),
        Packet::Publish(publish) => Theirs::Publish(Box::new(Publish {
            dup: publish.dup,
            retain: publish.retain,
            qos: their_qos(publish.qos),
            topic: publish.topic.into(),
            packet_id: publish.packet_id.map(id),
            payload: Bytes::copy_from_slice(publish.payload),
            properties: None,
        })),
        Packet::PubAck { packet_id, .. } => Theirs::PublishAck { packet_id: id(*packet_id) },
        Packet::Subscribe(subscribe) => Theirs::Subscribe {
            packet_id: id(subscribe.packet_id),
            topic_filters: subscribe
                .filters
                .iter()
                .map(|(filter, options)| (filter.into(), their_qos(options.qos)))
                .collect(),
        },
        Packet::SubAck(suback) => Theirs::SubscribeAck {
            packet_id: id(suback.packet_id),
            status: suback.codes.iter().map(|&code| their_code(code)).collect(),
        },
        Packet::Unsubscribe(unsubscribe) => Theirs::Unsubscribe {
            packet_id: id(unsubscribe.packet_id),
            topic_filters: unsubscribe.filters.iter().map(ByteString::from).collect(),
        },
        Packet::UnsubAck(UnsubAck { packet_id, .. }) => Theirs::UnsubscribeAck { packet_id: id(*packet_id) },
        Packet::PingReq => Theirs::PingRequest,
        Packet::PingResp => Theirs::PingResponse,
        Packet::Disconnect { .. } => Theirs::Disconnect,
        other => panic!("{other:?} is new to this test"),
    }
}

fn their_qos(qos: QoS) -> TheirQoS {
    TheirQoS::try_from(qos.level()).unwrap()
}

fn their_code(code: u8) -> SubscribeReturnCode {
    TheirQoS::try_from(code).map_or(SubscribeReturnCode::Failure, SubscribeReturnCode::Success)
}

fn id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).unwrap()
}

fn packet_of(version: Version) -> impl Strategy<Value = Theirs> {
    prop_oneof![
        connect(version),
        connack(version),
        publish(),
        any_id().prop_map(|packet_id| Theirs::PublishAck { packet_id }),
        any_id().prop_map(|packet_id| Theirs::UnsubscribeAck { packet_id }),
        (any_id(), prop::collection::vec((text("[a-z/+#é]{1,40}"), qos()), 1..9))
            .prop_map(|(packet_id, topic_filters)| Theirs::Subscribe { packet_id, topic_filters }),
        (any_id(), prop::collection::vec(text("[a-z/+#é]{1,40}"), 1..9))
            .prop_map(|(packet_id, topic_filters)| Theirs::Unsubscribe { packet_id, topic_filters }),
        (any_id(), prop::collection::vec(suback_code(), 1..9))
            .prop_map(|(packet_id, status)| Theirs::SubscribeAck { packet_id, status }),
        Just(Theirs::PingRequest),
        Just(Theirs::PingResponse),
        Just(Theirs::Disconnect),
    ]
}

fn connect(version: Version) -> impl Strategy<Value = Theirs> {
    let protocol = Protocol(if version == Version::V31 { 3 } else { 4 });
    let login = prop::option::of((text("\\PC{0,30}"), prop::option::of(payload(0..40))));
    // The independent codec refuses an empty client id without a clean session.
    (any::<bool>(), any::<u16>(), prop::option::of(will()), text("\\PC{1,200}"), login).prop_map(
        move |(clean_session, keep_alive, last_will, client_id, login)| {
            let (username, password) = login.map_or((None, None), |(name, password)| (Some(name), password));
            Theirs::Connect(Box::new(Connect {
                protocol,
                clean_session,
                keep_alive,
                last_will,
                client_id,
                username,
                password,
                cert: None,
            }))
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Theirs> {
    (any::<bool>(), 0u8..6).prop_map(move |(present, code)| {
        Theirs::ConnectAck(ConnectAck {
            return_code: ConnectAckReason::try_from(code).unwrap(),
            session_present: present && version != Version::V31,
        })
    })
}

fn publish() -> impl Strategy<Value = Theirs> {
    // Lengths around the places where the remaining length takes another byte.
    let payload = prop_oneof![payload(0..20), payload(100..160), payload(16_300..16_400)];
    (any::<bool>(), any::<bool>(), qos(), any_id(), text("[a-z/é]{1,60}"), payload).prop_map(
        |(dup, retain, qos, packet_id, topic, payload)| {
            let acknowledged = qos != TheirQoS::AtMostOnce;
            Theirs::Publish(Box::new(Publish {
                dup: dup && acknowledged,
                retain,
                qos,
                topic,
                packet_id: acknowledged.then_some(packet_id),
                payload,
                properties: None,
            }))
        },
    )
}

fn will() -> impl Strategy<Value = LastWill> {
    (qos(), any::<bool>(), text("[a-z/é]{1,60}"), payload(0..100))
        .prop_map(|(qos, retain, topic, message)| LastWill { qos, retain, topic, message })
}

fn qos() -> impl Strategy<Value = TheirQoS> {
    (0u8..3).prop_map(|level| TheirQoS::try_from(level).unwrap())
}

fn suback_code() -> impl Strategy<Value = SubscribeReturnCode> {
    prop_oneof![Just(SubscribeReturnCode::Failure), qos().prop_map(SubscribeReturnCode::Success)]
}

fn any_id() -> impl Strategy<Value = NonZeroU16> {
    (1u16..).prop_map(id)
}

fn text(pattern: &'static str) -> impl Strategy<Value = ByteString> {
    pattern.prop_map(ByteString::from)
}

fn payload(length: std::ops::Range<usize>) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), length).prop_map(Bytes::from)
}
