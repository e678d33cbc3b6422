//! Bytes that were received and not dealt with.

/// Holds the longest packet that can be received; those that follow wait in the connection's own buffer.
pub(crate) struct Inbox<const LEN: usize> {
    bytes: [u8; LEN],
    len: usize,
    /// Bytes still to come of a packet that does not fit.
    dropped: usize,
}

impl<const LEN: usize> Inbox<LEN> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; LEN], len: 0, dropped: 0 }
    }

    pub(crate) fn forget(&mut self) {
        (self.len, self.dropped) = (0, 0);
    }

    /// Has more bytes put in, by one who says how many.
    pub(crate) fn fill(&mut self, receive: impl FnOnce(&mut [u8]) -> usize) {
        self.len += receive(&mut self.bytes[self.len..]);
        let now = self.dropped.min(self.len);
        self.dropped -= now;
        self.take(now);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn take(&mut self, len: usize) {
        self.bytes.copy_within(len..self.len, 0);
        self.len -= len;
    }

    /// Takes a packet away of which not all is here.
    pub(crate) fn skip(&mut self, len: usize) {
        self.dropped = len - self.len;
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_does_not_fit_is_dropped_as_it_comes() {
        let mut inbox = Inbox::<4>::new();
        let put = |bytes: &'static [u8]| {
            move |into: &mut [u8]| {
                into[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
        };
        inbox.fill(put(b"abcd"));
        inbox.take(1);
        assert_eq!(inbox.bytes(), b"bcd");
        inbox.skip(6);
        inbox.fill(put(b"ef"));
        assert_eq!(inbox.bytes(), b"");
        inbox.fill(put(b"ghij"));
        assert_eq!(inbox.bytes(), b"hij");
    }
}
