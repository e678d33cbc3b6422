//! The images of a device's modules, in `modules/`: `NAME.bin`, or the folder `NAME.files` of a package of several files,
//! is what runs; `NAME.next…` is what is being installed, `NAME.previous…` what ran before.
//!
//! Going from one version to another takes several changes of files. `NAME.change` says what is under way: it is written
//! before the first of them, and whoever starts after a power cut goes on from there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::{remove, rename, replace, with_suffix};

/// What an image may be: a file, or a folder with several.
const KINDS: [&str; 2] = [".bin", ".files"];

/// The images of one module.
#[derive(Clone, Debug)]
pub(super) struct Images {
    /// `modules/NAME`, to which the rest is appended.
    base: PathBuf,
}

/// A way from one version to another that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) old: String,
    pub(super) new: String,
    /// There is an image of the old version.
    image: bool,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Stage {
    /// A part behind a serial line is getting the next image.
    Passing,
    /// The next image takes the place of the current one; whether on trial.
    Switching { trial: bool },
    /// The new image runs, and may have to go again.
    Trial,
    /// It has to go, for this reason.
    Returning { why: String },
}

impl Images {
    pub(super) fn new(folder: &Path, module: &str) -> Self {
        Self { base: folder.join("modules").join(module) }
    }

    /// Where an image that is being installed goes: a file, or a folder.
    pub(super) fn next(&self, several: bool) -> PathBuf {
        self.path(".next", KINDS[usize::from(several)])
    }

    /// Makes place for an image that is to be installed.
    pub(super) fn remove_next(&self) -> io::Result<()> {
        self.remove(".next")
    }

    /// What runs, if anything was ever installed.
    pub(super) fn current(&self) -> Option<PathBuf> {
        self.find("")
    }

    /// What ran before this change, or runs again already.
    pub(super) fn old(&self, change: &Change) -> Option<PathBuf> {
        self.find(".previous").or_else(|| self.current()).filter(|_| change.image)
    }

