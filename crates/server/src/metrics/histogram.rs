//! How often a measure fell into which range.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts whole numbers by ranges. As cheap as three counters.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// The upper ends of the ranges, growing.
    bounds: &'static [u64],
    /// One more than bounds: the last takes what is beyond.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// A histogram as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// How many were at most this large, for each bound; the last bound is infinite.
    pub at_most: Vec<(f64, u64)>,
    /// All of them together.
    pub sum: f64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    pub(crate) fn observe(&self, value: u64) {
        let range = self.bounds.partition_point(|bound| *bound < value);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// As it stands, in units of which `unit` of the numbers observed make one.
    pub(crate) fn ranges(&self, unit: f64) -> Ranges {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
        let mut count = 0;
        let add = |(bound, n): (f64, &AtomicU64)| {
            count += n.load(Ordering::Relaxed);
            (bound, count)
        };
        Ranges { at_most: bounds.zip(&self.counts).map(add).collect(), sum: self.sum() as f64 / unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_its_range_and_all_above() {
        let histogram = Histogram::new(&[10, 1_000]);
        [0, 10, 11, 1_000, 1_001, 5_000].iter().for_each(|value| histogram.observe(*value));
        let ranges = histogram.ranges(1_000.0);
        assert_eq!(ranges.at_most, [(0.01, 2), (1.0, 4), (f64::INFINITY, 6)]);
        assert!((ranges.sum - 7.022).abs() < 1e-9);
        assert_eq!(histogram.count(), 6);
    }
}
