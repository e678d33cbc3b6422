//! What happened, and how the platform is.

use rollout::Id;
use store::events::{Filter, Numbered};

use super::devices::find_device;
use super::{failed, product_in};
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

/// How the platform is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Devices connected to this node.
    pub sessions: usize,
    /// Counts since start.
    pub counters: Vec<(&'static str, u64)>,
}

impl Server {
    /// Events after a number, in the order they were committed.
    pub async fn events(
        &self,
        filter: EventFilter<'_>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Numbered>, OrderError> {
        let mut tx = self.read().await?;
        let filter = match filter {
            EventFilter::All => Filter::All,
            EventFilter::Product(key) => Filter::Product(product_in(&mut tx, key).await?.id),
            EventFilter::Device(key, name) => {
                Filter::Device(find_device(&mut tx, key, name).await?.device.id)
            }
            EventFilter::Job(id) => Filter::Job(id),
            EventFilter::Task(id) => Filter::Task(id),
        };
        store::events::list(&mut tx, filter, after, limit).await.map_err(failed("read events"))
    }

    /// How the platform is.
    pub fn status(&self) -> Status {
        let mut counters = self.core.counters.snapshot();
        counters.extend(self.door_counters.snapshot());
        Status { sessions: self.core.sessions.online(), counters }
    }
}
