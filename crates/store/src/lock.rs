//! One process at a time serves a data folder and a database.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::pools::Pools;
use crate::{Error, OpenError};

/// Held as long as the value lives; the system lets go of it however the process ends.
pub(crate) struct FolderLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl FolderLock {
    /// `None` if another process holds it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

/// The number of our advisory lock in a PostgreSQL database: `otaru` in ASCII.
const ADVISORY: i64 = 0x006f_7461_7275;
/// How often a lock that is held is asked for again: the server may not have noticed yet that a killed
/// process is gone.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that holds the advisory lock of a PostgreSQL database, and does nothing else. The server
/// lets go of it however the process ends; a server that restarts does too.
pub(crate) struct DatabaseLock(PgConnection);

impl DatabaseLock {
    /// `None` for SQLite, which lies in the locked folder.
    pub(crate) async fn take(pools: &Pools) -> Result<Option<Self>, OpenError> {
        let Pools::Postgres(pool) = pools else { return Ok(None) };
        let mut connection =
            PgConnection::connect_with(&pool.connect_options()).await.map_err(Error::from)?;
        let sql = format!("select pg_try_advisory_lock({ADVISORY})");
        for _ in 0..TRIES {
            let taken = sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_one(&mut connection).await;
            if taken.map_err(Error::from)? {
                return Ok(Some(Self(connection)));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(OpenError::DatabaseLocked)
    }

    pub(crate) async fn release(self) {
        // The server sees a broken connection as well as a closed one.
        let _ = self.0.close().await;
    }
}
