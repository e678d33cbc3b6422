//! Logins that fail, and too many of them at once, under a clock that stands still until everybody
//! waits.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use mqtt::{Connect, Packet, Properties, QoS, Will};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::Instant;

use crate::connect::mqtt as serve_mqtt;
use crate::log::Log;
use crate::pipe_tests::client::{Client, Credentials, bytes};
use crate::pipe_tests::platform::TestPlatform;
use crate::serve::{Channel, Door, MAX_LONG_CONNECTS};
use crate::{Config, Counters, Sessions, Tls};

const FACTORY: &str = "192.0.2.7";
const ELSEWHERE: &str = "192.0.2.8";

const ACCEPTED: &[u8] = &[0x20, 2, 0, 0];
const BAD_LOGIN: &[u8] = &[0x20, 2, 0, 4];
const NOT_AUTHORISED: &[u8] = &[0x20, 2, 0, 5];
/// Closed without an answer.
const NOTHING: &[u8] = &[];

struct House(Arc<Door<TestPlatform>>);

impl House {
    fn open(config: Config) -> Self {
        let (platform, _) = TestPlatform::new();
        Self(Arc::new(Door::new(
            platform,
            Sessions::new(),
            config,
            Arc::new(Counters::default()),
            Log::default(),
            Tls::new(None).unwrap(),
        )))
    }

    /// Sends a CONNECT from an address.
    async fn dial(&self, address: &str, credentials: &Credentials) -> Client<DuplexStream> {
        self.send(address, &bytes(&credentials.packet())).await
    }

    /// Sends this from an address.
    async fn send(&self, address: &str, hello: &[u8]) -> Client<DuplexStream> {
        let (ours, theirs) = duplex(1024);
        let peer = SocketAddr::from((address.parse::<IpAddr>().unwrap(), 1));
        let deadline = Instant::now() + self.0.config.connect_timeout;
        tokio::spawn(serve_mqtt(self.0.clone(), theirs, peer, Channel::Clear, deadline));
        let mut client = Client::new(ours);
        client.send(hello).await;
        client
    }

    /// What a CONNECT is answered, and after how many seconds.
    async fn try_login(&self, address: &str, credentials: &Credentials) -> (Vec<u8>, u64) {
        let start = Instant::now();
        let answer = answer(self.dial(address, credentials).await).await;
        (answer, start.elapsed().as_secs())
    }

    async fn fail(&self, address: &str, credentials: &Credentials, times: usize) {
        for _ in 0..times {
            assert_ne!(self.try_login(address, credentials).await.0, ACCEPTED);
        }
    }

    fn counted(&self, name: &str) -> u64 {
        self.0.counters.snapshot().find(|(counter, _)| *counter == name).unwrap().1
    }
}

/// The first packet that comes, or all there is.
async fn answer(mut client: Client<DuplexStream>) -> Vec<u8> {
    match client.next().await {
        Some(packet) => match packet.packet() {
            Packet::ConnAck { code, .. } => vec![0x20, 2, 0, code],
            other => panic!("{other:?} is no CONNACK"),
        },
        None => Vec::new(),
    }
}

/// Lets everybody do what they can do without time passing.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn right() -> Credentials {
    Credentials::of("dev001")
}

fn wrong() -> Credentials {
    wrong_of("dev001")
}

