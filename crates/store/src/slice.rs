//! A page of a list, and how a removal went.

use rollout::Id;

use crate::sql::Val;

/// Which of a list come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The oldest.
    #[default]
    Oldest,
    /// The newest.
    Newest,
}

impl Order {
    /// The end of a condition that selects up to one row more than `limit` after `after`, by a column of numbers that
    /// grow with time; and its arguments.
    pub(crate) fn part(self, column: &str, after: Option<Id>, limit: u32) -> (String, [Val; 2]) {
        let (than, way, begin) = match self {
            Self::Oldest => (">", "", Id::MIN),
            Self::Newest => ("<", " desc", Id::MAX),
        };
        let part = format!("{column} {than} ? order by {column}{way} limit ?");
        (part, [after.unwrap_or(begin).into(), (i64::from(limit) + 1).into()])
    }
}

/// Some of a list, and where the rest begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T, C> {
    /// At most as many as asked for.
    pub items: Vec<T>,
    /// To be passed as `after` for those that follow; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Slice<T, C> {
    /// From up to one item more than was asked for.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// How a removal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The row is gone.
    Removed,
    /// There was none.
    Missing,
    /// Something still needs it; nothing was removed.
    InUse,
}
