//! Blocks over MQTT (docs/protocol.md 6), and what a device that asks wrongly or does not read gets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::House;
use crate::common::client::{Client, Received, bytes, publish};
use crate::common::platform::{TestBlob, Told};
use mqtt::{Packet, QoS};
use otaru_door::{Closed, StreamRefusal};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::block::Frame;

const ASK: &str = "/sys/a1TestPk001/dev001/thing/file/download";
const REPLY: &str = "/sys/a1TestPk001/dev001/thing/file/download_reply";

fn request(id: &str, stream_id: u32, size: u32, offset: u32) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","version":"1.0","params":{{"fileToken":"1bb8","fileInfo":{{"streamId":{stream_id},"fileId":1,}},"fileBlock":{{"size":{size},"offset":{offset}}}}}}}"#
    )
    .into_bytes()
}

async fn ask(client: &mut Client<TcpStream>, id: &str, stream_id: u32, size: u32, offset: u32) {
    client.publish(ASK, None, &request(id, stream_id, size, offset)).await;
}

/// Id, offset and data of a block.
fn block(received: &Received) -> (String, u32, &[u8]) {
    match Frame::parse(received.publish().payload).unwrap() {
        Frame::Block { head, data } => (head.id.to_string(), head.offset, data),
        Frame::Error { json, .. } => panic!("{json} instead of a block"),
    }
}

/// Id and code of an error frame.
fn error(received: &Received) -> (String, i32) {
    match Frame::parse(received.publish().payload).unwrap() {
        Frame::Error { id, code, .. } => (id.to_string(), code),
        Frame::Block { head, .. } => panic!("{head:?} instead of an error"),
    }
}

#[tokio::test]
async fn the_documented_frame_byte_for_byte() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::of(b"HELLO, OTA!")));
    let mut client = house.enter("dev001").await;
    let payload =
        br#"{"id":1,"params":{"fileInfo":{"streamId":"7","fileId":1},"fileBlock":{"size":256,"offset":0}}}"#;
    client.publish(ASK, None, payload).await;
    let head =
        br#"{"code":200,"data":{"bOffset":0,"fileLength":11,"bSize":11},"id":"1","message":"success"}"#;
    let frame = [b"\0\x59", &head[..], b"HELLO, OTA!", b"\x92\x20"].concat();
    let received = client.receive().await;
    let answer = received.publish();
    assert_eq!((answer.topic, answer.qos, answer.payload), (REPLY, QoS::AtMostOnce, &frame[..]));
    assert_eq!(frame.len(), 104);
}

#[tokio::test]
async fn a_file_in_a_window_of_requests_comes_in_order_and_opens_its_stream_once() {
    let mut house = House::open().await;
    let blob = TestBlob::new(100_000);
    house.platform.stream(1, 7, Ok(blob.clone()));
    let mut client = house.enter("dev001").await;
    let mut file = Vec::new();
    for offset in (0..100_000).step_by(4096) {
        client
            .publish(ASK, Some(1 + (offset / 4096) as u16), &request(&offset.to_string(), 7, 4096, offset))
            .await;
    }
    let mut acknowledged = 0;
    while file.len() < blob.bytes().len() {
        let received = client.receive().await;
        match received.packet() {
            Packet::PubAck { packet_id, .. } => {
                acknowledged += 1;
                assert_eq!(packet_id, acknowledged);
            }
            _ => {
                let (id, offset, data) = block(&received);
                assert_eq!((id, offset), (file.len().to_string(), file.len() as u32));
                file.extend_from_slice(data);
            }
        }
    }
    assert_eq!(file, blob.bytes());
    client.ping().await;
    assert_eq!(acknowledged, 25);
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::OpenStream(7, 1));
    assert!(house.told.try_recv().is_err());
    assert_eq!((house.counted("blocks"), house.counted("block_bytes")), (25, 100_000));
}

#[tokio::test]
async fn the_largest_block() {
    let house = House::open().await;
    let blob = TestBlob::new(300_000);
    house.platform.stream(1, 7, Ok(blob.clone()));
    let mut client = house.enter("dev001").await;
    for offset in [0, 131_072] {
        ask(&mut client, "1", 7, 131_072, offset).await;
        let received = client.receive().await;
        let (_, got, data) = block(&received);
        assert_eq!((got, data), (offset, &blob.bytes()[offset as usize..offset as usize + 131_072]));
    }
}

#[tokio::test]
async fn the_last_block_is_cut_and_beyond_it_is_an_error() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1000)));
    let mut client = house.enter("dev001").await;
    ask(&mut client, "a", 7, 512, 900).await;
    assert_eq!(block(&client.receive().await).2.len(), 100);
    for (id, offset) in [("b", 1000), ("c", 1001), ("d", 16_777_216)] {
        ask(&mut client, id, 7, 512, offset).await;
        assert_eq!(error(&client.receive().await), (id.to_owned(), 460));
    }
    assert_eq!(house.counted("block_out_of_range"), 3);
    // A file without bytes has no block at all.
    house.platform.stream(1, 8, Ok(TestBlob::new(0)));
    ask(&mut client, "e", 8, 512, 0).await;
    assert_eq!(error(&client.receive().await), ("e".to_owned(), 460));
}

