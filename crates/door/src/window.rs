//! Messages of QoS 1 on their way to a device, and their packet identifiers.

/// Packet identifiers and, if there is a limit, those that the device has not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Window {
    limit: Option<usize>,
    unacknowledged: Vec<u16>,
    last: u16,
}

impl Window {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether the device has to acknowledge something before more is sent.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.unacknowledged.len() >= limit)
    }

    /// A packet identifier, for a message that is sent now. They are counted round, past those that wait:
    /// without a limit none comes back before 65 534 others.
    pub(crate) fn next_id(&mut self) -> u16 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.unacknowledged.contains(&self.last) {
                break;
            }
        }
        if self.limit.is_some() {
            self.unacknowledged.push(self.last);
        }
        self.last
    }

    /// The device has the message, or it was not sent after all.
    pub(crate) fn retire(&mut self, packet_id: u16) {
        self.unacknowledged.retain(|&id| id != packet_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_identifiers_are_never_zero() {
        let mut window = Window { last: u16::MAX - 1, ..Window::default() };
        assert_eq!([window.next_id(), window.next_id()], [u16::MAX, 1]);
    }

    #[test]
    fn a_full_window_opens_with_each_acknowledgement() {
        let mut window = Window::new(Some(2));
        assert_eq!([window.next_id(), window.next_id()], [1, 2]);
        assert!(window.is_full());
        window.retire(7);
        assert!(window.is_full());
        window.retire(1);
        assert!(!window.is_full());
        window.last = 1;
        assert_eq!(window.next_id(), 3, "2 waits still");
        assert!(window.is_full());
    }

    #[test]
    fn without_a_limit_nothing_is_remembered() {
        let mut window = Window::new(None);
        for _ in 0..100_000 {
            window.next_id();
        }
        assert!(!window.is_full());
        assert_eq!(window.unacknowledged.capacity(), 0);
    }
}
