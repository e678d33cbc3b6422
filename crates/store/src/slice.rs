//! A page of a list, and how a removal went.

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
