//! Maintenance windows and byte budgets over real sockets and a database.

use crate::common::{Device, DeviceKey, START, World, new_job};
use otaru_server::rollout::{Job, Limits, Package, TaskState, Terms, Waiting, Window};
use otaru_server::{NewJob, ProductChange};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const PK: &str = "a1TestPk001";

/// A platform whose product is in Berlin, an hour ahead of UTC in November, and a device of it.
async fn in_berlin() -> (World, DeviceKey, Device, Package) {
    let world = World::new().await;
    world.product().await;
    zone(&world, Some("Europe/Berlin")).await;
    let key = world.device("dev001").await;
    let device = Device::online(&world, &key, "1.0.0").await;
    let package = world.package("2.0.0", &[7; 9_000]).await;
    (world, key, device, package)
}

async fn zone(world: &World, name: Option<&str>) {
    let change = ProductChange { timezone: Some(name.map(Into::into)), ..ProductChange::default() };
    world.server.change_product(PK, change, |_| Ok(())).await.unwrap();
}

fn window(days: u8, from: u16, to: u16) -> Vec<Window> {
    vec![Window { days, from, to }]
}

/// Every night from 22:00 to 04:00.
fn nights() -> Vec<Window> {
    window(0b111_1111, 22 * 60, 4 * 60)
}

async fn enrolled(world: &World, package: &Package, windows: Vec<Window>) -> Job {
    let terms = Terms { windows, ..Terms::as_the_cloud() };
    let job = world.job_of(NewJob { terms, ..new_job(package) }).await;
    world.until(&job, "enrolled", |job, tasks| job.work.is_none() && !tasks.is_empty()).await;
    job
}

async fn waiting(world: &World, job: &Job) -> Option<Waiting> {
    world.tasks(job).await.remove(0).waiting
}

