//! Reading a blob, a block at a time.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::blocking;
use super::open::OpenFile;

/// Bytes read and kept at once: the longest block, so that one in its usual place is a piece of a chunk.
const CHUNK: usize = 128 * 1024;
/// Bytes kept, of all files together.
const MOST_KEPT: usize = 64 * 1024 * 1024;
/// Blocks of up to so many bytes are copied: one that waits for a slow device would hold its whole chunk.
const COPIED: usize = 4096;

/// What was read of files last: a fleet reads the same file. A chunk is named by its file and place.
pub(super) type Chunks = Cache<(u64, u64), Bytes, ByLength>;

#[derive(Clone)]
pub(super) struct ByLength;

impl Weighter<(u64, u64), Bytes> for ByLength {
    fn weight(&self, _: &(u64, u64), chunk: &Bytes) -> u64 {
        chunk.len() as u64
    }
}

pub(super) fn chunks() -> Arc<Chunks> {
    Arc::new(Cache::with_weighter(MOST_KEPT / CHUNK, MOST_KEPT as u64, ByLength))
}

/// A blob opened for one reader, on a file and chunks it shares with all others.
pub struct BlobFile {
    file: Arc<OpenFile>,
    chunks: Arc<Chunks>,
}

impl BlobFile {
    pub(super) fn new(file: Arc<OpenFile>, chunks: Arc<Chunks>) -> Self {
        Self { file, chunks }
    }

    /// Bytes in the blob.
    pub fn len(&self) -> u64 {
        self.file.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` bytes from `offset` on, or fewer at the end of the blob. A file that has become shorter
    /// than it was is an error.
    pub async fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let number = offset / CHUNK as u64;
        let from = (offset % CHUNK as u64) as usize;
        if len > COPIED && from + len <= CHUNK {
            return Ok(self.chunk(number).await?.slice(from..from + len));
        }
        let mut block = BytesMut::with_capacity(len);
        let (mut number, mut from) = (number, from);
        while block.len() < len {
            let chunk = self.chunk(number).await?;
            let to = chunk.len().min(from + len - block.len());
            block.extend_from_slice(&chunk[from..to]);
            (number, from) = (number + 1, 0);
        }
        Ok(block.freeze())
    }

    /// The open file, once the kernel has these bytes of it in memory, so that it sends them without waiting
    /// for the disk; `None` where that cannot be told.
    pub async fn resident(&self, offset: u64, len: usize) -> io::Result<Option<Arc<File>>> {
        let file = self.file.file.clone();
        match is_cached(&file, offset, len) {
            Some(true) => {}
            Some(false) => {
                let file = file.clone();
                blocking(move || read_at(&file, offset, vec![0; len])).await?;
            }
            None => return Ok(None),
        }
        Ok(Some(file))
    }

    /// A chunk that begins within the blob.
    async fn chunk(&self, number: u64) -> io::Result<Bytes> {
        let key = (self.file.number, number);
        match self.chunks.get(&key) {
            Some(chunk) => Ok(chunk),
            None => self.chunks.get_or_insert_async(&key, self.load(number)).await,
        }
    }

    /// Bytes in the kernel's memory are read here: another thread would cost more than the reading.
    async fn load(&self, number: u64) -> io::Result<Bytes> {
        let offset = number * CHUNK as u64;
        let mut chunk = vec![0; (self.len() - offset).min(CHUNK as u64) as usize];
        if !read_cached(&self.file.file, offset, &mut chunk) {
            let file = self.file.clone();
            chunk = blocking(move || read_at(&file.file, offset, chunk)).await?;
        }
        Ok(chunk.into())
    }
}

/// Fills the buffer from what the kernel has of the file in its memory; `false` if that is not all of it.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let size = buffer.len();
    let read = preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
    read == Ok(size)
}

/// Whether the kernel has these bytes in its memory: it has what lies between the first and the last if it has
/// both, as it reads ahead. `None`: it does not tell.
#[cfg(target_os = "linux")]
fn is_cached(file: &File, offset: u64, len: usize) -> Option<bool> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let is_there = |at| match preadv2(file, &mut [io::IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT)
    {
        Ok(count) => Some(count == 1),
        Err(Errno::AGAIN) => Some(false),
        Err(_) => None,
    };
    let last = (offset + len as u64).saturating_sub(1);
    Some(is_there(offset)? && is_there(last)?)
}

#[cfg(not(target_os = "linux"))]
fn is_cached(_: &File, _: u64, _: usize) -> Option<bool> {
    None
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: &mut [u8]) -> bool {
    false
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    std::os::unix::fs::FileExt::read_exact_at(file, &mut buffer, offset)?;
    Ok(buffer)
}

#[cfg(windows)]
fn read_at(file: &File, mut offset: u64, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut rest = &mut buffer[..];
    while !rest.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, rest, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest = &mut rest[n..];
        offset += n as u64;
    }
    Ok(buffer)
}
