//! Who is let in, and what the others are told (docs/protocol.md 2).

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::House;
use crate::common::client::{Client, Credentials, bytes};
use crate::common::platform::{PRODUCT, Told};
use mqtt::{Connect, Packet, Properties, QoS, Version, Will};
use otaru_door::{Closed, Config};

/// Sends `hello` and gives all that comes back until the connection ends.
async fn answer(house: &House, hello: &[u8]) -> Vec<u8> {
    let mut client = Client::new(house.dial().await);
    client.send(hello).await;
    client.rest().await
}

async fn refused(house: &House, credentials: &Credentials) -> Vec<u8> {
    answer(house, &bytes(&credentials.packet())).await
}

const BAD_VERSION: &[u8] = &[0x20, 2, 0, 1];
const BAD_CLIENT_ID: &[u8] = &[0x20, 2, 0, 2];
const BAD_LOGIN: &[u8] = &[0x20, 2, 0, 4];
const NOT_AUTHORISED: &[u8] = &[0x20, 2, 0, 5];

#[tokio::test]
async fn a_device_is_let_in_and_says_goodbye() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.sessions.online(), 1);
    client.ping().await;
    client.send(&bytes(&Packet::GOODBYE)).await;
    assert!(client.rest().await.is_empty());
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Goodbye));
    assert_eq!((house.sessions.online(), house.counted("sessions")), (0, 1));
}

#[tokio::test]
async fn version_31_is_let_in_too() {
    let house = House::open().await;
    let credentials = Credentials { version: Version::V31, ..Credentials::of("dev001") };
    let mut client = Client::enter(house.dial().await, &credentials).await;
    client.ping().await;
}

#[tokio::test]
async fn every_hash_and_either_case_of_the_password_opens() {
    let house = House::open().await;
    for (method, password) in [
        ("hmacmd5", "2062807ad1d13fbcf2ea22c25478e91d"),
        ("hmacsha1", "e18b668250d5fd13b45b62d9645a8c4e78f3d340"),
        ("hmacsha256", "0D3488ADE62D33772405F10B12BD1E0B7B7B8D8701165A4FB2909148132BEBD6"),
    ] {
        let credentials = Credentials {
            client_id: format!("a1TestPk001.dev001|timestamp=2524608000000,signmethod={method}|"),
            password: password.into(),
            ..Credentials::of("dev001")
        };
        Client::enter(house.dial().await, &credentials).await;
    }
}

#[tokio::test]
async fn wrong_password_and_unknown_device_have_their_codes() {
    let house = House::open().await;
    let mut wrong = Credentials::of("dev001");
    wrong.password[0] ^= 1;
    assert_eq!(refused(&house, &wrong).await, BAD_LOGIN);
    assert_eq!(refused(&house, &Credentials { password: vec![], ..wrong }).await, BAD_LOGIN);
    assert_eq!(house.counted("bad_password"), 2);
    assert_eq!(refused(&house, &Credentials::of("dev009")).await, NOT_AUTHORISED);
    assert_eq!(house.counted("unknown_device"), 1);
    assert_eq!(house.counted("sessions"), 0);
}

#[tokio::test]
async fn a_client_id_or_user_name_that_cannot_be_read_has_its_code() {
    let house = House::open().await;
    let right = Credentials::of("dev001");
    for client_id in ["", "plain", "id|signmethod=sha256|"] {
        let credentials = Credentials { client_id: client_id.into(), ..right.clone() };
        assert_eq!(refused(&house, &credentials).await, BAD_CLIENT_ID, "{client_id}");
    }
    for username in ["", "dev001", "dev001&", &format!("d&{PRODUCT}"), "dev001&a/b"] {
        let credentials = Credentials { username: username.into(), ..right.clone() };
        assert_eq!(refused(&house, &credentials).await, BAD_LOGIN, "{username}");
    }
    let nameless = Connect { username: None, password: None, ..right.connect() };
    assert_eq!(answer(&house, &bytes(&Packet::Connect(nameless))).await, BAD_LOGIN);
    assert_eq!(house.counted("malformed_connect"), 9);
}

#[tokio::test]
async fn another_version_of_mqtt_is_refused_by_code() {
    let house = House::open().await;
    // A version to come, and what bridges of some brokers send.
    for level in [6, 0x84] {
        let hello = [b"\x10\x10\0\x04MQTT", &[level][..], b"\x02\0\x3c\0\0\x03abc"].concat();
        assert_eq!(answer(&house, &hello).await, BAD_VERSION);
    }
    assert_eq!(house.counted("bad_version"), 2);
}

