use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time;

/// A part of a device with a version of its own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// The name that devices report.
    #[schema(example = "MCU")]
    pub name: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Motor controller")]
    pub alias: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
}

/// A module to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewModule {
    /// The name that devices report.
    #[schema(example = "MCU")]
    pub name: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Motor controller")]
    pub alias: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl From<server::Module> for Module {
    fn from(row: server::Module) -> Self {
        Self {
            name: row.name,
            alias: row.alias,
            description: row.description,
            created_at: time::text(row.created_at),
        }
    }
}

impl From<NewModule> for server::NewModule {
    fn from(new: NewModule) -> Self {
        Self { name: new.name, alias: new.alias, description: new.description }
    }
}
