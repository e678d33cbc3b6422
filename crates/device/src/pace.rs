//! When to report progress: the first and 100 at once, else at most every 3 s (docs/protocol.md 5.5).

use crate::window::Millis;

/// The least time between two reports of progress, in milliseconds.
const INTERVAL: Millis = 3_000;

/// Remembers the last report of progress.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    last: Option<(Millis, u8)>,
}

impl Pace {
    /// Whether `percent` is to be reported now; if so it counts as reported.
    pub(crate) fn report(&mut self, now: Millis, percent: u8) -> bool {
        let due = self.wake(percent).is_some_and(|at| at <= now);
        if due {
            self.last = Some((now, percent));
        }
        due
    }

    /// When `percent` may be reported; `None` if it has been.
    pub(crate) fn wake(&self, percent: u8) -> Option<Millis> {
        match self.last {
            None => Some(0),
            Some((_, reported)) if reported == percent => None,
            Some((at, _)) if percent == 100 => Some(at),
            Some((at, _)) => Some(at + INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_at_once_else_every_three_seconds_if_changed() {
        let mut pace = Pace::default();
        assert!(pace.report(1_000, 0));
        assert!(!pace.report(3_999, 7));
        assert_eq!(pace.wake(7), Some(4_000));
        assert!(pace.report(4_000, 9));
        assert_eq!(pace.wake(9), None);
        assert!(!pace.report(90_000, 9));
        assert!(pace.report(90_000, 10));
        assert!(pace.report(90_001, 100));
    }
}
