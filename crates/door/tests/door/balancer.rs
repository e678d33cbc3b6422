//! Connections of listed balancers, and how many one address may have.

use std::time::Duration;

use crate::common::House;
use crate::common::client::{Client, Credentials, bytes};
use crate::common::platform::TestBlob;
use mqtt::{Packet, Properties};
use otaru_door::{Config, proxy};

fn behind_a_balancer() -> Config {
    Config { balancers: vec!["127.0.0.0/8".parse().unwrap()], ..Config::default() }
}

/// The header of a connection that came from this address.
fn header(source: [u8; 4]) -> Vec<u8> {
    [&proxy::SIGNATURE[..], &[0x21, 0x11, 0, 12], &source, &[10, 0, 0, 1, 0x9c, 0x41, 0x07, 0x5b]].concat()
}

/// The header of a connection of the balancer's own.
fn local() -> Vec<u8> {
    [&proxy::SIGNATURE[..], &[0x20, 0, 0, 0]].concat()
}

fn hello(device_name: &str) -> Vec<u8> {
    bytes(&Credentials::of(device_name).packet())
}

const ACCEPTED: Packet<'_> =
    Packet::ConnAck { session_present: false, code: 0, properties: Properties::NONE };

/// Sends bytes and gives all that comes back until the connection ends.
async fn answer(house: &House, hello: &[u8]) -> Vec<u8> {
    let mut client = Client::new(house.dial().await);
    client.send(hello).await;
    client.rest().await
}

#[tokio::test]
async fn mqtt_follows_a_header_in_one_piece_or_byte_by_byte() {
    let house = House::with(behind_a_balancer()).await;
    let whole = [header([192, 0, 2, 7]), hello("dev001")].concat();
    let mut client = Client::new(house.dial().await);
    client.send(&whole).await;
    assert_eq!(client.receive().await.packet(), ACCEPTED);
    let mut client = Client::new(house.dial().await);
    client.stream.set_nodelay(true).unwrap();
    for byte in whole {
        client.send(&[byte]).await;
    }
    assert_eq!(client.receive().await.packet(), ACCEPTED);
}

#[tokio::test]
async fn http_follows_a_header() {
    let house = House::with(behind_a_balancer()).await;
    house.platform.file("/f", Ok(TestBlob::of(b"firmware")));
    let request = b"GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = answer(&house, &[&header([192, 0, 2, 7])[..], request].concat()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"firmware"));
}

#[tokio::test]
async fn a_balancer_may_speak_for_itself_and_check_the_port() {
    let house = House::with(behind_a_balancer()).await;
    let mut client = Client::new(house.dial().await);
    client.send(&[local(), hello("dev001")].concat()).await;
    assert_eq!(client.receive().await.packet(), ACCEPTED);
    drop(house.dial().await);
    let mut client = Client::new(house.dial().await);
    client.send(&local()).await;
    drop(client);
    house.enter_behind(&local(), "dev002").await;
    assert_eq!(house.counted("bad_proxy_header"), 0);
}

#[tokio::test]
async fn a_balancer_that_sends_no_header_is_closed() {
    let house = House::with(behind_a_balancer()).await;
    let header = header([192, 0, 2, 7]);
    for bytes in [
        &hello("dev001")[..],
        b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40001 1883\r\n",
        &[&proxy::SIGNATURE[..], &[0x21, 0x12, 0, 12]].concat(),
    ] {
        assert_eq!(answer(&house, bytes).await, b"");
    }
    assert_eq!(house.counted("bad_proxy_header"), 4);
    let mut cut = Client::new(house.dial().await);
    cut.send(&header[..20]).await;
    drop(cut);
    house.await_count("bad_proxy_header", 5).await;
}

#[tokio::test]
async fn a_header_from_anybody_else_is_an_unknown_protocol() {
    let house = House::open().await;
    assert_eq!(answer(&house, &[header([192, 0, 2, 7]), hello("dev001")].concat()).await, b"");
    assert_eq!(house.counted("unknown_protocol"), 1);
    let elsewhere = Config { balancers: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
    let house = House::with(elsewhere).await;
    assert_eq!(answer(&house, &header([192, 0, 2, 7])).await, b"");
    house.enter("dev001").await;
}

#[tokio::test]
async fn a_second_header_is_an_unknown_protocol() {
    let house = House::with(behind_a_balancer()).await;
    assert_eq!(answer(&house, &header([192, 0, 2, 7]).repeat(2)).await, b"");
    assert_eq!(house.counted("unknown_protocol"), 1);
}

#[tokio::test]
async fn a_header_and_what_follows_share_one_deadline() {
    let config = Config { connect_timeout: Duration::from_millis(50), ..behind_a_balancer() };
    let house = House::with(config).await;
    let header = header([192, 0, 2, 7]);
    for (n, bytes) in [
        b"",
        &header[..7],
        &header[..20],
        &header[..],
        &[&header[..], &hello("dev001")[..9]].concat(),
        &[&header[..], b"GET / HTT"].concat(),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(answer(&house, bytes).await, b"");
        assert_eq!(house.counted("connect_timeout"), n as u64 + 1);
    }
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may() {
    let house = House::with(Config { max_connections_per_address: Some(2), ..Config::default() }).await;
    let mut first = house.enter("dev001").await;
    let _second = house.enter("dev002").await;
    assert_eq!(answer(&house, b"").await, b"");
    assert_eq!(house.counted("address_limit"), 1);
    first.send(&bytes(&Packet::GOODBYE)).await;
    first.rest().await;
    house.enter_soon("dev001").await;
}

#[tokio::test]
async fn behind_a_balancer_it_is_the_devices_address_that_counts() {
    let config = Config { max_connections_per_address: Some(1), ..behind_a_balancer() };
    let house = House::with(config).await;
    let _one = house.enter_behind(&header([192, 0, 2, 7]), "dev001").await;
    assert_eq!(answer(&house, &header([192, 0, 2, 7])).await, b"");
    assert_eq!(house.counted("address_limit"), 1);
    let _other = house.enter_behind(&header([192, 0, 2, 8]), "dev002").await;
}

#[tokio::test]
async fn the_platform_is_told_the_devices_address() {
    let house = House::with(behind_a_balancer()).await;
    let _client = house.enter_behind(&header([192, 0, 2, 7]), "dev001").await;
    assert_eq!(house.platform.peers.lock().unwrap()[..], ["192.0.2.7:40001".parse().unwrap()]);
    let _client = house.enter_behind(&local(), "dev002").await;
    assert!(house.platform.peers.lock().unwrap()[1].ip().is_loopback());
}
