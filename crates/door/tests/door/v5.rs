//! Sessions in MQTT 5: what is announced, what follows from it, and the reason for every end.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::atomic::Ordering;

use crate::common::House;
use crate::common::client::{Client, Credentials, Received, bytes_in, message};
use crate::common::platform::{SLOW, TestBlob, Told};
use bytes::Bytes;
use mqtt::{
    Connect, Filters, Options, Packet, Properties, Property, Publish, QoS, RetainHandling, Subscribe,
    SubscriptionId, Version, Will, reason,
};
use otaru_door::{Closed, Downlink};
use tokio::net::TcpStream;
use wire::block::Frame;
use wire::topic::Kind;

const INFORM: &str = "/ota/device/inform/a1TestPk001/dev001";
const NOTICE: &str = "/ota/device/upgrade/a1TestPk001/dev001";
const CUSTOM: &str = "/a1TestPk001/dev001/user/hello";
const ASK: &str = "/sys/a1TestPk001/dev001/thing/file/download";
const REPLY: &str = "/sys/a1TestPk001/dev001/thing/file/download_reply";

fn credentials() -> Credentials {
    Credentials { version: Version::V5, ..Credentials::of("dev001") }
}

async fn enter(house: &House) -> Client<TcpStream> {
    enter_with(house, &[]).await
}

/// A session whose CONNECT has these properties.
async fn enter_with(house: &House, properties: &[Property<'_>]) -> Client<TcpStream> {
    let credentials = credentials();
    let connect = Connect { properties: Properties::new(properties), ..credentials.connect() };
    Client::enter_with(house.dial().await, &connect).await
}

fn max_packet(bytes: u32) -> Property<'static> {
    Property::MaximumPacketSize(NonZeroU32::new(bytes).unwrap())
}

fn receive_maximum(count: u16) -> Property<'static> {
    Property::ReceiveMaximum(NonZeroU16::new(count).unwrap())
}

fn packet(packet: &Packet<'_>) -> Vec<u8> {
    bytes_in(Version::V5, packet)
}

/// All that comes back on `hello` until the connection ends.
async fn answer(house: &House, hello: &[u8]) -> Vec<u8> {
    let mut client = Client::new(house.dial().await);
    client.send(hello).await;
    client.rest().await
}

async fn refused(house: &House, connect: &Connect<'_>) -> Vec<u8> {
    answer(house, &packet(&Packet::Connect(*connect))).await
}

fn connack(code: u8) -> Vec<u8> {
    vec![0x20, 3, 0, code, 0]
}

fn disconnect(reason: u8) -> Vec<u8> {
    vec![0xe0, 1, reason]
}

/// A CONNECT of these properties and the rest of its body.
fn hello(properties: &[u8], rest: &[u8]) -> Vec<u8> {
    let body = [b"\0\x04MQTT\x05\x02\0\x3c", &[properties.len() as u8][..], properties, rest].concat();
    [&[0x10, body.len() as u8], &body[..]].concat()
}

fn request(id: u32, size: u32) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","params":{{"fileInfo":{{"streamId":7,"fileId":1}},"fileBlock":{{"size":{size},"offset":0}}}}}}"#
    )
    .into_bytes()
}

/// Id and data length of a block.
fn block(received: &Received) -> (String, usize) {
    match Frame::parse(received.publish().payload).unwrap() {
        Frame::Block { head, data } => (head.id.to_string(), data.len()),
        Frame::Error { json, .. } => panic!("{json} instead of a block"),
    }
}

/// Code and whole text of an error frame.
fn error(received: &Received) -> (i32, String) {
    match Frame::parse(received.publish().payload).unwrap() {
        Frame::Error { code, json, .. } => (code, json.to_string()),
        Frame::Block { head, .. } => panic!("{head:?} instead of an error"),
    }
}

