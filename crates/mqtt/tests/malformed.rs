//! Each way in which bytes can fail to be a packet of version 3 has its own answer.
#![allow(clippy::unwrap_used, missing_docs)]

use otaru_mqtt::{
    Connect, EmitError, Error, Filters, FixedHeader, MAX_REMAINING, Options, Packet, PacketType, Properties,
    Property, Publish, QoS, SubAck, Subscribe, Topics, UnsubAck, Unsubscribe, Version, Will, frame_len,
    publish_header, reason,
};

/// A packet of this first byte and body, shorter than 128 bytes.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

fn refused(first: u8, body: &[u8]) -> Error {
    let bytes = packet(first, body);
    Packet::parse(&bytes, Version::V311).unwrap_err()
}

fn taken_by_31(first: u8, body: &[u8]) -> bool {
    Packet::parse(&packet(first, body), Version::V31).is_ok()
}

#[test]
fn remaining_length_takes_one_to_four_bytes() {
    for (bytes, remaining) in [
        (&[0x30, 0x00][..], 0),
        (&[0x30, 0x7f], 127),
        (&[0x30, 0x80, 0x01], 128),
        (&[0x30, 0xff, 0x7f], 16_383),
        (&[0x30, 0x80, 0x80, 0x01], 16_384),
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], MAX_REMAINING),
    ] {
        let header = FixedHeader::parse(bytes).unwrap().unwrap();
        assert_eq!((header.remaining, header.header_len), (remaining, bytes.len()));
        for end in 0..bytes.len() {
            assert_eq!(FixedHeader::parse(&bytes[..end]), Ok(None));
        }
    }
    assert_eq!(frame_len(&[0x30, 0x80, 0x80, 0x80, 0x80], usize::MAX), Err(Error::VarInt));
}

#[test]
fn padded_remaining_length_is_taken() {
    assert_eq!(Packet::parse(&[0xc0, 0x80, 0x80, 0x00], Version::V311), Ok(Packet::PingReq));
}

#[test]
fn a_packet_beyond_the_limit_is_refused_by_its_header() {
    assert_eq!(frame_len(&[0x30, 0x0a], 12), Ok(Some(12)));
    assert_eq!(frame_len(&[0x30, 0x0b], 12), Err(Error::TooLarge { length: 13, max: 12 }));
}

#[test]
fn reserved_and_unserved_types() {
    assert_eq!(frame_len(&[0x00], 100), Err(Error::ReservedType(0)));
    assert_eq!(refused(0xf0, &[]), Error::ReservedType(15));
    assert_eq!(refused(0x50, &[0, 1]), Error::Unsupported(PacketType::PubRec));
    assert_eq!(refused(0x62, &[0, 1]), Error::Unsupported(PacketType::PubRel));
    assert_eq!(refused(0x70, &[0, 1]), Error::Unsupported(PacketType::PubComp));
}

#[test]
fn flags_are_fixed_in_311_and_free_in_31() {
    for (first, body) in [
        (0x11, &b"\0\x04MQTT\x04\x02\0\0\0\0"[..]),
        (0x21, &[0, 0]),
        (0x41, &[0, 1]),
        (0x80, &[0, 1, 0, 1, b'a', 0]),
        (0x8a, &[0, 1, 0, 1, b'a', 0]),
        (0xa0, &[0, 1, 0, 1, b'a']),
        (0xb2, &[0, 1]),
        (0xc1, &[]),
        (0xd1, &[]),
        (0xe8, &[]),
    ] {
        assert_eq!(refused(first, body), Error::Flags(first & 0x0f), "{first:#x}");
        assert!(taken_by_31(first, body), "{first:#x}");
    }
}

#[test]
fn lengths_must_agree() {
    assert_eq!(Packet::parse(&[], Version::V311), Err(Error::Truncated));
    assert_eq!(Packet::parse(&[0xc0], Version::V311), Err(Error::Truncated));
    assert_eq!(Packet::parse(&[0xc0, 1], Version::V311), Err(Error::Truncated));
    assert_eq!(Packet::parse(&[0xc0, 0, 0], Version::V311), Err(Error::TrailingBytes));
    assert_eq!(refused(0xc0, &[0]), Error::TrailingBytes);
    assert_eq!(refused(0x40, &[0]), Error::Truncated);
    assert_eq!(refused(0x40, &[0, 1, 2]), Error::TrailingBytes);
    assert_eq!(refused(0x30, &[0, 5, b'a']), Error::Truncated);
    assert_eq!(refused(0x82, &[0, 1, 0, 1, b'a']), Error::Truncated);
}