    /// The change that is under way.
    pub(super) fn change(&self) -> io::Result<Option<Change>> {
        let path = self.change_path();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let damaged = |error| io::Error::other(format!("{} is damaged: {error}", path.display()));
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Decides on a change.
    pub(super) fn begin(&self, old: &str, new: &str, stage: Stage) -> io::Result<()> {
        let image = self.current().is_some();
        self.note(&Change { old: old.to_owned(), new: new.to_owned(), image, stage })
    }

    /// Lets the next image run if that is decided; the change that is still under way then.
    pub(super) fn settle(&self) -> io::Result<Option<Change>> {
        let Some(mut change) = self.change()? else { return Ok(None) };
        let Stage::Switching { trial } = change.stage else { return Ok(Some(change)) };
        if self.find(".next").is_some() {
            self.rename("", ".previous")?;
            self.rename(".next", "")?;
        }
        self.write_version(&change.new)?;
        if !trial {
            return self.end().map(|()| None);
        }
        change.stage = Stage::Trial;
        self.note(&change)?;
        Ok(Some(change))
    }

    /// Decides that what ran before this change is to run again.
    pub(super) fn give_up(&self, change: &Change, why: &str) -> io::Result<()> {
        self.note(&Change { stage: Stage::Returning { why: why.to_owned() }, ..change.clone() })
    }

    /// What ran before this change runs again, and the change is over.
    pub(super) fn return_to(&self, change: &Change) -> io::Result<()> {
        if change.image {
            self.rename(".previous", "")?;
        } else {
            self.remove("")?;
        }
        self.write_version(&change.old)?;
        self.end()
    }

    /// The change is over: what runs now is good.
    pub(super) fn end(&self) -> io::Result<()> {
        remove(&self.change_path())
    }

    fn note(&self, change: &Change) -> io::Result<()> {
        replace(&self.change_path(), &serde_json::to_vec(change)?)
    }

    fn change_path(&self) -> PathBuf {
        with_suffix(&self.base, ".change")
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

    /// Puts what is at one stage, if anything is, in the place of another.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let kind = KINDS.into_iter().find(|kind| self.path(from, kind).exists());
        let Some(kind) = kind else { return Ok(()) };
        self.remove(to)?;
        rename(&self.path(from, kind), &self.path(to, kind))
    }

    fn remove(&self, stage: &str) -> io::Result<()> {
        KINDS.iter().try_for_each(|kind| remove(&self.path(stage, kind)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{create_dir, read_to_string, write};

    use super::super::disk::plug;
    use super::*;

    /// A device with one module, whose images say which version they are of.
    struct Device {
        _folder: tempfile::TempDir,
        images: Images,
    }

    /// Whether images are folders.
    type Several = bool;

    impl Device {
        fn new(first: Option<Several>) -> Self {
            // Where it can, in memory: there are many of them, and each makes many changes durable.
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            create_dir(folder.path().join("modules")).unwrap();
            let device = Self { images: Images::new(folder.path(), "default"), _folder: folder };
            device.images.write_version("1").unwrap();
            if let Some(several) = first {
                device.fill(&device.images.path("", KINDS[usize::from(several)]), several, "1");
            }
            device
        }

        fn fill(&self, path: &Path, several: Several, version: &str) {
            if several {
                create_dir(path).unwrap();
                write(path.join("0"), version).unwrap();
            } else {
                write(path, version).unwrap();
            }
        }

        /// What `Flash::install` does.
        fn install(&self, new: &str, several: Several) -> io::Result<()> {
            self.images.remove_next()?;
            self.fill(&self.images.next(several), several, new);
            self.images.begin(&self.version(), new, Stage::Switching { trial: true })?;
            self.images.settle().map(drop)
        }

        /// What a device does when it starts, with what the confirm hook says of the image; what it was asked of.
        fn start(&self, good: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
            let mut asked = Vec::new();
            let Some(change) = self.images.settle()? else { return Ok(asked) };
            if change.stage == Stage::Trial {
                asked.push(self.runs().unwrap());
                if good(&asked[0]) {
                    self.images.end()?;
                    return Ok(asked);
                }
                self.images.give_up(&change, "it is bad")?;
            }
            self.images.return_to(&change)?;
            Ok(asked)
        }

        fn version(&self) -> String {
            read_to_string(with_suffix(&self.images.base, ".version")).unwrap()
        }

        /// The version of the image that runs.
        fn runs(&self) -> Option<String> {
            let current = self.images.current()?;
            let file = if current.is_dir() { current.join("0") } else { current };
            Some(read_to_string(file).unwrap())
        }
    }

    /// An update to 2 whose power is cut after these many operations, and the start after it cut after others; whether
    /// both cuts came before the end.
    fn cut(first: Option<Several>, several: Several, good: bool, cuts: [u32; 2]) -> [bool; 2] {
        let device = Device::new(first);
        let is_good = |version: &str| version != "2" || good;
        let mut came = [false; 2];
        plug::cut_after(Some(cuts[0]));
        came[0] = device.install("2", several).and_then(|()| device.start(is_good)).is_err();
        plug::cut_after(Some(cuts[1]));
        came[1] = device.start(is_good).is_err();
        plug::cut_after(None);
        device.start(is_good).unwrap();

        let what = format!("{first:?} to {several}, good {good}, cut after {cuts:?}");
        let version = device.version();
        let image = device.runs();
        assert_eq!(device.images.change().unwrap(), None, "{what}");
        if version == "2" {
            assert_eq!((image.as_deref(), good), (Some("2"), true), "{what}");
        } else {
            assert_eq!((version.as_str(), image.is_some()), ("1", first.is_some()), "{what}");
            assert!(image.is_none_or(|image| image == "1"), "{what}");
        }
        if !came[0] {
            assert_eq!(version == "2", good, "{what}");
        }
        device.install("3", !several).unwrap();
        assert_eq!(device.start(|_| true).unwrap(), ["3"], "{what}");
        assert_eq!((device.version().as_str(), device.runs().as_deref()), ("3", Some("3")), "{what}");
        came
    }

    #[test]
    fn every_power_cut_leaves_the_old_image_or_the_new_with_its_version() {
        for first in [None, Some(false), Some(true)] {
            for (several, good) in [(false, true), (false, false), (true, true), (true, false)] {
                for at in 0.. {
                    let mut again = 0;
                    while cut(first, several, good, [at, again])[1] {
                        again += 1;
                    }
                    if !cut(first, several, good, [at, u32::MAX])[0] {
                        assert!(at > 12, "{at}");
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn an_image_that_has_to_go_is_not_asked_about_again() {
        let device = Device::new(Some(false));
        device.install("2", false).unwrap();
        let change = device.images.settle().unwrap().unwrap();
        device.images.give_up(&change, "it is bad").unwrap();
        assert_eq!(device.start(|_| true).unwrap(), [""; 0]);
        assert_eq!((device.version().as_str(), device.runs().as_deref()), ("1", Some("1")));
    }

    #[test]
    fn a_damaged_change_is_named() {
        let device = Device::new(None);
        write(device.images.change_path(), "{").unwrap();
        let error = device.images.settle().unwrap_err().to_string();
        assert!(error.contains("default.change is damaged"), "{error}");
    }
}
