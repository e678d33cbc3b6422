//! What devices do that the story does not: wrong things, early things, things of others.

use std::sync::Arc;

use crate::common::*;
use door::{Platform as _, Refusal};
use otaru_server::rollout::{EventKind, Limits, Reason, TaskState, Waiting};
use otaru_server::{EventFilter, NewJob, NewProduct, ProductChange};
use serde_json::json;
use wire::block::Frame;

fn code(frame: &[u8]) -> i32 {
    match Frame::parse(frame).unwrap() {
        Frame::Error { code, .. } => code,
        Frame::Block { .. } => 200,
    }
}

#[tokio::test]
async fn broken_json_of_every_kind_is_acknowledged_counted_and_changes_nothing() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    let broken: [&[u8]; 12] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{\"id\":1}",
        b"{\"params\":{}}",
        b"{\"params\":{\"version\":[7]}}",
        b"{\"params\":{\"version\":\"\"}}",
        b"{\"params\":{\"version\":\"1\\u0000\"}}",
        b"{\"params\":{\"version\":\"\xff\"}}",
        b"{\"params\":{\"version\":\"1\",\"module\":\"a b\"}}",
        b"{\"params\":{\"version\":\"12345678901234567890123456789012345678901234567890123456789012345\"}}",
    ];
    for payload in broken {
        device.publish("/ota/device/inform/a1TestPk001/dev001", payload).await;
    }
    assert_eq!(world.counter("bad_messages"), broken.len() as u64);
    device.publish("/ota/device/progress/a1TestPk001/dev001", r#"{"params":{"step":"soon"}}"#).await;
    assert_eq!(world.counter("bad_messages"), broken.len() as u64 + 1);
    assert!(world.server.device("a1TestPk001", "dev001").await.unwrap().versions.is_empty());
    device.report("1.0.0").await;
    let versions = world.server.device("a1TestPk001", "dev001").await.unwrap().versions;
    assert_eq!((&*versions[0].module, &*versions[0].version), ("default", "1.0.0"));
}

#[tokio::test]
async fn what_is_anothers_stays_anothers() {
    let world = World::new().await;
    world.product().await;
    let (mine, other) = (world.device("dev001").await, world.device("dev002").await);
    let package = world.package("2.0.0", &[7; 1_000]).await;
    world.job(&package, &["dev001", "dev002"]).await;
    let mut mine = Device::online(&world, &mine, "1.0.0").await;
    let mut other = Device::online(&world, &other, "1.0.0").await;
    let stream = mine.notice().await["data"]["streamId"].as_u64().unwrap();
    let theirs = other.notice().await["data"]["streamId"].as_u64().unwrap();
    assert_ne!(stream, theirs);

    assert_eq!(code(&mine.block(stream, 0, 256).await), 200);
    assert_eq!(code(&mine.block(theirs, 0, 256).await), 404);
    assert_eq!(code(&mine.block(999_999, 0, 256).await), 404);
    assert_eq!(code(&mine.block(stream, 1_000, 256).await), 460);
    assert_eq!(code(&mine.block(stream, 0, 131_073).await), 460);
    mine.publish("/ota/device/inform/a1TestPk001/dev002", r#"{"id":"1","params":{"version":"9"}}"#).await;
    assert_eq!(world.counter("forbidden_publish"), 1);
    let versions = world.server.device("a1TestPk001", "dev002").await.unwrap().versions;
    assert_eq!(versions[0].version, "1.0.0");
}

#[tokio::test]
async fn logins_are_refused_with_the_code_that_says_why() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let wrong = DeviceKey { secret: "not this one".into(), ..key.clone() };
    assert_eq!(Device::dial(&world, &wrong).await.1, 4);
    let nobody = DeviceKey { name: "dev999".into(), ..key.clone() };
    assert_eq!(Device::dial(&world, &nobody).await.1, 5);
    let mut device = Device::connect(&world, &key).await;
    world.server.set_device_enabled("a1TestPk001", "dev001", false).await.unwrap();
    device.expect_close().await;
    assert_eq!(Device::dial(&world, &key).await.1, 5);
    world.server.set_device_enabled("a1TestPk001", "dev001", true).await.unwrap();
    Device::connect(&world, &key).await;
    assert_eq!((world.counter("bad_password"), world.counter("unknown_device")), (1, 2));
}

