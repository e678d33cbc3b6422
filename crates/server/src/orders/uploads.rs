//! Uploads: files that come in pieces, to become packages. They outlive connections and the process.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use rollout::{Id, Ms, Package, PackageFile};
use store::{BlobWriter, Blobs, Partial, Stored};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tracing::warn;

use super::packages::{NewFile, NewPackage, Plan, check_files, length};
use crate::Server;
use crate::error::OrderError;
use crate::ids::IdKind;
use crate::image::{EspImage, HEAD};

/// Most uploads at once.
const MOST: usize = 64;
/// Most bytes of them all, once they are complete.
const MOST_BYTES: u64 = 64 << 30;
/// How long an upload is kept.
const KEPT_MS: Ms = 24 * 3_600_000;
/// Pause between two looks for those kept for long enough.
const LOOK_MS: Ms = 3_600_000;

/// An upload to be begun.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Bytes of the whole file.
    pub size: u64,
    /// Its SHA-256 in hex digits, to be compared with at the end.
    pub sha256: Option<String>,
}

/// An upload, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// What was said of it.
    pub partial: Partial,
    /// Bytes that are here and will stay.
    pub offset: u64,
}

impl Upload {
    /// Until when it is kept.
    pub fn expires_at(&self) -> Ms {
        expires_at(&self.partial)
    }
}

fn expires_at(partial: &Partial) -> Ms {
    partial.created_at + KEPT_MS
}

/// The uploads there are.
#[derive(Default)]
pub(crate) struct Uploads(std::sync::Mutex<BTreeMap<Id, Arc<Slot>>>);

/// One upload. Only one request writes to it; a later one that goes on from the right place takes the turn, for the
/// earlier one may hang on a connection that is no more.
struct Slot {
    partial: Partial,
    /// Bytes that have come, or [`UNKNOWN`].
    come: AtomicU64,
    /// Bytes that will stay whatever happens.
    synced: AtomicU64,
    /// Counts the requests that wanted the turn.
    turn: watch::Sender<u64>,
    writer: Arc<Mutex<Writer>>,
}

/// A write has failed: how much of it is on the disk is not known before it is looked at.
const UNKNOWN: u64 = u64::MAX;

enum Writer {
    /// Known by its file only.
    Closed,
    Open(Box<BlobWriter>),
    /// Removed, or made a package of.
    Gone,
}

impl Slot {
    fn new(partial: Partial, synced: u64, writer: Writer) -> Self {
        let (turn, writer) = (watch::Sender::new(0), Arc::new(Mutex::new(writer)));
        Self { partial, come: synced.into(), synced: synced.into(), turn, writer }
    }

    fn view(&self) -> Upload {
        Upload { partial: self.partial.clone(), offset: self.synced.load(Ordering::Acquire) }
    }

    fn check_offset(&self, offset: u64) -> Result<(), OrderError> {
        match self.come.load(Ordering::Acquire) {
            UNKNOWN => Ok(()),
            right if right == offset => Ok(()),
            right => Err(wrong_offset(&self.partial, offset, right)),
        }
    }

    /// Opens the file, if it is not.
    async fn open<'w>(
        &self,
        writer: &'w mut Writer,
        blobs: &Blobs,
    ) -> Result<&'w mut BlobWriter, OrderError> {
        if let Writer::Closed = writer {
            let open = blobs.resume_partial(self.partial.id).await.map_err(stored)?;
            self.come.store(open.size(), Ordering::Release);
            *writer = Writer::Open(Box::new(open));
        }
        match writer {
            Writer::Open(open) => Ok(open.as_mut()),
            Writer::Closed | Writer::Gone => Err(unknown(self.partial.id)),
        }
    }
}

impl Uploads {
    /// Finds what an earlier process has left.
    pub(crate) async fn load(blobs: &Blobs) -> io::Result<Self> {
        let found = blobs.partials().await?;
        let slot =
            |(partial, len): (Partial, u64)| (partial.id, Arc::new(Slot::new(partial, len, Writer::Closed)));
        Ok(Self(found.into_iter().map(slot).collect::<BTreeMap<_, _>>().into()))
    }

