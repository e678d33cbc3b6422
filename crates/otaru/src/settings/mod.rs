//! The settings of the platform.
//!
//! [`Settings`] is the one definition: from each of its fields come the flag, the `OTARU_*` variable, the key of the
//! settings file, the help text and docs/settings.md. To add a setting is to add a field here and to use it.
//!
//! A flag goes before a variable, a variable before the file, the file before the default ([`layers`]).

mod file;
mod filter;
pub mod layers;
mod page;
mod show;
mod units;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches as _, ValueEnum};
use tracing_subscriber::EnvFilter;

pub use file::File;
pub use page::page;
pub use show::shown;
pub use units::{Period, Size};

use filter::filter;
use units::{period, size, whole};

/// The data folder unless told otherwise.
pub const DATA: &str = "./otaru-data";

/// Where everything is kept.
#[derive(Args, Clone)]
pub struct Data {
    /// The platform's data folder; other commands find the token there
    #[arg(long, value_name = "DIR", env = "OTARU_DATA", default_value = DATA, global = true, help_heading = "Platform")]
    pub data: PathBuf,
}

/// Which file the settings come from.
#[derive(Args)]
pub struct ConfigFile {
    /// A settings file [default: otaru.toml in the data folder, if it is there]
    #[arg(long, value_name = "FILE", env = "OTARU_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Where rows are kept.
#[derive(Args)]
pub struct Database {
    /// `sqlite`, in the data folder, or the URL of a PostgreSQL database
    #[arg(
        long,
        value_name = "sqlite|postgres://…",
        env = "OTARU_DATABASE",
        default_value = "sqlite",
        hide_env_values = true,
        value_parser = database
    )]
    pub database: String,
}

/// What a platform is started with.
#[derive(Args)]
pub struct Settings {
    /// Where devices connect, MQTT and HTTP alike; may be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "OTARU_DEVICES",
        value_delimiter = ',',
        default_value = "0.0.0.0:1883",
        value_parser = address
    )]
    pub devices: Vec<SocketAddr>,
    /// Where operators connect; may be given several times
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "OTARU_OPERATORS",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080",
        value_parser = address
    )]
    pub operators: Vec<SocketAddr>,
    /// A further host name under which operators may reach the platform, as behind a proxy; may be given several times
    #[arg(long, value_name = "NAME", env = "OTARU_ALLOW_HOST", value_delimiter = ',', value_parser = host)]
    pub allow_host: Vec<String>,
    /// Where rows are kept.
    #[command(flatten)]
    pub database: Database,
    /// Where devices fetch files over HTTP or HTTPS: this platform as devices see it. Without it files travel over MQTT only
    #[arg(long, value_name = "http[s]://HOST:PORT", env = "OTARU_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// Downloads at once in the whole installation; further devices wait for their notice
    #[arg(long, value_name = "N", env = "OTARU_MAX_DOWNLOADS", default_value = "500", value_parser = whole::<i64>(1..=60_000))]
    pub max_downloads: i64,
    /// Most sub-devices of a gateway: in its topology, and logged in
    #[arg(long, value_name = "N", env = "OTARU_MAX_SUB_DEVICES", default_value = "2000", value_parser = whole::<usize>(1..=100_000))]
    pub max_sub_devices: usize,
    /// Mbit/s that the files offered to devices may need together: spaces offers by the size of their files, and never slows a download down. Without it there is no such limit
    #[arg(long, value_name = "N", env = "OTARU_MAX_MBIT_PER_SECOND", value_parser = whole::<i64>(1..=1_000_000))]
    pub max_mbit_per_second: Option<i64>,
    /// The IANA time zone, as Europe/Berlin, of products that have none: windows of jobs go by it
    #[arg(long, value_name = "ZONE", env = "OTARU_TIMEZONE", default_value = "UTC", value_parser = timezone)]
    pub timezone: String,
    /// Who may read /metrics: with the administrator's token; also from this machine; or anyone who reaches the listener
    #[arg(long, value_name = "WHO", env = "OTARU_METRICS_READERS", default_value = "loopback")]
    pub metrics_readers: MetricsReaders,
    /// How long events are kept for timelines and readers; `forever` keeps all
    #[arg(long, value_name = "TIME", env = "OTARU_KEEP_EVENTS", default_value = "90d", value_parser = keep)]
    pub keep_events: Keep,
    /// What to log: error, warn, info, debug, trace, or a filter as `info,otaru_door=debug`
    #[arg(long, value_name = "FILTER", env = "OTARU_LOG", default_value = "info", value_parser = filter)]
    pub log: EnvFilter,
    /// How to log: lines for people, or a JSON object a line. What keeps the platform from starting, as a taken port, is told in words all the same
    #[arg(long, value_name = "FORMAT", env = "OTARU_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// TLS at the devices' door.
    #[command(flatten)]
    pub tls: Tls,
    /// Limits at the devices' door.
    #[command(flatten)]
    pub door: Door,
}

