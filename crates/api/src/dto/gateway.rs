use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time;

/// A device of whatever product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceName {
    /// Its product.
    #[schema(example = "a1TestPk002")]
    pub product_key: String,
    /// Its name.
    #[schema(example = "meter-0001")]
    pub device_name: String,
}

/// A sub-device of a gateway.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubDevice {
    /// Its product.
    #[schema(example = "a1TestPk002")]
    pub product_key: String,
    /// Its name.
    #[schema(example = "meter-0001")]
    pub device_name: String,
    /// Whether it is connected now, be it by the gateway or by itself.
    pub online: bool,
    /// Since when it belongs to the gateway.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub added_at: String,
}

impl From<server::DeviceName> for DeviceName {
    fn from(name: server::DeviceName) -> Self {
        Self { product_key: name.product_key, device_name: name.device_name }
    }
}

impl From<DeviceName> for server::DeviceName {
    fn from(name: DeviceName) -> Self {
        Self { product_key: name.product_key, device_name: name.device_name }
    }
}

impl From<server::SubDeviceView> for SubDevice {
    fn from(view: server::SubDeviceView) -> Self {
        let server::DeviceName { product_key, device_name } = view.name;
        Self { product_key, device_name, online: view.online, added_at: time::text(view.added_at) }
    }
}
