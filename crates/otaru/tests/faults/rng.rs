//! Numbers that look random and are the same again for the same rng seed.

/// SplitMix64.
pub(crate) struct Rng(u64);

impl Rng {
    /// From `OTARU_FAULTS_SEED`, or from the clock; printed, so that a failure can be had again.
    pub(crate) fn from_environment() -> Self {
        let seed = match std::env::var("OTARU_FAULTS_SEED") {
            Ok(text) => text.parse().expect("OTARU_FAULTS_SEED must be a number"),
            Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 % 1_000_000_000,
        };
        println!("rng seed {seed}; to have it again: OTARU_FAULTS_SEED={seed}");
        Self(seed)
    }

    /// The same for the same text.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Another source, for somebody who draws at times of his own.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
