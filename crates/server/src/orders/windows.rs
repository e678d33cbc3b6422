//! Maintenance windows and byte budgets of a new job.

use rollout::{Ms, Terms, Window, Zone};

use crate::error::OrderError;

const MOST_WINDOWS: usize = 20;
const MOST_KBIT: i64 = 1_000_000_000;
const MINUTES_OF_DAY: u16 = 1_440;

/// How far clocks on Earth are behind UTC at most, and ahead of it.
const BEHIND_MS: Ms = 12 * 3_600_000;
const AHEAD_MS: Ms = 14 * 3_600_000;

pub(super) fn check_windows(terms: &Terms) -> Result<(), OrderError> {
    let windows = &terms.windows;
    if windows.len() > MOST_WINDOWS {
        return refuse(format!("windows takes at most {MOST_WINDOWS} windows, these are {}", windows.len()));
    }
    for (place, window) in windows.iter().enumerate() {
        check_window(place, *window)?;
        if let Some(other) = windows[..place].iter().position(|other| other.overlaps(*window)) {
            return refuse(format!(
                "windows[{place}] ({}) overlaps windows[{other}] ({}); let each begin when or after the other has ended",
                times(*window),
                times(windows[other])
            ));
        }
    }
    Ok(())
}

fn check_window(place: usize, window: Window) -> Result<(), OrderError> {
    let of_day = window.from < MINUTES_OF_DAY && window.to <= MINUTES_OF_DAY && window.days < 1 << 7;
    if !of_day {
        return refuse(format!("windows[{place}] must be from 00:00 to 23:59, until 00:01 to 24:00"));
    }
    if window.days == 0 {
        return refuse(format!(
            "windows[{place}] has no day: days names at least one of mon to sun, or is left out for all"
        ));
    }
    if window.from == window.to {
        return refuse(format!(
            "windows[{place}] has no minute: it begins and ends at {}; write 00:00 to 24:00 for a whole day",
            time(window.from)
        ));
    }
    Ok(())
}

/// A job whose end comes before any of its windows opens, wherever a device may be, would tell nobody.
pub(super) fn check_opening(terms: &Terms, now: Ms) -> Result<(), OrderError> {
    let Some(end) = terms.end_at else { return Ok(()) };
    let from = terms.start_at.unwrap_or(now);
    if terms.openings(&Zone::default()).opens_at(from - BEHIND_MS) < end + AHEAD_MS {
        return Ok(());
    }
    let text = "no window opens between the start of the job and endAt, in no time zone: nobody would be told. Move endAt, or the windows";
    Err(OrderError::invalid("windowsInvalid", text).with("fields", ["windows", "endAt"]))
}

pub(super) fn check_budget(terms: &Terms) -> Result<(), OrderError> {
    if terms.kbit_per_second.is_none_or(|kbit| (1..=MOST_KBIT).contains(&kbit)) {
        return Ok(());
    }
    let text =
        "maxMbitPerSecond is not allowed: 0.001 to 1000000, in steps of 0.001; leave it out for no limit";
    Err(OrderError::invalid("numberInvalid", text).with("field", "maxMbitPerSecond"))
}

fn refuse(text: String) -> Result<(), OrderError> {
    Err(OrderError::invalid("windowsInvalid", text).with("field", "windows"))
}

fn times(window: Window) -> String {
    format!("{}-{}", time(window.from), time(window.to))
}

fn time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
