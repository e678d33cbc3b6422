//! Faults on request. Each single fault happens once a run, so that a repeated update can succeed.

use std::hash::{BuildHasher as _, RandomState};

use super::Options;

/// The faults still to come.
pub(super) struct Faults {
    /// Per cent stored at which the update is given up.
    fail_at: Option<u8>,
    /// Per cent stored at which the power is cut.
    reboot_at: Option<u8>,
    drop_rate: f64,
    random: u64,
}

impl Faults {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            fail_at: options.fail_at,
            reboot_at: options.reboot_at,
            drop_rate: options.drop_rate,
            random: RandomState::new().hash_one("blocks to lose") | 1,
        }
    }

    /// Whether the update is to fail now.
    pub(super) fn fails(&mut self, percent: u8) -> bool {
        self.fail_at.take_if(|at| *at <= percent).is_some()
    }

    /// Whether the power is to be cut now.
    pub(super) fn reboots(&mut self, percent: u8) -> bool {
        self.reboot_at.take_if(|at| *at <= percent).is_some()
    }

    /// Whether this block is lost (xorshift64*).
    pub(super) fn drops(&mut self) -> bool {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let draw = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        (draw as f64) < self.drop_rate * (1_u64 << 32) as f64
    }
}
