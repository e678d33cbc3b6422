//! A file that the application fetches over HTTP, from its start to its end (docs/protocol.md 7).

use crate::updater::spread;
use crate::window::Millis;

/// Milliseconds before the first repeat of a fetch that failed; then twice as many, four times, ...
const FIRST_WAIT: Millis = 1_000;

/// How many fetches may fail one after the other, without a byte stored, before the download does.
const FAILURES: u8 = 6;

/// How far the file has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    stored: u32,
    end: u32,
    /// Bytes of the piece that is being written at `stored`.
    writing: u32,
    phase: Phase,
    failures: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Due { at: Millis },
    UnderWay { id: u32 },
}

/// A fetch to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub(crate) id: u32,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

impl Stream {
    pub(crate) fn new(from: u32, end: u32) -> Self {
        Self { stored: from, end, writing: 0, phase: Phase::Due { at: 0 }, failures: 0 }
    }

    /// How many bytes from the start of the file are stored.
    pub(crate) fn stored(&self) -> u32 {
        self.stored
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.stored == self.end
    }

    /// When there is a fetch to begin.
    pub(crate) fn wake(&self) -> Option<Millis> {
        match self.phase {
            Phase::Due { at } if self.writing == 0 => Some(at),
            _ => None,
        }
    }

    /// The fetch to begin now, if any; `id` is what it is called.
    pub(crate) fn fetch(&mut self, now: Millis, id: u32) -> Option<Fetch> {
        self.wake().filter(|at| *at <= now)?;
        self.phase = Phase::UnderWay { id };
        Some(Fetch { id, offset: self.stored, len: self.end - self.stored })
    }

    /// Whether this piece is the next of the fetch under way: then it is to be written.
    pub(crate) fn arrived(&mut self, id: u32, offset: u32, len: usize) -> bool {
        let left = self.end - self.stored;
        let fits = u32::try_from(len).is_ok_and(|len| (1..=left).contains(&len));
        let wanted = fits && self.is_under_way(id) && self.writing == 0 && offset == self.stored;
        if wanted {
            self.writing = len as u32;
        }
        wanted
    }

    /// The piece at this offset is stored.
    pub(crate) fn written(&mut self, offset: u32) {
        if offset == self.stored {
            self.stored += core::mem::take(&mut self.writing);
            self.failures = 0;
        }
    }

    pub(crate) fn is_under_way(&self, id: u32) -> bool {
        self.phase == Phase::UnderWay { id }
    }

    /// The fetch under way ended early: it is begun again later, and up to half as long again, by `chance` of 256.
    /// `false` if it is not worth it any more.
    pub(crate) fn failed(&mut self, now: Millis, chance: u8) -> bool {
        let wait = FIRST_WAIT << self.failures;
        self.failures += 1;
        self.phase = Phase::Due { at: now + spread(wait, chance) };
        self.failures < FAILURES
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_piece_of_the_fetch_under_way() {
        let mut stream = Stream::new(100, 300);
        assert!(!stream.arrived(1, 100, 50), "nothing was asked for");
        assert_eq!(stream.fetch(0, 1), Some(Fetch { id: 1, offset: 100, len: 200 }));
        assert_eq!(stream.fetch(0, 2), None);
        for (id, offset, len) in [(2, 100, 50), (1, 150, 50), (1, 100, 201), (1, 100, 0)] {
            assert!(!stream.arrived(id, offset, len));
        }
        assert!(stream.arrived(1, 100, 50));
        assert!(!stream.arrived(1, 150, 50), "one at a time");
        stream.written(100);
        assert!(stream.arrived(1, 150, 150));
        assert!(!stream.is_complete());
        stream.written(150);
        assert!(stream.is_complete());
    }

    #[test]
    fn failures_wait_longer_and_longer_until_something_comes() {
        let mut stream = Stream::new(0, 100);
        for (now, chance, at) in [(0, 0, 1_000), (1_000, 255, 3_996), (3_996, 0, 7_996)] {
            stream.fetch(now, 1).unwrap();
            assert!(stream.failed(now, chance));
            assert_eq!(stream.wake(), Some(at));
            assert_eq!(stream.fetch(at - 1, 2), None);
        }
        stream.fetch(7_996, 2).unwrap();
        assert!(stream.arrived(2, 0, 40));
        assert!(stream.failed(8_000, 0));
        assert_eq!(stream.wake(), None, "a piece is being written");
        stream.written(0);
        assert_eq!(stream.fetch(99_999, 3), Some(Fetch { id: 3, offset: 40, len: 60 }));
        assert!((0..5).all(|_| stream.failed(0, 0)));
        assert!(!stream.failed(0, 0));
    }
}
