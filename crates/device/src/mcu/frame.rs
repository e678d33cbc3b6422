//! How messages are told apart on the line (docs/mcu-serial.md, "Frames").

use wire::block::crc16;

use super::message::LONGEST;

/// What ends a frame; it occurs nowhere inside.
const END: u8 = 0;

/// Bytes of a checksum.
const CRC: usize = 2;

/// What a group's length says if no [`END`] was taken out behind it.
const FULL: usize = 255;

/// Room that any frame fits into, in bytes.
pub const FRAME_SIZE: usize = 1 + stuffed(LONGEST + CRC) + 1;

/// The most bytes that `len` bytes take once there is no [`END`] in them.
const fn stuffed(len: usize) -> usize {
    len + len / (FULL - 1) + 1
}

/// Writes a message as a frame. It begins with an end too, so that what is left of a broken one before it is not taken
/// for a part of it.
pub(crate) fn write<'o>(message: &[u8], out: &'o mut [u8; FRAME_SIZE]) -> &'o [u8] {
    out[0] = END;
    let (mut group, mut len) = (1, 2);
    for byte in message.iter().chain(&crc16(message).to_le_bytes()) {
        if *byte != END {
            out[len] = *byte;
            len += 1;
        }
        if *byte == END || len - group == FULL {
            out[group] = (len - group) as u8;
            (group, len) = (len, len + 1);
        }
    }
    out[group] = (len - group) as u8;
    out[len] = END;
    &out[..=len]
}

/// Finds frames in the bytes of a line.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: [u8; FRAME_SIZE],
    len: usize,
    /// More came than any frame has.
    flooded: bool,
}

impl Reader {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; FRAME_SIZE], len: 0, flooded: false }
    }

    /// Takes the next byte; the message that it ends, if it ends a whole one.
    pub(crate) fn take(&mut self, byte: u8) -> Option<&[u8]> {
        if byte != END {
            self.flooded |= self.len == FRAME_SIZE;
            if !self.flooded {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
            return None;
        }
        let len = core::mem::take(&mut self.len);
        if core::mem::take(&mut self.flooded) {
            return None;
        }
        let len = unstuff(&mut self.bytes[..len])?;
        let (message, crc) = self.bytes[..len].split_last_chunk::<CRC>()?;
        (crc16(message).to_le_bytes() == *crc).then_some(message)
    }
}

/// Puts the bytes back that were taken out; how many there are now, or `None` if these cannot be a frame.
fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        let group = usize::from(bytes[from]);
        let end = from + group;
        if group == 0 || end > bytes.len() {
            return None;
        }
        bytes.copy_within(from + 1..end, to);
        to += group - 1;
        from = end;
        if group < FULL && from < bytes.len() {
            bytes[to] = END;
            to += 1;
        }
    }
    Some(to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(reader: &mut Reader, bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes.iter().filter_map(|byte| reader.take(*byte).map(<[u8]>::to_vec)).collect()
    }

    extern crate std;
    use std::vec::Vec;

    #[test]
    fn a_known_frame() {
        let mut out = [0; FRAME_SIZE];
        // "123456789" has the checksum 0xBB3D.
        assert_eq!(write(b"123456789", &mut out), b"\0\x0c123456789\x3d\xbb\0");
        assert_eq!(write(b"\0", &mut out)[..3], [0, 1, 1]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_after_any_rubbish(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=LONGEST), 1..4),
            zeroes in any::<bool>(),
            rubbish in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut reader = Reader::new();
            read(&mut reader, &rubbish);
            for mut message in messages {
                if zeroes {
                    message.iter_mut().for_each(|byte| *byte /= 128);
                }
                let mut out = [0; FRAME_SIZE];
                let frame = write(&message, &mut out);
                prop_assert!(frame[1..frame.len() - 1].iter().all(|byte| *byte != END));
                let found = read(&mut reader, frame);
                prop_assert_eq!(found.last(), Some(&message));
            }
        }

        #[test]
        fn a_changed_byte_is_no_message(
            message in proptest::collection::vec(any::<u8>(), 1..=LONGEST), at in any::<usize>(), bits in 1..=255_u8,
        ) {
            let mut out = [0; FRAME_SIZE];
            let mut frame = write(&message, &mut out).to_vec();
            let at = at % frame.len();
            frame[at] ^= bits;
            frame.push(END);
            prop_assert!(read(&mut Reader::new(), &frame).iter().all(|found| *found == message));
        }
    }
}
