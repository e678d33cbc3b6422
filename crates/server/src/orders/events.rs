//! What happened, and how the platform is.

use rollout::Id;
use store::events::{Filter as Which, Numbered};
use store::{Slice, Tx};

use super::devices::find_device;
use super::{Paging, failed, product_in};
use crate::Server;
use crate::error::OrderError;

/// Which events.
#[derive(Clone, Copy, Debug)]
pub enum EventFilter<'a> {
    /// All.
    All,
    /// Those of a product.
    Product(&'a str),
    /// Those of a device: product key and device name.
    Device(&'a str, &'a str),
    /// Those of a job.
    Job(Id),
    /// Those of a task.
    Task(Id),
}

fn dropped_since(after: i64, dropped: i64) -> OrderError {
    let text = format!(
        "the events {} to {dropped} are no longer kept; to go on with the oldest that is, ask without a cursor, or follow those after {dropped}",
        after + 1
    );
    OrderError::gone("eventsDropped", text).with("firstDropped", after + 1).with("lastDropped", dropped)
}

/// How the platform is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Devices connected to this node.
    pub sessions: usize,
    /// Counts since start.
    pub counters: Vec<(&'static str, u64)>,
}

/// Some of the events, and where the rest begins.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// At most as many as asked for.
    pub items: Vec<Numbered>,
    /// To be passed as `after` for what follows, or happens later.
    pub next: i64,
}

impl Server {
    /// Events after a number, in the order they were committed; without a number from the first that is kept.
    pub async fn events(
        &self,
        filter: EventFilter<'_>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, OrderError> {
        let mut tx = self.read().await?;
        let filter = resolve(&mut tx, filter).await?;
        page(&mut tx, filter, after, limit).await
    }

    /// Events before a number, or the last ones; the newest first, down to the oldest that is kept.
    pub async fn latest_events(
        &self,
        filter: EventFilter<'_>,
        paging: Paging<i64>,
    ) -> Result<Slice<Numbered, i64>, OrderError> {
        let mut tx = self.read().await?;
        let which = resolve(&mut tx, filter).await?;
        store::events::latest(&mut tx, which, paging.after, paging.limit).await.map_err(failed("read events"))
    }

    /// As [`Self::events`], for who asks again and again.
    pub async fn events_of(&self, which: Which, after: i64, limit: u32) -> Result<EventPage, OrderError> {
        page(&mut self.read().await?, which, Some(after), limit).await
    }

    /// Which events a filter means, for as long as what it names exists, and after it.
    pub async fn which_events(&self, filter: EventFilter<'_>) -> Result<Which, OrderError> {
        resolve(&mut self.read().await?, filter).await
    }

    /// The number of the last event; 0 before the first.
    pub async fn last_event(&self) -> Result<i64, OrderError> {
        store::events::last(&mut self.read().await?).await.map_err(failed("read events"))
    }

    /// How the platform is.
    pub fn status(&self) -> Status {
        let batches = &self.core.measures.batches;
        let mut counters = vec![("reports", batches.sum()), ("commits", batches.count())];
        counters.extend(self.core.counters.snapshot());
        counters.extend(self.door_counters.snapshot());
        Status { sessions: self.core.sessions.online(), counters }
    }
}

async fn resolve(tx: &mut Tx, filter: EventFilter<'_>) -> Result<Which, OrderError> {
    Ok(match filter {
        EventFilter::All => Which::All,
        EventFilter::Product(key) => Which::Product(product_in(tx, key).await?.id),
        EventFilter::Device(key, name) => Which::Device(find_device(tx, key, name).await?.device.id),
        EventFilter::Job(id) => Which::Job(id),
        EventFilter::Task(id) => Which::Task(id),
    })
}

async fn page(tx: &mut Tx, which: Which, after: Option<i64>, limit: u32) -> Result<EventPage, OrderError> {
    let dropped = store::events::dropped(tx).await.map_err(failed("read events"))?;
    if let Some(after) = after.filter(|after| *after < dropped) {
        return Err(dropped_since(after, dropped));
    }
    let after = after.unwrap_or(dropped);
    let items = store::events::list(tx, which, after, limit).await.map_err(failed("read events"))?;
    let next = match items.last() {
        Some(last) if items.len() >= limit as usize => last.seq,
        // Who has seen all of one device is not behind, however long nothing happens to it.
        _ => store::events::last(tx).await.map_err(failed("read events"))?.max(after),
    };
    Ok(EventPage { items, next })
}
