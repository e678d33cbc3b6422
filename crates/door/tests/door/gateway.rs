//! Sub-devices in a gateway's session: docs/protocol.md 5.7 and 9.

use std::sync::Arc;

use crate::common::House;
use crate::common::client::bytes;
use crate::common::platform::{PRODUCT, TestBlob, Told};
use bytes::Bytes;
use mqtt::{Packet, QoS};
use otaru_door::{Closed, Downlink, Session, TooMany};
use wire::topic::{GatewayStep, Kind};

const INFORM: &str = "/ota/device/inform/a1TestPk001/sub012";
const NOTICE: &str = "/ota/device/upgrade/a1TestPk001/sub012";
const GET: &str = "/sys/a1TestPk001/sub012/thing/ota/firmware/get";
const DOWNLOAD: &str = "/sys/a1TestPk001/sub012/thing/file/download";
const REQUEST: &[u8] =
    br#"{"id":"5","params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":256,"offset":0}}}"#;

/// A sub-device's session by its gateway's.
fn sub(device: i64, epoch: i64) -> Arc<Session> {
    Arc::new(Session {
        device,
        epoch,
        product_key: PRODUCT.into(),
        device_name: format!("sub0{device}").into(),
        gateway: Some(1),
        client_id: "".into(),
        keep_alive: 0,
        peer: ([127, 0, 0, 1], 1).into(),
        is_private: false,
    })
}

fn carry(house: &House, gateway: i64, subs: &[(i64, i64)]) -> Result<(), TooMany> {
    let epoch = house.sessions.epoch(gateway).unwrap();
    let carrier = house.sessions.carrier(gateway, epoch).unwrap();
    carrier.carry(subs.iter().map(|(device, epoch)| sub(*device, *epoch)).collect(), 3)
}

fn notify(house: &House, device: i64, payload: &'static [u8]) -> bool {
    let Some(epoch) = house.sessions.epoch(device) else { return false };
    let downlink = Downlink { kind: Kind::Upgrade, payload: Bytes::from_static(payload) };
    house.sessions.deliver(device, epoch, downlink)
}

#[tokio::test]
async fn what_a_sub_device_says_and_gets_passes_through_its_gateway() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    client.publish(INFORM, Some(1), b"{}").await;
    assert_eq!(client.receive().await.packet(), Packet::puback(1));
    assert_eq!(house.counted("forbidden_publish"), 1);

    carry(&house, 1, &[(12, 102), (13, 103)]).unwrap();
    assert_eq!(house.told().await, Told::Connected(12, 102));
    assert_eq!(house.told().await, Told::Connected(13, 103));
    assert_eq!(house.sessions.online(), 3);
    client.publish(INFORM, Some(2), b"{}").await;
    assert_eq!(client.receive().await.packet(), Packet::puback(2));
    assert_eq!(house.told().await, Told::Uplink(102, Kind::Inform, Bytes::from_static(b"{}")));
    assert!(notify(&house, 12, b"notice"));
    let received = client.receive().await;
    let publish = received.publish();
    assert_eq!((publish.topic, publish.qos, publish.payload), (NOTICE, QoS::AtMostOnce, &b"notice"[..]));

    house.platform.stream(12, 7, Ok(TestBlob::new(1_000)));
    client.publish(DOWNLOAD, None, REQUEST).await;
    let received = client.receive().await;
    let publish = received.publish();
    assert_eq!(publish.topic, format!("{DOWNLOAD}_reply"));
    assert!(matches!(wire::block::Frame::parse(publish.payload).unwrap(), wire::block::Frame::Block { .. }));
    assert_eq!(house.told().await, Told::OpenStream(7, 1));
    // The right to read is its own.
    client.publish(&DOWNLOAD.replace("sub012", "sub013"), None, REQUEST).await;
    let received = client.receive().await;
    let publish = received.publish();
    assert!(matches!(
        wire::block::Frame::parse(publish.payload).unwrap(),
        wire::block::Frame::Error { code: 404, .. }
    ));
    assert_eq!(house.told().await, Told::OpenStream(7, 1));

    client.send(&bytes(&Packet::GOODBYE)).await;
    let mut ended = vec![house.told().await, house.told().await];
    ended.sort_by_key(|told| format!("{told:?}"));
    assert_eq!(
        ended,
        [Told::Disconnected(12, 102, Closed::Goodbye), Told::Disconnected(13, 103, Closed::Goodbye)]
    );
    assert_eq!(house.told().await, Told::Disconnected(1, 1, Closed::Goodbye));
    assert_eq!(house.sessions.online(), 0);
}

