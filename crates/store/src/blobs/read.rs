//! Reading a blob, a block at a time.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::blocking;

/// Bytes read at once: a device that reads small blocks in order costs one blocking read per so many.
const READ_AHEAD: usize = 64 * 1024;

/// A blob opened for one reader. It remembers the bytes last read, at most 64 KiB or one block.
pub struct BlobFile {
    file: Arc<File>,
    len: u64,
    window: Mutex<Window>,
}

#[derive(Clone, Default)]
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
        if let Some(bytes) = self.remembered(offset, len) {
            return Ok(bytes);
        }
        let file = self.file.clone();
        let size = len.max(READ_AHEAD).min(left);
        let bytes = blocking(move || read_at(&file, offset, size)).await?;
        let block = bytes.slice(..len);
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) = Window { offset, bytes };
        Ok(block)
    }

    fn remembered(&self, offset: u64, len: usize) -> Option<Bytes> {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(offset.checked_sub(window.offset)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= window.bytes.len()).then(|| window.bytes.slice(from..to))
    }
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
