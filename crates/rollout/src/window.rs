//! Maintenance windows: when a job may tell devices of their tasks, by the clocks where the devices are.
//!
//! A window is open as long as a clock on the wall shows a time within it. So one that holds the hour that clocks
//! skip in spring is an hour shorter that night, and one that holds the hour they repeat in autumn an hour longer.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::rows::{Id, Job, Ms, Rows, Task};
use crate::terms::Terms;

const MINUTE: Ms = 60_000;
const DAY: Ms = 24 * 60 * MINUTE;
const WEEK: Ms = 7 * DAY;
/// The first day of 1970 was a Thursday.
const FROM_MONDAY: Ms = 3 * DAY;

/// How far ahead of a moment, and back from it, a [`Zone`] must tell the truth; nobody looks further.
pub const ZONE_REACH_MS: Ms = 400 * DAY;

/// The tag by which a device says in which zone it is.
pub const TIME_ZONE_TAG: &str = "timezone";

/// The zone of who has none of its own: the server's.
pub const SERVER_ZONE: &str = "";

/// A time of day on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it opens: bit 0 is Monday, bit 6 Sunday.
    pub days: u8,
    /// The first minute of the day in it, 0 to 1439.
    pub from: u16,
    /// The first minute not in it any more, up to 1440; at or before `from` it is one of the next day.
    pub to: u16,
}

impl Window {
    fn length(self) -> Ms {
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        MINUTE * if from < to { to - from } else { to + 1_440 - from }
    }

    /// Milliseconds of the week at which it opens.
    fn starts(self) -> impl Iterator<Item = Ms> {
        let on = move |day: &i64| self.days & (1 << day) != 0;
        (0..7).filter(on).map(move |day| day * DAY + i64::from(self.from) * MINUTE)
    }

    /// How long it is still open, `at` milliseconds into the week; 0 if it is closed.
    fn left(self, at: Ms) -> Ms {
        let left = |start: Ms| self.length() - (at - start).rem_euclid(WEEK);
        self.starts().map(left).max().unwrap_or(0).max(0)
    }

    /// Whether both are open at some time of the week.
    pub fn overlaps(self, other: Self) -> bool {
        self.starts().any(|at| other.left(at) > 0) || other.starts().any(|at| self.left(at) > 0)
    }
}

/// By how much the clocks of a zone are ahead of UTC: each number of milliseconds from a moment on, in order. The
/// first holds before its moment, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone(pub Vec<(Ms, Ms)>);

static UTC: Zone = Zone(Vec::new());

impl Zone {
    /// What clocks are ahead at a moment, and when that changes next.
    fn at(&self, moment: Ms) -> (Ms, Option<Ms>) {
        let next = self.0.partition_point(|(from, _)| *from <= moment).max(1);
        let ahead = self.0.get(next - 1).map_or(0, |(_, ahead)| *ahead);
        (ahead, self.0.get(next).map(|(from, _)| *from))
    }
}

/// The windows of a job on the clocks of one zone. Without a window it is always open.
#[derive(Debug)]
pub struct Openings<'a> {
    windows: &'a [Window],
    zone: &'a Zone,
}

impl Openings<'_> {
    /// The first moment from `from` on at which a window is open.
    pub fn opens_at(&self, from: Ms) -> Ms {
        if self.windows.is_empty() {
            return from;
        }
        let mut at = from;
        while at < from + ZONE_REACH_MS {
            let (ahead, change) = self.zone.at(at);
            let opens = at + self.until_open(at + ahead);
            match change {
                Some(change) if change <= opens && opens > at => at = change,
                _ => return opens,
            }
        }
        at
    }

    /// The first moment from `from` on, at which a window is open, at which none is.
    fn closes_at(&self, from: Ms) -> Ms {
        let mut at = from;
        while at < from + ZONE_REACH_MS {
            let (ahead, change) = self.zone.at(at);
            let left = self.left(at + ahead);
            if left == 0 {
                break;
            }
            at = change.unwrap_or(Ms::MAX).min(at + left);
        }
        at
    }

    /// The moment until which windows have been open for so long since `from`.
    pub fn after_open(&self, from: Ms, open: Ms) -> Ms {
        if self.windows.is_empty() {
            return from.saturating_add(open);
        }
        let (mut at, mut open) = (from, open);
        while at < from + ZONE_REACH_MS {
            let opens = self.opens_at(at);
            let closes = self.closes_at(opens);
            if closes - opens >= open {
                return opens + open;
            }
            open -= closes - opens;
            at = closes;
        }
        at
    }

    /// How long windows are open between two moments.
    pub(crate) fn open_time(&self, from: Ms, to: Ms) -> Ms {
        if self.windows.is_empty() {
            return (to - from).max(0);
        }
        let (mut at, mut open) = (from, 0);
        while at < to {
            let opens = self.opens_at(at).min(to);
            at = self.closes_at(opens).min(to);
            open += at - opens;
            if opens == to {
                break;
            }
        }
        open
    }

    fn until_open(&self, local: Ms) -> Ms {
        if self.left(local) > 0 {
            return 0;
        }
        let of_week = (local + FROM_MONDAY).rem_euclid(WEEK);
        let starts = self.windows.iter().flat_map(|window| window.starts());
        starts.map(|start| (start - of_week).rem_euclid(WEEK)).min().unwrap_or(WEEK)
    }

    fn left(&self, local: Ms) -> Ms {
        let of_week = (local + FROM_MONDAY).rem_euclid(WEEK);
        self.windows.iter().map(|window| window.left(of_week)).max().unwrap_or(0)
    }
}

