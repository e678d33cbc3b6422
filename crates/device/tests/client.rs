//! The MQTT client, alone and with the updater, against a server of a few lines that speaks bytes.
#![allow(clippy::unwrap_used)]

mod bench;

use bench::{DN, Flash, PK, Platform, Rng, Task};
use mqtt::{Packet, Properties, Property, Publish, QoS, Version};
use otaru_device::client::{CannotPublish, Client, Login, Received, Todo, Trouble};
use otaru_device::{Config, FRAME_OVERHEAD, MESSAGE_SIZE, Module, Output, Updater};
use wire::credentials::{ClientId, Username, verify};

const SECRET: &str = "0123456789abcdef";
const BLOCK: u32 = 512;
const ROOM: usize = BLOCK as usize + FRAME_OVERHEAD;

fn login(version: Version) -> Login<'static> {
    Login { product_key: PK, device_name: DN, secret: SECRET, version, keep_alive: 60 }
}

fn bytes(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len(version).unwrap()];
    packet.emit(version, &mut bytes).unwrap();
    bytes
}

fn publish(topic: &str, payload: &[u8], packet_id: Option<u16>, version: Version) -> Vec<u8> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let (dup, retain, properties) = (false, false, Properties::NONE);
    bytes(&Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload }), version)
}

fn connack(code: u8, version: Version) -> Vec<u8> {
    let (session_present, properties) = (false, Properties::NONE);
    bytes(&Packet::ConnAck { session_present, code, properties }, version)
}

/// A client whose login was taken at 0.
fn online(version: Version) -> Client<'static> {
    let mut client = Client::new(login(version));
    log_in(&mut client, 0, version);
    client
}

fn log_in(client: &mut Client<'_>, now: u64, version: Version) {
    let mut out = [0; 256];
    assert_eq!(client.poll(now, &mut out), Todo::Open);
    client.handle_opened(now);
    assert!(matches!(client.poll(now, &mut out), Todo::Send(_)));
    let connack = connack(0, version);
    assert_eq!(client.receive(now, &connack, ROOM), Received::Packet { len: connack.len() });
    assert_eq!(client.poll(now, &mut out), Todo::Online);
}

#[test]
fn logs_in_with_the_triple() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = Client::new(login(version));
        let mut out = [0; 256];
        client.poll(0, &mut out);
        client.handle_opened(0);
        let Todo::Send(connect) = client.poll(0, &mut out) else { panic!() };
        let Packet::Connect(connect) = Packet::parse(connect, version).unwrap() else { panic!() };
        let id = ClientId::parse(connect.client_id).unwrap();
        let user = Username::parse(connect.username.unwrap()).unwrap();
        let method = id.sign_method().unwrap();
        assert!(verify(connect.password.unwrap(), method, SECRET.as_bytes(), &id, &user));
        assert_eq!((connect.version, connect.keep_alive, connect.clean), (version, 60, true));
    }
}

#[test]
fn a_refused_login_is_tried_again_but_not_soon() {
    for (version, code, trouble, soon) in [
        (Version::V311, 4, Trouble::Refused(4), false),
        (Version::V311, 3, Trouble::Unavailable, true),
        (Version::V5, 0x86, Trouble::Refused(0x86), false),
        (Version::V5, 0x88, Trouble::Unavailable, true),
    ] {
        let mut client = Client::new(login(version));
        let mut out = [0; 256];
        client.poll(0, &mut out);
        client.handle_opened(0);
        client.poll(0, &mut out);
        client.receive(5, &connack(code, version), ROOM);
        assert_eq!(client.poll(5, &mut out), Todo::Close(trouble));
        let Todo::Wait(Some(until)) = client.poll(5, &mut out) else { panic!() };
        assert_eq!(until < 2_000, soon, "{trouble}: {until}");
        assert!(soon || until >= 60_000);
        assert_eq!(client.poll(until, &mut out), Todo::Open);
    }
}

