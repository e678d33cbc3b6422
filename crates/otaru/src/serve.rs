//! `otaru serve`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::cli::Connection;
use crate::commands::backup::Database;
use crate::output::out;
use crate::platform::{Platform, Settings};
use crate::stop::Stop;
use crate::token;

/// Settings of the platform.
#[derive(Args)]
pub(crate) struct Serve {
    /// Where devices connect, MQTT and HTTP alike; may be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "OTARU_DEVICES",
        value_delimiter = ',',
        default_value = "0.0.0.0:1883"
    )]
    devices: Vec<SocketAddr>,
    /// Where operators connect; may be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "OTARU_OPERATORS",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080"
    )]
    operators: Vec<SocketAddr>,
    /// A further host name under which operators may reach the platform, as behind a proxy; may be given several times
    #[arg(long, value_name = "NAME", env = "OTARU_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<String>,
    #[command(flatten)]
    database: Database,
    /// Where devices fetch files over HTTP: this platform as devices see it. Without it files travel over MQTT only
    #[arg(long, value_name = "http://HOST:PORT", env = "OTARU_PUBLIC_URL", value_parser = public_url)]
    public_url: Option<String>,
    /// Downloads at once in the whole installation; further devices wait for their notice
    #[arg(long, value_name = "N", env = "OTARU_MAX_DOWNLOADS", default_value_t = 500, value_parser = clap::value_parser!(i64).range(1..=60_000))]
    max_downloads: i64,
    /// What to log: error, warn, info, debug, trace, or a filter as `info,otaru_door=debug`
    #[arg(long, value_name = "FILTER", env = "OTARU_LOG", default_value = "info")]
    log: EnvFilter,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(serve: Serve, connection: &Connection) -> anyhow::Result<ExitCode> {
    log_to_stderr(serve.log);
    let settings = Settings {
        data: connection.data.clone(),
        database: serve.database.database,
        devices: serve.devices,
        operators: serve.operators,
        hosts: serve.allow_host,
        downloads: serve.max_downloads,
        public_url: serve.public_url,
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut stop = Stop::listen()?;
        let platform = Platform::start(settings).await?;
        greet(&platform, &connection.data);
        stop.asked().await;
        tracing::info!("stopping");
        platform.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Logs go to standard error, so that an answer stays alone on standard output.
pub(crate) fn log_to_stderr(filter: EnvFilter) {
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

fn greet(platform: &Platform, data: &Path) {
    let list =
        |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    out!("Otaru {} is up.", env!("CARGO_PKG_VERSION"));
    out!("  devices    {}  (MQTT, and files over HTTP)", list(&platform.devices));
    out!("  operators  {}  (token: {})", list(&platform.operators), token::file(data).display());
    if platform.first_start {
        next_steps(platform, data);
    }
}

fn next_steps(platform: &Platform, data: &Path) {
    out!("");
    out!("This is its first start. In another terminal:");
    if data != Path::new(crate::cli::DATA) {
        let data = std::path::absolute(data).unwrap_or_else(|_| data.into());
        out!("  export OTARU_DATA={}", data.display());
    }
    if let Some(address) =
        platform.operators.first().filter(|address| address.to_string() != "127.0.0.1:8080")
    {
        out!("  export OTARU_URL=http://{}", reachable(*address));
    }
    out!("  otaru product add \"Street lamp\"          # prints the ProductKey, PK below");
    out!("  otaru device add PK lamp-0001            # a device of it");
    out!("  otaru device credentials PK lamp-0001    # what MQTTX, mosquitto_pub or a board needs");
    out!("  otaru package add PK lamp.bin --version 2.0.0");
    out!(
        "  otaru job verify pkg_… lamp-0001         # first on one device, then: otaru job start pkg_… --all"
    );
    out!("  otaru job watch job_…");
}

/// An address to connect to: who listens on every address is also on the loopback.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn public_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')).unwrap_or_default();
    let sendable =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !br#"/?#@"\"#.contains(&b));
    if sendable { Ok(text.into()) } else { Err("write http://HOST:PORT, the host as devices see it".into()) }
}