#[tokio::test]
async fn sizes_and_offsets_out_of_range_are_answered() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    for (id, size, offset) in
        [("a", 0, 0), ("b", 131_073, 0), ("c", 256, 16_777_217), ("d", u32::MAX, u32::MAX)]
    {
        ask(&mut client, id, 7, size, offset).await;
        assert_eq!(error(&client.receive().await), (id.to_owned(), 460));
    }
    for payload in [r#"{"id":"f"}"#, r#"{"id":"f","params":{"fileInfo":{},"fileBlock":[]}}"#] {
        client.publish(ASK, None, payload.as_bytes()).await;
        assert_eq!(error(&client.receive().await), ("f".to_owned(), 460));
    }
    assert_eq!(house.counted("block_out_of_range"), 6);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_dropped_acknowledged_and_counted() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    let long_id = format!(r#"{{"id":"{}"}}"#, "x".repeat(300));
    let broken: [&[u8]; 6] = [b"", b"{", b"\xff", b"[]", b"{\"id\":\"\0\"}", long_id.as_bytes()];
    for (number, payload) in broken.into_iter().enumerate() {
        let packet_id = number as u16 + 1;
        client.publish(ASK, Some(packet_id), payload).await;
        assert_eq!(client.receive().await.packet(), Packet::puback(packet_id));
    }
    assert_eq!(house.counted("bad_block_request"), 6);
}

#[tokio::test]
async fn foreign_and_ended_streams_have_their_codes() {
    let house = House::open().await;
    house.platform.stream(2, 7, Ok(TestBlob::new(1000)));
    house.platform.stream(1, 8, Err(StreamRefusal::Ended));
    house.platform.stream(1, 9, Err(StreamRefusal::Unavailable));
    let mut client = house.enter("dev001").await;
    for (stream, code) in [(7, 404), (6, 404), (8, 403), (9, 500)] {
        ask(&mut client, "x", stream, 256, 0).await;
        assert_eq!(error(&client.receive().await), ("x".to_owned(), code));
    }
    assert_eq!((house.counted("foreign_stream"), house.counted("ended_stream")), (2, 1));
    let mut owner = house.enter("dev002").await;
    let topic = "/sys/a1TestPk001/dev002/thing/file/download";
    owner.publish(topic, None, &request("x", 7, 256, 0)).await;
    assert_eq!(block(&owner.receive().await).2.len(), 256);
}

#[tokio::test]
async fn a_file_that_fails_is_an_error_for_one_request() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::broken(1000, 500)));
    let mut client = house.enter("dev001").await;
    ask(&mut client, "a", 7, 256, 400).await;
    assert_eq!(error(&client.receive().await), ("a".to_owned(), 500));
    ask(&mut client, "b", 7, 256, 0).await;
    assert_eq!(block(&client.receive().await).2.len(), 256);
    assert_eq!(house.counted("block_read_failed"), 1);
}

#[tokio::test]
async fn a_revoked_stream_is_asked_for_anew_and_refused() {
    let mut house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1000)));
    house.platform.stream(1, 8, Ok(TestBlob::new(1000)));
    let mut client = house.enter("dev001").await;
    for stream in [7, 8] {
        ask(&mut client, "a", stream, 256, 0).await;
        block(&client.receive().await);
    }
    house.platform.stream(1, 7, Err(StreamRefusal::Ended));
    assert!(house.sessions.revoke(1, 7));
    assert!(!house.sessions.revoke(2, 7));
    ask(&mut client, "b", 7, 256, 0).await;
    assert_eq!(error(&client.receive().await), ("b".to_owned(), 403));
    ask(&mut client, "c", 8, 256, 0).await;
    block(&client.receive().await);
    let mut opened = Vec::new();
    while let Ok(told) = house.told.try_recv() {
        opened.push(told);
    }
    let streams = [7, 8, 7].map(|stream| Told::OpenStream(stream, 1));
    assert_eq!(opened, [&[Told::Connected(1, 1)], &streams[..]].concat());
}

#[tokio::test]
async fn no_block_after_unsubscribe_and_with_the_granted_qos_after_subscribe() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(1000)));
    let mut client = house.enter("dev001").await;
    client.unsubscribe(&[REPLY]).await;
    ask(&mut client, "a", 7, 256, 0).await;
    client.ping().await;
    assert_eq!((house.counted("unsubscribed"), house.counted("blocks")), (1, 0));
    assert_eq!(client.subscribe(&[(REPLY, QoS::AtLeastOnce)]).await, [1]);
    let mut ids = Vec::new();
    for id in ["b", "c"] {
        ask(&mut client, id, 7, 256, 0).await;
        let received = client.receive().await;
        assert_eq!(block(&received).0, id);
        ids.push(received.publish().packet_id.unwrap());
        client.send(&bytes(&Packet::puback(*ids.last().unwrap()))).await;
    }
    assert_ne!(ids[0], ids[1]);
    client.ping().await;
}

