//! The record that is stored and the one that should be.

use crate::record::Record;
use crate::window::Millis;

/// Brings the stored record to what is wanted, one save at a time: what becomes wanted while a save is under way
/// waits, so that a slow store costs fewer saves and never holds up the download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Journal {
    pub(crate) wanted: Option<Record>,
    stored: Stored,
    /// No record is saved before; taking one away is never put off.
    not_before: Millis,
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Known(Option<Record>),
    Saving(Option<Record>),
    /// A save failed: either record may be found at the next start.
    Unknown,
    /// As `Unknown`, but another save is worth trying.
    Retry,
}

impl Journal {
    pub(crate) fn new(stored: Option<Record>) -> Self {
        Self { wanted: stored, stored: Stored::Known(stored), not_before: 0 }
    }

    /// The record to save now, if any; the next one follows after `interval` milliseconds at the earliest.
    pub(crate) fn save(&mut self, now: Millis, interval: u32) -> Option<Option<Record>> {
        if self.wake().is_none_or(|at| at > now) {
            return None;
        }
        self.not_before = now + Millis::from(interval);
        self.stored = Stored::Saving(self.wanted);
        Some(self.wanted)
    }

    /// What is wanted is saved without waiting.
    pub(crate) fn hurry(&mut self) {
        self.not_before = 0;
    }

    /// When [`Journal::save`] has something to do.
    pub(crate) fn wake(&self) -> Option<Millis> {
        let due = match self.stored {
            Stored::Known(record) => record != self.wanted,
            Stored::Retry => true,
            Stored::Saving(_) | Stored::Unknown => false,
        };
        let at = if self.wanted.is_none() { 0 } else { self.not_before };
        due.then_some(at)
    }

    /// The save under way is done.
    pub(crate) fn done(&mut self) {
        if let Stored::Saving(record) = self.stored {
            self.stored = Stored::Known(record);
        }
    }

    /// The save under way failed: no other is tried until [`Journal::retry`].
    pub(crate) fn broke(&mut self) {
        self.stored = Stored::Unknown;
    }

    /// Saves are tried again.
    pub(crate) fn retry(&mut self) {
        if let Stored::Unknown = self.stored {
            self.stored = Stored::Retry;
        }
    }

    /// Whether nothing is left to save, or saving is not possible.
    pub(crate) fn is_settled(&self) -> bool {
        match self.stored {
            Stored::Known(record) => record == self.wanted,
            Stored::Unknown => true,
            Stored::Saving(_) | Stored::Retry => false,
        }
    }

    /// Whether no record is stored that could speak for bytes in the slot.
    pub(crate) fn is_clear(&self) -> bool {
        matches!(self.stored, Stored::Known(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Fingerprint;

    fn record(stored: u32) -> Option<Record> {
        Some(Record { file: Fingerprint::of("m", "v", 9, &[]), stored })
    }

    #[test]
    fn one_save_at_a_time_and_the_latest_wins() {
        let mut journal = Journal::new(None);
        assert!(journal.is_clear() && journal.save(0, 0).is_none());
        journal.wanted = record(1);
        assert_eq!(journal.save(0, 0), Some(record(1)));
        journal.wanted = record(2);
        journal.wanted = record(3);
        assert_eq!(journal.save(0, 0), None);
        journal.done();
        assert!(!journal.is_settled());
        assert_eq!(journal.save(0, 0), Some(record(3)));
        journal.done();
        assert!(journal.is_settled() && !journal.is_clear());
    }

    #[test]
    fn records_keep_their_distance_but_go_at_once() {
        let mut journal = Journal::new(None);
        journal.wanted = record(1);
        assert!(journal.save(1_000, 500).is_some());
        journal.done();
        journal.wanted = record(2);
        assert_eq!((journal.save(1_499, 500), journal.wake()), (None, Some(1_500)));
        assert!(journal.save(1_500, 500).is_some());
        journal.done();
        journal.wanted = None;
        assert_eq!(journal.save(1_501, 500), Some(None));
    }

    #[test]
    fn after_a_failed_save_even_the_same_record_is_saved_again() {
        let mut journal = Journal::new(None);
        journal.wanted = record(1);
        journal.save(0, 0);
        journal.broke();
        journal.wanted = None;
        assert_eq!(journal.save(0, 0), None);
        assert!(journal.is_settled() && !journal.is_clear());
        journal.retry();
        assert_eq!(journal.save(0, 0), Some(None));
        journal.done();
        assert!(journal.is_clear());
    }
}
