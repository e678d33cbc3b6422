//! Watching a device: what passes is shown, nothing opens by it, and nothing stays.

use crate::common::*;
use otaru_server::rollout::Protocol;
use otaru_server::{Content, NewJob, Watching, Way};
use serde_json::Value;

const LINGER: i64 = 5 * 60_000;

async fn watch(world: &World, name: &str) -> Watching {
    world.server.watch_device("a1TestPk001", name).await.unwrap()
}

/// The next message on a topic that holds a text.
async fn next(watching: &mut Watching, topic: &str) -> (Way, Content) {
    let found = async {
        loop {
            let message = watching.live.recv().await.unwrap();
            if message.topic.contains(topic) {
                return (message.way, message.content.clone());
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), found).await.expect("nothing was shown")
}

fn json(content: &Content) -> Value {
    match content {
        Content::Json(json) => serde_json::from_str(json).unwrap(),
        Content::Frame { head, .. } => serde_json::from_str(head).unwrap(),
        Content::Text { .. } => panic!("{content:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_seen_message_by_message() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let mut watching = watch(&world, "dev001").await;
    assert!(watching.before.is_empty(), "kept although nobody watched");

    device.report("1.0.0").await;
    let (way, inform) = next(&mut watching, "/ota/device/inform/").await;
    assert_eq!((way, &json(&inform)["params"]["version"]), (Way::Up, &"1.0.0".into()));

    let package = world.package("2.0.0", &[7; 10_000]).await;
    world.job(&package, &["dev001"]).await;
    let notice = device.notice().await;
    let (way, shown) = next(&mut watching, "/ota/device/upgrade/").await;
    assert_eq!((way, json(&shown)), (Way::Down, notice.clone()));

    device.block(notice["data"]["streamId"].as_u64().unwrap(), 512, 4_096).await;
    let (way, request) = next(&mut watching, "/thing/file/download").await;
    assert_eq!((way, &json(&request)["params"]["fileBlock"]["offset"]), (Way::Up, &512.into()));
    let (way, block) = next(&mut watching, "/thing/file/download_reply").await;
    assert_eq!((way, &json(&block)["data"]["bSize"]), (Way::Down, &4_096.into()));
    assert!(matches!(block, Content::Frame { crc_ok: Some(true), .. }));

    device.block(99, 0, 4_096).await;
    next(&mut watching, "/thing/file/download").await;
    let (_, refused) = next(&mut watching, "/thing/file/download_reply").await;
    assert_eq!(json(&refused)["code"], 404);
    assert!(matches!(refused, Content::Frame { crc_ok: None, .. }));
    // What no device may publish is seen too.
    device.send_publish("/a1TestPk001/dev001/user/x", b"hello", None).await;
    let (way, text) = next(&mut watching, "/user/x").await;
    assert_eq!((way, text), (Way::Up, Content::Text { text: "hello".into(), cut: false }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_fetch_the_file_by_what_is_shown() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let mut watching = watch(&world, "dev001").await;
    let package = world.package("2.0.0", b"new").await;
    world.job_of(NewJob { protocol: Protocol::Http, scope: named(&["dev001"]), ..new_job(&package) }).await;
    let notice = device.notice().await;
    let url = notice["data"]["url"].as_str().unwrap();
    let (_, shown) = next(&mut watching, "/ota/device/upgrade/").await;
    let shown = json(&shown)["data"]["url"].as_str().unwrap().to_owned();
    let opens = url.rsplit_once('/').unwrap().1;
    assert!(shown.starts_with("http://") && !shown.contains(opens), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_messages_are_kept_until_some_minutes_after_the_last_viewer() {
    let world = World::new().await;
    world.product().await;
    let (key, other) = (world.device("dev001").await, world.device("dev002").await);
    let mut device = Device::online(&world, &key, "1.0.0").await;
    let mut unwatched = Device::online(&world, &other, "1.0.0").await;
    let watching = watch(&world, "dev001").await;
    for n in 0..250 {
        device.report(&format!("1.0.{n}")).await;
    }
    unwatched.report("1.0.1").await;
    drop(watching);
    let again = watch(&world, "dev001").await;
    assert_eq!(again.before.len(), 200);
    let last = again.before.last().unwrap();
    assert_eq!(json(&last.content)["params"]["version"], "1.0.249");
    assert!(again.before.is_sorted_by_key(|message| message.number));
    assert!(watch(&world, "dev002").await.before.is_empty());

    // The first one's end is not the ring's: somebody came back.
    world.clock.advance(LINGER);
    drop(again);
    assert_eq!(watch(&world, "dev001").await.before.len(), 200);
    let gone = async {
        // Each look starts the time anew.
        while !watch(&world, "dev001").await.before.is_empty() {
            world.clock.advance(LINGER);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("messages stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_devices_are_watched_at_once() {
    let world = World::new().await;
    world.product().await;
    let mut watched = Vec::new();
    for n in 0..16 {
        let name = format!("dev{n:03}");
        world.device(&name).await;
        watched.push(watch(&world, &name).await);
    }
    world.device("another").await;
    let refused = world.server.watch_device("a1TestPk001", "another").await.err().unwrap();
    assert_eq!(refused.code, "tooManyWatched");
    watch(&world, "dev000").await;
    let unknown = world.server.watch_device("a1TestPk001", "nobody").await.err().unwrap();
    assert_eq!(unknown.code, "deviceNotFound");
}
