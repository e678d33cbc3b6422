use core::fmt::{self, Write};

use super::Id;
use super::envelope::{number, params, text};
use super::error::{Error, Fault};
use super::request_error::{RequestError, request};
use crate::Emit;
use crate::block::BlockHead;
use crate::json::{Object, RawStr};

/// Smallest block in bytes, except for the last one of a file.
pub const MIN_BLOCK: u32 = 256;

/// Largest block in bytes.
pub const MAX_BLOCK: u32 = 131_072;

/// Largest offset in bytes; also the largest file that goes over MQTT.
pub const MAX_OFFSET: u32 = 16_777_216;

/// Longest `fileToken` in bytes; the platform names 16, official devices read fewer than 128.
pub const MAX_FILE_TOKEN: usize = 64;

/// A device asks for a block of a file (6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequest<'a> {
    /// Repeated by the answer.
    pub id: Id<'a>,
    /// Repeated by the answer, so that a device can tell its downloads apart. Without quotes, backslashes and braces.
    pub file_token: Option<RawStr<'a>>,
    /// From the notice.
    pub stream_id: u32,
    /// `streamFileId` of the notice.
    pub file_id: u32,
    /// Bytes wanted, 1 to [`MAX_BLOCK`]; below [`MIN_BLOCK`] is meant for the last block of a file.
    pub size: u32,
    /// Offset in the file, at most [`MAX_OFFSET`].
    pub offset: u32,
}

impl<'a> BlockRequest<'a> {
    /// Reads a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, RequestError<'a>> {
        request(payload, Self::of)
    }

    fn of(message: Object<'a>, id: Id<'a>) -> Result<Self, Error> {
        let params = params(message)?;
        let info = part(params, "fileInfo", "params.fileInfo")?;
        let block = part(params, "fileBlock", "params.fileBlock")?;
        let any = (0, u32::MAX.into());
        Ok(BlockRequest {
            id,
            file_token: file_token(params, "params.fileToken")?,
            stream_id: number(info, "streamId", "params.fileInfo.streamId", any)?,
            file_id: number(info, "fileId", "params.fileInfo.fileId", any)?,
            size: number(block, "size", "params.fileBlock.size", (1, MAX_BLOCK.into()))?,
            offset: number(block, "offset", "params.fileBlock.offset", (0, MAX_OFFSET.into()))?,
        })
    }
}

impl Emit for BlockRequest<'_> {
    fn emit(&self, out: &mut dyn Write) -> fmt::Result {
        let BlockRequest { stream_id, file_id, size, offset, .. } = self;
        out.write_str("{\"id\":")?;
        self.id.emit(out)?;
        out.write_str(",\"version\":\"1.0\",\"params\":{")?;
        if let Some(token) = self.file_token {
            write!(out, "\"fileToken\":\"{}\",", token.raw())?;
        }
        write!(out, "\"fileInfo\":{{\"streamId\":{stream_id},\"fileId\":{file_id}}},")?;
        write!(out, "\"fileBlock\":{{\"size\":{size},\"offset\":{offset}}}}}}}")
    }
}

fn part<'a>(params: Object<'a>, key: &str, field: &'static str) -> Result<Object<'a>, Error> {
    let value = params.get(key).ok_or(Error::field(field, Fault::Missing))?;
    value.object().ok_or(Error::field(field, Fault::Type))
}

/// The token, if there is one: no escapes and braces, because devices search its repetition as text.
fn file_token<'a>(holder: Object<'a>, field: &'static str) -> Result<Option<RawStr<'a>>, Error> {
    match text(holder, "fileToken", field, MAX_FILE_TOKEN) {
        Err(Error::Field { fault: Fault::Missing, .. }) => Ok(None),
        Ok(token) if token.raw().contains(['\\', '{', '}']) => Err(Error::field(field, Fault::Unsafe)),
        Ok(token) if token.raw().len() > MAX_FILE_TOKEN => {
            Err(Error::field(field, Fault::TooLong(MAX_FILE_TOKEN)))
        }
        found => found.map(Some),
    }
}

/// The head of a block.
pub(crate) fn block_head<'a>(message: Object<'a>, id: Id<'a>) -> Result<BlockHead<'a>, Error> {
    let data = part(message, "data", "data")?;
    let any = (0, u32::MAX.into());
    Ok(BlockHead {
        id,
        offset: number(data, "bOffset", "data.bOffset", any)?,
        size: number(data, "bSize", "data.bSize", any)?,
        file_length: number(data, "fileLength", "data.fileLength", (0, i64::MAX))?,
        file_token: file_token(data, "data.fileToken")?,
    })
}