#[tokio::test]
async fn connack_announces_exactly_what_is_served() {
    let house = House::open().await;
    let mut client = Client::speaking(Version::V5, house.dial().await);
    // Nothing that is asked for changes the answer.
    let wishes = [
        Property::SessionExpiry(3600),
        Property::TopicAliasMaximum(10),
        Property::RequestResponseInfo(true),
        Property::RequestProblemInfo(false),
        Property::User(("made", "by hand")),
    ];
    let credentials = credentials();
    let connect = Connect { properties: Properties::new(&wishes), clean: false, ..credentials.connect() };
    client.say(&Packet::Connect(connect)).await;
    let received = client.receive().await;
    let announced = [
        Property::SessionExpiry(0),
        receive_maximum(64),
        Property::MaximumQoS(QoS::AtLeastOnce),
        Property::RetainAvailable(false),
        max_packet(262_144),
        Property::TopicAliasMaximum(0),
        Property::WildcardAvailable(true),
        Property::SubscriptionIdAvailable(false),
        Property::SharedAvailable(false),
    ];
    let properties = Properties::new(&announced);
    assert_eq!(received.packet(), Packet::ConnAck { session_present: false, code: 0, properties });
    client.ping().await;
}

#[tokio::test]
async fn each_refusal_has_its_reason() {
    let house = House::open().await;
    let right = credentials();
    let wrong = Credentials { password: b"wrong".to_vec(), ..right.clone() };
    let stranger = Credentials { version: Version::V5, ..Credentials::of("dev009") };
    let connect = right.connect();
    let method = [Property::AuthMethod("SCRAM-SHA-1")];
    let small = [max_packet(30)];
    for (connect, code) in [
        (wrong.connect(), 0x86),
        (Connect { password: None, ..connect }, 0x86),
        (Connect { username: None, ..connect }, 0x86),
        (Connect { username: Some("nobody"), ..connect }, 0x86),
        (stranger.connect(), 0x87),
        (Connect { client_id: "plain", ..connect }, 0x85),
        (Connect { client_id: "", ..connect }, 0x85),
        (Connect { client_id: "id|signmethod=sha256|", ..connect }, 0x85),
        (Connect { properties: Properties::new(&method), ..connect }, 0x8c),
        (Connect { properties: Properties::new(&small), ..connect }, 0x83),
    ] {
        assert_eq!(refused(&house, &connect).await, connack(code), "{connect:?}");
    }
    assert_eq!(house.counted("sessions"), 0);
    let enough = [max_packet(31)];
    enter_with(&house, &enough).await;
}

#[tokio::test]
async fn a_connect_that_breaks_the_rules_is_told_so() {
    let house = House::open().await;
    for (hello, code) in [
        (hello(b"\x23\0\x01", b"\0\x03abc"), 0x81),
        (hello(b"\x21\0", b"\0\x03abc"), 0x81),
        (hello(b"", b"\0\x03ab\xff"), 0x81),
        (hello(b"\x21\0\x01\x21\0\x01", b"\0\x03abc"), 0x82),
        (hello(b"\x21\0\0", b"\0\x03abc"), 0x82),
        (hello(b"\x27\0\0\0\0", b"\0\x03abc"), 0x82),
        (b"\x10\xff\xff\x7f\0\x04MQTT\x05\x02\0\x3c\0".to_vec(), 0x95),
    ] {
        assert_eq!(answer(&house, &hello).await, connack(code), "{hello:02x?}");
    }
    assert_eq!((house.counted("malformed_connect"), house.counted("too_large")), (6, 1));
}

#[tokio::test]
async fn a_platform_that_cannot_tell_closes_without_a_word() {
    let house = House::open().await;
    house.platform.down.store(true, Ordering::Relaxed);
    assert_eq!(refused(&house, &credentials().connect()).await, b"");
    assert_eq!(house.counted("connect_unavailable"), 1);
}

#[tokio::test]
async fn a_will_of_any_kind_is_taken_and_dropped() {
    let house = House::open().await;
    let credentials = credentials();
    let hints = [Property::WillDelay(5), Property::ContentType("text")];
    let properties = Properties::new(&hints);
    let longest = vec![7; 65_535];
    for (message, qos, retain) in [(&b"gone"[..], QoS::AtMostOnce, false), (&longest, QoS::ExactlyOnce, true)]
    {
        let will = Will { topic: CUSTOM, message, qos, retain, properties };
        let connect = Connect { will: Some(will), ..credentials.connect() };
        let mut client = Client::enter_with(house.dial().await, &connect).await;
        client.say(&Packet::disconnect(reason::WITH_WILL)).await;
        assert_eq!(client.rest().await, b"");
    }
    assert_eq!(house.counted("custom_topic"), 0);
}

