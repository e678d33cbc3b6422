//! The device's folder: `modules/NAME.version` says what runs, beside the images ([`super::images`]); `slot.bin` is what
//! arrives, `journal` says how much of it is there, and `kept` holds the files of a package that came before it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use device::{DEFAULT_MODULE, Record, valid_version};
use wire::credentials::valid_module;

use super::disk::replace;
use super::flash::{After, Flash};
use super::images::Images;

/// The version that the default module starts with when nobody says otherwise.
const FIRST_VERSION: &str = "1.0.0";

/// A state folder, held for this process alone.
pub(super) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Opens a folder, making it if need be.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        fs::create_dir_all(folder.join("modules"))
            .with_context(|| format!("the state folder {shown} cannot be made"))?;
        let lock = File::create(folder.join("lock"))
            .with_context(|| format!("the state folder {shown} cannot be written to"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("the state folder {shown} is in use by another device: give each one its own --state")
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("the state folder {shown} cannot be locked"))
            }
        }
    }

    /// Name and version of every module: those known, and those given that are not known yet.
    pub(super) fn modules(&self, given: &[(String, String)]) -> anyhow::Result<Vec<(String, String)>> {
        let mut modules = self.known()?;
        let first = [(DEFAULT_MODULE.to_owned(), FIRST_VERSION.to_owned())];
        let given = if given.is_empty() && modules.is_empty() { &first } else { given };
        for (name, version) in given {
            if !modules.iter().any(|(known, _)| known == name) {
                ensure!(
                    valid_module(name),
                    "--module {name}={version}: the name must be 1 to 64 characters of A-Z a-z 0-9 . - _"
                );
                ensure!(
                    valid_version(version),
                    "--module {name}={}: the version must be 1 to 64 characters without quotes, backslashes and control characters",
                    version.escape_default()
                );
                self.learn(name, version)?;
                modules.push((name.clone(), version.clone()));
            }
        }
        modules.sort();
        Ok(modules)
    }

    /// Keeps the version of a module.
    pub(super) fn learn(&self, name: &str, version: &str) -> anyhow::Result<()> {
        let path = self.folder.join("modules").join(format!("{name}.version"));
        replace(&path, version.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
    }

    fn known(&self) -> anyhow::Result<Vec<(String, String)>> {
        let folder = self.folder.join("modules");
        let mut known = Vec::new();
        let entries =
            fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".version"));
            if let Some(name) = name {
                let version = fs::read_to_string(&path)
                    .with_context(|| format!("the version in {} cannot be read", path.display()))?;
                known.push((name.to_owned(), version.trim_end().to_owned()));
            }
        }
        Ok(known)
    }

    /// What was remembered of a download, if it is whole.
    pub(super) fn record(&self) -> Option<Record> {
        Record::from_bytes(&fs::read(self.folder.join("journal")).ok()?)
    }

    /// The flash in this folder, and what happens with what comes into it.
    pub(super) fn flash(&self, after: After) -> Flash {
        Flash::new(&self.folder, after)
    }

    /// The images of a module.
    pub(super) fn images(&self, module: &str) -> Images {
        Images::new(&self.folder, module)
    }
}
