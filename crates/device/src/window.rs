//! The window of outstanding block requests (docs/protocol.md 6.1, 6.3).
//!
//! A piece of the file is in the window from the moment it may be asked for until its bytes are stored, so the
//! number of pieces is also the number of receive buffers that can be in use at once.

/// Milliseconds of the caller's clock.
pub(crate) type Millis = u64;

/// The most requests that can be outstanding, whatever a caller asks for.
pub const MAX_WINDOW: usize = 16;

/// Milliseconds before a block is asked for again that the server could not give at once.
const BUSY: Millis = 1_000;

/// Number of no request: messages are counted from 1.
const NEVER: u32 = 0;

/// How long to wait and how often to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Milliseconds until a request without reply is repeated.
    pub(crate) reply: u32,
    /// How many repeats of one request before the download fails.
    pub(crate) repeats: u8,
}

/// A block to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) offset: u32,
    pub(crate) size: u32,
    /// It was asked for before.
    pub(crate) again: bool,
}

/// What to do with a block that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Its bytes are wanted: write them.
    Wanted,
    /// They are stored or being written already, or were never asked for.
    Unwanted,
}

/// One request went unanswered too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stalled {
    pub(crate) offset: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Due,
    Asked { until: Millis },
    Writing { size: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u32,
    size: u32,
    request: u32,
    repeats: u8,
    phase: Phase,
}

/// The pieces being fetched, in ascending order of their offset.
#[derive(Debug)]
pub(crate) struct Window {
    pieces: [Piece; MAX_WINDOW],
    len: usize,
    limit: usize,
    block: u32,
    next: u32,
    end: u32,
}

impl Window {
    /// Fetches the bytes `from..end` in blocks of `block` bytes, at most `limit` at a time.
    pub(crate) fn new(limit: usize, block: u32, from: u32, end: u32) -> Self {
        let unused = Piece { offset: 0, size: 0, request: NEVER, repeats: 0, phase: Phase::Due };
        let mut window = Self {
            pieces: [unused; MAX_WINDOW],
            len: 0,
            limit: limit.clamp(1, MAX_WINDOW),
            block,
            next: from,
            end,
        };
        window.fill();
        window
    }

    /// How many bytes from the start of the file are stored without a gap.
    pub(crate) fn stored(&self) -> u32 {
        self.live().first().map_or(self.next, |piece| piece.offset)
    }

    /// Whether every byte is stored.
    pub(crate) fn is_complete(&self) -> bool {
        self.stored() == self.end
    }

    /// The next block to ask for now, if any. `request` is the number the request will carry.
    pub(crate) fn ask(
        &mut self,
        now: Millis,
        request: u32,
        patience: Patience,
    ) -> Result<Option<Ask>, Stalled> {
        for piece in &mut self.pieces[..self.len] {
            match piece.phase {
                Phase::Due => {}
                Phase::Asked { until } if until <= now => {
                    piece.repeats += 1;
                    if piece.repeats > patience.repeats {
                        return Err(Stalled { offset: piece.offset });
                    }
                }
                _ => continue,
            }
            let again = core::mem::replace(&mut piece.request, request) != NEVER;
            piece.phase = Phase::Asked { until: now + Millis::from(patience.reply) };
            return Ok(Some(Ask { offset: piece.offset, size: piece.size, again }));
        }
        Ok(None)
    }

    /// When `ask` has something to do next.
    pub(crate) fn wake(&self) -> Option<Millis> {
        self.live()
            .iter()
            .filter_map(|piece| match piece.phase {
                Phase::Due => Some(0),
                Phase::Asked { until } => Some(until),
                Phase::Writing { .. } => None,
            })
            .min()
    }

    /// A block arrived. A piece asked for before the request that is answered here will get no answer any more,
    /// as a server answers in order (docs/protocol.md 6.3): it is asked for again at once.
    pub(crate) fn arrived(&mut self, offset: u32, size: u32, request: Option<u32>) -> Arrival {
        let Some(piece) = self.find(offset) else { return Arrival::Unwanted };
        if size == 0 || size > piece.size || matches!(piece.phase, Phase::Writing { .. }) {
            return Arrival::Unwanted;
        }
        piece.phase = Phase::Writing { size };
        piece.repeats = 0;
        if let Some(request) = request {
            self.hurry(request);
        }
        Arrival::Wanted
    }

    /// The bytes written at `offset` are stored. A block shorter than asked for leaves the rest to be fetched.
    pub(crate) fn written(&mut self, offset: u32) {
        let Some(index) = self.live().iter().position(|piece| piece.offset == offset) else { return };
        let piece = &mut self.pieces[index];
        let Phase::Writing { size } = piece.phase else { return };
        if size < piece.size {
            piece.offset += size;
            piece.size -= size;
            piece.request = NEVER;
            piece.phase = Phase::Due;
            return;
        }
        self.pieces.copy_within(index + 1..self.len, index);
        self.len -= 1;
        self.fill();
    }

    /// The server refused this request for now: it is repeated after a second, then after two, four, ...
    pub(crate) fn put_off(&mut self, now: Millis, request: u32) {
        let asked =
            |piece: &&mut Piece| piece.request == request && matches!(piece.phase, Phase::Asked { .. });
        if let Some(piece) = self.live_mut().iter_mut().find(asked) {
            piece.phase = Phase::Asked { until: now + (BUSY << piece.repeats) };
        }
    }

