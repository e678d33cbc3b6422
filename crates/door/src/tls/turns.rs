//! Whose turn it is at the long sums of handshakes.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Config;
use crate::origin::Origin;

/// Most handshakes of one origin that have begun and are not done: each holds about 30 KiB.
const MAX_BEGUN: usize = 4096;

/// Turns at the long sums of handshakes: as many as there are processors. They are done on threads of their
/// own, lest devices that are in wait for those that come.
///
/// Each origin has a lane in which its handshakes wait, and no more of them than there are turns stand before
/// all lanes at once. So an origin that floods keeps itself waiting, and another no longer than a sum or two.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// How many there are.
    count: usize,
    /// Most handshakes of one origin that have begun.
    begun: usize,
    lanes: Arc<Mutex<HashMap<Origin, Gates>>>,
}

/// What the handshakes of one origin share.
#[derive(Debug, Clone)]
struct Gates {
    begun: Arc<Semaphore>,
    next: Arc<Semaphore>,
    /// Handshakes that are under way, waiting ones among them.
    handshakes: usize,
}

/// A handshake's place in the lane of its origin, until it is dropped.
#[derive(Debug)]
pub(super) struct Lane {
    turns: Turns,
    origin: Origin,
    begun: Arc<Semaphore>,
    next: Arc<Semaphore>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_lane: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new(config: &Config) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::of(processors, (config.max_connections / 8).clamp(1, MAX_BEGUN))
    }

    fn of(count: usize, begun: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), count, begun, lanes: Arc::default() }
    }

    pub(super) fn lane(&self, origin: Origin) -> Lane {
        let mut lanes = self.lanes();
        let gates = lanes.entry(origin).or_insert_with(|| Gates {
            begun: Arc::new(Semaphore::new(self.begun)),
            next: Arc::new(Semaphore::new(self.count)),
            handshakes: 0,
        });
        gates.handshakes += 1;
        Lane { turns: self.clone(), origin, begun: gates.begun.clone(), next: gates.next.clone() }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Origin, Gates>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Waits until the handshake may begin. It has, until what this gives is dropped; `None` is never given.
    pub(super) async fn begin(&self) -> Option<OwnedSemaphorePermit> {
        self.begun.clone().acquire_owned().await.ok()
    }

    /// Waits for a turn; `None` is never given.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let of_lane = self.next.clone().acquire_owned().await.ok()?;
        let of_all = self.turns.all.clone().acquire_owned().await.ok()?;
        Some(Turn { _of_all: of_all, _of_lane: of_lane })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.turns.lanes();
        match lanes.get_mut(&self.origin) {
            Some(gates) if gates.handshakes > 1 => gates.handshakes -= 1,
            _ => drop(lanes.remove(&self.origin)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn origin(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    #[test]
    fn who_floods_waits_behind_itself_and_others_wait_for_one_turn() {
        let turns = Turns::of(2, 100);
        let (flood, other) = (turns.lane(origin(1)), turns.lane(origin(2)));
        let mut held = [(); 2].map(|()| flood.turn().now_or_never().unwrap());
        let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(flood.turn())).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        let mut next = Box::pin(other.turn());
        assert!((&mut next).now_or_never().is_none());
        held[0] = None;
        assert!((&mut next).now_or_never().is_some(), "it stands behind the flood");
    }

    #[test]
    fn a_turn_goes_on_to_the_lanes_one_after_the_other() {
        let turns = Turns::of(1, 100);
        let (one, other) = (turns.lane(origin(1)), turns.lane(origin(2)));
        let held = one.turn().now_or_never().unwrap();
        let [mut first, mut second] = [(); 2].map(|()| Box::pin(one.turn()));
        let mut third = Box::pin(other.turn());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(held);
        // Who waits no longer is passed over.
        drop(first);
        let held = (&mut third).now_or_never().unwrap();
        assert!((&mut second).now_or_never().is_none());
        drop(held);
        assert!((&mut second).now_or_never().is_some());
    }

    #[test]
    fn an_origin_begins_so_many_and_is_forgotten_with_the_last() {
        let turns = Turns::of(1, 2);
        let (one, again, other) = (turns.lane(origin(1)), turns.lane(origin(1)), turns.lane(origin(2)));
        let begun = [(); 2].map(|()| one.begin().now_or_never().unwrap());
        assert!(again.begin().now_or_never().is_none());
        assert!(other.begin().now_or_never().is_some());
        drop(begun);
        assert!(again.begin().now_or_never().is_some());
        drop((one, other));
        assert_eq!(turns.lanes().len(), 1);
        drop(again);
        assert!(turns.lanes().is_empty());
    }
}
