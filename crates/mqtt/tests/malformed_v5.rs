//! Each way in which bytes can fail to be a packet of version 5 has its own answer, and its reason code.
#![allow(clippy::unwrap_used, missing_docs)]

use std::num::{NonZeroU16, NonZeroU32};

use otaru_mqtt::{
    Connect, EmitError, Error, Packet, PacketType, Properties, Property, Publish, QoS, SubscriptionId,
    UnsubAck, Version, reason,
};
use proptest::prelude::*;

/// A packet of this first byte and body, shorter than 128 bytes.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

fn refused(first: u8, body: &[u8]) -> Error {
    let bytes = packet(first, body);
    Packet::parse(&bytes, Version::V5).expect_err(&format!("{first:#04x} {body:02x?}"))
}

/// A PUBLISH on the topic `a` with these properties.
fn publish_with(properties: &[u8]) -> Error {
    refused(0x30, &[b"\0\x01a", &[properties.len() as u8][..], properties].concat())
}

/// A CONNECT with these flags and properties, and the rest of its body.
fn connect_with(flags: u8, properties: &[u8], rest: &[u8]) -> Vec<u8> {
    [b"\0\x04MQTT\x05", &[flags, 0, 60, properties.len() as u8][..], properties, rest].concat()
}

#[test]
fn properties_end_where_they_say() {
    assert_eq!(refused(0x30, b"\0\x01a"), Error::Truncated);
    assert_eq!(refused(0x30, b"\0\x01a\x02\x01"), Error::Truncated);
    assert_eq!(refused(0x30, b"\0\x01a\x80\x80\x80\x80\x01"), Error::VarInt);
    assert_eq!(publish_with(b"\x02\0\0\0"), Error::Truncated);
    assert_eq!(publish_with(b"\x03\0\x05ab"), Error::Truncated);
    assert_eq!(publish_with(b"\x26\0\x01a"), Error::Truncated);
    assert_eq!(publish_with(b"\x0b\x80\x80\x80\x80\x01"), Error::VarInt);
    assert_eq!(Error::VarInt.reason(), reason::MALFORMED);
    assert_eq!(Error::Truncated.reason(), reason::MALFORMED);
}

#[test]
fn a_property_stands_in_its_packets_only() {
    for id in [0x00, 0x04, 0x2b, 0x7f, 0x80, 0xff] {
        assert_eq!(publish_with(&[id, 0, 0, 0, 0]), Error::Property(id));
    }
    let receive_maximum = b"\x21\0\x01";
    assert_eq!(publish_with(receive_maximum), Error::Property(0x21));
    let in_answer = [&[0, 1, 0, 3][..], receive_maximum].concat();
    assert_eq!(refused(0x40, &in_answer), Error::Property(0x21));
    assert_eq!(refused(0x20, b"\0\0\x03\x23\0\x01"), Error::Property(0x23));
    assert_eq!(refused(0x82, b"\0\x01\x05\x11\0\0\0\0\0\x01a\0"), Error::Property(0x11));
    assert_eq!(refused(0xa2, b"\0\x01\x02\x0b\x01\0\x01a"), Error::Property(0x0b));
    assert_eq!(refused(0x90, b"\0\x01\x02\x0b\x01\0"), Error::Property(0x0b));
    assert_eq!(refused(0xb0, b"\0\x01\x02\x0b\x01\0"), Error::Property(0x0b));
    assert_eq!(refused(0xe0, b"\0\x03\x21\0\x01"), Error::Property(0x21));
    // Of a will, and of its CONNECT.
    assert_eq!(refused(0x10, &connect_with(2, b"\x18\0\0\0\0", b"\0\0")), Error::Property(0x18));
    assert_eq!(refused(0x10, &connect_with(6, b"", b"\0\0\x03\x21\0\x01\0\x01a\0\0")), Error::Property(0x21));
    assert_eq!(Error::Property(0x21).reason(), reason::MALFORMED);
}

