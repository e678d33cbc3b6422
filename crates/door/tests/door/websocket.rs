//! MQTT over WebSocket (docs/protocol.md 1).

use std::time::Duration;

use crate::common::House;
use crate::common::client::{Client, Credentials, bytes, publish};
use crate::common::platform::{TestBlob, Told};
use crate::common::websocket::{CLOSE, PING, PONG, UPGRADE, WELCOME, frame, next, open, upgrade};
use mqtt::{Packet, QoS, Version};
use otaru_door::{Closed, Config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::block::Frame;
use wire::topic::Kind;

const BINARY: u8 = 0x82;
const INFORM: &str = "/ota/device/inform/a1TestPk001/dev001";
const ASK: &str = "/sys/a1TestPk001/dev001/thing/file/download";

fn connect(device_name: &str) -> Vec<u8> {
    bytes(&Credentials::of(device_name).packet())
}

#[tokio::test]
async fn a_session_however_its_packets_are_cut_into_frames() {
    let mut house = House::open().await;
    let blob = TestBlob::new(100_000);
    house.platform.stream(1, 7, Ok(blob.clone()));
    for piece in [1, 7, 1000, 100_000] {
        let stream = open(house.dial().await, piece).await;
        let mut client = Client::enter(stream, &Credentials::of("dev001")).await;
        client.publish(INFORM, Some(5), b"a report").await;
        assert_eq!(
            client.receive().await.packet(),
            Packet::PubAck { packet_id: 5, reason: 0, properties: mqtt::Properties::NONE }
        );
        assert_eq!(
            client.subscribe(&[("/sys/a1TestPk001/dev001/thing/file/download_reply", QoS::AtMostOnce)]).await,
            [0]
        );
        let request = br#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":100000,"offset":0}}}"#;
        client.publish(ASK, None, request).await;
        let answer = client.receive().await;
        let Frame::Block { data, .. } = Frame::parse(answer.publish().payload).unwrap() else {
            panic!("no block")
        };
        assert!(data == blob.bytes());
        client.ping().await;
        client.say(&Packet::GOODBYE).await;
        while !matches!(house.told().await, Told::Disconnected(_, _, Closed::Goodbye)) {}
    }
    assert_eq!(house.counted("websockets"), 4);
}

#[tokio::test]
async fn what_comes_behind_the_request_is_not_lost() {
    let house = House::open().await;
    let mut stream = house.dial().await;
    let hello = [UPGRADE.as_bytes(), &frame(BINARY, &connect("dev001")), &frame(PING, b"a")].concat();
    stream.write_all(&hello).await.unwrap();
    let mut welcome = vec![0; WELCOME.len()];
    stream.read_exact(&mut welcome).await.unwrap();
    let frames = [next(&mut stream).await.unwrap(), next(&mut stream).await.unwrap()];
    assert!(frames.contains(&(BINARY, vec![0x20, 2, 0, 0])), "{frames:?}");
    assert!(frames.contains(&(PONG, b"a".to_vec())), "{frames:?}");
}

#[tokio::test]
async fn a_ping_within_a_message_has_its_pong() {
    let mut house = House::open().await;
    let mut stream = upgrade(house.dial().await).await;
    stream.write_all(&frame(BINARY, &connect("dev001"))).await.unwrap();
    assert_eq!(next(&mut stream).await, Some((BINARY, vec![0x20, 2, 0, 0])));
    let report = publish(INFORM, None, b"report");
    let (first, rest) = report.split_at(3);
    stream.write_all(&frame(0x02, first)).await.unwrap();
    stream.write_all(&frame(PING, b"are you there?")).await.unwrap();
    assert_eq!(next(&mut stream).await, Some((PONG, b"are you there?".to_vec())));
    stream.write_all(&[frame(PONG, b""), frame(0x80, rest)].concat()).await.unwrap();
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert!(matches!(house.told().await, Told::Uplink(1, Kind::Inform, payload) if payload == "report"));
}

#[tokio::test]
async fn a_close_is_answered_and_ends_the_session() {
    let mut house = House::open().await;
    let mut stream = upgrade(house.dial().await).await;
    stream.write_all(&frame(BINARY, &connect("dev001"))).await.unwrap();
    assert_eq!(next(&mut stream).await, Some((BINARY, vec![0x20, 2, 0, 0])));
    stream.write_all(&frame(CLOSE, b"\x03\xe9away")).await.unwrap();
    assert_eq!(next(&mut stream).await, Some((CLOSE, b"\x03\xe9".to_vec())));
    assert_eq!(next(&mut stream).await, None);
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Lost));
}

