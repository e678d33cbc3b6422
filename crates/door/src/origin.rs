//! Where connections come from, and how many of one place there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::network::prefix;

/// Bits of an IPv6 address that count: whoever has one address has all that begin so.
const V6_BITS: u8 = 64;

/// Whose connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin(bool, u128);

impl Origin {
    pub(crate) fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self(address.is_ipv4(), prefix(address, V6_BITS))
    }
}

/// How many places each origin holds. Has as many entries as there are origins with a place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<Origin, usize>>>);

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    origin: Origin,
}

impl Places {
    /// A place, unless the origin has `limit` of them.
    pub(crate) fn take(&self, origin: Origin, limit: usize) -> Option<Place> {
        let mut held = self.held();
        let count = held.get(&origin).copied().unwrap_or(0);
        if count >= limit {
            return None;
        }
        held.insert(origin, count + 1);
        Some(Place { places: self.clone(), origin })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Origin, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        match held.get_mut(&self.origin) {
            Some(count @ 2..) => *count -= 1,
            _ => drop(held.remove(&self.origin)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_network_is_one_origin_and_an_ipv4_address_is_one_in_either_form() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("192.0.2.7"), origin("::ffff:192.0.2.7"));
        assert_ne!(origin("192.0.2.7"), origin("192.0.2.8"));
        assert_ne!(origin("0.0.0.0"), origin("::"));
    }

    #[test]
    fn places_are_limited_by_origin_and_given_back() {
        let places = Places::default();
        let (one, other) = (origin("192.0.2.7"), origin("192.0.2.8"));
        let (first, second) = (places.take(one, 2).unwrap(), places.take(one, 2).unwrap());
        assert!(places.take(one, 2).is_none());
        let third = places.take(other, 2).unwrap();
        drop(first);
        let again = places.take(one, 2).unwrap();
        assert!(places.take(one, 2).is_none());
        drop((second, third, again));
        assert!(places.held().is_empty());
    }
}