#[tokio::test]
async fn a_device_that_does_not_report_is_told_after_its_grace() {
    let world = World::new().await;
    world.product().await;
    let change = ProductChange { grace_ms: Some(5_000), ..ProductChange::default() };
    world.server.change_product("a1TestPk001", change, |_| Ok(())).await.unwrap();
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    world.job(&package, &["dev001"]).await;
    let mut device = Device::connect(&world, &key).await;
    // Something durable, so that the connection is known before the clock is turned.
    device
        .publish("/ota/device/progress/a1TestPk001/dev001", r#"{"params":{"step":"1","module":"MCU"}}"#)
        .await;
    world.clock.advance(4_900);
    device.ask_nothing_pushed().await;
    world.clock.advance(200);
    assert_eq!(device.notice().await["data"]["version"], "2.0.0");
}

#[tokio::test]
async fn the_made_up_first_version_of_c_sdk_3_fails_no_task() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    device.progress(50, "").await;
    drop(device);

    let mut device = Device::online(&world, &key, "app-1.0.0-20180101.1000").await;
    device.report("1.0.0").await;
    world.clock.advance(11_000);
    device.report("1.0.0").await;
    world.until_all(&job, TaskState::InProgress).await;
    device.notice().await;
    drop(device);

    let mut device = Device::online(&world, &key, "app-1.0.0-20180101.1000").await;
    device.report("2.0.0").await;
    world.until_all(&job, TaskState::Succeeded).await;
}

#[tokio::test]
async fn another_version_fails_the_attempt_once_it_has_settled() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    device.progress(100, "").await;
    drop(device);
    let mut device = Device::online(&world, &key, "2.0.0-rc1").await;
    world.until_all(&job, TaskState::InProgress).await;
    device.nothing_more().await;
    world.clock.advance(10_001);
    let tasks = world.until_all(&job, TaskState::Failed).await;
    let reason = Reason::VersionMismatch { expected: "2.0.0".into(), reported: "2.0.0-rc1".into() };
    assert_eq!(tasks[0].reason, Some(reason));
}

#[tokio::test]
async fn a_timeout_counts_from_the_first_progress() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    let new = NewJob { timeout_minutes: Some(10), scope: named(&["dev001"]), ..new_job(&package) };
    let job = world.job_of(new).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.notice().await;
    world.clock.advance(3_600_000);
    world.until_all(&job, TaskState::Notified).await;
    device.progress(1, "").await;
    world.clock.advance(599_000);
    device.progress(2, "").await;
    world.until_all(&job, TaskState::InProgress).await;
    world.clock.advance(2_000);
    let tasks = world.until_all(&job, TaskState::Failed).await;
    assert_eq!(tasks[0].reason, Some(Reason::Timeout { minutes: 10 }));
}

