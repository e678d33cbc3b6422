//! How many requests may be outstanding, and how long to wait for a reply.

use crate::window::Millis;

/// Requests outstanding before anything is known of the link.
const FIRST: usize = 4;

/// A reply may take twice the least time and this much more before the link counts as full, in milliseconds.
const SLACK: Millis = 20;

/// The patience with a link nothing is known of, and the least with any, in milliseconds.
const UNKNOWN: Millis = 3_000;
const LEAST: Millis = 1_000;

/// After so many replies the least time is taken anew, as the way to the server may have changed.
const MEMORY: u8 = 64;

/// The state of a link, as far as replies tell.
///
/// The window grows with every reply, after the first loss with every windowful of them. It stays as it is while
/// replies take so long that more requests would only wait for each other, and halves at a loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    open: usize,
    limit: usize,
    /// Replies since the window grew, once a loss was seen.
    since_growth: Option<usize>,
    /// The last request sent when the window was halved: losses before it are the same one.
    halved_at: u32,
    least: Millis,
    least_lately: Millis,
    replies: u8,
    /// Smoothed time of a reply and its deviation, as in RFC 6298.
    smooth: Option<(Millis, Millis)>,
}

impl Flow {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            open: limit.min(FIRST),
            limit,
            since_growth: None,
            halved_at: 0,
            least: Millis::MAX,
            least_lately: Millis::MAX,
            replies: 0,
            smooth: None,
        }
    }

    /// How many requests may be outstanding.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// How long to wait for a reply, at most `most`.
    pub(crate) fn patience(&self, most: Millis) -> Millis {
        let wait = self.smooth.map_or(UNKNOWN, |(smooth, deviation)| (smooth + 4 * deviation).max(LEAST));
        wait.min(most)
    }

    /// A reply came after this time.
    pub(crate) fn replied(&mut self, took: Millis) {
        let (smooth, deviation) = self.smooth.unwrap_or((took, took / 2));
        self.smooth = Some(((7 * smooth + took) / 8, (3 * deviation + smooth.abs_diff(took)) / 4));
        self.least_lately = self.least_lately.min(took);
        self.least = self.least.min(took);
        self.replies += 1;
        if self.replies == MEMORY {
            self.replies = 0;
            self.least = core::mem::replace(&mut self.least_lately, Millis::MAX);
        }
        if took <= 2 * self.least + SLACK {
            self.grow();
        }
    }

    /// The request with this number got no reply, or was refused; `last` is the last one sent.
    pub(crate) fn lost(&mut self, request: u32, last: u32) {
        if request > self.halved_at {
            self.open = (self.open / 2).max(1);
            self.since_growth = Some(0);
            self.halved_at = last;
        }
    }

    fn grow(&mut self) {
        if let Some(replies) = &mut self.since_growth {
            *replies += 1;
            if *replies < self.open {
                return;
            }
            *replies = 0;
        }
        self.open = (self.open + 1).min(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_every_reply_and_then_with_every_windowful() {
        let mut flow = Flow::new(32);
        (0..12).for_each(|_| flow.replied(300));
        assert_eq!(flow.open(), 16);
        flow.lost(20, 30);
        flow.lost(25, 31);
        assert_eq!(flow.open(), 8, "what was sent before the window was halved is the same loss");
        (0..8).for_each(|_| flow.replied(300));
        assert_eq!(flow.open(), 9);
        (0..1000).for_each(|_| flow.replied(300));
        assert_eq!(flow.open(), 32, "the caller's buffers are the bound");
    }

    #[test]
    fn more_requests_than_the_link_holds_are_of_no_use() {
        let mut flow = Flow::new(32);
        flow.replied(300);
        (0..50).for_each(|_| flow.replied(700));
        assert_eq!(flow.open(), 5);
        (0..200).for_each(|_| flow.replied(700));
        assert_eq!(flow.open(), 32, "the least time of long ago does not count for ever");
    }

    #[test]
    fn patience_follows_the_replies() {
        let mut flow = Flow::new(4);
        assert_eq!((flow.patience(10_000), flow.patience(500)), (3_000, 500));
        (0..40).for_each(|_| flow.replied(40));
        assert_eq!(flow.patience(10_000), 1_000);
        (0..40).for_each(|_| flow.replied(2_000));
        assert!((2_000..4_000).contains(&flow.patience(10_000)));
    }

    #[test]
    fn one_request_is_always_possible() {
        let mut flow = Flow::new(2);
        (1..9).for_each(|request| flow.lost(request * 10, request * 10 + 5));
        assert_eq!(flow.open(), 1);
    }
}