#[tokio::test]
async fn the_windows_opening_wakes_who_is_there_also_after_a_kill() {
    let (world, key, mut device, package) = in_berlin().await;
    let job = enrolled(&world, &package, nights()).await;
    let opens_at = START + 11 * HOUR;
    assert_eq!(waiting(&world, &job).await, Some(Waiting::OutsideWindow { opens_at }));
    assert_eq!(device.ask().await, serde_json::json!({}));
    device.nothing_more().await;
    let world = world.kill().await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    world.clock.advance(11 * HOUR - 1);
    assert_eq!(device.ask().await, serde_json::json!({}));
    device.nothing_more().await;
    world.clock.advance(1);
    let notice = device.notice().await;
    let stream = notice["data"]["streamId"].as_u64().unwrap();
    device.progress(1, "").await;
    world.clock.advance(7 * HOUR);
    assert_eq!(device.ask().await, serde_json::json!({}), "the window has closed");
    assert_eq!(device.download(stream, 9_000).await, [7; 9_000], "what has begun goes on");
    device.report("2.0.0").await;
    world.until_all(&job, TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_devices_own_zone_goes_before_its_products() {
    let (world, _, mut device, package) = in_berlin().await;
    let tokyo = [("timezone".to_owned(), Some("Asia/Tokyo".to_owned()))];
    world.server.tag_device(PK, "dev001", tokyo.into(), |_| Ok(())).await.unwrap();
    let job = enrolled(&world, &package, nights()).await;
    let opens_at = START + 3 * HOUR;
    assert_eq!(waiting(&world, &job).await, Some(Waiting::OutsideWindow { opens_at }));
    world.clock.advance(3 * HOUR);
    device.notice().await;
}

#[tokio::test]
async fn a_night_in_which_clocks_skip_the_window_has_none() {
    let (world, _, _device, package) = in_berlin().await;
    // Until the noon before the last Sunday of March 2027.
    world.clock.advance(125 * DAY + 2 * HOUR);
    let job = enrolled(&world, &package, window(0b111_1111, 2 * 60 + 15, 2 * 60 + 45)).await;
    let noon = START + 125 * DAY + 2 * HOUR;
    let on_monday = noon + 36 * HOUR + HOUR / 4;
    assert_eq!(waiting(&world, &job).await, Some(Waiting::OutsideWindow { opens_at: on_monday }));
    zone(&world, None).await;
    let on_sunday_in_utc = noon + 14 * HOUR + HOUR / 4;
    assert_eq!(waiting(&world, &job).await, Some(Waiting::OutsideWindow { opens_at: on_sunday_in_utc }));
}

#[tokio::test]
async fn windows_that_contradict_are_refused_before_anything_is_made() {
    let (world, _, mut device, package) = in_berlin().await;
    let every_day = 0b111_1111;
    let on = |windows| Terms { windows, ..Terms::default() };
    let two = |a: Vec<Window>, b: Vec<Window>| [a, b].concat();
    let sunday_noon = window(64, 720, 780);
    let wrong = [
        ("has no minute", on(window(every_day, 600, 600))),
        ("has no day", on(window(0, 600, 660))),
        ("from 00:00 to 23:59", on(window(every_day, 1_440, 30))),
        (
            "windows[1] (03:00-05:00) overlaps windows[0] (22:00-04:00)",
            on(two(nights(), window(1, 180, 300))),
        ),
        ("at most 20", on(vec![nights()[0]; 21])),
        // It is Sunday 10:00 in UTC, and 22:00 or 24:00 of that day in the farthest East.
        ("in no time zone", Terms { end_at: Some(START + HOUR), ..on(window(4, 720, 780)) }),
        ("0.001 to 1000000", Terms { kbit_per_second: Some(0), ..Terms::default() }),
    ];
    for (told, terms) in wrong {
        let error = world.server.create_job(NewJob { terms, ..new_job(&package) }).await.unwrap_err();
        assert!(error.to_string().contains(told), "{told}: {error}");
    }
    let terms = Terms { end_at: Some(START + 5 * HOUR), ..on(sunday_noon) };
    world.server.create_job(NewJob { terms, ..new_job(&package) }).await.unwrap();
    device.nothing_more().await;
    let change = ProductChange { timezone: Some(Some("Berlin".into())), ..ProductChange::default() };
    let error = world.server.change_product(PK, change, |_| Ok(())).await.unwrap_err();
    assert_eq!(error.code, "timeZoneUnknown");
    assert!(
        error.to_string().contains("\"Berlin\"") && error.to_string().contains("Europe/Berlin"),
        "{error}"
    );
    zone(&world, Some("asia/shanghai")).await;
    assert_eq!(world.server.product(PK).await.unwrap().timezone.as_deref(), Some("Asia/Shanghai"));
}

/// Three devices and a package that takes the budget a second.
async fn on_a_budget() -> (World, [DeviceKey; 3], Package) {
    let world = World::with(Limits { kbit_per_second: Some(80), ..Limits::default() }).await;
    world.product().await;
    let mut keys = Vec::new();
    for name in ["dev001", "dev002", "dev003"] {
        let key = world.device(name).await;
        Device::online(&world, &key, "1.0.0").await.hang_up().await;
        keys.push(key);
    }
    let package = world.package("2.0.0", &[7; 10_000]).await;
    (world, keys.try_into().ok().unwrap(), package)
}

#[tokio::test]
async fn offers_are_spaced_by_their_bytes_and_a_restart_begins_no_new_budget() {
    let (world, keys, package) = on_a_budget().await;
    let job = enrolled(&world, &package, vec![]).await;
    let mut first = Device::online(&world, &keys[0], "1.0.0").await;
    first.notice().await;
    let mut second = Device::online(&world, &keys[1], "1.0.0").await;
    let of_second = |tasks: Vec<otaru_server::TaskView>| {
        tasks.into_iter().find(|view| view.device_name == "dev002").unwrap().waiting
    };
    world.until(&job, "ready", |_, tasks| tasks.iter().any(|t| t.ready_at.is_some())).await;
    let until = START + 1_000;
    assert_eq!(of_second(world.tasks(&job).await), Some(Waiting::ByteBudget { of_server: true, until }));
    assert_eq!(second.ask().await, serde_json::json!({}));
    second.nothing_more().await;
    let world = world.kill().await;
    let mut second = Device::online(&world, &keys[1], "1.0.0").await;
    let mut third = Device::online(&world, &keys[2], "1.0.0").await;
    assert_eq!(third.ask().await, serde_json::json!({}), "what the process before offered still counts");
    second.nothing_more().await;
    // Jobs that wait for the server's budget look again within 16 ms of each other.
    world.clock.advance(1_016);
    second.notice().await;
    assert_eq!(third.ask().await, serde_json::json!({}));
    world.clock.advance(1_016);
    third.notice().await;
}
