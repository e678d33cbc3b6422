use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rollout::{Id, Ms};

/// Of what is counted, what a gateway may go on with in a second.
const PER_SECOND: i64 = 20;
/// What a gateway may have of it at once, beside one for each of its sub-devices.
const SPARE: usize = 1_000;
/// Gateways kept before those are forgotten that may have all again.
const KEPT: usize = 1_024;

/// How often gateways log sub-devices in, or put them into their topologies (docs/protocol.md 9). It outlasts their
/// connections.
pub(crate) struct Rates {
    /// What a gateway may have at once, in thousandths.
    most: i64,
    kept: Mutex<Kept>,
}

struct Kept {
    gateways: HashMap<Id, Credit>,
    /// Entries at which it is time to forget some.
    limit: usize,
}

/// What a gateway had left, in thousandths, and when.
#[derive(Clone, Copy)]
struct Credit {
    left: i64,
    at: Ms,
}

impl Credit {
    /// A clock that was set back gives nothing.
    fn at(self, now: Ms, most: i64) -> Self {
        let since = now.saturating_sub(self.at).max(0);
        Self { left: self.left.saturating_add(since.saturating_mul(PER_SECOND)).min(most), at: now }
    }
}

impl Rates {
    /// For gateways with so many sub-devices.
    pub(crate) fn new(sub_devices: usize) -> Self {
        let most = i64::try_from(sub_devices.saturating_add(SPARE)).unwrap_or(i64::MAX).saturating_mul(1_000);
        let kept = Mutex::new(Kept { gateways: HashMap::new(), limit: KEPT });
        Self { most, kept }
    }

    /// Takes so much for a gateway. `false`: that is too much for now, and nothing is taken.
    pub(crate) fn take(&self, gateway: Id, wanted: usize, now: Ms) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.gateways.len() >= kept.limit {
            kept.gateways.retain(|_, credit| credit.at(now, self.most).left < self.most);
            kept.limit = KEPT.max(2 * kept.gateways.len());
        }
        let credit = kept.gateways.entry(gateway).or_insert(Credit { left: self.most, at: now });
        *credit = credit.at(now, self.most);
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX).saturating_mul(1_000);
        let is_enough = credit.left >= wanted;
        if is_enough {
            credit.left -= wanted;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_700_000_000_000;

    #[test]
    fn a_gateway_that_starts_may_log_all_in_and_then_goes_on_at_its_rate() {
        let rates = Rates::new(2_000);
        assert!((0..60).all(|_| rates.take(1, 50, NOW)));
        assert!(!rates.take(1, 1, NOW));
        assert!(rates.take(2, 50, NOW), "another has its own");
        assert!(!rates.take(1, 2, NOW + 99));
        assert!(rates.take(1, 1, NOW + 99));
        assert!(!rates.take(1, 50, NOW + 2_000));
        assert!(rates.take(1, 39, NOW + 2_000), "what was refused has cost nothing");
        let later = NOW + 3_600_000;
        assert!((0..60).all(|_| rates.take(1, 50, later)), "no more than at the start");
        assert!(!rates.take(1, 1, later));
    }

    #[test]
    fn a_clock_that_is_set_back_neither_gives_nor_stops() {
        let rates = Rates::new(0);
        assert!(rates.take(1, SPARE, NOW));
        assert!(!rates.take(1, 1, NOW - 3_600_000));
        assert!(rates.take(1, 1, NOW - 3_600_000 + 50));
    }

    #[test]
    fn who_may_have_all_again_is_forgotten() {
        let rates = Rates::new(0);
        for gateway in 0..10 * KEPT as i64 {
            assert!(rates.take(gateway, 1, NOW + gateway * 50));
        }
        assert!(rates.kept.lock().unwrap().gateways.len() <= KEPT);
    }
}
