//! Connections to either engine.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, Transaction};

use crate::sql::{Dialect, Inner, Tx};
use crate::{Clock, Config, Error, OpenError};

const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 10;
/// How long a connection is waited for, while PostgreSQL is away or all are taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a statement waits for what another connection holds, on either engine.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
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
            let file = folder.join(SQLITE_FILE);
            return Self::sqlite(&file)
                .await
                .map_err(|source| OpenError::Unreachable { what: file.display().to_string(), source });
        }
        let scheme = config.database.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(OpenError::Setting("it is neither".into()));
        }
        let options = PgConnectOptions::from_str(&config.database)
            .map_err(|e| OpenError::Setting(e.to_string()))?
            .application_name("otaru")
            .options([
                ("lock_timeout", LOCK_TIMEOUT.as_millis().to_string()),
                ("plan_cache_mode", "force_custom_plan".into()),
            ])
            .statement_cache_capacity(STATEMENTS);
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let pool = Self::postgres(options).await;
        pool.map_err(|e| OpenError::Unreachable { what: server, source: Error::from(e) })
    }

    async fn postgres(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        // A pool tries until its time is up, and then tells of the time instead of the cause.
        match tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await {
            Ok(connection) => connection?.close().await?,
            Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
        let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(PATIENCE);
        Ok(Self::Postgres(pool.connect_with(options).await?))
    }

    async fn sqlite(file: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(LOCK_TIMEOUT)
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
                Tx::new(Inner::Sqlite(begin_sqlite(writer, "begin immediate").await?), Dialect::Sqlite, clock)
            }
            Self::Postgres(pool) => Tx::new(Inner::Postgres(pool.begin().await?), Dialect::Postgres, clock),
        })
    }

    pub(crate) async fn read(&self, clock: Clock) -> Result<Tx, Error> {
        const SNAPSHOT: &str = "begin isolation level repeatable read read only";
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                Tx::new(Inner::Sqlite(begin_sqlite(readers, "begin").await?), Dialect::Sqlite, clock)
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

/// Begins a transaction. SQLite undoes one by itself when the disk is full or fails; the library then takes the
/// connection to be inside it for ever, so such a connection is replaced.
async fn begin_sqlite(
    pool: &SqlitePool,
    statement: &'static str,
) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    for _ in 0..pool.options().get_max_connections() {
        match pool.begin_with(statement).await {
            Err(sqlx::Error::InvalidSavePointStatement) => close_stuck(pool).await?,
            begun => return begun,
        }
    }
    pool.begin_with(statement).await
}

async fn close_stuck(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    // The rollback of a dropped transaction may still be on its way; this waits behind it.
    connection.ping().await?;
    if connection.is_in_transaction() {
        tracing::warn!("a connection to the database is replaced: SQLite broke its transaction off");
        connection.close().await?;
    }
    Ok(())
}