#[tokio::test]
async fn what_a_message_says_of_itself_is_ignored() {
    let mut house = House::open().await;
    let mut client = enter(&house).await;
    let hints = [
        Property::PayloadIsText(true),
        Property::MessageExpiry(60),
        Property::ContentType("application/json"),
        Property::ResponseTopic("/a1TestPk001/dev001/user/answer"),
        Property::CorrelationData(b"\0\xff"),
        Property::User(("trace", "1")),
        Property::User(("trace", "2")),
    ];
    let publish = Publish { properties: Properties::new(&hints), ..message(INFORM, Some(1), b"{}") };
    client.say(&Packet::Publish(publish)).await;
    assert_eq!(client.receive().await.packet(), Packet::puback(1));
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::Uplink(1, Kind::Inform, Bytes::from_static(b"{}")));
    client.ping().await;
}

#[tokio::test]
async fn a_forbidden_publish_is_dropped_and_says_so_in_its_turn() {
    let house = House::open().await;
    let mut client = enter(&house).await;
    client.publish(INFORM, Some(1), SLOW).await;
    for (packet_id, topic, reason) in [
        (2, "/ota/device/inform/a1TestPk001/dev002", reason::NOT_AUTHORISED),
        (3, NOTICE, reason::NOT_AUTHORISED),
        (4, "$SYS/broker", reason::NOT_AUTHORISED),
        (5, CUSTOM, reason::SUCCESS),
        (6, "/sys/a1TestPk001/dev001/thing/model/up_raw", reason::SUCCESS),
    ] {
        client.publish(topic, Some(packet_id), b"{}").await;
        if packet_id == 2 {
            client.ping().await;
            house.platform.gate.send(true).unwrap();
            assert_eq!(client.receive().await.packet(), Packet::puback(1));
        }
        let puback = Packet::PubAck { packet_id, reason, properties: Properties::NONE };
        assert_eq!(client.receive().await.packet(), puback, "{topic}");
    }
    assert_eq!(house.counted("forbidden_publish"), 2);
}

#[tokio::test]
async fn the_newer_connection_takes_over_and_the_older_is_told() {
    let mut house = House::open().await;
    let mut older = enter(&house).await;
    let mut newer = enter(&house).await;
    assert_eq!(older.rest().await, disconnect(0x8e));
    newer.ping().await;
    drop(older);
    let mut told = [house.told().await, house.told().await, house.told().await];
    told.sort_by_key(|told| matches!(told, Told::Disconnected(..)));
    assert_eq!(told[2], Told::Disconnected(1, 1, Closed::TakenOver));
    // Whatever the newer one speaks.
    let mut newest = house.enter("dev001").await;
    assert_eq!(newer.rest().await, disconnect(0x8e));
    newest.ping().await;
}

