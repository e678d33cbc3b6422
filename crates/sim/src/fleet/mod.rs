//! Many devices under one virtual clock, on faulty links.
//!
//! A [`Unit`] is one device: the updater of the crate `device`, what outlives its reboots, and a [`Fate`] that says
//! what becomes of it. A [`Fleet`] runs many of them against any [`Ground`], in the order of a virtual clock; the
//! same seed always gives the same run.

mod fate;
mod unit;

use std::collections::BTreeMap;

use crate::{Conditions, FaultyLink, Message, Rng, Way};

pub use fate::Fate;
pub use unit::{PRODUCT_KEY, Polled, Publish, TARGET, Unit};

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// On each unit's link. What is to be acknowledged counts as sure there, unless the connection breaks.
    pub link: Conditions,
    /// Devices whose power is cut once, in per cent.
    pub power_cuts: u8,
    /// How often the platform dies.
    pub crashes: u32,
    /// In which time the cuts and crashes are, in milliseconds.
    pub trouble: u64,
}

/// What a fleet is run against. Times are milliseconds.
pub trait Ground {
    /// A unit's connection is up.
    fn connected(&mut self, unit: usize);
    /// A unit's connection is gone.
    fn gone(&mut self, unit: usize);
    /// A unit published. It counts as taken with the end of the next [`Ground::turn`].
    fn uplink(&mut self, unit: usize, topic: &str, payload: &[u8]);
    /// Decides what has come and what is due; gives what leaves for whom.
    fn turn(&mut self, now: u64) -> Vec<(usize, Message)>;
    /// When something is due next.
    fn next(&self) -> Option<u64>;
    /// Dies, and comes back with what it had written. Every connection is gone.
    fn crash(&mut self, now: u64);
    /// Nothing is left to be done.
    fn is_done(&self) -> bool;
}

/// The length of one turn in milliseconds: what comes within it comes together.
const TURN: u64 = 10;
/// After a device has said that it starts anew, what it sent is still on its way for so long.
const FAREWELL: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Boot,
    Connect,
    /// The unit wants time.
    Wake,
    /// Something has arrived at an end of its link.
    Arrival,
    Cut,
    /// It closes its connection, to start anew.
    Close,
}

/// A unit and its link.
struct Place<'a> {
    unit: Unit<'a>,
    link: FaultyLink,
    online: bool,
    /// What was sent on this connection, is to be acknowledged, and is not yet.
    unacknowledged: Vec<Message>,
    wakes_at: Option<u64>,
}

/// Many units, one clock.
pub struct Fleet<'a> {
    now: u64,
    rng: Rng,
    places: Vec<Place<'a>>,
    happenings: BTreeMap<(u64, u64), (usize, Happening)>,
    sequence: u64,
    crashes: Vec<u64>,
    /// Handed to the platform and not yet taken.
    handed: Vec<(usize, Message)>,
}

impl<'a> Fleet<'a> {
    /// A fleet that comes up at `now`, within a minute, with fates from `draw`, such as [`Fate::draw`].
    pub fn new(names: &'a [String], draw: fn(&mut Rng) -> Fate, seed: u64, faults: Faults, now: u64) -> Self {
        let mut rng = Rng::new(seed);
        let units: Vec<Unit<'a>> = names.iter().map(|name| Unit::new(name, draw(&mut rng))).collect();
        let place = |unit| {
            let link = FaultyLink::new(faults.link, Rng::new(rng.below(u64::MAX)));
            Place { unit, link, online: false, unacknowledged: Vec::new(), wakes_at: None }
        };
        let places: Vec<Place<'a>> = units.into_iter().map(place).collect();
        let mut crashes: Vec<u64> = (0..faults.crashes).map(|_| now + rng.below(faults.trouble)).collect();
        crashes.sort_unstable();
        let (happenings, handed) = (BTreeMap::new(), Vec::new());
        let mut fleet = Self { now, rng, places, happenings, sequence: 0, crashes, handed };
        for unit in 0..fleet.places.len() {
            let at = now + fleet.rng.below(60_000);
            fleet.put(at, unit, Happening::Boot);
            if fleet.rng.chance(faults.power_cuts) {
                let at = now + fleet.rng.below(faults.trouble);
                fleet.put(at, unit, Happening::Cut);
            }
        }
        fleet
    }

