//! The one clock of a node, so that tests can turn it by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::Ms;
use tokio::sync::watch;

/// Tells the time and waits for it.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// Stands still until a test moves it.
    Manual(Arc<watch::Sender<Ms>>),
}

impl Clock {
    /// A clock that stands at `now`.
    pub fn manual(now: Ms) -> Self {
        Self::Manual(Arc::new(watch::Sender::new(now)))
    }

    /// Moves a manual clock on. The machine's does not move.
    pub fn advance(&self, by: Ms) {
        if let Self::Manual(clock) = self {
            clock.send_modify(|now| *now += by);
        }
    }

    /// Milliseconds since 1970 UTC.
    pub fn now(&self) -> Ms {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(clock) => *clock.borrow(),
        }
    }

    /// Returns once it is `at`.
    pub async fn reach(&self, at: Ms) {
        match self {
            Self::System => {
                let wait = u64::try_from(at - self.now()).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Self::Manual(clock) => {
                // The sender lives in this clock, so waiting cannot fail.
                let _ = clock.subscribe().wait_for(|now| *now >= at).await;
            }
        }
    }
}
