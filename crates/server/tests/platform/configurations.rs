//! Remote configuration: docs/protocol.md 8.

use std::time::Duration;

use crate::common::{Device, DeviceKey, World, http_ask, http_get};
use otaru_server::rollout::EventKind;
use otaru_server::{Configuration, DeviceConfiguration, EventFilter, IdKind, Paging};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PK: &str = "a1TestPk001";
const FILE: &[u8] = br#"{"interval": 30, "server": "logs.example"}"#;
/// As the C SDK 3.x writes it.
const QUESTION: &str = r#"{ "id" : 0, "version":"1.0", "params" : { "configScope":"product", "getType":"file", "attributeKeys":"" }, "method":"thing.config.get" }"#;

async fn set(world: &World, file: &'static [u8]) -> Configuration {
    world.server.set_configuration(PK, file.into(), None).await.unwrap()
}

fn topic(device: &Device, tail: &str) -> String {
    format!("/sys/{PK}/{}/thing/config/{tail}", device.name)
}

async fn answer(device: &mut Device, question: &str) -> Vec<u8> {
    device.publish(&topic(device, "get"), question).await;
    device.expect("/thing/config/get_reply").await
}

async fn code(device: &mut Device, question: &str) -> Value {
    let answer: Value = serde_json::from_slice(&answer(device, question).await).unwrap();
    assert_eq!(answer["data"], json!({}));
    answer["code"].clone()
}

/// The file at an address that a device was told.
async fn fetch(world: &World, data: &Value) -> (String, Vec<u8>) {
    http_get(world.address, &target(world, data), "").await
}

fn target(world: &World, data: &Value) -> String {
    let url = data["url"].as_str().unwrap();
    url.strip_prefix(&format!("http://{}", world.address)).unwrap().to_owned()
}

/// Asks, and gives what the device was told.
async fn told(device: &mut Device) -> Value {
    let reply: Value = serde_json::from_slice(&answer(device, QUESTION).await).unwrap();
    reply["data"].clone()
}

/// Lets time pass until a device that came is told something.
async fn coming(world: &World, device: &mut Device) -> Value {
    let pushed = async {
        loop {
            let heard = device.heard().await;
            if let Some((_, payload)) = heard.iter().find(|(topic, _)| topic.ends_with("/thing/config/push"))
            {
                return serde_json::from_slice(payload).unwrap();
            }
            world.clock.advance(1_000);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), pushed).await.expect("no push came")
}

async fn pushed(device: &mut Device) -> Value {
    serde_json::from_slice(&device.expect("/thing/config/push").await).unwrap()
}

async fn states(world: &World) -> Vec<DeviceConfiguration> {
    world.server.device_configurations(PK, Paging { after: None, limit: 100 }).await.unwrap().items
}