#[test]
fn publish_errors() {
    assert_eq!(refused(0x36, &[0, 1, b'a', 0, 1]), Error::QoS(3));
    assert_eq!(refused(0x32, &[0, 1, b'a', 0, 0]), Error::PacketId);
    assert_eq!(refused(0x30, &[0, 0]), Error::Topic);
    assert_eq!(refused(0x30, &[0, 2, b'a', b'#']), Error::Topic);
    assert_eq!(refused(0x30, &[0, 1, b'+']), Error::Topic);
    assert_eq!(refused(0x30, &[0, 1, 0]), Error::Text);
    assert_eq!(refused(0x30, &[0, 1, 0xff]), Error::Text);
    // A surrogate is not UTF-8.
    assert_eq!(refused(0x30, &[0, 3, 0xed, 0xa0, 0x80]), Error::Text);
}

#[test]
fn duplicate_flag_means_nothing_at_qos_0() {
    let bytes = packet(0x38, &[0, 1, b'a']);
    let Packet::Publish(publish) = Packet::parse(&bytes, Version::V311).unwrap() else {
        panic!("not a PUBLISH")
    };
    assert!(!publish.dup);
}

#[test]
fn list_errors() {
    for first in [0x82, 0xa2] {
        assert_eq!(refused(first, &[0, 1]), Error::NoFilters);
        assert_eq!(refused(first, &[0, 0, 0, 1, b'a', 0]), Error::PacketId);
        assert_eq!(refused(first, &[0, 1, 0, 0, 0]), Error::Filter);
    }
    assert_eq!(refused(0x82, &[0, 1, 0, 1, b'a', 3]), Error::QoS(3));
    assert_eq!(refused(0x82, &[0, 1, 0, 1, b'a', 0x81]), Error::QoS(0x81));
    assert_eq!(refused(0x90, &[0, 1]), Error::NoFilters);
    assert_eq!(refused(0x90, &[0, 1, 3]), Error::ReturnCode(3));
}

#[test]
fn connect_errors() {
    for (body, error) in [
        (&b"\0\x04MQTX\x04\x02\0\0\0\0"[..], Error::ProtocolName),
        (b"\0\x00\x04\x02\0\0\0\0", Error::ProtocolName),
        (b"\0\x04MQTT\x06\x02\0\0\0\0\0", Error::UnsupportedVersion(6)),
        (b"\0\x06MQIsdp\x05\x02\0\0\0\0", Error::VersionName(5)),
        (b"\0\x04MQTT\x03\x02\0\0\0\0", Error::VersionName(3)),
        (b"\0\x06MQIsdp\x04\x02\0\0\0\0", Error::VersionName(4)),
        (b"\0\x04MQTT\x84\x02\0\0\0\0", Error::UnsupportedVersion(0x84)),
        (b"\0\x04MQTT\x04\x03\0\0\0\0", Error::ConnectFlags(3)),
        (b"\0\x04MQTT\x04\x40\0\0\0\0\0\0", Error::ConnectFlags(0x40)),
        (b"\0\x04MQTT\x04\x20\0\0\0\0", Error::ConnectFlags(0x20)),
        (b"\0\x04MQTT\x04\x08\0\0\0\0", Error::ConnectFlags(0x08)),
        (b"\0\x04MQTT\x04\x1c\0\0\0\0\0\x01a\0\0", Error::QoS(3)),
        (b"\0\x04MQTT\x04\x04\0\0\0\0\0\0\0\0", Error::Topic),
        (b"\0\x04MQTT\x04\x80\0\0\0\0", Error::Truncated),
        (b"\0\x04MQTT\x04\x02\0\0\0\x01\0", Error::Text),
        (b"\0\x04MQTT\x04\x02\0\0\0\0\0", Error::TrailingBytes),
        (b"\0\x04MQTT\x04\x02\0", Error::Truncated),
    ] {
        assert_eq!(refused(0x10, body), error, "{body:02x?}");
    }
}

#[test]
fn version_31_overlooks_what_it_does_not_know() {
    let body = b"\0\x06MQIsdp\x03\xe1\0\0\0\x01c";
    let bytes = packet(0x10, body);
    let Packet::Connect(connect) = Packet::parse(&bytes, Version::V311).unwrap() else {
        panic!("not a CONNECT")
    };
    // Announced but not sent: 3.1 lets the remaining length overrule the flags.
    assert_eq!((connect.version, connect.username, connect.password), (Version::V31, None, None));
    assert_eq!(
        Packet::parse(&[0x20, 2, 7, 0], Version::V31),
        Ok(Packet::ConnAck { session_present: false, code: 0, properties: Properties::NONE })
    );
    assert_eq!(Packet::parse(&[0x20, 2, 7, 0], Version::V311), Err(Error::Flags(7)));
}

