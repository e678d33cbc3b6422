//! What has been received and not dealt with.

/// How much of the caller's receive buffer is filled, with bytes for [`super::Client::receive`], and how much is to be
/// dropped. The buffer is the same in every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inbox {
    len: usize,
    /// Bytes still to come of a packet that does not fit.
    dropped: usize,
}

impl Inbox {
    /// How many bytes are there; more are to be put behind them.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is there.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// So many bytes were put behind those that are there.
    pub fn add(&mut self, buffer: &mut [u8], len: usize) {
        self.len += len;
        let now = self.dropped.min(self.len);
        self.dropped -= now;
        self.take(buffer, now);
    }

    /// Takes away a packet that was dealt with.
    pub fn take(&mut self, buffer: &mut [u8], len: usize) {
        buffer.copy_within(len..self.len, 0);
        self.len -= len;
    }

    /// Takes a packet of `len` bytes away that does not fit, so that not all of it is here ([`super::Received::TooLong`]).
    pub fn skip(&mut self, len: usize) {
        self.dropped = len - self.len;
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_does_not_fit_is_dropped_as_it_comes() {
        let (mut inbox, mut buffer) = (Inbox::default(), [0; 4]);
        let mut put = |inbox: &mut Inbox, bytes: &[u8]| {
            buffer[inbox.len()..][..bytes.len()].copy_from_slice(bytes);
            inbox.add(&mut buffer, bytes.len());
            buffer
        };
        let mut buffer = put(&mut inbox, b"abcd");
        inbox.take(&mut buffer, 1);
        assert_eq!(&buffer[..inbox.len()], b"bcd");
        inbox.skip(6);
        put(&mut inbox, b"ef");
        assert!(inbox.is_empty());
        let buffer = put(&mut inbox, b"ghij");
        assert_eq!(&buffer[..inbox.len()], b"hij");
    }
}
