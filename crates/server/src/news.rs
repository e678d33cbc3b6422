//! Waking those who follow events.

use tokio::sync::watch;

/// What followers wait for: another commit with events, or the platform's end.
#[derive(Debug)]
pub(crate) struct Gong(watch::Sender<bool>);

/// Hears of commits.
#[derive(Clone, Debug)]
pub struct News(watch::Receiver<bool>);

impl Default for Gong {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Gong {
    /// Events were committed.
    pub(crate) fn strike(&self) {
        // Seen as a change although the value stays what it is.
        self.0.send_modify(|_| ());
    }

    /// The platform stops.
    pub(crate) fn end(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn listen(&self) -> News {
        News(self.0.subscribe())
    }
}

impl News {
    /// Returns once events may have been committed since the last call; false once the platform stops.
    pub async fn next(&mut self) -> bool {
        !self.is_over() && self.0.changed().await.is_ok() && !self.is_over()
    }

    /// Returns once the platform stops.
    pub async fn over(&mut self) {
        // Without the sender there is no platform either.
        let _ = self.0.wait_for(|over| *over).await;
    }

    fn is_over(&self) -> bool {
        *self.0.borrow()
    }
}
