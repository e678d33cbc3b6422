//! Sessions over a pipe in memory: what depends on the order of two events, and deadlines under a
//! clock that stands still until everybody waits.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../tests/door/common/client.rs"]
pub(crate) mod client;
#[path = "../tests/door/common/platform.rs"]
pub(crate) mod platform;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use mqtt::{Packet, Version, reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wire::topic::Kind;

use crate::connect::mqtt as serve_mqtt;
use crate::log::Log;
use crate::serve::{Channel, Door};
use crate::{Closed, Config, Counters, Sessions, Tls};
use client::{Client, Credentials};
use platform::{TestBlob, TestPlatform, Told};

struct House {
    door: Arc<Door<TestPlatform>>,
    told: tokio::sync::mpsc::UnboundedReceiver<Told>,
}

impl House {
    fn open() -> Self {
        let (platform, told) = TestPlatform::new();
        let (sessions, counters) = (Sessions::new(), Arc::new(Counters::default()));
        let (config, log, tls) = (Config::default(), Log::default(), Tls::new(None).unwrap());
        Self { door: Arc::new(Door::new(platform, sessions, config, counters, log, tls)), told }
    }

    fn dial(&self, buffer: usize) -> (DuplexStream, JoinHandle<()>) {
        let (ours, theirs) = duplex(buffer);
        let deadline = Instant::now() + self.door.config.connect_timeout;
        let served = tokio::spawn(serve_mqtt(
            self.door.clone(),
            theirs,
            ([127, 0, 0, 1], 1).into(),
            Channel::Clear,
            deadline,
        ));
        (ours, served)
    }

    async fn enter(&self, keep_alive: u16) -> Client<DuplexStream> {
        let credentials = Credentials { keep_alive, ..Credentials::of("dev001") };
        Client::enter(self.dial(1024).0, &credentials).await
    }

    async fn enter_v5(&self, keep_alive: u16, buffer: usize) -> Client<DuplexStream> {
        let credentials = Credentials { keep_alive, version: Version::V5, ..Credentials::of("dev001") };
        Client::enter(self.dial(buffer).0, &credentials).await
    }

