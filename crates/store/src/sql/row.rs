//! What a statement gives back.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::{Field, Kind, Val};
use crate::Error;

pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    /// Out of one JSON text: the library hands SQLite's rows over value by value, each behind a lock.
    Unpacked(Vec<Packed>),
}

/// A value of such a text.
#[derive(Clone, Debug)]
pub(crate) enum Packed {
    Null,
    Int(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Packed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or null")
            }

            fn visit_unit<E>(self) -> Result<Packed, E> {
                Ok(Packed::Null)
            }

            fn visit_i64<E>(self, n: i64) -> Result<Packed, E> {
                Ok(Packed::Int(n))
            }

            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Packed, E> {
                i64::try_from(n).map(Packed::Int).map_err(E::custom)
            }

            fn visit_str<E>(self, text: &str) -> Result<Packed, E> {
                Ok(Packed::Text(text.into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

macro_rules! get {
    ($row:expr, $column:expr, $kind:expr) => {
        match $kind {
            Kind::Int => $row.try_get($column).map(Val::Int),
            Kind::Text => $row.try_get($column).map(Val::Text),
            Kind::Blob => $row.try_get($column).map(Val::Blob),
        }
        .map_err(|e| Error::Unreadable { column: $column, what: e.to_string() })
    };
}

impl Row {
    pub(crate) fn val(&self, column: usize, kind: Kind) -> Result<Val, Error> {
        match self {
            Self::Sqlite(row) => get!(row, column, kind),
            Self::Postgres(row) => get!(row, column, kind),
            Self::Unpacked(values) => match (values.get(column), kind) {
                (Some(Packed::Null), kind) => Ok(Val::null(kind)),
                (Some(Packed::Int(n)), Kind::Int) => Ok((*n).into()),
                (Some(Packed::Text(text)), Kind::Text) => Ok(text.as_str().into()),
                (value, _) => {
                    Err(Error::Unreadable { column, what: format!("{value:?} instead of {kind:?}") })
                }
            },
        }
    }

    pub(crate) fn get<T: Field>(&self, column: usize) -> Result<T, Error> {
        let value = self.val(column, T::KIND)?;
        T::from_val(value).map_err(|what| Error::Unreadable { column, what })
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields { row: self, next: 0 }
    }
}

/// Reads a row's columns from left to right.
pub(crate) struct Fields<'a> {
    row: &'a Row,
    next: usize,
}

impl Fields<'_> {
    pub(crate) fn next<T: Field>(&mut self) -> Result<T, Error> {
        self.next += 1;
        self.row.get(self.next - 1)
    }
}
