//! What a statement gives back.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::{Field, Kind, Val};
use crate::Error;

pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! get {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(r) => r.try_get($column),
            Row::Postgres(r) => r.try_get($column),
        }
        .map_err(|e| Error::Unreadable { column: $column, what: e.to_string() })
    };
}

impl Row {
    pub(crate) fn val(&self, column: usize, kind: Kind) -> Result<Val, Error> {
        Ok(match kind {
            Kind::Int => Val::Int(get!(self, column)?),
            Kind::Text => Val::Text(get!(self, column)?),
            Kind::Blob => Val::Blob(get!(self, column)?),
        })
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
