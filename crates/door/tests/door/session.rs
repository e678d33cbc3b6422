//! A session's messages: who may say what, what is acknowledged when, and how it ends.

use std::sync::atomic::Ordering;

use crate::common::House;
use crate::common::client::{bytes, publish};
use crate::common::platform::Told;
use bytes::Bytes;
use mqtt::{Packet, Properties, Publish, QoS};
use otaru_door::{Closed, Config};
use tokio::io::AsyncWriteExt as _;
use wire::topic::Kind;

const INFORM: &str = "/ota/device/inform/a1TestPk001/dev001";
const PROGRESS: &str = "/ota/device/progress/a1TestPk001/dev001";
const REQUEST: &str = "/ota/device/request/a1TestPk001/dev001";
const GET: &str = "/sys/a1TestPk001/dev001/thing/ota/firmware/get";
const NOTICE: &str = "/ota/device/upgrade/a1TestPk001/dev001";
const CUSTOM: &str = "/a1TestPk001/dev001/user/hello";

fn uplink(epoch: i64, kind: Kind, payload: &'static [u8]) -> Told {
    Told::Uplink(epoch, kind, Bytes::from_static(payload))
}

fn puback(packet_id: u16) -> Packet<'static> {
    Packet::puback(packet_id)
}

#[tokio::test]
async fn uplinks_arrive_in_order_and_are_acknowledged() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    for (number, (topic, kind)) in [
        (INFORM, Kind::Inform),
        (PROGRESS, Kind::Progress),
        (GET, Kind::FirmwareGet),
        (REQUEST, Kind::Request),
    ]
    .into_iter()
    .enumerate()
    {
        let packet_id = number as u16 + 1;
        client.publish(topic, Some(packet_id), b"{}").await;
        assert_eq!(client.receive().await.packet(), puback(packet_id));
        assert_eq!(house.told().await, uplink(1, kind, b"{}"));
    }
    // Nothing is echoed, although the device may both publish and receive the old request topic.
    client.ping().await;
    assert_eq!(house.counted("uplinks"), 4);
}

#[tokio::test]
async fn pubacks_wait_for_durability_and_keep_their_order() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    client.publish(INFORM, Some(1), b"slow").await;
    client.publish(PROGRESS, Some(2), b"fast").await;
    client.publish(CUSTOM, Some(3), b"dropped").await;
    client.publish(INFORM, None, b"unacknowledged").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    // The second is durable before the first, and nobody is told.
    assert_eq!(house.told().await, uplink(1, Kind::Progress, b"fast"));
    client.ping().await;
    house.platform.gate.send(true).unwrap();
    for packet_id in 1..=3 {
        assert_eq!(client.receive().await.packet(), puback(packet_id));
    }
    client.ping().await;
}

#[tokio::test]
async fn many_waiting_uplinks_stop_the_reading_and_none_is_lost() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    for packet_id in 1..=200 {
        client.publish(INFORM, Some(packet_id), b"slow").await;
    }
    house.await_count("uplinks", 64).await;
    client.send(&bytes(&Packet::PingReq)).await;
    tokio::task::yield_now().await;
    assert_eq!(house.counted("uplinks"), 64);
    house.platform.gate.send(true).unwrap();
    let mut acknowledged = 0;
    for _ in 0..201 {
        match client.receive().await.packet() {
            Packet::PingResp => {}
            packet => {
                acknowledged += 1;
                assert_eq!(packet, puback(acknowledged));
            }
        }
    }
    assert_eq!(acknowledged, 200);
    assert_eq!(house.told().await, Told::Connected(1, 1));
    for _ in 0..200 {
        assert_eq!(house.told().await, uplink(1, Kind::Inform, b"slow"));
    }
}

#[tokio::test]
async fn an_uplink_that_cannot_be_kept_closes_without_puback() {
    let mut house = House::open().await;
    house.platform.full.store(true, Ordering::Relaxed);
    let mut client = house.enter("dev001").await;
    client.publish(INFORM, Some(1), b"{}").await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Unavailable));
    assert_eq!(house.counted("uplink_unavailable"), 1);
}

