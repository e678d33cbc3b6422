use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use server::rollout;
use utoipa::{IntoParams, ToSchema};

use super::DeviceName;
use crate::{Problem, time};

/// A device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its name, unique in the product.
    #[schema(example = "lamp-0001")]
    pub device_name: String,
    /// A disabled device is refused when it connects.
    pub enabled: bool,
    /// Whether it is connected now.
    pub online: bool,
    /// What it last said of each of its modules.
    pub versions: Vec<ModuleVersion>,
    /// What operators say of it, by name.
    pub tags: BTreeMap<String, String>,
    /// The groups it was added to.
    pub groups: BTreeSet<String>,
    /// The gateway it belongs to; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<DeviceName>,
    /// Its first connection; absent if it never came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub first_online_at: Option<String>,
    /// Start of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_online_at: Option<String>,
    /// End of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_offline_at: Option<String>,
    /// Since when two clients use its name and secret and keep ending each other's connection; absent if
    /// there is no sign of it. Nothing is pushed to the device meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub identity_shared_since: Option<String>,
    /// Until when it may register again although it was activated; absent if that is not allowed for it alone. May
    /// be past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub registration_allowed_until: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
}

/// What a device last said of one module.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleVersion {
    /// The module.
    #[schema(example = "default")]
    pub module: String,
    /// Its version.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// When it was last reported.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub reported_at: String,
}

/// A device to make. Its secret is not in any answer but those of `credentials` and `device-secrets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDevice {
    /// Its name, unique in the product; made here if absent.
    #[schema(example = "lamp-0001")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// The secret it already carries; made here if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_secret: Option<String>,
}

/// Which devices are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeviceQuery {
    /// Only those whose names begin so.
    pub prefix: Option<String>,
    /// Only those that are, or are not, connected.
    pub online: Option<bool>,
    /// Only those that this filter means (docs/filters.md). A page may then be short, even empty, and not be
    /// the last: go on as long as there is a `nextCursor`.
    pub filter: Option<String>,
    /// Only those of this group; pages as with `filter`.
    pub group: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

/// Whose secrets are wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SecretsQuery {
    /// The devices' names, 1 to 100 with commas between them.
    #[param(example = "lamp-0001,lamp-0002")]
    pub device_names: String,
}

/// What devices are configured with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceSecrets {
    /// One for each device that is of the product, by name.
    pub items: Vec<DeviceSecret>,
}

/// A device and its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSecret {
    /// The device.
    #[schema(example = "lamp-0001")]
    pub device_name: String,
    /// Its secret.
    pub device_secret: String,
}

/// What to change in a device; absent members stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceChange {
    /// Whether it may connect. Disabling ends a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Tags to set by name; null removes one, the others stay. At most 100 in all; names of 1 to 64 letters,
    /// digits, `.`, `_`, `-`; values of 1 to 256 characters. `timezone` must be an IANA name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, Option<String>>,
    /// What it was like when a change of tags was thought of: if one of these tags is otherwise now, nothing is changed
    /// and the answer is 409 `changedMeanwhile` with `now`, what those are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedTags>,
}

/// Tags as somebody saw them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedTags {
    /// Values by name; null is a tag that is not there.
    pub tags: BTreeMap<String, Option<String>>,
}

/// The certificate by which a device may come in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceCertificate {
    /// SHA-256 of the certificate as it is sent (DER), in hex; null if it has none. It is not to be
    /// left out, so that nobody takes a certificate away by mistake.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: Option<String>,
}

/// Tags to change on many devices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tagging {
    /// The devices.
    pub device_names: Vec<String>,
    /// Tags to set by name; null removes one, the others stay.
    pub tags: BTreeMap<String, Option<String>>,
}

/// What became of an order on many devices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bulk {
    /// Devices it changed.
    pub changed: usize,
    /// Devices that were so already.
    pub unchanged: usize,
    /// Devices it was refused for; they stay as they are.
    pub refused: Vec<Refused>,
}

/// A device that an order on many was refused for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Its line in the file, or its place in the list, from 1.
    #[schema(example = 3)]
    pub line: u64,
    /// Its name as it was given.
    pub device_name: String,
    /// Why.
    pub problem: Problem,
}

