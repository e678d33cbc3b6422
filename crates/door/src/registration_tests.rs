//! Registrations that come too often or stay too long, under a clock that stands still until everybody waits.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;
use wire::credentials::{SignMethod, Username, registration_sign};

use crate::connect::mqtt as serve_mqtt;
use crate::log::Log;
use crate::pipe_tests::client::{Client, Credentials};
use crate::pipe_tests::platform::{PRODUCT, PRODUCT_SECRET, TestPlatform};
use crate::serve::{Channel, Door};
use crate::{Config, Counters, Sessions, Tls};

struct House(Arc<Door<TestPlatform>>);

impl House {
    fn open() -> Self {
        let (platform, _) = TestPlatform::new();
        let tls = Tls::new(None).unwrap();
        let config = Config { register_in_clear: true, ..Config::default() };
        Self(Arc::new(Door::new(platform, Sessions::new(), config, Arc::default(), Log::default(), tls)))
    }

    async fn dial(&self, wish: &Credentials) -> Client<DuplexStream> {
        let (ours, theirs) = duplex(1024);
        let peer = SocketAddr::from(([192, 0, 2, 7], 1));
        let deadline = Instant::now() + self.0.config.connect_timeout;
        tokio::spawn(serve_mqtt(self.0.clone(), theirs, peer, Channel::Clear, deadline));
        let mut client = Client::new(ours);
        client.say(&wish.packet()).await;
        client
    }

    /// The first byte and the code of what a registration is answered, and after how many seconds.
    async fn register(&self, wish: &Credentials) -> (Option<u8>, u64) {
        let start = Instant::now();
        let answer = self.dial(wish).await.next().await;
        let code = answer.map(|packet| if packet.is_welcome() { 0 } else { 4 });
        (code, start.elapsed().as_secs())
    }

    fn counted(&self, name: &str) -> u64 {
        let counters: &Counters = &self.0.counters;
        counters.snapshot().find(|(counter, _)| *counter == name).unwrap().1
    }
}

fn wish(device_name: &str) -> Credentials {
    let user = Username { device_name, product_key: PRODUCT };
    let sign = registration_sign(SignMethod::HmacMd5, PRODUCT_SECRET.as_bytes(), &user, "42");
    Credentials {
        client_id: "id|authType=register,random=42|".into(),
        password: sign.to_string().into_bytes(),
        ..Credentials::of(device_name)
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_closed_after_a_quarter_of_a_minute() {
    let house = House::open();
    let mut client = house.dial(&wish("dev001")).await;
    assert!(client.receive().await.is_welcome());
    client.receive().await;
    let start = Instant::now();
    assert!(client.rest().await.is_empty());
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn who_registers_again_and_again_waits_ever_longer_whatever_comes_of_it() {
    let house = House::open();
    for _ in 0..10 {
        assert_eq!(house.register(&wish("dev001")).await, (Some(0), 0));
    }
    for seconds in [1, 2, 4, 8, 8] {
        assert_eq!(house.register(&wish("dev001")).await, (Some(0), seconds));
    }
    assert_eq!(house.0.platform.registered.load(Ordering::Relaxed), 15);
    assert_eq!(house.counted("throttled"), 5);
    let neighbour = Credentials { username: "dev002&a1TestPk001".into(), ..wish("dev002") };
    assert_eq!(house.register(&neighbour).await, (Some(4), 0));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_registrations_at_once_asks_the_platform_for_few() {
    let house = House::open();
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(house.dial(&wish("dev001")).await);
    }
    let mut answered = 0;
    for client in &mut flood {
        answered += usize::from(client.next().await.is_some());
    }
    // Ten at once, then those that wait 1, 3 and 7 seconds.
    assert_eq!((answered, house.0.platform.registered.load(Ordering::Relaxed)), (13, 13));
    assert_eq!(house.counted("throttle_full"), 87);
}

#[tokio::test(start_paused = true)]
async fn made_up_names_of_one_address_are_refused_ever_later() {
    let house = House::open();
    for n in 1..100 {
        assert_eq!(house.register(&wish(&format!("nobody{n}"))).await, (Some(4), 0), "{n}");
    }
    for seconds in [1, 2, 4, 8, 8] {
        assert_eq!(house.register(&wish(&format!("no-one{seconds}"))).await, (Some(4), seconds));
    }
    assert_eq!(house.register(&wish("dev001")).await, (Some(0), 0), "who may register is not held up");
}
