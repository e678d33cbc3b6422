//! What all use cases share, and the unit of work: one turn at writing, one transaction.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use door::Sessions;
use rollout::{Changes, Event, EventKind, Id, Ids, Input, Limits, Ms, Outbound, Rows};
use store::committer::{self, Keys};
use store::{Error, Store, Tx};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tracing::warn;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::downlink::{self, Writer};
use crate::gateway::Rates;
use crate::ids::IdSource;
use crate::metrics::Measures;
use crate::news::Gong;
use crate::orders::{Looks, Uploads};
use crate::pace::Pace;
use crate::renounced::Renounced;
use crate::watch::Watches;
use crate::zones;

/// What all use cases share.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Clock,
    pace: std::sync::Mutex<Pace>,
    /// How far the time of transactions is ahead of the clock's, as last seen.
    ahead: AtomicI64,
    /// Until when nobody is let in, because nothing can be written.
    unwell: std::sync::Mutex<Option<Instant>>,
    pub(crate) ids: IdSource,
    pub(crate) limits: Limits,
    /// Most sub-devices of a gateway.
    pub(crate) sub_devices: usize,
    pub(crate) login_rates: Rates,
    pub(crate) topology_rates: Rates,
    pub(crate) renounced: Renounced,
    /// The zone of products that have none.
    pub(crate) timezone: String,
    /// Until when what was offered uses up the byte budget, in microseconds.
    offered_until_us: AtomicI64,
    /// Since when this process is up.
    up_since: AtomicI64,
    /// How long events are kept; `None` is for ever.
    pub(crate) keep_events: Option<Ms>,
    pub(crate) writer: Writer,
    pub(crate) counters: Counters,
    pub(crate) measures: Measures,
    pub(crate) watches: Watches,
    pub(crate) uploads: Uploads,
    pub(crate) looks: Looks,
    /// Struck after each commit with events.
    pub(crate) gong: Gong,
    /// Whose turn it is to write: reports, orders and time take turns in the order they ask.
    turn: Arc<Mutex<()>>,
    /// When the next timer is due.
    pub(crate) due: watch::Sender<Ms>,
}

/// What an installation is held to.
pub(crate) struct Bounds {
    pub(crate) limits: Limits,
    /// Most sub-devices of a gateway.
    pub(crate) sub_devices: usize,
    /// How long events are kept; `None` is for ever.
    pub(crate) keep_events: Option<Ms>,
}

/// Longest wait without a look at the clock.
const LOOK: Duration = Duration::from_secs(60);
/// Longer than it takes until what could not be written is tried again.
const UNWELL: Duration = Duration::from_secs(2);

/// No timer is set.
pub(crate) const NEVER: Ms = Ms::MAX;