#[tokio::test]
async fn whoever_breaks_the_rules_is_told_which() {
    let mut house = House::open().await;
    let plain = message(INFORM, Some(1), b"{}");
    let publish = |publish| packet(&Packet::Publish(publish));
    let alias = [Property::TopicAlias(NonZeroU16::MIN)];
    let with_alias = Publish { properties: Properties::new(&alias), ..plain };
    let large = publish(Publish { payload: &[b' '; 262_144], ..plain });
    let credentials = credentials();
    for (broken, reason, counter, why) in [
        (publish(Publish { qos: QoS::ExactlyOnce, ..plain }), 0x9b, "qos2_publish", Closed::Protocol),
        (publish(Publish { retain: true, ..plain }), 0x9a, "retained_publish", Closed::Protocol),
        (publish(with_alias), 0x94, "malformed_packet", Closed::Protocol),
        (publish(Publish { topic: "", ..with_alias }), 0x94, "malformed_packet", Closed::Protocol),
        (b"\x30\x07\0\x01a\x03\x23\0\0".to_vec(), 0x94, "malformed_packet", Closed::Protocol),
        (b"\x30\x05\0\x01a\x01\x7f".to_vec(), 0x81, "malformed_packet", Closed::Protocol),
        (b"\x36\x06\0\x01a\0\x01\0".to_vec(), 0x81, "malformed_packet", Closed::Protocol),
        (b"\x82\x07\0\x01\0\0\x01a\x40".to_vec(), 0x81, "malformed_packet", Closed::Protocol),
        (b"\x82\x03\0\x01\0".to_vec(), 0x82, "malformed_packet", Closed::Protocol),
        (b"\x30\x08\0\x01a\x04\x01\0\x01\0".to_vec(), 0x82, "malformed_packet", Closed::Protocol),
        (b"\x82\x09\0\x01\x02\x0b\0\0\x01a\0".to_vec(), 0x82, "malformed_packet", Closed::Protocol),
        (b"\xf0\0".to_vec(), 0x82, "malformed_packet", Closed::Protocol),
        (b"\x62\x02\0\x01".to_vec(), 0x82, "malformed_packet", Closed::Protocol),
        (b"\xd0\0".to_vec(), 0x82, "malformed_packet", Closed::Protocol),
        (packet(&credentials.packet()), 0x82, "malformed_packet", Closed::Protocol),
        (large[..5].to_vec(), 0x95, "too_large", Closed::TooLarge),
        (large, 0x95, "too_large", Closed::TooLarge),
    ] {
        let before = house.counted(counter);
        let mut client = enter(&house).await;
        client.send(&broken).await;
        let shown = &broken[..broken.len().min(16)];
        assert_eq!(client.rest().await, disconnect(reason), "{shown:02x?}");
        assert_eq!(house.counted(counter), before + 1, "{shown:02x?}");
        assert!(matches!(house.told().await, Told::Connected(..)));
        drop(client);
        match house.told().await {
            Told::Disconnected(.., told) => assert_eq!(told, why, "{shown:02x?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(house.counted("uplinks"), 0);
}

#[tokio::test]
async fn the_largest_packet_is_taken() {
    let house = House::open().await;
    let mut client = enter(&house).await;
    let overhead = packet(&Packet::Publish(message(CUSTOM, Some(1), &[0; 200_000]))).len() - 200_000;
    client.publish(CUSTOM, Some(1), &vec![b' '; 262_144 - overhead]).await;
    assert_eq!(client.receive().await.packet(), Packet::puback(1));
}

#[tokio::test]
async fn when_the_platform_ends_a_session_it_says_why() {
    let mut house = House::open().await;
    for (why, reason) in [(Closed::Ordered, 0x98), (Closed::Shutdown, 0x8b)] {
        let mut client = enter(&house).await;
        assert!(house.sessions.close(1, why));
        assert_eq!(client.rest().await, disconnect(reason));
        drop(client);
        assert!(matches!(house.told().await, Told::Connected(..)));
        assert!(matches!(house.told().await, Told::Disconnected(_, _, told) if told == why));
    }
}

#[tokio::test]
async fn a_platform_that_stops_tells_everybody_and_lets_nobody_in() {
    let house = House::open().await;
    let (mut one, mut two) = (enter(&house).await, house.enter("dev002").await);
    house.sessions.close_all(Closed::Shutdown);
    assert_eq!((one.rest().await, two.rest().await), (disconnect(0x8b), vec![]));
    assert_eq!(refused(&house, &credentials().connect()).await, b"");
    assert_eq!((house.counted("sessions"), house.counted("connect_unavailable")), (2, 1));
}

#[tokio::test]
async fn a_report_that_cannot_be_kept_ends_in_quota_exceeded() {
    let house = House::open().await;
    house.platform.full.store(true, Ordering::Relaxed);
    let mut client = enter(&house).await;
    client.publish(INFORM, Some(1), b"{}").await;
    assert_eq!(client.rest().await, disconnect(0x97));
}

#[tokio::test]
async fn sixty_four_messages_may_wait_for_their_puback_and_no_more() {
    let house = House::open().await;
    let mut client = enter(&house).await;
    for packet_id in 1..=64 {
        client.publish(INFORM, Some(packet_id), SLOW).await;
    }
    client.ping().await;
    // Without a PUBACK to wait for it is no matter of the Receive Maximum.
    client.publish(INFORM, None, b"{}").await;
    house.await_count("uplinks", 65).await;
    house.platform.gate.send(true).unwrap();
    for packet_id in 1..=64 {
        assert_eq!(client.receive().await.packet(), Packet::puback(packet_id));
    }
    house.platform.gate.send_replace(false);
    for packet_id in 1..=65 {
        client.publish(INFORM, Some(packet_id), SLOW).await;
    }
    assert_eq!(client.rest().await, disconnect(0x93));
    assert_eq!(house.counted("receive_maximum_exceeded"), 1);
}

#[tokio::test]
async fn filters_have_their_reasons_and_options_are_taken() {
    let house = House::open().await;
    let mut client = enter(&house).await;
    let shared = format!("$share/group/{NOTICE}");
    let codes = client
        .subscribe(&[
            (NOTICE, QoS::ExactlyOnce),
            ("/ota/device/+/a1TestPk001/dev001", QoS::AtMostOnce),
            ("#", QoS::AtMostOnce),
            ("/ota/device/upgrade/a1TestPk001/dev002", QoS::AtMostOnce),
            ("bad/#/filter", QoS::AtMostOnce),
            (&shared, QoS::AtMostOnce),
        ])
        .await;
    assert_eq!(codes, [1, 0, 0x87, 0x87, 0x8f, 0x9e]);
    assert_eq!(house.counted("refused_subscribe"), 4);

    let options = Options {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Omit,
    };
    let number = [Property::SubscriptionId(SubscriptionId::new(9).unwrap())];
    for (properties, code) in [(&[][..], 1), (&[Property::User(("a", "b"))], 1), (&number, 0xa1)] {
        let filters = [(REPLY, options)];
        let (properties, filters) = (Properties::new(properties), Filters::new(&filters));
        client.say(&Packet::Subscribe(Subscribe { packet_id: 5, properties, filters })).await;
        let received = client.receive().await;
        let Packet::SubAck(suback) = received.packet() else { panic!("no SUBACK") };
        assert_eq!((suback.packet_id, suback.codes), (5, &[code][..]));
    }

    let codes = client.unsubscribe(&[NOTICE, CUSTOM, "/ota/device/+/a1TestPk001/dev001", "#"]).await;
    assert_eq!(codes, [0, 0x11, 0, 0]);
    assert_eq!(client.unsubscribe(&[NOTICE]).await, [0x11]);
    assert!(house.notify(1, "unwanted"));
    house.await_count("unsubscribed", 1).await;
    client.ping().await;
}

#[tokio::test]
async fn a_block_has_one_byte_more_than_in_version_3() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1000)));
    let mut client = enter(&house).await;
    client.publish(ASK, None, &request(1, 512)).await;
    let received = client.receive().await;
    assert_eq!(block(&received), ("1".into(), 512));
    let publish = received.publish();
    assert_eq!((publish.topic, publish.qos), (REPLY, QoS::AtMostOnce));
    assert_eq!(received.len(), 3 + 2 + REPLY.len() + 1 + publish.payload.len());
}