#[test]
fn a_property_stands_once() {
    assert_eq!(publish_with(b"\x01\0\x01\0"), Error::PropertyTwice(1));
    assert_eq!(publish_with(b"\x23\0\x01\x23\0\x01"), Error::PropertyTwice(0x23));
    assert_eq!(refused(0x82, b"\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0"), Error::PropertyTwice(0x0b));
    assert_eq!(Error::PropertyTwice(1).reason(), reason::PROTOCOL_ERROR);
    // But these may be many.
    let many = b"\0\x01a\x0e\x26\0\0\0\0\x26\0\0\0\0\x0b\x01\x0b\x01";
    assert!(Packet::parse(&packet(0x30, many), Version::V5).is_ok());
}

#[test]
fn a_property_has_a_value_that_it_may_have() {
    for (properties, id) in
        [(&b"\x21\0\0"[..], 0x21), (b"\x27\0\0\0\0", 0x27), (b"\x17\x02", 0x17), (b"\x19\xff", 0x19)]
    {
        assert_eq!(refused(0x10, &connect_with(2, properties, b"\0\0")), Error::PropertyValue(id));
    }
    assert_eq!(refused(0x20, b"\0\0\x02\x24\x02"), Error::PropertyValue(0x24));
    assert_eq!(refused(0x20, b"\0\0\x02\x25\x02"), Error::PropertyValue(0x25));
    assert_eq!(refused(0x82, b"\0\x01\x02\x0b\0\0\x01a\0"), Error::PropertyValue(0x0b));
    assert_eq!(Error::PropertyValue(0x0b).reason(), reason::PROTOCOL_ERROR);
    assert_eq!(publish_with(b"\x01\x02"), Error::PropertyValue(1));
    assert_eq!(publish_with(b"\x03\0\x01\xff"), Error::Text);
    assert_eq!(publish_with(b"\x1f\0\x01a"), Error::Property(0x1f));
    assert_eq!(publish_with(b"\x26\0\x01\0\0\0"), Error::Text);
    assert_eq!(publish_with(b"\x08\0\x02a#"), Error::Topic);
    assert_eq!(refused(0x10, &connect_with(2, b"\x16\0\x01a", b"\0\0")), Error::Property(0x16));
}

#[test]
fn an_alias_of_zero_has_a_reason_of_its_own() {
    let error = publish_with(b"\x23\0\0");
    assert_eq!((error, error.reason()), (Error::PropertyValue(0x23), reason::TOPIC_ALIAS));
}

#[test]
fn a_topic_may_be_empty_beside_an_alias_only() {
    assert_eq!(refused(0x30, b"\0\0\0"), Error::Topic);
    assert_eq!(refused(0x30, b"\0\x01#\x03\x23\0\x01"), Error::Topic);
    let bytes = packet(0x30, b"\0\0\x03\x23\0\x07hi");
    let Packet::Publish(publish) = Packet::parse(&bytes, Version::V5).unwrap() else {
        panic!("not a PUBLISH")
    };
    assert_eq!((publish.topic, publish.payload), ("", &b"hi"[..]));
    let alias = Property::TopicAlias(NonZeroU16::new(7).unwrap());
    assert_eq!(publish.properties, Properties::new(&[alias]));
}

#[test]
fn connect_flags_are_those_of_the_standard() {
    for flags in [0x03, 0x22, 0x0a] {
        assert_eq!(refused(0x10, &connect_with(flags, b"", b"\0\0")), Error::ConnectFlags(flags));
    }
    assert_eq!(refused(0x10, &connect_with(0x1e, b"", b"\0\0\0\0\x01a\0\0")), Error::QoS(3));
    assert_eq!(refused(0x10, &connect_with(2, b"", b"\0\x01\0")), Error::Text);
    assert_eq!(refused(0x10, &connect_with(2, b"", b"\0\0\0")), Error::TrailingBytes);
    // A password alone is taken since version 5.
    let bytes = packet(0x10, &connect_with(0x42, b"", b"\0\0\0\x01p"));
    let Packet::Connect(connect) = Packet::parse(&bytes, Version::V311).unwrap() else {
        panic!("not a CONNECT")
    };
    assert_eq!((connect.version, connect.username, connect.password), (Version::V5, None, Some(&b"p"[..])));
}

