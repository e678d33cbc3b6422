//! `parse` and `emit` are inverse, and an independent codec agrees on every byte of both versions.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{any_packet, their_bytes, their_parse, to_theirs};
use otaru_mqtt::{EmitError, Packet, Publish, QoS, Version, frame_len, publish_header};
use proptest::prelude::*;

fn emit(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len().unwrap()];
    assert_eq!(packet.emit(&mut out), Ok(out.len()));
    out
}

proptest! {
    #[test]
    fn an_independent_codec_agrees((theirs, version) in any_packet()) {
        let bytes = their_bytes(&theirs, version);
        let ours = Packet::parse(&bytes, version).unwrap();
        prop_assert_eq!(to_theirs(&ours), theirs.clone());
        let emitted = emit(&ours);
        prop_assert_eq!(&emitted, &bytes);
        prop_assert_eq!(their_parse(&emitted), theirs);
        prop_assert_eq!(Packet::parse(&emitted, version).unwrap(), ours);
    }

    #[test]
    fn every_shorter_buffer_is_refused_untold((theirs, version) in any_packet(), cut in any::<prop::sample::Index>()) {
        let bytes = their_bytes(&theirs, version);
        let ours = Packet::parse(&bytes, version).unwrap();
        let mut out = vec![0; cut.index(bytes.len())];
        prop_assert_eq!(ours.emit(&mut out), Err(EmitError::BufferTooSmall { needed: bytes.len() }));
    }

    #[test]
    fn a_truncated_packet_is_incomplete_or_refused((theirs, version) in any_packet()) {
        let bytes = their_bytes(&theirs, version);
        prop_assert_eq!(frame_len(&bytes, usize::MAX), Ok(Some(bytes.len())));
        for end in 0..bytes.len() {
            let part = &bytes[..end];
            prop_assert!(matches!(frame_len(part, usize::MAX), Ok(None)) || frame_len(part, usize::MAX) == Ok(Some(bytes.len())));
            prop_assert!(Packet::parse(part, version).is_err(), "{} of {} bytes were taken", end, bytes.len());
        }
    }

    #[test]
    fn a_field_cut_short_inside_its_packet_never_panics((theirs, version) in any_packet(), cut in any::<prop::sample::Index>()) {
        let mut bytes = their_bytes(&theirs, version);
        prop_assume!(bytes.len() <= 129);
        bytes.truncate(2 + cut.index(bytes.len() - 1));
        bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        if let Ok(packet) = Packet::parse(&bytes, version) {
            let emitted = emit(&packet);
            prop_assert_eq!(Packet::parse(&emitted, version).unwrap(), packet);
        }
    }

    #[test]
    fn what_survives_damage_is_still_a_packet(
        (theirs, version) in any_packet(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = their_bytes(&theirs, version);
        for (index, value) in hits {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let _ = frame_len(&bytes, 1 << 20);
        if let Ok(packet) = Packet::parse(&bytes, version) {
            let emitted = emit(&packet);
            prop_assert_eq!(Packet::parse(&emitted, version).unwrap(), packet);
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = frame_len(&bytes, 1 << 20);
        let _ = Packet::parse(&bytes, Version::V31);
        let _ = Packet::parse(&bytes, Version::V311);
    }

    #[test]
    fn a_payload_may_follow_its_header(
        topic in "[a-z/]{1,40}",
        packet_id in prop::option::of(1u16..),
        retain in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let publish = Publish { dup: packet_id.is_some(), qos, retain, topic: &topic, packet_id, payload: &payload };
        let head = Publish { payload: &[], ..publish };
        let mut out = vec![0; 7 + topic.len()];
        let length = publish_header(&head, payload.len(), &mut out).unwrap();
        prop_assert_eq!([&out[..length], &payload].concat(), emit(&Packet::Publish(publish)));
    }
}
