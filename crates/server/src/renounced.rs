//! A device may lose its right to be connected between the check of its login and its session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use door::Epoch;
use rollout::Id;

/// Longer than a login may take.
const KEPT: Duration = Duration::from_secs(60);

/// Devices that were disabled or removed a moment ago, or whose certificate was changed: what was admitted before that
/// has no right to a session.
#[derive(Default)]
pub(crate) struct Renounced(Mutex<HashMap<Id, (Epoch, Instant)>>);

impl Renounced {
    /// What has a smaller number than this was admitted before.
    pub(crate) fn put(&self, device: Id, before: Epoch) {
        self.put_at(device, before, Instant::now());
    }

    /// Whether the session with this number was admitted before.
    pub(crate) fn has(&self, device: Id, epoch: Epoch) -> bool {
        let devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        devices.get(&device).is_some_and(|(before, _)| epoch < *before)
    }

    fn put_at(&self, device: Id, before: Epoch, now: Instant) {
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        devices.retain(|_, (_, since)| now.duration_since(*since) < KEPT);
        devices.insert(device, (before, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_admitted_before_is_known_for_a_while() {
        let (renounced, now) = (Renounced::default(), Instant::now());
        renounced.put_at(1, 5, now);
        renounced.put_at(2, 9, now + KEPT / 2);
        assert!(renounced.has(1, 4) && renounced.has(2, 8));
        assert!(!renounced.has(1, 5) && !renounced.has(3, 1));
        renounced.put_at(3, 12, now + KEPT);
        assert!(!renounced.has(1, 4) && renounced.has(2, 8));
    }
}
