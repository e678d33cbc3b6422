//! Times as they stand in a filter: RFC 3339, or so long before now.

use core::fmt;

use super::Moment;
use crate::rows::Ms;

const DAY: Ms = 86_400_000;
/// 9999-12-31T23:59:59.999Z
const LAST: Ms = 253_402_300_799_999;
/// Longest way back.
const LONGEST: Ms = 100 * 366 * DAY;
const UNITS: [(&str, Ms); 4] = [("d", DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// Reads `now`, `now-7d` or a time in RFC 3339.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("now") {
        Some("") => Some(Moment::Ago(0)),
        Some(back) => duration(back.strip_prefix('-')?).map(Moment::Ago),
        None => rfc_3339(&lower).map(Moment::At),
    }
}

fn duration(text: &str) -> Option<Ms> {
    let unit = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at))?;
    let (number, unit) = text.split_at(unit);
    let length = match unit {
        "w" => 7 * DAY,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let n: Ms = digits(number)?;
    n.checked_mul(length).filter(|ms| *ms <= LONGEST)
}

fn digits(text: &str) -> Option<Ms> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `2026-11-01t00:00:00.000z`, with any offset.
fn rfc_3339(text: &str) -> Option<Ms> {
    let (date, time) = text.split_once('t')?;
    let (year, month, day) = three(date, '-', [4, 2, 2])?;
    let (time, offset) = offset(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let (hour, minute, second) = three(time, ':', [2, 2, 2])?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let ms = ((days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second;
    let ms = ms * 1_000 + thousandths(fraction)?;
    (valid && (0..=LAST).contains(&ms)).then_some(ms)
}

/// A time without its offset, and the offset in minutes.
fn offset(time: &str) -> Option<(&str, Ms)> {
    if let Some(time) = time.strip_suffix('z') {
        return Some((time, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (hours, minutes) = time[at + 1..].split_once(':')?;
    let two = |text: &str| digits(text).filter(|_| text.len() == 2);
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let offset = hours * 60 + minutes;
    (hours < 24 && minutes < 60)
        .then_some((&time[..at], if time.as_bytes().get(at) == Some(&b'-') { -offset } else { offset }))
}

fn three(text: &str, sign: char, lengths: [usize; 3]) -> Option<(Ms, Ms, Ms)> {
    let mut parts = text.split(sign);
    let mut part = |length| parts.next().filter(|part| part.len() == length).and_then(digits);
    let found = (part(lengths[0])?, part(lengths[1])?, part(lengths[2])?);
    parts.next().is_none().then_some(found)
}

/// The first three digits of a fraction; finer ones are left out.
fn thousandths(fraction: &str) -> Option<Ms> {
    digits(fraction)?;
    let mut digits = fraction.bytes().map(|b| Ms::from(b - b'0'));
    let mut next = || digits.next();
    let first = next()?;
    Some(first * 100 + next().unwrap_or(0) * 10 + next().unwrap_or(0))
}

fn is_leap(year: Ms) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: Ms, month: Ms) -> Ms {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970 to a date.
fn days(year: Ms, month: Ms, day: Ms) -> Ms {
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400 - 477;
    (year - 1970) * 365 + leaps + (1..month).map(|month| days_in(year, month)).sum::<Ms>() + day - 1
}

pub(super) fn write(f: &mut fmt::Formatter<'_>, ms: Ms) -> fmt::Result {
    let (mut rest, time) = (ms.div_euclid(DAY), ms.rem_euclid(DAY));
    // No year has more days than this many, so the year is this one or one of the next few.
    let mut year = 1970 + rest / 366;
    rest -= days(year, 1, 1);
    while rest >= 365 + Ms::from(is_leap(year)) {
        rest -= 365 + Ms::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while rest >= days_in(year, month) {
        rest -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (time / 3_600_000, time / 60_000 % 60, time / 1_000 % 60);
    write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}", rest + 1)?;
    match time % 1_000 {
        0 => f.write_str("Z"),
        ms => write!(f, ".{ms:03}Z"),
    }
}

pub(super) fn write_ago(f: &mut fmt::Formatter<'_>, ms: Ms) -> fmt::Result {
    match UNITS.iter().find(|(_, length)| ms % length == 0) {
        _ if ms == 0 => f.write_str("now"),
        Some((unit, length)) => write!(f, "now-{}{unit}", ms / length),
        None => write!(f, "now-{}s", ms / 1_000),
    }
}