/// TLS at the devices' door.
#[derive(Args)]
#[command(next_help_heading = "TLS for devices")]
pub struct Tls {
    /// The certificate that devices are shown, and those between it and its CA, as PEM; read again when it changes. Without the setting tls/server.pem in the data folder, once it is there
    #[arg(long, value_name = "FILE", env = "OTARU_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's key, as PEM without a password. Without the setting tls/server-key.pem in the data folder
    #[arg(long, value_name = "FILE", env = "OTARU_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// CAs of the devices' own certificates, as PEM; read again when they change. With it devices are asked for a certificate, and one that is bound to a device opens in place of its secret
    #[arg(long, value_name = "FILE", env = "OTARU_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
}

/// Limits at the devices' door.
#[derive(Args)]
#[command(next_help_heading = "Limits for devices")]
pub struct Door {
    /// From the TCP connection to the end of the CONNECT, or of an HTTP request's head
    #[arg(long, value_name = "TIME", env = "OTARU_CONNECT_TIMEOUT", default_value_t = Period(usual().connect_timeout), value_parser = period("1s", "1h"))]
    pub connect_timeout: Period,
    /// Longest time in which a device takes none of the bytes that wait for it
    #[arg(long, value_name = "TIME", env = "OTARU_WRITE_TIMEOUT", default_value_t = Period(usual().write_timeout), value_parser = period("1s", "1h"))]
    pub write_timeout: Period,
    /// Longest packet taken from a device; a longer one ends its connection. In MQTT 5 never more than 256KiB, which the CONNACK tells
    #[arg(long, value_name = "SIZE", env = "OTARU_MAX_PACKET", default_value_t = Size(usual().max_packet), value_parser = size("4KiB", "256MiB"))]
    pub max_packet: Size,
    /// Bytes that wait for one device: messages, and file blocks made ahead
    #[arg(long, value_name = "SIZE", env = "OTARU_QUEUE_BYTES", default_value_t = Size(usual().queue_bytes), value_parser = size("4KiB", "64MiB"))]
    pub queue_bytes: Size,
    /// Block requests of one device that wait; further ones are answered with error 429
    #[arg(long, value_name = "N", env = "OTARU_BLOCK_REQUESTS", default_value_t = usual().block_requests, value_parser = whole::<usize>(1..=10_000))]
    pub block_requests: usize,
    /// Connections of devices at once, by all listeners together; fewer if the limit of open files does not allow as many
    #[arg(long, value_name = "N", env = "OTARU_MAX_CONNECTIONS", default_value_t = usual().max_connections, value_parser = whole::<usize>(1..=10_000_000))]
    pub max_connections: usize,
    /// Connections of one address at once, or of one IPv6 network of 64 bits; further ones are closed. Without it there is no such limit: a whole factory may sit behind one address
    #[arg(long, value_name = "N", env = "OTARU_MAX_CONNECTIONS_PER_ADDRESS", value_parser = whole::<usize>(1..=10_000_000))]
    pub max_connections_per_address: Option<usize>,
    /// Logins of devices that are checked at once; further ones wait
    #[arg(long, value_name = "N", env = "OTARU_MAX_LOGINS", default_value_t = usual().max_logins, value_parser = whole::<usize>(1..=65_536))]
    pub max_logins: usize,
    /// Most bytes of payload in a record of TLS; a device may ask for less. One that has no room for its records cannot read them
    #[arg(long, value_name = "SIZE", env = "OTARU_TLS_RECORD", default_value_t = Size(usual().tls_record), value_parser = size("512B", "16KiB"))]
    pub tls_record: Size,
    /// Whether devices may register over connections without TLS: others on the way can read the secrets they get
    #[arg(long, env = "OTARU_REGISTER_IN_CLEAR", value_name = "true|false", default_value_t = usual().register_in_clear, action = clap::ArgAction::Set)]
    pub register_in_clear: bool,
    /// A balancer's address or network, as 10.0.0.0/8; may be given several times. Its connections must begin with a header of the PROXY protocol, version 2
    #[arg(long, value_name = "NETWORK", env = "OTARU_BALANCERS", value_delimiter = ',')]
    pub balancers: Vec<door::Network>,
    /// TCP asks a silent device whether it is still there after this long; 0s never asks. Keep it below tcp-user-timeout: otherwise the first question without an answer ends the connection
    #[arg(long, value_name = "TIME", env = "OTARU_TCP_IDLE", default_value_t = Period(usual().tcp_idle), value_parser = period("0s", "2h"))]
    pub tcp_idle: Period,
    /// Time between those questions
    #[arg(long, value_name = "TIME", env = "OTARU_TCP_INTERVAL", default_value_t = Period(usual().tcp_interval), value_parser = period("1s", "1h"))]
    pub tcp_interval: Period,
    /// Questions without an answer that end a connection
    #[arg(long, value_name = "N", env = "OTARU_TCP_PROBES", default_value_t = usual().tcp_probes, value_parser = whole::<u32>(1..=100))]
    pub tcp_probes: u32,
    /// Longest time in which a device's TCP confirms nothing of what was sent to it, those questions included; 0s leaves it to the system. Linux only
    #[arg(long, value_name = "TIME", env = "OTARU_TCP_USER_TIMEOUT", default_value_t = Period(usual().tcp_user_timeout), value_parser = period("0s", "4h"))]
    pub tcp_user_timeout: Period,
}

