//! Storing a blob while it streams in.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Blobs, UPLOAD, blocking};
use crate::hex;

/// Bytes gathered before they are hashed and written.
const GATHER: usize = 256 * 1024;

/// A blob that is being written. Dropped before [`Self::finish`], it leaves nothing, unless it is a
/// [`super::Partial`].
pub struct BlobWriter {
    blobs: Blobs,
    gathered: Vec<Bytes>,
    waiting: usize,
    /// Taken while a blocking thread has it.
    upload: Option<Upload>,
}

pub(super) struct Upload {
    file: File,
    path: PathBuf,
    pub(super) md5: Md5,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    stays: Stays,
}

/// Whether the file is still there once it is not written any more.
#[derive(PartialEq, Eq)]
enum Stays {
    /// Only as a blob.
    AsBlob,
    /// It has become one.
    Kept,
    /// Also beside the blob.
    Beside,
}

/// A blob that is on the disk. As long as this value lives it is not removed: keep it until the
/// package's row is committed.
pub struct Stored {
    /// 64 lower-case hex digits; the blob's name.
    pub sha256: String,
    /// 32 lower-case hex digits.
    pub md5: String,
    /// Bytes.
    pub size: u64,
    blobs: Blobs,
}

impl BlobWriter {
    pub(super) async fn create(blobs: Blobs, path: PathBuf) -> io::Result<Self> {
        let open = move || {
            let file = File::create_new(&path)?;
            Ok(Upload::new(file, path, Stays::AsBlob))
        };
        Ok(Self::of(blobs, blocking(open).await?))
    }

    pub(super) fn of(blobs: Blobs, upload: Upload) -> Self {
        Self { blobs, gathered: vec![], waiting: 0, upload: Some(upload) }
    }

    /// Adds the next bytes. After an error the writer can only be dropped.
    pub async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.waiting += chunk.len();
        self.gathered.push(chunk);
        if self.waiting < GATHER { Ok(()) } else { self.flush().await }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.size) + self.waiting as u64
    }

    /// Brings all that was written to the disk.
    pub async fn sync(&mut self) -> io::Result<()> {
        self.flush().await?;
        let upload = self.upload.take().ok_or_else(broken)?;
        self.upload = Some(blocking(move || upload.file.sync_all().map(|()| upload)).await?);
        Ok(())
    }

    /// The SHA-256 of what has been synced.
    pub fn sha256(&self) -> Option<String> {
        self.upload.as_ref().map(|upload| hex::encode(&upload.sha256.clone().finalize()))
    }

    /// Gives the blob its name, once it is on the disk, in place of one of the same name.
    pub async fn finish(mut self) -> io::Result<Stored> {
        self.flush().await?;
        let upload = self.upload.take().ok_or_else(broken)?;
        let blobs = self.blobs.clone();
        blocking(move || upload.keep(blobs)).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut upload = self.upload.take().ok_or_else(broken)?;
        let chunks = std::mem::take(&mut self.gathered);
        self.waiting = 0;
        let write = move || {
            chunks.iter().try_for_each(|chunk| upload.write(chunk))?;
            Ok(upload)
        };
        self.upload = Some(blocking(write).await?);
        Ok(())
    }
}

impl Upload {
    fn new(file: File, path: PathBuf, stays: Stays) -> Self {
        Self { file, path, md5: Md5::new(), sha256: Sha256::new(), size: 0, stays }
    }

    /// Of a file that stays.
    pub(super) fn partial(file: File, path: PathBuf) -> Self {
        Self::new(file, path, Stays::Beside)
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.md5.update(chunk);
        self.sha256.update(chunk);
        self.size += chunk.len() as u64;
        self.file.write_all(chunk)
    }

    fn keep(mut self, blobs: Blobs) -> io::Result<Stored> {
        self.file.sync_all()?;
        let sha256 = hex::encode(&self.sha256.finalize_reset());
        let md5 = hex::encode(&self.md5.finalize_reset());
        let path = blobs.path_of(&sha256)?;
        let stored = Stored::pin(blobs, sha256, md5, self.size);
        // One that exists is replaced: it has the same content, or has been damaged since.
        let part = path.parent().ok_or_else(broken)?;
        std::fs::create_dir_all(part)?;
        if self.stays == Stays::Beside {
            let twin = twin(&self.path)?;
            std::fs::rename(twin, &path)?;
        } else {
            std::fs::rename(&self.path, &path)?;
            self.stays = Stays::Kept;
        }
        sync_folder(part)?;
        sync_folder(&stored.blobs.0.path)?;
        Ok(stored)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.stays == Stays::AsBlob
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(file = %self.path.display(), %error, "cannot remove an upload that was given up");
        }
    }
}

impl Stored {
    fn pin(blobs: Blobs, sha256: String, md5: String, size: u64) -> Self {
        let mut pins = blobs.pins();
        pins.made += 1;
        *pins.held.entry(sha256.clone()).or_default() += 1;
        drop(pins);
        Self { sha256, md5, size, blobs }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let mut pins = self.blobs.pins();
        if let Some(n) = pins.held.get_mut(&self.sha256) {
            *n -= 1;
            if *n == 0 {
                pins.held.remove(&self.sha256);
            }
        }
    }
}

/// A second name of a file, or where a file has only one, a copy. After a crash it goes as uploads do.
fn twin(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let twin = path.with_file_name(format!("{UPLOAD}{name}"));
    // An earlier try may have left one.
    let _ = std::fs::remove_file(&twin);
    if std::fs::hard_link(path, &twin).is_err() {
        std::fs::copy(path, &twin)?;
        File::open(&twin)?.sync_all()?;
    }
    Ok(twin)
}

/// Makes renames in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn broken() -> io::Error {
    io::Error::other("the upload broke off before")
}
