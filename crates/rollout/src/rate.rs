//! The push rate of a job: never more than `rate_per_minute` pushes in any 60 seconds.
//!
//! One number per job is enough: the time the next push may leave, in microseconds. Pushes are
//! spaced 61 s / rate apart and an idle second may be caught up with, so any 60 s hold at most
//! what 61 s of spacing allow: the rate.

use crate::rows::Ms;

const CATCH_UP_US: i64 = 1_000_000;

fn spacing_us(rate_per_minute: i64) -> i64 {
    let rate = rate_per_minute.max(1);
    (61_000_000 + rate - 1) / rate
}

fn start_us(next_push_us: i64, now: Ms) -> i64 {
    next_push_us.max(now.saturating_mul(1_000) - CATCH_UP_US + 1)
}

/// How many pushes may leave at `now`.
pub fn allowance(next_push_us: i64, rate_per_minute: i64, now: Ms) -> i64 {
    let lag = now.saturating_mul(1_000) - start_us(next_push_us, now);
    if lag < 0 { 0 } else { lag / spacing_us(rate_per_minute) + 1 }
}

/// The new `next_push_us` after `n` pushes at `now`.
pub fn spend(next_push_us: i64, rate_per_minute: i64, now: Ms, n: i64) -> i64 {
    start_us(next_push_us, now) + n * spacing_us(rate_per_minute)
}

/// The new `next_push_us` of a job whose rate changes: as long after its last push as the new rate wants.
pub(crate) fn respaced(next_push_us: i64, old_per_minute: i64, new_per_minute: i64) -> i64 {
    next_push_us - spacing_us(old_per_minute) + spacing_us(new_per_minute)
}

/// The first millisecond at which the next push may leave.
pub fn next_at(next_push_us: i64) -> Ms {
    next_push_us.div_euclid(1_000) + i64::from(next_push_us.rem_euclid(1_000) != 0)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_sees_more_than_the_rate(rate in 1_i64..20_000, gaps in prop::collection::vec(0_i64..3_000, 1..200)) {
            let mut now = 1_700_000_000_000;
            let mut next = 0;
            let mut pushed: Vec<(Ms, i64)> = Vec::new();
            for gap in gaps {
                now += gap;
                let n = allowance(next, rate, now);
                next = spend(next, rate, now, n);
                pushed.push((now, n));
            }
            for (start, _) in &pushed {
                let seen: i64 = pushed.iter().filter(|(at, _)| at >= start && *at < start + 60_000).map(|(_, n)| n).sum();
                prop_assert!(seen <= rate, "{seen} pushes within a minute of {start}");
            }
        }

        #[test]
        fn no_minute_sees_more_than_the_fastest_of_its_rates(
            steps in prop::collection::vec((0_i64..3_000, 1_i64..2_000, any::<bool>()), 1..200),
        ) {
            let (mut now, mut next, mut rate) = (1_700_000_000_000, 0, 10);
            let mut pushed: Vec<(Ms, i64, i64)> = Vec::new();
            for (gap, other, changes) in steps {
                now += gap;
                if changes {
                    next = respaced(next, rate, other);
                    rate = other;
                }
                let n = allowance(next, rate, now);
                next = spend(next, rate, now, n);
                pushed.push((now, n, rate));
            }
            for (start, ..) in &pushed {
                let minute = || pushed.iter().filter(|(at, ..)| at >= start && *at < start + 60_000);
                let seen: i64 = minute().map(|(_, n, _)| n).sum();
                let fastest = minute().map(|(.., rate)| *rate).max().unwrap_or(0);
                prop_assert!(seen <= fastest, "{seen} pushes within a minute of {start}");
            }
        }

        #[test]
        fn a_push_may_leave_at_next_at_and_not_before(rate in 1_i64..20_000, n in 1_i64..50) {
            let now = 1_700_000_000_000;
            let next = spend(0, rate, now, n);
            let at = next_at(next);
            prop_assert!(allowance(next, rate, at) >= 1);
            prop_assert!(at - 1 < now || allowance(next, rate, at - 1) == 0);
        }
    }

    #[test]
    fn a_steady_minute_reaches_the_rate_within_three_per_cent() {
        let (mut next, mut sent, start) = (0, 0, 1_700_000_000_000);
        for now in (start..start + 60_000).step_by(100) {
            let n = allowance(next, 10_000, now);
            next = spend(next, 10_000, now, n);
            sent += n;
        }
        assert!((9_700..=10_000).contains(&sent), "{sent}");
    }
}