impl Terms {
    /// Its windows on the clocks of a zone.
    pub fn openings<'a>(&'a self, zone: &'a Zone) -> Openings<'a> {
        Openings { windows: &self.windows, zone }
    }
}

impl Rows {
    /// The windows of a job on its product's clocks.
    pub(crate) fn openings<'a>(&'a self, job: &'a Job) -> Openings<'a> {
        self.openings_in(job, None)
    }

    /// The windows of a job on the clocks of one of its devices.
    pub(crate) fn openings_for<'a>(&'a self, job: &'a Job, task: &Task) -> Openings<'a> {
        self.openings_in(job, self.zone_tags.get(&task.device_id).map(|zone| &**zone))
    }

    fn openings_in<'a>(&'a self, job: &'a Job, zone: Option<&str>) -> Openings<'a> {
        let of_product = || self.products.get(&job.product_id)?.timezone.as_deref();
        let name = zone.or_else(of_product).unwrap_or(SERVER_ZONE);
        job.terms.openings(self.zones.get(name).unwrap_or(&UTC))
    }

    /// When a job may tell the device of a task, if it may not now.
    pub(crate) fn closed_until(&self, task: Id, now: Ms) -> Option<Ms> {
        let task = self.tasks.get(&task)?;
        let opens = self.openings_for(self.jobs.get(&task.job_id)?, task).opens_at(now);
        (opens > now).then_some(opens)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const HOUR: Ms = 60 * MINUTE;
    /// Monday, 2023-11-13T00:00:00Z.
    const MONDAY: Ms = 1_699_833_600_000;
    const EVERY_DAY: u8 = 0b111_1111;

    fn window(days: u8, from: u16, to: u16) -> Window {
        Window { days, from: from * 60, to: to * 60 }
    }

    fn in_utc(windows: &[Window]) -> Openings<'_> {
        Openings { windows, zone: &UTC }
    }

    #[test]
    fn a_window_opens_on_its_days_and_may_cross_midnight() {
        let nights = [window(0b001_1111, 22, 4)];
        let nights = in_utc(&nights);
        assert_eq!(nights.opens_at(MONDAY), MONDAY + 22 * HOUR);
        assert_eq!(nights.opens_at(MONDAY + 22 * HOUR), MONDAY + 22 * HOUR);
        assert_eq!(nights.closes_at(MONDAY + 22 * HOUR), MONDAY + 28 * HOUR);
        assert_eq!(nights.opens_at(MONDAY + 28 * HOUR - 1), MONDAY + 28 * HOUR - 1);
        let saturday = MONDAY + 5 * DAY;
        assert_eq!(nights.closes_at(saturday), saturday + 4 * HOUR, "Friday's window ends on Saturday");
        assert_eq!(nights.opens_at(saturday + 4 * HOUR), MONDAY + WEEK + 22 * HOUR);
        let sundays = [window(0b100_0000, 22, 4)];
        assert_eq!(in_utc(&sundays).closes_at(MONDAY), MONDAY + 4 * HOUR, "over the end of the week");
    }

    #[test]
    fn windows_that_touch_are_one() {
        let both = [window(1, 22, 24), window(2, 0, 4)];
        assert!(!both[0].overlaps(both[1]));
        assert_eq!(in_utc(&both).closes_at(MONDAY + 22 * HOUR), MONDAY + 28 * HOUR);
        let always = [window(EVERY_DAY, 0, 24)];
        assert_eq!(in_utc(&always).opens_at(MONDAY + 7), MONDAY + 7);
        assert_eq!(in_utc(&always).after_open(MONDAY, 30 * DAY), MONDAY + 30 * DAY);
    }

    #[test]
    fn windows_overlap_if_a_moment_is_in_both() {
        let overlap = |a: Window, b: Window| {
            assert_eq!(a.overlaps(b), b.overlaps(a));
            a.overlaps(b)
        };
        assert!(overlap(window(1, 22, 4), window(2, 3, 5)), "over midnight");
        assert!(overlap(window(64, 22, 4), window(1, 0, 1)), "over the end of the week");
        assert!(overlap(window(1, 1, 9), window(1, 3, 4)), "one in the other");
        assert!(!overlap(window(1, 1, 3), window(2, 1, 3)));
        assert!(!overlap(window(1, 1, 3), window(1, 3, 5)));
    }