impl Door {
    /// Whether TCP gives a device up at the first question that it leaves open, whatever the number of questions says.
    pub fn asks_once(&self) -> bool {
        let (idle, timeout) = (self.tcp_idle.0, self.tcp_user_timeout.0);
        !idle.is_zero() && !timeout.is_zero() && idle >= timeout
    }
}

impl From<Door> for door::Config {
    fn from(door: Door) -> Self {
        // Every field is named: a limit that is added to the door asks here for its setting.
        let Door {
            connect_timeout,
            write_timeout,
            max_packet,
            queue_bytes,
            block_requests,
            max_connections,
            max_connections_per_address,
            max_logins,
            tls_record,
            register_in_clear,
            balancers,
            tcp_idle,
            tcp_interval,
            tcp_probes,
            tcp_user_timeout,
        } = door;
        Self {
            connect_timeout: connect_timeout.0,
            write_timeout: write_timeout.0,
            max_packet: max_packet.0,
            queue_bytes: queue_bytes.0,
            block_requests,
            max_connections,
            max_connections_per_address,
            max_logins,
            tls_record: tls_record.0,
            register_in_clear,
            balancers,
            tcp_idle: tcp_idle.0,
            tcp_interval: tcp_interval.0,
            tcp_probes,
            tcp_user_timeout: tcp_user_timeout.0,
        }
    }
}

impl Default for Settings {
    /// What is in force when nothing is set, whatever the environment says.
    fn default() -> Self {
        let command = Self::augment_args(Command::new("settings")).mut_args(|arg| arg.env(None));
        Self::from_arg_matches(&command.get_matches_from(["settings"])).expect("the defaults are good")
    }
}

/// How long something is kept; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep(pub Option<Duration>);

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricsReaders {
    /// Who has the administrator's token.
    Token,
    /// Also who asks from this machine.
    Loopback,
    /// Who reaches the operators' listener.
    Anyone,
}