    /// No reply is on its way any more: the connection ended, or the stream has another number now.
    pub(crate) fn forget_replies(&mut self) {
        for piece in self.live_mut() {
            if let Phase::Asked { .. } = piece.phase {
                piece.phase = Phase::Due;
                piece.repeats = 0;
            }
        }
    }

    fn hurry(&mut self, answered: u32) {
        for piece in self.live_mut() {
            if matches!(piece.phase, Phase::Asked { .. }) && piece.request < answered {
                piece.phase = Phase::Due;
            }
        }
    }

    fn fill(&mut self) {
        while self.len < self.limit && self.next < self.end {
            let size = self.block.min(self.end - self.next);
            let phase = Phase::Due;
            self.pieces[self.len] = Piece { offset: self.next, size, request: NEVER, repeats: 0, phase };
            self.len += 1;
            self.next += size;
        }
    }

    fn find(&mut self, offset: u32) -> Option<&mut Piece> {
        self.live_mut().iter_mut().find(|piece| piece.offset == offset)
    }

    fn live(&self) -> &[Piece] {
        &self.pieces[..self.len]
    }

    fn live_mut(&mut self) -> &mut [Piece] {
        &mut self.pieces[..self.len]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { reply: 100, repeats: 2 };

    fn ask(window: &mut Window, now: Millis, request: u32) -> Option<(u32, u32)> {
        window.ask(now, request, PATIENCE).unwrap().map(|ask| (ask.offset, ask.size))
    }

    #[test]
    fn never_more_than_the_limit_and_the_last_is_cut() {
        let mut window = Window::new(2, 256, 0, 600);
        assert_eq!(ask(&mut window, 0, 1), Some((0, 256)));
        assert_eq!(ask(&mut window, 0, 2), Some((256, 256)));
        assert_eq!(ask(&mut window, 0, 3), None);
        assert_eq!(window.arrived(0, 256, Some(1)), Arrival::Wanted);
        assert_eq!(ask(&mut window, 0, 3), None, "a block being written still holds its buffer");
        window.written(0);
        assert_eq!(ask(&mut window, 0, 3), Some((512, 88)));
    }

    #[test]
    fn stored_grows_without_gaps() {
        let mut window = Window::new(3, 256, 256, 1024);
        for request in 1..=3 {
            ask(&mut window, 0, request);
        }
        for (offset, stored) in [(768, 256), (256, 512), (512, 1024)] {
            assert!(!window.is_complete());
            window.arrived(offset, 256, None);
            window.written(offset);
            assert_eq!(window.stored(), stored);
        }
        assert!(window.is_complete());
    }

    #[test]
    fn repeats_then_stalls() {
        let mut window = Window::new(1, 256, 0, 256);
        assert_eq!(ask(&mut window, 0, 1), Some((0, 256)));
        assert_eq!(window.wake(), Some(100));
        assert_eq!(ask(&mut window, 99, 2), None);
        assert_eq!(ask(&mut window, 100, 2), Some((0, 256)));
        assert_eq!(ask(&mut window, 200, 3), Some((0, 256)));
        assert_eq!(window.ask(300, 4, PATIENCE), Err(Stalled { offset: 0 }));
    }

    #[test]
    fn a_reply_to_a_later_request_repeats_the_earlier_at_once() {
        let mut window = Window::new(2, 256, 0, 512);
        ask(&mut window, 0, 1);
        ask(&mut window, 0, 2);
        window.arrived(256, 256, Some(2));
        assert_eq!(ask(&mut window, 0, 3), Some((0, 256)));
        assert_eq!(ask(&mut window, 0, 4), None);
    }

    #[test]
    fn duplicates_strangers_and_long_blocks_are_unwanted() {
        let mut window = Window::new(2, 256, 0, 512);
        ask(&mut window, 0, 1);
        assert_eq!(window.arrived(0, 257, None), Arrival::Unwanted);
        assert_eq!(window.arrived(128, 128, None), Arrival::Unwanted);
        assert_eq!(window.arrived(0, 0, None), Arrival::Unwanted);
        assert_eq!(window.arrived(0, 256, None), Arrival::Wanted);
        assert_eq!(window.arrived(0, 256, None), Arrival::Unwanted);
        window.written(0);
        assert_eq!(window.arrived(0, 256, None), Arrival::Unwanted);
    }

    #[test]
    fn a_short_block_leaves_the_rest() {
        let mut window = Window::new(1, 256, 0, 256);
        ask(&mut window, 0, 1);
        assert_eq!(window.arrived(0, 100, None), Arrival::Wanted);
        window.written(0);
        assert_eq!(window.stored(), 100);
        assert_eq!(ask(&mut window, 0, 2), Some((100, 156)));
    }

    #[test]
    fn a_refused_request_waits_and_counts() {
        let mut window = Window::new(1, 256, 0, 256);
        for (now, request, wait) in [(0, 1, 1_000), (1_000, 2, 2_000), (3_000, 3, 4_000)] {
            assert!(ask(&mut window, now, request).is_some());
            window.put_off(now, request);
            assert_eq!(window.wake(), Some(now + wait));
            assert_eq!(ask(&mut window, now + wait - 1, 9), None);
        }
        assert_eq!(window.ask(7_000, 4, PATIENCE), Err(Stalled { offset: 0 }));
    }
}
