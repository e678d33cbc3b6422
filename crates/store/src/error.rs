//! What can go wrong while speaking with the database.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The database library's own words, kept for the log.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed read, write or commit. After any error the transaction can only be dropped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with this unique key exists already.
    #[error("a row with this key exists already")]
    Taken(#[source] Source),
    /// The row is referred to by another, or refers to none.
    #[error("the row is still referred to, or refers to a row that is not there")]
    Referred(#[source] Source),
    /// Another transaction was in the way: the same transaction may succeed when begun anew.
    #[error("another transaction was in the way; try again")]
    Busy(#[source] Source),
    /// The database cannot be reached. After a commit the outcome is unknown.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Source),
    /// There is no room on the disk under the database: nothing was written.
    #[error("the disk under the database is full")]
    Full(#[source] Source),
    /// All 2^32 stream numbers have been given.
    #[error("all stream numbers have been given")]
    StreamsUsedUp,
    /// A stored value is none this version knows.
    #[error("column {column} of the database holds a value this version cannot read: {what}")]
    Unreadable {
        /// Its place in the statement, from 0.
        column: usize,
        /// What was wrong.
        what: String,
    },
    /// Any other refusal of the database.
    #[error("the database refused a statement")]
    Database(#[source] Source),
}

/// An error with all that led to it.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut causes = std::iter::successors(self.0.source(), |error| error.source());
        causes.try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// How often the database failed, since the start.
#[derive(Debug, Default)]
pub struct ErrorCounts {
    busy: AtomicU64,
    unavailable: AtomicU64,
    full: AtomicU64,
    refused: AtomicU64,
}

impl ErrorCounts {
    /// Counts a failure. That a key is taken or a row missing is an answer, not a failure.
    pub(crate) fn note(&self, error: &Error) {
        let counter = match error {
            Error::Taken(_) | Error::Referred(_) => return,
            Error::Busy(_) => &self.busy,
            Error::Unavailable(_) => &self.unavailable,
            Error::Full(_) => &self.full,
            Error::StreamsUsedUp | Error::Unreadable { .. } | Error::Database(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Each kind of failure with its count.
    pub fn read(&self) -> [(&'static str, u64); 4] {
        let Self { busy, unavailable, full, refused } = self;
        [("busy", busy), ("unavailable", unavailable), ("full", full), ("refused", refused)]
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }
}

/// `serialization_failure`, `deadlock_detected`, `lock_not_available`, `SQLITE_BUSY` and its two extended
/// codes, `SQLITE_LOCKED`.
const BUSY_CODES: [&str; 7] = ["40001", "40P01", "55P03", "5", "261", "517", "6"];
/// `disk_full`, `SQLITE_FULL`, and `SQLITE_IOERR_SHMSIZE`: no room for the index of the log, which is made at
/// the start.
const FULL_CODES: [&str; 3] = ["53100", "13", "4874"];
/// PostgreSQL going down or coming up, or out of connections.
const AWAY_CODES: [&str; 4] = ["57P01", "57P02", "57P03", "53300"];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match &error {
            sqlx::Error::Database(e) => match (e.kind(), e.code().as_deref()) {
                (ErrorKind::UniqueViolation, _) => Self::Taken(error.into()),
                (ErrorKind::ForeignKeyViolation, _) => Self::Referred(error.into()),
                (_, Some(code)) if BUSY_CODES.contains(&code) => Self::Busy(error.into()),
                (_, Some(code)) if FULL_CODES.contains(&code) => Self::Full(error.into()),
                (_, Some(code)) if AWAY_CODES.contains(&code) || is_sqlite_io(code) => {
                    Self::Unavailable(error.into())
                }
                _ => Self::Database(error.into()),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.into()),
            _ => Self::Database(error.into()),
        }
    }
}

/// `SQLITE_IOERR` in all its kinds: the disk fails, whatever is written. PostgreSQL's codes are longer.
fn is_sqlite_io(code: &str) -> bool {
    const IOERR: u32 = 10;
    code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == IOERR)
}
