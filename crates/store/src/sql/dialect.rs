//! All that SQLite and PostgreSQL do not share.

use std::borrow::Cow;

use super::{Kind, Val};
use crate::record::Column;

/// Which engine a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Numbers the parameters for PostgreSQL. SQLite keeps bare `?`: looking up a numbered one costs the
    /// library a linear search at each bind.
    pub(crate) fn text(self, sql: Cow<'static, str>) -> Cow<'static, str> {
        if self == Self::Sqlite || !sql.contains('?') {
            return sql;
        }
        let mut out = String::with_capacity(sql.len() + 32);
        for (n, part) in sql.split('?').enumerate() {
            if n > 0 {
                out.push('$');
                out.push_str(&n.to_string());
            }
            out.push_str(part);
        }
        out.into()
    }

    /// Table definitions. `text` compares bytewise on both.
    pub(crate) fn ddl(self, sql: &'static str) -> Cow<'static, str> {
        if self == Self::Sqlite {
            return sql.into();
        }
        let sql = sql.replace(") strict, without rowid;", ");").replace(") strict;", ");");
        let mut out = String::with_capacity(sql.len() + 1024);
        for line in sql.lines().filter(|line| !line.trim_start().starts_with("--")) {
            for (n, word) in line.split(' ').enumerate() {
                if n > 0 {
                    out.push(' ');
                }
                out.push_str(&type_word(word));
            }
            out.push('\n');
        }
        out.into()
    }

    /// Ends a `select .. order by key` whose rows are about to be changed. SQLite has one writer.
    pub(crate) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " for update",
        }
    }

    /// As [`Self::for_update`], passing over rows another transaction holds.
    pub(crate) const fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " for update skip locked",
        }
    }

    /// `(in ..)` a list of numbers, and its parameters. PostgreSQL takes one array; SQLite gets a list
    /// filled up to a power of two, so that few statement texts serve all lengths.
    pub(crate) fn any(self, ids: &[i64]) -> (String, Vec<Val>) {
        match (self, ids.last()) {
            (Self::Postgres, _) => {
                ("= any(?)".into(), vec![Val::Ints(ids.iter().copied().map(Some).collect())])
            }
            (Self::Sqlite, None) => ("in (null)".into(), vec![]),
            (Self::Sqlite, Some(last)) => {
                let size = ids.len().next_power_of_two();
                let filled = ids.iter().chain(std::iter::repeat(last)).take(size);
                (format!("in ({})", marks(size)), filled.map(|id| (*id).into()).collect())
            }
        }
    }

    /// Rows as a table expression, and its parameters. PostgreSQL takes an array a column; SQLite gets a
    /// list filled up with rows of NULL to a power of two: statements on it say `where .. is not null`.
    pub(crate) fn values(self, columns: &[Column], rows: Vec<Vec<Val>>) -> (String, Vec<Val>) {
        match self {
            Self::Postgres => {
                let casts = columns.iter().map(|c| array_cast(c.kind)).collect::<Vec<_>>().join(",");
                (format!("select * from unnest({casts})"), transpose(columns, rows))
            }
            Self::Sqlite => {
                let size = rows.len().next_power_of_two();
                let row = format!("({})", marks(columns.len()));
                let text = format!("values {}", vec![row.as_str(); size].join(","));
                let filled = rows.len();
                let mut args: Vec<Val> = Vec::with_capacity(size * columns.len());
                args.extend(rows.into_iter().flatten());
                for _ in filled..size {
                    args.extend(columns.iter().map(|c| Val::null(c.kind)));
                }
                (text, args)
            }
        }
    }

    /// Rows that one statement takes. SQLite allows 32 766 parameters, so a row may have 63 columns.
    pub(crate) const fn max_rows(self) -> usize {
        match self {
            Self::Sqlite => 512,
            Self::Postgres => 8192,
        }
    }

    /// That a column fits a pattern of letters, `*` and `?`, and the pattern as the engine writes it.
    pub(crate) fn like(self, column: &str, pattern: &str) -> (String, String) {
        match self {
            Self::Sqlite => (format!("{column} glob ?"), pattern.into()),
            Self::Postgres => {
                let pattern = pattern.replace('_', "\\_").replace('*', "%").replace('?', "_");
                (format!("{column} like ?"), pattern)
            }
        }
    }

    /// The database's own clock in milliseconds, if it is asked for the time.
    pub(crate) const fn clock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"),
        }
    }

    /// Counts tables of ours or of others.
    pub(crate) const fn count_tables(self) -> &'static str {
        match self {
            Self::Sqlite => "select count(*) from sqlite_master where type = 'table'",
            Self::Postgres => {
                "select count(*) from information_schema.tables where table_schema = current_schema()"
            }
        }
    }

    /// Whether the named table exists.
    pub(crate) const fn has_table(self) -> &'static str {
        match self {
            Self::Sqlite => "select count(*) from sqlite_master where type = 'table' and name = ?",
            Self::Postgres => {
                "select count(*) from information_schema.tables \
                 where table_schema = current_schema() and table_name = ?"
            }
        }
    }
}

fn marks(n: usize) -> String {
    vec!["?"; n].join(",")
}

const fn array_cast(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "cast(? as bigint[])",
        Kind::Text => "cast(? as text[])",
        Kind::Blob => "cast(? as bytea[])",
    }
}

fn type_word(word: &str) -> Cow<'_, str> {
    let bare = word.trim_end_matches([',', ';']);
    let other = match bare {
        "integer" => "bigint",
        "text" => "text collate \"C\"",
        "blob" => "bytea",
        _ => return word.into(),
    };
    format!("{other}{}", &word[bare.len()..]).into()
}

fn transpose(columns: &[Column], rows: Vec<Vec<Val>>) -> Vec<Val> {
    let empty = |c: &Column| match c.kind {
        Kind::Int => Val::Ints(Vec::with_capacity(rows.len())),
        Kind::Text => Val::Texts(Vec::with_capacity(rows.len())),
        Kind::Blob => Val::Blobs(Vec::with_capacity(rows.len())),
    };
    let mut out: Vec<Val> = columns.iter().map(empty).collect();
    for row in rows {
        for (list, value) in out.iter_mut().zip(row) {
            match (list, value) {
                (Val::Ints(list), Val::Int(v)) => list.push(v),
                (Val::Texts(list), Val::Text(v)) => list.push(v),
                (Val::Blobs(list), Val::Blob(v)) => list.push(v),
                _ => unreachable!("a row's values are of its columns' kinds"),
            }
        }
    }
    out
}
