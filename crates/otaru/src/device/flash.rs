//! Files as flash, worked on by a thread of their own so that no fsync holds up the socket.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::ensure;
use device::{Operation, Record};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::disk::{remove, rename, replace, with_suffix};
use super::hooks::{self, Told};
use super::images::{Images, Stage};
use super::mcu::Mcu;

/// Bytes read back at a time.
const READ_SIZE: u32 = 64 << 10;

/// The folder with files of a package that is not installed yet: `MODULE` holds them, and `MODULE.count` says how many
/// they are.
const KEPT: &str = "kept";

/// An operation on storage, as [`device::Output`] asks for it.
#[derive(Debug)]
pub(super) enum Work {
    Prepare { file: u8, size: u32 },
    Write { offset: u32, data: Vec<u8> },
    Read { offset: u32, len: u32 },
    Save(Option<Record>),
    Keep { module: String, file: u8, size: u32 },
    Install { module: String, version: String, size: u32 },
}

/// An operation that is done.
#[derive(Debug)]
pub(super) enum Done {
    Prepared,
    Written { offset: u32 },
    Read { offset: u32, data: Vec<u8> },
    Saved,
    Kept,
    Installed { module: String, version: String },
    Broken { operation: Operation, why: String },
}

/// The slot, the journal and the images of one device.
pub(super) struct Flash {
    folder: PathBuf,
    slot: Option<File>,
    after: After,
}

/// What happens with an image that has come.
#[derive(Clone, Debug, Default)]
pub(super) struct After {
    /// The part behind a serial line.
    pub(super) mcu: Option<Mcu>,
    /// The hook that installs.
    pub(super) install: Option<String>,
    /// Whether it runs on trial first. That of a part never does: only the part itself says whether it works.
    pub(super) on_trial: bool,
}

impl After {
    /// The part, if this is its module.
    pub(super) fn part(&self, module: &str) -> Option<&Mcu> {
        self.mcu.as_ref().filter(|mcu| mcu.module == module)
    }

    /// Gives an image to the part or to the hook, and lets it run. From there on it is decided: what then fails is made
    /// up for at the next start.
    pub(super) fn hand_over(
        &self,
        images: &Images,
        module: &str,
        old: &str,
        new: &str,
        files: &Path,
    ) -> anyhow::Result<()> {
        let part = self.part(module);
        let taken = part.map_or(Ok(()), |part| part.pass_on(&fs::read(files)?, new)).and_then(|()| {
            let told = Told { module, version: new, previous: old, files: Some(files) };
            self.install.as_ref().map_or(Ok(()), |hook| hooks::run(hook, &told))
        });
        if taken.is_err() && part.is_some() {
            images.end()?;
        }
        taken?;
        images.begin(old, new, Stage::Switching { trial: self.on_trial && part.is_none() })?;
        let _ = images.settle();
        Ok(())
    }
}

impl Flash {
    pub(super) fn new(folder: &Path, after: After) -> Self {
        Self { folder: folder.to_owned(), slot: None, after }
    }

    fn perform(&mut self, work: Work) -> Done {
        let operation = match &work {
            Work::Prepare { .. } => Operation::Prepare,
            Work::Write { .. } => Operation::Write,
            Work::Read { .. } => Operation::Read,
            Work::Save(_) => Operation::Save,
            Work::Keep { .. } => Operation::Keep,
            Work::Install { .. } => Operation::Install,
        };
        let done: anyhow::Result<Done> = match work {
            Work::Prepare { file, size } => self.prepare(file, size).map_err(Into::into),
            Work::Write { offset, data } => self.write(offset, &data).map_err(Into::into),
            Work::Read { offset, len } => self.read(offset, len).map_err(Into::into),
            Work::Save(record) => self.save(record).map_err(Into::into),
            Work::Keep { module, file, size } => self.keep(&module, file, size).map_err(Into::into),
            Work::Install { module, version, size } => self.install(module, version, size),
        };
        done.unwrap_or_else(|error| Done::Broken { operation, why: format!("{error:#}") })
    }