#[tokio::test]
async fn a_module_is_updated_by_its_name() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let module = otaru_server::NewModule { name: "MCU".into(), alias: None, description: None };
    world.server.create_module("a1TestPk001", module).await.unwrap();
    let new = otaru_server::NewPackage { module: Some("MCU".into()), ..new_package("7") };
    let package = world.package_of(new, &[7; 300]).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "7").await;
    device.nothing_more().await;
    let inform = "/ota/device/inform/a1TestPk001/dev001";
    device.publish(inform, r#"{"id":1,"params":{"version":"6","module":"MCU"}}"#).await;
    assert_eq!(device.notice().await["data"]["module"], "MCU");
    assert_eq!(device.ask().await, json!({}));
    device.publish(inform, r#"{"id":1,"params":{"version":"7","module":"MCU"}}"#).await;
    world.until_all(&job, TaskState::Succeeded).await;
}

#[tokio::test]
async fn the_old_question_is_answered_on_its_own_topic() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    let new = NewJob { need_push: false, scope: named(&["dev001"]), ..new_job(&package) };
    let job = world.job_of(new).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    world.until_all(&job, TaskState::Queued).await;
    device.nothing_more().await;
    device
        .publish("/ota/device/request/a1TestPk001/dev001", r#"{"id":"0","params":{"version":"1.0.0"}}"#)
        .await;
    let reply: serde_json::Value =
        serde_json::from_slice(&device.expect("/ota/device/request/").await).unwrap();
    assert_eq!((&reply["message"], &reply["data"]["version"]), (&json!("success"), &json!("2.0.0")));
    world.until_all(&job, TaskState::Notified).await;
}

#[tokio::test]
async fn pushes_keep_to_the_rate() {
    let world = World::new().await;
    world.product().await;
    let mut keys = Vec::new();
    for i in 0..5 {
        keys.push(world.device(&format!("dev00{i}")).await);
    }
    let mut devices = Vec::new();
    for key in &keys {
        devices.push(Device::online(&world, key, "1.0.0").await);
    }
    let package = world.package("2.0.0", &[7; 300]).await;
    let job = world.job_of(NewJob { rate_per_minute: Some(2), ..new_job(&package) }).await;
    let told = |n: usize| {
        move |_: &otaru_server::rollout::Job, tasks: &[otaru_server::rollout::Task]| {
            tasks.len() == 5 && tasks.iter().filter(|t| t.state == TaskState::Notified).count() == n
        }
    };
    world.until(&job, "the first push", told(1)).await;
    // Two a minute are 30.5 s apart, less the idle second that may be caught up with.
    for n in 2..=5 {
        world.clock.advance(29_000);
        devices[0].report("1.0.0").await;
        world.until(&job, "no push before its time", told(n - 1)).await;
        world.clock.advance(1_501);
        world.until(&job, "the next push", told(n)).await;
    }
}

#[tokio::test]
async fn downloads_at_once_are_capped() {
    let world = World::with(Limits { downloads: 2, ..Limits::default() }).await;
    world.product().await;
    let mut devices = Vec::new();
    for i in 0..3 {
        let key = world.device(&format!("dev00{i}")).await;
        devices.push(Device::online(&world, &key, "1.0.0").await);
    }
    let package = world.package("2.0.0", &[7; 300]).await;
    let job = world.job_of(new_job(&package)).await;
    let tasks = world
        .until(&job, "two of three told", |_, tasks| {
            tasks.len() == 3 && tasks.iter().filter(|t| t.state == TaskState::Notified).count() == 2
        })
        .await;
    let waiting = tasks.iter().position(|t| t.state == TaskState::Queued).unwrap();
    let first = (waiting + 1) % 3;
    devices[first].notice().await;
    devices[first].progress(100, "").await;
    world.clock.advance(1_000);
    devices[waiting].notice().await;
}

#[tokio::test]
async fn a_newer_connection_takes_over_and_is_told_again() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut older = Device::online(&world, &key, "1.0.0").await;
    let first = older.notice().await;
    let mut newer = Device::online(&world, &key, "1.0.0").await;
    older.expect_close().await;
    assert_eq!(newer.notice().await["data"]["streamId"], first["data"]["streamId"]);
    let tasks = world.until_all(&job, TaskState::Notified).await;
    assert_eq!(tasks[0].pushes, 2);
    assert!(world.server.device("a1TestPk001", "dev001").await.unwrap().online);
    assert_eq!(world.counter("take_over"), 1);
}

#[tokio::test]
async fn a_device_of_another_product_is_another_device() {
    let world = World::new().await;
    world.product().await;
    let other = NewProduct { name: "other".into(), product_key: Some("b2".into()), ..NewProduct::default() };
    world.server.create_product(other).await.unwrap();
    world.device("dev001").await;
    assert_eq!(world.server.device("b2", "dev001").await.unwrap_err().code, "deviceNotFound");
}

async fn told_of_rivalry(world: &World) -> Vec<EventKind> {
    let filter = EventFilter::Device("a1TestPk001", "dev001");
    let events = world.server.events(filter, None, 1_000).await.unwrap().items;
    let of_rivalry =
        |kind: &EventKind| matches!(kind, EventKind::IdentityShared { .. } | EventKind::IdentitySettled);
    events.into_iter().map(|numbered| numbered.event.kind).filter(of_rivalry).collect()
}

