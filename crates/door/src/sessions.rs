//! The registry of sessions: which connection serves a device, and the mailbox of each.
//!
//! The session's task alone owns its socket and state. Others reach it through its mailbox only, and
//! never wait for it.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use wire::topic::Kind;

use crate::{Closed, DeviceId, Downlink, Epoch, Session};

const SHARDS: usize = 64;

/// All sessions of this node. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    shards: [Mutex<HashMap<DeviceId, Entry>>; SHARDS],
    online: AtomicUsize,
    /// Nobody is let in any more.
    closed: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    mailbox: Arc<Mailbox>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            online: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }
}

impl Sessions {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands a message to the session with this number. `false`: that session is gone, or so much
    /// waits for it that the message was dropped; what is due must be found in the database again.
    pub fn deliver(&self, device: DeviceId, epoch: Epoch, downlink: Downlink) -> bool {
        let mailbox = self.mailbox(device, Some(epoch));
        mailbox.is_some_and(|mailbox| mailbox.put(downlink))
    }

    /// Takes the right to a stream away, at once: what was asked for and not yet begun is answered
    /// anew by [`crate::Platform::open_stream`]. `false`: the device has no session here.
    pub fn revoke(&self, device: DeviceId, stream_id: u32) -> bool {
        let mailbox = self.mailbox(device, None);
        mailbox.map(|mailbox| mailbox.change(|mail| mail.revoked.push(stream_id))).is_some()
    }

    /// Closes the session of a device. `false`: it has none here.
    pub fn close(&self, device: DeviceId, why: Closed) -> bool {
        self.mailbox(device, None).map(|mailbox| mailbox.close(why)).is_some()
    }

    /// Closes all sessions, and lets nobody in any more.
    pub fn close_all(&self, why: Closed) {
        self.0.closed.store(true, Ordering::Relaxed);
        for shard in &self.0.shards {
            for entry in lock(shard).values() {
                entry.mailbox.close(why);
            }
        }
    }

    /// Devices with a session here.
    #[must_use]
    pub fn online(&self) -> usize {
        self.0.online.load(Ordering::Relaxed)
    }

    /// The number of the session that serves a device here.
    #[must_use]
    pub fn epoch(&self, device: DeviceId) -> Option<Epoch> {
        lock(self.0.shard(device)).get(&device).map(|entry| entry.session.epoch)
    }

    /// Takes the device's seat and closes whoever sits there.
    pub(crate) fn enter(&self, session: &Arc<Session>, mailbox: &Arc<Mailbox>) -> Result<Entered, NoSeat> {
        let Session { device, epoch, .. } = **session;
        let mut shard = lock(self.0.shard(device));
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(NoSeat::Closed);
        }
        if shard.get(&device).is_some_and(|entry| entry.session.epoch >= epoch) {
            return Err(NoSeat::Outrun);
        }
        match shard.insert(device, Entry { session: session.clone(), mailbox: mailbox.clone() }) {
            Some(older) => Ok(older.inherit()),
            None => {
                self.0.online.fetch_add(1, Ordering::Relaxed);
                Ok(Entered::Alone)
            }
        }
    }

    /// Leaves the seat, unless a newer session has it.
    pub(crate) fn leave(&self, device: DeviceId, epoch: Epoch) {
        let mut shard = lock(self.0.shard(device));
        if shard.get(&device).is_some_and(|entry| entry.session.epoch == epoch) {
            shard.remove(&device);
            self.0.online.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn mailbox(&self, device: DeviceId, epoch: Option<Epoch>) -> Option<Arc<Mailbox>> {
        let shard = lock(self.0.shard(device));
        let entry = shard.get(&device)?;
        epoch.is_none_or(|epoch| epoch == entry.session.epoch).then(|| entry.mailbox.clone())
    }
}

impl Entry {
    /// The session has to end, as a newer one has its seat.
    fn inherit(self) -> Entered {
        let (heir, legacy) = oneshot::channel();
        let mut is_served = false;
        self.mailbox.change(|mail| {
            mail.heir = Some(heir);
            is_served = mail.close.is_none();
            mail.close.get_or_insert(Closed::TakenOver);
        });
        if is_served { Entered::TookOver(self.session, legacy) } else { Entered::Followed(legacy) }
    }
}

impl Registry {
    fn shard(&self, device: DeviceId) -> &Mutex<HashMap<DeviceId, Entry>> {
        &self.shards[device.unsigned_abs() as usize % SHARDS]
    }
}

/// How a session came to its seat.
#[derive(Debug)]
pub(crate) enum Entered {
    Alone,
    /// This older session was served until now.
    TookOver(Arc<Session>, oneshot::Receiver<Legacy>),
    /// The older session was ending already.
    Followed(oneshot::Receiver<Legacy>),
}

/// What a session that was taken over leaves to the newer one, which drops it once the platform knows
/// of itself.
pub(crate) type Legacy = Box<dyn Any + Send>;

/// Why there is no seat for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// A newer session of the device was faster.
    Outrun,
    /// All sessions were closed.
    Closed,
}

/// What others want of a session.
#[derive(Debug)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    ring: Notify,
    limit: usize,
}

#[derive(Debug, Default)]
struct Mail {
    downlinks: VecDeque<Downlink>,
    bytes: usize,
    revoked: Vec<u32>,
    close: Option<Closed>,
    /// The newer session of the device, which waits for this one to end.
    heir: Option<oneshot::Sender<Legacy>>,
}

impl Mailbox {
    /// A mailbox for this many bytes of downlinks; a single one may be larger.
    pub(crate) fn new(limit: usize) -> Self {
        Self { mail: Mutex::default(), ring: Notify::new(), limit }
    }

    /// Waits until something was put in since the last time.
    pub(crate) async fn rung(&self) {
        self.ring.notified().await;
    }

    /// Why the session has to end, and the streams taken away.
    pub(crate) fn orders(&self) -> (Option<Closed>, Vec<u32>) {
        let mut mail = lock(&self.mail);
        (mail.close, std::mem::take(&mut mail.revoked))
    }

    /// The first message whose kind may go now; none overtakes another of its kind.
    pub(crate) fn next_downlink(&self, may_go: impl Fn(Kind) -> bool) -> Option<Downlink> {
        let mut mail = lock(&self.mail);
        let first = mail.downlinks.iter().position(|downlink| may_go(downlink.kind));
        let downlink = first.and_then(|at| mail.downlinks.remove(at));
        mail.bytes -= downlink.as_ref().map_or(0, |downlink| downlink.payload.len());
        if mail.downlinks.is_empty() {
            mail.downlinks = VecDeque::new();
        }
        downlink
    }

    fn put(&self, downlink: Downlink) -> bool {
        let length = downlink.payload.len();
        let mut mail = lock(&self.mail);
        let full = !mail.downlinks.is_empty() && mail.bytes + length > self.limit;
        if full || mail.close.is_some() {
            return false;
        }
        mail.bytes += length;
        mail.downlinks.push_back(downlink);
        drop(mail);
        self.ring.notify_one();
        true
    }

    /// The session has to end; from here on nothing more is put in.
    pub(crate) fn close(&self, why: Closed) {
        self.change(|mail| {
            mail.close.get_or_insert(why);
        });
    }

    /// Leaves something to the newer session, or drops it if that no longer waits.
    pub(crate) fn leave(&self, legacy: Legacy) {
        let heir = lock(&self.mail).heir.take();
        // What could not be sent is dropped.
        let _ = heir.map(|heir| heir.send(legacy));
    }

    fn change(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut lock(&self.mail));
        self.ring.notify_one();
    }
}

/// The maps stay consistent between any two statements, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
