use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use axum::Router;
use sha2::{Digest, Sha256};

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsReaders {
    /// Who has the administrator's token.
    Token,
    /// Also who asks from this machine, and not for another.
    #[default]
    Loopback,
    /// Who reaches the listener.
    Anyone,
}

/// Who may ask, and under which names.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) token: [u8; 32],
    pub(crate) hosts: HashSet<String>,
    pub(crate) any_address: bool,
    pub(crate) devices: Vec<SocketAddr>,
    pub(crate) metrics: MetricsReaders,
    pub(crate) pages: Option<Router>,
}

impl Config {
    /// With the administrator's token, of which only the SHA-256 is kept. Names of the loopback are allowed.
    pub fn new(token: &str) -> Self {
        let loopback = ["localhost", "127.0.0.1", "::1"].map(String::from);
        Self {
            token: Sha256::digest(token).into(),
            hosts: HashSet::from(loopback),
            any_address: false,
            devices: Vec::new(),
            metrics: MetricsReaders::default(),
            pages: None,
        }
    }

    /// Allows a host name or address in `Host`, without port.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.insert(host.trim_matches(['[', ']']).to_ascii_lowercase());
        self
    }

    /// Allows the address of a listener. One that listens on every address allows every address, but still no
    /// name: a name is what an attacker's DNS could point here.
    #[must_use]
    pub fn allow_listener(self, listener: SocketAddr) -> Self {
        match listener.ip() {
            ip if ip.is_unspecified() => Self { any_address: true, ..self },
            ip => self.allow_host(&ip.to_string()),
        }
    }

    /// Names an address devices connect to, for operators to see.
    #[must_use]
    pub fn tell_device_listener(mut self, listener: SocketAddr) -> Self {
        self.devices.push(listener);
        self
    }

    /// Says who may read `/metrics`.
    #[must_use]
    pub fn metrics_for(self, metrics: MetricsReaders) -> Self {
        Self { metrics, ..self }
    }

    /// Answers what is outside `/api` and is nothing of this crate, without asking for the token.
    #[must_use]
    pub fn pages(self, pages: Router) -> Self {
        Self { pages: Some(pages), ..self }
    }

    pub(crate) fn allows(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        self.hosts.contains(&host) || (self.any_address && host.parse::<IpAddr>().is_ok())
    }
}
