//! When a session has been silent, or deaf, for too long.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::Closed;

/// Far enough to be never.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The deadlines of one session behind one timer, which is moved only when it fires or is late.
pub(crate) struct Clock {
    timer: Pin<Box<Sleep>>,
    /// Longest silence allowed; none without keepalive.
    silence: Option<Duration>,
    heard: Instant,
    write_timeout: Duration,
    /// Since when waiting bytes have not moved.
    stalled: Option<Instant>,
}

impl Clock {
    /// `keep_alive` in seconds, 0 = none.
    pub(crate) fn new(keep_alive: u16, write_timeout: Duration) -> Self {
        let now = Instant::now();
        let silence = (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1500));
        let mut clock = Self {
            timer: Box::pin(sleep_until(now + FAR)),
            silence,
            heard: now,
            write_timeout,
            stalled: None,
        };
        clock.arm();
        clock
    }

    /// Something came from the device, or was not let in although it may have come.
    pub(crate) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Bytes wait for the device or do not; `moved` says that some of them just went.
    pub(crate) fn waiting(&mut self, bytes_wait: bool, moved: bool) {
        if !bytes_wait {
            self.stalled = None;
        } else if moved || self.stalled.is_none() {
            self.stalled = Some(Instant::now());
            self.arm();
        }
    }

    /// Waits until a deadline may have passed; [`Clock::expired`] tells.
    pub(crate) async fn tick(&mut self) {
        self.timer.as_mut().await;
    }

    /// Which deadline has passed. Sets the timer for the next one.
    pub(crate) fn expired(&mut self) -> Option<Closed> {
        let now = Instant::now();
        if self.silence.is_some_and(|silence| now >= self.heard + silence) {
            return Some(Closed::KeepAlive);
        }
        if self.stalled.is_some_and(|since| now >= since + self.write_timeout) {
            return Some(Closed::NotReading);
        }
        self.timer.as_mut().reset(now + FAR);
        self.arm();
        None
    }

    /// Brings the timer forward to the next deadline; never back, so that traffic costs nothing.
    fn arm(&mut self) {
        let silence = self.silence.map(|silence| self.heard + silence);
        let stalled = self.stalled.map(|since| since + self.write_timeout);
        if let Some(next) = silence.into_iter().chain(stalled).min()
            && next < self.timer.deadline()
        {
            self.timer.as_mut().reset(next);
        }
    }
}
