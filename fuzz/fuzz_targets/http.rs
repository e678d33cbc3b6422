//! What a connection to the file door begins with: requests, and the frames of a WebSocket.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    if let Some((length, _)) = door::fuzzing::request(bytes) {
        assert!(length <= bytes.len());
        let head = &bytes[..length];
        assert_eq!(door::fuzzing::request(head).map(|(length, _)| length), Some(length));
        // Nothing before its end is a whole request, so that no two readers see different ones.
        assert!(head.ends_with(b"\r\n\r\n"), "{head:?}");
        assert_eq!(door::fuzzing::request(&head[..length - 1]), None);
    }
    let piece = usize::from(piece).max(1);
    let unframed = door::fuzzing::unframed(bytes, piece);
    assert_eq!(unframed, door::fuzzing::unframed(bytes, bytes.len().max(1)));
    assert!(unframed.is_none_or(|payload| payload.len() <= bytes.len()));
});
