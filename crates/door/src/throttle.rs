//! Failed logins, and how long the refusals of further ones are held back.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::credentials::Username;

use crate::origin::Origin;

/// Failures of a device that are answered at once.
const FREE: u32 = 10;

/// Failures of unknown devices that one origin is answered at once.
const FREE_UNKNOWN: u32 = 100;

/// Failures are forgotten this long after the last one.
const MEMORY: Duration = Duration::from_secs(300);

/// The first delay; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);

/// Doublings up to the longest delay.
const DOUBLINGS: u32 = 3;

/// The longest delay: less than devices wait for a CONNACK.
const LONGEST: Duration = FIRST.saturating_mul(1 << DOUBLINGS);

/// Entries that share a place in the table: the one with the fewest failures makes room for a new one.
const WAYS: usize = 8;

const SETS: usize = 2048;

/// Who failed, in a table of fixed size.
///
/// A flood of names that each fail a few times drives out others of its kind, not those that failed
/// often. Keys are hashes with a secret start, so nobody can aim at another's entry.
#[derive(Debug)]
pub(crate) struct Throttle {
    hasher: RandomState,
    entries: Mutex<Box<[Entry]>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u64,
    /// 0 = free.
    failures: u32,
    /// When the last of them was answered, or is to be.
    last: Instant,
}

