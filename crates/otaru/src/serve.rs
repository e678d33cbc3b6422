//! `otaru serve`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use otaru::settings::{ConfigFile, DATA, LogFormat, Settings};
use tracing_subscriber::EnvFilter;

use crate::cli::Connection;
use crate::output::out;
use crate::platform::Platform;
use crate::stop::Stop;
use crate::token;

/// How `otaru serve` is called.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Show the settings that would be in force, and where each comes from; start nothing
    #[arg(long)]
    pub(crate) print_settings: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(serve: Serve, connection: &Connection) -> anyhow::Result<ExitCode> {
    let settings = serve.settings;
    log_to_stderr(settings.log.clone(), settings.log_format);
    if settings.door.asks_once() {
        tracing::warn!(
            "tcp-idle is not below tcp-user-timeout: the first question without an answer ends a connection, whatever tcp-probes says; lower tcp-idle, or raise tcp-user-timeout"
        );
    }
    let data = &connection.data.data;
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut stop = Stop::listen()?;
        let platform = Platform::start(data, settings).await?;
        greet(&platform, data);
        stop.asked().await;
        tracing::info!("stopping");
        platform.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Logs go to standard error, so that an answer stays alone on standard output.
pub(crate) fn log_to_stderr(filter: EnvFilter, format: LogFormat) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A line that cannot be written, as on a full disk, would be complained of in the same place, by a panic.
    let log = log.log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_ansi(false).init(),
    }
}

fn greet(platform: &Platform, data: &Path) {
    let list =
        |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    out!("Otaru {} is up.", env!("CARGO_PKG_VERSION"));
    let tls = if platform.has_certificate { ", each with TLS or without" } else { "" };
    out!("  devices    {}  (MQTT, and files over HTTP{tls})", list(&platform.devices));
    out!("  operators  {}  (token: {})", list(&platform.operators), token::file(data).display());
    if let Some(address) = platform.operators.first().filter(|_| console::is_built()) {
        out!("  console    http://{}/", reachable(*address));
    }
    if platform.first_start {
        next_steps(platform, data);
    }
}

fn next_steps(platform: &Platform, data: &Path) {
    out!("");
    out!("This is its first start. In another terminal:");
    if data != Path::new(DATA) {
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