#[tokio::test]
async fn two_clients_with_one_identity_are_named_and_pushed_to_once_one_has_stayed() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &[7; 300]).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online_as("lamp", &world, &key, "1.0.0").await;
    device.notice().await;
    for id in ["script", "lamp", "script", "lamp"] {
        world.clock.advance(1_000);
        device = Device::online_as(id, &world, &key, "1.0.0").await;
        device.notice().await;
    }
    world.clock.advance(1_000);
    let mut last = Device::online_as("script", &world, &key, "1.0.0").await;
    device.expect_close().await;
    last.ask_nothing_pushed().await;
    let row = world.server.device("a1TestPk001", "dev001").await.unwrap().device;
    assert_eq!(row.shared_since(), Some(START + 1_000));
    let waiting = world.tasks(&job).await.remove(0).waiting;
    assert_eq!(waiting, Some(Waiting::SharedIdentity { since: START + 1_000 }));
    let named = EventKind::IdentityShared { take_overs: 5, seconds: 4 };
    assert_eq!(told_of_rivalry(&world).await, std::slice::from_ref(&named));
    assert_eq!((world.counter("shared_identities"), world.counter("take_over")), (1, 5));

    let world = world.restart().await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    device.ask_nothing_pushed().await;
    world.clock.advance(59_999);
    device.ask_nothing_pushed().await;
    world.clock.advance(1);
    assert_eq!(device.notice().await["data"]["version"], "2.0.0");
    assert_eq!(told_of_rivalry(&world).await, [named, EventKind::IdentitySettled]);
}

#[tokio::test]
async fn a_device_that_comes_back_again_and_again_is_pushed_to() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let job = world.job(&world.package("2.0.0", &[7; 300]).await, &["dev001"]).await;
    let mut old = Vec::new();
    for _ in 0..8 {
        world.clock.advance(1_000);
        let mut device = Device::online(&world, &key, "1.0.0").await;
        device.notice().await;
        old.push(device);
    }
    assert_eq!((world.counter("shared_identities"), world.counter("take_over")), (0, 7));
    assert_eq!(told_of_rivalry(&world).await, []);
    world.until_all(&job, TaskState::Notified).await;
}

/// Logins of one moment are looked up together.
#[tokio::test]
async fn of_many_logins_at_once_each_gets_its_own_answer() {
    let world = Arc::new(World::new().await);
    world.product().await;
    let mut dialling = tokio::task::JoinSet::new();
    for n in 0..60 {
        let key = world.device(&format!("dev{n:03}")).await;
        let (key, expected) = match n % 3 {
            0 => (key, 0),
            1 => (DeviceKey { secret: "not this one".into(), ..key }, 4),
            _ => (DeviceKey { name: format!("{}x", key.name), ..key }, 5),
        };
        let world = Arc::clone(&world);
        dialling.spawn(async move { (Device::dial(&world, &key).await.1, expected) });
    }
    while let Some(answer) = dialling.join_next().await {
        let (code, expected) = answer.unwrap();
        assert_eq!(code, expected);
    }
    assert_eq!((world.counter("sessions"), world.counter("bad_password")), (20, 20));
}

#[tokio::test]
async fn without_its_database_the_platform_answers_no_login() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    world.lose_database().await;
    assert!(Device::try_dial(&world, &key).await.is_none());
    assert_eq!(world.counter("connect_unavailable"), 1);
}

/// What a device said with QoS 0 right before it came anew is kept: nothing else tells it to say it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_before_another_connection_are_kept() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    for round in 0..200 {
        let version = format!("1.0.{round}");
        let payload = format!(r#"{{"params":{{"version":"{version}"}}}}"#);
        device.send_publish("/ota/device/inform/a1TestPk001/dev001", payload.as_bytes(), None).await;
        if round % 2 == 0 {
            device.say_goodbye().await;
        }
        device = Device::connect(&world, &key).await;
        let versions = world.server.device("a1TestPk001", "dev001").await.unwrap().versions;
        assert_eq!(versions.first().map(|v| &*v.version), Some(&*version), "round {round}");
    }
}