#[tokio::test]
async fn a_forbidden_publish_is_dropped_acknowledged_and_counted() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    for (number, (topic, counter)) in [
        ("/ota/device/inform/a1TestPk001/dev002", "forbidden_publish"),
        ("/ota/device/inform/a1Another01/dev001", "forbidden_publish"),
        ("/a1TestPk001/dev002/user/x", "forbidden_publish"),
        (NOTICE, "forbidden_publish"),
        ("/ota/device/inform", "unknown_topic"),
        ("$SYS/broker", "unknown_topic"),
        (CUSTOM, "custom_topic"),
        ("/sys/a1TestPk001/dev001/thing/model/up_raw", "unserved_topic"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = house.counted(counter);
        let packet_id = number as u16 + 1;
        client.publish(topic, Some(packet_id), b"{}").await;
        assert_eq!(client.receive().await.packet(), puback(packet_id));
        assert_eq!(house.counted(counter), before + 1, "{topic}");
    }
    assert_eq!(house.counted("uplinks"), 0);
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert!(house.told.try_recv().is_err());
}

#[tokio::test]
async fn a_notice_comes_unasked_once_when_asked_and_not_after_unsubscribe() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert!(house.notify(1, "first"));
    let received = client.receive().await;
    let notice = received.publish();
    assert_eq!((notice.topic, notice.qos, notice.payload), (NOTICE, QoS::AtMostOnce, &b"first"[..]));

    let codes = client
        .subscribe(&[(NOTICE, QoS::AtLeastOnce), ("/ota/device/+/a1TestPk001/dev001", QoS::AtMostOnce)]);
    assert_eq!(codes.await, [1, 0]);
    assert!(house.notify(1, "second"));
    let received = client.receive().await;
    let notice = received.publish();
    assert_eq!((notice.qos, notice.payload), (QoS::AtLeastOnce, &b"second"[..]));
    let packet_id = notice.packet_id.unwrap();
    client.send(&bytes(&puback(packet_id))).await;
    // A single copy: the answer to the ping is next.
    client.ping().await;

    client.unsubscribe(&[NOTICE, "/ota/device/+/a1TestPk001/dev001"]).await;
    assert!(house.notify(1, "third"));
    house.await_count("unsubscribed", 1).await;
    client.ping().await;

    assert_eq!(client.subscribe(&[(NOTICE, QoS::ExactlyOnce)]).await, [1]);
    assert!(house.notify(1, "fourth"));
    assert_eq!(client.receive().await.publish().payload, b"fourth");
    assert_eq!(house.counted("downlinks"), 3);
}

#[tokio::test]
async fn a_foreign_filter_is_refused_and_the_session_goes_on() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    let codes = client
        .subscribe(&[
            ("#", QoS::AtMostOnce),
            ("/ota/device/upgrade/a1TestPk001/dev002", QoS::AtMostOnce),
            ("/a1TestPk001/dev001/user/#", QoS::AtLeastOnce),
            ("/sys/a1TestPk001/+/thing/file/download_reply", QoS::AtMostOnce),
            ("/sys/a1TestPk001/dev001/thing/config/push_reply", QoS::AtLeastOnce),
            ("bad/#/filter", QoS::AtMostOnce),
        ])
        .await;
    assert_eq!(codes, [0x80, 0x80, 1, 0x80, 1, 0x80]);
    assert_eq!(house.counted("refused_subscribe"), 4);
    client.unsubscribe(&["never/subscribed", "#"]).await;
    client.ping().await;
}

#[tokio::test]
async fn the_newer_connection_takes_over_without_a_word() {
    let mut house = House::open().await;
    let mut older = house.enter("dev001").await;
    let mut other = house.enter("dev002").await;
    let mut newer = house.enter("dev001").await;
    assert_eq!(older.rest().await, b"");
    assert_eq!(house.sessions.epoch(1), Some(3));
    assert!(house.notify(1, "for the newer"));
    assert_eq!(newer.receive().await.publish().payload, b"for the newer");
    other.ping().await;
    assert_eq!((house.sessions.online(), house.counted("take_over")), (2, 1));
    for told in [
        Told::Connected(1, 1),
        Told::Connected(2, 2),
        Told::Connected(1, 3),
        Told::Disconnected(1, 1, Closed::TakenOver),
    ] {
        assert_eq!(house.told().await, told);
    }
}