fn wrong_of(device_name: &str) -> Credentials {
    Credentials { password: b"wrong".to_vec(), ..Credentials::of(device_name) }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_goes_on_failing_is_answered_ever_later() {
    let house = House::open(Config::default());
    house.fail(FACTORY, &wrong(), 10).await;
    assert_eq!(house.counted("throttled"), 0);
    for seconds in [1, 2, 4, 8, 8] {
        assert_eq!(house.try_login(FACTORY, &wrong()).await, (BAD_LOGIN.to_vec(), seconds));
    }
    assert_eq!(house.counted("throttled"), 5);
    assert_eq!(house.counted("bad_password"), 15);
}

#[tokio::test(start_paused = true)]
async fn the_right_password_opens_at_once_whatever_went_before() {
    let house = House::open(Config::default());
    house.fail(FACTORY, &wrong(), 13).await;
    assert_eq!(house.try_login(FACTORY, &right()).await, (ACCEPTED.to_vec(), 0));
    house.fail(FACTORY, &wrong(), 9).await;
    assert_eq!(house.try_login(FACTORY, &wrong()).await, (BAD_LOGIN.to_vec(), 0), "all was forgotten");
}

#[tokio::test(start_paused = true)]
async fn the_right_password_opens_amid_a_flood_of_wrong_ones() {
    let house = House::open(Config::default());
    house.fail(FACTORY, &wrong(), 13).await;
    let mut flood = Vec::new();
    for _ in 0..1400 {
        flood.push(house.dial(FACTORY, &wrong()).await);
    }
    settle().await;
    assert_eq!(house.counted("throttle_full"), 1399, "one of them waits for its answer");
    let neighbour = wrong_of("dev002");
    for credentials in [&right(), &right(), &Credentials::of("dev002")] {
        assert_eq!(house.try_login(FACTORY, credentials).await, (ACCEPTED.to_vec(), 0));
    }
    house.fail(FACTORY, &neighbour, 10).await;
    assert_eq!(house.try_login(FACTORY, &neighbour).await, (BAD_LOGIN.to_vec(), 1));
}

#[tokio::test(start_paused = true)]
async fn neighbours_and_the_device_itself_from_elsewhere_do_not_wait() {
    let house = House::open(Config::default());
    house.fail(FACTORY, &wrong(), 20).await;
    assert_eq!(house.try_login(FACTORY, &wrong_of("dev002")).await, (BAD_LOGIN.to_vec(), 0));
    assert_eq!(house.try_login(ELSEWHERE, &wrong()).await, (BAD_LOGIN.to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_pauses_longer_than_its_delay_does_not_wait_on_top_of_it() {
    let house = House::open(Config::default());
    house.fail(FACTORY, &wrong(), 20).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(house.try_login(FACTORY, &wrong()).await, (BAD_LOGIN.to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn unknown_names_of_one_address_are_answered_later_and_its_known_devices_are_not() {
    let house = House::open(Config::default());
    for n in 0..99 {
        let stranger = Credentials::of(&format!("stranger{n}"));
        assert_eq!(house.try_login(FACTORY, &stranger).await, (NOT_AUTHORISED.to_vec(), 0));
    }
    let late = Credentials::of("stranger99");
    assert_eq!(house.try_login(FACTORY, &late).await, (NOT_AUTHORISED.to_vec(), 1));
    assert_eq!(house.try_login(FACTORY, &right()).await, (ACCEPTED.to_vec(), 0));
    assert_eq!(house.try_login(ELSEWHERE, &late).await, (NOT_AUTHORISED.to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn few_refusals_wait_and_the_others_are_closed_without_one() {
    // 4 may wait, one of them from one address.
    let house = House::open(Config { max_connections: 32, ..Config::default() });
    let (first, second) = (wrong_of("dev001"), wrong_of("dev002"));
    for device in [&first, &second] {
        house.fail(FACTORY, device, 13).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for device in [&first, &second] {
        house.fail(FACTORY, device, 1).await;
    }
    let waiting = house.dial(FACTORY, &first).await;
    settle().await;
    assert_eq!(house.try_login(FACTORY, &second).await, (NOTHING.to_vec(), 0));
    assert_eq!(house.counted("throttle_full"), 1);
    for name in ["dev001", "dev002"] {
        assert_eq!(house.try_login(FACTORY, &Credentials::of(name)).await, (ACCEPTED.to_vec(), 0));
    }
    assert_eq!(answer(waiting).await, BAD_LOGIN);
}

#[tokio::test(start_paused = true)]
async fn few_of_all_addresses_together_wait() {
    // 8 may wait, 2 of them from one address.
    let house = House::open(Config { max_connections: 64, ..Config::default() });
    let devices = ["dev001", "dev002"].map(wrong_of);
    let addresses: Vec<String> = (1..=5).map(|n| format!("198.51.100.{n}")).collect();
    let pairs = || addresses.iter().flat_map(|address| devices.iter().map(move |device| (address, device)));
    for (address, device) in pairs() {
        house.fail(address, device, 13).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for (address, device) in pairs() {
        house.fail(address, device, 1).await;
    }
    let mut waiting = Vec::new();
    for (address, device) in pairs().take(8) {
        waiting.push(house.dial(address, device).await);
    }
    settle().await;
    assert_eq!(house.try_login(&addresses[4], &devices[0]).await, (NOTHING.to_vec(), 0));
    assert_eq!(house.try_login(&addresses[4], &right()).await, (ACCEPTED.to_vec(), 0));
    for client in waiting {
        assert_eq!(answer(client).await, BAD_LOGIN);
    }
    assert_eq!(house.counted("throttle_full"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_goes_while_waiting_leaves_its_place() {
    // One may wait.
    let house = House::open(Config { max_connections: 1, ..Config::default() });
    for address in [FACTORY, ELSEWHERE] {
        house.fail(address, &wrong(), 20).await;
    }
    let impatient = house.dial(ELSEWHERE, &wrong()).await;
    settle().await;
    drop(impatient);
    settle().await;
    assert_eq!(house.counted("throttle_left"), 1);
    house.fail(FACTORY, &wrong(), 1).await;
    assert_eq!(house.try_login(FACTORY, &wrong()).await, (BAD_LOGIN.to_vec(), 8));
}

#[tokio::test(start_paused = true)]
async fn who_sends_on_while_waiting_is_refused_all_the_same() {
    let house = House::open(Config::default());
    house.fail(FACTORY, &wrong(), 12).await;
    let mut client = house.dial(FACTORY, &wrong()).await;
    settle().await;
    client.send(&bytes(&Packet::PingReq)).await;
    assert_eq!(answer(client).await, BAD_LOGIN);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_cannot_tell_is_no_failure_of_the_device() {
    let house = House::open(Config::default());
    house.0.platform.down.store(true, Ordering::Relaxed);
    for _ in 0..30 {
        assert_eq!(house.try_login(FACTORY, &right()).await, (NOTHING.to_vec(), 0));
    }
    house.0.platform.down.store(false, Ordering::Relaxed);
    assert_eq!(house.try_login(FACTORY, &right()).await, (ACCEPTED.to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn logins_beyond_those_checked_at_once_wait_and_are_let_in() {
    let house = House::open(Config { max_logins: 3, ..Config::default() });
    house.0.platform.mind.send_replace(false);
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(house.dial(FACTORY, &right()).await);
    }
    settle().await;
    assert_eq!(house.0.platform.thinking.load(Ordering::Relaxed), 3);
    house.0.platform.mind.send_replace(true);
    for client in clients {
        // Each takes the one before it over, which does not keep that from its answer.
        assert_eq!(answer(client).await, ACCEPTED);
    }
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_for_its_turn_is_closed_without_an_answer() {
    let house = House::open(Config { max_logins: 1, ..Config::default() });
    house.0.platform.mind.send_replace(false);
    let first = house.dial(FACTORY, &right()).await;
    settle().await;
    assert_eq!(house.try_login(FACTORY, &Credentials::of("dev002")).await, (NOTHING.to_vec(), 10));
    assert_eq!(answer(first).await, NOTHING);
    assert_eq!(house.counted("connect_unavailable"), 2);
}

#[tokio::test(start_paused = true)]
async fn long_wills_are_taken_few_at_a_time_and_others_do_not_wait() {
    let house = House::open(Config::default());
    let credentials = right();
    let (topic, message) = ("/any/where", vec![7; 65_535]);
    let properties = Properties::NONE;
    let will = Will { topic, message: &message, qos: QoS::AtMostOnce, retain: false, properties };
    let long = bytes(&Packet::Connect(Connect { will: Some(will), ..credentials.connect() }));
    let mut slow = Vec::new();
    for _ in 0..MAX_LONG_CONNECTS {
        slow.push(house.send(FACTORY, &long[..100]).await);
    }
    settle().await;
    let mut waiting = tokio::spawn({
        let house = House(house.0.clone());
        async move { answer(house.send(FACTORY, &long).await).await }
    });
    settle().await;
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(house.try_login(FACTORY, &Credentials::of("dev002")).await, (ACCEPTED.to_vec(), 0));
    slow.pop();
    assert_eq!(waiting.await.unwrap(), ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_go_on_failing_are_refused_ever_later() {
    // The end of a server's hello.
    const NO_HANDSHAKE: &[u8] = &[0x16, 3, 1, 0, 4, 0x0e, 0, 0, 0];
    let house = House::open(Config::default());
    for n in 0..103 {
        let (mut ours, theirs) = duplex(1024);
        let (start, peer) = (Instant::now(), (FACTORY.parse::<IpAddr>().unwrap(), 1).into());
        let door = house.0.clone();
        let deadline = start + door.config.connect_timeout;
        tokio::spawn(async move { door.shake_hands(theirs, peer, deadline).await.is_none() });
        ours.write_all(NO_HANDSHAKE).await.unwrap();
        let mut alert = Vec::new();
        ours.read_to_end(&mut alert).await.unwrap();
        assert_eq!(alert[0], 0x15);
        let waited = match n {
            0..99 => 0,
            _ => 1 << (n - 99).min(3),
        };
        assert_eq!(start.elapsed().as_secs(), waited, "{n}");
    }
    assert_eq!(house.counted("tls_failed"), 103);
}
