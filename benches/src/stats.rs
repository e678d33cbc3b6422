//! Several measurements of one thing.

use std::fmt;

/// The results of all rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        match (self.0.get(low), self.0.get(high)) {
            (Some(low), Some(high)) => (low + high) / 2.0,
            _ => f64::NAN,
        }
    }

    fn ends(&self) -> (f64, f64) {
        (self.0.first().copied().unwrap_or(f64::NAN), self.0.last().copied().unwrap_or(f64::NAN))
    }
}

/// The median, and in parentheses the smallest and the largest.
impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.ends();
        write!(f, "{} ({}–{})", Short(self.median()), Short(least), Short(most))
    }
}

/// A number with three significant digits or all before the point.
pub(crate) struct Short(pub(crate) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            10_000.0.. => write!(f, "{:.1}k", self.0 / 1000.0),
            100.0.. => write!(f, "{:.0}", self.0),
            10.0.. => write!(f, "{:.1}", self.0),
            _ => write!(f, "{:.2}", self.0),
        }
    }
}

/// The value that `share` per cent of the sorted values do not exceed.
pub(crate) fn percentile(sorted: &[u32], share: usize) -> u32 {
    sorted.get((sorted.len().saturating_sub(1)) * share / 100).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let mut rounds = Rounds::default();
        for value in [3.0, 1.0, 2.0, 10.0] {
            rounds.add(value);
        }
        assert_eq!(rounds.to_string(), "2.50 (1.00–10.0)");
        rounds.add(20_000.0);
        assert_eq!(rounds.to_string(), "3.00 (1.00–20.0k)");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=101).collect();
        assert_eq!([50, 99, 100].map(|share| percentile(&values, share)), [51, 100, 101]);
        assert_eq!(percentile(&[], 99), 0);
    }
}
