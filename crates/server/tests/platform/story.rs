//! The whole story over real sockets: report, notice, blocks, progress, reboot, new version.

use crate::common::*;
use mqtt::Version;
use otaru_server::rollout::{JobKind, JobState, PackageState, Protocol, Reason, TaskState, Terms};
use otaru_server::{NewJob, NewPackage, NewScope};

fn file(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn a_device_is_updated_over_mqtt() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(10_000)).await;
    let job = world.job(&package, &["dev001"]).await;
    world.until_all(&job, TaskState::Queued).await;

    let mut device = Device::online(&world, &key, "1.0.0").await;
    let notice = device.notice().await;
    assert_eq!(notice["code"], "1000");
    assert_eq!(notice["message"], "success");
    let data = &notice["data"];
    assert_eq!((data["version"].as_str(), data["size"].as_u64()), (Some("2.0.0"), Some(10_000)));
    assert_eq!((data["signMethod"].as_str(), data["dProtocol"].as_str()), (Some("Md5"), Some("mqtt")));
    assert_eq!((data["sign"].as_str(), data["md5"].as_str()), (Some(&*package.md5), Some(&*package.md5)));
    assert!(data.get("url").is_none() && data.get("module").is_none());
    world.until_all(&job, TaskState::Notified).await;

    device.progress(0, "").await;
    let stream = data["streamId"].as_u64().unwrap();
    assert_eq!(device.download(stream, 10_000).await, file(10_000));
    device.progress(100, "").await;
    let tasks = world.until_all(&job, TaskState::InProgress).await;
    assert_eq!(tasks[0].progress, 100);
    drop(device);

    let mut device = Device::online(&world, &key, "2.0.0").await;
    let tasks = world.until_all(&job, TaskState::Succeeded).await;
    assert_eq!(tasks[0].reason, Some(Reason::Success));
    world.until_job(&job, JobState::Completed).await;
    device.nothing_more().await;
    assert_eq!(device.ask().await, serde_json::json!({}));
}

#[tokio::test]
async fn a_device_of_mqtt_5_is_updated() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(10_000)).await;
    let job = world.job(&package, &["dev001"]).await;
    world.until_all(&job, TaskState::Queued).await;

    let mut device = Device::connect_in(Version::V5, &world, &key).await;
    assert_eq!(device.subscribe("/ota/device/upgrade/a1TestPk001/dev001").await, 1);
    device.report("1.0.0").await;
    let data = device.notice().await["data"].clone();
    assert_eq!((data["version"].as_str(), data["size"].as_u64()), (Some("2.0.0"), Some(10_000)));
    device.progress(0, "").await;
    assert_eq!(device.download(data["streamId"].as_u64().unwrap(), 10_000).await, file(10_000));
    device.progress(100, "").await;
    let tasks = world.until_all(&job, TaskState::InProgress).await;
    assert_eq!(tasks[0].progress, 100);
    device.say_goodbye().await;
    device.expect_close().await;

    let mut device = Device::connect_in(Version::V5, &world, &key).await;
    device.report("2.0.0").await;
    let tasks = world.until_all(&job, TaskState::Succeeded).await;
    assert_eq!(tasks[0].reason, Some(Reason::Success));
    world.until_job(&job, JobState::Completed).await;
    device.nothing_more().await;
    assert_eq!(device.ask().await, serde_json::json!({}));
}

