//! What was measured of late, so that whoever looks now sees where a number comes from.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server::{Family, Server, Values};
use tokio::time::{MissedTickBehavior, interval};

use super::families;
use crate::dto::{MeasuredPast, MeasuredPoint};
use crate::time;

/// Between two looks.
const PACE: Duration = Duration::from_secs(15);
/// Looks remembered: an hour.
const REMEMBERED: usize = 240;

/// The measures of the last hour, for as long as somebody may ask for them.
pub(crate) struct Past {
    server: Server,
    begun: SystemTime,
    seen: Mutex<Seen>,
}

/// Each point has a number for each name.
#[derive(Default)]
struct Seen {
    names: Vec<String>,
    points: VecDeque<Point>,
}

struct Point {
    /// Milliseconds since 1970.
    at: i64,
    values: Vec<f64>,
}

impl Past {
    /// Looks from now on, until all who hold it have let go.
    pub(crate) fn begin(server: Server, begun: SystemTime) -> Arc<Self> {
        let past = Arc::new(Self { server, begun, seen: Mutex::default() });
        tokio::spawn(look_on(Arc::downgrade(&past)));
        past
    }

    fn look(&self) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(at, &families(&self.server, self.begun));
    }

    /// What is remembered of the time after a moment, the oldest first.
    pub(crate) fn told(&self, after: Option<i64>) -> MeasuredPast {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let point = |point: &Point| MeasuredPoint { at: time::text(point.at), values: point.values.clone() };
        let later = seen.points.iter().filter(|point| after.is_none_or(|after| point.at > after));
        MeasuredPast { names: seen.names.clone(), points: later.map(point).collect() }
    }
}

async fn look_on(past: Weak<Past>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Some(past) = past.upgrade() else { return };
        // It counts open files one by one, of which each device is one.
        let _ = tokio::task::spawn_blocking(move || past.look()).await;
    }
}

impl Seen {
    fn note(&mut self, at: i64, families: &[Family]) {
        let (names, values): (Vec<_>, Vec<_>) = families.iter().flat_map(numbers).unzip();
        if names != self.names {
            // Something is told that was not before, or no more: points are compared by their places.
            *self = Self { names, points: VecDeque::new() };
        }
        if self.points.len() >= REMEMBERED {
            self.points.pop_front();
        }
        self.points.push_back(Point { at, values });
    }
}

/// The numbers of a family by name: all labels together, of a histogram its sum and count.
fn numbers(family: &Family) -> Vec<(String, f64)> {
    let name = family.name;
    match &family.values {
        Values::One(value) => vec![(name.into(), *value)],
        Values::Labelled(values) => vec![(name.into(), values.iter().map(|labelled| labelled.value).sum())],
        Values::Ranges(ranges) => {
            let count = ranges.at_most.last().map_or(0, |(_, count)| *count);
            vec![(format!("{name}_sum"), ranges.sum), (format!("{name}_count"), count as f64)]
        }
    }
}

#[cfg(test)]
mod tests {
    use server::{Kind, Labelled, Ranges};

    use super::*;

    fn one(name: &'static str, value: f64) -> Family {
        Family::one(name, Kind::Gauge, "", value)
    }

    #[test]
    fn an_hour_is_remembered() {
        let mut seen = Seen::default();
        (0..250).for_each(|at| seen.note(at, &[one("a", at as f64)]));
        assert_eq!(
            (seen.points.len(), seen.points[0].at, &*seen.points[239].values),
            (240, 10, &[249.0][..])
        );
        seen.note(250, &[one("a", 1.0), one("b", 2.0)]);
        assert_eq!((seen.points.len(), &*seen.points[0].values), (1, &[1.0, 2.0][..]), "places have changed");
    }

    #[test]
    fn labels_are_added_up_and_a_histogram_is_its_sum_and_count() {
        let labelled = |value| Labelled { labels: vec![], help: "", value };
        let family = |values| Family { name: "f", help: "", kind: Kind::Counter, values };
        assert_eq!(
            numbers(&family(Values::Labelled(vec![labelled(1.0), labelled(2.5)]))),
            [("f".into(), 3.5)]
        );
        let ranges = Ranges { at_most: vec![(1.0, 2), (f64::INFINITY, 7)], sum: 9.5 };
        assert_eq!(
            numbers(&family(Values::Ranges(ranges))),
            [("f_sum".into(), 9.5), ("f_count".into(), 7.0)]
        );
    }
}
