//! A connection that loses, doubles, delays, damages and breaks.

use crate::platform::Message;
use crate::rng::Rng;

/// What a link is like. All shares are per cent of the messages that may be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// u64econds for the way there and back.
    pub round_trip: u64,
    /// Bytes a second in each direction; 0 is as many as there are.
    pub rate: u64,
    /// Messages that do not arrive.
    pub lose: u8,
    /// Messages that arrive twice.
    pub double: u8,
    /// Messages of which one bit changes.
    pub damage: u8,
    /// u64econds that a message can be late, so that others pass it.
    pub jitter: u64,
    /// How many messages of a thousand, of any kind, break the connection: what is under way is lost.
    pub breaks: u16,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the device to the platform.
    Up,
    /// From the platform to the device.
    Down,
}

/// Both directions of a connection, in virtual time.
#[derive(Clone, Debug)]
pub struct FaultyLink {
    /// What happens to messages from now on.
    pub conditions: Conditions,
    rng: Rng,
    messages: Vec<UnderWay>,
    sent: u64,
    /// When the last byte sent each way leaves.
    busy_until: [u64; 2],
    is_broken: bool,
}

#[derive(Clone, Debug)]
struct UnderWay {
    arrives: u64,
    number: u64,
    way: Way,
    sure: bool,
    message: Message,
}

impl FaultyLink {
    /// A link like this, with faults by this chance.
    pub fn new(conditions: Conditions, rng: Rng) -> Self {
        Self { conditions, rng, messages: Vec::new(), sent: 0, busy_until: [0; 2], is_broken: false }
    }

    /// Sends a message. One that is `sure` arrives unless the connection breaks, as reports and notices do that are
    /// acknowledged and repeated. `false` if the connection is broken.
    pub fn send(&mut self, now: u64, way: Way, message: Message, sure: bool) -> bool {
        let Conditions { round_trip, rate, lose, double, damage, jitter, breaks } = self.conditions;
        if self.rng.below(1000) < breaks.into() {
            self.is_broken = true;
        }
        if self.is_broken {
            return false;
        }
        if !sure && self.rng.chance(lose) {
            return true;
        }
        let size = (message.0.len() + message.1.len()) as u64;
        let busy_until = &mut self.busy_until[way as usize];
        *busy_until = now.max(*busy_until) + (size * 1000).checked_div(rate).unwrap_or(0);
        let arrives = *busy_until + round_trip / 2;
        let copies = if !sure && self.rng.chance(double) { 2 } else { 1 };
        for _ in 0..copies {
            let mut message = message.clone();
            if !sure && self.rng.chance(damage) && !message.1.is_empty() {
                let at = self.rng.below(message.1.len() as u64) as usize;
                message.1[at] ^= 1 << self.rng.below(8);
            }
            let late = if sure { 0 } else { self.rng.below(jitter + 1) };
            self.sent += 1;
            self.messages.push(UnderWay { arrives: arrives + late, number: self.sent, way, sure, message });
        }
        true
    }

    /// The next message that has arrived, if any.
    pub fn receive(&mut self, now: u64, way: Way) -> Option<Message> {
        let arrived = self.messages.iter().enumerate().filter(|(_, m)| m.way == way && m.arrives <= now);
        let (index, _) = arrived.min_by_key(|(_, m)| (m.arrives, m.number))?;
        Some(self.messages.remove(index).message)
    }

    /// When the next message arrives.
    pub fn next(&self) -> Option<u64> {
        self.messages.iter().map(|message| message.arrives).min()
    }

    /// Whether all that was sent up and is sure has arrived.
    pub fn is_settled(&self) -> bool {
        !self.is_broken && !self.messages.iter().any(|message| message.way == Way::Up && message.sure)
    }

    /// Whether the connection broke. A new one is there after that, with nothing under way.
    pub fn take_broken(&mut self) -> bool {
        let broken = std::mem::take(&mut self.is_broken);
        if broken {
            self.clear();
        }
        broken
    }

    /// Nothing is under way any more.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.busy_until = [0; 2];
    }
}