/// Waits until what is known of the only device looks so.
async fn until(world: &World, wanted: impl Fn(&DeviceConfiguration) -> bool) -> DeviceConfiguration {
    let looks_so = async {
        loop {
            if let [state] = &states(world).await[..]
                && wanted(state)
            {
                return state.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looks_so).await.expect("never known")
}

async fn events(world: &World) -> Vec<EventKind> {
    let page = world.server.events(EventFilter::All, None, 200).await.unwrap();
    let kinds = page.items.into_iter().map(|numbered| numbered.event.kind);
    kinds.filter(|kind| format!("{kind:?}").starts_with("Configuration")).collect()
}

#[tokio::test]
async fn a_device_asks_and_fetches() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    assert_eq!(code(&mut device, QUESTION).await, 6710);
    let made = set(&world, FILE).await;
    let text = String::from_utf8(answer(&mut device, QUESTION).await).unwrap();
    let reply: Value = serde_json::from_str(&text).unwrap();
    let sign: String = Sha256::digest(FILE).iter().map(|byte| format!("{byte:02x}")).collect();
    let (id, url) = (IdKind::Configuration.text(made.id), reply["data"]["url"].as_str().unwrap());
    let size = FILE.len();
    assert_eq!(
        text,
        format!(
            r#"{{"id":"0","version":"1.0","code":200,"data":{{"configId":"{id}","configSize":{size},"sign":"{sign}","signMethod":"Sha256","url":"{url}","getType":"file"}}}}"#
        )
    );
    let (head, body) = fetch(&world, &reply["data"]).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: "), "{head}");
    assert_eq!(body, FILE);
    let state = until(&world, |state| state.fetched == 1).await;
    assert_eq!((state.told, state.told_at, state.answered), (1, Some(crate::common::START), 0));

    // Its address gives nothing to others, and nothing once the configuration is off.
    let other = url.replace(&id, &IdKind::Configuration.text(made.id + 1));
    assert!(fetch(&world, &json!({"url": other})).await.0.starts_with("HTTP/1.1 403"));
    world.server.enable_configuration(PK, false).await.unwrap();
    assert_eq!(code(&mut device, QUESTION).await, 6713);
    let (head, text) = fetch(&world, &reply["data"]).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert!(String::from_utf8(text).unwrap().contains("switched off"));
    world.server.enable_configuration(PK, true).await.unwrap();
    assert!(fetch(&world, &reply["data"]).await.0.starts_with("HTTP/1.1 200"));
    world.clock.advance(24 * 3_600_000 + 1_000);
    assert!(fetch(&world, &reply["data"]).await.0.starts_with("HTTP/1.1 403"));
    assert_eq!(
        events(&world).await,
        [
            EventKind::ConfigurationCreated { version: 1 },
            EventKind::ConfigurationFetched { version: 1 },
            EventKind::ConfigurationEnabled { enabled: false },
            EventKind::ConfigurationEnabled { enabled: true },
        ]
    );
}

#[tokio::test]
async fn questions_that_cannot_be_answered_are_told_why() {
    let world = World::with_public_url(None).await;
    world.product().await;
    set(&world, FILE).await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    assert_eq!(code(&mut device, QUESTION).await, 500);
    assert_eq!(code(&mut device, r#"{"id":"1","params":{"configScope":"device"}}"#).await, 460);
    for broken in ["", "{", "[]", r#"{"id":"\ud800"}"#] {
        device.publish(&topic(&device, "get"), broken).await;
        device.publish(&topic(&device, "push_reply"), broken).await;
    }
    device.nothing_more().await;
    assert_eq!(world.counter("bad_messages"), 9);
    assert_eq!(world.server.push_configuration(PK).await.unwrap_err().code, "publicUrlUnset");
}

#[tokio::test]
async fn a_push_reaches_who_is_there_and_who_comes_until_it_is_fetched_or_taken() {
    let world = World::new().await;
    world.product().await;
    let (here, away) = (world.device("here").await, world.device("away").await);
    let mut device = Device::connect(&world, &here).await;
    set(&world, FILE).await;
    world.server.push_configuration(PK).await.unwrap();
    let push = pushed(&mut device).await;
    assert_eq!((&push["id"], &push["method"]), (&json!("1"), &json!("thing.config.push")));
    assert_eq!(fetch(&world, &push["params"]).await.1, FILE);
    until(&world, |state| state.fetched == 1).await;

    // Who comes is told once its SDK listens, and again as long as it does nothing about it.
    let mut late = Device::connect(&world, &away).await;
    assert_eq!(coming(&world, &mut late).await["params"]["configSize"], FILE.len());
    late.hang_up().await;
    let mut late = Device::connect(&world, &away).await;
    coming(&world, &mut late).await;
    late.publish(&topic(&late, "push_reply"), r#"{"id":"1","code":200,"data":{}}"#).await;

    // Both have it now; the one that came last is still looked at.
    let last = world.device("last").await;
    let (mut first, mut second) =
        (Device::connect(&world, &here).await, Device::connect(&world, &away).await);
    let mut third = Device::connect(&world, &last).await;
    coming(&world, &mut third).await;
    first.nothing_more().await;
    second.nothing_more().await;
    let found: Vec<_> =
        states(&world).await.iter().map(|s| (s.told, s.fetched, s.answered, s.code)).collect();
    assert_eq!(found, [(1, 1, 0, None), (1, 0, 1, Some(200)), (1, 0, 0, None)]);
    assert_eq!(world.counter("configuration_pushes"), 4);

    // A new version is for nobody until it is pushed, and then for all.
    assert_eq!(set(&world, b"{}").await.version, 2);
    world.server.push_configuration(PK).await.unwrap();
    for device in [&mut first, &mut second, &mut third] {
        assert_eq!(pushed(device).await["id"], "2");
    }
}

#[tokio::test]
async fn a_push_to_some_reaches_them_even_if_they_have_it() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("one1").await, world.device("two2").await];
    set(&world, FILE).await;
    let mut one = Device::connect(&world, &keys[0]).await;
    let mut two = Device::connect(&world, &keys[1]).await;
    let names = ["one1".to_owned()];
    for _ in 0..2 {
        world.server.push_configuration_to(PK, &names).await.unwrap();
        let push = pushed(&mut one).await;
        one.publish(&topic(&one, "push_reply"), r#"{"id":1,"code":"200"}"#).await;
        assert_eq!(push["id"], "1");
    }
    two.nothing_more().await;
    let state = until(&world, |state| state.answered == 1).await;
    assert_eq!((state.wanted, state.code), (1, Some(200)));
    world.server.push_configuration_to(PK, &["two2".to_owned()]).await.unwrap();
    pushed(&mut two).await;
    two.publish(&topic(&two, "push_reply"), r#"{"id":"1","code":500}"#).await;
    // It did not take it: it is told again when it comes.
    two.hang_up().await;
    let mut two = Device::connect(&world, &keys[1]).await;
    coming(&world, &mut two).await;
    one.nothing_more().await;

    for (names, code) in [
        (vec![], "deviceNamesInvalid"),
        (vec!["nobody".to_owned()], "deviceNotFound"),
        (vec!["x".to_owned(); 1_001], "deviceNamesInvalid"),
    ] {
        assert_eq!(world.server.push_configuration_to(PK, &names).await.unwrap_err().code, code);
    }
}

#[tokio::test]
async fn a_push_outlives_the_end_of_the_process() {
    let world = World::new().await;
    world.product().await;
    let keys = [world.device("all1").await, world.device("some").await];
    set(&world, FILE).await;
    world.server.push_configuration_to(PK, &["some".to_owned()]).await.unwrap();
    let world = world.kill().await;
    let mut some = Device::connect(&world, &keys[1]).await;
    coming(&world, &mut some).await;
    world.server.push_configuration(PK).await.unwrap();
    let world = world.kill().await;
    let mut all = Device::connect(&world, &keys[0]).await;
    coming(&world, &mut all).await;
}

#[tokio::test]
async fn what_a_device_cannot_have_taken_is_not_kept() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    set(&world, FILE).await;
    let mut device = Device::connect(&world, &key).await;
    answer(&mut device, QUESTION).await;
    for version in ["2", "0", "4294967295"] {
        device.publish(&topic(&device, "push_reply"), format!(r#"{{"id":"{version}","code":200}}"#)).await;
    }
    let state = until(&world, |state| state.told == 1).await;
    assert_eq!((state.answered, state.code), (0, None));
    world.server.push_configuration(PK).await.unwrap();
    pushed(&mut device).await;
}

#[tokio::test]
async fn what_is_old_changes_nothing() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    set(&world, FILE).await;
    let old = told(&mut device).await;
    set(&world, b"{}").await;
    let new = told(&mut device).await;
    assert_eq!(fetch(&world, &new).await.1, b"{}");
    device.publish(&topic(&device, "push_reply"), r#"{"id":"2","code":200}"#).await;
    let known = until(&world, |state| state.fetched == 2 && state.answered == 2).await;

    for _ in 0..2 {
        assert_eq!(fetch(&world, &old).await.1, FILE);
        assert_eq!(fetch(&world, &new).await.1, b"{}");
    }
    for id in [1, 2] {
        device.publish(&topic(&device, "push_reply"), format!(r#"{{"id":"{id}","code":500}}"#)).await;
    }
    // What it says now is settled after all that.
    told(&mut device).await;
    assert_eq!(states(&world).await, [known]);
    assert_eq!(
        events(&world).await[2..],
        [
            EventKind::ConfigurationFetched { version: 2 },
            EventKind::ConfigurationAnswered { version: 2, result: 200 },
        ]
    );
    world.server.push_configuration(PK).await.unwrap();
    device.nothing_more().await;

    // A push by name begins anew, with a word of this push only.
    world.server.push_configuration_to(PK, &["dev001".to_owned()]).await.unwrap();
    pushed(&mut device).await;
    fetch(&world, &old).await;
    told(&mut device).await;
    let state = states(&world).await.remove(0);
    assert_eq!((state.fetched, state.answered, state.code), (0, 0, None));
}

#[tokio::test]
async fn only_who_reads_to_the_end_has_fetched() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    let mut device = Device::connect(&world, &key).await;
    set(&world, FILE).await;
    let data = told(&mut device).await;
    let at = target(&world, &data);
    let sign = data["sign"].as_str().unwrap();
    for (method, header, status) in [
        ("HEAD", String::new(), 200),
        ("POST", String::new(), 405),
        ("GET", format!("If-None-Match: \"{sign}\"\r\n"), 304),
        ("GET", "Range: bytes=1000-\r\n".to_owned(), 416),
        ("GET", "Range: bytes=0-9\r\n".to_owned(), 206),
    ] {
        let (head, _) = http_ask(world.address, method, &at, &header).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{method} {header} {head}");
    }
    // What it says now is settled after all that.
    told(&mut device).await;
    assert_eq!(states(&world).await[0].fetched, 0);
    let rest = http_get(world.address, &at, "Range: bytes=10-\r\n").await;
    assert_eq!(rest.1, FILE[10..]);
    until(&world, |state| state.fetched == 1).await;
}

#[tokio::test]
async fn versions_are_kept_and_the_same_file_makes_none() {
    let world = World::new().await;
    world.product().await;
    assert_eq!(world.server.push_configuration(PK).await.unwrap_err().code, "configurationMissing");
    assert_eq!(set(&world, FILE).await.version, 1);
    assert_eq!(set(&world, FILE).await.version, 1);
    assert_eq!(set(&world, b"[1]").await.version, 2);
    // An older file is a new version, of the same blob.
    assert_eq!(set(&world, FILE).await.version, 3);
    let page = world.server.configurations(PK, Paging { after: Some(1), limit: 1 }).await.unwrap();
    assert_eq!((page.items[0].version, page.next), (2, Some(2)));
    assert_eq!(world.server.configuration_file(PK, 3).await.unwrap(), FILE);
    assert_eq!(world.server.configuration_file(PK, 2).await.unwrap(), &b"[1]"[..]);
    assert_eq!(world.server.configuration_file(PK, 4).await.unwrap_err().code, "configurationNotFound");
    assert_eq!(world.server.configuration(PK).await.unwrap().present.unwrap().version, 3);
    for (file, code) in [
        (vec![], "configurationInvalid"),
        (b"{".to_vec(), "configurationInvalid"),
        (b"\xff".to_vec(), "configurationInvalid"),
        (format!("\"{}\"", "x".repeat(65_535)).into_bytes(), "configurationTooLarge"),
    ] {
        assert_eq!(world.server.set_configuration(PK, file.into(), None).await.unwrap_err().code, code);
    }
    let largest = format!("\"{}\"", "x".repeat(65_534));
    assert_eq!(world.server.set_configuration(PK, largest.into(), None).await.unwrap().size, 65_536);
    world.server.enable_configuration(PK, false).await.unwrap();
    assert_eq!(world.server.push_configuration(PK).await.unwrap_err().code, "configurationOff");
    // The files are there after a start, which removes those that nothing refers to.
    let world = world.restart().await;
    assert_eq!(world.server.configuration_file(PK, 2).await.unwrap(), &b"[1]"[..]);
    world.server.remove_product(PK).await.unwrap();
    assert_eq!(world.server.configuration(PK).await.unwrap_err().code, "productNotFound");
}

#[tokio::test]
async fn a_removed_device_leaves_nothing() {
    let world = World::new().await;
    world.product().await;
    let key = world.device("dev001").await;
    set(&world, FILE).await;
    let mut device = Device::connect(&world, &key).await;
    let reply: Value = serde_json::from_slice(&answer(&mut device, QUESTION).await).unwrap();
    until(&world, |state| state.told == 1).await;
    world.server.remove_device(PK, "dev001").await.unwrap();
    assert_eq!(states(&world).await, []);
    assert!(fetch(&world, &reply["data"]).await.0.starts_with("HTTP/1.1 403"));
    let again: DeviceKey = world.device("dev001").await;
    Device::connect(&world, &again).await.nothing_more().await;
}

#[tokio::test]
async fn a_version_is_not_made_over_one_that_was_not_expected() {
    let world = World::new().await;
    world.product().await;
    let set = |file: &'static str, expected| world.server.set_configuration(PK, file.into(), expected);
    assert_eq!(set("1", Some(0)).await.unwrap().version, 1);
    let error = set("2", Some(0)).await.unwrap_err();
    assert_eq!((error.code, &error.params["now"]["version"]), ("changedMeanwhile", &1.into()));
    assert_eq!(set("2", Some(1)).await.unwrap().version, 2);
    // Who wants what is there already has it, whatever was before.
    assert_eq!(set("2", Some(1)).await.unwrap().version, 2);
    assert_eq!(set("3", Some(3)).await.unwrap_err().code, "changedMeanwhile");
    assert_eq!(set("3", None).await.unwrap().version, 3);
}
