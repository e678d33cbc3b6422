//! Messages under way, and what can happen to them.

/// A small generator (xorshift64*): the same seed always gives the same faults.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1)
    }

    pub fn chance(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }
}

/// Faults of block requests and blocks, in per cent of messages. Reports and notices always arrive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub lose: u8,
    pub double: u8,
    /// One byte of the frame changes.
    pub damage: u8,
    /// The frame ends early.
    pub shorten: u8,
    /// Milliseconds that a message can be late, so that others pass it.
    pub jitter: u64,
}

type Message = (u64, u64, String, Vec<u8>);

/// Both directions of a connection with 50 ms each way.
pub struct Link {
    pub faults: Faults,
    pub rng: Rng,
    up: Vec<Message>,
    down: Vec<Message>,
    sent: u64,
}

impl Link {
    pub fn new(seed: u64) -> Self {
        Self { faults: Faults::default(), rng: Rng::new(seed), up: Vec::new(), down: Vec::new(), sent: 0 }
    }

    /// The connection ends: nothing under way arrives.
    pub fn cut(&mut self) {
        self.up.clear();
        self.down.clear();
    }

    pub fn send_up(&mut self, now: u64, topic: String, payload: Vec<u8>) {
        let sent = self.send(now, topic, payload);
        self.up.extend(sent);
    }

    pub fn send_down(&mut self, now: u64, topic: String, payload: Vec<u8>) {
        let sent = self.send(now, topic, payload);
        self.down.extend(sent);
    }

    pub fn take_up(&mut self, now: u64) -> Option<(String, Vec<u8>)> {
        take(&mut self.up, now)
    }

    pub fn take_down(&mut self, now: u64) -> Option<(String, Vec<u8>)> {
        take(&mut self.down, now)
    }

    /// Whether all that always arrives and was sent up has.
    pub fn is_settled(&self) -> bool {
        self.up.iter().all(|(_, _, topic, _)| topic.contains("/file/"))
    }

    /// When the next message arrives.
    pub fn next(&self) -> Option<u64> {
        self.up.iter().chain(&self.down).map(|message| message.0).min()
    }

    fn send(&mut self, now: u64, topic: String, mut payload: Vec<u8>) -> Vec<Message> {
        let Faults { lose, double, damage, shorten, jitter } = self.faults;
        let reliable = !topic.contains("/file/");
        if !reliable && self.rng.chance(lose) {
            return Vec::new();
        }
        let copies = if !reliable && self.rng.chance(double) { 2 } else { 1 };
        if !reliable && self.rng.chance(damage) {
            let at = self.rng.below(payload.len() as u64) as usize;
            payload[at] ^= 1 << self.rng.below(8);
        }
        if !reliable && self.rng.chance(shorten) {
            payload.truncate(self.rng.below(payload.len() as u64) as usize);
        }
        let mut messages = Vec::new();
        for _ in 0..copies {
            let late = if reliable { 0 } else { self.rng.below(jitter + 1) };
            self.sent += 1;
            messages.push((now + 50 + late, self.sent, topic.clone(), payload.clone()));
        }
        messages
    }
}

fn take(queue: &mut Vec<Message>, now: u64) -> Option<(String, Vec<u8>)> {
    let (index, _) = queue.iter().enumerate().min_by_key(|(_, message)| (message.0, message.1))?;
    if queue[index].0 > now {
        return None;
    }
    let (_, _, topic, payload) = queue.remove(index);
    Some((topic, payload))
}