#[tokio::test]
async fn a_question_with_a_wrong_parameter_is_told_so() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    let topic = "/sys/a1TestPk001/dev001/thing/ota/firmware/get";
    device.publish(topic, r#"{"id":"8","params":{"module":"bad module"}}"#).await;
    let reply = device.expect("/thing/ota/firmware/get_reply").await;
    assert_eq!(reply, br#"{"id":"8","code":460,"data":{}}"#);
    // An id that cannot be repeated has no answer.
    let long = format!(r#"{{"id":"{}","params":{{"module":"bad module"}}}}"#, "8".repeat(193));
    device.publish(topic, long).await;
    device.nothing_more().await;
    assert_eq!(world.counter("bad_messages"), 2);
}

#[tokio::test]
async fn a_certificate_is_bound_to_one_device_until_it_is_taken_away() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    world.device("dev002").await;
    let set = async |name, sha256| world.server.set_device_certificate("a1TestPk001", name, sha256).await;
    let (digest, digits) = ([0x0a; 32], "0A".repeat(32));
    assert_eq!(world.server.bearer(&digest).await, Err(Refusal::NotAuthorised));
    let mut here = Device::online(&world, &key, "1.0.0").await;
    assert_eq!(set("dev001", Some(&digits)).await.unwrap(), Some(digits.to_lowercase()));
    here.expect_close().await;
    let bearer = world.server.bearer(&digest).await.unwrap();
    assert_eq!((&*bearer.product_key, &*bearer.device_name), ("a1TestPk001", "dev001"));
    assert_eq!(set("dev002", Some(&digits)).await.unwrap_err().code, "certificateTaken");
    assert_eq!(set("dev002", Some("0a")).await.unwrap_err().code, "badFingerprint");
    world.server.set_device_enabled("a1TestPk001", "dev001", false).await.unwrap();
    assert_eq!(world.server.bearer(&digest).await, Err(Refusal::NotAuthorised));
    world.server.set_device_enabled("a1TestPk001", "dev001", true).await.unwrap();
    set("dev001", None).await.unwrap();
    set("dev002", Some(&digits)).await.unwrap();
    assert_eq!(&*world.server.bearer(&digest).await.unwrap().device_name, "dev002");
    world.server.remove_device("a1TestPk001", "dev002").await.unwrap();
    assert_eq!(world.server.bearer(&digest).await, Err(Refusal::NotAuthorised));
}

/// Whoever gives the order may go away while it is committed.
#[tokio::test]
async fn a_device_that_is_shut_out_is_so_although_nobody_waits_for_it() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    for polls in polls() {
        let mut device = Device::online(&world, &key, "1.0.0").await;
        let order = world.server.set_device_enabled("a1TestPk001", "dev001", false);
        let is_left = polled(polls, order).await.is_none();
        world.until_next_turn().await;
        if world.server.device("a1TestPk001", "dev001").await.unwrap().device.enabled {
            device.nothing_more().await;
            continue;
        }
        device.expect_close().await;
        if is_left {
            return;
        }
        world.server.set_device_enabled("a1TestPk001", "dev001", true).await.unwrap();
    }
    panic!("it was never left while it was committed");
}

#[tokio::test]
async fn a_changed_certificate_ends_the_session_although_nobody_waits_for_it() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    for (n, polls) in polls().enumerate() {
        let mut device = Device::online(&world, &key, "1.0.0").await;
        let digits = format!("{n:064x}");
        let order = world.server.set_device_certificate("a1TestPk001", "dev001", Some(&digits));
        let is_left = polled(polls, order).await.is_none();
        world.until_next_turn().await;
        if world.server.device_certificate("a1TestPk001", "dev001").await.unwrap() != Some(digits) {
            device.nothing_more().await;
            continue;
        }
        device.expect_close().await;
        if is_left {
            return;
        }
    }
    panic!("it was never left while it was committed");
}
