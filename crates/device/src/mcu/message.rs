//! What is said on the line (docs/mcu-serial.md, "Messages"). Numbers are little-endian.

use wire::message::Digest;

use super::frame::{FRAME_SIZE, write};
use crate::digest::Expected;

/// The most bytes of an image in one message.
pub const MAX_DATA: usize = 256;

/// The most bytes of a version or of an explanation.
pub const MAX_TEXT: usize = 64;

/// Bytes of the longest message.
pub(crate) const LONGEST: usize = HEAD + 4 + MAX_DATA;

/// Kind and number.
const HEAD: usize = 2;

const HELLO: u8 = 1;
const BEGIN: u8 = 2;
const DATA: u8 = 3;
const END: u8 = 4;
const STATE: u8 = 0x81;

const MD5: u8 = 1;
const SHA256: u8 = 2;

/// An image on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Bytes of it, at least one.
    pub size: u32,
    pub(crate) digest: Expected,
}

impl Image {
    /// An image with this digest. `None` if it has no bytes, or the digest is not as long as the method's are.
    pub fn new(size: u32, method: Digest, digest: &[u8]) -> Option<Self> {
        let digest = Expected::from_bytes(method, digest)?;
        (size > 0).then_some(Self { size, digest })
    }
}

/// What the host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request<'m> {
    /// Who is there?
    Hello,
    /// This is to come: what of it is there?
    Begin(Image),
    /// A piece of it.
    Data { offset: u32, data: &'m [u8] },
    /// That was all: is it right?
    End,
}

/// What a part is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The application runs; the text is its version.
    Running = 0,
    /// The loader waits for an image: nothing of one is there.
    Empty = 1,
    /// The loader waits for the byte at `offset` of the image that was begun.
    Receiving = 2,
    /// The loader has the whole image, its digest is right, and starts it.
    Whole = 3,
    /// The loader could not do what was asked; the text says why.
    Failed = 4,
}

/// What the part answers to whatever it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State<'m> {
    pub(crate) phase: Phase,
    pub(crate) offset: u32,
    /// At most [`MAX_TEXT`] bytes.
    pub(crate) text: &'m str,
}

impl<'m> Request<'m> {
    pub(crate) fn write<'o>(&self, number: u8, out: &'o mut [u8; FRAME_SIZE]) -> &'o [u8] {
        let mut message = Message::new();
        match self {
            Self::Hello => message.head(HELLO, number),
            Self::Begin(image) => {
                message.head(BEGIN, number);
                message.bytes(&image.size.to_le_bytes());
                message.bytes(&[if image.digest.bytes().len() == 16 { MD5 } else { SHA256 }]);
                message.bytes(image.digest.bytes());
            }
            Self::Data { offset, data } => {
                message.head(DATA, number);
                message.bytes(&offset.to_le_bytes());
                message.bytes(data);
            }
            Self::End => message.head(END, number),
        }
        write(message.get(), out)
    }

    /// The number and the request of a message; `None` if it is none.
    pub(crate) fn read(message: &'m [u8]) -> Option<(u8, Self)> {
        let (&[kind, number], rest) = message.split_first_chunk()?;
        let request = match (kind, rest) {
            (HELLO, []) => Self::Hello,
            (END, []) => Self::End,
            (BEGIN, rest) => Self::Begin(read_image(rest)?),
            (DATA, rest) => {
                let (offset, data) = rest.split_first_chunk()?;
                let fits = (1..=MAX_DATA).contains(&data.len());
                fits.then_some(Self::Data { offset: u32::from_le_bytes(*offset), data })?
            }
            _ => return None,
        };
        Some((number, request))
    }
}

fn read_image(bytes: &[u8]) -> Option<Image> {
    let (size, rest) = bytes.split_first_chunk()?;
    let (method, digest) = rest.split_first()?;
    let method = match *method {
        MD5 => Digest::Md5,
        SHA256 => Digest::Sha256,
        _ => return None,
    };
    Image::new(u32::from_le_bytes(*size), method, digest)
}

impl<'m> State<'m> {
    pub(crate) fn write<'o>(&self, number: u8, out: &'o mut [u8; FRAME_SIZE]) -> &'o [u8] {
        let mut message = Message::new();
        message.head(STATE, number);
        message.bytes(&[self.phase as u8]);
        message.bytes(&self.offset.to_le_bytes());
        message.bytes(self.text.as_bytes());
        write(message.get(), out)
    }

    pub(crate) fn read(message: &'m [u8]) -> Option<(u8, Self)> {
        let (&[kind, number, phase], rest) = message.split_first_chunk()?;
        let (offset, text) = rest.split_first_chunk()?;
        let phase = match phase {
            0 => Phase::Running,
            1 => Phase::Empty,
            2 => Phase::Receiving,
            3 => Phase::Whole,
            4 => Phase::Failed,
            _ => return None,
        };
        let text = core::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_TEXT)?;
        let state = Self { phase, offset: u32::from_le_bytes(*offset), text };
        (kind == STATE).then_some((number, state))
    }
}

/// A message that is being put together.
struct Message {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Message {
    fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    fn head(&mut self, kind: u8, number: u8) {
        self.bytes(&[kind, number]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