#[test]
fn what_no_packet_can_carry_is_not_written() {
    let long = "a".repeat(65_536);
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a",
        packet_id: None,
        properties: Properties::NONE,
        payload: &[],
    };
    let connect = Connect {
        version: Version::V311,
        client_id: "",
        username: None,
        password: None,
        keep_alive: 0,
        clean: true,
        properties: Properties::NONE,
        will: None,
    };
    let properties = Properties::NONE;
    let will = Will { topic: "#", message: &[], qos: QoS::AtMostOnce, retain: false, properties };
    let subscribe = |filters| Packet::Subscribe(Subscribe { packet_id: 1, properties, filters });
    let no_local = [("a", Options { no_local: true, ..Options::default() })];
    let nameless = [("", Options::default())];
    let only_v5 = Properties::new(&[Property::User(("a", "b"))]);
    let packets = [
        (Packet::puback(0), Error::PacketId),
        (Packet::UnsubAck(UnsubAck { packet_id: 0, properties, codes: &[] }), Error::PacketId),
        (Packet::UnsubAck(UnsubAck { packet_id: 1, properties, codes: &[0] }), Error::OnlyV5),
        (Packet::PubAck { packet_id: 1, reason: reason::NOT_AUTHORISED, properties }, Error::OnlyV5),
        (Packet::disconnect(reason::KEEP_ALIVE), Error::OnlyV5),
        (Packet::ConnAck { session_present: false, code: 0, properties: only_v5 }, Error::OnlyV5),
        (Packet::Publish(Publish { properties: only_v5, ..publish }), Error::OnlyV5),
        (Packet::Connect(Connect { properties: only_v5, ..connect }), Error::OnlyV5),
        (subscribe(Filters::new(&no_local)), Error::OnlyV5),
        (Packet::Publish(Publish { topic: "a/+", ..publish }), Error::Topic),
        (Packet::Publish(Publish { topic: "", ..publish }), Error::Topic),
        (Packet::Publish(Publish { topic: "a\0", ..publish }), Error::Text),
        (
            Packet::Publish(Publish { topic: &long, ..publish }),
            Error::TooLarge { length: 65_536, max: 65_535 },
        ),
        (Packet::Publish(Publish { packet_id: Some(1), ..publish }), Error::PacketId),
        (Packet::Publish(Publish { qos: QoS::AtLeastOnce, ..publish }), Error::PacketId),
        (Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_id: Some(0), ..publish }), Error::PacketId),
        (Packet::Publish(Publish { dup: true, ..publish }), Error::Flags(8)),
        (Packet::Connect(Connect { password: Some(b"p"), ..connect }), Error::ConnectFlags(0x42)),
        (Packet::Connect(Connect { client_id: "\0", ..connect }), Error::Text),
        (Packet::Connect(Connect { will: Some(will), ..connect }), Error::Topic),
        (subscribe(Filters::new(&[])), Error::NoFilters),
        (subscribe(Filters::new(&nameless)), Error::Filter),
        (
            Packet::Unsubscribe(Unsubscribe { packet_id: 1, properties, filters: Topics::new(&[]) }),
            Error::NoFilters,
        ),
        (
            Packet::Unsubscribe(Unsubscribe { packet_id: 0, properties, filters: Topics::new(&["a"]) }),
            Error::PacketId,
        ),
        (Packet::SubAck(SubAck { packet_id: 1, properties, codes: &[] }), Error::NoFilters),
        (Packet::SubAck(SubAck { packet_id: 1, properties, codes: &[4] }), Error::ReturnCode(4)),
    ];
    for (packet, error) in packets {
        assert_eq!(
            packet.emit(Version::V311, &mut [0; 70_000]),
            Err(EmitError::Unencodable(error)),
            "{packet:?}"
        );
        assert_eq!(packet.encoded_len(Version::V311), Err(EmitError::Unencodable(error)), "{packet:?}");
    }
    assert_eq!(
        publish_header(&publish, MAX_REMAINING, Version::V311, &mut [0; 100]),
        Err(EmitError::Unencodable(Error::TooLarge { length: MAX_REMAINING + 3, max: MAX_REMAINING }))
    );
}

#[test]
fn lists_are_equal_by_entries_wherever_they_are_kept() {
    let filters = [("a/+", QoS::AtLeastOnce.into()), ("b", QoS::AtMostOnce.into())];
    let subscribe =
        |filters| Packet::Subscribe(Subscribe { packet_id: 7, properties: Properties::NONE, filters });
    let given = subscribe(Filters::new(&filters));
    let mut out = [0; 64];
    let length = given.emit(Version::V311, &mut out).unwrap();
    assert_eq!(Packet::parse(&out[..length], Version::V311), Ok(given));
    assert_ne!(given, subscribe(Filters::new(&filters[..1])));
}