#[tokio::test]
async fn a_report_followed_by_goodbye_is_kept_although_it_takes_its_time() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    client.publish(INFORM, None, b"slow").await;
    client.send(&bytes(&Packet::GOODBYE)).await;
    client.rest().await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    house.platform.gate.send(true).unwrap();
    assert_eq!(house.told().await, uplink(1, Kind::Inform, b"slow"));
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Goodbye));
    assert_eq!(house.sessions.online(), 0);
}

#[tokio::test]
async fn a_notice_to_an_older_session_or_to_nobody_is_not_taken() {
    let house = House::open().await;
    assert!(!house.notify(1, "nobody"));
    let _older = house.enter("dev001").await;
    let mut newer = house.enter("dev001").await;
    let downlink = otaru_door::Downlink { kind: Kind::Upgrade, payload: Bytes::from_static(b"late") };
    assert!(!house.sessions.deliver(1, 1, downlink.clone()));
    assert!(house.sessions.deliver(1, 2, downlink));
    assert_eq!(newer.receive().await.publish().payload, b"late");
}

#[tokio::test]
async fn qos_2_a_broken_packet_and_a_misplaced_one_close() {
    let mut house = House::open().await;
    let qos2 = Publish {
        dup: false,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: INFORM,
        packet_id: Some(1),
        properties: Properties::NONE,
        payload: b"{}",
    };
    let connect = [0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];
    for (broken, counter) in [
        (bytes(&Packet::Publish(qos2)), "qos2_publish"),
        (vec![0x36, 5, 0, 1, b'a', 0, 1], "malformed_packet"),
        (vec![0x82, 2, 0, 1], "malformed_packet"),
        (connect.to_vec(), "malformed_packet"),
        (vec![0xd0, 0], "malformed_packet"),
        (vec![0x30, 0xff, 0xff, 0xff, 0xff], "malformed_packet"),
    ] {
        let before = house.counted(counter);
        let mut client = house.enter("dev001").await;
        client.send(&broken).await;
        assert_eq!(client.rest().await, b"", "{broken:02x?}");
        assert_eq!(house.counted(counter), before + 1, "{broken:02x?}");
        assert!(matches!(house.told().await, Told::Connected(..)));
        assert!(matches!(house.told().await, Told::Disconnected(.., Closed::Protocol)));
    }
}

#[tokio::test]
async fn a_packet_that_is_too_large_closes_at_its_header() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    let fits = vec![b' '; 256 * 1024];
    client.publish(CUSTOM, Some(1), &fits).await;
    assert_eq!(client.receive().await.packet(), puback(1));
    let header = publish(CUSTOM, None, &vec![0; 300 * 1024]);
    client.send(&header[..5]).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(house.counted("too_large"), 1);
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::TooLarge));
}

#[tokio::test]
async fn retain_and_dup_are_taken_and_mean_nothing() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    let again = Publish {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: INFORM,
        packet_id: Some(9),
        properties: Properties::NONE,
        payload: b"{}",
    };
    client.send(&bytes(&Packet::Publish(again))).await;
    assert_eq!(client.receive().await.packet(), puback(9));
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, uplink(1, Kind::Inform, b"{}"));
}

#[tokio::test]
async fn the_platform_can_close_a_session() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert!(house.sessions.close(1, Closed::Ordered));
    assert_eq!(client.rest().await, b"");
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Ordered));
    assert!(!house.sessions.close(1, Closed::Ordered));
    let (mut one, mut two) = (house.enter("dev001").await, house.enter("dev002").await);
    house.sessions.close_all(Closed::Shutdown);
    assert_eq!((one.rest().await, two.rest().await), (vec![], vec![]));
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"");
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Lost));
}

