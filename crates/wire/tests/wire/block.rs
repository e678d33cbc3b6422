//! Block frames and their CRC: docs/protocol.md 6.2.

use otaru_wire::Emit;
use otaru_wire::block::{BlockHead, ErrorHead, Frame, FrameError, MAX_FRAME_OVERHEAD, crc16, frame_prefix};
use otaru_wire::json::RawStr;
use otaru_wire::message::{Error, Fault, Id, MAX_FILE_TOKEN, MAX_ID};
use proptest::prelude::*;

const FRAME: &str = "\
    00597b22636f6465223a3230302c2264617461223a7b22624f6666736574223a302c2266696c654c656e677468223a31312c226253697a65223a31317d2c2269\
    64223a2231222c226d657373616765223a2273756363657373227d48454c4c4f2c204f5441219220";

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| c.is_ascii_hexdigit()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

fn build(head: &impl Emit, data: Option<&[u8]>) -> Vec<u8> {
    let mut prefix = [0; 1024];
    let len = frame_prefix(head, &mut prefix).unwrap();
    let mut frame = prefix[..len].to_vec();
    if let Some(data) = data {
        frame.extend_from_slice(data);
        frame.extend_from_slice(&crc16(data).to_le_bytes());
    }
    frame
}

fn head(size: usize) -> BlockHead<'static> {
    let id = Id::from_raw("1").unwrap();
    BlockHead {
        id,
        offset: 0,
        size: u32::try_from(size).unwrap(),
        file_length: size as u64,
        file_token: None,
    }
}

#[test]
fn the_whole_frame_of_the_worked_example() {
    let frame = from_hex(FRAME);
    assert_eq!(frame.len(), 104);
    assert_eq!(build(&head(11), Some(b"HELLO, OTA!")), frame);
    assert_eq!(Frame::parse(&frame), Ok(Frame::Block { head: head(11), data: b"HELLO, OTA!" }));
}

#[test]
fn heads_of_other_servers_are_read() {
    for text in [
        r#"{"code":200,"data":{"bOffset":0,"fileLength":11,"bSize":11},"id":"1","msg":"success"}"#,
        r#"{ "id" : 1 , "code" : "200", "data" : { "bSize" : "11", "fileLength" : 11.0, "bOffset" : "0", }, }"#,
    ] {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        let frame = [&length, text.as_bytes(), b"HELLO, OTA!", &[0x92, 0x20]].concat();
        assert_eq!(Frame::parse(&frame), Ok(Frame::Block { head: head(11), data: b"HELLO, OTA!" }), "{text}");
    }
}

#[test]
fn an_error_frame_ends_after_its_head() {
    let id = Id::from_raw("7").unwrap();
    let msg = RawStr::plain("file size has exceeded the limit 16 MB").unwrap();
    let frame = build(&ErrorHead { id, code: 460, msg }, None);
    let json = r#"{"code":460,"msg":"file size has exceeded the limit 16 MB","id":"7"}"#;
    assert_eq!(&frame[..2], [0, u8::try_from(json.len()).unwrap()]);
    assert_eq!(&frame[2..], json.as_bytes());
    assert_eq!(Frame::parse(&frame), Ok(Frame::Error { code: 460, msg, id, json }));
    let other = br#"..{"code":"404","message":"gone"}"#;
    let other = [&[0, u8::try_from(other.len() - 2).unwrap()], &other[2..]].concat();
    assert!(matches!(Frame::parse(&other), Ok(Frame::Error { code: 404, msg, .. }) if msg.eq_str("gone")));
}

#[test]
fn damage_is_named() {
    let frame = from_hex(FRAME);
    for end in 0..frame.len() {
        let cut = Frame::parse(&frame[..end]).unwrap_err();
        match end {
            0..2 => assert_eq!(cut, FrameError::Short { needed: 2, given: end }),
            2..91 => assert_eq!(cut, FrameError::Short { needed: 91, given: end }),
            _ => assert_eq!(cut, FrameError::Length { needed: 104, given: end }),
        }
    }
    let longer = [&frame[..], b"x"].concat();
    assert_eq!(Frame::parse(&longer), Err(FrameError::Length { needed: 104, given: 105 }));
    for at in 0..frame.len() {
        let mut bad = frame.clone();
        bad[at] ^= 1;
        let read = Frame::parse(&bad);
        if at >= 91 {
            assert!(matches!(read, Err(FrameError::Crc { .. })), "{at}: {read:?}");
        } else if let Ok(Frame::Block { data, .. }) = read {
            assert_eq!(data, b"HELLO, OTA!", "{at}");
        }
    }
    let mut swapped = frame.clone();
    swapped.swap(102, 103);
    assert_eq!(Frame::parse(&swapped), Err(FrameError::Crc { expected: 0x9220, computed: 0x2092 }));
}