#[test]
fn waits_grow_and_are_forgotten_after_a_good_connection() {
    let mut client = Client::new(login(Version::V311));
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..9 {
        assert_eq!(client.poll(now, &mut []), Todo::Open);
        client.handle_closed(now);
        let Todo::Wait(Some(until)) = client.poll(now, &mut []) else { panic!() };
        waits.push(until - now);
        now = until;
    }
    for (wait, least) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
        assert!((least..=least * 3 / 2).contains(wait), "{waits:?}");
    }
    let mut client = online(Version::V311);
    client.handle_closed(20_000);
    assert!(matches!(client.poll(20_000, &mut []), Todo::Wait(Some(..=20_750))));
}

#[test]
fn keeps_the_connection_alive_and_notices_silence() {
    let mut client = online(Version::V311);
    let mut out = [0; 256];
    assert_eq!(client.poll(0, &mut out), Todo::Wait(Some(30_000)));
    assert_eq!(client.poll(30_000, &mut out), Todo::Send(&[0xC0, 0]));
    assert_eq!(client.poll(30_000, &mut out), Todo::Wait(Some(40_000)));
    client.receive(31_000, &[0xD0, 0], ROOM);
    assert_eq!(client.poll(31_000, &mut out), Todo::Wait(Some(60_000)));
    client.publish(50_000, "t", b"", false, &mut out).unwrap();
    assert_eq!(
        client.poll(61_000, &mut out),
        Todo::Send(&[0xC0, 0]),
        "sending alone shows nothing of the platform"
    );
    assert_eq!(client.poll(71_000, &mut out), Todo::Close(Trouble::Silent));
}

#[test]
fn who_does_not_answer_is_asked_soon_however_long_the_keepalive() {
    let mut client = Client::new(Login { keep_alive: 1_200, ..login(Version::V311) });
    let mut out = [0; 256];
    log_in(&mut client, 0, Version::V311);
    assert_eq!(client.poll(0, &mut out), Todo::Wait(Some(600_000)));
    client.publish(50_000, "t", b"a request for a block", false, &mut out).unwrap();
    assert_eq!(client.poll(50_000, &mut out), Todo::Send(&[0xC0, 0]));
    assert_eq!(client.poll(60_000, &mut out), Todo::Close(Trouble::Silent));
}

#[test]
fn half_a_packet_does_not_hide_a_dead_line() {
    let mut client = online(Version::V311);
    let mut out = [0; 256];
    let packet = publish("t", &[1; 500], None, Version::V311);
    for now in (0..=29_000).step_by(1_000) {
        let come = packet.len() * now as usize / 30_000;
        assert_eq!(client.receive(now, &packet[..come], ROOM), Received::Part);
        assert!(matches!(client.poll(now, &mut out), Todo::Wait(_)), "a slow one is no dead one");
    }
    let half = &packet[..packet.len() * 29 / 30];
    for now in (30_000..100_000).step_by(1_000) {
        assert_eq!(client.receive(now, half, ROOM), Received::Part);
        if client.poll(now, &mut out) == Todo::Close(Trouble::Silent) {
            return;
        }
    }
    panic!("nobody noticed");
}

#[test]
fn a_good_connection_is_one_however_it_ended() {
    for version in [Version::V311, Version::V5] {
        let mut client = Client::new(login(version));
        let (mut now, mut out) = (0, [0; 256]);
        for _ in 0..5 {
            log_in(&mut client, now, version);
            now += 24 * 3_600_000;
            if version == Version::V5 {
                client.receive(now, &bytes(&Packet::disconnect(0x8B), version), ROOM);
            } else {
                assert_eq!(client.poll(now, &mut out), Todo::Send(&[0xC0, 0]));
                now += 10_000;
            }
            assert!(matches!(client.poll(now, &mut out), Todo::Close(_)));
            let Todo::Wait(Some(until)) = client.poll(now, &mut out) else { panic!() };
            assert!(until - now <= 750, "{version:?}: {} ms", until - now);
            now = until;
        }
    }
}

