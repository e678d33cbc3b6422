//! What devices send, as bytes, and what they look for in the answers.

use anyhow::{Context as _, bail};
use mqtt::{Connect, Filters, Packet, Properties, Publish, QoS, Subscribe, Version};
use wire::Emit;
use wire::credentials::{ClientId, SignMethod, Username, password};
use wire::json::RawStr;
use wire::message::{BlockRequest, Id, Inform, Progress};
use wire::topic::{Kind, Topic};

/// The version all devices speak.
pub(crate) const VERSION: Version = Version::V311;

/// The product of all devices.
pub(crate) const PRODUCT: &str = "a1bench";

/// The secret of all devices; each has its own password all the same, since names go into it.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The version devices run, and the one of the package.
pub(crate) const OLD: &str = "1.0.0";
pub(crate) const NEW: &str = "2.0.0";

/// Longest packet looked at: a block and what stands around it.
const MAX_PACKET: usize = 256 * 1024;

/// All names have the same length, so that all answers of a size do.
pub(crate) fn device_name(number: usize) -> String {
    format!("device-{number:06}")
}

pub(crate) fn topic(kind: Kind, device: &str) -> String {
    Topic::new(kind, PRODUCT, device).to_string()
}

pub(crate) fn bytes(packet: &Packet<'_>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; packet.encoded_len(VERSION)?];
    packet.emit(VERSION, &mut bytes)?;
    Ok(bytes)
}

/// The CONNECT of a device that signs with HMAC-SHA256.
pub(crate) fn connect(device: &str, keep_alive: u16) -> anyhow::Result<Vec<u8>> {
    let client_id = format!("{device}|securemode=3,signmethod=hmacsha256,timestamp=1700000000000|");
    let user = Username { device_name: device, product_key: PRODUCT };
    let parsed = ClientId::parse(&client_id).context("the client id is none")?;
    let password = password(SignMethod::HmacSha256, SECRET.as_bytes(), &parsed, &user);
    let (username, password) = (user.to_string(), password.as_str().to_string());
    connect_as(&client_id, Some((&username, password.as_bytes())), keep_alive)
}

/// A CONNECT with any credentials, or none.
pub(crate) fn connect_as(
    client_id: &str,
    credentials: Option<(&str, &[u8])>,
    keep_alive: u16,
) -> anyhow::Result<Vec<u8>> {
    let (username, password) = credentials.unzip();
    bytes(&Packet::Connect(Connect {
        version: VERSION,
        client_id,
        username,
        password,
        keep_alive,
        clean: true,
        properties: Properties::NONE,
        will: None,
    }))
}

pub(crate) fn subscribe(filter: &str) -> anyhow::Result<Vec<u8>> {
    let filters = [(filter, QoS::AtMostOnce.into())];
    let (properties, filters) = (Properties::NONE, Filters::new(&filters));
    bytes(&Packet::Subscribe(Subscribe { packet_id: 1, properties, filters }))
}

pub(crate) fn publish(topic: &str, packet_id: Option<u16>, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    bytes(&Packet::Publish(message(topic, qos, packet_id, payload)))
}

/// A PUBLISH without what nobody here asks for.
pub(crate) fn message<'a>(
    topic: &'a str,
    qos: QoS,
    packet_id: Option<u16>,
    payload: &'a [u8],
) -> Publish<'a> {
    let properties = Properties::NONE;
    Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload }
}

/// The report of a version, to be acknowledged.
pub(crate) fn inform(device: &str, packet_id: u16, version: &str) -> anyhow::Result<Vec<u8>> {
    let version = RawStr::from_raw(version).unwrap_or_default();
    let payload = json(&Inform { id: id("1"), version, module: None })?;
    publish(&topic(Kind::Inform, device), Some(packet_id), payload.as_bytes())
}

/// A progress report, to be acknowledged; `step` has two digits.
pub(crate) fn progress(device: &str, step: i32) -> anyhow::Result<Vec<u8>> {
    let desc = RawStr::from_raw("downloading").unwrap_or_default();
    let payload = json(&Progress { id: id("1"), step, desc, module: None })?;
    publish(&topic(Kind::Progress, device), Some(1), payload.as_bytes())
}

pub(crate) fn block_request(device: &str, stream_id: u32, offset: u32, size: u32) -> anyhow::Result<Vec<u8>> {
    let request = BlockRequest { id: id("1"), file_token: None, stream_id, file_id: 1, size, offset };
    publish(&topic(Kind::FileDownload, device), None, json(&request)?.as_bytes())
}

/// The length of the packet that `bytes` begin with, if it is all there.
pub(crate) fn whole(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    Ok(mqtt::frame_len(bytes, MAX_PACKET)?.filter(|length| *length <= bytes.len()))
}

pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Packet<'_>> {
    Ok(Packet::parse(bytes, VERSION)?)
}

/// Whether a message is the notice of an upgrade.
pub(crate) fn is_notice(publish: &Publish<'_>) -> bool {
    publish.topic.starts_with("/ota/device/upgrade/")
}

/// The stream of a notice.
pub(crate) fn stream_id(notice: &[u8]) -> anyhow::Result<u32> {
    let notice: serde_json::Value = serde_json::from_slice(notice)?;
    match notice["data"]["streamId"].as_u64() {
        Some(id) => Ok(u32::try_from(id)?),
        None => bail!("a notice without a stream: {notice}"),
    }
}

fn id(text: &str) -> Id<'_> {
    Id::from_raw(text).unwrap_or_default()
}

fn json(message: &impl Emit) -> anyhow::Result<String> {
    let mut text = String::with_capacity(message.encoded_len());
    message.emit(&mut text)?;
    Ok(text)
}
