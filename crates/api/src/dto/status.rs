use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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

/// Which measures.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PastQuery {
    /// Only those after this time, RFC 3339; of the whole hour if absent.
    pub after: Option<String>,
}

/// What was measured of late.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredPast {
    /// What the numbers of each point are, as `/metrics` calls them.
    #[schema(example = json!(["otaru_sessions", "otaru_blocks_total"]))]
    pub names: Vec<String>,
    /// The points, the oldest first.
    pub points: Vec<MeasuredPoint>,
}

/// What was measured at a moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredPoint {
    /// When.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub at: String,
    /// One number for each name.
    #[schema(example = json!([940.0, 120000.0]))]
    pub values: Vec<f64>,
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
