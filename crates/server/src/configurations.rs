//! Remote configuration on its way (docs/protocol.md 8): which devices asked, answered, fetched, or may be due a
//! push is gathered and settled in batches, each one transaction with a constant number of statements.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use door::{Downlink, Epoch, Session};
use rollout::{Event, EventKind, Id, Ms};
use store::configurations::{self as rows, Configuration, OfDevice, Settings};
use store::{Chain, Error, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{error, warn};
use wire::message::{self, ConfigGet, ConfigPushReply, RequestError};
use wire::topic::Kind;

use crate::committer::{NotTaken, attempt};
use crate::core::{Core, NEVER};
use crate::counters::Counters;
use crate::downlink::{self, SYSTEM_ERROR, WRONG_PARAMETER, Writer};
use crate::uplink::Unread;

/// Most words in one transaction.
const BATCH: usize = 512;
/// Most words that wait.
const WAITING: usize = 8_192;
/// How long after it came a device is looked at: by then its SDK listens.
const SETTLED_MS: Ms = 2_000;
/// Pause after the database failed.
const RETRY: Duration = Duration::from_secs(1);

/// "Remote configuration is off" and "there is none" (docs/protocol.md 8).
const OFF: i32 = 6713;
const NONE: i32 = 6710;
/// What a device answers if it took a push.
const TAKEN: i32 = 200;

/// What there is to know or to do about a device.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    /// It asked; the id is to be repeated.
    Asked { id: String },
    /// It answered a push.
    Answered { version: i64, code: i32 },
    /// It fetched the file of a version.
    Fetched { version: i64 },
    /// A push may be due.
    Look,
}

/// A device, its connection, and a word about it.
type Note = (Id, Epoch, Word);

struct Said {
    note: Note,
    done: Option<oneshot::Sender<()>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Said {
    /// It is durable.
    fn settled(self) {
        // The session may have gone meanwhile.
        let _ = self.done.map(|done| done.send(()));
    }
}

enum Order {
    Settle(Said),
    /// A device came.
    Came(Id, Epoch),
    /// All connected devices of a product are to be looked at.
    Walk(Id),
}

/// The way in for sessions and operators.
#[derive(Clone)]
pub(crate) struct Configurator {
    orders: mpsc::UnboundedSender<Order>,
    places: Arc<Semaphore>,
    /// Keys of the products whose devices may be due a push when they come.
    pushing: Arc<RwLock<HashSet<String>>>,
}

/// Reads what a device published on the topics of remote configuration.
pub(crate) fn read(kind: Kind, payload: &[u8]) -> Result<Word, Unread> {
    if kind == Kind::ConfigPushReply {
        let ConfigPushReply { version, code } = ConfigPushReply::parse(payload)?;
        return Ok(Word::Answered { version: version.into(), code });
    }
    match ConfigGet::parse(payload) {
        Ok(ConfigGet { id }) => Ok(Word::Asked { id: id.raw().into() }),
        Err(RequestError::Unreadable(error)) => Err(error.into()),
        Err(RequestError::Parameter { id, error }) => {
            Err(Unread { error, answer: Some(downlink::no_configuration(id, WRONG_PARAMETER)) })
        }
    }
}

/// Starts the task that settles. It ends when every [`Configurator`] is gone.
pub(crate) async fn start(core: Arc<Core>) -> Result<Configurator, Error> {
    let pushing = pushing(&core.store).await?;
    let (orders, waiting) = mpsc::unbounded_channel();
    tokio::spawn(run(core, waiting));
    let pushing = Arc::new(RwLock::new(pushing));
    Ok(Configurator { orders, places: Arc::new(Semaphore::new(WAITING)), pushing })
}

async fn pushing(store: &Store) -> Result<HashSet<String>, Error> {
    Ok(rows::pushing(&mut store.read().await?).await?.into_iter().collect())
}

impl Configurator {
    /// Tells that a device came. Bounded by the sessions there are.
    pub(crate) fn came(&self, session: &Session) {
        let pushing = self.pushing.read().unwrap_or_else(PoisonError::into_inner);
        if pushing.contains(&*session.product_key) {
            self.order(Order::Came(session.device, session.epoch));
        }
    }

    /// Tells a word of a device, and returns once it is durable.
    pub(crate) async fn say(&self, note: Note) -> Result<(), NotTaken> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| NotTaken)?;
        let (done, durable) = oneshot::channel();
        self.order(Order::Settle(Said { note, done: Some(done), _place: Some(place) }));
        durable.await.map_err(|_| NotTaken)
    }

    /// Tells that a device fetched a version. If too much waits it is not remembered, and the push comes once more.
    pub(crate) fn fetched(&self, device: Id, version: i64) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let note = (device, 0, Word::Fetched { version });
            self.order(Order::Settle(Said { note, done: None, _place: Some(place) }));
        }
    }

    /// Looks at all connected devices of a product.
    pub(crate) fn push_to_all(&self, product: Id) {
        self.order(Order::Walk(product));
    }

    /// Looks at one connected device.
    pub(crate) fn push_to(&self, device: Id, epoch: Epoch) {
        self.order(Order::Settle(Said { note: (device, epoch, Word::Look), done: None, _place: None }));
    }

    /// Looks at the devices of a product from now on when they come.
    pub(crate) fn expect(&self, product_key: &str) {
        self.pushing.write().unwrap_or_else(PoisonError::into_inner).insert(product_key.into());
    }

    fn order(&self, order: Order) {
        // Only a task that has stopped takes nothing more.
        let _ = self.orders.send(order);
    }
}