#[tokio::test]
async fn a_block_that_the_device_cannot_take_is_an_error_that_says_so() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1000)));
    let mut client = enter(&house).await;
    client.publish(ASK, None, &request(1, 512)).await;
    let fits = client.receive().await.len() as u32;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let id = u32::from(qos.level()) * 2;
        let mut client = enter_with(&house, &[max_packet(fits + id), receive_maximum(1)]).await;
        client.subscribe(&[(REPLY, qos)]).await;
        for (size, fits) in [(512, true), (513, false), (512, true)] {
            client.publish(ASK, None, &request(1, size)).await;
            let received = client.receive().await;
            if fits {
                assert_eq!(block(&received).1, size as usize);
            } else {
                let (code, text) = error(&received);
                assert_eq!(code, 460);
                assert!(text.contains("this device takes"), "{text}");
            }
            if let Some(packet_id) = received.publish().packet_id {
                client.say(&Packet::puback(packet_id)).await;
            }
        }
    }
    assert_eq!((house.counted("block_oversize"), house.counted("blocks")), (2, 5));
}

#[tokio::test]
async fn a_notice_that_the_device_cannot_take_is_dropped_and_counted() {
    let house = House::open().await;
    let mut client = enter_with(&house, &[max_packet(100), receive_maximum(1)]).await;
    assert_eq!(client.subscribe(&[(NOTICE, QoS::AtLeastOnce)]).await, [1]);
    let epoch = house.sessions.epoch(1).unwrap();
    for _ in 0..3 {
        let payload = Bytes::from(vec![b'x'; 100]);
        assert!(house.sessions.deliver(1, epoch, Downlink { kind: Kind::Upgrade, payload }));
    }
    assert!(house.notify(1, "short"));
    // What was not sent needs no PUBACK.
    assert_eq!(client.receive().await.publish().payload, b"short");
    assert_eq!((house.counted("oversize_downlink"), house.counted("downlinks")), (3, 1));
    // An error frame that does not fit either.
    client.publish(ASK, Some(1), &request(1, 256)).await;
    assert_eq!(client.receive().await.packet(), Packet::puback(1));
    house.await_count("oversize_downlink", 4).await;
    client.ping().await;
}

