//! MQTT packets, after a byte that selects the version of the connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::{Packet, Version, frame_len};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, packet)) = bytes.split_first() else { return };
    let version = VERSIONS[usize::from(*first) % VERSIONS.len()];
    let length = frame_len(packet, 1 << 20);
    for end in 0..packet.len().min(8) {
        // What is known of a packet's length does not change with more of it.
        if let Ok(Some(known)) = frame_len(&packet[..end], 1 << 20) {
            assert_eq!(length, Ok(Some(known)));
        }
    }
    if let Ok(read) = Packet::parse(packet, version) {
        let mut again = vec![0; read.encoded_len(version).expect("what was read can be written")];
        assert_eq!(read.emit(version, &mut again), Ok(again.len()));
        assert_eq!(Packet::parse(&again, version).as_ref(), Ok(&read));
        assert_eq!(frame_len(&again, usize::MAX), Ok(Some(again.len())));
    }
});
