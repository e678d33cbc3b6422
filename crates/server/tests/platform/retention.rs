//! Old events are dropped, a chunk at a time, and readers that missed some are told.

use crate::common::*;
use otaru_server::rollout::EventKind;
use otaru_server::{ErrorKind, EventFilter, EventPage, NewDevice, OrderError};

const HOUR: i64 = 3_600_000;

fn keep() -> i64 {
    i64::try_from(KEEP_EVENTS.as_millis()).unwrap()
}

async fn read(world: &World, after: Option<i64>) -> Result<EventPage, OrderError> {
    world.server.events(EventFilter::All, after, 10).await
}

/// The first event that is kept, once it is this one.
async fn until_first_is(world: &World, wanted: impl Fn(&EventKind) -> bool) -> i64 {
    let found = async {
        loop {
            let page = read(world, None).await.unwrap();
            if let Some(first) = page.items.first().filter(|first| wanted(&first.event.kind)) {
                return first.seq;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), found).await.expect("old events stay")
}

async fn many_devices(world: &World, n: usize) {
    let line = |i| NewDevice { device_name: Some(format!("dev{i:05}")), device_secret: None };
    world.server.import_devices("a1TestPk001", (0..n).map(line).collect()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_events_go_while_reports_go_on() {
    let world = World::new().await;
    world.product().await;
    // More than one transaction drops.
    many_devices(&world, 2_500).await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let head = read(&world, None).await.unwrap();
    assert_eq!((head.items[0].seq, head.items.len()), (1, 10));

    world.clock.advance(keep() + HOUR);
    for i in 0..50 {
        device.report(&format!("1.1.{i}")).await;
    }
    let first = until_first_is(
        &world,
        |kind| matches!(kind, EventKind::VersionChanged { version, .. } if version == "1.1.0"),
    )
    .await;
    assert!(first > 2_500, "{first}");
    let versions = world.server.device("a1TestPk001", "dev001").await.unwrap().versions;
    assert_eq!(versions[0].version, "1.1.49");

    let missed = read(&world, Some(head.next)).await.unwrap_err();
    assert_eq!((missed.kind, missed.code), (ErrorKind::Gone, "eventsDropped"));
    assert_eq!(missed.params["firstDropped"], head.next + 1);
    assert_eq!(missed.params["lastDropped"], first - 1);
    assert_eq!(read(&world, Some(first - 1)).await.unwrap().items[0].seq, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_seen_all_of_a_quiet_device_has_missed_nothing() {
    let world = World::new().await;
    world.product().await;
    let quiet = world.device("dev001").await;
    let of_quiet = EventFilter::Device("a1TestPk001", &quiet.name);
    let seen = world.server.events(of_quiet, None, 10).await.unwrap();
    assert_eq!(seen.items.len(), 1);
    many_devices(&world, 3).await;
    let seen = world.server.events(of_quiet, Some(seen.next), 10).await.unwrap();
    assert_eq!(seen.items.len(), 0);

    world.clock.advance(keep() + HOUR);
    world.server.set_device_enabled("a1TestPk001", &quiet.name, false).await.unwrap();
    until_first_is(&world, |kind| matches!(kind, EventKind::DeviceEnabled { .. })).await;
    let later = world.server.events(of_quiet, Some(seen.next), 10).await.unwrap();
    assert_eq!(later.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_due_while_the_platform_was_down_is_dropped_after_the_start() {
    let world = World::new().await;
    world.product().await;
    world.clock.advance(keep() + HOUR);
    let world = world.kill().await;
    world.device("dev001").await;
    let first = until_first_is(&world, |kind| matches!(kind, EventKind::DeviceCreated { .. })).await;
    assert_eq!(first, 2);
}