impl Core {
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        bounds: Bounds,
        timezone: String,
        writer: Writer,
        uploads: Uploads,
    ) -> Self {
        let Bounds { limits, sub_devices, keep_events } = bounds;
        Self {
            store,
            sessions: Sessions::default(),
            clock,
            pace: std::sync::Mutex::default(),
            ahead: AtomicI64::new(0),
            unwell: std::sync::Mutex::default(),
            ids: IdSource::default(),
            limits,
            sub_devices,
            login_rates: Rates::new(sub_devices),
            topology_rates: Rates::new(sub_devices),
            renounced: Renounced::default(),
            timezone,
            offered_until_us: AtomicI64::new(0),
            up_since: AtomicI64::new(0),
            keep_events,
            writer,
            counters: Counters::default(),
            measures: Measures::default(),
            watches: Watches::default(),
            uploads,
            looks: Looks::default(),
            gong: Gong::default(),
            turn: Arc::default(),
            due: watch::Sender::new(0),
        }
    }

    pub(crate) fn next_id(&self) -> Id {
        self.ids.next(self.now())
    }

    /// Goes on with the byte budget from where the process before this one left it.
    pub(crate) async fn read_offers(&self) -> Result<(), Error> {
        let until = committer::offered_until(&mut self.store.read().await?).await?;
        self.offered_until_us.store(until, Ordering::Relaxed);
        Ok(())
    }

    /// Begins to do what is due.
    pub(crate) fn is_up(&self, now: Ms) {
        self.up_since.store(now, Ordering::Relaxed);
    }

    /// Adds to rows what is not in the database: clocks of zones, what uses up the byte budget, and since when the
    /// platform is up.
    pub(crate) fn complete(&self, rows: &mut Rows, now: Ms) {
        zones::fill(rows, &self.timezone, now);
        rows.offered_until_us = self.offered_until_us.load(Ordering::Relaxed);
        rows.up_since = self.up_since.load(Ordering::Relaxed);
    }

    /// Waits for its turn and begins a transaction.
    pub(crate) async fn unit(self: &Arc<Self>) -> Result<Unit, Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let begun = Instant::now();
        let mut tx = self.store.begin().await?;
        let host = self.clock.now();
        let times = committer::times(&mut tx, host).await?;
        let now = self.pace.lock().unwrap_or_else(PoisonError::into_inner).tell(times);
        self.ahead.store(now - host, Ordering::Relaxed);
        Ok(Unit {
            turn,
            begun,
            tx,
            now,
            core: Arc::clone(self),
            changes: Changes::default(),
            shared: Vec::new(),
            shut_out: Vec::new(),
            uncarried: Vec::new(),
            due: NEVER,
        })
    }

    /// About what the next transaction will take for the time.
    pub(crate) fn now(&self) -> Ms {
        self.clock.now() + self.ahead.load(Ordering::Relaxed)
    }

    /// Returns once the next transaction will take it to be `at`, or later; or after a minute, as clocks are
    /// set while one waits for them.
    pub(crate) async fn reach(&self, at: Ms) {
        let reached = self.clock.reach(at.saturating_sub(self.ahead.load(Ordering::Relaxed)));
        // Which of the two it was does not matter.
        let _ = tokio::time::timeout(LOOK, reached).await;
    }

    /// Lets no device in for a moment: what a session begins with could not be written.
    pub(crate) fn refuse_logins(&self) {
        *self.unwell.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + UNWELL);
    }

    /// Whether devices are let in.
    pub(crate) fn takes_logins(&self) -> bool {
        let unwell = *self.unwell.lock().unwrap_or_else(PoisonError::into_inner);
        unwell.is_none_or(|until| Instant::now() >= until)
    }

    /// Takes the turn at writing for good.
    pub(crate) async fn last_turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Ends the sessions that a committed unit ends.
    fn end_sessions(&self, shut_out: &[Id], uncarried: &[Id]) {
        for device in shut_out {
            self.renounced.put(*device, self.next_id());
            self.sessions.close(*device, door::Closed::Ordered);
        }
        for device in uncarried {
            self.sessions.leave_gateway(*device);
        }
    }

    /// Sends what a committed unit decided.
    fn send(&self, outbound: Vec<Outbound>, now: Ms) {
        for message in outbound {
            self.send_one(message, now);
        }
    }

    fn send_one(&self, message: Outbound, now: Ms) {
        let ((device, epoch), made, counter, otherwise) = match message {
            Outbound::Close { device } => {
                self.sessions.close(device, door::Closed::Ordered);
                return;
            }
            Outbound::Revoke { device, stream_id } => {
                self.sessions.revoke(device, stream_id);
                return;
            }
            Outbound::Notice { to, offer } => {
                (to, self.writer.notice(&offer, now).map(Some), Some(&self.counters.pushes), None)
            }
            Outbound::Answer { to, ask, offer } => {
                (to, self.writer.answer(&ask, offer.as_ref(), now), None, downlink::failed(&ask))
            }
        };
        match made {
            Ok(Some(downlink)) => {
                if self.sessions.deliver(device, epoch, downlink) {
                    counter.into_iter().for_each(Counters::add);
                }
            }
            Ok(None) => {}
            Err(error) => {
                Counters::add(&self.counters.unsendable);
                warn!(device, %error, "an offer could not be written as a message");
                if let Some(answer) = otherwise {
                    self.sessions.deliver(device, epoch, answer);
                }
            }
        }
    }

    fn tell_shared(&self, shared: &[(String, String)]) {
        for (product, device) in shared {
            Counters::add(&self.counters.shared_identities);
            warn!(
                product,
                device,
                "two clients use this identity and keep ending each other's connection: give each its own device; pushes to it wait until one has stayed for a minute"
            );
        }
    }

    /// Lets the committer wake at `at`, if it would sleep longer.
    pub(crate) fn wake_at(&self, at: Ms) {
        self.due.send_if_modified(|due| {
            let sooner = at < *due;
            *due = (*due).min(at);
            sooner
        });
    }
}

/// One turn at writing.
pub(crate) struct Unit {
    turn: OwnedMutexGuard<()>,
    begun: Instant,
    pub(crate) tx: Tx,
    pub(crate) now: Ms,
    pub(crate) core: Arc<Core>,
    /// What goes out with the commit: events, and what leaves after it.
    changes: Changes,
    /// Devices that two clients were found to use: product key and name.
    shared: Vec<(String, String)>,
    /// Devices whose right to be connected goes with the commit.
    shut_out: Vec<Id>,
    /// Devices that are with their gateway no longer once it is committed.
    uncarried: Vec<Id>,
    due: Ms,
}

