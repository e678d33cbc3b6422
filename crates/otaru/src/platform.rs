//! A whole platform in this process: listeners, database, and both doors.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use otaru::settings::Settings;
use server::{Clock, Paging, Server, rollout};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::tls::TlsFiles;
use crate::token;

/// How long operators' requests under way may take when the platform stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running platform.
pub(crate) struct Platform {
    /// The use cases.
    pub(crate) server: Server,
    /// Where devices connect.
    pub(crate) devices: Vec<SocketAddr>,
    /// Where operators connect.
    pub(crate) operators: Vec<SocketAddr>,
    /// The administrator's token.
    pub(crate) token: String,
    /// Whether they are shown a certificate by TLS.
    pub(crate) has_certificate: bool,
    /// Whether this is the first start of an empty platform.
    pub(crate) first_start: bool,
    device_door: JoinSet<()>,
    operator_doors: JoinSet<io::Result<()>>,
    reception: api::Reception,
    stop: watch::Sender<bool>,
}

impl Platform {
    /// Takes its ports, opens its data folder, and lets everybody in.
    pub(crate) async fn start(data: &Path, settings: Settings) -> anyhow::Result<Self> {
        let device_listeners = listen(&settings.devices, "devices", "--devices")?;
        let operator_listeners = listen(&settings.operators, "operators", "--operators")?;
        let devices = addresses(&device_listeners)?;
        let operators = addresses(&operator_listeners)?;
        let stop = watch::Sender::new(false);
        let reception = api::Reception::default();
        let mut operator_doors = JoinSet::new();
        for listener in operator_listeners {
            operator_doors.spawn(api::serve(listener, reception.router(), told(stop.subscribe())));
        }

        let tls_files = TlsFiles::of(data, &settings.tls)?;
        let certificate = tls_files.read()?;
        let tls = door::Tls::new(certificate.as_ref())?;
        let counters = Arc::new(door::Counters::default());
        let server = open(data, &settings, Arc::clone(&counters), tls.clone()).await?;
        let (token, made) = token::read_or_make(data)?;
        // After a restore the token is new, but not what it guards.
        let products = server.products(Paging { after: None, limit: 1 }).await?;
        let first_start = made && products.items.is_empty();
        let mut config = api::Config::new(&token).pages(console::router());
        config = operators.iter().fold(config, |config, address| config.allow_listener(*address));
        config = devices.iter().fold(config, |config, address| config.tell_device_listener(*address));
        config = settings.allow_host.iter().fold(config, |config, host| config.allow_host(host));

        reception.open(api::router(server.clone(), config.metrics_for(settings.metrics_readers.into())));
        let limits = within_files(settings.door.into());
        let (platform, sessions) = (Arc::new(server.clone()), server.sessions().clone());
        let mut device_door = JoinSet::from_iter([door::serve(
            device_listeners,
            platform,
            sessions,
            limits,
            counters,
            tls.clone(),
        )]);
        device_door.spawn(tls_files.watch(tls));
        Ok(Self {
            server,
            devices,
            operators,
            token,
            has_certificate: certificate.is_some(),
            first_start,
            device_door,
            operator_doors,
            reception,
            stop,
        })
    }

    /// Lets operators' requests end, hangs up on devices, and closes the database.
    pub(crate) async fn stop(mut self) {
        self.reception.close();
        self.server.dismiss_followers();
        self.stop.send_replace(true);
        let ends = async { while self.operator_doors.join_next().await.is_some() {} };
        // Who has not finished by then is cut off.
        let _ = tokio::time::timeout(FAREWELL, ends).await;
        // Devices learn of it before their connections are cut.
        self.server.hang_up().await;
        self.device_door.shutdown().await;
        self.server.stop().await;
    }
}

/// Files that are kept for operators, the database and packages while devices take the rest.
const RESERVED_FILES: u64 = 256;

/// As many connections as the system lets this process have: devices must not take the files that
/// operators and the database need.
fn within_files(limits: door::Config) -> door::Config {
    let files = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => files,
        Err(error) => {
            warn!(%error, "the limit of open files could not be read; it may be lower than the connections allowed");
            return limits;
        }
    };
    let share = files.saturating_sub(RESERVED_FILES).max(files / 2);
    let share = usize::try_from(share).unwrap_or(usize::MAX).max(1);
    let (wanted, max_connections) = (limits.max_connections, limits.max_connections.min(share));
    if max_connections < wanted {
        info!(
            connections = max_connections,
            wanted,
            files,
            "devices may hold this many connections; more need a higher limit of open files (ulimit -n)"
        );
    } else {
        info!(connections = max_connections, files, "devices may hold this many connections");
    }
    door::Config { max_connections, ..limits }
}

async fn told(mut stop: watch::Receiver<bool>) {
    // The sender lives as long as the platform; without it there is nothing left to serve.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn open(
    data: &Path,
    settings: &Settings,
    door_counters: Arc<door::Counters>,
    tls: door::Tls,
) -> anyhow::Result<Server> {
    let config = store::Config {
        data: data.into(),
        database: settings.database.database.clone(),
        clock: store::Clock::default(),
    };
    let store = store::Store::open(config).await?;
    let config = server::Config {
        store,
        public_url: settings.public_url.clone(),
        limits: rollout::Limits {
            downloads: settings.max_downloads,
            kbit_per_second: settings.max_mbit_per_second.map(|mbit| mbit * 1_000),
            ..rollout::Limits::default()
        },
        sub_devices: settings.max_sub_devices,
        timezone: settings.timezone.clone(),
        keep_events: settings.keep_events.0,
        clock: Clock::System,
        door_counters,
        tls: Some(tls),
    };
    Ok(Server::start(config).await?)
}

fn listen(addresses: &[SocketAddr], who: &str, flag: &str) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = door::listen(*address).with_context(|| {
            format!("cannot listen on {address} for {who} (another program may have the port; choose another with {flag} ADDRESS:PORT)")
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn addresses(listeners: &[TcpListener]) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}
