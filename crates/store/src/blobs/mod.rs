//! Files, named by what they contain.
//!
//! A blob lies in `<folder>/<first two digits>/<SHA-256>` and never changes. It is complete and on the
//! disk before its name exists. What is being written lies beside, as `upload-..`; whatever a crash
//! left is removed at the next start, but for files that come in pieces ([`Partial`]).

mod open;
mod partial;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use open::OpenFiles;
pub use partial::Partial;
pub use read::BlobFile;
use read::Chunks;
pub(crate) use write::sync_folder;
pub use write::{BlobWriter, Stored};

const UPLOAD: &str = "upload-";

/// The folder of blobs. Cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<Folder>);

struct Folder {
    path: PathBuf,
    uploads: AtomicU64,
    pins: Mutex<Pins>,
    files: OpenFiles,
    chunks: Arc<Chunks>,
}

#[derive(Default)]
struct Pins {
    /// Blobs stored whose package row may not be committed yet: not to be removed.
    held: BTreeMap<String, usize>,
    /// Pins ever made.
    made: u64,
}

/// Says what had been stored when it was taken.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl Blobs {
    /// Makes the folder if it is missing.
    pub(crate) fn open_folder(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self::of_folder(path))
    }

    pub(crate) fn of_folder(path: &Path) -> Self {
        Self(Arc::new(Folder {
            path: path.into(),
            uploads: AtomicU64::new(0),
            pins: Mutex::default(),
            files: OpenFiles::default(),
            chunks: read::chunks(),
        }))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0.path
    }

    /// Whether there is no blob, or no folder of them.
    pub(crate) fn is_empty(folder: &Path) -> io::Result<bool> {
        let mut entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(e) => return Err(e),
        };
        // An empty part is as good as none.
        Ok(!entries.any(|part| {
            part.is_ok_and(|p| p.path().read_dir().is_ok_and(|mut files| files.next().is_some()))
        }))
    }

    /// Begins a new blob.
    pub async fn create(&self) -> io::Result<BlobWriter> {
        let name = format!("{UPLOAD}{}", self.0.uploads.fetch_add(1, Ordering::Relaxed));
        BlobWriter::create(self.clone(), self.0.path.join(name)).await
    }

    /// Opens a blob to be read. `NotFound` if there is none of this SHA-256.
    pub async fn open(&self, sha256: &str) -> io::Result<BlobFile> {
        let (path, folder) = (self.path_of(sha256)?, self.0.clone());
        let file = blocking(move || folder.files.open(&path)).await?;
        Ok(BlobFile::new(file, self.0.chunks.clone()))
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> u64 {
        self.0.chunks.weight()
    }

    pub(crate) fn path_of(&self, sha256: &str) -> io::Result<PathBuf> {
        let digits = sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if sha256.len() != 64 || !digits {
            let what = format!("a blob is named by 64 lower-case hex digits, not {sha256:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(self.0.path.join(&sha256[..2]).join(sha256))
    }

    /// Removes all uploads, and all blobs but those named.
    pub(crate) fn sweep(&self, used: &BTreeSet<String>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.0.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(UPLOAD) {
                std::fs::remove_file(entry.path())?;
            } else if entry.file_type()?.is_dir() {
                sweep_part(&entry.path(), used)?;
            }
        }
        Ok(())
    }

    /// To be taken before the database is asked whether a blob is unused.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.pins().made)
    }

    /// Removes a blob that was unused when, after `ticket` was taken, the database was asked. False if it
    /// is not there or if anything was stored meanwhile: it may be the same content.
    pub(crate) fn remove(&self, sha256: &str, ticket: Ticket) -> io::Result<bool> {
        let path = self.path_of(sha256)?;
        let pins = self.pins();
        if pins.made != ticket.0 || pins.held.contains_key(sha256) {
            return Ok(false);
        }
        match std::fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn pins(&self) -> MutexGuard<'_, Pins> {
        self.0.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep_part(folder: &Path, used: &BTreeSet<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| used.contains(name)) {
            tracing::info!(file = %entry.path().display(), "removing a file nothing refers to");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
