//! The window of outstanding block requests (docs/protocol.md 6.1, 6.3).
//!
//! A piece of the file is in the window from the moment it may be asked for until its bytes are stored, so the
//! number of pieces is also the number of receive buffers that can be in use at once.

use crate::flow::Flow;
use crate::updater::spread;

/// Milliseconds of the caller's clock.
pub(crate) type Millis = u64;

/// The most requests that can be outstanding, whatever a caller asks for.
pub const MAX_WINDOW: usize = 32;

/// Milliseconds before a block is asked for again that the server could not give at once.
const BUSY: Millis = 1_000;

/// Number of no request: messages are counted from 1.
const NEVER: u32 = 0;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Milliseconds until a request without reply is repeated, at most.
    pub(crate) reply: Millis,
    /// Milliseconds of repeats before the download fails.
    pub(crate) block: Millis,
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

/// One block did not come in all the time it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stalled {
    pub(crate) offset: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Due,
    Asked { at: Millis, until: Millis },
    Writing { size: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u32,
    size: u32,
    request: u32,
    repeats: u8,
    /// When it is given up, once it was asked for.
    give_up: Option<Millis>,
    phase: Phase,
}

impl Piece {
    fn new(offset: u32, size: u32) -> Self {
        Self { offset, size, request: NEVER, repeats: 0, give_up: None, phase: Phase::Due }
    }
}

/// The pieces being fetched, in ascending order of their offset.
#[derive(Debug)]
pub(crate) struct Window {
    pieces: [Piece; MAX_WINDOW],
    len: usize,
    flow: Flow,
    /// The last request sent.
    last: u32,
    block: u32,
    next: u32,
    end: u32,
}

impl Window {
    /// Fetches the bytes `from..end` in blocks of `block` bytes, at most `limit` at a time.
    pub(crate) fn new(limit: usize, block: u32, from: u32, end: u32) -> Self {
        let mut window = Self {
            pieces: [Piece::new(0, 0); MAX_WINDOW],
            len: 0,
            flow: Flow::new(limit.clamp(1, MAX_WINDOW)),
            last: NEVER,
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
        let (open, wait) = (self.flow.open(), self.flow.patience(patience.reply));
        let busy = self.busy();
        for piece in &mut self.pieces[..self.len] {
            match piece.phase {
                Phase::Due if busy < open => {}
                Phase::Asked { until, .. } if until <= now => {
                    if piece.give_up.is_some_and(|at| at <= now) {
                        return Err(Stalled { offset: piece.offset });
                    }
                    piece.repeats = piece.repeats.saturating_add(1);
                    self.flow.lost(piece.request, self.last);
                }
                _ => continue,
            }
            let give_up = *piece.give_up.get_or_insert(now + patience.block);
            let again = core::mem::replace(&mut piece.request, request) != NEVER;
            let wait = (wait << piece.repeats.min(8)).min(patience.reply);
            piece.phase = Phase::Asked { at: now, until: (now + wait).min(give_up) };
            self.last = request;
            return Ok(Some(Ask { offset: piece.offset, size: piece.size, again }));
        }
        Ok(None)
    }

    /// When `ask` has something to do next.
    pub(crate) fn wake(&self) -> Option<Millis> {
        let may_ask = self.busy() < self.flow.open();
        self.live()
            .iter()
            .filter_map(|piece| match piece.phase {
                Phase::Due => may_ask.then_some(0),
                Phase::Asked { until, .. } => Some(until),
                Phase::Writing { .. } => None,
            })
            .min()
    }

    /// How many pieces are asked for or being written.
    fn busy(&self) -> usize {
        self.live().iter().filter(|piece| piece.phase != Phase::Due).count()
    }

    /// A block arrived. A piece asked for before the request that is answered here will get no answer any more,
    /// as a server answers in order (docs/protocol.md 6.3): it is asked for again at once.
    pub(crate) fn arrived(&mut self, now: Millis, offset: u32, size: u32, request: Option<u32>) -> Arrival {
        let Some(piece) = self.live_mut().iter_mut().find(|piece| piece.offset == offset) else {
            return Arrival::Unwanted;
        };
        if size == 0 || size > piece.size || matches!(piece.phase, Phase::Writing { .. }) {
            return Arrival::Unwanted;
        }
        let asked = core::mem::replace(&mut piece.phase, Phase::Writing { size });
        let is_latest = request.map_or(piece.repeats == 0, |request| request == piece.request);
        piece.repeats = 0;
        if let Phase::Asked { at, .. } = asked
            && is_latest
        {
            self.flow.replied(now.saturating_sub(at));
            self.fill();
        }
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
            *piece = Piece::new(piece.offset + size, piece.size - size);
            return;
        }
        self.pieces.copy_within(index + 1..self.len, index);
        self.len -= 1;
        self.fill();
    }

    /// The server refused this request for now: it is repeated after a second, then after two, four, ...; and up to
    /// half as long again, by `chance` of 256, so that not all devices come back at once.
    pub(crate) fn put_off(&mut self, now: Millis, request: u32, chance: u8) {
        let asked =
            |piece: &&mut Piece| piece.request == request && matches!(piece.phase, Phase::Asked { .. });
        let last = self.last;
        if let Some(piece) = self.live_mut().iter_mut().find(asked) {
            let wait = BUSY << piece.repeats.min(8);
            let until = now + spread(wait, chance);
            piece.phase = Phase::Asked { at: now, until: piece.give_up.map_or(until, |at| until.min(at)) };
            self.flow.lost(request, last);
        }
    }

