use std::time::Duration;

/// Limits of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        }
    }
}
