use bytes::{BufMut as _, BytesMut};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Closing codes of RFC 6455, 7.4.1.
pub(super) const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED_DATA: u16 = 1003;

/// Longest payload of a control frame.
const MAX_CONTROL: u64 = 125;

/// Why a client's bytes are no frames for MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("MQTT goes in binary frames, not in text")]
    Text,
    #[error("an extension was used, and none was agreed")]
    Extension,
    #[error("unknown kind of frame: {0}")]
    Opcode(u8),
    #[error("a frame of a client is not masked")]
    Unmasked,
    #[error("a control frame is longer than 125 bytes, or in parts")]
    Control,
    #[error("a message begins within another, or goes on and has not begun")]
    Continuation,
    #[error("a frame is longer than 2^63 bytes")]
    TooLong,
    #[error("a close frame with half a code")]
    HalfCode,
    #[error("a close frame with the code {0}, which none may have")]
    Code(u16),
}

impl Fault {
    /// The code to close with.
    pub(super) fn code(self) -> u16 {
        if self == Self::Text { UNSUPPORTED_DATA } else { PROTOCOL_ERROR }
    }
}

/// A control frame that has an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    Ping(Vec<u8>),
    /// To be closed with this code.
    Close(u16),
}

/// Takes a client's frames apart, wherever its bytes are cut.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: Vec<u8>,
    frame: Option<Frame>,
    /// Payload of the control frame that is coming in.
    gathered: Vec<u8>,
    control: Option<Control>,
    /// Whether a message has begun and not ended.
    is_within: bool,
    /// Whether no frame counts any more: a close frame came, or what is none.
    is_over: bool,
}

/// The rest of a frame whose head is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    opcode: u8,
    is_last: bool,
    left: u64,
    /// Turned so that its first byte is that of the next one of the payload.
    mask: [u8; 4],
}