#[tokio::test]
async fn a_device_is_updated_over_http() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(5_092)).await;
    let job = world
        .job_of(NewJob { protocol: Protocol::Http, scope: named(&["dev001"]), ..new_job(&package) })
        .await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let notice = device.notice().await;
    let url = notice["data"]["url"].as_str().unwrap().to_owned();
    assert!(notice["data"].get("dProtocol").is_none());
    let target = url.strip_prefix(&format!("http://{}", world.address)).unwrap();

    let (head, body) = http_get(world.address, target, "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("\r\nContent-Length: 5092\r\n"), "{head}");
    assert_eq!(body, file(5_092));
    let (head, body) = http_get(world.address, target, "Range: bytes=5000-\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 206") && head.contains("\r\nContent-Range: bytes 5000-5091/5092\r\n"),
        "{head}"
    );
    assert_eq!(body, file(5_092)[5_000..]);

    world.clock.advance(24 * 3_600_000 + 2_000);
    let (head, body) = http_get(world.address, target, "").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("expired at 20") && body.contains("firmware/get"), "{body}");
    let fresh = device.ask().await["url"].as_str().unwrap().to_owned();
    assert_ne!(fresh, url);
    let target = fresh.strip_prefix(&format!("http://{}", world.address)).unwrap();
    assert!(http_get(world.address, target, "").await.0.starts_with("HTTP/1.1 200"));

    world.server.cancel_job(job.id).await.unwrap();
    let (head, body) = http_get(world.address, target, "").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("cancelled"));
    assert!(world.counter("refused_links") >= 2);

    // What was given out before the job was cancelled stays of no use when it starts again.
    world.until(&job, "cancelled", |job, _| job.work.is_none()).await;
    world.server.reupgrade_job(job.id).await.unwrap();
    let again = device.notice().await["data"]["url"].as_str().unwrap().to_owned();
    let (head, body) = http_get(world.address, target, "").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("started again"));
    let target = again.strip_prefix(&format!("http://{}", world.address)).unwrap();
    assert!(http_get(world.address, target, "").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_address_outlives_the_next_attempt_and_other_addresses() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(100)).await;
    let terms = Terms { attempts: 3, ..Terms::default() };
    let job = world
        .job_of(NewJob { protocol: Protocol::Http, scope: named(&["dev001"]), terms, ..new_job(&package) })
        .await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let first = device.notice().await["data"]["url"].as_str().unwrap().to_owned();
    device.progress(-2, "no route").await;
    world.until(&job, "to be tried again", |_, tasks| tasks[0].retry_at.is_some()).await;
    world.clock.advance(60_000);
    let second = device.notice().await["data"]["url"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    for url in [first, second] {
        let target = url.strip_prefix(&format!("http://{}", world.address)).unwrap();
        assert!(http_get(world.address, target, "").await.0.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_package_is_verified_first_and_then_rolled_out() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("dev001").await, world.device("dev002").await];
    let package =
        world.package_of(NewPackage { need_verify: true, ..new_package("2.0.0") }, &file(300)).await;
    let early = world.server.create_job(NewJob { scope: named(&["dev001"]), ..new_job(&package) }).await;
    assert_eq!(early.unwrap_err().code, "packageNotVerified");

    let mut devices = Vec::new();
    for key in &keys {
        devices.push(Device::online(&world, key, "1.0.0").await);
    }
    let verify = NewJob { kind: JobKind::Verify, scope: named(&["dev001"]), ..new_job(&package) };
    let job = world.job_of(verify).await;
    devices[0].notice().await;
    assert_eq!(world.server.package(package.id).await.unwrap().state, PackageState::Verifying);
    devices[0].report("2.0.0").await;
    world.until_job(&job, JobState::Completed).await;
    assert_eq!(world.server.package(package.id).await.unwrap().state, PackageState::Verified);

    let created =
        world.server.create_job(NewJob { scope: NewScope::All, ..new_job(&package) }).await.unwrap();
    assert_eq!((created.forecast.matched, created.forecast.on_target), (1, 1));
    devices[1].notice().await;
    devices[0].nothing_more().await;
    devices[1].report("2.0.0").await;
    world.until_job(&created.job, JobState::Completed).await;
}

#[tokio::test]
async fn a_failed_device_is_upgraded_again() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(300)).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let first = device.notice().await["data"]["streamId"].clone();
    device.progress(30, "").await;
    device.progress(-4, "flash write failed").await;
    let tasks = world.until_all(&job, TaskState::Failed).await;
    assert_eq!(tasks[0].reason, Some(Reason::DeviceFailed { step: -4, desc: "flash write failed".into() }));
    world.until_job(&job, JobState::Completed).await;
    let ended = device.block(first.as_u64().unwrap(), 0, 256).await;
    let text = String::from_utf8_lossy(&ended[2..]).into_owned();
    assert!(text.contains("\"code\":403"), "{text}");

    world.server.reupgrade_job(job.id).await.unwrap();
    assert_eq!(device.notice().await["data"]["streamId"], first);
    assert_eq!(device.download(first.as_u64().unwrap(), 300).await, file(300));
    device.report("2.0.0").await;
    let tasks = world.until_all(&job, TaskState::Succeeded).await;
    assert_eq!(tasks[0].attempt, 2);
}

#[tokio::test]
async fn a_cancel_stops_blocks_within_a_second() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(100_000)).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let stream = device.notice().await["data"]["streamId"].as_u64().unwrap();
    wire::block::Frame::parse(&device.block(stream, 0, 4_096).await).unwrap();
    world.server.cancel_job(job.id).await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(1);
    loop {
        let frame = device.block(stream, 4_096, 4_096).await;
        if String::from_utf8_lossy(&frame[2..]).contains("\"code\":403") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "blocks still come");
    }
    world.until_all(&job, TaskState::Canceled).await;
    assert_eq!(device.ask().await, serde_json::json!({}));
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_restart() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let package = world.package("2.0.0", &file(3_000)).await;
    let job = world.job(&package, &["dev001"]).await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let before = device.notice().await["data"]["streamId"].clone();
    device.progress(40, "").await;

    let world = world.kill().await;
    device.expect_close().await;
    let tasks = world.until_all(&job, TaskState::InProgress).await;
    assert_eq!((tasks[0].progress, tasks[0].pushes), (40, 1));
    let mut device = Device::online(&world, &key, "1.0.0").await;
    assert_eq!(device.notice().await["data"]["streamId"], before);
    assert_eq!(device.download(before.as_u64().unwrap(), 3_000).await, file(3_000));
    device.report("2.0.0").await;
    world.until_job(&job, JobState::Completed).await;
}