/// What is still to be looked at.
#[derive(Default)]
struct Desk {
    /// Devices that came, and when they are looked at.
    came: VecDeque<(Ms, Id, Epoch)>,
    /// Products, and the name of the last device looked at.
    walks: VecDeque<(Id, String)>,
}

async fn run(core: Arc<Core>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut desk = Desk::default();
    loop {
        let next = desk.came.front().map_or(NEVER, |(at, ..)| *at);
        let mut batch = Vec::new();
        tokio::select! {
            n = orders.recv_many(&mut batch, BATCH) => if n == 0 { return },
            () = core.reach(next), if next != NEVER => {}
            () = std::future::ready(()), if !desk.walks.is_empty() => {}
        }
        let now = core.now();
        let mut said = desk.sort(batch, now);
        said.extend(desk.due(now));
        said.extend(desk.walk(&core).await);
        for look in settle(&core, said).await {
            desk.came.push_back((now + SETTLED_MS, look.0, look.1));
        }
    }
}

impl Desk {
    fn sort(&mut self, batch: Vec<Order>, now: Ms) -> Vec<Said> {
        let mut said = Vec::with_capacity(batch.len());
        for order in batch {
            match order {
                Order::Settle(word) => said.push(word),
                Order::Came(device, epoch) => self.came.push_back((now + SETTLED_MS, device, epoch)),
                Order::Walk(product) => self.walks.push_back((product, String::new())),
            }
        }
        said
    }

    fn due(&mut self, now: Ms) -> Vec<Said> {
        let due = self.came.iter().take(BATCH).take_while(|(at, ..)| *at <= now).count();
        self.came.drain(..due).map(|(_, device, epoch)| look(device, epoch)).collect()
    }

    /// The next devices of a product that is walked through. Reports have their turn between two steps.
    async fn walk(&mut self, core: &Core) -> Vec<Said> {
        let Some((product, after)) = self.walks.front_mut() else { return Vec::new() };
        let found = match online(&core.store, *product, after).await {
            Ok(found) => found,
            Err(error) => {
                warn!(error = %Chain(&error), "connected devices could not be read; trying again");
                tokio::time::sleep(RETRY).await;
                return Vec::new();
            }
        };
        match found.last() {
            Some((_, name)) if found.len() == BATCH => after.clone_from(name),
            _ => drop(self.walks.pop_front()),
        }
        let looks =
            found.into_iter().filter_map(|(device, _)| Some(look(device, core.sessions.epoch(device)?)));
        looks.collect()
    }
}

async fn online(store: &Store, product: Id, after: &str) -> Result<Vec<(Id, String)>, Error> {
    rows::online(&mut store.read().await?, product, after, BATCH as u32).await
}

fn look(device: Id, epoch: Epoch) -> Said {
    Said { note: (device, epoch, Word::Look), done: None, _place: None }
}

/// Settles words; a batch that fails is halved until the word that cannot be written stands alone. Gives back the
/// devices that are still to be looked at.
async fn settle(core: &Arc<Core>, said: Vec<Said>) -> Vec<(Id, Epoch)> {
    let mut again = Vec::new();
    let mut parts = vec![said];
    while let Some(mut part) = parts.pop().filter(|part| !part.is_empty()) {
        let notes: Vec<Note> = part.iter().map(|said| said.note.clone()).collect();
        match attempt(|| commit(Arc::clone(core), notes.clone())).await {
            Ok(()) => part.into_iter().for_each(Said::settled),
            Err(failure) if part.len() == 1 || failure.is_unavailable() => {
                error!(error = %Chain(&failure), words = part.len(), first = ?notes.first(), "what devices said of their configuration could not be written");
                let looks = notes.into_iter().filter(|(.., word)| matches!(word, Word::Look));
                again.extend(
                    looks.filter(|_| failure.is_unavailable()).map(|(device, epoch, _)| (device, epoch)),
                );
            }
            Err(_) => {
                let half = part.split_off(part.len() / 2);
                parts.extend([half, part]);
            }
        }
    }
    again
}

