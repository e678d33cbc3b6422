//! `parse` and `emit` are inverse, and an independent codec agrees: on every byte of version 3, and on
//! the meaning in version 5, which allows some things to be written in two ways.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{any_packet, their_bytes, their_parse, to_theirs, v5};
use otaru_mqtt::{EmitError, Packet, Properties, Publish, QoS, Version, frame_len, publish_header};
use proptest::prelude::*;

fn emit(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len(version).unwrap()];
    assert_eq!(packet.emit(version, &mut out), Ok(out.len()));
    out
}

/// Bytes of any packet that both codecs know, with the version it belongs to.
fn any_bytes() -> impl Strategy<Value = (Vec<u8>, Version)> {
    prop_oneof![
        any_packet().prop_map(|(theirs, version)| (their_bytes(&theirs, version), version)),
        v5::any_packet().prop_map(|theirs| (v5::their_bytes(&theirs), Version::V5)),
    ]
}

proptest! {
    #[test]
    fn an_independent_codec_agrees((theirs, version) in any_packet()) {
        let bytes = their_bytes(&theirs, version);
        let ours = Packet::parse(&bytes, version).unwrap();
        prop_assert_eq!(to_theirs(&ours), theirs.clone());
        let emitted = emit(&ours, version);
        prop_assert_eq!(&emitted, &bytes);
        prop_assert_eq!(their_parse(&emitted), theirs);
        prop_assert_eq!(Packet::parse(&emitted, version).unwrap(), ours);
    }

    #[test]
    fn an_independent_codec_agrees_on_version_5(theirs in v5::any_packet()) {
        let bytes = v5::their_bytes(&theirs);
        let ours = Packet::parse(&bytes, Version::V5).unwrap();
        prop_assert_eq!(v5::to_theirs(&ours), theirs.clone());
        let emitted = emit(&ours, Version::V5);
        prop_assert!(emitted.len() <= bytes.len());
        prop_assert_eq!(v5::their_parse(&emitted), theirs);
        prop_assert_eq!(Packet::parse(&emitted, Version::V5).unwrap(), ours);
    }

    #[test]
    fn every_shorter_buffer_is_refused_untold((bytes, version) in any_bytes(), cut in any::<prop::sample::Index>()) {
        let ours = Packet::parse(&bytes, version).unwrap();
        let needed = ours.encoded_len(version).unwrap();
        let mut out = vec![0; cut.index(needed)];
        prop_assert_eq!(ours.emit(version, &mut out), Err(EmitError::BufferTooSmall { needed }));
    }

    #[test]
    fn a_truncated_packet_is_incomplete_or_refused((bytes, version) in any_bytes()) {
        prop_assert_eq!(frame_len(&bytes, usize::MAX), Ok(Some(bytes.len())));
        for end in 0..bytes.len() {
            let part = &bytes[..end];
            prop_assert!(matches!(frame_len(part, usize::MAX), Ok(None)) || frame_len(part, usize::MAX) == Ok(Some(bytes.len())));
            prop_assert!(Packet::parse(part, version).is_err(), "{} of {} bytes were taken", end, bytes.len());
        }
    }

    #[test]
    fn a_field_cut_short_inside_its_packet_never_panics((mut bytes, version) in any_bytes(), cut in any::<prop::sample::Index>()) {
        prop_assume!(bytes.len() <= 129);
        bytes.truncate(2 + cut.index(bytes.len() - 1));
        bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        if let Ok(packet) = Packet::parse(&bytes, version) {
            let emitted = emit(&packet, version);
            prop_assert_eq!(Packet::parse(&emitted, version).unwrap(), packet);
        }
    }

    #[test]
    fn what_survives_damage_is_still_a_packet(
        (mut bytes, version) in any_bytes(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (index, value) in hits {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let _ = frame_len(&bytes, 1 << 20);
        if let Ok(packet) = Packet::parse(&bytes, version) {
            let emitted = emit(&packet, version);
            prop_assert_eq!(Packet::parse(&emitted, version).unwrap(), packet);
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = frame_len(&bytes, 1 << 20);
        let _ = Packet::parse(&bytes, Version::V31);
        let _ = Packet::parse(&bytes, Version::V311);
        let _ = Packet::parse(&bytes, Version::V5);
    }

    #[test]
    fn a_payload_may_follow_its_header(
        topic in "[a-z/]{1,40}",
        packet_id in prop::option::of(1u16..),
        retain in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let (dup, properties) = (packet_id.is_some(), Properties::NONE);
        let publish = Publish { dup, qos, retain, topic: &topic, packet_id, properties, payload: &payload };
        let head = Publish { payload: &[], ..publish };
        let mut out = vec![0; 8 + topic.len()];
        for version in [Version::V31, Version::V311, Version::V5] {
            let length = publish_header(&head, payload.len(), version, &mut out).unwrap();
            prop_assert_eq!([&out[..length], &payload].concat(), emit(&Packet::Publish(publish), version));
        }
    }
}