/// Asks for far more than the sockets hold, without reading.
const FLOOD: u32 = 4000;

#[tokio::test]
async fn a_device_that_asks_and_does_not_read_costs_little_and_keeps_its_ping() {
    let mut house = House::open().await;
    let blob = TestBlob::new(131_072);
    house.platform.stream(1, 7, Ok(blob.clone()));
    let mut client = house.enter("dev001").await;
    let flood: Vec<u8> =
        (0..FLOOD).flat_map(|id| publish(ASK, None, &request(&id.to_string(), 7, 131_072, 0))).collect();
    client.send(&flood).await;
    // All requests are read although no answer is: 64 wait, the rest is refused.
    await_requests(&house, FLOOD - 64).await;
    let made = blob.reads.load(Ordering::Relaxed);
    assert!(made < 200, "{made} blocks were made for a device that reads none");
    client.send(&bytes(&Packet::PingReq)).await;
    assert!(house.notify(1, "a notice"));
    // A second device shows that the first one's session has had its turn, and is not held up.
    house.enter("dev002").await.ping().await;

    let (mut blocks, mut before_ping, mut before_notice) = (0, None, None);
    while blocks < made + 64 {
        let received = client.receive().await;
        match received.packet() {
            Packet::PingResp => before_ping = Some(blocks),
            Packet::Publish(publish) if publish.topic == REPLY => {
                match Frame::parse(publish.payload).unwrap() {
                    Frame::Block { data, .. } => {
                        assert_eq!(data, blob.bytes());
                        blocks += 1;
                    }
                    Frame::Error { code, .. } => assert_eq!(code, 429),
                }
            }
            _ => before_notice = Some(blocks),
        }
    }
    // Only the blocks that were in the sockets, or had begun, came first.
    assert!(before_ping.is_some_and(|blocks| blocks <= made), "{before_ping:?} of {made}");
    assert!(before_notice.is_some_and(|blocks| blocks <= made), "{before_notice:?} of {made}");
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert!(house.sessions.close(1, Closed::Ordered));
    client.rest().await;
}

#[tokio::test]
async fn a_cancel_reaches_what_was_asked_for_and_has_not_begun() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(131_072)));
    let mut client = house.enter("dev001").await;
    let flood: Vec<u8> =
        (0..400).flat_map(|id| publish(ASK, None, &request(&id.to_string(), 7, 131_072, 0))).collect();
    client.send(&flood).await;
    await_requests(&house, 400 - 64).await;
    house.platform.stream(1, 7, Err(StreamRefusal::Ended));
    assert!(house.sessions.revoke(1, 7));
    let (mut blocks, mut ended) = (0, 0);
    while blocks + ended + house.counted("block_too_many") < 400 {
        let received = client.receive().await;
        match Frame::parse(received.publish().payload).unwrap() {
            Frame::Block { .. } => {
                assert_eq!(ended, 0, "a block came after the cancel");
                blocks += 1;
            }
            Frame::Error { code: 403, .. } => ended += 1,
            Frame::Error { code, .. } => assert_eq!(code, 429),
        }
    }
    assert!(ended > 0, "all {blocks} blocks had come already");
    client.ping().await;
}

/// Waits until at least this many requests were answered in some way.
async fn await_requests(house: &House, answered: u32) {
    let reached = timeout(Duration::from_secs(20), async {
        while house.counted("blocks") + house.counted("block_too_many") < u64::from(answered) {
            tokio::task::yield_now().await;
        }
    });
    reached.await.expect("requests are left unread");
}

#[tokio::test]
async fn too_many_waiting_requests_are_refused_with_429() {
    let house = House::open().await;
    house.platform.stream(1, 7, Ok(TestBlob::new(131_072)));
    let mut client = house.enter("dev001").await;
    let flood: Vec<u8> =
        (0..400).flat_map(|id| publish(ASK, None, &request(&id.to_string(), 7, 131_072, 0))).collect();
    client.send(&flood).await;
    await_requests(&house, 400 - 64).await;
    let (mut blocks, mut refused) = (0, 0);
    while blocks + house.counted("block_too_many") < 400 {
        let received = client.receive().await;
        match Frame::parse(received.publish().payload).unwrap() {
            Frame::Block { .. } => blocks += 1,
            Frame::Error { code: 429, .. } => refused += 1,
            Frame::Error { json, .. } => panic!("{json}"),
        }
    }
    assert!(refused > 0, "none of 400 requests was refused");
}
