//! The images of a device's modules, in `modules/`: `NAME.bin`, or the folder `NAME.files` of a package of several files,
//! is what runs; `NAME.next…` is what is being installed, `NAME.previous…` what ran before, and `NAME.trial` says that it
//! may have to come back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::state::{replace, sync_folder_of, with_suffix};

/// What an image may be: a file, or a folder with several.
const KINDS: [&str; 2] = [".bin", ".files"];

/// The images of one module.
#[derive(Clone, Debug)]
pub(super) struct Images {
    /// `modules/NAME`, to which the rest is appended.
    base: PathBuf,
}

impl Images {
    pub(super) fn new(folder: &Path, module: &str) -> Self {
        Self { base: folder.join("modules").join(module) }
    }

    /// Where an image that is being installed goes: a file, or a folder.
    pub(super) fn next(&self, several: bool) -> io::Result<PathBuf> {
        self.remove(".next")?;
        Ok(self.path(".next", KINDS[usize::from(several)]))
    }

    /// What runs, if anything was ever installed.
    pub(super) fn current(&self) -> Option<PathBuf> {
        self.find("")
    }

    /// What ran before.
    pub(super) fn previous(&self) -> Option<PathBuf> {
        self.find(".previous")
    }

    /// Lets the next image run, as this version. On trial it is known of the one before that it may have to come back.
    pub(super) fn switch(&self, old: &str, new: &str, trial: bool) -> io::Result<()> {
        if trial {
            replace(&with_suffix(&self.base, ".trial"), old.as_bytes())?;
        }
        self.rename("", ".previous")?;
        self.rename(".next", "")?;
        self.write_version(new)
    }

    /// The version before, if what runs now is on trial.
    pub(super) fn on_trial(&self, version: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(with_suffix(&self.base, ".trial")) {
            // It had not come so far when the power went.
            Ok(old) if old == version => self.confirm().map(|()| None),
            Ok(old) => Ok(Some(old)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends the trial: what runs now is good.
    pub(super) fn confirm(&self) -> io::Result<()> {
        let trial = with_suffix(&self.base, ".trial");
        fs::remove_file(&trial)?;
        sync_folder_of(&trial)
    }

    /// Ends the trial: what ran before runs again, as this version.
    pub(super) fn roll_back(&self, old: &str) -> io::Result<()> {
        if self.previous().is_some() {
            self.rename(".previous", "")?;
        }
        self.write_version(old)?;
        self.confirm()
    }

    fn write_version(&self, version: &str) -> io::Result<()> {
        replace(&with_suffix(&self.base, ".version"), version.as_bytes())
    }

    fn path(&self, stage: &str, kind: &str) -> PathBuf {
        with_suffix(&self.base, &format!("{stage}{kind}"))
    }

    fn find(&self, stage: &str) -> Option<PathBuf> {
        KINDS.iter().map(|kind| self.path(stage, kind)).find(|path| path.exists())
    }

    /// Puts what is at one stage in the place of another.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        for kind in KINDS {
            let from = self.path(from, kind);
            if from.exists() {
                self.remove(to)?;
                fs::rename(&from, self.path(to, kind))?;
                return sync_folder_of(&from);
            }
        }
        Ok(())
    }

    fn remove(&self, stage: &str) -> io::Result<()> {
        for kind in KINDS {
            let path = self.path(stage, kind);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
