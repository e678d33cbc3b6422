//! The binary frames of a download, as a device reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::block::{Frame, MAX_FRAME_OVERHEAD, crc16, frame_prefix};

fuzz_target!(|bytes: &[u8]| {
    // Nobody guesses a CRC: a second reading is of the same bytes with the right one behind them.
    let right = [bytes, &crc_of_tail(bytes).to_le_bytes()].concat();
    for frame in [bytes, &right] {
        let Ok(Frame::Block { head, data }) = Frame::parse(frame) else { continue };
        let mut prefix = [0; MAX_FRAME_OVERHEAD];
        let length = frame_prefix(&head, &mut prefix).expect("a head is never longer");
        let again = [&prefix[..length], data, &crc16(data).to_le_bytes()].concat();
        assert_eq!(Frame::parse(&again), Ok(Frame::Block { head, data }));
    }
});

fn crc_of_tail(bytes: &[u8]) -> u16 {
    let Some((length, rest)) = bytes.split_first_chunk() else { return 0 };
    crc16(rest.get(usize::from(u16::from_be_bytes(*length))..).unwrap_or_default())
}