impl From<Tagging> for Vec<server::DeviceTagChange> {
    fn from(tagging: Tagging) -> Self {
        let named = (1..).zip(tagging.device_names);
        let change =
            |(line, device_name)| server::DeviceTagChange { line, device_name, tags: tagging.tags.clone() };
        named.map(change).collect()
    }
}

impl From<server::Bulk> for Bulk {
    fn from(done: server::Bulk) -> Self {
        let refused = |r: server::Refused| Refused {
            line: r.line,
            device_name: r.device_name,
            problem: r.error.into(),
        };
        Self {
            changed: done.changed,
            unchanged: done.unchanged,
            refused: done.refused.into_iter().map(refused).collect(),
        }
    }
}

/// What became of a list of devices.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// How many were made.
    pub created: usize,
    /// How many were not.
    pub refused: usize,
    /// One result for each device of the list, in its order.
    pub results: Vec<ImportResult>,
}

/// What became of one device of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportResult {
    /// Its line in the file, or its place in the list, from 1.
    #[schema(example = 3)]
    pub line: u64,
    /// The device; absent if it was to be named here and was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Why it was not made; absent if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What a device needs to connect.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The product.
    #[schema(example = "a1TestPk001")]
    pub product_key: String,
    /// The device.
    #[schema(example = "lamp-0001")]
    pub device_name: String,
    /// The device's secret: what SDKs are configured with.
    pub device_secret: String,
    /// What a plain MQTT client is configured with: one login for each sign method, each as good as the others.
    pub logins: Vec<Login>,
}

/// The values of an MQTT CONNECT.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// `hmacmd5`, `hmacsha1` or `hmacsha256`.
    #[schema(example = "hmacsha256")]
    pub sign_method: String,
    /// Client id.
    #[schema(example = "a1TestPk001.lamp-0001|signmethod=hmacsha256,securemode=3|")]
    pub client_id: String,
    /// User name.
    #[schema(example = "lamp-0001&a1TestPk001")]
    pub username: String,
    /// Password.
    pub password: String,
}

impl From<server::DeviceView> for Device {
    fn from(view: server::DeviceView) -> Self {
        let server::DeviceView { device: row, online, registration_until, versions, tags, groups, gateway } =
            view;
        Self {
            identity_shared_since: row.shared_since().map(time::text),
            registration_allowed_until: registration_until.map(time::text),
            device_name: row.name,
            enabled: row.enabled,
            online,
            versions: versions.into_iter().map(Into::into).collect(),
            tags,
            groups,
            gateway: gateway.map(Into::into),
            first_online_at: row.first_online_at.map(time::text),
            last_online_at: row.last_online_at.map(time::text),
            last_offline_at: row.last_offline_at.map(time::text),
            created_at: time::text(row.created_at),
        }
    }
}

impl From<rollout::ModuleVersion> for ModuleVersion {
    fn from(row: rollout::ModuleVersion) -> Self {
        Self { module: row.module, version: row.version, reported_at: time::text(row.reported_at) }
    }
}

impl From<NewDevice> for server::NewDevice {
    fn from(new: NewDevice) -> Self {
        Self { device_name: new.device_name, device_secret: new.device_secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(rivalry: Option<rollout::Rivalry>) -> serde_json::Value {
        let device = rollout::Device {
            id: 1,
            product_id: 1,
            name: "lamp-0001".into(),
            enabled: true,
            first_online_at: None,
            last_online_at: None,
            last_offline_at: None,
            created_at: 0,
            rivalry,
        };
        let view = server::DeviceView {
            device,
            online: true,
            registration_until: None,
            versions: vec![],
            tags: BTreeMap::new(),
            groups: BTreeSet::new(),
            gateway: None,
        };
        serde_json::to_value(Device::from(view)).unwrap()
    }

    #[test]
    fn a_device_that_two_clients_use_says_since_when() {
        let few = rollout::Rivalry { take_overs: vec![1], shared_since: None };
        let many = rollout::Rivalry { shared_since: Some(1_000), ..few.clone() };
        assert_eq!(device(Some(many))["identitySharedSince"], "1970-01-01T00:00:01.000Z");
        assert_eq!(device(Some(few)).get("identitySharedSince"), None);
        assert_eq!(device(None).get("identitySharedSince"), None);
    }
}
