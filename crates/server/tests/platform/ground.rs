//! What the platform does when the ground under it gives way: files, database, clock, and devices that
//! send what no database could store.

use std::path::PathBuf;

use crate::common::*;
use otaru_server::rollout::{Job, Package, Protocol, Reason, TaskState};
use otaru_server::{EventFilter, NewJob};
use sqlx::Executor as _;
use wire::block::Frame;

const WEEK: i64 = 7 * 24 * 3_600_000;

fn blob_of(world: &World, package: &Package) -> PathBuf {
    world.folder.path().join("blobs").join(&package.sha256[..2]).join(&package.sha256)
}

fn code(frame: &[u8]) -> i32 {
    match Frame::parse(frame).unwrap() {
        Frame::Block { .. } => 200,
        Frame::Error { code, .. } => code,
    }
}

/// Two devices that are told of a package each, over MQTT.
async fn two_downloads(world: &World) -> [(Device, u64, Package, Job); 2] {
    world.product().await;
    let mut out = Vec::new();
    for (name, version, byte) in [("dev001", "2.0.0", 1), ("dev002", "3.0.0", 2)] {
        let key = world.device(name).await;
        let mut device = Device::online(world, &key, "1.0.0").await;
        let package = world.package(version, &vec![byte; 200_000]).await;
        let job = world.job(&package, &[name]).await;
        let stream = device.notice().await["data"]["streamId"].as_u64().unwrap();
        out.push((device, stream, package, job));
    }
    out.try_into().ok().unwrap()
}

#[tokio::test]
async fn a_missing_file_is_an_error_for_its_devices_only() {
    let world = World::new().await;
    let [(mut device, stream, package, job), (mut other, other_stream, ..)] = two_downloads(&world).await;
    let blob = blob_of(&world, &package);
    let aside = blob.with_extension("aside");
    std::fs::rename(&blob, &aside).unwrap();
    for _ in 0..2 {
        assert_eq!(code(&device.block(stream, 0, 4_096).await), 500);
    }
    assert_eq!(world.counter("block_read_failed"), 2);
    assert_eq!(code(&other.block(other_stream, 0, 4_096).await), 200);
    assert_eq!(world.tasks(&job).await[0].task.state, TaskState::Notified);
    // Put back, it is served, to the same session.
    std::fs::rename(&aside, &blob).unwrap();
    assert_eq!(device.download(stream, 200_000).await, vec![1; 200_000]);
}

#[tokio::test]
async fn a_truncated_file_is_not_served_as_if_it_were_whole() {
    let world = World::new().await;
    let [(mut device, stream, package, _), (mut other, other_stream, other_package, _)] =
        two_downloads(&world).await;
    let cut = |package| {
        let file = std::fs::File::options().write(true).open(blob_of(&world, package)).unwrap();
        file.set_len(100_000).unwrap();
    };
    // Before it was opened: not even the bytes that are there are given, nor a wrong length.
    cut(&package);
    assert_eq!(code(&device.block(stream, 0, 4_096).await), 500);
    // While it is read: what is there is served, what is not is an error, and the session goes on.
    assert_eq!(code(&other.block(other_stream, 0, 4_096).await), 200);
    cut(&other_package);
    assert_eq!(code(&other.block(other_stream, 150_000, 4_096).await), 500);
    assert_eq!(world.counter("block_read_failed"), 2);
    other.report("1.0.0").await;
}

#[tokio::test]
async fn over_http_a_file_that_cannot_be_read_is_503() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[1; 5_000]).await;
    let new = NewJob { protocol: Protocol::Http, scope: named(&["dev001"]), ..new_job(&package) };
    world.job_of(new).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let url = device.notice().await["data"]["url"].as_str().unwrap().to_owned();
    let target = url.strip_prefix(&format!("http://{}", world.address)).unwrap();
    let blob = blob_of(&world, &package);

    std::fs::File::options().write(true).open(&blob).unwrap().set_len(4_999).unwrap();
    assert!(http_get(world.address, target, "").await.0.starts_with("HTTP/1.1 503"));
    std::fs::remove_file(&blob).unwrap();
    assert!(http_get(world.address, target, "Range: bytes=0-9\r\n").await.0.starts_with("HTTP/1.1 503"));
    assert_eq!(world.counter("http_failed"), 2);

    // An upload of the same file mends it.
    world.package("2.0.1", &[1; 5_000]).await;
    let (head, body) = http_get(world.address, target, "").await;
    assert!(head.starts_with("HTTP/1.1 200") && body == [1; 5_000], "{head}");
}

