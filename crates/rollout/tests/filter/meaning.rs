//! Filters and the devices they mean.

use std::collections::{BTreeMap, BTreeSet};

use otaru_rollout::Device;
use otaru_rollout::filter::{Facts, Filter};

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_000 * DAY;

struct Sample {
    device: Device,
    online: bool,
    tags: BTreeMap<String, String>,
    versions: BTreeMap<String, String>,
    groups: BTreeSet<String>,
}

/// Last seen nine days ago.
fn sample() -> Sample {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    let device = Device {
        id: 1,
        product_id: 1,
        name: "lamp-0017".into(),
        enabled: true,
        first_online_at: Some(NOW - 30 * DAY),
        last_online_at: Some(NOW - 10 * DAY),
        last_offline_at: Some(NOW - 9 * DAY),
        created_at: NOW - 40 * DAY,
        rivalry: None,
    };
    Sample {
        device,
        online: false,
        tags: pairs(&[("region", "eu")]),
        versions: pairs(&[("default", "1.0"), ("MCU", "7")]),
        groups: ["north".into()].into(),
    }
}

fn means(sample: &Sample, filter: &str) -> bool {
    let Sample { device, online, tags, versions, groups } = sample;
    let facts = Facts { device, online: *online, tags, versions, groups };
    Filter::parse(filter).unwrap().matches(&facts, NOW)
}

#[test]
fn each_condition_means_what_it_says() {
    let one = sample();
    for (filter, wanted) in [
        ("name = lamp-0017", true),
        ("name = LAMP-0017", false),
        ("name in (lamp-1, lamp-0017)", true),
        ("name like lamp-*", true),
        ("name like lamp-00?7", true),
        ("name like lamp-00?", false),
        ("name like *00*7", true),
        ("name like *8", false),
        ("name like *****", true),
        ("enabled = true", true),
        ("enabled != true", false),
        ("status = offline", true),
        ("status in (online, neverConnected)", false),
        ("lastSeen < now-7d", true),
        ("lastSeen < now-9d", false),
        ("lastSeen <= now-9d", true),
        ("lastSeen > now-9d", false),
        ("lastSeen >= now-9d", true),
        ("created < 1970-01-02T00:00:00Z", false),
        ("tag.region = eu", true),
        ("tag.region != eu", false),
        ("tag.Region = eu", false),
        ("tag.ring != beta", true),
        ("has tag.ring", false),
        ("tag.region in (us, eu)", true),
        ("module.MCU = 7", true),
        ("module.mcu = 7", false),
        ("module.default != '1.0'", false),
        ("module.wifi != '1.0'", true),
        ("has module.wifi", false),
        ("group = north", true),
        ("group in (south, east)", false),
        ("group != south", true),
        ("has tag.a or has tag.region and has tag.b", false),
        ("(has tag.region or has tag.b) and not has tag.b", true),
    ] {
        assert_eq!(means(&one, filter), wanted, "{filter}");
    }
}

#[test]
fn who_is_here_is_seen_now_and_who_never_came_was_never_seen() {
    let online = Sample { online: true, ..sample() };
    assert!(means(&online, "status = online and lastSeen >= now and not lastSeen < now-1s"));
    let mut never = sample();
    never.device.first_online_at = None;
    never.device.last_online_at = None;
    never.device.last_offline_at = None;
    assert!(means(&never, "status = neverConnected and not lastSeen < now and not lastSeen >= now"));
}
