//! Windows of jobs as people write them: `mon-fri 22:00-04:00`.

use api::dto::{Day, Window};

use super::spelt;

/// Reads `DAYS FROM-TO`, or `FROM-TO` for every day; DAYS are single ones and ranges, as `mon-fri,sun`.
pub(super) fn read(text: &str) -> Result<Window, String> {
    let wrong = || {
        format!("{text:?} is no window: write it as \"mon-fri 22:00-04:00\", or as 22:00-04:00 for every day")
    };
    let (names, times) = match text.trim().rsplit_once(' ') {
        Some((names, times)) => (Some(names), times),
        None => (None, text.trim()),
    };
    let (from, to) = times.split_once('-').ok_or_else(wrong)?;
    let days = names.map(days).transpose().map_err(|()| wrong())?;
    Ok(Window { days, from: from.into(), to: to.into() })
}

fn days(names: &str) -> Result<Vec<Day>, ()> {
    let mut days = Vec::new();
    for part in names.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let count = (last + 7 - first) % 7 + 1;
        days.extend(Day::ALL.into_iter().cycle().skip(first).take(count));
    }
    Ok(days)
}

fn day(name: &str) -> Result<usize, ()> {
    let name = name.trim().to_lowercase();
    Day::ALL.iter().position(|day| spelt(day) == name).ok_or(())
}

/// A window for people.
pub(super) fn shown(window: &Window) -> String {
    let Window { days, from, to } = window;
    match days {
        None => format!("every day {from}-{to}"),
        Some(days) => format!("{} {from}-{to}", days.iter().map(spelt).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_window_is_days_and_times() {
        use Day::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        for (text, days) in [
            ("22:00-04:00", None),
            ("mon 22:00-04:00", Some(vec![Mon])),
            ("Mon-Fri 22:00-04:00", Some(vec![Mon, Tue, Wed, Thu, Fri])),
            ("fri-mon 22:00-04:00", Some(vec![Fri, Sat, Sun, Mon])),
            ("tue, sat-sun 22:00-04:00", Some(vec![Tue, Sat, Sun])),
        ] {
            assert_eq!(
                read(text).unwrap(),
                Window { days, from: "22:00".into(), to: "04:00".into() },
                "{text}"
            );
        }
        for wrong in
            ["", "22:00", "mo 22:00-04:00", "mon- 22:00-04:00", "mon-fri-sun 22:00-04:00", ", 22:00-04:00"]
        {
            assert!(read(wrong).unwrap_err().contains("mon-fri 22:00-04:00"), "{wrong}");
        }
        assert_eq!(shown(&read("fri-mon 22:00-04:00").unwrap()), "fri,sat,sun,mon 22:00-04:00");
        assert_eq!(shown(&read("22:00-04:00").unwrap()), "every day 22:00-04:00");
    }
}
