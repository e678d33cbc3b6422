//! `otaru demo`: the whole story in one terminal.
//!
//! The platform runs in this process, in a temporary folder. The story gives its orders through the REST API and
//! its devices connect to real sockets, so what it shows is what an operator and a device would see.

mod fleet;
mod guest;
mod story;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use otaru::settings::{LogFormat, Settings};
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::commands::certs;
use crate::output::out;
use crate::platform::Platform;
use crate::serve::log_to_stderr;
use crate::stop::Stop;
use crate::tls::FOLDER;
use guest::Guest;
use story::Story;

#[derive(Args)]
pub(crate) struct Demo {
    /// Listen for devices on every address of this machine, for a board on the desk
    #[arg(long)]
    lan: bool,
    /// End after the story: exit code 0 if all went right
    #[arg(long)]
    exit: bool,
}

/// How the telling ended.
enum Told {
    /// To its end; whether all went right.
    Story { right: bool },
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// Shows it all.
pub(crate) fn run(demo: Demo) -> anyhow::Result<ExitCode> {
    log_to_stderr("warn".into(), LogFormat::Text);
    let runtime = Runtime::new()?;
    let folder = tempfile::Builder::new().prefix("otaru-demo-").tempdir()?;
    let told = runtime.block_on(tell(&demo, folder.path()));
    // What still writes to the folder ends before it is removed.
    runtime.shutdown_timeout(Duration::from_secs(2));
    match told? {
        Told::Story { right: true } => Ok(ExitCode::SUCCESS),
        Told::Story { right: false } => Ok(ExitCode::FAILURE),
        Told::Interrupted if demo.exit => Ok(ExitCode::FAILURE),
        Told::Interrupted => Ok(ExitCode::SUCCESS),
    }
}

async fn tell(demo: &Demo, folder: &Path) -> anyhow::Result<Told> {
    let mut stop = Stop::listen()?;
    let platform = start(demo, folder).await?;
    let door = platform.devices[0];
    let url = format!("http://{}", platform.operators[0]);
    out!("Otaru {} is up, everything it keeps is in {}", env!("CARGO_PKG_VERSION"), folder.display());
    out!("  devices    {door}, with TLS or without: {} is the CA they need for it", ca(folder).display());
    out!("  operators  {url}");
    if console::is_built() {
        out!("  console    {url}/  (sign in with {})", platform.token);
    }
    out!(
        "  look at it from another terminal: OTARU_URL={url} OTARU_DATA={} otaru job list",
        data(folder).display()
    );
    let story = Story::new(Client::with_token(&url, &platform.token), door.port(), folder);
    let stay = !demo.exit;
    let host = guest_host(demo);
    let telling = tokio::task::spawn_blocking(move || {
        let (ending, fleet) = story.tell()?;
        let guest = Guest::invite(ending.client, &ending.product_key, &ending.package_id)?;
        if stay {
            guest.introduce(&host, door.port())?;
            guest.watch()?;
        }
        drop(fleet);
        anyhow::Ok(ending.right)
    });
    let told = tokio::select! {
        told = telling => Told::Story { right: told?? },
        () = stop.asked() => Told::Interrupted,
    };
    platform.stop().await;
    Ok(told)
}

/// On the usual ports if they are free, else on others.
async fn start(demo: &Demo, folder: &Path) -> anyhow::Result<Platform> {
    let everywhere = if demo.lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let host = guest_host(demo);
    let names = ["localhost", "127.0.0.1", &*host].map(|name| name.parse().map_err(anyhow::Error::msg));
    let names = names.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    certs::make(&data(folder).join(FOLDER), &names, false)?;
    let settings = |devices: u16, operators: u16| Settings {
        devices: vec![SocketAddr::new(everywhere.into(), devices)],
        operators: vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), operators)],
        public_url: Some(format!("http://{host}:{devices}")),
        ..Settings::default()
    };
    match Platform::start(&data(folder), settings(1883, 8080)).await {
        Ok(platform) => Ok(platform),
        Err(_) => Platform::start(&data(folder), settings(free_port()?, 0)).await,
    }
}

/// A port nobody has now: the address devices fetch files from must be known before the start.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// What devices need for TLS.
fn ca(folder: &Path) -> PathBuf {
    data(folder).join(FOLDER).join(certs::CA)
}

/// Where the guest finds the platform.
fn guest_host(demo: &Demo) -> String {
    let address = if demo.lan { lan_address() } else { None };
    address.unwrap_or(Ipv4Addr::LOCALHOST.into()).to_string()
}

/// The address of this machine in its network: the one it would send from. Nothing is sent.
fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}
