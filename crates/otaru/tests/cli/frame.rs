//! `otaru frame decode`.

use wire::block::{BlockHead, CODE_PARAMETER, ErrorHead, crc16, frame_prefix};
use wire::json::RawStr;
use wire::message::Id;

use crate::common::{Done, otaru, run, run_with_input};

fn block(data: &[u8]) -> Vec<u8> {
    let (id, size) = (Id::from_raw("7").unwrap(), u32::try_from(data.len()).unwrap());
    let head = BlockHead { id, offset: 0, size, file_length: 4096, file_token: RawStr::plain("1bb8") };
    let mut prefix = [0; 512];
    let n = frame_prefix(&head, &mut prefix).unwrap();
    [&prefix[..n], data, &crc16(data).to_le_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(hex: &str) -> Done {
    run(otaru().args(["frame", "decode", hex]))
}

#[test]
fn a_block_is_shown() {
    let frame = block(b"line 0001 of the new firmware");
    let done = decode(&hex(&frame));
    assert_eq!(done.code, 0, "{}", done.err);
    for part in [
        "\"bOffset\":0",
        "\"fileLength\":4096",
        "1bb8",
        "29 bytes",
        "line 0001 of the",
        "right",
        "a whole block",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    let spaced: String = frame.iter().map(|byte| format!("0x{byte:02X} ")).collect();
    assert_eq!(decode(&spaced).out, done.out);
    let from_input = run_with_input(otaru().args(["frame", "decode", "-"]), &format!("{}\n", hex(&frame)));
    assert_eq!((from_input.code, from_input.out), (0, done.out));
}

#[test]
fn what_is_wrong_with_a_broken_one_is_told() {
    let frame = block(b"0123456789");
    let mut damaged = frame.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (payload, out, err) in [
        (&damaged[..], "wrong: the data's is", "the data is damaged"),
        (&frame[..last], "data       9 bytes", "should have"),
        (&frame[..20], "payload    20 bytes", "cut off"),
        (&frame[..1], "payload    1 bytes", "cut off"),
        (&[0, 2, b'[', b']'], "JSON       []", "cannot be read"),
    ] {
        let done = decode(&hex(payload));
        assert_eq!(done.code, 1, "{}", done.out);
        assert!(done.out.contains(out) && done.err.contains(err), "{}{}", done.out, done.err);
    }
    assert!(decode("zz").err.contains("not a hex digit"));
    assert!(decode("123").err.contains("half a byte"));
}

#[test]
fn an_error_frame_is_no_failure_of_the_command() {
    let msg = RawStr::plain("out of range").unwrap();
    let head = ErrorHead { id: Id::from_raw("7").unwrap(), code: CODE_PARAMETER, msg };
    let mut frame = [0; 256];
    let n = frame_prefix(&head, &mut frame).unwrap();
    let done = decode(&hex(&frame[..n]));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("460 out of range"), "{}", done.out);
}