#[tokio::test]
async fn notices_wait_for_pubacks_as_the_device_asked_and_nothing_else_does() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1000)));
    let mut client = enter_with(&house, &[receive_maximum(2)]).await;
    assert_eq!(client.subscribe(&[(NOTICE, QoS::AtLeastOnce)]).await, [1]);
    for notice in ["a", "b", "c", "d"] {
        assert!(house.notify(1, notice));
    }
    let mut ids = Vec::new();
    for notice in [b"a", b"b"] {
        let received = client.receive().await;
        assert_eq!(received.publish().payload, notice);
        ids.push(received.publish().packet_id.unwrap());
    }
    // The third waits; a report, a ping and a block of QoS 0 do not.
    client.ping().await;
    client.publish(INFORM, Some(1), b"{}").await;
    assert_eq!(client.receive().await.packet(), Packet::puback(1));
    client.publish(ASK, None, &request(1, 256)).await;
    assert_eq!(block(&client.receive().await).0, "1");
    // A PUBACK for what was never sent opens nothing.
    client.say(&Packet::puback(4711)).await;
    client.ping().await;
    for (at, notice) in [(1, b"c"), (0, b"d")] {
        let reason = reason::UNSPECIFIED;
        client.say(&Packet::PubAck { packet_id: ids[at], reason, properties: Properties::NONE }).await;
        let received = client.receive().await;
        assert_eq!(received.publish().payload, notice);
        assert!(!ids.contains(&received.publish().packet_id.unwrap()));
    }
    client.ping().await;
}

#[tokio::test]
async fn answers_of_qos_0_overtake_notices_that_wait_for_a_puback() {
    let house = House::open().await;
    let mut client = enter_with(&house, &[receive_maximum(1)]).await;
    assert_eq!(client.subscribe(&[(NOTICE, QoS::AtLeastOnce)]).await, [1]);
    let answer = |payload| house.sessions.deliver(1, 1, Downlink { kind: Kind::FirmwareGetReply, payload });
    for notice in ["a", "b", "c"] {
        assert!(house.notify(1, notice));
    }
    let received = client.receive().await;
    assert_eq!(received.publish().payload, b"a");
    let mut packet_id = received.publish().packet_id.unwrap();
    for payload in ["first", "second"] {
        assert!(answer(payload.into()));
    }
    for payload in ["first", "second"] {
        assert_eq!(client.receive().await.publish().payload, payload.as_bytes());
    }
    for notice in ["b", "c"] {
        client.say(&Packet::puback(packet_id)).await;
        let received = client.receive().await;
        assert_eq!(received.publish().payload, notice.as_bytes());
        packet_id = received.publish().packet_id.unwrap();
    }
}

#[tokio::test]
async fn blocks_wait_for_pubacks_too_and_an_error_does_not() {
    let house = House::open().await;
    let blob = TestBlob::new(1000);
    house.platform.stream(1, 7, Ok(blob.clone()));
    let mut client = enter_with(&house, &[receive_maximum(1)]).await;
    assert_eq!(client.subscribe(&[(REPLY, QoS::AtLeastOnce)]).await, [1]);
    for id in 0..66 {
        client.publish(ASK, None, &request(id, 256)).await;
    }
    let received = client.receive().await;
    assert_eq!(block(&received).0, "0");
    let mut packet_id = received.publish().packet_id.unwrap();
    // 64 wait behind it; the answer to the one beyond cannot wait.
    let received = client.receive().await;
    assert_eq!((error(&received).0, received.publish().qos), (429, QoS::AtMostOnce));
    client.ping().await;
    assert_eq!(blob.reads.load(Ordering::Relaxed), 1);
    for id in 1..=64 {
        client.say(&Packet::puback(packet_id)).await;
        let received = client.receive().await;
        assert_eq!(block(&received).0, id.to_string());
        packet_id = received.publish().packet_id.unwrap();
    }
    client.ping().await;
    assert_eq!((house.counted("blocks"), house.counted("block_too_many")), (65, 1));
}
