//! Whether the platform can do its work.

use std::future::Future;
use std::time::Duration;

use store::Error;

use crate::Server;

/// How long the database may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a report handed over now may take to be decided upon.
const DECISION: Duration = Duration::from_secs(5);

/// Why the platform cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// The database is silent.
    #[error("the database did not answer within {} s", ANSWER.as_secs())]
    Silent,
    /// The database refuses.
    #[error("the database cannot be read: {0}")]
    Database(#[from] Error),
    /// Reports pile up.
    #[error("reports of devices wait longer than {} s to be written; {waiting} are waiting", DECISION.as_secs())]
    Stuck {
        /// How many.
        waiting: usize,
    },
    /// Nothing is written.
    #[error("nothing can be written to the database; the log says why")]
    NotWritten,
}

impl Server {
    /// Whether the database answers, what is handed to the committer is decided upon, both in time, and
    /// nothing has failed to be written in the last seconds: as long, devices are not let in.
    pub async fn ready(&self) -> Result<(), Unready> {
        tokio::try_join!(self.answers(), self.decides())?;
        if self.core.takes_logins() { Ok(()) } else { Err(Unready::NotWritten) }
    }

    async fn answers(&self) -> Result<(), Unready> {
        let read = async {
            let mut tx = self.core.store.read().await?;
            store::events::last(&mut tx).await
        };
        Ok(in_time(ANSWER, read).await.ok_or(Unready::Silent)?.map(drop)?)
    }

    /// A mark goes through the queue like a report, up to the end of a transaction.
    async fn decides(&self) -> Result<(), Unready> {
        let waiting = self.queue.waiting();
        let decided = in_time(DECISION, self.queue.flush()).await.ok_or(Unready::Stuck { waiting })?;
        decided.map_err(|_| Unready::NotWritten)
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