impl From<MetricsReaders> for api::MetricsReaders {
    fn from(readers: MetricsReaders) -> Self {
        match readers {
            MetricsReaders::Token => Self::Token,
            MetricsReaders::Loopback => Self::Loopback,
            MetricsReaders::Anyone => Self::Anyone,
        }
    }
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// All settings as a command line of their own: what a settings file may hold.
pub(crate) fn all() -> Command {
    Settings::augment_args(Data::augment_args(Command::new("settings").disable_help_flag(true)))
}

fn usual() -> door::Config {
    door::Config::default()
}

fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "forever" => Ok(Keep(None)),
        text => period("1d", "3650d")(text)
            .map(|period| Keep(Some(period.0)))
            .map_err(|allowed| format!("{allowed}, or forever")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write ADDRESS:PORT, the address as a number, as in 0.0.0.0:1883 or [::]:1883".into())
}

/// What can stand in the header `Host`, without the port.
fn host(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    // Many programs read 127.1 or 0x7f.1 as an address, which is not this one's to find out.
    let is_number = |label: &str| {
        let digits = label.strip_prefix("0x").unwrap_or(label);
        label.starts_with(|first: char| first.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let is_name = text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number);
    if address.parse::<IpAddr>().is_ok() || is_name {
        return Ok(text.into());
    }
    Err("write a host name or an address, without http:// and port, as in otaru.example.com".into())
}

fn database(text: &str) -> Result<String, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("postgres" | "postgresql") => Ok(text.into()),
        None if text == "sqlite" => Ok(text.into()),
        _ => Err("write sqlite, or postgres://user:password@host/database".into()),
    }
}

fn timezone(text: &str) -> Result<String, String> {
    server::zone_name(text).ok_or_else(|| {
        "write a name of the IANA time zone database, as Europe/Berlin or Asia/Shanghai".into()
    })
}

/// As short as it can be: without a slash at the end, and without the port that goes without saying, which the
/// C SDK 3.x cannot read.
fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let (scheme, port) = if url.starts_with("https://") { ("https://", ":443") } else { ("http://", ":80") };
    let url = url.strip_suffix(port).unwrap_or(url);
    let host = url.strip_prefix(scheme).unwrap_or_default();
    if !is_place(host) {
        return Err("write http://HOST:PORT or https://HOST:PORT, the host as devices see it".into());
    }
    Ok(url.into())
}

/// Whether this is a host as it stands in a URL, and perhaps a port that one can connect to.
fn is_place(text: &str) -> bool {
    let parted = text.rsplit_once(':').filter(|_| !text.ends_with(']'));
    let (name, port) = parted.unwrap_or((text, "80"));
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    is_port && (!name.contains(':') || name.starts_with('[')) && host(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::public_url;

    #[test]
    fn a_public_address_is_as_short_as_it_can_be() {
        for (text, url) in [
            ("http://otaru.example:1883", "http://otaru.example:1883"),
            ("http://otaru.example:1883/", "http://otaru.example:1883"),
            ("http://otaru.example:80", "http://otaru.example"),
            ("https://otaru.example:443/", "https://otaru.example"),
            ("http://otaru.example:443", "http://otaru.example:443"),
            ("https://otaru.example:80", "https://otaru.example:80"),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("http://2fast.example", "http://2fast.example"),
            ("http://[2001:db8::1]:80", "http://[2001:db8::1]"),
        ] {
            assert_eq!(public_url(text).as_deref(), Ok(url));
        }
        for wrong in [
            "",
            "otaru.example",
            "ftp://h",
            "http://",
            "https://",
            "http://:80",
            "http://h/path",
            "http://a@h",
            "http://h?x",
            "http://h:port",
            "http://h:0",
            "http://127.1",
            "http://2130706433",
            "http://0x7f.1",
            "http://localhost.",
            "http://h:99999",
            "http://h:",
            "http://2001:db8::1",
            "http://h:+80",
            r"http://h\x",
        ] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }
}