#[tokio::test]
async fn a_connect_that_is_no_mqtt_is_closed_without_a_word() {
    let house = House::open().await;
    let malformed: [&[u8]; 6] = [
        b"\x10\x0c\0\x04MQXX\x04\x02\0\x3c\0\0",
        b"\x10\x02\0\x04",
        b"\x10\x0c\0\x04MQTT\x04\x03\0\x3c\0\0",
        b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01\xff",
        b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01\0",
        b"\x10\xff\xff\xff\xff",
    ];
    for hello in malformed {
        assert_eq!(answer(&house, hello).await, b"", "{hello:02x?}");
    }
    assert_eq!(house.counted("malformed_connect"), 6);
    assert_eq!(answer(&house, b"\x10\xff\xff\xff\x7f").await, b"");
    assert_eq!(house.counted("too_large"), 1);
}

#[tokio::test]
async fn a_connect_cut_off_anywhere_harms_nobody() {
    let house = House::open().await;
    let hello = bytes(&Credentials::of("dev001").packet());
    for end in 1..hello.len() {
        let mut client = Client::new(house.dial().await);
        client.send(&hello[..end]).await;
    }
    house.await_count("malformed_connect", hello.len() as u64 - 1).await;
    house.enter("dev001").await;
}

#[tokio::test]
async fn a_first_byte_of_neither_protocol_closes() {
    let house = House::open().await;
    for first in [0x15, 0x00, 0x30, 0xff] {
        assert_eq!(answer(&house, &[first, 3, 1, 0]).await, b"");
    }
    assert_eq!(house.counted("unknown_protocol"), 4);
}

#[tokio::test]
async fn a_platform_that_cannot_tell_never_refuses_by_code() {
    let house = House::open().await;
    house.platform.down.store(true, Ordering::Relaxed);
    assert_eq!(refused(&house, &Credentials::of("dev001")).await, b"");
    assert_eq!(house.counted("connect_unavailable"), 1);
    house.platform.down.store(false, Ordering::Relaxed);
    house.enter("dev001").await;
}

#[tokio::test]
async fn silence_before_connect_ends_after_the_deadline() {
    let config = Config { connect_timeout: Duration::from_millis(50), ..Config::default() };
    let house = House::with(config).await;
    assert_eq!(answer(&house, b"").await, b"");
    assert_eq!(answer(&house, b"\x10\x20\0\x04MQ").await, b"");
    assert_eq!(house.counted("connect_timeout"), 2);
}

#[tokio::test]
async fn a_will_and_a_byte_at_a_time_are_no_obstacle() {
    let house = House::open().await;
    let credentials = Credentials::of("dev001");
    let will = Will {
        topic: "/any/where",
        message: &[7; 3000],
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Properties::NONE,
    };
    let hello = bytes(&Packet::Connect(Connect { will: Some(will), clean: false, ..credentials.connect() }));
    let mut client = Client::new(house.dial().await);
    for byte in hello {
        client.send(&[byte]).await;
    }
    assert!(client.receive().await.is_welcome());
}

#[tokio::test]
async fn a_will_of_any_length_is_taken_and_a_connect_beyond_it_is_not() {
    let house = House::open().await;
    let credentials = Credentials::of("dev001");
    let message = vec![7; 65_535];
    let hello = |topic| {
        let (qos, retain, properties) = (QoS::AtLeastOnce, false, Properties::NONE);
        let will = Will { topic, message: &message, qos, retain, properties };
        bytes(&Packet::Connect(Connect { will: Some(will), ..credentials.connect() }))
    };
    let mut client = Client::new(house.dial().await);
    client.send(&hello("/any/where")).await;
    assert!(client.receive().await.is_welcome());
    assert_eq!(answer(&house, &hello(&"t".repeat(16 * 1024))[..5]).await, b"");
    assert_eq!(house.counted("too_large"), 1);
}

#[tokio::test]
async fn packets_behind_the_connect_are_served() {
    let house = House::open().await;
    let mut client = Client::new(house.dial().await);
    client.send(&[bytes(&Credentials::of("dev001").packet()), bytes(&Packet::PingReq)].concat()).await;
    assert!(client.receive().await.is_welcome());
    assert_eq!(client.receive().await.packet(), Packet::PingResp);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let house = House::with(Config { max_connections: 1, ..Config::default() }).await;
    let mut first = house.enter("dev001").await;
    let mut second = Client::new(house.dial().await);
    second.send(&bytes(&Credentials::of("dev002").packet())).await;
    first.ping().await;
    assert_eq!(house.sessions.online(), 1);
    drop(first);
    assert!(second.receive().await.is_welcome());
}

#[tokio::test]
async fn the_limits_hold_for_all_listeners_together() {
    let house = House::with(Config { max_connections: 1, ..Config::default() }).await;
    let mut first = house.enter("dev001").await;
    let mut second = Client::new(house.dial_other().await);
    second.send(&bytes(&Credentials::of("dev002").packet())).await;
    first.ping().await;
    assert_eq!(house.sessions.online(), 1);
    drop(first);
    assert!(second.receive().await.is_welcome());

    let house = House::with(Config { max_connections_per_address: Some(1), ..Config::default() }).await;
    let mut first = house.enter("dev001").await;
    assert!(Client::new(house.dial_other().await).rest().await.is_empty());
    assert_eq!(house.counted("address_limit"), 1);
    first.ping().await;
}
