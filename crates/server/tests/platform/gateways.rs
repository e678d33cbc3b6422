//! Gateways and sub-devices on real sockets: docs/protocol.md 5.7 and 9.

use std::time::Duration;

use crate::common::{Device, DeviceKey, SUB_DEVICES, World, new_job, polled, polls};
use otaru_server::rollout::{EventKind, NodeType, TaskState};
use otaru_server::{
    DeviceName, NewDevice, NewPackage, NewProduct, NewScope, Paging, ProductChange, WhichEvents,
};
use serde_json::{Value, json};
use wire::credentials::{Proof, SignMethod, Username, registration_sign};

const PK: &str = "a1TestPk001";
const SUB: &str = "a1SubPk001";

/// A platform with a product of gateways and one of sub-devices.
async fn world() -> World {
    let world = World::new().await;
    world.product().await;
    let change = ProductChange { node_type: Some(NodeType::Gateway), ..ProductChange::default() };
    world.server.change_product(PK, change, |_| Ok(())).await.unwrap();
    let new = NewProduct { name: "meter".into(), product_key: Some(SUB.into()), ..NewProduct::default() };
    world.server.create_product(new).await.unwrap();
    world
}

async fn subs(world: &World, count: usize) -> Vec<DeviceKey> {
    let new = |n| NewDevice { device_name: Some(format!("meter{n:03}")), device_secret: None };
    let made = world.server.import_devices(SUB, (0..count).map(new).collect()).await.unwrap();
    made.into_iter()
        .map(Result::unwrap)
        .map(|d| DeviceKey { name: d.device.name, secret: d.secret })
        .collect()
}

/// A gateway that is connected.
async fn gateway(world: &World, name: &str) -> Device {
    let key = world.device(name).await;
    Device::connect(world, &key).await
}

/// What a device signs for its gateway.
fn signed(sub: &DeviceKey, client_id: &str) -> Value {
    let raw = |text| Some(wire::json::RawStr::plain(text).unwrap());
    let proof = Proof {
        method: SignMethod::HmacSha256,
        sign: "",
        client_id: raw(client_id),
        random: None,
        timestamp: raw("1700000000000"),
        clean_session: None,
    };
    let sign = proof.sign(sub.secret.as_bytes(), SUB, &sub.name).to_string();
    json!({"productKey": SUB, "deviceName": sub.name, "clientId": client_id, "timestamp": "1700000000000",
        "signMethod": "hmacSha256", "sign": sign, "cleanSession": "false"})
}

fn unsigned(sub: &DeviceKey) -> Value {
    json!({"productKey": SUB, "deviceName": sub.name})
}

/// Asks something and gives the answer.
async fn ask(gateway: &mut Device, topic: &str, params: Value) -> Value {
    let topic = topic.replace("GW", &format!("{PK}/{}", gateway.name));
    gateway.publish(&topic, json!({"id": "9", "version": "1.0", "params": params}).to_string()).await;
    let answer: Value = serde_json::from_slice(&gateway.expect(&format!("{topic}_reply")).await).unwrap();
    assert_eq!(answer["id"], "9");
    assert!(answer["message"].is_string(), "{answer}");
    answer
}

const ADD: &str = "/sys/GW/thing/topo/add";
const DELETE: &str = "/sys/GW/thing/topo/delete";
const GET: &str = "/sys/GW/thing/topo/get";
const LOGIN: &str = "/ext/session/GW/combine/login";
const BATCH_LOGIN: &str = "/ext/session/GW/combine/batch_login";
const LOGOUT: &str = "/ext/session/GW/combine/logout";
const BATCH_LOGOUT: &str = "/ext/session/GW/combine/batch_logout";

const REGISTER: &str = "/sys/GW/thing/sub/register";
const REGISTER_BY_PRODUCT: &str = "/sys/GW/thing/proxy/provisioning/product_register";

async fn add(gateway: &mut Device, subs: &[DeviceKey]) -> Value {
    let list: Vec<Value> = subs.iter().map(|sub| signed(sub, &format!("{SUB}.{}", sub.name))).collect();
    ask(gateway, ADD, list.into()).await
}

