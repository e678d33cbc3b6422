use serde::{Deserialize, Serialize};
use server::rollout;
use utoipa::ToSchema;

use super::{Expected, given};
use crate::time;

/// Whether devices speak for others too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// For themselves only; also behind a gateway.
    Device,
    /// For sub-devices too.
    Gateway,
}

/// Devices of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Its key, which devices carry.
    #[schema(example = "a1TestPk001")]
    pub product_key: String,
    /// What people call it.
    #[schema(example = "Street lamp")]
    pub name: String,
    /// Whether its devices may be gateways.
    pub node_type: NodeType,
    /// Seconds a device has, after its first report on a connection, to correct a version that is neither the
    /// old nor the new one, before the update counts as failed.
    #[schema(example = 10)]
    pub settle_seconds: i64,
    /// Seconds a push waits for the device's own report of the module.
    #[schema(example = 30)]
    pub grace_seconds: i64,
    /// The IANA name of the zone its devices are in; the server's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub timezone: Option<String>,
    /// Whether its devices may get their secret for the product's secret (一型一密).
    pub dynamic_registration: bool,
    /// Whether devices that nobody has made may register too, for a token (免预注册). Means nothing without
    /// `dynamicRegistration`.
    pub without_pre_registration: bool,
    /// Until when those of its devices that were activated may register again; absent if that is not allowed. May be
    /// past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub registration_allowed_until: Option<String>,
    /// Its devices.
    pub devices: DeviceCounts,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
}

/// How many devices a product has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCounts {
    /// All of them: those connected, those that are not any more, and those that never were.
    #[schema(example = 1000)]
    pub all: i64,
    /// Those that are connected.
    #[schema(example = 940)]
    pub online: i64,
    /// Those that were connected and are not.
    #[schema(example = 40)]
    pub offline: i64,
    /// Those that never were connected.
    #[schema(example = 20)]
    pub never_connected: i64,
    /// Those of all that may not log in.
    #[schema(example = 1)]
    pub disabled: i64,
}

/// A product to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProduct {
    /// What people call it.
    #[schema(example = "Street lamp")]
    pub name: String,
    /// Whether its devices may be gateways; `device` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<NodeType>,
    /// The key its devices already carry; made here if absent.
    #[schema(example = "a1TestPk001")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_key: Option<String>,
    /// The product secret its devices already carry; made here if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_secret: Option<String>,
    /// The IANA name of the zone its devices are in; the server's if absent.
    #[schema(example = "Europe/Berlin")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// What to change in a product; absent members stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductChange {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Product::node_type`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<NodeType>,
    /// See [`Product::settle_seconds`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_seconds: Option<i64>,
    /// See [`Product::grace_seconds`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<i64>,
    /// See [`Product::timezone`]; `null` is the server's again.
    #[schema(value_type = Option<String>, example = "Europe/Berlin")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub timezone: Option<Option<String>>,
    /// See [`Product::dynamic_registration`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_registration: Option<bool>,
    /// See [`Product::without_pre_registration`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_pre_registration: Option<bool>,
    /// What it was like when the change was thought of: if one of these members is otherwise now, nothing is changed and
    /// the answer is 409 `changedMeanwhile` with `now`, what those are.
    #[serde(default, skip_serializing_if = "Expected::is_empty")]
    pub expected: Expected,
}

/// What a product's devices register with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductCredentials {
    /// The product.
    #[schema(example = "a1TestPk001")]
    pub product_key: String,
    /// The secret that all of its devices carry: who has it may register as any of them.
    pub product_secret: String,
}

/// For how long devices that were activated may register again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrationAllowance {
    /// Minutes from now, at most 43200, which is 30 days; 0 ends it.
    #[schema(example = 60)]
    pub minutes: i64,
}

impl From<rollout::NodeType> for NodeType {
    fn from(node_type: rollout::NodeType) -> Self {
        match node_type {
            rollout::NodeType::Device => Self::Device,
            rollout::NodeType::Gateway => Self::Gateway,
        }
    }
}

impl From<NodeType> for rollout::NodeType {
    fn from(node_type: NodeType) -> Self {
        match node_type {
            NodeType::Device => Self::Device,
            NodeType::Gateway => Self::Gateway,
        }
    }
}

impl From<server::DeviceCounts> for DeviceCounts {
    fn from(counts: server::DeviceCounts) -> Self {
        Self {
            all: counts.all,
            online: counts.online,
            offline: counts.offline(),
            never_connected: counts.never_connected,
            disabled: counts.disabled,
        }
    }
}

impl Product {
    pub(crate) fn of(row: rollout::Product, devices: DeviceCounts) -> Self {
        Self {
            product_key: row.product_key,
            name: row.name,
            node_type: row.node_type.into(),
            settle_seconds: row.settle_ms / 1_000,
            grace_seconds: row.grace_ms / 1_000,
            timezone: row.timezone,
            dynamic_registration: row.dynamic_registration,
            without_pre_registration: row.without_pre_registration,
            registration_allowed_until: row.registration_until.map(time::text),
            devices,
            created_at: time::text(row.created_at),
        }
    }
}

impl From<NewProduct> for server::NewProduct {
    fn from(new: NewProduct) -> Self {
        Self {
            name: new.name,
            node_type: new.node_type.map(Into::into),
            product_key: new.product_key,
            product_secret: new.product_secret,
            timezone: new.timezone,
        }
    }
}

impl From<ProductChange> for server::ProductChange {
    fn from(change: ProductChange) -> Self {
        let ms = |seconds: i64| seconds.saturating_mul(1_000);
        Self {
            name: change.name,
            node_type: change.node_type.map(Into::into),
            settle_ms: change.settle_seconds.map(ms),
            grace_ms: change.grace_seconds.map(ms),
            timezone: change.timezone,
            dynamic_registration: change.dynamic_registration,
            without_pre_registration: change.without_pre_registration,
        }
    }
}
