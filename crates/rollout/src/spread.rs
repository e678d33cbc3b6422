//! A fixed order of a package's devices, so that 10 % are a part of 30 %.

use crate::rows::Id;

/// Where a device stands in the order of a package: evenly spread over all of `i64`, the same in
/// every run. Each package has another order, so that no device is always among the first.
pub fn spread(package: Id, device: Id) -> i64 {
    mix(mix(package as u64) ^ (device as u64)) as i64
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014), one step on.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_first_tenth_is_even_over_devices_and_differs_by_package() {
        let first_tenth = |package| -> Vec<i64> {
            let mut ids: Vec<i64> = (0..10_000).collect();
            ids.sort_by_key(|d| spread(package, *d));
            ids.truncate(1_000);
            ids
        };
        let (a, b) = (first_tenth(1), first_tenth(2));
        let low = a.iter().filter(|d| **d < 5_000).count();
        assert!((400..600).contains(&low), "{low} of 1000 from the lower half");
        let both = a.iter().filter(|d| b.contains(d)).count();
        assert!((50..200).contains(&both), "{both} devices are early in both packages");
    }
}
