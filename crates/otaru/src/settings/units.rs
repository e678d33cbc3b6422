//! Values of settings that are more than a text: lengths of time, sizes and whole numbers.
//!
//! One rule for all: a whole number, directly followed by its unit if it has one. A bare number never stands for a
//! time or a size, so nobody has to guess what it counts.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

type Units = [(&'static str, u64)];

const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 3] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A length of time, as `10s` or `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

/// A number of bytes, as `64KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIMES, f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0 as u64, &SIZES, f)
    }
}

/// Reads lengths of time between two others.
pub(crate) fn period(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Period, String> + Clone + Send + Sync + 'static {
    move |text| bounded(text, least, most, &TIMES).map(|ms| Period(Duration::from_millis(ms)))
}

/// Reads sizes between two others.
pub(crate) fn size(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Size, String> + Clone + Send + Sync + 'static {
    move |text| {
        let bytes = bounded(text, least, most, &SIZES)?;
        usize::try_from(bytes).map(Size).map_err(|e| e.to_string())
    }
}

/// Reads whole numbers of a range.
pub(crate) fn whole<N>(
    range: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static
where
    N: TryFrom<u32> + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|n| range.contains(n)).and_then(|n| N::try_from(n).ok());
        number.ok_or_else(|| format!("write a whole number from {} to {}", range.start(), range.end()))
    }
}

fn bounded(text: &str, least: &str, most: &str, units: &Units) -> Result<u64, String> {
    let bounds = read(least, units).zip(read(most, units));
    let value = read(text, units);
    match value.zip(bounds) {
        Some((value, (least, most))) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!(
            "write a whole number with its unit ({}), from {least} to {most}",
            units.iter().rev().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn read(text: &str, units: &Units) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that divides it.
fn show(value: u64, units: &Units, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match units.iter().find(|(_, factor)| value.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => write!(f, "{value}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_a_whole_number_and_its_unit() {
        let read = period("1ms", "400d");
        for (text, ms) in [("10s", 10_000), ("250ms", 250), ("5min", 300_000), ("90d", 7_776_000_000)] {
            let value = read(text).unwrap();
            assert_eq!((value.0.as_millis(), value.to_string().as_str()), (ms, text));
        }
        assert_eq!(period("1s", "1h")("120s").unwrap().to_string(), "2min");
        for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("2MiB", 2_097_152), ("262400B", 262_400)] {
            assert_eq!(size("1B", "4MiB")(text).unwrap(), Size(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_value_is_refused_with_what_is_allowed() {
        for wrong in
            ["", "10", "s", "1.5s", "10 s", "-1s", "10S", "10m", "0s", "61min", "99999999999999999999s"]
        {
            let error = period("1s", "1h")(wrong).unwrap_err();
            assert!(error.contains("ms, s, min, h, d") && error.contains("1s to 1h"), "{wrong}: {error}");
        }
        for wrong in ["64", "64KB", "64kib", "0B", "3MiB"] {
            assert!(size("1B", "2MiB")(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "x", "11", "1s"] {
            assert_eq!(
                whole::<i64>(1..=10)(wrong).unwrap_err(),
                "write a whole number from 1 to 10",
                "{wrong}"
            );
        }
    }
}
