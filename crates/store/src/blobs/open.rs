//! One open file for all who read a blob: a fleet must not take the node's files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

/// A file that is open for somebody.
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) len: u64,
    modified: Option<SystemTime>,
}

/// The files that are open for anybody.
#[derive(Default)]
pub(super) struct OpenFiles(Mutex<BTreeMap<PathBuf, Weak<OpenFile>>>);

impl OpenFiles {
    /// The open file of this path, or the file opened now. One that was put in the place of the open one,
    /// as a person mends a damaged file, is another file.
    pub(super) fn open(&self, path: &Path) -> io::Result<Arc<OpenFile>> {
        let now = path.metadata()?;
        let (len, modified) = (now.len(), now.modified().ok());
        let same = |file: &Arc<OpenFile>| (file.len, file.modified) == (len, modified);
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(path).and_then(Weak::upgrade).filter(same) {
            return Ok(file);
        }
        let file = File::open(path)?;
        let found = file.metadata()?;
        let open = Arc::new(OpenFile { file, len: found.len(), modified: found.modified().ok() });
        files.retain(|_, file| file.strong_count() > 0);
        files.insert(path.to_owned(), Arc::downgrade(&open));
        Ok(open)
    }
}