    /// Why the only session ended.
    async fn closed(&mut self) -> Closed {
        loop {
            if let Told::Disconnected(_, _, why) = self.told.recv().await.unwrap() {
                return why;
            }
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_session_ends_after_one_and_a_half_times_its_keepalive() {
    let mut house = House::open();
    let start = Instant::now();
    let mut client = house.enter(60).await;
    sleep(80 * SECOND).await;
    client.ping().await;
    assert_eq!(client.stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 80 + 90);
    assert_eq!(house.closed().await, Closed::KeepAlive);
    assert_eq!(house.door.counters.keepalive_timeout.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn without_keepalive_a_session_stays() {
    let house = House::open();
    let mut client = house.enter(0).await;
    sleep(7 * 24 * 3600 * SECOND).await;
    client.ping().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_nothing_is_read_is_no_silence() {
    let house = House::open();
    let mut client = house.enter(60).await;
    for packet_id in 1..=64 {
        client.publish("/ota/device/inform/a1TestPk001/dev001", Some(packet_id), platform::SLOW).await;
    }
    sleep(3600 * SECOND).await;
    house.door.platform.gate.send(true).unwrap();
    for packet_id in 1..=64 {
        assert_eq!(client.receive().await.packet(), Packet::puback(packet_id));
    }
    client.ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_takes_nothing_is_closed_and_one_that_takes_little_is_not() {
    let mut house = House::open();
    house.door.platform.stream(1, 7, Ok(TestBlob::new(100_000)));
    let mut client = house.enter(0).await;
    let request =
        br#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":65536,"offset":0}}}"#;
    client.publish("/sys/a1TestPk001/dev001/thing/file/download", None, request).await;
    for _ in 0..20 {
        sleep(50 * SECOND).await;
        client.stream.read_exact(&mut [0; 100]).await.unwrap();
    }
    let stopped = Instant::now();
    assert_eq!(house.closed().await, Closed::NotReading);
    assert_eq!(stopped.elapsed().as_secs(), 60);
    assert_eq!(house.door.counters.write_timeout.load(Ordering::Relaxed), 1);
}

/// A device on a thin line: 10 KB a second, 32 requests of 4 KiB always waiting, a ping every 25 seconds
/// for a keepalive of 30. Its pings are answered before blocks that have not begun, so it stays.
#[tokio::test(start_paused = true)]
async fn a_slow_line_full_of_blocks_keeps_its_keepalive() {
    const BLOCK: usize = 4096;
    const BLOCKS: usize = 512;
    const ANSWER: Duration = Duration::from_secs(1);
    let mut house = House::open();
    let blob = TestBlob::new(BLOCK * BLOCKS);
    house.door.platform.stream(1, 7, Ok(blob.clone()));
    let mut client = house.enter(30).await;
    let (mut asked, mut file, mut pings) = (0, Vec::new(), Vec::new());
    let (mut next_ping, mut sent) = (Instant::now() + 25 * SECOND, None);
    let (mut input, mut chunk) = (Vec::new(), [0; 1024]);
    while file.len() < BLOCK * BLOCKS {
        while asked < BLOCKS && asked < file.len() / BLOCK + 32 {
            let request = format!(
                r#"{{"id":1,"params":{{"fileInfo":{{"streamId":7,"fileId":1}},"fileBlock":{{"size":{BLOCK},"offset":{}}}}}}}"#,
                asked * BLOCK
            );
            client.publish("/sys/a1TestPk001/dev001/thing/file/download", None, request.as_bytes()).await;
            asked += 1;
        }
        if Instant::now() >= next_ping {
            client.send(&client::bytes(&Packet::PingReq)).await;
            (next_ping, sent) = (next_ping + 25 * SECOND, Some(Instant::now()));
        }
        sleep(Duration::from_millis(100)).await;
        let read = client.stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "closed: {:?}", house.closed().await);
        input.extend_from_slice(&chunk[..read]);
        while let Some(length) = mqtt::frame_len(&input, usize::MAX).unwrap().filter(|n| *n <= input.len()) {
            match Packet::parse(&input[..length], mqtt::Version::V311).unwrap() {
                Packet::PingResp => pings.push(sent.take().unwrap().elapsed()),
                Packet::Publish(publish) => match wire::block::Frame::parse(publish.payload).unwrap() {
                    wire::block::Frame::Block { data, .. } => file.extend_from_slice(data),
                    error => panic!("{error:?}"),
                },
                other => panic!("{other:?}"),
            }
            input.drain(..length);
        }
    }
    assert_eq!(file, blob.bytes());
    assert!(pings.len() >= 7, "{pings:?}");
    assert!(pings.iter().all(|answered| *answered <= ANSWER), "{pings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_has_ten_seconds_however_it_dawdles() {
    let house = House::open();
    let start = Instant::now();
    let (mut client, served) = house.dial(1024);
    let hello = client::bytes(&Credentials::of("dev001").packet());
    for byte in &hello[..9] {
        client.write_all(&[*byte]).await.unwrap();
        sleep(SECOND).await;
    }
    served.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(house.door.counters.connect_timeout.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn uplinks_that_never_become_durable_do_not_keep_a_closed_session_for_ever() {
    let mut house = House::open();
    let mut client = house.enter(60).await;
    client.publish("/ota/device/inform/a1TestPk001/dev001", None, platform::SLOW).await;
    client.send(&client::bytes(&Packet::GOODBYE)).await;
    let left = Instant::now();
    assert_eq!(house.closed().await, Closed::Goodbye);
    assert_eq!(left.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn what_had_arrived_before_a_take_over_is_still_taken() {
    let mut house = House::open();
    let mut client = house.enter(60).await;
    assert_eq!(house.told.recv().await, Some(Told::Connected(1, 1)));
    // The session is not polled between the two, and looks at its orders first.
    client.publish("/ota/device/inform/a1TestPk001/dev001", None, b"last words").await;
    assert!(house.door.sessions.close(1, Closed::TakenOver));
    let last_words = Bytes::from_static(b"last words");
    assert_eq!(house.told.recv().await, Some(Told::Uplink(1, Kind::Inform, last_words)));
    assert_eq!(house.closed().await, Closed::TakenOver);
}

const INFORM: &str = "/ota/device/inform/a1TestPk001/dev001";

fn slow(epoch: i64) -> Told {
    Told::Uplink(epoch, Kind::Inform, Bytes::from_static(platform::SLOW))
}

#[tokio::test(start_paused = true)]
async fn a_newer_session_begins_once_the_older_ones_words_are_durable() {
    let mut house = House::open();
    let mut client = house.enter(60).await;
    client.publish(INFORM, None, platform::SLOW).await;
    let (newer, _) = house.dial(1024);
    let credentials = Credentials::of("dev001");
    let start = Instant::now();
    let open = async {
        sleep(SECOND).await;
        house.door.platform.gate.send(true).unwrap();
    };
    tokio::join!(open, Client::enter(newer, &credentials));
    assert_eq!(start.elapsed(), SECOND);
    let told = [Told::Connected(1, 1), slow(1), Told::Connected(1, 2)];
    for told in told.into_iter().chain([Told::Disconnected(1, 1, Closed::TakenOver)]) {
        assert_eq!(house.told.recv().await, Some(told));
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_session_does_not_wait_long_for_the_older_one() {
    let mut house = House::open();
    let mut client = house.enter(60).await;
    client.publish(INFORM, None, platform::SLOW).await;
    let start = Instant::now();
    let _newer = house.enter(60).await;
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(house.closed().await, Closed::TakenOver);
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_said_goodbye_and_is_back_was_not_taken_over() {
    let mut house = House::open();
    let mut client = house.enter(60).await;
    client.publish(INFORM, None, platform::SLOW).await;
    client.send(&client::bytes(&Packet::GOODBYE)).await;
    client.rest().await;
    let (newer, _) = house.dial(1024);
    let credentials = Credentials::of("dev001");
    let open = async {
        sleep(SECOND).await;
        house.door.platform.gate.send(true).unwrap();
    };
    tokio::join!(open, Client::enter(newer, &credentials));
    let told = [Told::Connected(1, 1), slow(1), Told::Disconnected(1, 1, Closed::Goodbye)];
    for told in told.into_iter().chain([Told::Connected(1, 2)]) {
        assert_eq!(house.told.recv().await, Some(told));
    }
    assert_eq!(house.door.counters.take_over.load(Ordering::Relaxed), 0);
}

/// The words of each are kept in their order, also of one that was taken over before its CONNACK.
#[tokio::test(start_paused = true)]
async fn connections_that_come_at_once_begin_one_after_the_other() {
    let mut house = House::open();
    let hello = client::bytes(&Credentials::of("dev001").packet());
    let inform = client::publish(INFORM, None, platform::SLOW);
    let mut lines = Vec::new();
    for _ in 0..3 {
        let (mut line, _) = house.dial(1024);
        line.write_all(&[&hello[..], &inform].concat()).await.unwrap();
        lines.push(line);
    }
    sleep(SECOND).await;
    house.door.platform.gate.send(true).unwrap();
    let mut last = Client::new(lines.pop().unwrap());
    assert!(last.receive().await.is_welcome());
    let mut told = Vec::new();
    while told.last() != Some(&slow(3)) {
        told.push(house.told.recv().await.unwrap());
    }
    let place = |wanted: Told| told.iter().position(|told| *told == wanted).unwrap();
    for epoch in 1..3 {
        assert!(place(slow(epoch)) < place(Told::Connected(1, epoch + 1)), "{told:?}");
        let ended = Told::Disconnected(1, epoch, Closed::TakenOver);
        assert!(place(Told::Connected(1, epoch + 1)) < place(ended), "{told:?}");
    }
    last.ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_stops_does_not_wait_for_who_waits_for_an_older_session() {
    let mut house = House::open();
    let mut client = house.enter(60).await;
    client.publish(INFORM, None, platform::SLOW).await;
    let (mut newer, _served) = house.dial(1024);
    newer.write_all(&client::bytes(&Credentials::of("dev001").packet())).await.unwrap();
    client.rest().await;
    let stopped = Instant::now();
    house.door.sessions.close_all(Closed::Shutdown);
    let mut rest = Vec::new();
    newer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(stopped.elapsed(), 2 * SECOND);
    assert_eq!(house.told.recv().await, Some(Told::Connected(1, 1)));
    assert_eq!(house.told.recv().await, Some(Told::Connected(1, 2)));
    assert_eq!(house.told.recv().await, Some(Told::Disconnected(1, 2, Closed::Shutdown)));
    assert_eq!(house.door.sessions.online(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_device_sees_the_end_at_once_and_may_not_stay() {
    let house = House::open();
    let start = Instant::now();
    let (mut client, served) = house.dial(1024);
    let wrong = Credentials { password: b"wrong".to_vec(), ..Credentials::of("dev001") };
    client.write_all(&client::bytes(&wrong.packet())).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!((answer, start.elapsed().as_secs()), (vec![0x20, 2, 0, 4], 0));
    served.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2);
}

const ASK: &str = "/sys/a1TestPk001/dev001/thing/file/download";

#[tokio::test(start_paused = true)]
async fn a_silent_device_of_version_5_is_told_so() {
    let mut house = House::open();
    let start = Instant::now();
    let mut client = house.enter_v5(60, 1024).await;
    sleep(80 * SECOND).await;
    assert_eq!(client.rest().await, [0xe0, 1, 0x8d]);
    assert_eq!(start.elapsed().as_secs(), 90);
    drop(client);
    assert_eq!(house.closed().await, Closed::KeepAlive);
}

#[tokio::test(start_paused = true)]
async fn last_words_come_whole_behind_a_block_that_has_begun() {
    let mut house = House::open();
    house.door.platform.stream(1, 7, Ok(TestBlob::new(5000)));
    // So small that the block cannot leave at once.
    let mut client = house.enter_v5(60, 64).await;
    let request =
        br#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":4096,"offset":0}}}"#;
    for _ in 0..2 {
        client.publish(ASK, None, request).await;
    }
    let mut begun = [0; 1];
    client.stream.read_exact(&mut begun).await.unwrap();
    assert!(house.door.sessions.close(1, Closed::TakenOver));
    let rest = client.rest().await;
    let whole = [&begun[..], &rest].concat();
    let length = mqtt::frame_len(&whole, 1 << 20).unwrap().unwrap();
    assert!(length > 4096);
    // The second block had not begun.
    assert_eq!(whole[length..], [0xe0, 1, reason::TAKEN_OVER]);
    drop(client);
    assert_eq!(house.closed().await, Closed::TakenOver);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_read_its_last_words_does_not_stay() {
    let mut house = House::open();
    house.door.platform.stream(1, 7, Ok(TestBlob::new(5000)));
    let mut client = house.enter_v5(0, 64).await;
    let request =
        br#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":4096,"offset":0}}}"#;
    client.publish(ASK, None, request).await;
    client.stream.read_exact(&mut [0; 1]).await.unwrap();
    let asked = Instant::now();
    assert!(house.door.sessions.close(1, Closed::Ordered));
    assert_eq!(house.closed().await, Closed::Ordered);
    assert_eq!(asked.elapsed().as_secs(), 2);
    // Nothing more is taken for it meanwhile.
    assert_eq!(house.door.sessions.online(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_device_of_version_5_sees_its_reason_and_the_end_at_once() {
    let house = House::open();
    let start = Instant::now();
    let (mut client, _served) = house.dial(1024);
    let wrong =
        Credentials { password: b"wrong".to_vec(), version: Version::V5, ..Credentials::of("dev001") };
    client.write_all(&client::bytes_in(Version::V5, &wrong.packet())).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!((answer, start.elapsed().as_secs()), (vec![0x20, 3, 0, 0x86, 0], 0));
}
