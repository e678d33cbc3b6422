//! Events that wait to be polled.

use crate::output::Event;

/// Events not yet polled; when they are too many the oldest is forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events([Option<Event>; 4]);

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        if self.0.iter().all(Option::is_some) {
            self.pop();
        }
        if let Some(free) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(event);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let first = self.0[0].take();
        self.0.rotate_left(1);
        first
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_and_the_oldest_goes() {
        let mut events = Events::default();
        for from in 0..6 {
            events.push(Event::Started { from });
        }
        for from in 2..6 {
            assert!(!events.is_empty());
            assert_eq!(events.pop(), Some(Event::Started { from }));
        }
        assert_eq!(events.pop(), None);
    }
}