#[test]
fn why_a_login_was_refused_is_said_even_if_the_line_is_closed_at_once() {
    let mut client = Client::new(login(Version::V311));
    let mut out = [0; 256];
    client.poll(0, &mut out);
    client.handle_opened(0);
    client.poll(0, &mut out);
    client.receive(0, &connack(4, Version::V311), ROOM);
    client.handle_closed(0);
    assert_eq!(client.poll(0, &mut out), Todo::Close(Trouble::Refused(4)));
    client.handle_closed(0);
    assert!(matches!(client.poll(0, &mut out), Todo::Wait(Some(60_000..))));
}

#[test]
fn more_modules_than_can_wait_are_reported_as_acknowledgements_come() {
    let names: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
    let modules: Vec<Module<'_>> = names.iter().map(|name| Module::new(name, "1.0")).collect();
    let mut updater = Updater::new(Config::new(PK, DN, &modules), None).unwrap();
    let mut client = online(Version::V311);
    updater.handle_connected();
    let (mut reported, mut owed) = (0, Vec::new());
    while reported < 20 {
        if client.is_busy() {
            for id in std::mem::take(&mut owed) {
                client.receive(0, &bytes(&Packet::puback(id), Version::V311), ROOM);
            }
        }
        let (mut buffer, mut out) = ([0; MESSAGE_SIZE], [0; 1024]);
        match updater.poll(0, &mut buffer) {
            Output::Publish { topic, payload, acknowledged } => {
                let packet = client.publish(0, topic, payload.as_bytes(), acknowledged, &mut out).unwrap();
                let Packet::Publish(publish) = Packet::parse(packet, Version::V311).unwrap() else {
                    panic!()
                };
                owed.extend(publish.packet_id);
                reported += 1;
            }
            output => panic!("{output:?}"),
        }
    }
}

#[test]
fn the_servers_keepalive_counts() {
    let mut client = Client::new(login(Version::V5));
    let mut out = [0; 256];
    client.poll(0, &mut out);
    client.handle_opened(0);
    client.poll(0, &mut out);
    let properties = [Property::ServerKeepAlive(10)];
    let properties = Properties::new(&properties);
    let connack = bytes(&Packet::ConnAck { session_present: false, code: 0, properties }, Version::V5);
    client.receive(0, &connack, ROOM);
    client.poll(0, &mut out);
    assert_eq!(client.poll(0, &mut out), Todo::Wait(Some(5_000)));
}

#[test]
fn acknowledges_and_is_acknowledged() {
    let mut client = online(Version::V311);
    let mut out = [0; 256];
    let message = publish("a/b", b"hello", Some(7), Version::V311);
    for part in 0..message.len() {
        assert_eq!(client.receive(1, &message[..part], ROOM), Received::Part);
    }
    let wanted = Received::Message { len: message.len(), topic: "a/b", payload: b"hello" };
    assert_eq!(client.receive(1, &message, ROOM), wanted);
    assert_eq!(client.poll(1, &mut out), Todo::Send(&[0x40, 2, 0, 7]));
    for id in 1..=8 {
        client.publish(1, "t", b"x", true, &mut out).unwrap();
        assert_eq!(out[..8], [0x32, 6, 0, 1, b't', 0, id, b'x']);
    }
    assert_eq!(client.publish(1, "t", b"x", true, &mut out), Err(CannotPublish::Busy));
    assert!(client.publish(1, "t", b"x", false, &mut out).is_ok() && !client.is_settled());
    for id in 1..=8 {
        client.receive(2, &[0x40, 2, 0, id], ROOM);
    }
    assert!(client.is_settled());
    client.handle_closed(3);
    assert_eq!(client.publish(3, "t", b"x", true, &mut out), Err(CannotPublish::Offline));
}

