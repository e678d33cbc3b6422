use core::fmt::{self, Write};

use crate::json::RawStr;
use crate::message::Id;
use crate::{BufferTooSmall, Emit};

/// Most bytes of a frame beside the data, whatever the id and token of the request.
pub const MAX_FRAME_OVERHEAD: usize = 400;

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead<'a> {
    /// Id of the request.
    pub id: Id<'a>,
    /// Where the block lies in the file.
    pub offset: u32,
    /// Bytes of the block.
    pub size: u32,
    /// Bytes of the file.
    pub file_length: u64,
    /// Token of the request.
    pub file_token: Option<RawStr<'a>>,
}

impl Emit for BlockHead<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        let BlockHead { id, offset, size, file_length, file_token } = self;
        write!(
            out,
            "{{\"code\":200,\"data\":{{\"bOffset\":{offset},\"fileLength\":{file_length},\"bSize\":{size}"
        )?;
        if let Some(token) = file_token {
            write!(out, ",\"fileToken\":\"{}\"", token.raw())?;
        }
        out.write_str("},\"id\":")?;
        id.emit(out)?;
        out.write_str(",\"message\":\"success\"}")
    }
}

/// The head of an error frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorHead<'a> {
    /// Id of the request.
    pub id: Id<'a>,
    /// One of the codes of [`crate::block`].
    pub code: u16,
    /// For people.
    pub msg: RawStr<'a>,
}

impl Emit for ErrorHead<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{{\"code\":{},\"msg\":\"{}\",\"id\":", self.code, self.msg.raw())?;
        self.id.emit(out)?;
        out.write_str("}")
    }
}

/// Writes what stands before the data, length and head; for an error this is the whole frame. Gives its length.
pub fn frame_prefix(head: &impl Emit, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let (length, rest) = out.split_first_chunk_mut::<2>().ok_or(BufferTooSmall)?;
    let written = head.emit_into(rest)?.len();
    *length = u16::try_from(written).map_err(|_| BufferTooSmall)?.to_be_bytes();
    Ok(2 + written)
}
