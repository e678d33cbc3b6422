use serde::{Deserialize, Serialize};
use server::{IdKind, Names, rollout};
use utoipa::{IntoParams, ToSchema};

use super::Warning;
use crate::time;

/// The remote configuration of a product.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Whether devices get it.
    pub enabled: bool,
    /// The present version; absent as long as there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<ConfigurationVersion>,
    /// The version that was last pushed to all devices; absent as long as none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 3)]
    pub pushed_version: Option<i64>,
}

/// What to change in a configuration; absent members stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigurationChange {
    /// Whether devices get it: else their questions are answered with code 6713, and addresses they know give nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// After which version one is made.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NewConfigurationQuery {
    /// The version that was present when this one was thought of, 0 for none: if another is by now, nothing is made and
    /// the answer is 409 `changedMeanwhile`, with its number in `now`.
    #[param(example = 3)]
    pub expected_version: Option<i64>,
}

/// A version of a configuration.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationVersion {
    /// What devices know it by.
    #[schema(example = "cfg_01h2xk7m3c8p0")]
    pub id: String,
    /// Its number, from 1; the highest is the present one.
    #[schema(example = 3)]
    pub version: i64,
    /// Bytes of the file.
    #[schema(example = 512)]
    pub size: i64,
    /// SHA-256 of the file in hex.
    pub sha256: String,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
}

/// Who is told of the present version: one of both is needed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigurationPush {
    /// All of the product that do not have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// These devices, 1 to 1000, also if they have it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_names: Option<Vec<String>>,
}

/// A push that is under way.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushedConfiguration {
    /// The version that is pushed.
    #[serde(flatten)]
    pub version: ConfigurationVersion,
    /// What is hardly meant, though it is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// What is known of a device's configuration.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceConfiguration {
    /// The device.
    #[schema(example = "lamp-0001")]
    pub device_name: String,
    /// The version it was last told of, by a push or because it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Since>,
    /// The version whose file it last fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Since>,
    /// The version whose push it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Since>,
    /// What it answered; 200 is that it took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 200)]
    pub code: Option<i32>,
}

/// A version, and the time that belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Since {
    /// The version.
    #[schema(example = 3)]
    pub version: i64,
    /// When.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub at: String,
}

impl From<server::ProductConfiguration> for Configuration {
    fn from(found: server::ProductConfiguration) -> Self {
        let pushed = found.settings.pushed;
        Self {
            enabled: found.settings.enabled,
            present: found.present.map(Into::into),
            pushed_version: (pushed > 0).then_some(pushed),
        }
    }
}

impl From<server::Configuration> for ConfigurationVersion {
    fn from(row: server::Configuration) -> Self {
        Self {
            id: IdKind::Configuration.text(row.id),
            version: row.version,
            size: row.size,
            sha256: row.sha256,
            created_at: time::text(row.created_at),
        }
    }
}

impl DeviceConfiguration {
    pub(crate) fn of(row: server::DeviceConfiguration, names: &Names) -> Self {
        Self {
            device_name: names.devices.get(&row.device_id).cloned().unwrap_or_default(),
            told: since(row.told, row.told_at),
            fetched: since(row.fetched, row.fetched_at),
            answered: since(row.answered, row.answered_at),
            code: row.code,
        }
    }
}

fn since(version: i64, at: Option<rollout::Ms>) -> Option<Since> {
    let at = at.filter(|_| version > 0)?;
    Some(Since { version, at: time::text(at) })
}