#[tokio::test]
async fn notices_to_a_device_that_does_not_read_are_bounded() {
    let config = Config { queue_bytes: 4096, ..Config::default() };
    let house = House::with(config).await;
    let mut client = house.enter("dev001").await;
    let payload = Bytes::from(vec![b'x'; 1000]);
    let epoch = house.sessions.epoch(1).unwrap();
    let deliver = || {
        let downlink = otaru_door::Downlink { kind: Kind::Upgrade, payload: payload.clone() };
        house.sessions.deliver(1, epoch, downlink)
    };
    let mut taken = 0_u64;
    // Far more than sockets hold; the session's task runs whenever this one yields.
    let mut refused = 0;
    while refused < 20 {
        if deliver() {
            taken += 1;
            refused = 0;
        } else {
            refused += 1;
        }
        tokio::task::yield_now().await;
        assert!(taken < 100_000, "nothing bounds what waits");
    }
    for _ in 0..taken {
        assert_eq!(client.receive().await.publish().payload, payload);
    }
    client.ping().await;
}

/// What stands on a topic after what a device said, read as JSON.
async fn answered<S>(client: &mut crate::common::client::Client<S>, topic: &str) -> serde_json::Value
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let received = client.receive().await;
    let publish = received.publish();
    assert_eq!((publish.topic, publish.qos), (topic, QoS::AtMostOnce));
    serde_json::from_slice(publish.payload).unwrap()
}

#[tokio::test]
async fn what_nothing_is_kept_of_is_answered_without_the_platform() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    for tail in [
        "event/property/post",
        "event/property/batch/post",
        "event/lamp:broken/post",
        "deviceinfo/update",
        "deviceinfo/delete",
        "log/post",
        "property/desired/get",
        "config/log/get",
    ] {
        let topic = format!("/sys/a1TestPk001/dev001/thing/{tail}");
        client.publish(&topic, None, br#"{"id":"7|x","params":[{"attrKey":"a"}]}"#).await;
        let reply = answered(&mut client, &format!("{topic}_reply")).await;
        assert_eq!((&reply["id"], &reply["code"]), (&"7|x".into(), &200.into()), "{tail}");
        assert!(reply["data"].is_object() && reply["message"] == "success", "{tail}");
    }
    client.publish("/shadow/update/a1TestPk001/dev001", None, br#"{"method":"get"}"#).await;
    let reply = answered(&mut client, "/shadow/get/a1TestPk001/dev001").await;
    assert_eq!(reply["payload"]["status"], "success");
    client.publish("/ext/ntp/a1TestPk001/dev001/request", None, br#"{"deviceSendTime":"12"}"#).await;
    let reply = answered(&mut client, "/ext/ntp/a1TestPk001/dev001/response").await;
    assert_eq!(reply["deviceSendTime"], "12");
    let ms = |name: &str| reply[name].as_str().unwrap().parse::<u128>().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(ms("serverRecvTime") <= ms("serverSendTime") && ms("serverSendTime").abs_diff(now) < 60_000);
    assert_eq!((house.counted("unkept"), house.counted("uplinks")), (10, 0));
}

#[tokio::test]
async fn what_nothing_is_kept_of_has_its_puback_and_may_be_wrong_in_any_way() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    let post = "/sys/a1TestPk001/dev001/thing/event/property/post";
    for payload in [&b"no json"[..], b"", b"[]", b"\xff", br#"{"id":"1","sys":{"ack":0}}"#] {
        client.publish(post, Some(1), payload).await;
        assert_eq!(client.receive().await.packet(), puback(1));
    }
    client.publish("/ext/ntp/a1TestPk001/dev001/request", Some(1), b"{}").await;
    assert_eq!(client.receive().await.packet(), puback(1));
    client.publish("/sys/a1TestPk001/dev002/thing/event/property/post", Some(1), b"{}").await;
    assert_eq!(client.receive().await.packet(), puback(1));
    assert_eq!((house.counted("bad_unkept"), house.counted("unkept")), (5, 1));
}

#[tokio::test]
async fn answers_keep_to_what_was_subscribed() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    let post = "/sys/a1TestPk001/dev001/thing/event/alarm/post";
    let replies = "/sys/a1TestPk001/dev001/thing/event/+/post_reply";
    assert_eq!(client.subscribe(&[(replies, QoS::AtLeastOnce)]).await, [1]);
    client.publish(post, None, br#"{"id":"1"}"#).await;
    assert_eq!(client.receive().await.publish().qos, QoS::AtLeastOnce);
    client.unsubscribe(&[replies]).await;
    client.publish(post, None, br#"{"id":"2"}"#).await;
    client.ping().await;
    assert_eq!(house.counted("unsubscribed"), 1);
}
