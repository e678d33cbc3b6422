//! Reading a blob, a block at a time.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::open::OpenFile;
use super::{Folder, blocking};

/// Bytes read at once: a device that reads small blocks in order costs one read per so many.
const READ_AHEAD: usize = 64 * 1024;
/// Bytes that all readers of a folder remember together. Those who find no room read what they are asked for.
const MOST_REMEMBERED: usize = 64 * 1024 * 1024;

/// A blob opened for one reader, on a file it shares with all others. It remembers the bytes last read, at most
/// 64 KiB or one block, until it has come to the end.
pub struct BlobFile {
    open: Arc<OpenFile>,
    folder: Arc<Folder>,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    offset: u64,
    bytes: Bytes,
}

impl BlobFile {
    pub(super) fn new(open: Arc<OpenFile>, folder: Arc<Folder>) -> Self {
        Self { open, folder, window: Mutex::default() }
    }

    /// Bytes in the blob.
    pub fn len(&self) -> u64 {
        self.open.len
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
        let block = match self.at_hand(offset, len, left) {
            Some(block) => block,
            None => {
                let (open, size) = (self.open.clone(), self.size(len, left));
                let bytes = blocking(move || read_at(&open.file, offset, size)).await?;
                let block = bytes.slice(..len);
                self.remember(&mut self.window(), Window { offset, bytes });
                block
            }
        };
        if len == left {
            // Who has the end of a file seldom reads on.
            self.remember(&mut self.window(), Window::default());
        }
        Ok(block)
    }

    /// Bytes that need no disk: remembered here, or in the kernel's memory. For those another thread would
    /// cost more than the reading.
    fn at_hand(&self, offset: u64, len: usize, left: usize) -> Option<Bytes> {
        let mut window = self.window();
        if let Some(bytes) = window.get(offset, len) {
            return Some(bytes);
        }
        let size = self.size(len, left);
        let mut buffer = self.take(&mut window, size);
        if !read_cached(&self.open.file, offset, &mut buffer) {
            return None;
        }
        let bytes = buffer.freeze();
        let block = bytes.slice(..len);
        self.remember(&mut window, Window { offset, bytes });
        Some(block)
    }

    /// How much to read where `len` bytes are asked for and `left` are left.
    fn size(&self, len: usize, left: usize) -> usize {
        let full = self.folder.remembered.load(Ordering::Relaxed) + READ_AHEAD > MOST_REMEMBERED;
        if full { len } else { len.max(READ_AHEAD).min(left) }
    }

    fn remember(&self, window: &mut Window, new: Window) {
        let remembered = &self.folder.remembered;
        remembered.fetch_sub(window.bytes.len(), Ordering::Relaxed);
        let before = remembered.fetch_add(new.bytes.len(), Ordering::Relaxed);
        *window = new;
        if before + window.bytes.len() > MOST_REMEMBERED {
            remembered.fetch_sub(window.bytes.len(), Ordering::Relaxed);
            *window = Window::default();
        }
    }

    /// Room for other bytes: the old bytes' own, once nobody else holds them.
    fn take(&self, window: &mut Window, size: usize) -> BytesMut {
        self.folder.remembered.fetch_sub(window.bytes.len(), Ordering::Relaxed);
        let mut buffer = std::mem::take(&mut window.bytes).try_into_mut().unwrap_or_default();
        buffer.resize(size, 0);
        buffer
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BlobFile {
    fn drop(&mut self) {
        let remembered = self.window().bytes.len();
        self.folder.remembered.fetch_sub(remembered, Ordering::Relaxed);
    }
}

impl Window {
    fn get(&self, offset: u64, len: usize) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
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