    /// With the first file of a package goes what was kept of one before.
    fn prepare(&mut self, file: u8, size: u32) -> io::Result<Done> {
        if file == 0 {
            remove(&self.folder.join(KEPT))?;
        }
        let slot = self.open(true)?;
        slot.set_len(size.into())?;
        Ok(Done::Prepared)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> io::Result<Done> {
        let slot = self.open(false)?;
        slot.seek(SeekFrom::Start(offset.into()))?;
        slot.write_all(data)?;
        Ok(Done::Written { offset })
    }

    fn read(&mut self, offset: u32, len: u32) -> io::Result<Done> {
        let slot = self.open(false)?;
        slot.seek(SeekFrom::Start(offset.into()))?;
        let mut data = Vec::new();
        slot.take(len.min(READ_SIZE).into()).read_to_end(&mut data)?;
        Ok(Done::Read { offset, data })
    }

    fn save(&mut self, record: Option<Record>) -> io::Result<Done> {
        let journal = self.folder.join("journal");
        if let Some(record) = record {
            self.open(false)?.sync_all()?;
            replace(&journal, &record.to_bytes())?;
            return Ok(Done::Saved);
        }
        remove(&journal)?;
        Ok(Done::Saved)
    }

    fn keep(&mut self, module: &str, file: u8, size: u32) -> io::Result<Done> {
        let kept = self.folder.join(KEPT).join(module);
        fs::create_dir_all(&kept)?;
        self.copy(size, &kept.join(file.to_string()))?;
        replace(&with_suffix(&kept, ".count"), (file + 1).to_string().as_bytes())?;
        Ok(Done::Kept)
    }

    /// How many files of the package came before the one in the slot.
    fn kept(&self, module: &str) -> anyhow::Result<u8> {
        match fs::read_to_string(with_suffix(&self.folder.join(KEPT).join(module), ".count")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            count => Ok(count?.parse()?),
        }
    }

    /// A part behind a serial line gets its image, or the hook does its work, before anything is switched. After a power
    /// cut all of it may come again.
    fn install(&mut self, module: String, version: String, size: u32) -> anyhow::Result<Done> {
        let images = Images::new(&self.folder, &module);
        let files = self.kept(&module)?;
        let next = images.next(files > 0);
        let kept = self.folder.join(KEPT).join(&module);
        if files == 0 {
            images.remove_next()?;
            self.copy(size, &next)?;
        } else if kept.exists() {
            images.remove_next()?;
            self.copy(size, &kept.join(files.to_string()))?;
            rename(&kept, &next)?;
        }
        ensure!(next.exists(), "the files of the package are gone");
        let old = fs::read_to_string(self.folder.join("modules").join(format!("{module}.version")))?;
        if self.after.part(&module).is_some() {
            ensure!(files == 0, "a package of several files cannot go to a part behind a serial line");
            images.begin(&old, &version, Stage::Passing)?;
        }
        self.after.hand_over(&images, &module, &old, &version, &next)?;
        Ok(Done::Installed { module, version })
    }

    /// Puts what is in the slot into a file.
    fn copy(&mut self, size: u32, to: &Path) -> io::Result<()> {
        let new = with_suffix(to, ".new");
        let slot = self.open(false)?;
        slot.seek(SeekFrom::Start(0))?;
        let mut file = File::create(&new)?;
        io::copy(&mut slot.take(size.into()), &mut file)?;
        file.sync_all()?;
        rename(&new, to)
    }

    fn open(&mut self, truncate: bool) -> io::Result<&mut File> {
        if truncate || self.slot.is_none() {
            let path = self.folder.join("slot.bin");
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(truncate).open(path)?;
            self.slot = Some(file);
        }
        self.slot.as_mut().ok_or(io::ErrorKind::NotFound.into())
    }
}

/// The thread that works on a flash, in the order given.
pub(super) struct Worker {
    work: mpsc::Sender<Work>,
    done: UnboundedReceiver<Done>,
}

impl Worker {
    pub(super) fn start(flash: Flash) -> io::Result<Self> {
        let (work, todo) = mpsc::channel();
        let (report, done) = unbounded_channel();
        std::thread::Builder::new()
            .name("device-flash".to_owned())
            .spawn(move || perform(flash, &todo, &report))?;
        Ok(Self { work, done })
    }