impl Frames {
    /// Takes bytes as they come. Leaves what they hold of messages at their start and gives its length.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() && !self.is_over {
            match &mut self.frame {
                None => {
                    self.head.push(bytes[from]);
                    from += 1;
                    self.take_head().inspect_err(|_| self.is_over = true)?;
                }
                Some(frame) => {
                    let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len() - from);
                    frame.unmask(&mut bytes[from..from + count]);
                    if frame.is_control() {
                        self.gathered.extend_from_slice(&bytes[from..from + count]);
                    } else {
                        bytes.copy_within(from..from + count, to);
                        to += count;
                    }
                    from += count;
                }
            }
            self.end_frame().inspect_err(|_| self.is_over = true)?;
        }
        Ok(to)
    }

    /// What came last of all that has an answer.
    pub(super) fn control(&mut self) -> Option<Control> {
        self.control.take()
    }

    /// Whether nothing more is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn take_head(&mut self) -> Result<(), Fault> {
        let Some(frame) = Frame::parse(&self.head)? else { return Ok(()) };
        match frame.opcode {
            BINARY | CONTINUATION if self.is_within != (frame.opcode == CONTINUATION) => {
                return Err(Fault::Continuation);
            }
            BINARY | CONTINUATION => self.is_within = !frame.is_last,
            _ => {}
        }
        self.head.clear();
        self.frame = Some(frame);
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else { return Ok(()) };
        let payload = std::mem::take(&mut self.gathered);
        match (frame.opcode, &payload[..]) {
            (PING, _) => self.control = Some(Control::Ping(payload)),
            (CLOSE, [_]) => return Err(Fault::HalfCode),
            (CLOSE, payload) => {
                let code = payload.first_chunk().map_or(NORMAL, |code| u16::from_be_bytes(*code));
                if !may_close(code) {
                    return Err(Fault::Code(code));
                }
                self.control = Some(Control::Close(code));
                self.is_over = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a close frame may have this code.
fn may_close(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl Frame {
    /// Reads a head; `None`: it is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(Fault::Extension);
        }
        match opcode {
            CONTINUATION | BINARY | CLOSE | PING | PONG => {}
            TEXT => return Err(Fault::Text),
            other => return Err(Fault::Opcode(other)),
        }
        if second & 0x80 == 0 {
            return Err(Fault::Unmasked);
        }
        let (length, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        if length >> 63 != 0 {
            return Err(Fault::TooLong);
        }
        if opcode >= CLOSE && (length > MAX_CONTROL || !is_last) {
            return Err(Fault::Control);
        }
        Ok(rest.first_chunk().map(|mask| Self { opcode, is_last, left: length, mask: *mask }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }

    /// Takes the mask off the next bytes of the payload.
    fn unmask(&mut self, bytes: &mut [u8]) {
        for four in bytes.chunks_mut(4) {
            for (byte, mask) in four.iter_mut().zip(self.mask) {
                *byte ^= mask;
            }
        }
        self.mask.rotate_left(bytes.len() % 4);
        self.left -= bytes.len() as u64;
    }
}

/// The head of a frame with so many bytes, at most 65 535.
pub(super) fn binary(length: usize, out: &mut BytesMut) {
    out.reserve(4 + length);
    head(BINARY, length, out);
}

/// The answer to a ping.
pub(super) fn pong(payload: &[u8], out: &mut BytesMut) {
    head(PONG, payload.len(), out);
    out.extend_from_slice(payload);
}

/// A close frame. Its words are short.
pub(super) fn close(code: u16, why: &str, out: &mut BytesMut) {
    head(CLOSE, 2 + why.len(), out);
    out.put_u16(code);
    out.extend_from_slice(why.as_bytes());
}

fn head(opcode: u8, length: usize, out: &mut BytesMut) {
    out.put_u8(0x80 | opcode);
    match u8::try_from(length) {
        Ok(short @ ..126) => out.put_u8(short),
        _ => {
            out.put_u8(126);
            out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0xa1, 0xb2, 0xc3, 0xd4];
        let mut bytes = vec![first];
        match payload.len() {
            short @ ..126 => bytes.push(0x80 | short as u8),
            middle @ ..65_536 => {
                bytes.push(0xfe);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(0xff);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// All that some bytes hold, taken in pieces of this length.
    fn decode(bytes: &[u8], piece: usize) -> (Result<Vec<u8>, Fault>, Option<Control>) {
        let mut frames = Frames::default();
        let (mut data, mut control) = (Vec::new(), None);
        for piece in bytes.chunks(piece) {
            let mut piece = piece.to_vec();
            match frames.decode(&mut piece) {
                Ok(length) => data.extend(&piece[..length]),
                Err(fault) => return (Err(fault), control),
            }
            control = frames.control().or(control);
        }
        (Ok(data), control)
    }

    #[test]
    fn frames_of_all_lengths_cut_anywhere() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let bytes = [frame(0x82, &payload), frame(0x82, b"next")].concat();
            for piece in [1, 3, 4096, 1 << 20] {
                assert_eq!(decode(&bytes, piece).0.unwrap(), [&payload[..], b"next"].concat());
            }
        }
    }

    #[test]
    fn a_message_in_parts_with_a_ping_between_them() {
        let bytes = [frame(0x02, b"ab"), frame(0x89, b"hi"), frame(0x00, b""), frame(0x80, b"cd")].concat();
        for piece in 1..bytes.len() {
            let (data, control) = decode(&bytes, piece);
            assert_eq!((data.unwrap(), control), (b"abcd".to_vec(), Some(Control::Ping(b"hi".to_vec()))));
        }
    }

    #[test]
    fn nothing_counts_behind_a_close() {
        for (payload, code) in [(&b""[..], NORMAL), (b"\x03\xe9", 1001), (b"\x03\xe9bye", 1001)] {
            let bytes = [frame(0x88, payload), frame(0x82, b"late")].concat();
            assert_eq!(decode(&bytes, 1), (Ok(vec![]), Some(Control::Close(code))));
        }
    }

    #[test]
    fn what_is_no_frame_says_why() {
        let long = [&[0x82, 0xff][..], &[0xff; 8]].concat();
        for (bytes, fault) in [
            (frame(0x81, b"x"), Fault::Text),
            (frame(0xc2, b"x"), Fault::Extension),
            (frame(0x83, b"x"), Fault::Opcode(3)),
            (frame(0x8b, b"x"), Fault::Opcode(11)),
            (b"\x82\x01x".to_vec(), Fault::Unmasked),
            (frame(0x89, &[0; 126]), Fault::Control),
            (frame(0x09, b"x"), Fault::Control),
            (frame(0x88, b"x"), Fault::HalfCode),
            (frame(0x88, b"\x03\xed"), Fault::Code(1005)),
            (frame(0x88, b"\x13\x88"), Fault::Code(5000)),
            (frame(0x80, b"x"), Fault::Continuation),
            ([frame(0x02, b"x"), frame(0x82, b"x")].concat(), Fault::Continuation),
            (long, Fault::TooLong),
        ] {
            assert_eq!(decode(&bytes, 1).0, Err(fault));
            assert!(fault.to_string().len() <= 123, "it fits into a close frame");
        }
    }

    #[test]
    fn ours_are_not_masked() {
        let mut out = BytesMut::new();
        binary(3, &mut out);
        pong(b"hi", &mut out);
        close(1003, "no", &mut out);
        binary(300, &mut out);
        assert_eq!(&out[..], b"\x82\x03\x8a\x02hi\x88\x04\x03\xebno\x82\x7e\x01\x2c");
    }

    proptest! {
        #[test]
        fn bytes_mean_the_same_however_they_are_cut(
            bytes in prop::collection::vec(prop_oneof![Just(0x82_u8), Just(0x80), Just(0x89), any::<u8>()], 0..200),
            piece in 1_usize..50,
        ) {
            prop_assert_eq!(decode(&bytes, piece).0, decode(&bytes, bytes.len().max(1)).0);
        }
    }
}
