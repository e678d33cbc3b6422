//! The byte budget of a job, or of a server: offers are spaced by the size of their files, so that what is offered in
//! any length of time is at most what the budget allows in it, and one file. What is being downloaded is never slowed
//! down.
//!
//! One number per budget is enough: until when it is used up by what was offered, in microseconds. Nothing of an idle
//! time is caught up with.

use crate::rows::Ms;

/// Files of which several use up less than this may be offered together: a clock is read, and a transaction written,
/// only so often. In this, "one file" is so much of the budget.
const TOGETHER_US: i64 = 100_000;

fn cost_us(kbit_per_second: i64, bytes: i64) -> i64 {
    let (bits, rate) = (bytes.max(1).saturating_mul(8_000), kbit_per_second.max(1));
    bits / rate + i64::from(bits % rate != 0)
}

fn start_us(used_until_us: i64, now: Ms) -> i64 {
    used_until_us.max(now.saturating_mul(1_000))
}

/// How many files of so many bytes may be offered at `now`.
pub(crate) fn allowance(kbit_per_second: i64, used_until_us: i64, bytes: i64, now: Ms) -> i64 {
    let cost = cost_us(kbit_per_second, bytes);
    let ahead = start_us(used_until_us, now) - now.saturating_mul(1_000);
    (cost.max(TOGETHER_US) - ahead).max(0) / cost
}

/// Until when the budget is used up, once such a file has been offered at `now`.
pub(crate) fn spend(kbit_per_second: i64, used_until_us: i64, bytes: i64, now: Ms) -> i64 {
    start_us(used_until_us, now).saturating_add(cost_us(kbit_per_second, bytes))
}

/// Until when a budget that changes is used up: what of it was still to come takes its time by the new one.
pub(crate) fn rescaled(used_until_us: i64, old_kbit: Option<i64>, new_kbit: Option<i64>, now: Ms) -> i64 {
    let (Some(old), Some(new)) = (old_kbit, new_kbit) else { return 0 };
    let now_us = now.saturating_mul(1_000);
    let left = i128::from(start_us(used_until_us, now) - now_us) * i128::from(old) / i128::from(new.max(1));
    now_us.saturating_add(i64::try_from(left).unwrap_or(i64::MAX))
}

/// The first millisecond at which such a file may be offered.
pub(crate) fn next_at(kbit_per_second: i64, used_until_us: i64, bytes: i64) -> Ms {
    let early = (TOGETHER_US - cost_us(kbit_per_second, bytes)).max(0);
    let at = used_until_us - early;
    at.div_euclid(1_000) + i64::from(at.rem_euclid(1_000) != 0)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const START: Ms = 1_700_000_000_000;

    proptest! {
        #[test]
        fn no_time_sees_more_than_its_budget_and_one_file(
            kbit in prop_oneof![1..100_i64, 1_000..1_000_000_i64],
            offers in prop::collection::vec((0..3_000_i64, 1..20_000_000_i64), 1..200),
        ) {
            let (mut now, mut until) = (START, 0);
            let mut offered: Vec<(Ms, i64)> = Vec::new();
            for (gap, bytes) in offers {
                now += gap;
                let n = allowance(kbit, until, bytes, now).min(1_000);
                for _ in 0..n {
                    until = spend(kbit, until, bytes, now);
                }
                offered.push((now, n * bytes));
            }
            let one = 20_000_000.max(kbit * 1_000 / 8 / 10);
            for (start, _) in &offered {
                let mut sum = 0;
                for (at, bytes) in offered.iter().filter(|(at, _)| at >= start) {
                    sum += bytes;
                    let allowed = (at - start) * kbit / 8 + one;
                    prop_assert!(sum <= allowed, "{sum} bytes from {start} to {at}, {allowed} are allowed");
                }
            }
        }

        #[test]
        fn what_a_changed_budget_has_still_to_carry_takes_its_time(
            old in 1..1_000_000_i64, new in 1..1_000_000_i64, bytes in 1..20_000_000_i64, gap in 0..1_000_000_i64,
        ) {
            let until = spend(old, 0, bytes, START);
            let now = START + gap;
            let left_us = (until - now * 1_000).max(0);
            let until = rescaled(until, Some(old), Some(new), now);
            let bits = |us: i64, kbit: i64| i128::from(us) * i128::from(kbit);
            let (before, after) = (bits(left_us, old), bits(until - now * 1_000, new));
            prop_assert!(after <= before && before - after < i128::from(new), "{before} and {after}");
        }

        #[test]
        fn a_file_may_be_offered_at_next_at_and_not_before(kbit in 1..1_000_000_i64, bytes in 1..20_000_000_i64, n in 1..9) {
            let mut until = 0;
            for _ in 0..n {
                until = spend(kbit, until, bytes, START);
            }
            let at = next_at(kbit, until, bytes);
            prop_assert!(allowance(kbit, until, bytes, at) >= 1);
            prop_assert!(at - 1 < START || allowance(kbit, until, bytes, at - 1) == 0);
        }
    }

    #[test]
    fn small_files_use_the_whole_budget_though_time_comes_in_steps() {
        // 4 096 bytes at 100 Mbit/s take a third of a millisecond.
        let (mut until, mut sent) = (0, 0);
        for now in (START..START + 60_000).step_by(20) {
            let n = allowance(100_000, until, 4_096, now);
            (0..n).for_each(|_| until = spend(100_000, until, 4_096, now));
            sent += n * 4_096;
        }
        let budget = 60 * 100_000_000 / 8;
        assert!((budget * 99 / 100..=budget + 1_250_000).contains(&sent), "{sent} of {budget}");
    }

    #[test]
    fn a_week_without_offers_is_not_caught_up_with() {
        let until = spend(8_000, 0, 1_000_000, START);
        let later = START + 7 * 24 * 3_600_000;
        assert_eq!(allowance(8_000, until, 1_000_000, later), 1);
        assert_eq!(allowance(8_000, spend(8_000, until, 1_000_000, later), 1_000_000, later + 999), 0);
        assert_eq!(allowance(8_000, spend(8_000, until, 1_000_000, later), 1_000_000, later + 1_000), 1);
    }
}