#[test]
fn the_version_shows_in_the_first_bytes() {
    let whole = packet(0x10, &connect_with(2, b"", b"\0\0"));
    assert_eq!(Connect::version_of(&whole), Some(Version::V5));
    assert_eq!(Connect::version_of(&whole[..9]), Some(Version::V5));
    assert_eq!(Connect::version_of(&whole[..8]), None);
    assert_eq!(Connect::version_of(b"\x10\xff\xff\xff\x7f\0\x04MQTT\x04"), Some(Version::V311));
    assert_eq!(Connect::version_of(b"\x30\x7f\0\x04MQTT\x05"), None);
    assert_eq!(Connect::version_of(b"\x10\x7f\0\x04MQTT\x06"), None);
}

#[test]
fn subscription_options_are_those_of_the_standard() {
    for options in [0x30, 0x40, 0x80, 0xff] {
        assert_eq!(refused(0x82, &[0, 1, 0, 0, 1, b'a', options]), Error::Options(options));
    }
    assert_eq!(Error::Options(0x30).reason(), reason::PROTOCOL_ERROR);
    assert_eq!(Error::Options(0x40).reason(), reason::MALFORMED);
    assert_eq!(refused(0x82, &[0, 1, 0, 0, 1, b'a', 3]), Error::QoS(3));
    assert_eq!(refused(0x82, &[0, 1, 0]), Error::NoFilters);
    assert_eq!(refused(0xa2, &[0, 1, 0]), Error::NoFilters);
    assert_eq!(Error::NoFilters.reason(), reason::PROTOCOL_ERROR);
    assert_eq!(refused(0x82, &[0, 0, 0, 0, 1, b'a', 0]), Error::PacketId);
}

#[test]
fn a_code_belongs_to_its_packet() {
    assert_eq!(refused(0x40, &[0, 1, 0x8d]), Error::ReturnCode(0x8d));
    assert_eq!(refused(0x90, &[0, 1, 0, 0x10]), Error::ReturnCode(0x10));
    assert_eq!(refused(0xb0, &[0, 1, 0, 0x01]), Error::ReturnCode(0x01));
    assert_eq!(refused(0xb0, &[0, 1, 0]), Error::NoFilters);
    assert_eq!(refused(0xe0, &[0x86]), Error::ReturnCode(0x86));
}

#[test]
fn what_says_nothing_may_be_left_out() {
    for body in [&[0, 1][..], &[0, 1, 0], &[0, 1, 0, 0]] {
        assert_eq!(Packet::parse(&packet(0x40, body), Version::V5), Ok(Packet::puback(1)), "{body:?}");
    }
    for body in [&[][..], &[0], &[0, 0]] {
        assert_eq!(Packet::parse(&packet(0xe0, body), Version::V5), Ok(Packet::GOODBYE), "{body:?}");
    }
    // A server of version 3 that does not know version 5 says so in its own form.
    let refusal = Packet::ConnAck { session_present: false, code: 1, properties: Properties::NONE };
    assert_eq!(Packet::parse(&[0x20, 2, 0, 1], Version::V5), Ok(refusal));
    let mut out = [0; 8];
    for (shortest, bytes) in [
        (Packet::puback(1), &[0x40, 2, 0, 1][..]),
        (Packet::GOODBYE, &[0xe0, 0]),
        (Packet::disconnect(reason::TAKEN_OVER), &[0xe0, 1, 0x8e]),
        (refusal, &[0x20, 3, 0, 1, 0]),
    ] {
        let length = shortest.emit(Version::V5, &mut out).unwrap();
        assert_eq!(&out[..length], bytes);
    }
}

