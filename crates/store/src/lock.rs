//! One process at a time serves a data folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Held as long as the value lives; the system lets go of it however the process ends.
pub(crate) struct FolderLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl FolderLock {
    /// `None` if another process holds it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}