    /// The units, in the order of their names.
    pub fn units(&self) -> impl Iterator<Item = &Unit<'a>> {
        self.places.iter().map(|place| &place.unit)
    }

    /// Runs until nothing is left to be done or the clock shows `until`.
    pub fn run(&mut self, ground: &mut impl Ground, until: u64) {
        while !ground.is_done() {
            let first = self.happenings.keys().next().map(|(at, _)| *at);
            let next = [first, ground.next(), self.crashes.first().copied()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next.div_ceil(TURN) * TURN);
            self.crash_if_due(ground);
            while let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (unit, happening) = entry.remove();
                self.happen(ground, unit, happening);
            }
            self.turn(ground);
        }
    }

    fn put(&mut self, at: u64, unit: usize, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert((at, self.sequence), (unit, happening));
    }

    fn crash_if_due(&mut self, ground: &mut impl Ground) {
        if self.crashes.first().is_none_or(|at| *at > self.now) {
            return;
        }
        self.crashes.remove(0);
        ground.crash(self.now);
        self.handed.clear();
        for unit in 0..self.places.len() {
            self.lose_line(unit, 1_000);
        }
    }

    /// A unit that was online comes back after a while.
    fn lose_line(&mut self, unit: usize, least: u64) {
        let place = &mut self.places[unit];
        place.link.clear();
        place.unacknowledged.clear();
        if std::mem::take(&mut place.online) {
            place.unit.disconnected();
            let at = self.now + least + self.rng.below(20_000);
            self.put(at, unit, Happening::Connect);
        }
    }

    fn happen(&mut self, ground: &mut impl Ground, unit: usize, happening: Happening) {
        let place = &mut self.places[unit];
        match happening {
            Happening::Boot if !place.unit.is_up() => {
                place.unit.boot();
                self.put(self.now, unit, Happening::Connect);
            }
            Happening::Connect if !place.online && place.unit.is_up() => self.connect(ground, unit),
            Happening::Cut if place.unit.is_up() => {
                place.unit.cut();
                self.close(ground, unit);
                self.boot_later(unit);
            }
            Happening::Close if !place.unit.is_up() => self.close(ground, unit),
            Happening::Wake if place.wakes_at.is_some_and(|at| at <= self.now) => self.poll(unit),
            Happening::Arrival => self.arrive(ground, unit),
            _ => {}
        }
        self.see_to_breaks(ground, unit);
    }

    /// A link that broke is noticed at both ends.
    fn see_to_breaks(&mut self, ground: &mut impl Ground, unit: usize) {
        let place = &mut self.places[unit];
        if place.link.take_broken() && place.online {
            ground.gone(unit);
            self.lose_line(unit, 1_000);
        }
    }

    fn connect(&mut self, ground: &mut impl Ground, unit: usize) {
        let place = &mut self.places[unit];
        place.online = true;
        place.unit.connected();
        ground.connected(unit);
        self.poll(unit);
    }

    fn arrive(&mut self, ground: &mut impl Ground, unit: usize) {
        while let Some(message) = self.places[unit].link.receive(self.now, Way::Up) {
            ground.uplink(unit, &message.0, &message.1);
            self.handed.push((unit, message));
        }
        while let Some((topic, payload)) = self.places[unit].link.receive(self.now, Way::Down) {
            self.places[unit].unit.message(self.now, &topic, &payload);
            self.poll(unit);
        }
        self.await_arrival(unit);
    }

    fn poll(&mut self, unit: usize) {
        let polled = self.places[unit].unit.poll(self.now);
        for Publish { message, acknowledged } in polled.publishes {
            self.send_up(unit, message, acknowledged);
        }
        self.places[unit].wakes_at = polled.wake;
        if polled.reboots {
            self.put(self.now + FAREWELL, unit, Happening::Close);
            self.boot_later(unit);
        } else if let Some(at) = polled.wake {
            self.put(at.max(self.now + 1), unit, Happening::Wake);
        }
    }

    fn close(&mut self, ground: &mut impl Ground, unit: usize) {
        let place = &mut self.places[unit];
        place.link.clear();
        place.unacknowledged.clear();
        if std::mem::take(&mut place.online) {
            ground.gone(unit);
        }
    }

    /// Later than the farewell.
    fn boot_later(&mut self, unit: usize) {
        let at = self.now + 5_000 + self.rng.below(20_000);
        self.put(at, unit, Happening::Boot);
    }

    fn send_up(&mut self, unit: usize, message: Message, acknowledged: bool) {
        if acknowledged {
            self.places[unit].unacknowledged.push(message.clone());
        }
        self.send(unit, Way::Up, message, acknowledged);
    }

    fn send(&mut self, unit: usize, way: Way, message: Message, sure: bool) {
        self.places[unit].link.send(self.now, way, message, sure);
        self.await_arrival(unit);
    }

    fn await_arrival(&mut self, unit: usize) {
        if let Some(at) = self.places[unit].link.next() {
            self.put(at, unit, Happening::Arrival);
        }
    }

    fn turn(&mut self, ground: &mut impl Ground) {
        let out = ground.turn(self.now);
        for (unit, message) in std::mem::take(&mut self.handed) {
            let Place { unit, unacknowledged, .. } = &mut self.places[unit];
            unacknowledged.retain(|sent| *sent != message);
            if unacknowledged.is_empty() {
                unit.settled();
            }
        }
        for (unit, message) in out {
            self.send(unit, Way::Down, message, false);
            self.see_to_breaks(ground, unit);
        }
    }
}
