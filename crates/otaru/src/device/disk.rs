//! Changes of files that a power cut leaves either undone or done, and that are done for good when they return.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces a file, or makes it.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = with_suffix(path, ".new");
    power()?;
    let mut file = File::create(&new)?;
    power()?;
    file.write_all(content)?;
    file.sync_all()?;
    rename(&new, path)
}

/// Gives a file or a folder another name, in the place of a file that had it.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    power()?;
    fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Removes a file, or a folder with what is in it, that may not be there. Of a folder a part may be left by a power cut.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    power()?;
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Ok(()) => sync_folder_of(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// `path` with something appended to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a change of names in a folder durable.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Fails once a test has cut the power.
fn power() -> io::Result<()> {
    #[cfg(test)]
    plug::take()?;
    Ok(())
}

/// The power of the thread that a test runs on.
#[cfg(test)]
pub(super) mod plug {
    use std::cell::Cell;
    use std::io;

    thread_local!(static LEFT: Cell<Option<u32>> = const { Cell::new(None) });

    /// Lets so many operations happen, and none after them; all of them if `None`.
    pub(crate) fn cut_after(operations: Option<u32>) {
        LEFT.set(operations);
    }

    pub(super) fn take() -> io::Result<()> {
        let left = LEFT.get();
        if left == Some(0) {
            return Err(io::Error::other("the power is cut"));
        }
        LEFT.set(left.map(|left| left - 1));
        Ok(())
    }
}
