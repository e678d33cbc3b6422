//! Connections to either engine.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::sql::{Dialect, Inner, Tx};
use crate::{Clock, Config, Error, OpenError};

const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 10;
/// Prepared statements kept by each connection. Bulk statements come in a text per power of two.
const STATEMENTS: usize = 512;
pub(crate) const SQLITE_FILE: &str = "otaru.db";

#[derive(Clone)]
pub(crate) enum Pools {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

impl Pools {
    pub(crate) async fn connect(config: &Config, folder: &Path) -> Result<Self, OpenError> {
        if config.database == "sqlite" {
            return Ok(Self::sqlite(&folder.join(SQLITE_FILE)).await?);
        }
        let scheme = config.database.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(OpenError::Setting("it is neither".into()));
        }
        let options = PgConnectOptions::from_str(&config.database)
            .map_err(|e| OpenError::Setting(e.to_string()))?
            .application_name("otaru")
            .statement_cache_capacity(STATEMENTS);
        let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).connect_with(options).await;
        Ok(Self::Postgres(pool.map_err(Error::from)?))
    }

    async fn sqlite(file: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(STATEMENTS)
            .pragma("cache_size", "-65536")
            .pragma("wal_autocheckpoint", "10000");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        Ok(Self::Sqlite { writer, readers })
    }

    pub(crate) async fn begin(&self, clock: Clock) -> Result<Tx, Error> {
        Ok(match self {
            Self::Sqlite { writer, .. } => {
                Tx::new(Inner::Sqlite(writer.begin_with("begin immediate").await?), Dialect::Sqlite, clock)
            }
            Self::Postgres(pool) => Tx::new(Inner::Postgres(pool.begin().await?), Dialect::Postgres, clock),
        })
    }

    pub(crate) async fn read(&self, clock: Clock) -> Result<Tx, Error> {
        const SNAPSHOT: &str = "begin isolation level repeatable read read only";
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                Tx::new(Inner::Sqlite(readers.begin_with("begin").await?), Dialect::Sqlite, clock)
            }
            Self::Postgres(pool) => {
                Tx::new(Inner::Postgres(pool.begin_with(SNAPSHOT).await?), Dialect::Postgres, clock)
            }
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
