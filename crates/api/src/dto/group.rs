use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Expected;
use crate::{Problem, time};

/// Devices under one name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its name, unique in the product.
    #[schema(example = "canary")]
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The filter that says who is in it (docs/filters.md); absent if devices are added to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "tag.region = \"eu\"")]
    pub filter: Option<String>,
    /// How many devices were added to it; absent with a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 120)]
    pub members: Option<i64>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    pub created_at: String,
}

/// A group to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewGroup {
    /// 1 to 64 characters, unique in the product.
    #[schema(example = "canary")]
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who is in it (docs/filters.md), at any time anew; without it devices are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "tag.region = \"eu\"")]
    pub filter: Option<String>,
}

/// What to change in a group; absent members stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupChange {
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who is in it, if it has a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What it was like when the change was thought of: if one of these members is otherwise now, nothing is changed and
    /// the answer is 409 `changedMeanwhile` with `now`, what those are.
    #[serde(default, skip_serializing_if = "Expected::is_empty")]
    pub expected: Expected,
}

/// Devices to add to a group, or to take out of it: exactly one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Members {
    /// These.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_names: Option<Vec<String>>,
    /// Those that the filter means now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl From<server::Group> for Group {
    fn from(row: server::Group) -> Self {
        Self {
            members: row.filter.is_none().then_some(row.members),
            name: row.name,
            description: row.description,
            filter: row.filter,
            created_at: time::text(row.created_at),
        }
    }
}

impl From<NewGroup> for server::NewGroup {
    fn from(new: NewGroup) -> Self {
        Self { name: new.name, description: new.description, filter: new.filter }
    }
}

impl From<GroupChange> for server::GroupChange {
    fn from(change: GroupChange) -> Self {
        Self { description: change.description, filter: change.filter }
    }
}

impl TryFrom<Members> for server::Members {
    type Error = Problem;

    fn try_from(members: Members) -> Result<Self, Problem> {
        match (members.device_names, members.filter) {
            (Some(names), None) => Ok(Self::Named((1..).zip(names).collect())),
            (None, Some(filter)) => Ok(Self::Meant(filter)),
            _ => {
                let detail = "give exactly one of deviceNames and filter";
                Err(Problem::unprocessable("membersContradict", detail)
                    .with("fields", ["deviceNames", "filter"]))
            }
        }
    }
}
