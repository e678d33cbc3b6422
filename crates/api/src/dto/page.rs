use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A part of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

/// Which part of a list is wanted, and in which order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderedQuery {
    /// Which come first; `asc`, the oldest, if absent. A cursor belongs to one of the two.
    #[param(inline)]
    pub order: Option<Order>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// Most items of the page: 1 to 200, 50 if absent.
    pub limit: Option<u32>,
}

/// Which of a list come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The oldest.
    #[default]
    Asc,
    /// The newest.
    Desc,
}

impl From<Order> for server::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Asc => Self::Oldest,
            Order::Desc => Self::Newest,
        }
    }
}
