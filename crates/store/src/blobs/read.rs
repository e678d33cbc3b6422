//! Reading a blob, a block at a time.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::blocking;

/// Bytes read at once: a device that reads small blocks in order costs one read per so many.
const READ_AHEAD: usize = 64 * 1024;

/// A blob opened for one reader. It remembers the bytes last read, at most 64 KiB or one block.
pub struct BlobFile {
    file: Arc<File>,
    len: u64,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    offset: u64,
    bytes: Bytes,
}

impl BlobFile {
    pub(super) async fn open(path: PathBuf) -> io::Result<Self> {
        blocking(move || {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            Ok(Self { file: Arc::new(file), len, window: Mutex::default() })
        })
        .await
    }

    /// Bytes in the blob.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `len` bytes from `offset` on, or fewer at the end of the blob. A file that has become shorter
    /// than it was is an error.
    pub async fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let size = len.max(READ_AHEAD).min(left);
        if let Some(bytes) = self.at_hand(offset, len, size) {
            return Ok(bytes);
        }
        let file = self.file.clone();
        let bytes = blocking(move || read_at(&file, offset, size)).await?;
        let block = bytes.slice(..len);
        *self.window() = Window { offset, bytes };
        Ok(block)
    }

    /// Bytes that need no disk: remembered here, or in the kernel's memory. For those another thread would
    /// cost more than the reading.
    fn at_hand(&self, offset: u64, len: usize, size: usize) -> Option<Bytes> {
        let mut window = self.window();
        if let Some(bytes) = window.get(offset, len) {
            return Some(bytes);
        }
        let mut buffer = window.buffer(size);
        if !read_cached(&self.file, offset, &mut buffer) {
            return None;
        }
        *window = Window { offset, bytes: buffer.freeze() };
        window.get(offset, len)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn get(&self, offset: u64, len: usize) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }

    /// Room for other bytes: the old bytes' own, once nobody else holds them.
    fn buffer(&mut self, size: usize) -> BytesMut {
        let mut buffer = std::mem::take(&mut self.bytes).try_into_mut().unwrap_or_default();
        buffer.resize(size, 0);
        buffer
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

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: &mut [u8]) -> bool {
    false
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, offset)?;
    Ok(bytes.into())
}

#[cfg(windows)]
fn read_at(file: &File, mut offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, rest, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest = &mut rest[n..];
        offset += n as u64;
    }
    Ok(bytes.into())
}
