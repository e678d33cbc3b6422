//! What is counted as it happens equals what a recount finds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::common::*;
use otaru_server::rollout::{EventKind, TaskState};
use otaru_server::{
    DeviceCounts, DeviceView, EventFilter, HOUR_MS, MINUTE_MS, NewDevice, Paging, Span, UpgradesOf,
};

type Counts = BTreeMap<String, i64>;

const PK: &str = "a1TestPk001";
const DEVICES: usize = 6;

/// The devices by version, as the devices themselves say.
async fn recount(world: &World) -> Counts {
    let page = Paging { after: None, limit: 1_000 };
    let filter = otaru_server::DeviceFilter::default();
    let devices = world.server.devices(PK, &filter, page).await.unwrap().items;
    let mut counts = Counts::new();
    for version in devices.iter().flat_map(|view| &view.versions) {
        *counts.entry(version.version.clone()).or_default() += 1;
    }
    counts
}

async fn counted(world: &World) -> Counts {
    let (found, _) = world.server.versions(PK, None, 100).await.unwrap();
    assert_eq!(found.devices, found.versions.iter().map(|v| v.devices).sum::<i64>());
    assert!(found.versions.is_sorted_by_key(|v| -v.devices));
    found.versions.into_iter().map(|v| (v.version, v.devices)).collect()
}

