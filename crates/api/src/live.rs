//! Events as they happen, to any number of followers.
//!
//! One task reads what was committed and writes each event out once; followers only pick what they asked for, and who
//! asked for all sends the text as it is. What happened before they came they read themselves, page by page, as fast as
//! they take it. A follower keeps nothing of its own: who falls behind what all of them remember is let go, and goes on
//! where it was.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::Stream;
use server::{EventPage, Names, News, Numbered, OrderError, Server, WhichEvents};
use tokio::sync::{Mutex, broadcast};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};

use crate::dto::Event;

/// Events read at once.
const PAGE: u32 = 200;
/// Pages remembered for all followers.
const REMEMBERED: usize = 64;
/// Pause between two reads: what happens in it goes out together.
const PACE: Duration = Duration::from_millis(100);
/// The same after a read of more than [`MANY`] events: a write to each follower costs about the same whatever it carries.
const SLOW_PACE: Duration = Duration::from_millis(500);
const MANY: usize = 10;
/// Longest wait without a look, should nobody tell that there is something.
const LOOK: Duration = Duration::from_secs(1);
/// Pause between two signs of life to a follower.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// The last words to a follower that is too slow.
const TOO_SLOW: &str =
    "events came faster than they were read; connect again with the last id to go on from there";
/// The last words of a platform that stops.
pub(crate) const STOPS: &str = "the platform stops; connect again with the last id to go on from there";

/// The one reader of the database. It runs while somebody follows.
#[derive(Clone)]
pub(crate) struct Feed {
    server: Server,
    running: Arc<Mutex<Option<broadcast::Sender<Arc<Batch>>>>>,
}

/// Events that were read together.
#[derive(Debug)]
struct Batch {
    /// As they are sent, one after another.
    text: Bytes,
    /// Each with its part of the text.
    events: Vec<(Numbered, Bytes)>,
    /// All up to this number are in this batch or in those before.
    last: i64,
}

impl Feed {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, running: Arc::default() }
    }

    /// What is committed after this call, and some of what was before.
    async fn subscribe(&self) -> Result<broadcast::Receiver<Arc<Batch>>, OrderError> {
        let mut running = self.running.lock().await;
        if let Some(sender) = &*running {
            return Ok(sender.subscribe());
        }
        let news = self.server.news();
        let last = self.server.last_event().await?;
        let (sender, receiver) = broadcast::channel(REMEMBERED);
        *running = Some(sender.clone());
        tokio::spawn(self.clone().run(news, last, sender));
        Ok(receiver)
    }

    async fn run(self, mut news: News, mut last: i64, sender: broadcast::Sender<Arc<Batch>>) {
        loop {
            // Time is a reason to look as good as news.
            if timeout(LOOK, news.next()).await == Ok(false) {
                break;
            }
            let mut came = 0;
            while let Some(batch) = self.read(last).await {
                last = batch.last;
                came += batch.events.len();
                let is_full = batch.events.len() >= PAGE as usize;
                // Without followers it ends below.
                let _ = sender.send(Arc::new(batch));
                if !is_full {
                    break;
                }
            }
            sleep(if came > MANY { SLOW_PACE } else { PACE }).await;
            let mut running = self.running.lock().await;
            if sender.receiver_count() == 0 {
                *running = None;
                return;
            }
        }
        *self.running.lock().await = None;
    }

    /// The next events, if there are any and they can be read.
    async fn read(&self, after: i64) -> Option<Batch> {
        let page = self.server.events_of(WhichEvents::All, after, PAGE).await.ok()?;
        if page.items.is_empty() {
            return None;
        }
        Batch::of(&self.server, page).await.ok()
    }
}

/// What the products and devices of events are called.
pub(crate) async fn names_of(server: &Server, items: &[Numbered]) -> Result<Names, OrderError> {
    let products = items.iter().map(|numbered| numbered.event.product_id).collect();
    let devices = items.iter().filter_map(|numbered| numbered.event.device_id).collect();
    server.names(products, devices).await
}

impl Batch {
    async fn of(server: &Server, page: EventPage) -> Result<Self, OrderError> {
        let names = names_of(server, &page.items).await?;
        Ok(Self::written(page, &names))
    }

    fn written(page: EventPage, names: &Names) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(page.items.len()));
        for numbered in &page.items {
            let event = Event::of(numbered.clone(), names);
            // Texts and numbers can always be written, and JSON breaks no line.
            let data = serde_json::to_string(&event).unwrap_or_default();
            text += &format!("id: {}\ndata: {data}\n\n", event.seq);
            ends.push(text.len());
        }
        let text = Bytes::from(text);
        let begins = std::iter::once(0).chain(ends.clone());
        let parts = begins.zip(ends).map(|(begin, end)| text.slice(begin..end));
        Self { events: page.items.into_iter().zip(parts).collect(), text, last: page.next }
    }
}

/// One who follows events.
pub(crate) struct Follower {
    feed: Feed,
    which: WhichEvents,
    /// All up to this number has been given, or is none of those asked for.
    seen: i64,
    ready: VecDeque<Bytes>,
    place: Place,
    heart: Interval,
}

/// Where a follower reads.
enum Place {
    /// In the database, alone.
    Behind,
    /// In the database, while what happens from now on is kept for it.
    CatchingUp(broadcast::Receiver<Arc<Batch>>),
    /// What happens.
    Live(broadcast::Receiver<Arc<Batch>>),
    /// Nowhere any more.
    Gone,
}