/// Another program holds what is to be written. Reports wait; nothing is acknowledged before it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_holds_the_database_reports_wait() {
    const HOLD: &str = if cfg!(feature = "postgres-tests") {
        "begin; lock table module_version in access exclusive mode"
    } else {
        "begin exclusive"
    };
    let world = World::new().await;
    world.product().await;
    let mut devices = Vec::new();
    for name in ["dev001", "dev002", "dev003"] {
        let key = world.device(name).await;
        devices.push(Device::online(&world, &key, "1.0.0").await);
    }
    let mut other = database::other(&world).await;
    other.execute(HOLD).await.unwrap();
    let commits = world.counter("commits");
    for device in &mut devices {
        let topic = format!("/ota/device/inform/a1TestPk001/{}", device.name);
        device.send_publish(&topic, br#"{"params":{"version":"1.0.1"}}"#, Some(77)).await;
        // What needs no database is answered meanwhile.
        device.nothing_more().await;
    }
    assert_eq!(world.counter("commits"), commits);
    other.execute("commit").await.unwrap();
    for device in &mut devices {
        device.expect_ack(77).await;
        let versions = world.server.device("a1TestPk001", &device.name).await.unwrap().versions;
        assert_eq!(versions[0].version, "1.0.1");
    }
    assert_eq!(world.counter("failed_reports"), 0);
}

/// As on SQLite, where a trigger plays the poison in `committer.rs`.
#[cfg(feature = "postgres-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_too_a_report_that_cannot_be_written_harms_nobody_else() {
    let world = World::new().await;
    world.product().await;
    let mut other = database::other(&world).await;
    let poison = "create function poison() returns trigger language plpgsql as $$ begin \
                    if new.version = 'poison' then raise exception 'poison'; end if; return new; end $$; \
                  create trigger poison before insert on module_version for each row execute function poison()";
    other.execute(poison).await.unwrap();
    let mut devices = Vec::new();
    for i in 0..20 {
        let key = world.device(&format!("dev{i:03}")).await;
        devices.push(Device::connect(&world, &key).await);
    }
    for (i, device) in devices.iter_mut().enumerate() {
        let topic = format!("/ota/device/inform/a1TestPk001/{}", device.name);
        let version = if i == 7 { "poison" } else { "1.0.0" };
        let payload = format!(r#"{{"params":{{"version":"{version}"}}}}"#);
        device.send_publish(&topic, payload.as_bytes(), Some(77)).await;
    }
    for (i, device) in devices.iter_mut().enumerate() {
        if i == 7 {
            device.expect_close().await
        } else {
            device.expect_ack(77).await
        }
        let versions = world.server.device("a1TestPk001", &device.name).await.unwrap().versions;
        assert_eq!(versions.len(), usize::from(i != 7), "{}", device.name);
    }
    assert_eq!(world.counter("failed_reports"), 1);
}