    /// Removes those that have been kept for long enough, unless they are being written just now.
    pub(crate) async fn expire(&self, blobs: &Blobs, now: Ms) {
        let old: Vec<_> =
            self.slots().values().filter(|slot| expires_at(&slot.partial) <= now).cloned().collect();
        for slot in old {
            if let Ok(writer) = Arc::clone(&slot.writer).try_lock_owned()
                && let Err(error) = self.remove(blobs, &slot, writer).await
            {
                warn!(%error, upload = IdKind::Upload.text(slot.partial.id), "an old upload could not be removed");
            }
        }
    }

    async fn remove(
        &self,
        blobs: &Blobs,
        slot: &Slot,
        mut writer: OwnedMutexGuard<Writer>,
    ) -> io::Result<()> {
        *writer = Writer::Gone;
        self.slots().remove(&slot.partial.id);
        blobs.remove_partial(slot.partial.id).await
    }

    fn find(&self, id: Id, now: Ms) -> Result<Arc<Slot>, OrderError> {
        let found = self.slots().get(&id).filter(|slot| now < expires_at(&slot.partial)).cloned();
        found.ok_or_else(|| unknown(id))
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Id, Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for old uploads from time to time, as long as there is a server.
pub(crate) fn start_expiry(server: &Server) {
    let (core, clock) = (Arc::downgrade(&server.core), server.core.clock.clone());
    tokio::spawn(async move {
        loop {
            clock.reach(clock.now() + LOOK_MS).await;
            let Some(core) = core.upgrade() else { return };
            core.uploads.expire(core.store.blobs(), core.now()).await;
        }
    });
}

impl Server {
    /// Begins an upload.
    pub async fn create_upload(&self, new: NewUpload) -> Result<Upload, OrderError> {
        let sha256 = new.sha256.map(check_digest).transpose()?;
        if new.size == 0 {
            return Err(empty());
        }
        let (core, blobs) = (&self.core, self.core.store.blobs());
        core.uploads.expire(blobs, core.now()).await;
        let partial = Partial { id: core.next_id(), size: new.size, sha256, created_at: core.now() };
        let slot = Arc::new(Slot::new(partial, 0, Writer::Closed));
        // Its place is taken before anything is on the disk, so that no two take the last one.
        let mut writer = slot.writer.lock().await;
        {
            let mut slots = core.uploads.slots();
            check_room(&slots, new.size)?;
            slots.insert(slot.partial.id, Arc::clone(&slot));
        }
        match blobs.begin_partial(&slot.partial).await {
            Ok(open) => *writer = Writer::Open(Box::new(open)),
            Err(error) => {
                *writer = Writer::Gone;
                core.uploads.slots().remove(&slot.partial.id);
                return Err(stored(error));
            }
        }
        Ok(slot.view())
    }

    /// All uploads, in the order they were begun.
    pub fn uploads(&self) -> Vec<Upload> {
        let now = self.core.now();
        let slots = self.core.uploads.slots();
        slots.values().filter(|slot| now < expires_at(&slot.partial)).map(|slot| slot.view()).collect()
    }

    /// One upload.
    pub fn upload(&self, id: Id) -> Result<Upload, OrderError> {
        Ok(self.core.uploads.find(id, self.core.now())?.view())
    }

    /// Gives an upload up.
    pub async fn remove_upload(&self, id: Id) -> Result<(), OrderError> {
        let slot = self.core.uploads.find(id, self.core.now())?;
        slot.turn.send_modify(|turn| *turn += 1);
        let writer = Arc::clone(&slot.writer).lock_owned().await;
        self.core.uploads.remove(self.core.store.blobs(), &slot, writer).await.map_err(stored)
    }

    /// Goes on with an upload from where it is.
    pub async fn continue_upload(&self, id: Id, offset: u64) -> Result<Piece, OrderError> {
        let slot = self.core.uploads.find(id, self.core.now())?;
        // Who is refused does not disturb the one who writes.
        slot.check_offset(offset)?;
        slot.turn.send_modify(|turn| *turn += 1);
        let turn = slot.turn.subscribe();
        let mut writer = Arc::clone(&slot.writer).lock_owned().await;
        slot.open(&mut writer, self.core.store.blobs()).await?;
        slot.check_offset(offset)?;
        Ok(Piece { server: self.clone(), slot, turn, writer })
    }

    /// Makes a package of uploads, one for each of its files. What can be wrong with it is told as soon as it can be
    /// seen, also before the uploads are complete. Only of a single file it is asked whether it is an ESP image of the
    /// package's version: which of several files is the application is not known.
    pub async fn package_of_uploads(
        &self,
        product_key: &str,
        mut new: NewPackage,
        files: Vec<NewFile>,
    ) -> Result<Package, OrderError> {
        check_files(&new, &files)?;
        new.file_name.clone_from(&files[0].name);
        let plan = Plan::check(self, product_key, new).await?;
        let mut turns =
            files.iter().map(|file| self.last_turn(file.upload)).collect::<Result<Vec<_>, _>>()?;
        let blobs = self.core.store.blobs();
        let mut image = None;
        for turn in &mut turns {
            let size = turn.slot.open(&mut turn.writer, blobs).await?.size();
            if files.len() == 1 {
                let head = blobs.partial_head(turn.slot.partial.id, HEAD).await.map_err(stored)?;
                image = EspImage::read(&head);
                plan.check_image(image.as_ref())?;
            }
            if size < turn.slot.partial.size {
                return Err(incomplete(&turn.slot));
            }
        }
        // Held until the row is committed, so that no file is taken for one nobody refers to.
        let mut kept = vec![];
        for turn in &mut turns {
            kept.push(turn.keep().await?);
        }
        let more = files.into_iter().zip(&kept).skip(1).map(|(file, kept)| PackageFile {
            name: file.name,
            size: length(kept),
            md5: kept.md5.clone(),
            sha256: kept.sha256.clone(),
        });
        let package = plan.make(image, &kept[0], more.collect()).await?;
        for LastTurn { slot, writer } in turns {
            if let Err(error) = self.core.uploads.remove(blobs, &slot, writer).await {
                let upload = IdKind::Upload.text(slot.partial.id);
                warn!(%error, upload, "an upload that a package was made of could not be removed");
            }
        }
        Ok(package)
    }

    fn last_turn(&self, id: Id) -> Result<LastTurn, OrderError> {
        let slot = self.core.uploads.find(id, self.core.now())?;
        match Arc::clone(&slot.writer).try_lock_owned() {
            Ok(writer) => Ok(LastTurn { slot, writer }),
            // Who is writing has not got to the end.
            Err(_) => Err(incomplete(&slot)),
        }
    }
}

/// The turn at an upload of the package that is made of it.
struct LastTurn {
    slot: Arc<Slot>,
    writer: OwnedMutexGuard<Writer>,
}

impl LastTurn {
    /// Stores the file. The upload stays beside it until it is removed.
    async fn keep(&mut self) -> Result<Stored, OrderError> {
        let Writer::Open(open) = std::mem::replace(&mut *self.writer, Writer::Closed) else {
            return Err(unknown(self.slot.partial.id));
        };
        open.finish().await.map_err(stored)
    }
}

/// One request's turn at an upload.
pub struct Piece {
    server: Server,
    slot: Arc<Slot>,
    turn: watch::Receiver<u64>,
    writer: OwnedMutexGuard<Writer>,
}

impl Piece {
    /// Takes the next bytes.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), OrderError> {
        let Writer::Open(open) = &mut *self.writer else { return Err(unknown(self.slot.partial.id)) };
        if open.size() + chunk.len() as u64 > self.slot.partial.size {
            return Err(too_long(&self.slot.partial));
        }
        if let Err(error) = open.write(chunk).await {
            self.give_up();
            return Err(stored(error));
        }
        self.slot.come.store(open.size(), Ordering::Release);
        Ok(())
    }

    /// What is on the disk is looked at anew.
    fn give_up(&mut self) {
        *self.writer = Writer::Closed;
        self.slot.come.store(UNKNOWN, Ordering::Release);
    }

    /// Returns once another request wants to go on with the upload.
    pub async fn overtaken(&mut self) -> OrderError {
        // The sender lives in the slot.
        let _ = self.turn.changed().await;
        let text = "another request goes on with this upload, and this one has ended";
        OrderError::conflict("uploadTakenOver", text)
    }

    /// Brings what has come to the disk, and compares the digest once that is all.
    pub async fn finish(mut self) -> Result<Upload, OrderError> {
        let Writer::Open(open) = &mut *self.writer else { return Ok(self.slot.view()) };
        if let Err(error) = open.sync().await {
            self.give_up();
            return Err(stored(error));
        }
        let slot = &self.slot;
        slot.synced.store(open.size(), Ordering::Release);
        if open.size() == slot.partial.size
            && let (Some(said), Some(is)) = (&slot.partial.sha256, open.sha256())
            && *said != is
        {
            let error = differs(said, &is);
            let core = &self.server.core;
            core.uploads.remove(core.store.blobs(), slot, self.writer).await.map_err(stored)?;
            return Err(error);
        }
        Ok(slot.view())
    }
}

pub(super) fn stored(error: io::Error) -> OrderError {
    OrderError::internal("store a file", error)
}

pub(super) fn empty() -> OrderError {
    OrderError::invalid("fileEmpty", "the file of a package must have at least one byte")
}

fn unknown(id: Id) -> OrderError {
    let id = IdKind::Upload.text(id);
    let text = format!(
        "there is no upload {id}; one is kept for 24 hours, and until a package is made of it. Begin another one"
    );
    OrderError::not_found("uploadNotFound", text).with("upload", id)
}

fn wrong_offset(partial: &Partial, offset: u64, right: u64) -> OrderError {
    let text =
        format!("the upload has {right} of {} bytes; go on from there, not from {offset}", partial.size);
    OrderError::conflict("wrongOffset", text).with("offset", right).with("size", partial.size)
}

fn incomplete(slot: &Slot) -> OrderError {
    let Upload { partial: Partial { id, size, .. }, offset } = slot.view();
    let id = IdKind::Upload.text(id);
    let text =
        format!("the upload {id} has {offset} of {size} bytes; send the rest, then make the package of it");
    OrderError::conflict("uploadIncomplete", text)
        .with("upload", id)
        .with("offset", offset)
        .with("size", size)
}

fn too_long(partial: &Partial) -> OrderError {
    let text = format!(
        "the upload was begun for a file of {} bytes, and more came; none of them beyond that was kept",
        partial.size
    );
    OrderError::invalid("uploadTooLong", text).with("size", partial.size)
}

fn differs(said: &str, is: &str) -> OrderError {
    let text = format!(
        "the file that came has the SHA-256 {is}, not {said} as was said when the upload began: it was changed, or damaged on the way. The upload is given up; begin another one"
    );
    OrderError::conflict("sha256Differs", text).with("sha256", is).with("expected", said)
}

fn check_digest(text: String) -> Result<String, OrderError> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let text = format!("sha256 {text:?} is not a SHA-256; that is 64 hex digits");
    Err(OrderError::invalid("sha256Invalid", text).with("field", "sha256"))
}

fn check_room(slots: &BTreeMap<Id, Arc<Slot>>, size: u64) -> Result<(), OrderError> {
    let taken: u64 = slots.values().map(|slot| slot.partial.size).fold(0, u64::saturating_add);
    if slots.len() < MOST && taken.saturating_add(size) <= MOST_BYTES {
        return Ok(());
    }
    let text = format!(
        "there is no room for another upload of {size} bytes: {} are under way for {taken} bytes together, and at most {MOST} for {MOST_BYTES} bytes may be. Make packages of them, or remove some",
        slots.len()
    );
    Err(OrderError::conflict("tooManyUploads", text).with("uploads", slots.len()).with("bytes", taken))
}