#[test]
fn heads_without_what_a_block_needs_are_refused() {
    let missing = |field| FrameError::Head(Error::Field { field, fault: Fault::Missing });
    for (text, error) in [
        (r#"{"code":200,"id":"1"}"#, missing("data")),
        (r#"{"data":{"bOffset":0,"fileLength":0,"bSize":0}}"#, missing("code")),
        (r#"{"code":200,"data":{"fileLength":0,"bSize":0}}"#, missing("data.bOffset")),
        (r#"{"code":200,"data":{"bOffset":0,"bSize":0}}"#, missing("data.fileLength")),
        (r#"{"code":200,"data":{"bOffset":0,"fileLength":0}}"#, missing("data.bSize")),
        ("[]", FrameError::Head(Error::NotAnObject)),
    ] {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        let frame = [&length, text.as_bytes(), &[0, 0]].concat();
        assert_eq!(Frame::parse(&frame), Err(error), "{text}");
    }
    assert!(matches!(Frame::parse(&[0, 0]), Err(FrameError::Head(Error::Json(_)))));
}

#[test]
fn no_head_is_longer_than_it_may_be() {
    let id = "9".repeat(MAX_ID);
    let token = "t".repeat(MAX_FILE_TOKEN);
    let id = Id::from_raw(&id).unwrap();
    let file_token = RawStr::plain(&token);
    let head = BlockHead { id, offset: u32::MAX, size: u32::MAX, file_length: u64::MAX, file_token };
    assert!(2 + head.encoded_len() + 2 <= MAX_FRAME_OVERHEAD, "{}", 4 + head.encoded_len());
    let mut small = vec![0; 2 + head.encoded_len() - 1];
    assert!(frame_prefix(&head, &mut small).is_err());
    small.push(0);
    assert_eq!(frame_prefix(&head, &mut small), Ok(small.len()));
    assert!(frame_prefix(&head, &mut []).is_err());
}

#[test]
fn crc_vectors() {
    let ascending: Vec<u8> = (0..16).collect();
    for (data, crc) in [
        (&b""[..], 0x0000),
        (b"123456789", 0xBB3D),
        (&[1, 2, 3, 4, 5], 0xBB0E),
        (&ascending, 0x170A),
        (b"HELLO, OTA!", 0x2092),
    ] {
        assert_eq!(crc16(data), crc, "{data:?}");
        assert_eq!(bitwise(data), crc, "{data:?}");
    }
    assert_eq!(crc16(b"123456789").to_le_bytes(), [0x3D, 0xBB]);
}

/// CRC-16/ARC bit by bit, from its definition: reflected polynomial 0xA001, start 0.
fn bitwise(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

proptest! {
    #[test]
    fn three_ways_to_the_crc_agree(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        let table = crc::Crc::<u16>::new(&crc::CRC_16_ARC).checksum(&data);
        let fast = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc16Arc, &data) as u16;
        prop_assert_eq!([crc16(&data), table, fast], [bitwise(&data); 3]);
    }

    #[test]
    fn blocks_survive_writing_and_reading(
        id in "[ !#-\\[\\]-~é中]{0,60}",
        token in prop::option::of("[0-9A-Za-z_.]{1,16}"),
        offset in 0..=16_777_216_u32,
        file_length in 0..=u64::from(u32::MAX) * 1000,
        data in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let id = Id::from_raw(&id).unwrap();
        let file_token = token.as_deref().and_then(RawStr::plain);
        let head = BlockHead { id, offset, size: u32::try_from(data.len()).unwrap(), file_length, file_token };
        let frame = build(&head, Some(&data));
        prop_assert_eq!(Frame::parse(&frame), Ok(Frame::Block { head, data: &data }));
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), head in "[{}\":a-z0-9]{0,40}") {
        let _ = Frame::parse(&bytes);
        let length = u16::try_from(head.len()).unwrap().to_be_bytes();
        let _ = Frame::parse(&[&length, head.as_bytes(), &bytes].concat());
    }
}