/// Numbers that look random and are the same each time.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_counted_now_and_hour_by_hour() {
    let world = World::new().await;
    world.product().await;
    let mut devices = Vec::new();
    for n in 0..DEVICES {
        let key = world.device(&format!("dev{n:03}")).await;
        devices.push(Device::connect(&world, &key).await);
    }
    let (mut state, mut after_hours) = (7, Vec::new());
    for hour in 0..8 {
        // In some hours nothing happens.
        for _ in 0..if hour % 3 == 1 { 0 } else { 9 } {
            let at = next(&mut state) % devices.len();
            devices[at].report(&format!("1.{}", next(&mut state) % 4)).await;
        }
        if hour == 5 {
            world.server.remove_device(PK, &devices.pop().unwrap().name).await.unwrap();
        }
        assert_eq!(counted(&world).await, recount(&world).await);
        after_hours.push((START + hour * HOUR_MS, recount(&world).await));
        world.clock.advance(HOUR_MS);
    }
    let world = world.kill().await;
    let span = Span { from: Some(START), until: None };
    let history = world.server.version_history(PK, None, span, 100).await.unwrap();
    assert_eq!((history.points[0].at, history.points[0].devices), (START - HOUR_MS, 0));
    for (at, counts) in &after_hours {
        let point = history.points.iter().rev().find(|point| point.at <= *at).unwrap();
        assert_eq!(point.devices, counts.values().sum::<i64>());
        let pairs = history.versions.iter().cloned().zip(point.counts.iter().copied());
        assert_eq!(pairs.filter(|(_, n)| *n > 0).collect::<Counts>(), *counts, "{at}");
    }
    // From the middle on, and only the most frequent.
    let (at, counts) = &after_hours[3];
    let span = Span { from: Some(at + HOUR_MS), until: Some(at + 2 * HOUR_MS) };
    let part = world.server.version_history(PK, None, span, 1).await.unwrap();
    assert_eq!((part.points[0].at, part.versions.len()), (*at, 1));
    assert_eq!(part.points[0].counts[0], counts.get(&part.versions[0]).copied().unwrap_or(0));
    assert!(part.points.iter().all(|point| point.at <= at + 2 * HOUR_MS));

    for mut device in devices {
        device.say_goodbye().await;
        world.server.remove_device(PK, &device.name).await.unwrap();
    }
    assert_eq!(counted(&world).await, Counts::new());
    world.server.remove_product(PK).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_tasks_are_counted_with_their_reasons_and_times() {
    let world = World::new().await;
    world.product().await;
    let package = world.package("2.0.0", b"new").await;
    let mut devices = Vec::new();
    for name in ["dev000", "dev001", "dev002"] {
        let key = world.device(name).await;
        devices.push(Device::online(&world, &key, "1.0.0").await);
    }
    let job = world.job(&package, &["dev000", "dev001", "dev002"]).await;
    for device in &mut devices {
        device.notice().await;
        device.progress(10, "").await;
    }
    world.clock.advance(90_000);
    devices[0].report("2.0.0").await;
    devices[1].progress(-2, "no room").await;
    world.clock.advance(HOUR_MS);
    let tasks = world.tasks(&job).await;
    let third = tasks.iter().find(|view| view.task.state == TaskState::InProgress).unwrap();
    world.server.cancel_task(third.task.id).await.unwrap();
    world.until(&job, "ended", |_, tasks| tasks.iter().all(|task| task.state.is_terminal())).await;

    let upgrades = async |of, from| {
        let found = world.server.upgrades(PK, of, Span { from, until: None }).await.unwrap();
        (found.step_minutes, found.ended)
    };
    let (step, ended) = upgrades(UpgradesOf::Product, None).await;
    assert_eq!(step, 60);
    let found: Vec<_> = ended
        .iter()
        .map(|e| (e.state, &*e.reason, e.tasks, (e.minute * MINUTE_MS - START) / HOUR_MS))
        .collect();
    assert_eq!(
        found,
        [
            (TaskState::Failed, "deviceFailed", 1, 0),
            (TaskState::Succeeded, "success", 1, 0),
            (TaskState::Canceled, "canceledByOperator", 1, 1),
        ]
    );
    let success = &ended[1];
    assert_eq!((success.timed, success.total_ms, success.longest_ms), (1, 90_000, 90_000));
    let events = world.server.events(EventFilter::All, None, 1_000).await.unwrap().items;
    let ends = |kind: &EventKind| matches!(kind, EventKind::TaskState { to, .. } if to.is_terminal());
    let found = events.iter().filter(|numbered| ends(&numbered.event.kind)).count();
    assert_eq!(ended.iter().map(|row| row.tasks).sum::<i64>(), i64::try_from(found).unwrap());
    for of in [UpgradesOf::Job(job.id), UpgradesOf::Package(package.id)] {
        assert_eq!(upgrades(of, None).await.1, ended);
    }
    assert_eq!(upgrades(UpgradesOf::Job(job.id + 1), None).await.1, []);
    // The shorter the time, the closer it is looked at.
    let (step, closer) = upgrades(UpgradesOf::Product, Some(START)).await;
    let minutes: Vec<_> = closer.iter().map(|e| (e.minute * MINUTE_MS - START) / MINUTE_MS).collect();
    assert_eq!((step, &*minutes), (1, &[1, 1, 61][..]));
    assert_eq!(upgrades(UpgradesOf::Product, Some(START - 5 * HOUR_MS)).await.0, 10);
    let (_, later) = upgrades(UpgradesOf::Product, Some(START + HOUR_MS)).await;
    assert_eq!(later, closer[2..]);

    // They are kept as long as events are.
    world.clock.advance(i64::try_from(KEEP_EVENTS.as_millis()).unwrap() + 2 * HOUR_MS);
    let gone = async {
        let all = Span { from: Some(START), until: None };
        while !world.server.upgrades(PK, UpgradesOf::Product, all).await.unwrap().ended.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("old numbers stay");
    assert_eq!(counted(&world).await, recount(&world).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_invents_versions_leaves_one() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev000").await;
    let mut device = Device::connect(&world, &key).await;
    for n in 0..300 {
        device.report(&format!("9.{n}")).await;
    }
    assert_eq!(counted(&world).await, [("9.299".to_owned(), 1)].into());
    let wrong = Span { from: Some(START + 1), until: Some(START) };
    let refused = world.server.version_history(PK, None, wrong, 10).await.unwrap_err();
    assert_eq!(refused.code, "spanInvalid");
}

/// The devices by status, as the devices themselves say.
async fn recounted(world: &World) -> DeviceCounts {
    let page = Paging { after: None, limit: 1_000 };
    let filter = otaru_server::DeviceFilter::default();
    let devices = world.server.devices(PK, &filter, page).await.unwrap().items;
    let of = |wanted: fn(&DeviceView) -> bool| devices.iter().filter(|view| wanted(view)).count() as i64;
    DeviceCounts {
        all: of(|_| true),
        online: of(|view| view.online),
        never_connected: of(|view| view.device.first_online_at.is_none()),
        disabled: of(|view| !view.device.enabled),
    }
}

async fn assert_counted(world: &World, [all, online, never_connected, disabled]: [i64; 4], when: &str) {
    let wanted = DeviceCounts { all, online, never_connected, disabled };
    let product = world.server.product(PK).await.unwrap().id;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let counted =
            world.server.device_counts(&[product]).await.unwrap().remove(&product).unwrap_or_default();
        let recounted = recounted(world).await;
        if (counted, recounted) == (wanted, wanted) {
            return;
        }
        // Who comes and goes is written in the moments that follow.
        assert!(Instant::now() < deadline, "{when}: {counted:?} and, recounted, {recounted:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_counted_by_status() {
    let world = World::new().await;
    world.product().await;
    let lines = (0..3).map(|n| NewDevice { device_name: Some(format!("bulk{n}")), device_secret: None });
    // A name that is taken is refused and not counted.
    let lines = lines.chain([NewDevice { device_name: Some("bulk0".into()), device_secret: None }]).collect();
    world.server.import_devices(PK, lines).await.unwrap();
    let [first, second] = [world.device("dev001").await, world.device("dev002").await];
    assert_counted(&world, [5, 0, 5, 0], "made").await;
    let old = Device::connect(&world, &first).await;
    assert_counted(&world, [5, 1, 4, 0], "one came").await;
    let mut again = Device::connect(&world, &first).await;
    let other = Device::connect(&world, &second).await;
    drop(old);
    assert_counted(&world, [5, 2, 3, 0], "one took its own place, another came").await;
    world.server.set_device_enabled(PK, "dev001", false).await.unwrap();
    world.server.set_device_enabled(PK, "dev001", false).await.unwrap();
    world.server.set_device_enabled(PK, "bulk1", false).await.unwrap();
    again.expect_close().await;
    assert_counted(&world, [5, 1, 3, 2], "two may not come any more").await;
    world.server.set_device_enabled(PK, "dev001", true).await.unwrap();
    assert_counted(&world, [5, 1, 3, 1], "one may again").await;
    world.server.remove_device(PK, "bulk1").await.unwrap();
    world.server.remove_device(PK, "dev002").await.unwrap();
    drop(other);
    assert_counted(&world, [3, 0, 2, 0], "two are gone, one of them connected").await;
    let _left = Device::connect(&world, &first).await;
    assert_counted(&world, [3, 1, 2, 0], "back").await;
    let world = world.kill().await;
    assert_counted(&world, [3, 0, 2, 0], "nobody is connected to a platform that has just started").await;
}
