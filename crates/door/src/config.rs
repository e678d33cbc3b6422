use std::time::Duration;

use crate::Network;

/// Limits of the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// From the TCP connection to the end of the CONNECT, or of an HTTP request's head.
    pub connect_timeout: Duration,
    /// Longest time in which a peer takes none of the bytes that wait for it.
    pub write_timeout: Duration,
    /// Longest packet taken from a device with a session, in bytes.
    pub max_packet: usize,
    /// Downlinks that wait for one session, in bytes; also the block bytes made ahead, unless one
    /// block is larger.
    pub queue_bytes: usize,
    /// Block requests that wait in one session; more are answered with error 429.
    pub block_requests: usize,
    /// Connections at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// Connections at once from one address, or from one IPv6 network of 64 bits; further ones are
    /// closed. Usually none: a whole factory may sit behind one address.
    pub max_connections_per_address: Option<usize>,
    /// Logins that the platform checks at once; further ones wait.
    pub max_logins: usize,
    /// Most bytes of payload in a record of TLS, 512 to 16384; a device may ask for less. One with a receive
    /// buffer shorter than its records cannot read them.
    pub tls_record: usize,
    /// Whether devices may register over connections that are not encrypted.
    pub register_in_clear: bool,
    /// Balancers: their connections begin with a header of the PROXY protocol, version 2, and count as
    /// those of the address it names. No other connection may begin so.
    pub balancers: Vec<Network>,
    /// TCP asks a silent peer whether it is still there after this long; zero never asks.
    pub tcp_idle: Duration,
    /// Between those questions.
    pub tcp_interval: Duration,
    /// Questions without an answer that end a connection.
    pub tcp_probes: u32,
    /// Longest time in which a peer's TCP confirms none of what was sent to it, those questions
    /// included; zero is the system's. Should be no less than
    /// `tcp_idle` + `tcp_interval` * `tcp_probes`, for Linux then goes by this time and not by the
    /// number of questions.
    pub tcp_user_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            max_packet: 256 * 1024 + 256,
            queue_bytes: 64 * 1024,
            block_requests: 64,
            max_connections: 100_000,
            max_connections_per_address: None,
            max_logins: 512,
            tls_record: 16 * 1024,
            register_in_clear: false,
            balancers: Vec::new(),
            tcp_idle: Duration::from_secs(60),
            tcp_interval: Duration::from_secs(15),
            tcp_probes: 4,
            tcp_user_timeout: Duration::from_secs(120),
        }
    }
}
