use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the platform is doing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's version.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Where devices connect, MQTT and HTTP alike: addresses with port, `0.0.0.0` and `[::]` for every address of the
    /// machine.
    #[schema(example = json!(["0.0.0.0:1883"]))]
    pub device_addresses: Vec<String>,
    /// Devices connected now.
    pub sessions: u64,
    /// What has been counted since the start, by name.
    pub counters: BTreeMap<String, u64>,
}

impl Status {
    pub(crate) fn of(status: server::Status, devices: &[SocketAddr]) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            device_addresses: devices.iter().map(ToString::to_string).collect(),
            sessions: status.sessions as u64,
            counters: status.counters.into_iter().map(|(name, n)| (name.to_string(), n)).collect(),
        }
    }
}