impl Unit {
    /// Decides `inputs` over the rows of `keys` and writes what changes.
    pub(crate) async fn decide(&mut self, keys: &Keys, inputs: Vec<Input>) -> Result<Changes, Error> {
        let mut rows = committer::load(&mut self.tx, keys, self.now).await?;
        self.core.complete(&mut rows, self.now);
        let streams = inputs.iter().map(|input| match input {
            Input::Enrol { chunk, .. } => chunk.devices.len(),
            Input::Reported { .. } if !rows.policies.is_empty() => 1,
            _ => 0,
        });
        let streams = streams.sum();
        let mut ids = self.ids(streams).await?;
        let mut changes = rollout::decide(rows, inputs, self.now, self.core.limits, &mut ids);
        if ids.streams_left > 0 {
            // Few of the reports that might have made a task did.
            committer::return_streams(&mut self.tx, ids.streams_left).await?;
        }
        self.note_shared(&changes).await?;
        if let Some(until) = changes.offered_until_us {
            // Should this not be committed, a little of the budget is lost.
            self.core.offered_until_us.store(until, Ordering::Relaxed);
        }
        store::statistics::note(&mut self.tx, &changes).await?;
        self.changes.outbound.append(&mut changes.outbound);
        self.changes.events.append(&mut changes.events);
        self.write(&changes).await?;
        Ok(changes)
    }

    /// Remembers for the log which devices two clients use; hardly ever one does.
    async fn note_shared(&mut self, changes: &Changes) -> Result<(), Error> {
        let is_shared = |event: &&Event| matches!(event.kind, EventKind::IdentityShared { .. });
        for event in changes.events.iter().filter(is_shared) {
            let product = store::products::get(&mut self.tx, event.product_id).await?;
            let device = changes.devices.iter().find(|device| Some(device.id) == event.device_id);
            if let (Some(product), Some(device)) = (product, device) {
                self.shared.push((product.product_key, device.name.clone()));
            }
        }
        Ok(())
    }

    /// Writes rows an order has changed.
    pub(crate) async fn write(&mut self, changes: &Changes) -> Result<(), Error> {
        self.due = changes.timers.values().flatten().copied().fold(self.due, Ms::min);
        committer::apply(&mut self.tx, changes).await
    }

    /// Tells of what an order did, in the order of the calls.
    pub(crate) fn tell(&mut self, event: Event) {
        self.changes.events.push(event);
    }

    /// The same, of this moment.
    pub(crate) fn told(
        &mut self,
        product_id: Id,
        device_id: Option<Id>,
        job_id: Option<Id>,
        kind: EventKind,
    ) {
        self.tell(Event { at: self.now, product_id, device_id, job_id, task_id: None, kind });
    }

    /// Ends the device's session with the commit, and whichever was admitted before it.
    pub(crate) fn shut_out(&mut self, device: Id) {
        self.shut_out.push(device);
    }

    /// Ends, with the commit, the sessions of those of the devices that a gateway carries.
    pub(crate) fn take_off(&mut self, devices: Vec<Id>) {
        self.uncarried.extend(devices);
    }

    async fn ids(&mut self, streams: usize) -> Result<UnitIds, Error> {
        let streams = u32::try_from(streams).unwrap_or(u32::MAX);
        let next = if streams == 0 { 0 } else { committer::reserve_streams(&mut self.tx, streams).await? };
        Ok(UnitIds { core: Arc::clone(&self.core), now: self.now, next_stream: next, streams_left: streams })
    }

    /// Commits, then ends the sessions it ends and sends what was decided. Goes on even if the caller stops waiting,
    /// so that nothing that is in the database stays unsent.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        let done = tokio::spawn(async move {
            let Self { turn, begun, mut tx, now, core, changes, shared, shut_out, uncarried, due } = self;
            store::device_counts::note(&mut tx, &changes.events).await?;
            committer::append_events(&mut tx, &changes.events).await?;
            tx.commit().await?;
            core.measures.commits.observe(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            core.measures.events(&core.counters, &changes.events);
            if !changes.events.is_empty() {
                core.gong.strike();
            }
            core.end_sessions(&shut_out, &uncarried);
            core.send(changes.outbound, now);
            core.wake_at(due);
            core.tell_shared(&shared);
            drop(turn);
            Ok(())
        });
        done.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

/// Numbers for the rows one decision makes.
struct UnitIds {
    core: Arc<Core>,
    now: Ms,
    next_stream: u32,
    streams_left: u32,
}

impl Ids for UnitIds {
    fn next_id(&mut self) -> Id {
        self.core.ids.next(self.now)
    }

    fn next_stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 1;
        self.streams_left = self.streams_left.saturating_sub(1);
        stream
    }
}
