//! One transaction of either engine.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};

use super::row::Packed;
use super::{Dialect, Row, Val};
use crate::{Clock, Error, ErrorCounts};

/// A transaction. Dropping it undoes it.
pub struct Tx {
    inner: Inner,
    pub(crate) dialect: Dialect,
    pub(crate) clock: Clock,
    /// Where its failures are counted.
    errors: Arc<ErrorCounts>,
    /// The statements run, once a test asks for them.
    #[cfg(test)]
    pub(crate) recorded: Option<Vec<(Cow<'static, str>, Vec<Val>)>>,
}

pub(crate) enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

macro_rules! bind_all {
    ($query:expr, $args:expr, $val:ident => $list:expr) => {{
        let mut query = $query;
        for value in $args {
            query = match value {
                Val::Int(v) => query.bind(v),
                Val::Text(v) => query.bind(v),
                Val::Blob(v) => query.bind(v),
                $val => $list(query, $val),
            };
        }
        query
    }};
}

type Lite<'q> = Query<'q, Sqlite, SqliteArguments>;
type Pg<'q> = Query<'q, Postgres, PgArguments>;

fn lite<'q>(sql: Cow<'static, str>, args: Vec<Val>) -> Lite<'q> {
    bind_all!(sqlx::query(AssertSqlSafe(sql)), args, _list => |_: Lite<'q>, _| -> Lite<'q> {
        unreachable!("lists are for PostgreSQL")
    })
}

fn pg<'q>(sql: Cow<'static, str>, args: Vec<Val>) -> Pg<'q> {
    bind_all!(sqlx::query(AssertSqlSafe(sql)), args, list => |query: Pg<'q>, list| match list {
        Val::Ints(v) => query.bind(v),
        Val::Texts(v) => query.bind(v),
        Val::Blobs(v) => query.bind(v),
        _ => unreachable!("single values are bound above"),
    })
}

impl Tx {
    pub(crate) fn new(inner: Inner, dialect: Dialect, clock: Clock) -> Self {
        Self {
            inner,
            dialect,
            clock,
            errors: Arc::default(),
            #[cfg(test)]
            recorded: None,
        }
    }

    /// Counts its failures among others from now on.
    pub(crate) fn count_in(mut self, errors: &Arc<ErrorCounts>) -> Self {
        self.errors = Arc::clone(errors);
        self
    }

    fn prepare(&mut self, sql: Cow<'static, str>, _args: &[Val]) -> Cow<'static, str> {
        #[cfg(test)]
        if let Some(recorded) = &mut self.recorded {
            recorded.push((sql.clone(), _args.to_vec()));
        }
        self.dialect.text(sql)
    }

    /// Runs a statement with `?` for parameters. Gives the number of rows touched.
    pub(crate) async fn exec(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        args: Vec<Val>,
    ) -> Result<u64, Error> {
        let sql = self.prepare(sql.into(), &args);
        let done = match &mut self.inner {
            Inner::Sqlite(tx) => lite(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
            Inner::Postgres(tx) => pg(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
        };
        noted(&self.errors, done)
    }

    /// Runs a statement with `?` for parameters. Gives all its rows: say `limit`.
    pub(crate) async fn rows(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        args: Vec<Val>,
    ) -> Result<Vec<Row>, Error> {
        let sql = self.prepare(sql.into(), &args);
        let found = match &mut self.inner {
            Inner::Sqlite(tx) => {
                let rows = lite(sql, args).fetch_all(&mut **tx).await;
                rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            Inner::Postgres(tx) => {
                let rows = pg(sql, args).fetch_all(&mut **tx).await;
                rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        };
        noted(&self.errors, found)
    }

    /// As [`Self::rows`], for many rows without blobs of the columns `list`. SQLite packs them into one.
    pub(crate) async fn packed_rows(
        &mut self,
        list: &str,
        select: String,
        args: Vec<Val>,
    ) -> Result<Vec<Row>, Error> {
        if self.dialect == Dialect::Postgres {
            return self.rows(select, args).await;
        }
        let sql = format!("select json_group_array(json_array({list})) from ({select})");
        let Some(row) = self.row(sql, args).await? else { return Ok(vec![]) };
        let packed: Vec<Vec<Packed>> = serde_json::from_str(&row.get::<String>(0)?)
            .map_err(|e| Error::Unreadable { column: 0, what: e.to_string() })?;
        Ok(packed.into_iter().map(Row::Unpacked).collect())
    }

    /// The first row, if any.
    pub(crate) async fn row(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        args: Vec<Val>,
    ) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Several statements without parameters.
    pub(crate) async fn script(&mut self, sql: Cow<'static, str>) -> Result<(), Error> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        match &mut self.inner {
            Inner::Sqlite(tx) => script.execute(&mut **tx).await.map(drop)?,
            Inner::Postgres(tx) => script.execute(&mut **tx).await.map(drop)?,
        }
        Ok(())
    }

    /// Makes everything done in it last. After [`Error::Unavailable`] nobody knows whether it does.
    pub async fn commit(self) -> Result<(), Error> {
        let done = match self.inner {
            Inner::Sqlite(tx) => tx.commit().await,
            Inner::Postgres(tx) => tx.commit().await,
        };
        noted(&self.errors, done)
    }

    /// Undoes everything and waits until it is undone; dropping does it a little later.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.inner {
            Inner::Sqlite(tx) => tx.rollback().await?,
            Inner::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

fn noted<T>(errors: &ErrorCounts, result: Result<T, sqlx::Error>) -> Result<T, Error> {
    result.map_err(Error::from).inspect_err(|error| errors.note(error))
}
