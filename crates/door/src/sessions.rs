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

/// Bytes of downlinks that may wait in a session for each sub-device it carries.
const SUB_DEVICE_BYTES: usize = 2 * 1024;

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
    /// Of the session itself, or of the gateway's session that carries it.
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
        mailbox.is_some_and(|mailbox| mailbox.put(device, downlink))
    }

    /// Takes the right to a stream away, at once: what was asked for and not yet begun is answered
    /// anew by [`crate::Platform::open_stream`]. `false`: the device has no session here.
    pub fn revoke(&self, device: DeviceId, stream_id: u32) -> bool {
        let mailbox = self.mailbox(device, None);
        mailbox.map(|mailbox| mailbox.change(|mail| mail.revoked.push(stream_id))).is_some()
    }

    /// Closes the session of a device. One that a gateway carries ends alone, unless the platform cannot
    /// write: then the gateway has to begin anew. `false`: the device has none here.
    pub fn close(&self, device: DeviceId, why: Closed) -> bool {
        let shard = lock(self.0.shard(device));
        let Some(entry) = shard.get(&device) else { return false };
        if entry.is_carried() && why != Closed::Unavailable {
            entry.mailbox.leave_behind(device, entry.session.epoch, why);
        } else {
            entry.mailbox.close(why);
        }
        true
    }

    /// Ends the session of a device if a gateway carries it. `false`: none does.
    pub fn leave_gateway(&self, device: DeviceId) -> bool {
        let shard = lock(self.0.shard(device));
        let Some(entry) = shard.get(&device).filter(|entry| entry.is_carried()) else { return false };
        entry.mailbox.leave_behind(device, entry.session.epoch, Closed::Ordered);
        true
    }

    /// The session with this number as one that carries sub-devices. `None`: it is gone, or is carried itself.
    #[must_use]
    pub fn carrier(&self, device: DeviceId, epoch: Epoch) -> Option<Carrier> {
        let shard = lock(self.0.shard(device));
        let entry = shard.get(&device).filter(|entry| entry.session.epoch == epoch && !entry.is_carried())?;
        Some(Carrier { sessions: self.clone(), mailbox: entry.mailbox.clone() })
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
            Some(older) if older.is_carried() => {
                older.end_carried();
                Ok(Entered::CameAway)
            }
            Some(older) => Ok(older.inherit()),
            None => {
                self.0.online.fetch_add(1, Ordering::Relaxed);
                Ok(Entered::Alone)
            }
        }
    }

    /// Takes a sub-device's seat for the session that carries it from now on, and ends whoever sits there.
    fn carry(&self, sub: Arc<Session>, mailbox: &Arc<Mailbox>) {
        let (device, epoch) = (sub.device, sub.epoch);
        let mut shard = lock(self.0.shard(device));
        let is_outrun = shard.get(&device).is_some_and(|entry| entry.session.epoch >= epoch);
        if self.0.closed.load(Ordering::Relaxed) || is_outrun || !mailbox.join(sub.clone()) {
            return;
        }
        mailbox.carried.fetch_add(1, Ordering::Relaxed);
        match shard.insert(device, Entry { session: sub, mailbox: mailbox.clone() }) {
            Some(older) if older.is_carried() => older.end_carried(),
            Some(older) => {
                // Nobody waits for what it leaves, which leaves the seat in turn: not under the same lock.
                let legacy = older.inherit();
                drop(shard);
                drop(legacy);
            }
            None => {
                self.0.online.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Leaves the seat, unless a newer session has it.
    pub(crate) fn leave(&self, device: DeviceId, epoch: Epoch) {
        let mut shard = lock(self.0.shard(device));
        if shard.get(&device).is_some_and(|entry| entry.session.epoch == epoch) {
            let seat = shard.remove(&device);
            self.0.online.fetch_sub(1, Ordering::Relaxed);
            if let Some(seat) = seat.filter(|seat| seat.is_carried()) {
                seat.mailbox.carried.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn mailbox(&self, device: DeviceId, epoch: Option<Epoch>) -> Option<Arc<Mailbox>> {
        let shard = lock(self.0.shard(device));
        let entry = shard.get(&device)?;
        epoch.is_none_or(|epoch| epoch == entry.session.epoch).then(|| entry.mailbox.clone())
    }
}

impl Entry {
    fn is_carried(&self) -> bool {
        self.session.gateway.is_some()
    }

    /// A carried session has lost its seat to a newer one.
    fn end_carried(&self) {
        let Session { device, epoch, .. } = *self.session;
        self.mailbox.carried.fetch_sub(1, Ordering::Relaxed);
        self.mailbox.leave_behind(device, epoch, Closed::TakenOver);
    }

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

/// A gateway's session, for what the platform does with its sub-devices.
#[derive(Debug, Clone)]
pub struct Carrier {
    sessions: Sessions,
    mailbox: Arc<Mailbox>,
}

/// The session would carry too many sub-devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Carrier {
    /// The turn of one request: what a gateway asks is done in the order it came in.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.mailbox.turn.lock().await
    }

    /// Carries sub-devices from now on: what is for them goes out on this session, and what they say comes in on
    /// it. Whatever session they had ends. All or none: `most` at the same time. To be called in a
    /// [`Carrier::turn`].
    pub fn carry(&self, subs: Vec<Arc<Session>>, most: usize) -> Result<(), TooMany> {
        let new = subs.iter().filter(|sub| !self.carries(sub.device)).count();
        if self.mailbox.carried.load(Ordering::Relaxed) + new > most {
            return Err(TooMany);
        }
        subs.into_iter().for_each(|sub| self.sessions.carry(sub, &self.mailbox));
        Ok(())
    }

    /// Ends the session of a device that this one carries. `false`: it does not.
    pub fn drop_off(&self, device: DeviceId) -> bool {
        let shard = lock(self.sessions.0.shard(device));
        let Some(entry) = shard.get(&device).filter(|entry| self.seats(entry)) else { return false };
        entry.mailbox.leave_behind(device, entry.session.epoch, Closed::Goodbye);
        true
    }

    fn carries(&self, device: DeviceId) -> bool {
        let shard = lock(self.sessions.0.shard(device));
        shard.get(&device).is_some_and(|entry| self.seats(entry))
    }

    fn seats(&self, entry: &Entry) -> bool {
        entry.is_carried() && Arc::ptr_eq(&entry.mailbox, &self.mailbox)
    }
}

/// How a session came to its seat.
#[derive(Debug)]
pub(crate) enum Entered {
    Alone,
    /// A gateway carried the device until now.
    CameAway,
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
    /// Sub-devices whose seat is this session's.
    carried: AtomicUsize,
    turn: tokio::sync::Mutex<()>,
}

/// What happens to a sub-device of a session.
#[derive(Debug)]
pub(crate) enum Move {
    Joins(Arc<Session>),
    Leaves(DeviceId, Epoch, Closed),
}

/// What others want of a session.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Why it has to end.
    pub(crate) close: Option<Closed>,
    /// The streams taken away.
    pub(crate) revoked: Vec<u32>,
    /// What happened to its sub-devices.
    pub(crate) moves: Vec<Move>,
}

/// What a session has to send next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Comes before all downlinks put in after it.
    Moves(Vec<Move>),
    Downlink(DeviceId, Downlink),
}

#[derive(Debug, Default)]
struct Mail {
    downlinks: VecDeque<(DeviceId, Downlink)>,
    bytes: usize,
    revoked: Vec<u32>,
    moves: Vec<Move>,
    close: Option<Closed>,
    /// The newer session of the device, which waits for this one to end.
    heir: Option<oneshot::Sender<Legacy>>,
}

impl Mailbox {
    /// A mailbox for this many bytes of downlinks; a single one may be larger.
    pub(crate) fn new(limit: usize) -> Self {
        let (mail, ring, carried, turn) = Default::default();
        Self { mail, ring, limit, carried, turn }
    }

    /// Waits until something was put in since the last time.
    pub(crate) async fn rung(&self) {
        self.ring.notified().await;
    }

    /// What others want of the session, messages apart.
    pub(crate) fn orders(&self) -> Orders {
        let Mail { close, revoked, moves, .. } = &mut *lock(&self.mail);
        Orders { close: *close, revoked: std::mem::take(revoked), moves: std::mem::take(moves) }
    }

    /// What happened to sub-devices, else the first message that may go now; none overtakes another of its
    /// device and kind.
    pub(crate) fn next(&self, may_go: impl Fn(DeviceId, Kind) -> bool) -> Option<Next> {
        let mut mail = lock(&self.mail);
        if !mail.moves.is_empty() {
            return Some(Next::Moves(std::mem::take(&mut mail.moves)));
        }
        let first = mail.downlinks.iter().position(|(device, downlink)| may_go(*device, downlink.kind));
        let found = first.and_then(|at| mail.downlinks.remove(at));
        mail.bytes -= found.as_ref().map_or(0, |(_, downlink)| downlink.payload.len());
        if mail.downlinks.is_empty() {
            mail.downlinks = VecDeque::new();
        }
        found.map(|(device, downlink)| Next::Downlink(device, downlink))
    }

    fn put(&self, device: DeviceId, downlink: Downlink) -> bool {
        let length = downlink.payload.len();
        let limit = self.limit + self.carried() * SUB_DEVICE_BYTES;
        let mut mail = lock(&self.mail);
        let full = !mail.downlinks.is_empty() && mail.bytes + length > limit;
        if full || mail.close.is_some() {
            return false;
        }
        mail.bytes += length;
        mail.downlinks.push_back((device, downlink));
        drop(mail);
        self.ring.notify_one();
        true
    }

    /// Sub-devices that the session carries.
    pub(crate) fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }

    /// A sub-device joins the session. `false`: that has ended.
    fn join(&self, sub: Arc<Session>) -> bool {
        let mut mail = lock(&self.mail);
        if mail.close.is_some() {
            return false;
        }
        mail.moves.push(Move::Joins(sub));
        drop(mail);
        self.ring.notify_one();
        true
    }

    /// A sub-device of the session is no longer carried.
    fn leave_behind(&self, device: DeviceId, epoch: Epoch, why: Closed) {
        self.change(|mail| mail.moves.push(Move::Leaves(device, epoch, why)));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// As a session's seat: dropped, it leaves.
    struct Seat(Sessions, DeviceId, Epoch);

    impl Drop for Seat {
        fn drop(&mut self) {
            self.0.leave(self.1, self.2);
        }
    }

    fn session(device: DeviceId, epoch: Epoch, gateway: Option<DeviceId>) -> Arc<Session> {
        let mut session = Session::of_test();
        let new = Arc::get_mut(&mut session).unwrap();
        (new.device, new.epoch, new.gateway) = (device, epoch, gateway);
        session
    }

    /// A device's own session may end in the very moment in which a gateway takes it over.
    fn take_over_while_it_ends() {
        let sessions = Sessions::new();
        let (gateway, direct) = (Arc::new(Mailbox::new(1_000)), Arc::new(Mailbox::new(1_000)));
        sessions.enter(&session(2, 10, None), &gateway).unwrap();
        sessions.enter(&session(1, 11, None), &direct).unwrap();
        let seat = Seat(sessions.clone(), 1, 11);
        let ending = thread::spawn(move || {
            while direct.orders().close.is_none() {}
            direct.leave(Box::new(seat));
        });
        sessions.carrier(2, 10).unwrap().carry(vec![session(1, 12, Some(2))], 1).unwrap();
        ending.join().unwrap();
        assert_eq!((sessions.epoch(1), sessions.online()), (Some(12), 2));
    }

    #[test]
    fn a_gateway_takes_a_device_over_whenever_that_ends() {
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            (0..100_000).for_each(|_| take_over_while_it_ends());
            done.send(())
        });
        is_done.recv_timeout(Duration::from_secs(120)).expect("none of them waits for the other");
    }
}
