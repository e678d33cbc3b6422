//! One open file for all who read a blob: a fleet must not take the node's files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

/// A file that is open for somebody.
pub(super) struct OpenFile {
    /// Its own, whatever its path.
    pub(super) number: u64,
    pub(super) file: Arc<File>,
    pub(super) len: u64,
    modified: Option<SystemTime>,
}

/// The files that are open for anybody.
#[derive(Default)]
pub(super) struct OpenFiles(Mutex<Files>);

#[derive(Default)]
struct Files {
    by_path: BTreeMap<PathBuf, Weak<OpenFile>>,
    /// Files ever opened.
    opened: u64,
}

impl OpenFiles {
    /// The open file of this path, or the file opened now. One that was put in the place of the open one,
    /// as a person mends a damaged file, is another file.
    pub(super) fn open(&self, path: &Path) -> io::Result<Arc<OpenFile>> {
        let now = path.metadata()?;
        let (len, modified) = (now.len(), now.modified().ok());
        let same = |file: &Arc<OpenFile>| (file.len, file.modified) == (len, modified);
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.by_path.get(path).and_then(Weak::upgrade).filter(same) {
            return Ok(file);
        }
        let file = Arc::new(File::open(path)?);
        let found = file.metadata()?;
        files.opened += 1;
        let (number, len, modified) = (files.opened, found.len(), found.modified().ok());
        let open = Arc::new(OpenFile { number, file, len, modified });
        files.by_path.retain(|_, file| file.strong_count() > 0);
        files.by_path.insert(path.to_owned(), Arc::downgrade(&open));
        Ok(open)
    }
}