    /// Hands over an operation; [`Worker::done`] tells its end.
    pub(super) fn submit(&self, work: Work) {
        // The thread ends only with the channel.
        let _ = self.work.send(work);
    }

    /// The next operation that is done; never resolves while there is nothing to do. Nothing is lost if the future is
    /// dropped.
    pub(super) async fn done(&mut self) -> Done {
        match self.done.recv().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Waits until the thread has let go of the files.
    pub(super) async fn end(self) {
        let Self { work, mut done } = self;
        drop(work);
        while done.recv().await.is_some() {}
    }
}

fn perform(mut flash: Flash, todo: &mpsc::Receiver<Work>, report: &UnboundedSender<Done>) {
    while let Ok(work) = todo.recv() {
        if report.send(flash.perform(work)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_folder_is_named_with_the_operation() {
        let folder = tempfile::tempdir().unwrap();
        let mut flash = Flash::new(&folder.path().join("missing"), After::default());
        match flash.perform(Work::Write { offset: 0, data: vec![1] }) {
            Done::Broken { operation: Operation::Write, why } => {
                assert!(why.contains("No such file"), "{why}")
            }
            done => panic!("{done:?}"),
        }
    }

    /// What is done after each power cut until it is installed: files that are kept already are not kept again.
    fn install_two(flash: &mut Flash, done: &mut usize) -> Result<(), String> {
        let module = || "default".to_owned();
        let steps = [
            vec![Work::Prepare { file: 0, size: 5 }, Work::Write { offset: 0, data: b"first".to_vec() }],
            vec![Work::Keep { module: module(), file: 0, size: 5 }],
            vec![Work::Prepare { file: 1, size: 6 }, Work::Write { offset: 0, data: b"second".to_vec() }],
            vec![Work::Install { module: module(), version: "2".to_owned(), size: 6 }],
        ];
        for (at, works) in steps.into_iter().enumerate().skip(*done) {
            for work in works {
                if let Done::Broken { why, .. } = flash.perform(work) {
                    return Err(why);
                }
            }
            *done = at + 1;
        }
        Ok(())
    }

    #[test]
    fn a_power_cut_loses_no_file_of_a_package() {
        use super::super::disk::plug;
        for (cut, hook) in (0..).flat_map(|cut| [(cut, None), (cut, Some("true".to_owned()))]) {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join("modules").join(name);
            fs::create_dir(folder.path().join("modules")).unwrap();
            fs::write(path("default.version"), "1").unwrap();
            let after = After { install: hook, ..After::default() };
            let mut done = 0;
            plug::cut_after(Some(cut));
            let came = install_two(&mut Flash::new(folder.path(), after.clone()), &mut done).is_err();
            plug::cut_after(None);
            let images = Images::new(folder.path(), "default");
            images.settle().unwrap();
            if fs::read_to_string(path("default.version")).unwrap() == "1" {
                install_two(&mut Flash::new(folder.path(), after), &mut done).unwrap();
            }
            assert_eq!(fs::read(path("default.files/0")).unwrap(), b"first", "cut after {cut}");
            assert_eq!(fs::read(path("default.files/1")).unwrap(), b"second", "cut after {cut}");
            assert_eq!(fs::read_dir(path("default.files")).unwrap().count(), 2, "cut after {cut}");
            assert_eq!(fs::read_to_string(path("default.version")).unwrap(), "2");
            if !came {
                assert!(cut > 10, "{cut}");
                return;
            }
        }
    }

    #[test]
    fn a_torn_journal_is_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let state = super::super::state::State::open(folder.path()).unwrap();
        fs::write(folder.path().join("journal"), b"O1 but not a record of it").unwrap();
        assert!(state.record().is_none());
    }
}