async fn log_in(gateway: &mut Device, subs: &[DeviceKey]) -> Value {
    let client_id = |sub: &DeviceKey| format!("{SUB}.{}|lan=Python,_v=2.2.1,_ss=1|", sub.name);
    let list: Vec<Value> = subs.iter().map(|sub| signed(sub, &client_id(sub))).collect();
    ask(gateway, BATCH_LOGIN, json!({"signMethod": "hmacSha256", "deviceList": list})).await
}

/// A gateway with its sub-devices logged in.
async fn with_subs(world: &World, name: &str, subs: &[DeviceKey]) -> Device {
    let mut gateway = gateway(world, name).await;
    for some in subs.chunks(50) {
        assert_eq!(add(&mut gateway, some).await["code"], 200);
        assert_eq!(log_in(&mut gateway, some).await["code"], 200);
    }
    gateway
}

async fn until_online(world: &World, sub: &DeviceKey, online: bool) {
    for _ in 0..2_000 {
        if world.server.device(SUB, &sub.name).await.unwrap().online == online {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} is never online = {online}", sub.name);
}

async fn report(gateway: &mut Device, sub: &DeviceKey, version: &str) {
    let topic = format!("/ota/device/inform/{SUB}/{}", sub.name);
    gateway.publish(&topic, format!(r#"{{"id":"1","params":{{"version":"{version}"}}}}"#)).await;
}

async fn package(world: &World, file: &[u8]) -> otaru_server::rollout::Package {
    let new: NewPackage = crate::common::new_package("2.0.0");
    let mut upload = world.server.start_package(SUB, new).await.unwrap();
    upload.write(bytes::Bytes::copy_from_slice(file)).await.unwrap();
    upload.finish().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_devices_are_upgraded_through_their_gateway() {
    let world = world().await;
    let subs = subs(&world, 3).await;
    let mut gateway = with_subs(&world, "gate001", &subs).await;
    let answer = ask(&mut gateway, GET, json!({})).await;
    let names: Vec<&str> =
        answer["data"].as_array().unwrap().iter().map(|s| s["deviceName"].as_str().unwrap()).collect();
    assert_eq!(names, ["meter000", "meter001", "meter002"]);

    let file: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
    let package = package(&world, &file).await;
    let scope = NewScope::Named(subs.iter().map(|sub| sub.name.clone()).collect());
    let job = world.job_of(otaru_server::NewJob { scope, ..new_job(&package) }).await;
    for sub in &subs {
        report(&mut gateway, sub, "1.0.0").await;
    }
    for sub in &subs {
        let notice = gateway.expect(&format!("/ota/device/upgrade/{SUB}/{}", sub.name)).await;
        let notice: Value = serde_json::from_slice(&notice).unwrap();
        assert_eq!(notice["data"]["version"], "2.0.0");
        let get = format!("/sys/{SUB}/{}/thing/ota/firmware/get", sub.name);
        gateway.publish(&get, r#"{"id":"7","params":{}}"#).await;
        let answer: Value = serde_json::from_slice(&gateway.expect(&format!("{get}_reply")).await).unwrap();
        assert_eq!(answer["data"]["streamId"], notice["data"]["streamId"]);

        let progress = format!("/ota/device/progress/{SUB}/{}", sub.name);
        gateway.publish(&progress, r#"{"id":"1","params":{"step":"10","desc":""}}"#).await;
        let stream = notice["data"]["streamId"].as_u64().unwrap();
        assert_eq!(download(&mut gateway, sub, stream, file.len()).await, file);
        report(&mut gateway, sub, "2.0.0").await;
    }
    world.until_all(&job, TaskState::Succeeded).await;
    assert!(world.server.device(SUB, "meter001").await.unwrap().online);
    // What one sub-device may read the others may not.
    let stream = world.tasks(&job).await[0].task.stream_id;
    let frame = block(&mut gateway, &subs[2], u64::from(stream), 0).await;
    assert!(matches!(
        wire::block::Frame::parse(&frame).unwrap(),
        wire::block::Frame::Error { code: 404, .. }
    ));

    let list: Vec<Value> = subs[..2].iter().map(unsigned).collect();
    assert_eq!(ask(&mut gateway, BATCH_LOGOUT, list.into()).await["code"], 200);
    until_online(&world, &subs[0], false).await;
    until_online(&world, &subs[1], false).await;
    assert!(world.server.device(SUB, "meter002").await.unwrap().online);
    assert_eq!(ask(&mut gateway, LOGOUT, unsigned(&subs[0])).await["code"], 520);
    gateway.hang_up().await;
    until_online(&world, &subs[2], false).await;
}

async fn block(gateway: &mut Device, sub: &DeviceKey, stream: u64, offset: usize) -> Vec<u8> {
    let topic = format!("/sys/{SUB}/{}/thing/file/download", sub.name);
    let request = json!({"id": "5", "params": {"fileInfo": {"streamId": stream, "fileId": 1},
        "fileBlock": {"size": 4096, "offset": offset}}});
    gateway.send_publish(&topic, request.to_string().as_bytes(), None).await;
    gateway.expect(&format!("{topic}_reply")).await
}

async fn download(gateway: &mut Device, sub: &DeviceKey, stream: u64, size: usize) -> Vec<u8> {
    let mut file = Vec::new();
    while file.len() < size {
        let frame = block(gateway, sub, stream, file.len()).await;
        match wire::block::Frame::parse(&frame).unwrap() {
            wire::block::Frame::Block { data, .. } => file.extend_from_slice(data),
            other => panic!("{other:?}"),
        }
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_answered_with_its_code() {
    let world = world().await;
    let subs = subs(&world, 3).await;
    let mut gateway = gateway(&world, "gate001").await;
    let own = json!({"productKey": PK, "deviceName": "gate001", "clientId": "x", "sign": "00"});
    let with = |member: &str, value: Value| {
        let mut sub = signed(&subs[0], "x");
        sub[member] = value;
        sub
    };
    let many: Vec<Value> = (0..51).map(|_| signed(&subs[0], "x")).collect();
    for (params, code) in [
        (json!([own]), 6402),
        (json!([with("deviceName", "nobody".into())]), 6100),
        (json!([with("productKey", "nothing".into())]), 6100),
        (json!([with("sign", "00".into())]), 6287),
        (json!([with("timestamp", 1.into())]), 6287),
        (json!([with("clientId", "y".into())]), 6287),
        (json!([signed(&subs[1], "x"), with("deviceName", "meter001".into())]), 6287),
        (json!([with("signMethod", "sha1".into())]), 460),
        (json!([with("deviceName", "no".into())]), 460),
        (json!([unsigned(&subs[0])]), 460),
        (json!([]), 460),
        (json!(["x"]), 460),
        (json!("x"), 460),
        (many.into(), 460),
        // Twice is once.
        (json!([signed(&subs[0], "x"), signed(&subs[0], "y")]), 200),
        (signed(&subs[0], "x"), 200),
    ] {
        assert_eq!(ask(&mut gateway, ADD, params.clone()).await["code"], code, "{params}");
    }
    assert_eq!(ask(&mut gateway, GET, json!({})).await["data"], json!([unsigned(&subs[0])]));

    let answer = ask(&mut gateway, LOGIN, signed(&subs[1], "x")).await;
    assert_eq!((&answer["code"], &answer["data"]["deviceName"]), (&json!(6401), &json!("meter001")));
    // All or none.
    assert_eq!(log_in(&mut gateway, &subs[..2]).await["code"], 6401);
    assert_eq!(ask(&mut gateway, LOGOUT, unsigned(&subs[0])).await["code"], 520);
    world.server.set_device_enabled(SUB, "meter000", false).await.unwrap();
    assert_eq!(log_in(&mut gateway, &subs[..1]).await["code"], 522);
    world.server.set_device_enabled(SUB, "meter000", true).await.unwrap();
    assert_eq!(log_in(&mut gateway, &subs[..1]).await["code"], 200);
    until_online(&world, &subs[0], true).await;

    // What is no request is dropped, and the connection stays.
    for payload in ["", "[]", "{\"id\":{}", "\u{0}"] {
        gateway.publish(&LOGIN.replace("GW", "a1TestPk001/gate001"), payload).await;
    }
    gateway.nothing_more().await;

    let change = ProductChange { node_type: Some(NodeType::Device), ..ProductChange::default() };
    world.server.change_product(PK, change, |_| Ok(())).await.unwrap();
    assert_eq!(add(&mut gateway, &subs[..1]).await["code"], 403);
    until_online(&world, &subs[0], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_logged_in_is_told_so() {
    let world = world().await;
    let subs = subs(&world, 1).await;
    let mut gateway = gateway(&world, "gate001").await;
    assert_eq!(add(&mut gateway, &subs).await["code"], 200);
    let get = format!("/sys/{SUB}/meter000/thing/ota/firmware/get");
    gateway.publish(&get, r#"{"id":"7","params":{}}"#).await;
    let answer = gateway.expect(&format!("{get}_reply")).await;
    assert_eq!(answer, br#"{"id":"7","code":520,"data":{}}"#);
    let frame = block(&mut gateway, &subs[0], 1, 0).await;
    assert!(matches!(
        wire::block::Frame::parse(&frame).unwrap(),
        wire::block::Frame::Error { code: 520, .. }
    ));
    report(&mut gateway, &subs[0], "1.0.0").await;
    gateway.nothing_more().await;
    assert!(world.server.device(SUB, "meter000").await.unwrap().versions.is_empty());
    // A sub-device is no gateway, and nobody is one for another.
    assert_eq!(log_in(&mut gateway, &subs).await["code"], 200);
    let nested = format!("/sys/{SUB}/meter000/thing/topo/get");
    gateway.publish(&nested, r#"{"id":"7","params":{}}"#).await;
    gateway.nothing_more().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_device_is_where_it_was_logged_in_last() {
    let world = world().await;
    let subs = subs(&world, 2).await;
    let mut first = with_subs(&world, "gate001", &subs).await;
    let mut second = gateway(&world, "gate002").await;
    // Whose signature it shows comes to it, and is logged out where it was.
    assert_eq!(log_in(&mut second, &subs[..1]).await["code"], 6401);
    assert_eq!(add(&mut second, &subs[..1]).await["code"], 200);
    until_online(&world, &subs[0], false).await;
    assert_eq!(log_in(&mut first, &subs[..1]).await["code"], 6401);
    assert_eq!(log_in(&mut second, &subs[..1]).await["code"], 200);
    report(&mut second, &subs[0], "1.0.0").await;
    let view = world.server.device(SUB, "meter000").await.unwrap();
    assert_eq!(view.versions[0].version, "1.0.0");
    assert_eq!(view.gateway, Some(DeviceName { product_key: PK.into(), device_name: "gate002".into() }));
    assert!(first.heard().await.is_empty());

    // Deleting what is another's changes nothing.
    assert_eq!(ask(&mut first, DELETE, json!([unsigned(&subs[0])])).await["code"], 200);
    assert_eq!(ask(&mut second, GET, json!({})).await["data"], json!([unsigned(&subs[0])]));

    // Logging in again is a connection of its own: what is due comes again.
    let package = package(&world, b"firmware").await;
    let scope = NewScope::Named(vec!["meter000".into()]);
    let job = world.job_of(otaru_server::NewJob { scope, ..new_job(&package) }).await;
    second.expect("/ota/device/upgrade/").await;
    assert_eq!(log_in(&mut second, &subs[..1]).await["code"], 200);
    report(&mut second, &subs[0], "1.0.0").await;
    second.expect("/ota/device/upgrade/").await;
    assert_eq!(world.tasks(&job).await[0].task.pushes, 2);

    assert_eq!(ask(&mut second, DELETE, json!([unsigned(&subs[0])])).await["code"], 200);
    until_online(&world, &subs[0], false).await;
    let events = world.server.events_of(WhichEvents::All, 0, 10_000).await.unwrap().items;
    let moves = events.iter().filter(|e| matches!(e.event.kind, EventKind::GatewayChanged { .. })).count();
    assert_eq!(moves, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_is_felt_at_once() {
    let world = world().await;
    let subs = subs(&world, 4).await;
    let mut gateway = with_subs(&world, "gate001", &subs).await;
    let name = |sub: &DeviceKey| DeviceName { product_key: SUB.into(), device_name: sub.name.clone() };
    world.server.set_device_enabled(SUB, "meter000", false).await.unwrap();
    world.server.remove_device(SUB, "meter001").await.unwrap();
    world.server.remove_sub_device(PK, "gate001", &name(&subs[2])).await.unwrap();
    until_online(&world, &subs[0], false).await;
    until_online(&world, &subs[2], false).await;
    let asked = |sub: &DeviceKey| format!("/sys/{SUB}/{}/thing/ota/firmware/get", sub.name);
    for sub in &subs {
        gateway.publish(&asked(sub), r#"{"id":"7","params":{}}"#).await;
        let answer: Value =
            serde_json::from_slice(&gateway.expect(&format!("{}_reply", asked(sub))).await).unwrap();
        assert_eq!(answer["code"], if sub.name == "meter003" { 200 } else { 520 }, "{}", sub.name);
    }
    let paging = Paging { after: None, limit: 10 };
    let left = world.server.sub_devices(PK, "gate001", paging).await.unwrap().items;
    assert_eq!(
        left.iter().map(|sub| (&*sub.name.device_name, sub.online)).collect::<Vec<_>>(),
        [("meter000", false), ("meter003", true)]
    );

    world.server.add_sub_device(PK, "gate001", &name(&subs[2])).await.unwrap();
    assert_eq!(log_in(&mut gateway, &subs[2..3]).await["code"], 200);
    let refusal = world.server.remove_sub_device(PK, "gate001", &name(&subs[1])).await.unwrap_err();
    assert_eq!(refusal.code, "subDeviceNotFound");
    let itself = DeviceName { product_key: PK.into(), device_name: "gate001".into() };
    assert_eq!(
        world.server.add_sub_device(PK, "gate001", &itself).await.unwrap_err().code,
        "gatewayOfItself"
    );
    let other = world.server.add_sub_device(SUB, "meter000", &name(&subs[3])).await.unwrap_err();
    assert_eq!(other.code, "notAGateway");
    world.server.remove_device(PK, "gate001").await.unwrap();
    gateway.expect_close().await;
    until_online(&world, &subs[3], false).await;
    assert_eq!(world.server.device(SUB, "meter003").await.unwrap().gateway, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_gateway_has_more_than_it_may() {
    let world = world().await;
    let subs = subs(&world, SUB_DEVICES + 1).await;
    let mut gateway = with_subs(&world, "gate001", &subs[..SUB_DEVICES]).await;
    assert_eq!(add(&mut gateway, &subs[SUB_DEVICES..]).await["code"], 428);
    // Those that are there may come again.
    assert_eq!(log_in(&mut gateway, &subs[..50]).await["code"], 200);
    assert_eq!(ask(&mut gateway, DELETE, json!([unsigned(&subs[0])])).await["code"], 200);
    assert_eq!(add(&mut gateway, &subs[SUB_DEVICES..]).await["code"], 200);
    until_online(&world, &subs[0], false).await;
    assert_eq!(log_in(&mut gateway, &subs[SUB_DEVICES..]).await["code"], 200);
}

/// A sub-device that is taken away while its gateway logs it in is never left behind in the gateway's session.
#[tokio::test(flavor = "multi_thread")]
async fn a_sub_device_taken_away_during_its_login_is_logged_out() {
    let world = world().await;
    let subs = subs(&world, 1).await;
    let mut gateway = with_subs(&world, "gate001", &subs).await;
    let name = DeviceName { product_key: SUB.into(), device_name: subs[0].name.clone() };
    let topic = format!("/sys/{SUB}/{}/thing/ota/firmware/get", subs[0].name);
    for round in 0..60 {
        world.server.add_sub_device(PK, "gate001", &name).await.unwrap();
        let (answer, removed) =
            tokio::join!(log_in(&mut gateway, &subs), world.server.remove_sub_device(PK, "gate001", &name));
        removed.unwrap();
        assert!([json!(200), json!(6401)].contains(&answer["code"]), "{answer}");
        gateway.publish(&topic, r#"{"id":"7","params":{}}"#).await;
        let answer: Value = serde_json::from_slice(&gateway.expect(&format!("{topic}_reply")).await).unwrap();
        assert_eq!(answer["code"], 520, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_logs_in_without_end_is_slowed_down() {
    let world = world().await;
    let subs = subs(&world, 50).await;
    let mut gateway = with_subs(&world, "gate001", &subs).await;
    let mut logins = 50;
    let refused = loop {
        let answer = log_in(&mut gateway, &subs).await;
        if answer["code"] != 200 {
            break answer;
        }
        logins += 50;
        assert!(logins <= SUB_DEVICES + 1_000, "{logins} were let in");
    };
    assert_eq!(refused["code"], 429);
    assert!(logins > SUB_DEVICES + 1_000 - 50, "only {logins} were let in");
    // Those that are logged in stay so, another gateway is not held back, and this one neither before long.
    let mut other = with_subs(&world, "gate002", &subs[..1]).await;
    report(&mut gateway, &subs[1], "1.0.0").await;
    until_online(&world, &subs[1], true).await;
    other.nothing_more().await;
    world.clock.advance(2_500);
    assert_eq!(log_in(&mut gateway, &subs[1..]).await["code"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_adds_and_deletes_without_end_is_slowed_down() {
    let world = world().await;
    let subs = subs(&world, 50).await;
    let mut gateway = gateway(&world, "gate001").await;
    let list = Value::from(subs.iter().map(unsigned).collect::<Vec<_>>());
    let mut added = 0;
    let refused = loop {
        let answer = add(&mut gateway, &subs).await;
        if answer["code"] != 200 {
            break answer;
        }
        added += 50;
        assert!(added <= SUB_DEVICES + 1_000, "{added} were added");
        assert_eq!(add(&mut gateway, &subs).await["code"], 200, "what is there already costs nothing");
        assert_eq!(ask(&mut gateway, DELETE, list.clone()).await["code"], 200);
    };
    assert_eq!(refused["code"], 429);
    assert!(added > SUB_DEVICES + 1_000 - 50, "only {added} were added");
    assert_eq!(ask(&mut gateway, GET, json!({})).await["data"], json!([]), "none of the request is done");
    world.clock.advance(2_500);
    assert_eq!(add(&mut gateway, &subs).await["code"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_may_come_by_itself_and_by_its_gateway() {
    let world = world().await;
    let subs = subs(&world, 1).await;
    // The product of gateways, as the tests' devices connect to that alone.
    let key = world.device("both001").await;
    let mut gateway = gateway(&world, "gate001").await;
    let mut own = signed(&key, "x");
    own["productKey"] = PK.into();
    let raw = |text| Some(wire::json::RawStr::plain(text).unwrap());
    let proof = Proof {
        method: SignMethod::HmacSha256,
        sign: "",
        client_id: raw("x"),
        random: None,
        timestamp: raw("1700000000000"),
        clean_session: None,
    };
    own["sign"] = proof.sign(key.secret.as_bytes(), PK, "both001").to_string().into();
    assert_eq!(ask(&mut gateway, ADD, own.clone()).await["code"], 200);
    let mut direct = Device::online(&world, &key, "1.0.0").await;
    assert_eq!(ask(&mut gateway, LOGIN, own.clone()).await["code"], 200);
    direct.expect_close().await;
    let mut direct = Device::online(&world, &key, "1.0.1").await;
    assert_eq!(direct.ask().await, json!({}));
    let logout = json!({"productKey": PK, "deviceName": "both001"});
    assert_eq!(ask(&mut gateway, LOGOUT, logout).await["code"], 520);
    assert_eq!(log_in(&mut gateway, &subs).await["code"], 6401);
}

async fn let_register(world: &World, product_key: &str) {
    let change = ProductChange { dynamic_registration: Some(true), ..ProductChange::default() };
    world.server.change_product(product_key, change, |_| Ok(())).await.unwrap();
}

/// What a sub-device signs with its product's secret.
fn signed_by_product(product_secret: &str, device_name: &str) -> Value {
    let user = Username { product_key: SUB, device_name };
    let sign = registration_sign(SignMethod::HmacSha256, product_secret.as_bytes(), &user, "42").to_string();
    json!({"productKey": SUB, "deviceName": device_name, "random": "42", "signMethod": "hmacSha256", "sign": sign})
}

/// The names and secrets that were told.
fn secrets(list: &Value) -> Vec<(&str, &str)> {
    let told = |sub: &Value| {
        assert_eq!(sub["productKey"], SUB);
        assert!(sub["iotId"].as_str().is_some_and(|id| !id.is_empty()), "{sub}");
    };
    let list = list.as_array().unwrap();
    list.iter().for_each(told);
    list.iter().map(|s| (s["deviceName"].as_str().unwrap(), s["deviceSecret"].as_str().unwrap())).collect()
}

/// The devices that gateways registered, and whether again.
async fn registered(world: &World) -> Vec<(String, bool)> {
    let events = world.server.events_of(WhichEvents::All, 0, 10_000).await.unwrap().items;
    let all = events.into_iter().filter_map(|told| match told.event.kind {
        EventKind::DeviceRegistered { again, gateway: Some(gateway), .. } => {
            Some((gateway.device_name, again))
        }
        _ => None,
    });
    all.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_gets_the_secrets_of_sub_devices_made_beforehand() {
    let world = world().await;
    let subs = subs(&world, 3).await;
    let mut gateway = gateway(&world, "gate001").await;
    let list = |subs: &[DeviceKey]| Value::from(subs.iter().map(unsigned).collect::<Vec<_>>());
    assert_eq!(ask(&mut gateway, REGISTER, list(&subs)).await["code"], 6288);
    let_register(&world, SUB).await;
    let answer = ask(&mut gateway, REGISTER, list(&subs[..2])).await;
    assert_eq!(answer["code"], 200);
    let wanted: Vec<_> = subs[..2].iter().map(|sub| (&*sub.name, &*sub.secret)).collect();
    assert_eq!(secrets(&answer["data"]), wanted);
    assert_eq!(registered(&world).await, [("gate001".into(), false), ("gate001".into(), false)]);

    // It is good for the topology and for logging in.
    assert_eq!(add(&mut gateway, &subs[..2]).await["code"], 200);
    assert_eq!(log_in(&mut gateway, &subs[..1]).await["code"], 200);
    until_online(&world, &subs[0], true).await;
    // A gateway that has lost them asks again: for what it has, that is nothing new.
    assert_eq!(ask(&mut gateway, REGISTER, list(&subs[..1])).await["code"], 200);
    assert_eq!(registered(&world).await.len(), 2);

    // What has been connected is told to no other gateway, nor to this one when it has it no more.
    let mut other = self::gateway(&world, "gate002").await;
    assert_eq!(ask(&mut other, REGISTER, list(&subs[..1])).await["code"], 6619);
    assert_eq!(ask(&mut gateway, DELETE, list(&subs[..1])).await["code"], 200);
    assert_eq!(ask(&mut gateway, REGISTER, list(&subs[..1])).await["code"], 6289);
    world.server.allow_device_registration(SUB, "meter000", 5).await.unwrap();
    assert_eq!(ask(&mut other, REGISTER, unsigned(&subs[0])).await["code"], 200);
    assert_eq!(registered(&world).await[2..], [("gate002".into(), true)]);
    assert_eq!(world.counter("registrations"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_frees_a_sub_device_for_the_registration_by_another_gateway() {
    let world = world().await;
    let subs = subs(&world, 2).await;
    let _before = with_subs(&world, "gate001", &subs).await;
    let mut other = gateway(&world, "gate002").await;
    let_register(&world, SUB).await;
    for sub in &subs {
        world.server.allow_device_registration(SUB, &sub.name, 5).await.unwrap();
        assert_eq!(ask(&mut other, REGISTER, unsigned(sub)).await["code"], 6619);
    }
    let name = |sub: &DeviceKey| DeviceName { product_key: SUB.into(), device_name: sub.name.clone() };
    world.server.remove_sub_device(PK, "gate001", &name(&subs[0])).await.unwrap();
    world.server.add_sub_device(PK, "gate002", &name(&subs[1])).await.unwrap();
    for sub in &subs {
        assert_eq!(ask(&mut other, REGISTER, unsigned(sub)).await["code"], 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_by_a_gateway_is_refused_with_its_code() {
    let world = world().await;
    let subs = subs(&world, 2).await;
    let mut gateway = gateway(&world, "gate001").await;
    for product in [PK, SUB] {
        let_register(&world, product).await;
    }
    world.server.set_device_enabled(SUB, "meter001", false).await.unwrap();
    let named = |product_key: &str, name: &str| json!({"productKey": product_key, "deviceName": name});
    for (sub, code) in [
        (named("nothing", "meter000"), 6250),
        (named(SUB, "nobody"), 6100),
        (named(SUB, "meter001"), 522),
        (named(PK, "gate001"), 6402),
        (named(SUB, "no"), 460),
        (named(SUB, ""), 460),
    ] {
        let answer = ask(&mut gateway, REGISTER, json!([unsigned(&subs[0]), sub])).await;
        assert_eq!(answer["code"], code, "{sub}");
        assert!(!answer.to_string().contains(&subs[0].secret), "all or none: {answer}");
    }
    assert!(registered(&world).await.is_empty());
    for params in [json!([]), json!("x"), json!({}), (0..51).map(|_| unsigned(&subs[0])).collect::<Value>()] {
        assert_eq!(ask(&mut gateway, REGISTER, params).await["code"], 460);
    }
    let change = ProductChange { node_type: Some(NodeType::Device), ..ProductChange::default() };
    world.server.change_product(PK, change, |_| Ok(())).await.unwrap();
    assert_eq!(ask(&mut gateway, REGISTER, unsigned(&subs[0])).await["code"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_devices_register_with_their_products_secret() {
    let world = world().await;
    let subs = subs(&world, 2).await;
    let mut gateway = gateway(&world, "gate001").await;
    let ps = world.server.product_secret(SUB).await.unwrap();
    let proxieds = |list: &[Value]| json!({"proxieds": list});
    let right = signed_by_product(&ps, "meter000");
    let answer = ask(&mut gateway, REGISTER_BY_PRODUCT, proxieds(std::slice::from_ref(&right))).await;
    let failed = |name: &str, code: i32| json!({"productKey": SUB, "deviceName": name, "code": code});
    assert_eq!(answer["data"], json!({"successes": [], "failures": [failed("meter000", 6288)]}));

    let_register(&world, SUB).await;
    let wrong = signed_by_product("guess", "meter001");
    // Who does not have the secret is not told which devices there are.
    let guess = signed_by_product("guess", "nobody");
    let nobody = signed_by_product(&ps, "nobody");
    let answer =
        ask(&mut gateway, REGISTER_BY_PRODUCT, proxieds(&[right.clone(), wrong, guess, nobody])).await;
    assert_eq!(answer["code"], 200);
    assert_eq!(secrets(&answer["data"]["successes"]), [("meter000", &*subs[0].secret)]);
    let failures = json!([failed("meter001", 6287), failed("nobody", 6287), failed("nobody", 6100)]);
    assert_eq!(answer["data"]["failures"], failures);
    assert_eq!(registered(&world).await, [("gate001".into(), false)]);
    assert_eq!(
        add(&mut gateway, &subs[..1]).await["code"],
        200,
        "it is signed with the secret that was told"
    );
    for params in [proxieds(&[unsigned(&subs[0])]), json!([right]), json!({})] {
        assert_eq!(ask(&mut gateway, REGISTER_BY_PRODUCT, params).await["code"], 460);
    }
}

/// Whoever gives the order may go away while it is committed.
#[tokio::test]
async fn a_sub_device_that_is_moved_leaves_its_gateway_although_nobody_waits_for_it() {
    let world = world().await;
    let subs = subs(&world, 1).await;
    let mut gateway = with_subs(&world, "gate001", &subs).await;
    world.device("gate002").await;
    let sub = DeviceName { product_key: SUB.into(), device_name: subs[0].name.clone() };
    for polls in polls() {
        let is_left = polled(polls, world.server.add_sub_device(PK, "gate002", &sub)).await.is_none();
        world.until_next_turn().await;
        let paging = Paging { after: None, limit: 10 };
        if !world.server.sub_devices(PK, "gate001", paging).await.unwrap().items.is_empty() {
            continue;
        }
        until_online(&world, &subs[0], false).await;
        if is_left {
            return;
        }
        assert_eq!(add(&mut gateway, &subs).await["code"], 200);
        assert_eq!(log_in(&mut gateway, &subs).await["code"], 200);
        until_online(&world, &subs[0], true).await;
    }
    panic!("it was never left while it was committed");
}