#[test]
fn flags_and_types_are_those_of_the_standard() {
    for first in [0x21, 0x41, 0x80, 0x8a, 0xa0, 0xb2, 0xc1, 0xd1, 0xe8] {
        assert_eq!(refused(first, &[0, 1, 0, 0, 1, b'a', 0]), Error::Flags(first & 0x0f));
    }
    assert_eq!(refused(0x36, b"\0\x01a\0\x01\0"), Error::QoS(3));
    assert_eq!(refused(0xf0, &[0x18, 0]), Error::Unsupported(PacketType::Auth));
    assert_eq!(refused(0x62, &[0, 1]), Error::Unsupported(PacketType::PubRel));
    assert_eq!(Error::Unsupported(PacketType::Auth).reason(), reason::PROTOCOL_ERROR);
}

#[test]
fn what_no_packet_can_carry_is_not_written() {
    let publish = |properties| {
        Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "a",
            packet_id: None,
            properties: Properties::new(properties),
            payload: &[],
        })
    };
    let connack = |properties| Packet::ConnAck {
        session_present: false,
        code: 0,
        properties: Properties::new(properties),
    };
    let long = "a".repeat(65_536);
    for (packet, error) in [
        (publish(&[Property::ServerKeepAlive(1)]), Error::Property(0x13)),
        (publish(&[Property::MessageExpiry(1), Property::MessageExpiry(1)]), Error::PropertyTwice(2)),
        (publish(&[Property::ResponseTopic("")]), Error::Topic),
        (publish(&[Property::ContentType("\0")]), Error::Text),
        (publish(&[Property::ContentType(&long)]), Error::TooLarge { length: 65_536, max: 65_535 }),
        (connack(&[Property::MaximumQoS(QoS::ExactlyOnce)]), Error::QoS(2)),
        (connack(&[Property::AuthData(b"")]), Error::Property(0x16)),
        (Packet::disconnect(reason::BAD_LOGIN), Error::ReturnCode(0x86)),
        (
            Packet::UnsubAck(UnsubAck { packet_id: 1, properties: Properties::NONE, codes: &[] }),
            Error::NoFilters,
        ),
    ] {
        let written = packet.emit(Version::V5, &mut [0; 70_000]);
        assert_eq!(written, Err(EmitError::Unencodable(error)), "{packet:?}");
    }
    assert_eq!(SubscriptionId::new(0), None);
    assert_eq!(SubscriptionId::new(268_435_456), None);
}

fn any_text() -> impl Strategy<Value = String> {
    "[a-z]{0,9}"
}

proptest! {
    #[test]
    fn a_connack_carries_every_property_of_a_server(
        numbers in any::<(u32, NonZeroU16, u16, NonZeroU32, u16)>(),
        offers in any::<(bool, bool, bool, bool, bool)>(),
        texts in (any_text(), any_text(), any_text(), any_text(), any_text()),
        data in prop::collection::vec(any::<u8>(), 0..40),
        from in 0..18usize,
    ) {
        let properties = [
            Property::SessionExpiry(numbers.0),
            Property::ReceiveMaximum(numbers.1),
            Property::TopicAliasMaximum(numbers.2),
            Property::MaximumPacketSize(numbers.3),
            Property::ServerKeepAlive(numbers.4),
            Property::MaximumQoS(if offers.0 { QoS::AtLeastOnce } else { QoS::AtMostOnce }),
            Property::RetainAvailable(offers.1),
            Property::WildcardAvailable(offers.2),
            Property::SubscriptionIdAvailable(offers.3),
            Property::SharedAvailable(offers.4),
            Property::AssignedClientId(&texts.0),
            Property::ResponseInfo(&texts.1),
            Property::ServerReference(&texts.2),
            Property::ReasonString(&texts.3),
            Property::User((&texts.3, &texts.4)),
            Property::User((&texts.4, "")),
            Property::AuthMethod(&texts.4),
            Property::AuthData(&data),
        ];
        let mut properties = properties.to_vec();
        properties.rotate_left(from);
        let properties = Properties::new(&properties);
        let packet = Packet::ConnAck { session_present: false, code: 0, properties };
        let mut out = [0; 400];
        let length = packet.emit(Version::V5, &mut out).unwrap();
        prop_assert_eq!(packet.encoded_len(Version::V5), Ok(length));
        prop_assert_eq!(Packet::parse(&out[..length], Version::V5), Ok(packet));
    }
}