#[test]
fn a_packet_that_does_not_fit_is_told_with_its_topic() {
    let mut client = online(Version::V311);
    let topic = format!("/ota/device/upgrade/{PK}/{DN}");
    let long = publish(&topic, &[b' '; 2_000], None, Version::V311);
    let seen =
        (0..=ROOM).map(|len| client.receive(0, &long[..len], ROOM)).find(|seen| *seen != Received::Part);
    assert_eq!(seen, Some(Received::TooLong { len: long.len(), topic: Some(topic.as_str()) }));
    let endless = [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF];
    let garbage = [&endless[..], &[b'x'; ROOM]].concat();
    let seen = client.receive(0, &garbage, ROOM);
    assert!(matches!(seen, Received::TooLong { topic: None, .. }), "{seen:?}");
}

#[test]
fn what_is_no_mqtt_ends_the_connection() {
    let mut client = online(Version::V311);
    assert_eq!(client.receive(0, &[0, 0], ROOM), Received::Broken);
    assert!(matches!(client.poll(0, &mut [0; 64]), Todo::Close(Trouble::Protocol(_))));
    let mut client = online(Version::V5);
    let goodbye = bytes(&Packet::disconnect(0x8E), Version::V5);
    client.receive(0, &goodbye, ROOM);
    assert_eq!(client.poll(0, &mut [0; 64]), Todo::Close(Trouble::Ended(0x8E)));
}

#[test]
fn any_bytes_are_survived() {
    let mut rng = Rng::new(4);
    for _ in 0..20_000 {
        let version = if rng.chance(50) { Version::V311 } else { Version::V5 };
        let mut client = online(version);
        let first = [0x20, 0x30, 0x32, 0x40, 0x90, 0xD0, 0xE0][rng.below(7) as usize];
        let mut bytes = vec![first, rng.below(30) as u8];
        bytes.extend((0..rng.below(40)).map(|_| rng.below(256) as u8));
        client.receive(0, &bytes, 20);
        let mut out = [0; 256];
        assert!((0..10).any(|_| matches!(client.poll(0, &mut out), Todo::Wait(_))));
    }
}

/// A server and its end of a connection.
struct Server {
    version: Version,
    platform: Platform,
    received: Vec<u8>,
    sent: Vec<u8>,
    id: u16,
}

impl Server {
    fn receive(&mut self, now: u64, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        while let Some(len) = mqtt::frame_len(&self.received, 1 << 16).unwrap() {
            if len > self.received.len() {
                return;
            }
            let packet: Vec<u8> = self.received.drain(..len).collect();
            match Packet::parse(&packet, self.version).unwrap() {
                Packet::Connect(_) => self.sent.extend(connack(0, self.version)),
                Packet::PingReq => self.sent.extend(bytes_of(Packet::PingResp, self.version)),
                Packet::Publish(message) => {
                    if let Some(id) = message.packet_id {
                        self.sent.extend(bytes_of(Packet::puback(id), self.version));
                    }
                    for (topic, payload) in self.platform.receive(now, message.topic, message.payload) {
                        self.id += 1;
                        let id = (!topic.contains("/file/")).then_some(self.id);
                        self.sent.extend(publish(&topic, &payload, id, self.version));
                    }
                }
                _ => {}
            }
        }
    }
}

fn bytes_of(packet: Packet<'_>, version: Version) -> Vec<u8> {
    bytes(&packet, version)
}