    /// No reply is on its way any more: the connection ended, or the stream has another number now.
    pub(crate) fn forget_replies(&mut self) {
        for piece in self.live_mut() {
            if let Phase::Asked { .. } = piece.phase {
                piece.phase = Phase::Due;
                piece.repeats = 0;
                piece.give_up = None;
            }
        }
    }

    fn hurry(&mut self, answered: u32) {
        let last = self.last;
        for piece in &mut self.pieces[..self.len] {
            if matches!(piece.phase, Phase::Asked { .. }) && piece.request < answered {
                piece.phase = Phase::Due;
                self.flow.lost(piece.request, last);
            }
        }
    }

    fn fill(&mut self) {
        while self.len < self.flow.open() && self.next < self.end {
            let size = self.block.min(self.end - self.next);
            self.pieces[self.len] = Piece::new(self.next, size);
            self.len += 1;
            self.next += size;
        }
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

    const PATIENCE: Patience = Patience { reply: 100, block: 300 };

    fn ask(window: &mut Window, now: Millis, request: u32) -> Option<(u32, u32)> {
        window.ask(now, request, PATIENCE).unwrap().map(|ask| (ask.offset, ask.size))
    }

    #[test]
    fn never_more_than_the_limit_and_the_last_is_cut() {
        let mut window = Window::new(2, 256, 0, 600);
        assert_eq!(ask(&mut window, 0, 1), Some((0, 256)));
        assert_eq!(ask(&mut window, 0, 2), Some((256, 256)));
        assert_eq!(ask(&mut window, 0, 3), None);
        assert_eq!(window.arrived(0, 0, 256, Some(1)), Arrival::Wanted);
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
            window.arrived(0, offset, 256, None);
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
        let mut window = Window::new(4, 256, 0, 1024);
        (1..=4).for_each(|request| assert!(ask(&mut window, 0, request).is_some()));
        window.arrived(0, 256, 256, Some(2));
        assert_eq!(ask(&mut window, 0, 5), None, "half of the window is open, and taken");
        window.arrived(0, 512, 256, Some(3));
        window.arrived(0, 768, 256, Some(4));
        [256, 512, 768].iter().for_each(|offset| window.written(*offset));
        assert_eq!(ask(&mut window, 0, 5), Some((0, 256)));
        assert_eq!(ask(&mut window, 0, 6), None);
    }

    #[test]
    fn duplicates_strangers_and_long_blocks_are_unwanted() {
        let mut window = Window::new(2, 256, 0, 512);
        ask(&mut window, 0, 1);
        assert_eq!(window.arrived(0, 0, 257, None), Arrival::Unwanted);
        assert_eq!(window.arrived(0, 128, 128, None), Arrival::Unwanted);
        assert_eq!(window.arrived(0, 0, 0, None), Arrival::Unwanted);
        assert_eq!(window.arrived(0, 0, 256, None), Arrival::Wanted);
        assert_eq!(window.arrived(0, 0, 256, None), Arrival::Unwanted);
        window.written(0);
        assert_eq!(window.arrived(0, 0, 256, None), Arrival::Unwanted);
    }

    #[test]
    fn a_short_block_leaves_the_rest() {
        let mut window = Window::new(1, 256, 0, 256);
        ask(&mut window, 0, 1);
        assert_eq!(window.arrived(0, 0, 100, None), Arrival::Wanted);
        window.written(0);
        assert_eq!(window.stored(), 100);
        assert_eq!(ask(&mut window, 0, 2), Some((100, 156)));
    }

    #[test]
    fn a_refused_request_waits_and_is_given_up_in_the_end() {
        const PATIENCE: Patience = Patience { reply: 10_000, block: 6_000 };
        let mut window = Window::new(1, 256, 0, 256);
        for (now, request, chance, wait) in [(0, 1, 0, 1_000), (1_000, 2, 255, 2_996), (3_996, 3, 0, 2_004)] {
            assert!(window.ask(now, request, PATIENCE).unwrap().is_some());
            window.put_off(now, request, chance);
            assert_eq!(window.wake(), Some(now + wait));
            assert_eq!(window.ask(now + wait - 1, 9, PATIENCE), Ok(None));
        }
        assert_eq!(window.ask(6_000, 4, PATIENCE), Err(Stalled { offset: 0 }));
    }

    #[test]
    fn after_a_loss_fewer_are_asked_for_at_once() {
        let mut window = Window::new(4, 256, 0, 4096);
        (1..=4).for_each(|request| assert!(ask(&mut window, 0, request).is_some()));
        assert_eq!(window.arrived(10, 768, 256, Some(4)), Arrival::Wanted);
        window.written(768);
        let asked = [5, 6, 7].map(|request| ask(&mut window, 10, request));
        assert_eq!(asked, [Some((0, 256)), Some((256, 256)), None], "three were lost, two may be under way");
        assert_eq!(window.wake(), Some(110), "the third has to wait");
    }
}