/// PostgreSQL takes no NUL in a text, and no database wants a text without end: both stop at the door.
#[tokio::test]
async fn nul_and_endless_texts_never_reach_the_database() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let package = world.package("2.0.0", b"x").await;
    let job = world.job(&package, &["dev001"]).await;
    device.notice().await;
    let long = "y".repeat(250_000);
    let inform = "/ota/device/inform/a1TestPk001/dev001";
    let progress = "/ota/device/progress/a1TestPk001/dev001";
    let get = "/sys/a1TestPk001/dev001/thing/ota/firmware/get";
    let mut bad = 0;
    for text in ["\0", "a\\u0000b", &long] {
        for (topic, payload) in [
            (inform, format!(r#"{{"params":{{"version":"{text}"}}}}"#)),
            (inform, format!(r#"{{"params":{{"version":"1","module":"{text}"}}}}"#)),
            (inform, format!(r#"{{"id":"{text}","params":{{"version":"1"}}}}"#)),
            (progress, format!(r#"{{"params":{{"step":"1","module":"{text}"}}}}"#)),
            (get, format!(r#"{{"id":"{text}","params":{{}}}}"#)),
        ] {
            device.publish(topic, payload).await;
            bad += 1;
            assert_eq!(world.counter("bad_messages"), bad, "{topic}");
        }
    }
    // Of a description the beginning is kept.
    device.progress(10, &long).await;
    device.progress(20, "\\u0000").await;
    assert_eq!(world.counter("bad_messages"), bad + 1);
    assert_eq!(world.tasks(&job).await[0].task.progress, 10);
    assert_eq!(world.counter("failed_reports"), 0);
}

/// A clock that is set ahead lets pass what it jumps over, once; sessions do not notice.
#[tokio::test]
async fn a_clock_set_ahead_by_a_week() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let package = world.package("2.0.0", b"x").await;
    let timed = NewJob { timeout_minutes: Some(60), scope: named(&["dev001"]), ..new_job(&package) };
    let timed = world.job_of(timed).await;
    let patient = world.job(&package, &["dev002"]).await;
    let mut devices = Vec::new();
    for key in &keys {
        let mut device = Device::online(&world, key, "1.0.0").await;
        device.notice().await;
        device.progress(10, "").await;
        devices.push(device);
    }
    world.clock.advance(WEEK);
    let tasks = world.until_all(&timed, TaskState::Failed).await;
    assert_eq!(tasks[0].reason, Some(Reason::Timeout { minutes: 60 }));
    // The other one has no timeout, and both are still connected.
    for device in &mut devices {
        device.progress(20, "").await;
        device.nothing_more().await;
    }
    let tasks = world.tasks(&patient).await;
    assert_eq!((tasks[0].task.state, tasks[0].task.progress), (TaskState::InProgress, 20));
    devices[1].report("2.0.0").await;
    world.until_all(&patient, TaskState::Succeeded).await;
}

/// A clock that is set back holds nothing up: time goes on, at half its pace, and never backwards in the log;
/// across a restart too.
#[tokio::test]
async fn a_clock_set_back_by_a_week() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let package = world.package("2.0.0", b"x").await;
    let new = NewJob { timeout_minutes: Some(10), scope: named(&["dev001", "dev002"]), ..new_job(&package) };
    let job = world.job_of(new).await;
    let mut device = Device::online(&world, &keys[0], "1.0.0").await;
    device.notice().await;
    device.progress(10, "").await;

    world.clock.advance(-WEEK);
    // The next report shows how late it is; who is silent is looked after within a minute.
    device.progress(20, "").await;
    world.clock.advance(10 * 60_000);
    device.progress(30, "").await;
    assert_eq!(world.tasks(&job).await[0].task.state, TaskState::InProgress);
    world.clock.advance(10 * 60_000);
    world.until(&job, "timed out", |_, tasks| tasks.iter().any(|task| task.state == TaskState::Failed)).await;
    device.nothing_more().await;

    let before =
        world.server.events(EventFilter::All, None, 1_000).await.unwrap().items.last().unwrap().event.at;
    world.clock.advance(-WEEK);
    let world = world.kill().await;
    // Another one is told after the grace of 30 seconds, although the clock is two weeks behind the log.
    let mut silent = Device::connect(&world, &keys[1]).await;
    silent.ask_nothing_pushed().await;
    world.clock.advance(60_000);
    silent.notice().await;
    silent.progress(10, "").await;
    silent.report("2.0.0").await;
    world
        .until(&job, "updated", |_, tasks| tasks.iter().any(|task| task.state == TaskState::Succeeded))
        .await;

    let events = world.server.events(EventFilter::All, None, 1_000).await.unwrap().items;
    assert!(events.is_sorted_by_key(|numbered| numbered.event.at));
    assert!(events.last().unwrap().event.at >= before + 30_000);
}