/// A whole update over bytes that come in pieces of any size, on connections that break. How many there were.
fn update(version: Version, seed: u64, breaks: u8) -> u32 {
    let mut rng = Rng::new(seed);
    let file: Vec<u8> = (0..20_000).map(|at| (at * 7 % 251) as u8).collect();
    let platform = Platform::new(vec![Task::new(file.clone())]);
    let mut server = Server { version, platform, received: Vec::new(), sent: Vec::new(), id: 0 };
    let (mut flash, mut connections, mut now) = (Flash::default(), 0, 0);
    for installed in ["1.0", "2.0"] {
        let modules = [Module::new("default", installed)];
        let config = Config { block: BLOCK, window: 4, ..Config::new(PK, DN, &modules) };
        let mut updater = Updater::new(config, flash.record()).unwrap();
        let mut client = Client::new(login(version));
        let (mut received, mut out) = (Vec::new(), [0; 1024]);
        for _ in 0..200_000 {
            let wake = match client.poll(now, &mut out) {
                Todo::Open => {
                    connections += 1;
                    received.clear();
                    (server.received, server.sent) = (Vec::new(), Vec::new());
                    client.handle_opened(now);
                    continue;
                }
                Todo::Send(bytes) => {
                    server.receive(now, bytes);
                    continue;
                }
                Todo::Online => {
                    updater.handle_connected();
                    continue;
                }
                Todo::Close(trouble) => panic!("{trouble}"),
                Todo::Wait(wake) => wake,
            };
            if client.is_online() && rng.chance(breaks) && rng.chance(20) {
                client.handle_closed(now);
                updater.handle_disconnected();
                continue;
            }
            let mut message = [0; MESSAGE_SIZE];
            let until = match updater.poll(now, &mut message) {
                Output::Publish { topic, payload, acknowledged } => {
                    match client.publish(now, topic, payload.as_bytes(), acknowledged, &mut out) {
                        Ok(bytes) => server.receive(now, bytes),
                        Err(error) => panic!("{error}"),
                    }
                    continue;
                }
                Output::Prepare { size, .. } => {
                    flash.prepare(size).unwrap();
                    updater.handle_prepared();
                    continue;
                }
                Output::Save(record) => {
                    flash.save(record).unwrap();
                    updater.handle_saved();
                    continue;
                }
                Output::Read { offset, len } => {
                    let data = flash.read(offset, len);
                    updater.handle_read(offset, &data);
                    continue;
                }
                Output::Install { module, size, .. } => {
                    flash.install(module, size).unwrap();
                    updater.handle_installed();
                    continue;
                }
                Output::Reboot => break,
                Output::Event(_) => continue,
                Output::Fetch { .. } | Output::Keep { .. } => panic!("there is no HTTP"),
                Output::Wait(until) => until,
            };
            if client.is_settled() {
                updater.handle_settled();
            }
            if server.platform.informs.last().is_some_and(|(_, version)| version == "2.0") {
                break;
            }
            let some = (1 + rng.below(700) as usize).min(server.sent.len()).min(ROOM - received.len());
            received.extend(server.sent.drain(..some));
            match client.receive(now, &received, ROOM) {
                Received::Message { len, topic, payload } => {
                    if let Some(block) = updater.handle_message(now, topic, payload) {
                        flash.write(block.offset, block.data).unwrap();
                        updater.handle_written(block.offset);
                    }
                    received.drain(..len);
                }
                Received::Packet { len } => drop(received.drain(..len)),
                Received::Part if some > 0 => {}
                Received::Part => now = wake.into_iter().chain(until).min().unwrap().max(now),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(flash.images.get("default"), Some(&file));
    assert!(server.platform.informs.contains(&("default".to_owned(), "2.0".to_owned())), "rng seed {seed}");
    connections
}

#[test]
fn a_whole_update_over_bytes() {
    for version in [Version::V311, Version::V5] {
        for seed in 0..10 {
            assert_eq!(update(version, seed, 0), 2);
        }
    }
}

#[test]
fn a_whole_update_over_connections_that_break() {
    let mut connections = 0;
    for seed in 0..30 {
        let version = if seed % 2 == 0 { Version::V311 } else { Version::V5 };
        connections += update(version, seed, 10);
    }
    assert!(connections > 90, "only {connections} connections");
}
