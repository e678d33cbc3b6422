//! Time zones by their IANA names, from the database that is built in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rollout::{Ms, Rows, SERVER_ZONE, ZONE_REACH_MS, Zone};

/// The zone of a name, in any case.
fn find(name: &str) -> Option<TimeZone> {
    jiff::tz::db().get(name).ok().filter(|zone| !zone.is_unknown())
}

/// A zone's name as the IANA database spells it; `None` if there is none of that name.
pub fn zone_name(text: &str) -> Option<String> {
    find(text)?.iana_name().map(Into::into)
}

/// A moment in RFC 3339, for people.
pub(crate) fn moment(ms: Ms) -> String {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).to_string()
}

/// Adds to the rows of jobs with windows what the clocks of their zones show around `now`.
pub(crate) fn fill(rows: &mut Rows, of_server: &str, now: Ms) {
    if rows.jobs.values().all(|job| job.terms.windows.is_empty()) {
        return;
    }
    let of_products = rows.products.values().filter_map(|product| product.timezone.as_ref());
    let names: BTreeSet<String> = of_products.chain(rows.zone_tags.values()).cloned().collect();
    rows.zones = names
        .into_iter()
        .map(|name| {
            let zone = around(&name, now);
            (name, zone)
        })
        .collect();
    rows.zones.insert(SERVER_ZONE.into(), around(of_server, now));
}

/// What the clocks of a zone show around `now`. A name that has left the database since it was checked is UTC.
pub(crate) fn around(name: &str, now: Ms) -> Zone {
    let bound = |ms: Ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    let (first, last) = (bound(now - ZONE_REACH_MS), bound(now + ZONE_REACH_MS));
    let Some(zone) = find(name) else { return Zone::default() };
    let ahead = |seconds: i32| Ms::from(seconds) * 1_000;
    let changes = zone.following(first).take_while(|change| change.timestamp() <= last);
    let changes =
        changes.map(|change| (change.timestamp().as_millisecond(), ahead(change.offset().seconds())));
    let at_first = (first.as_millisecond(), ahead(zone.to_offset(first).seconds()));
    Zone(std::iter::once(at_first).chain(changes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_their_iana_names_in_any_case() {
        assert_eq!(zone_name("Europe/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(zone_name("asia/SHANGHAI").as_deref(), Some("Asia/Shanghai"));
        assert_eq!(zone_name("UTC").as_deref(), Some("UTC"));
        for wrong in ["", "Berlin", "CEST", "+02:00", "Europe/Berlin ", "Etc/Unknown", "../etc/passwd"] {
            assert_eq!(zone_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_zone_tells_its_changes_for_a_year_before_and_after() {
        const HOUR: Ms = 3_600_000;
        // 2026-11-22T10:00:00Z
        let now = 1_795_341_600_000;
        let Zone(berlin) = around("Europe/Berlin", now);
        // The last Sundays of October 2025, March and October 2026, and so on, at 01:00 UTC.
        let changes =
            [1_761_440_400_000, 1_774_746_000_000, 1_792_890_000_000, 1_806_195_600_000, 1_824_944_400_000];
        let hours = [1, 2, 1, 2, 1];
        assert_eq!(berlin[1..], changes.into_iter().zip(hours.map(|h| h * HOUR)).collect::<Vec<_>>());
        assert_eq!(berlin[0], (now - ZONE_REACH_MS, 2 * HOUR));
        assert_eq!(around("Asia/Shanghai", now), Zone(vec![(now - ZONE_REACH_MS, 8 * HOUR)]));
        assert_eq!(around("Nowhere", now), Zone::default());
    }
}