async fn commit(core: Arc<Core>, notes: Vec<Note>) -> Result<(), Error> {
    let mut unit = core.unit().await?;
    let devices: BTreeSet<Id> = notes.iter().map(|(device, ..)| *device).collect();
    let states = rows::devices(&mut unit.tx, &Vec::from_iter(devices)).await?;
    let products: BTreeSet<Id> = states.values().map(|state| state.product_id).collect();
    let products = Vec::from_iter(products);
    let mut batch = Batch {
        writer: core.writer.clone(),
        now: unit.now,
        settings: rows::settings(&mut unit.tx, &products).await?,
        present: rows::present(&mut unit.tx, &products).await?,
        states,
        changed: BTreeSet::new(),
        events: Vec::new(),
        out: Vec::new(),
    };
    notes.into_iter().for_each(|note| batch.take(note));
    let Batch { states, changed, events, out, .. } = batch;
    let changed: Vec<OfDevice> = states.into_values().filter(|s| changed.contains(&s.device_id)).collect();
    rows::put_devices(&mut unit.tx, &changed).await?;
    events.into_iter().for_each(|event| unit.tell(event));
    unit.commit().await?;
    for (device, epoch, downlink) in out {
        let is_push = downlink.kind == Kind::ConfigPush;
        if core.sessions.deliver(device, epoch, downlink) && is_push {
            Counters::add(&core.counters.configuration_pushes);
        }
    }
    Ok(())
}

/// What is known when a batch is settled, and what comes of it.
struct Batch {
    writer: Writer,
    now: Ms,
    settings: BTreeMap<Id, Settings>,
    present: BTreeMap<Id, Configuration>,
    states: BTreeMap<Id, OfDevice>,
    changed: BTreeSet<Id>,
    events: Vec<Event>,
    out: Vec<(Id, Epoch, Downlink)>,
}

impl Batch {
    fn take(&mut self, (device, epoch, word): Note) {
        // It may have been removed meanwhile.
        let Some(mut state) = self.states.get(&device).cloned() else { return };
        match word {
            Word::Asked { id } => {
                let id = message::Id::from_raw(&id).unwrap_or_default();
                let answer =
                    self.answer(id, &mut state).unwrap_or_else(|code| downlink::no_configuration(id, code));
                self.out.push((device, epoch, answer));
            }
            Word::Look => {
                if let Some(push) = self.due(&mut state) {
                    self.out.push((device, epoch, push));
                }
            }
            // What it was told before is of no interest any more, and more than that it cannot have.
            Word::Answered { version, code } if version > 0 && version == state.told => {
                let has_taken = (state.answered, state.code) == (version, Some(TAKEN));
                if !has_taken && (state.answered, state.code) != (version, Some(code)) {
                    let kind = EventKind::ConfigurationAnswered { version, result: code };
                    (state.answered, state.answered_at, state.code) = (version, Some(self.now), Some(code));
                    self.tell(&state, kind);
                }
            }
            Word::Fetched { version } if version == state.told && version != state.fetched => {
                (state.fetched, state.fetched_at) = (version, Some(self.now));
                self.tell(&state, EventKind::ConfigurationFetched { version });
            }
            Word::Answered { .. } | Word::Fetched { .. } => {}
        }
        if self.states.get(&device) != Some(&state) {
            self.changed.insert(device);
            self.states.insert(device, state);
        }
    }

    /// The present version of a device's product, or the code that says why there is none.
    fn offered(&self, state: &OfDevice) -> Result<Configuration, i32> {
        if self.settings.get(&state.product_id).is_some_and(|settings| !settings.enabled) {
            return Err(OFF);
        }
        self.present.get(&state.product_id).cloned().ok_or(NONE)
    }

    fn answer(&self, id: message::Id<'_>, state: &mut OfDevice) -> Result<Downlink, i32> {
        let configuration = self.offered(state)?;
        let made = self.writer.configuration(id, &configuration, state.device_id, self.now);
        let answer = made.map_err(|error| {
            warn!(device = state.device_id, %error, "a configuration could not be offered");
            SYSTEM_ERROR
        })?;
        self.told(state, &configuration);
        Ok(answer)
    }

    /// The push that a device is due: of the present version, if that or an older one was pushed to it or to all,
    /// and it has neither taken nor fetched it.
    fn due(&self, state: &mut OfDevice) -> Option<Downlink> {
        let configuration = self.offered(state).ok()?;
        let pushed = self.settings.get(&state.product_id).map_or(0, |settings| settings.pushed);
        let taken = if state.code == Some(TAKEN) { state.answered } else { 0 };
        if taken.max(state.fetched) >= pushed.max(state.wanted) {
            return None;
        }
        let made = self.writer.configuration_push(&configuration, state.device_id, self.now);
        let failed = |error| warn!(device = state.device_id, %error, "a configuration could not be pushed");
        let push = made.map_err(failed).ok()?;
        self.told(state, &configuration);
        Some(push)
    }

    fn told(&self, state: &mut OfDevice, configuration: &Configuration) {
        if state.told != configuration.version {
            (state.told, state.told_at) = (configuration.version, Some(self.now));
        }
    }

    fn tell(&mut self, state: &OfDevice, kind: EventKind) {
        self.events.push(Event {
            at: self.now,
            product_id: state.product_id,
            device_id: Some(state.device_id),
            job_id: None,
            task_id: None,
            kind,
        });
    }
}