#[tokio::test]
async fn a_gateway_subscribes_for_its_sub_devices() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    assert_eq!(client.subscribe(&[(NOTICE, QoS::AtLeastOnce)]).await, [0x80]);
    carry(&house, 1, &[(12, 102)]).unwrap();
    assert_eq!(house.told().await, Told::Connected(12, 102));
    let all = "/sys/a1TestPk001/sub012/#";
    let filters = [NOTICE, all, INFORM].map(|filter| (filter, QoS::AtLeastOnce));
    assert_eq!(client.subscribe(&filters).await, [1, 1, 0x80]);
    assert!(notify(&house, 12, b"notice"));
    let received = client.receive().await;
    let publish = received.publish();
    assert_eq!((publish.topic, publish.qos), (NOTICE, QoS::AtLeastOnce));
    client.unsubscribe(&[NOTICE]).await;
    assert!(notify(&house, 12, b"notice"));
    client.ping().await;
    assert_eq!(house.counted("unsubscribed"), 1);
}

#[tokio::test]
async fn sub_devices_leave_and_are_taken_over_alone() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    let mut other = house.enter("dev002").await;
    assert_eq!(house.told().await, Told::Connected(2, 2));
    carry(&house, 1, &[(12, 102), (13, 103), (14, 104)]).unwrap();
    for (device, epoch) in [(12, 102), (13, 103), (14, 104)] {
        assert_eq!(house.told().await, Told::Connected(device, epoch));
    }
    assert_eq!(carry(&house, 1, &[(15, 105)]), Err(TooMany));
    // Once more is no more.
    carry(&house, 1, &[(12, 112)]).unwrap();
    assert_eq!(house.told().await, Told::Disconnected(12, 102, Closed::TakenOver));
    assert_eq!(house.told().await, Told::Connected(12, 112));
    assert!(house.sessions.close(13, Closed::Ordered));
    assert_eq!(house.told().await, Told::Disconnected(13, 103, Closed::Ordered));
    carry(&house, 2, &[(14, 114)]).unwrap();
    let mut moved = vec![house.told().await, house.told().await];
    moved.sort_by_key(|told| format!("{told:?}"));
    assert_eq!(moved, [Told::Connected(14, 114), Told::Disconnected(14, 104, Closed::TakenOver)]);
    carry(&house, 1, &[(15, 105), (16, 106)]).unwrap();
    assert_eq!(carry(&house, 1, &[(17, 107)]), Err(TooMany));
    client.ping().await;
    other.ping().await;

    // The gateways themselves may be carried too, which ends their own sessions and those they carry.
    let gateway =
        Arc::new(Session { device_name: "dev002".into(), gateway: Some(1), ..(*sub(2, 202)).clone() });
    let carrier = house.sessions.carrier(1, 1).unwrap();
    carrier.carry(vec![gateway], 10).unwrap();
    assert_eq!(other.rest().await, b"");
    assert!(house.sessions.carrier(2, 202).is_none());
    client.ping().await;
    assert!(house.sessions.close(12, Closed::Unavailable));
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn who_is_not_carried_is_told_so() {
    let house = House::open().await;
    let mut client = house.enter("dev001").await;
    client.publish(GET, Some(1), br#"{"id":3}"#).await;
    let received = client.receive().await;
    let publish = received.publish();
    assert_eq!(
        (publish.topic, publish.payload),
        (&*format!("{GET}_reply"), &br#"{"id":"3","code":520,"data":{}}"#[..])
    );
    assert_eq!(client.receive().await.packet(), Packet::puback(1));
    client.publish(DOWNLOAD, None, REQUEST).await;
    let received = client.receive().await;
    let publish = received.publish();
    assert!(matches!(
        wire::block::Frame::parse(publish.payload).unwrap(),
        wire::block::Frame::Error { code: 520, .. }
    ));
    client.publish("/sys/a1TestPk001/dev002/thing/topo/get", None, b"{}").await;
    client.ping().await;
    assert_eq!(house.counted("forbidden_publish"), 3);
}

#[tokio::test]
async fn a_gateways_requests_reach_the_platform() {
    let mut house = House::open().await;
    let mut client = house.enter("dev001").await;
    assert_eq!(house.told().await, Told::Connected(1, 1));
    for step in GatewayStep::ALL {
        let topic = wire::topic::Topic::new(Kind::Gateway(step), PRODUCT, "dev001").to_string();
        client.publish(&topic, None, b"{}").await;
        assert_eq!(house.told().await, Told::Uplink(1, Kind::Gateway(step), Bytes::from_static(b"{}")));
        let downlink = Downlink { kind: Kind::GatewayReply(step), payload: Bytes::from_static(b"done") };
        assert!(house.sessions.deliver(1, 1, downlink));
        let received = client.receive().await;
        let publish = received.publish();
        assert_eq!((publish.topic, publish.payload), (&*format!("{topic}_reply"), &b"done"[..]));
    }
}