impl Follower {
    /// Follows events after a number; fails if they cannot be read from there.
    pub(crate) async fn begin(feed: Feed, which: WhichEvents, after: i64) -> Result<Self, OrderError> {
        let mut heart = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ready = VecDeque::from([note(after, "following")]);
        let mut follower = Self { feed, which, seen: after, ready, place: Place::Behind, heart };
        follower.read_page().await?;
        Ok(follower)
    }

    pub(crate) fn into_response(self) -> impl IntoResponse {
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
        (headers, Body::from_stream(self.into_stream()))
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures_util::stream::unfold(self, async |mut follower| {
            let text = follower.next().await?;
            Some((Ok(text), follower))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(text);
            }
            match &self.place {
                Place::Gone => return None,
                Place::Live(_) => self.listen().await,
                Place::Behind | Place::CatchingUp(_) => {
                    if let Err(error) = self.read_page().await {
                        self.part(&error.text);
                    }
                }
            }
        }
    }

    /// Reads a page of what was before. Once that was the last one, what happens is kept, and what happened
    /// meanwhile is read.
    async fn read_page(&mut self) -> Result<(), OrderError> {
        let page = self.feed.server.events_of(self.which, self.seen, PAGE).await?;
        let is_last = page.items.len() < PAGE as usize;
        let batch = Batch::of(&self.feed.server, page).await?;
        if !batch.text.is_empty() {
            self.ready.push_back(batch.text);
        }
        self.seen = batch.last;
        if is_last {
            self.place = match std::mem::replace(&mut self.place, Place::Gone) {
                Place::CatchingUp(live) => Place::Live(live),
                _ => Place::CatchingUp(self.feed.subscribe().await?),
            };
        }
        Ok(())
    }

    async fn listen(&mut self) {
        let Place::Live(live) = &mut self.place else { return };
        let heard = tokio::select! {
            heard = live.recv() => heard,
            _ = self.heart.tick() => return self.ready.push_back(note(self.seen, "still here")),
        };
        match heard {
            Ok(batch) => self.take(&batch),
            Err(broadcast::error::RecvError::Lagged(_)) => self.part(TOO_SLOW),
            Err(broadcast::error::RecvError::Closed) => self.part(STOPS),
        }
    }

    fn take(&mut self, batch: &Batch) {
        let is_wanted = |numbered: &Numbered| numbered.seq > self.seen && self.which.takes(&numbered.event);
        if batch.events.iter().all(|(numbered, _)| is_wanted(numbered)) {
            self.ready.push_back(batch.text.clone());
        } else {
            let wanted = batch.events.iter().filter(|(numbered, _)| is_wanted(numbered));
            self.ready.extend(wanted.map(|(_, text)| text.clone()));
        }
        self.seen = self.seen.max(batch.last);
    }

    fn part(&mut self, why: &str) {
        self.ready.push_back(note(self.seen, why));
        self.place = Place::Gone;
    }
}

/// A comment. It brings the place along: who follows what seldom happens must not come back with one long dropped.
fn note(seen: i64, text: &str) -> Bytes {
    format!(": {}\nid: {seen}\n\n", text.replace(['\r', '\n'], " ")).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use server::rollout::{self, EventKind};

    use super::*;

    fn batch(seq: i64) -> Arc<Batch> {
        let event = rollout::Event {
            at: 0,
            product_id: 1,
            device_id: None,
            job_id: None,
            task_id: None,
            kind: EventKind::ProductChanged,
        };
        let page = EventPage { items: vec![Numbered { seq, event }], next: seq };
        Arc::new(Batch::written(page, &Names::default()))
    }

    async fn server(folder: &std::path::Path) -> Server {
        let database = "sqlite".into();
        let config = store::Config { data: folder.into(), database, clock: store::Clock::default() };
        let config = server::Config {
            store: store::Store::open(config).await.unwrap(),
            public_url: None,
            limits: rollout::Limits::default(),
            sub_devices: 2_000,
            timezone: "UTC".into(),
            keep_events: None,
            clock: server::Clock::System,
            door_counters: Arc::default(),
            tls: None,
        };
        Server::start(config).await.unwrap()
    }

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_and_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let feed = Feed::new(server(folder.path()).await);
        let mut follower = Follower::begin(feed, WhichEvents::All, 0).await.unwrap();
        let (sender, receiver) = broadcast::channel(2);
        follower.place = Place::Live(receiver);
        follower.ready.clear();
        sender.send(batch(1)).unwrap();
        assert!(format!("{:?}", follower.next().await.unwrap()).contains("id: 1"));
        for seq in 2..=4 {
            sender.send(batch(seq)).unwrap();
        }
        let last = format!("{:?}", follower.next().await.unwrap());
        // The place is that of the last one read.
        assert!(last.contains(TOO_SLOW) && last.contains("id: 1"), "{last}");
        assert!(follower.next().await.is_none());
    }

    #[tokio::test]
    async fn who_hears_nothing_gets_a_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let feed = Feed::new(server(folder.path()).await);
        let mut follower = Follower::begin(feed, WhichEvents::All, 0).await.unwrap();
        let (_sender, receiver) = broadcast::channel(2);
        follower.place = Place::Live(receiver);
        follower.ready.clear();
        follower.heart = interval_at(Instant::now(), HEARTBEAT);
        let sign = format!("{:?}", follower.next().await.unwrap());
        assert!(sign.contains("still here") && sign.contains("id: 0"), "{sign}");
    }
}
