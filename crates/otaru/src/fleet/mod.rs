//! Many devices in one process, each with a socket of its own: what `otaru sim fleet` loads a platform with.
//!
//! Each is the client and the updater of the crate `device`. It logs in, reports its version, takes what it is offered,
//! checks the digest of what came, starts again and reports the new version. Only the memory is shared: what devices have
//! in common of their files is kept once.

mod member;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use device::{Config, Module, Updater};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::device::trust::Trust;
use member::Member;
use store::Store;

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Address of the platform's door for devices, with a port.
    pub address: String,
    /// Key of the product.
    pub product_key: String,
    /// The version that they start with.
    pub version: String,
    /// Names and secrets of the devices.
    pub devices: Vec<(String, String)>,
    /// How many begin to connect a second.
    pub rate: u32,
    /// Bytes asked for at a time.
    pub block: u32,
    /// Blocks asked for at once, at most.
    pub window: usize,
    /// The CA, in PEM, that the certificates of `https://` files come from; the system's CAs without it.
    pub ca: Option<PathBuf>,
}

impl Plan {
    /// Whether a device of this name can run.
    pub fn check(&self, device_name: &str) -> anyhow::Result<()> {
        self.trust()?;
        let modules = [Module::new(device::DEFAULT_MODULE, &self.version)];
        Updater::new(self.config(device_name, &modules), None)?;
        Ok(())
    }

    fn trust(&self) -> anyhow::Result<Trust> {
        self.ca.as_deref().map_or(Ok(Trust::SYSTEM), Trust::read)
    }

    fn config<'a>(&'a self, device_name: &'a str, modules: &'a [Module<'a>]) -> Config<'a> {
        let named = Config::new(&self.product_key, device_name, modules);
        Config { block: self.block, window: self.window, http: true, save_interval: u32::MAX, ..named }
    }
}

/// What a fleet has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Devices that are connected now.
    pub online: AtomicU64,
    /// Logins that were taken.
    pub logins: AtomicU64,
    /// Connections that could not be opened, were refused or were lost.
    pub troubles: AtomicU64,
    /// Bytes of files that came.
    pub bytes: AtomicU64,
    /// Files whose digest was right.
    pub verified: AtomicU64,
    /// Updates that were reported with the new version.
    pub updated: AtomicU64,
    /// Updates that failed or were refused.
    pub failed: AtomicU64,
    /// Updates that were cancelled.
    pub cancelled: AtomicU64,
    last_trouble: std::sync::Mutex<String>,
    last_failure: std::sync::Mutex<String>,
}

impl Counts {
    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// What went wrong last with a connection, or nothing.
    pub fn last_trouble(&self) -> String {
        text(&self.last_trouble)
    }

    /// What went wrong last with an update, or nothing.
    pub fn last_failure(&self) -> String {
        text(&self.last_failure)
    }

    /// Updates that have ended, well or not.
    pub fn ended(&self) -> u64 {
        [&self.updated, &self.failed, &self.cancelled].iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    fn trouble(&self, why: impl ToString) {
        Self::add(&self.troubles, 1);
        set(&self.last_trouble, why.to_string());
    }

    fn failure(&self, why: impl ToString) {
        Self::add(&self.failed, 1);
        set(&self.last_failure, why.to_string());
    }
}

fn text(text: &std::sync::Mutex<String>) -> String {
    text.lock().map(|text| text.clone()).unwrap_or_default()
}

fn set(text: &std::sync::Mutex<String>, new: String) {
    if let Ok(mut text) = text.lock() {
        *text = new;
    }
}

/// Runs the fleet until the future is dropped, or a device cannot run at all.
pub async fn run(plan: Plan, counts: Arc<Counts>) -> anyhow::Result<()> {
    let trust = plan.trust()?;
    let (plan, store, started) = (Arc::new(plan), Arc::new(Store::default()), Instant::now());
    let mut members = JoinSet::new();
    for index in 0..plan.devices.len() {
        let at = started + Duration::from_secs_f64(index as f64 / f64::from(plan.rate));
        let (plan, counts, store) = (Arc::clone(&plan), Arc::clone(&counts), Arc::clone(&store));
        let member = Member { plan, index, counts, store, trust: trust.clone() };
        members.spawn(async move {
            sleep_until(at).await;
            member.run().await
        });
    }
    while let Some(ended) = members.join_next().await {
        ended??;
    }
    Ok(())
}
