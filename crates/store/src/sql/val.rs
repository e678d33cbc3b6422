//! What a statement is given.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Blob,
}

/// A parameter. NULLs carry their type too: PostgreSQL settles a statement's types once for all calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Val {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    /// One parameter that is a list; PostgreSQL only.
    Ints(Vec<Option<i64>>),
    /// One parameter that is a list; PostgreSQL only.
    Texts(Vec<Option<String>>),
    /// One parameter that is a list; PostgreSQL only.
    Blobs(Vec<Option<Vec<u8>>>),
}

impl Val {
    pub(crate) const fn null(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Int(None),
            Kind::Text => Self::Text(None),
            Kind::Blob => Self::Blob(None),
        }
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Val {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<&str> for Val {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.into()))
    }
}

impl From<String> for Val {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&[u8]> for Val {
    fn from(value: &[u8]) -> Self {
        Self::Blob(Some(value.into()))
    }
}