    /// Clocks jump from 02:00 to 03:00 on Tuesday, and from 03:00 to 02:00 on Thursday; elsewhere they are an hour,
    /// or two, ahead of UTC.
    fn with_summer() -> Zone {
        Zone(vec![(0, HOUR), (MONDAY + 25 * HOUR, 2 * HOUR), (MONDAY + 73 * HOUR, HOUR)])
    }

    #[test]
    fn the_hour_that_clocks_skip_is_in_no_window() {
        let (windows, zone) = ([window(EVERY_DAY, 1, 4)], with_summer());
        let night = Openings { windows: &windows, zone: &zone };
        assert_eq!(night.closes_at(MONDAY), MONDAY + 3 * HOUR, "a night as others are");
        let opens = MONDAY + 24 * HOUR;
        assert_eq!(night.opens_at(opens - 1), opens);
        assert_eq!(night.closes_at(opens), opens + 2 * HOUR);
        assert_eq!(night.opens_at(opens + 2 * HOUR), MONDAY + 47 * HOUR, "from now on an hour earlier");
        let skipped = [Window { days: EVERY_DAY, from: 130, to: 170 }];
        let skipped = Openings { windows: &skipped, zone: &zone };
        let on_wednesday = MONDAY + 48 * HOUR + 10 * MINUTE;
        assert_eq!(skipped.opens_at(MONDAY + 2 * HOUR), on_wednesday, "not at all on Tuesday");
    }

    #[test]
    fn the_hour_that_clocks_repeat_is_in_a_window_twice() {
        let (windows, zone) = ([Window { days: EVERY_DAY, from: 60, to: 150 }], with_summer());
        let night = Openings { windows: &windows, zone: &zone };
        let opens = MONDAY + 71 * HOUR;
        assert_eq!(night.opens_at(opens - 1), opens);
        assert_eq!(night.closes_at(opens), opens + 90 * MINUTE);
        let again = opens + 120 * MINUTE;
        assert_eq!(night.opens_at(opens + 90 * MINUTE), again, "it is 02:00 once more");
        assert_eq!(night.closes_at(again), again + 30 * MINUTE);
        assert_eq!(night.open_time(opens - HOUR, again + HOUR), 120 * MINUTE);
    }

    #[test]
    fn a_window_that_never_opens_ends_the_search() {
        let never = [window(0, 1, 2)];
        let never = in_utc(&never);
        assert!(never.opens_at(MONDAY) > MONDAY);
        assert!(never.after_open(MONDAY, HOUR) >= MONDAY + ZONE_REACH_MS);
        assert_eq!(never.open_time(MONDAY, MONDAY + DAY), 0);
    }

    fn any_windows() -> impl Strategy<Value = Vec<Window>> {
        let window = (1..128_u8, 0..1_440_u16, 0..=1_440_u16)
            .prop_filter("at least a minute", |(_, from, to)| from != to)
            .prop_map(|(days, from, to)| Window { days, from, to });
        prop::collection::vec(window, 1..4)
    }

    fn any_zone() -> impl Strategy<Value = Zone> {
        prop::collection::btree_map(0..400_i64, -12..14_i64, 0..4).prop_map(|changes| {
            Zone(changes.into_iter().map(|(hour, ahead)| (MONDAY + hour * HOUR, ahead * HOUR)).collect())
        })
    }

    proptest! {
        /// Against the definition: a clock on the wall, looked at each minute.
        #[test]
        fn the_walk_from_edge_to_edge_is_the_clock_on_the_wall(windows in any_windows(), zone in any_zone(), from in 0..300_i64 * 60) {
            let open = |moment: Ms| {
                let (ahead, _) = zone.at(moment);
                let of_week = (moment + ahead - MONDAY).rem_euclid(WEEK) / MINUTE;
                windows.iter().any(|w| (0..7).filter(|day| w.days & (1 << day) != 0).any(|day| {
                    let since = (of_week - day * 1_440 - i64::from(w.from)).rem_euclid(7 * 1_440);
                    since * MINUTE < w.length()
                }))
            };
            let openings = Openings { windows: &windows, zone: &zone };
            let from = MONDAY + from * MINUTE;
            let until = from + 3 * DAY;
            let minutes = || (from..until).step_by(MINUTE as usize);
            let opens = minutes().find(|at| open(*at));
            let found = openings.opens_at(from);
            prop_assert_eq!(opens, (found < until).then_some(found));
            let time = minutes().filter(|at| open(*at)).count() as i64 * MINUTE;
            prop_assert_eq!(openings.open_time(from, until), time);
            if time > 0 {
                let after = openings.after_open(from, time);
                prop_assert!(after <= until);
                prop_assert_eq!(openings.open_time(from, after), time);
            }
        }
    }
}