#[tokio::test]
async fn what_is_no_mqtt_in_frames_is_closed_with_the_reason() {
    let house = House::open().await;
    for (bytes, code, why) in [
        (frame(0x81, b"hello"), 1003_u16, "binary"),
        (frame(0xc2, b"hello"), 1002, "extension"),
        (b"\x82\x05hello".to_vec(), 1002, "masked"),
        (frame(0x80, b"hello"), 1002, "begin"),
    ] {
        let mut stream = upgrade(house.dial().await).await;
        stream.write_all(&bytes).await.unwrap();
        let (first, payload) = next(&mut stream).await.unwrap();
        assert_eq!((first, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]));
        assert!(String::from_utf8_lossy(&payload[2..]).contains(why), "{payload:?}");
        assert_eq!(next(&mut stream).await, None);
    }
    // Of what is no CONNECT none is waited for.
    let mut stream = upgrade(house.dial().await).await;
    stream.write_all(&frame(BINARY, b"\x30\xff\xff")).await.unwrap();
    assert_eq!(next(&mut stream).await, None);
    assert_eq!((house.counted("malformed_connect"), house.counted("connect_timeout")), (5, 0));
}

#[tokio::test]
async fn a_refused_device_reads_why_and_then_the_close() {
    let house = House::open().await;
    let mut stream = upgrade(house.dial().await).await;
    let wrong = Credentials { password: b"wrong".to_vec(), ..Credentials::of("dev001") };
    stream.write_all(&frame(BINARY, &bytes(&wrong.packet()))).await.unwrap();
    assert_eq!(next(&mut stream).await, Some((BINARY, vec![0x20, 2, 0, 4])));
    assert_eq!(next(&mut stream).await, Some((CLOSE, b"\x03\xe8".to_vec())));
}

#[tokio::test]
async fn last_words_of_mqtt_5_come_before_the_close() {
    let house = House::open().await;
    let stream = open(house.dial().await, 100).await;
    let credentials = Credentials { version: Version::V5, ..Credentials::of("dev001") };
    let mut client = Client::enter(stream, &credentials).await;
    house.sessions.close(1, Closed::Ordered);
    assert_eq!(client.rest().await, [0xe0, 1, mqtt::reason::ADMINISTRATIVE]);
}

#[tokio::test]
async fn requests_that_do_not_become_a_websocket_say_why() {
    let house = House::open().await;
    for (from, to, status, why) in [
        ("GET /", "POST /", "400 ", "GET"),
        ("HTTP/1.1", "HTTP/1.0", "400 ", "HTTP/1.1"),
        ("keep-alive, Upgrade", "keep-alive", "400 ", "Connection: Upgrade"),
        ("Version: 13", "Version: 8", "426 ", "version 13"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 ", "version 13"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400 ", "16 bytes"),
        ("Sec-WebSocket-Key", "X", "400 ", "Sec-WebSocket-Key"),
        ("mqttv3.1, mqtt", "chat", "400 ", "subprotocol `mqtt`"),
        ("Sec-WebSocket-Protocol", "X", "400 ", "subprotocol `mqtt`"),
    ] {
        let request = UPGRADE.replace(from, to);
        let mut client = Client::new(house.dial().await);
        client.send(request.as_bytes()).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(why), "{answer}");
        assert_eq!(answer.contains("Sec-WebSocket-Version: 13"), status == "426 ");
    }
    assert_eq!((house.counted("http_bad_upgrade"), house.counted("websockets")), (9, 0));
}

#[tokio::test]
async fn a_websocket_that_stays_silent_is_closed_in_time() {
    let house =
        House::with(Config { connect_timeout: Duration::from_millis(100), ..Config::default() }).await;
    let half = &UPGRADE[..UPGRADE.len() / 2];
    for hello in [half.to_owned(), UPGRADE.to_owned()] {
        let mut client = Client::new(house.dial().await);
        client.send(hello.as_bytes()).await;
        client.rest().await;
    }
    house.await_count("connect_timeout", 2).await;
}

#[tokio::test]
async fn a_websocket_that_does_not_read_is_closed() {
    let house = House::with(Config { write_timeout: Duration::from_millis(100), ..Config::default() }).await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1 << 20)));
    let mut stream = upgrade(house.dial().await).await;
    stream.write_all(&frame(BINARY, &connect("dev001"))).await.unwrap();
    let request =
        br#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":131072,"offset":0}}}"#;
    let request = frame(BINARY, &publish(ASK, None, request));
    // Pings as well: their pongs must not pile up.
    let request = [request, frame(PING, &[7; 125]).repeat(100)].concat();
    while house.counted("write_timeout") == 0 {
        let _ = stream.write_all(&request).await;
    }
}