/// Whose failures are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    hash: u64,
    free: u32,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        let free = Entry { key: 0, failures: 0, last: Instant::now() };
        Self { hasher: RandomState::new(), entries: Mutex::new(vec![free; SETS * WAYS].into()) }
    }

    /// This device from this origin.
    pub(crate) fn device(&self, origin: Origin, user: Username<'_>) -> Key {
        let hash = self.hasher.hash_one((origin, user.product_key, user.device_name));
        Key { hash, free: FREE }
    }

    /// Registrations as this device from this origin, whatever comes of them.
    pub(crate) fn registration(&self, origin: Origin, product_key: &str, device_name: &str) -> Key {
        Key { hash: self.hasher.hash_one((origin, product_key, device_name, "registration")), free: FREE }
    }

    /// All devices of this origin that nobody knows.
    pub(crate) fn unknown(&self, origin: Origin) -> Key {
        Key { hash: self.hasher.hash_one((origin, "")), free: FREE_UNKNOWN }
    }

    /// A login failed. Gives how long its refusal waits, as all that fail at the same time do.
    pub(crate) fn failed(&self, key: Key, now: Instant) -> Duration {
        let mut entries = self.entries();
        let set = set(&mut entries, key);
        fail(set, key, now);
        delay(set, key, now)
    }

    /// A login failed. Gives how long its refusal waits: a growing while from the one before it on, so
    /// that who guesses at many places at once gains nothing. `None`: longer than devices wait.
    pub(crate) fn failed_in_turn(&self, key: Key, now: Instant) -> Option<Duration> {
        let mut entries = self.entries();
        let set = set(&mut entries, key);
        let delay = delay(set, key, now);
        (delay <= LONGEST).then(|| {
            fail(set, key, now + delay);
            delay
        })
    }

    /// A login succeeded.
    pub(crate) fn forget(&self, key: Key) {
        let mut entries = self.entries();
        if let Some(entry) = set(&mut entries, key).iter_mut().find(|entry| entry.key == key.hash) {
            entry.failures = 0;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Box<[Entry]>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a key's entry is, if it has one.
fn set(entries: &mut [Entry], key: Key) -> &mut [Entry] {
    let at = (key.hash % SETS as u64) as usize * WAYS;
    &mut entries[at..at + WAYS]
}

/// How long a refusal has to wait: a growing while from the last failure on.
fn delay(set: &[Entry], key: Key, now: Instant) -> Duration {
    let entry = set.iter().find(|entry| entry.is_of(key, now));
    let beyond = entry.and_then(|entry| Some((entry.failures.checked_sub(key.free)?, entry.last)));
    beyond.map_or(Duration::ZERO, |(beyond, last)| {
        (last + FIRST * 2_u32.pow(beyond.min(DOUBLINGS))).saturating_duration_since(now)
    })
}

/// Notes a failure whose answer leaves at this moment.
fn fail(set: &mut [Entry], key: Key, at: Instant) {
    if let Some(entry) = set.iter_mut().find(|entry| entry.is_of(key, at)) {
        entry.failures = entry.failures.saturating_add(1);
        entry.last = at;
    } else if let Some(entry) = set.iter_mut().min_by_key(|entry| entry.worth(at)) {
        *entry = Entry { key: key.hash, failures: 1, last: at };
    }
}

impl Entry {
    fn lives(&self, now: Instant) -> bool {
        self.failures > 0 && now < self.last + MEMORY
    }

    fn is_of(&self, key: Key, now: Instant) -> bool {
        self.key == key.hash && self.lives(now)
    }

    /// What is lost with it: the least goes first, and of the same the oldest.
    fn worth(&self, now: Instant) -> (u32, Instant) {
        (if self.lives(now) { self.failures } else { 0 }, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of a device at an address.
    fn key(throttle: &Throttle, address: &str, device_name: &str) -> Key {
        let user = Username { product_key: "a1TestPk001", device_name };
        throttle.device(Origin::of(address.parse().unwrap()), user)
    }

    fn fail(throttle: &Throttle, key: Key, times: u32, now: Instant) {
        (0..times).for_each(|_| {
            throttle.failed(key, now);
        });
    }

    fn delay(throttle: &Throttle, key: Key, now: Instant) -> Duration {
        super::delay(set(&mut throttle.entries(), key), key, now)
    }

    #[test]
    fn refusals_of_one_device_leave_one_after_the_other_and_none_too_late() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        let key = key(&throttle, "192.0.2.7", "dev001");
        for _ in 0..FREE {
            assert_eq!(throttle.failed_in_turn(key, now), Some(Duration::ZERO));
        }
        for seconds in [1, 3, 7] {
            assert_eq!(throttle.failed_in_turn(key, now), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(throttle.failed_in_turn(key, now), None);
        let answered = now + Duration::from_secs(7);
        assert_eq!(throttle.failed_in_turn(key, answered), Some(LONGEST));
        assert_eq!(throttle.failed_in_turn(key, answered), None);
    }

    #[test]
    fn delays_begin_after_ten_failures_and_grow_to_a_bound() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        let key = key(&throttle, "192.0.2.7", "dev001");
        fail(&throttle, key, FREE - 1, now);
        assert_eq!(delay(&throttle, key, now), Duration::ZERO);
        for seconds in [1, 2, 4, 8, 8, 8] {
            throttle.failed(key, now);
            assert_eq!(delay(&throttle, key, now), Duration::from_secs(seconds));
        }
        fail(&throttle, key, 1_000, now);
        assert_eq!(delay(&throttle, key, now), Duration::from_secs(8));
    }

    #[test]
    fn a_delay_runs_from_the_last_failure_and_failures_are_forgotten() {
        let (throttle, start) = (Throttle::new(), Instant::now());
        let key = key(&throttle, "192.0.2.7", "dev001");
        fail(&throttle, key, FREE + 3, start);
        assert_eq!(delay(&throttle, key, start + Duration::from_secs(5)), Duration::from_secs(3));
        assert_eq!(delay(&throttle, key, start + Duration::from_secs(8)), Duration::ZERO);
        let late = start + MEMORY;
        fail(&throttle, key, FREE - 1, late);
        assert_eq!(delay(&throttle, key, late), Duration::ZERO, "those before no longer count");
    }

    #[test]
    fn a_success_clears_the_device_at_this_address_only() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        let here = key(&throttle, "192.0.2.7", "dev001");
        let (there, neighbour) =
            (key(&throttle, "192.0.2.8", "dev001"), key(&throttle, "192.0.2.7", "dev002"));
        fail(&throttle, here, FREE + 9, now);
        assert_eq!(delay(&throttle, there, now), Duration::ZERO);
        assert_eq!(delay(&throttle, neighbour, now), Duration::ZERO);
        fail(&throttle, there, FREE, now);
        throttle.forget(here);
        assert_eq!(delay(&throttle, here, now), Duration::ZERO);
        assert_eq!(delay(&throttle, there, now), FIRST);
    }

    #[test]
    fn a_flood_of_names_neither_grows_the_table_nor_frees_who_failed_often() {
        let (throttle, start) = (Throttle::new(), Instant::now());
        let busy = key(&throttle, "192.0.2.7", "dev001");
        fail(&throttle, busy, FREE, start);
        let size = throttle.entries().len();
        for n in 0..20 * size {
            let stranger = key(&throttle, "192.0.2.7", &format!("stranger{n}"));
            throttle.failed(stranger, start + Duration::from_millis(1));
        }
        assert_eq!(delay(&throttle, busy, start), FIRST);
        assert_eq!(throttle.entries().len(), size);
    }

    #[test]
    fn unknown_devices_of_an_origin_are_counted_together() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        let origin = Origin::of([192, 0, 2, 7].into());
        fail(&throttle, throttle.unknown(origin), FREE_UNKNOWN - 1, now);
        assert_eq!(delay(&throttle, throttle.unknown(origin), now), Duration::ZERO);
        throttle.failed(throttle.unknown(origin), now);
        assert_eq!(delay(&throttle, throttle.unknown(origin), now), FIRST);
        assert_eq!(
            delay(&throttle, throttle.unknown(Origin::of([192, 0, 2, 8].into())), now),
            Duration::ZERO
        );
    }
}
