//! The use cases: a device reported, a device asked, an operator ordered, time passed.
//!
//! **Every accepted device report is durable before anything that follows from it leaves the node.**
//! [`Server`] loads what [`rollout::decide`] needs, commits what it decided, and only then
//! acknowledges and sends. It is the door's [`door::Platform`] and the operator's orders.

mod address;
mod clock;
mod committer;
mod configurations;
mod core;
mod counters;
mod downlink;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod health;
mod ids;
mod image;
mod links;
mod logins;
mod metrics;
mod news;
mod orders;
mod pace;
mod platform;
mod registration;
mod renounced;
mod uplink;
mod watch;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use door::Sessions;
use rollout::Limits;
use store::{Error, LinkKeyError, Store};

use tracing::warn;

pub use crate::clock::Clock;
pub use crate::error::{ErrorKind, OrderError};
pub use crate::health::Unready;
pub use crate::ids::{IdKind, PublicId};
pub use crate::metrics::{Family, Kind, Labelled, Ranges, Values, all_metrics};
pub use crate::news::News;
pub use crate::orders::*;
pub use crate::watch::{Content, Message, Watching};
pub use crate::zones::zone_name;
pub use door::Way;
pub use rollout;

use crate::committer::Queue;
use crate::configurations::Configurator;
use crate::core::{Bounds, Core};
use crate::downlink::Writer;
use crate::links::Links;
use crate::logins::Logins;
use crate::orders::{Uploads, start_expiry};
use crate::registration::Registrations;

/// What a server is made of.
pub struct Config {
    /// The database.
    pub store: Store,
    /// Where devices find the file door, for downloads over HTTP: `http://host:port`.
    pub public_url: Option<String>,
    /// Bounds for the whole installation.
    pub limits: Limits,
    /// Most sub-devices of a gateway: in its topology, and logged in.
    pub sub_devices: usize,
    /// The IANA name of the zone of products that have none; an unknown one is UTC.
    pub timezone: String,
    /// How long events are kept; `None` is for ever.
    pub keep_events: Option<Duration>,
    /// The clock.
    pub clock: Clock,
    /// What the door counts.
    pub door_counters: Arc<door::Counters>,
    /// What the door shows in TLS handshakes: its certificate's end is measured.
    pub tls: Option<door::Tls>,
}

/// The use cases. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    core: Arc<Core>,
    queue: Queue,
    logins: Logins,
    configurations: Configurator,
    registrations: Registrations,
    door_counters: Arc<door::Counters>,
    tls: Option<door::Tls>,
}

impl Server {
    /// Starts on an open store: no device is online yet, what is due is done from now on.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let Config {
            store,
            public_url,
            limits,
            sub_devices,
            timezone,
            keep_events,
            clock,
            door_counters,
            tls,
        } = config;
        let links = Links::new(make_link_key(&store).await?);
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        let keep_events = keep_events.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let writer = Writer { links, public_url };
        let bounds = Bounds { limits, sub_devices, keep_events };
        let uploads = Uploads::load(store.blobs()).await.map_err(StartError::Uploads)?;
        let core = Arc::new(Core::new(store, clock, bounds, timezone, writer, uploads));
        core.uploads.expire(core.store.blobs(), core.now()).await;
        core.read_offers().await?;
        committer::take_up(&core).await?;
        committer::start_retention(&core).await?;
        warn_of_lost_address(&core).await?;
        core.wake_at(core.now());
        let queue = committer::start(Arc::clone(&core));
        let logins = Logins::start(core.store.clone());
        let configurations = configurations::start(Arc::clone(&core)).await?;
        let registrations = Registrations::start(Arc::clone(&core));
        let server = Self { core, queue, logins, registrations, configurations, door_counters, tls };
        start_expiry(&server);
        Ok(server)
    }

    /// The connected devices.
    pub fn sessions(&self) -> &Sessions {
        &self.core.sessions
    }

    /// Wakes who follows events.
    pub fn news(&self) -> News {
        self.core.gong.listen()
    }

    /// Lets go of those who follow something: they would keep the platform from stopping.
    pub fn dismiss_followers(&self) {
        self.core.gong.end();
    }

    /// Tells devices that the platform stops, and lets nobody in any more. Gives those who can be told
    /// some time to hear it.
    pub async fn hang_up(&self) {
        self.core.sessions.close_all(door::Closed::Shutdown);
        let gone = async {
            while self.core.sessions.online() > 0 {
                tokio::time::sleep(POLL).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, gone).await;
    }

    /// Hangs up on devices, writes that they have gone, and closes the database: what is not
    /// acknowledged by then never happened.
    pub async fn stop(&self) {
        self.hang_up().await;
        let ended = self.queue.flush();
        // Who does not go by then is told at the next start to have gone.
        let _ = tokio::time::timeout(FAREWELL, ended).await;
        // Never given back: who waits for it would only find the database closed, and complain.
        std::mem::forget(self.core.last_turn().await);
        self.core.store.close().await;
    }
}

/// How long devices may take to go.
const FAREWELL: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// Jobs over HTTP were made when devices could be told where to fetch files.
async fn warn_of_lost_address(core: &Core) -> Result<(), Error> {
    let mut tx = core.store.read().await?;
    let jobs = store::jobs::running_over_http(&mut tx).await?;
    if jobs > 0 && core.writer.public_url.is_none() {
        warn!(
            jobs,
            "unfinished jobs send their file over HTTP, but no address is set: their devices get nothing until this platform is started with --public-url http://HOST:1883"
        );
    }
    Ok(())
}

async fn make_link_key(store: &Store) -> Result<[u8; 32], StartError> {
    let mut tx = store.begin().await?;
    let key = store::link_key(&mut tx, store.keyring()).await?;
    tx.commit().await?;
    Ok(key)
}

/// Why a server does not start on an open store.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database's refusal.
    #[error("the database could not be made ready: {0}")]
    Database(#[from] Error),
    /// The folder's refusal.
    #[error("the uploads under way cannot be read: {0}")]
    Uploads(#[source] std::io::Error),
    /// See [`LinkKeyError`].
    #[error(transparent)]
    LinkKey(#[from] LinkKeyError),
}
