//! Files as flash, worked on by a thread of their own so that no fsync holds up the socket.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::ensure;
use device::{Operation, Record};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::hooks::{self, Told};
use super::images::Images;
use super::mcu::Mcu;
use super::state::{replace, sync_folder_of, with_suffix};

/// Bytes read back at a time.
const READ_SIZE: u32 = 64 << 10;

/// The folder with files of a package that is not installed yet.
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
    /// Whether it runs on trial first.
    pub(super) on_trial: bool,
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
            remove_folder(&self.folder.join(KEPT))?;
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
        match fs::remove_file(&journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder_of(&journal).map(|()| Done::Saved),
        }
    }

    fn keep(&mut self, module: &str, file: u8, size: u32) -> io::Result<Done> {
        let kept = self.folder.join(KEPT).join(module);
        fs::create_dir_all(&kept)?;
        self.copy(size, &kept.join(file.to_string()))?;
        Ok(Done::Kept)
    }

    /// A part behind a serial line gets its image, or the hook does its work, before anything is switched.
    fn install(&mut self, module: String, version: String, size: u32) -> anyhow::Result<Done> {
        let images = Images::new(&self.folder, &module);
        let kept = self.folder.join(KEPT).join(&module);
        let files = fs::read_dir(&kept).map_or(0, Iterator::count);
        let next = images.next(files > 0)?;
        if files > 0 {
            self.copy(size, &kept.join(files.to_string()))?;
            fs::rename(&kept, &next)?;
        } else {
            self.copy(size, &next)?;
        }
        if let Some(mcu) = self.after.mcu.as_ref().filter(|mcu| mcu.module == module) {
            ensure!(files == 0, "a package of several files cannot go to a part behind a serial line");
            mcu.pass_on(&fs::read(&next)?, &version)?;
        }
        let previous = fs::read_to_string(self.folder.join("modules").join(format!("{module}.version")))?;
        if let Some(hook) = &self.after.install {
            let files = Some(next.as_path());
            hooks::run(hook, &Told { module: &module, version: &version, previous: &previous, files })?;
        }
        images.switch(&previous, &version, self.after.on_trial)?;
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
        fs::rename(&new, to)?;
        sync_folder_of(to)
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

/// Removes a folder that may not be there.
fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
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

    #[test]
    fn a_torn_journal_is_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let state = super::super::state::State::open(folder.path()).unwrap();
        fs::write(folder.path().join("journal"), b"O1 but not a record of it").unwrap();
        assert!(state.record().is_none());
    }
}
