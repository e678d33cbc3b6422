use core::fmt;

use super::{BlockHead, crc16};
use crate::json::{self, RawStr};
use crate::message::{self, Id};

/// A frame as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A piece of a file, its CRC checked.
    Block {
        /// Where it belongs.
        head: BlockHead<'a>,
        /// `head.size` bytes.
        data: &'a [u8],
    },
    /// The server cannot give the block.
    Error {
        /// Why.
        code: i32,
        /// Why, for people; empty if it says nothing.
        msg: RawStr<'a>,
        /// Id of the request.
        id: Id<'a>,
        /// The whole head.
        json: &'a str,
    },
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// Fewer bytes than the length of the head says.
    Short {
        /// Bytes that length and head need.
        needed: usize,
        /// Bytes there are.
        given: usize,
    },
    /// The head cannot be read.
    Head(message::Error),
    /// The payload is not as long as head, data and CRC together.
    Length {
        /// Bytes the head asks for.
        needed: u64,
        /// Bytes there are.
        given: usize,
    },
    /// The data is damaged.
    Crc {
        /// From the frame.
        expected: u16,
        /// Of the data.
        computed: u16,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Short { needed, given } => {
                write!(f, "the frame is cut off: its head needs {needed} bytes, {given} are there")
            }
            FrameError::Head(error) => write!(f, "the head of the frame cannot be read: {error}"),
            FrameError::Length { needed, given } => {
                write!(f, "the frame should have {needed} bytes by its head, but has {given}")
            }
            FrameError::Crc { expected, computed } => {
                write!(f, "the data is damaged: its CRC is {computed:04x}, the frame says {expected:04x}")
            }
        }
    }
}

impl core::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        if let FrameError::Head(error) = self { Some(error) } else { None }
    }
}

impl<'a> Frame<'a> {
    /// Reads the payload of `file/download_reply`.
    pub fn parse(payload: &'a [u8]) -> Result<Self, FrameError> {
        let (length, rest) =
            payload.split_first_chunk().ok_or(FrameError::Short { needed: 2, given: payload.len() })?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (head, rest) = rest
            .split_at_checked(length)
            .ok_or(FrameError::Short { needed: 2 + length, given: payload.len() })?;
        let head = json::parse(head).map_err(|e| FrameError::Head(e.into()))?;
        let head = head.object().ok_or(FrameError::Head(message::Error::NotAnObject))?;
        let id = Id::of(head).map_err(FrameError::Head)?;
        let code = message::code(head).map_err(FrameError::Head)?;
        if code != 200 {
            let msg = ["msg", "message"].iter().find_map(|key| head.get(key)?.str()).unwrap_or_default();
            return Ok(Frame::Error { code, msg, id, json: head.raw() });
        }
        let head = message::block_head(head, id).map_err(FrameError::Head)?;
        data(&head, rest, payload.len()).map(|data| Frame::Block { head, data })
    }
}

fn data<'a>(head: &BlockHead<'_>, rest: &'a [u8], given: usize) -> Result<&'a [u8], FrameError> {
    let before = (given - rest.len()) as u64;
    let wrong_length = FrameError::Length { needed: before + u64::from(head.size) + 2, given };
    let (data, crc) = rest.split_last_chunk().ok_or(wrong_length)?;
    if data.len() as u64 != u64::from(head.size) {
        return Err(wrong_length);
    }
    let (expected, computed) = (u16::from_le_bytes(*crc), crc16(data));
    if expected == computed { Ok(data) } else { Err(FrameError::Crc { expected, computed }) }
}
