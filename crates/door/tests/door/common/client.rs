//! A device reduced to its packets.

use std::fmt::Write as _;
use std::time::Duration;

use mqtt::{
    Connect, Filters, Packet, Properties, Publish, QoS, Subscribe, Topics, UnsubAck, Unsubscribe, Version,
    frame_len,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use wire::credentials::{ClientId, SignMethod, Username, password};

use super::platform::{PRODUCT, SECRET};

/// Long enough for a busy machine; every wait ends with what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of a device, over whatever carries it.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    version: Version,
    input: Vec<u8>,
}

/// What a device shows at CONNECT, right unless changed.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) username: String,
    pub(crate) password: Vec<u8>,
    pub(crate) keep_alive: u16,
}

impl Credentials {
    pub(crate) fn of(device_name: &str) -> Self {
        let client_id =
            format!("{PRODUCT}.{device_name}|securemode=3,signmethod=hmacsha256,timestamp=1700000000000|");
        let username = Username { device_name, product_key: PRODUCT };
        let parsed = ClientId::parse(&client_id).unwrap();
        let password = password(SignMethod::HmacSha256, SECRET.as_bytes(), &parsed, &username);
        let mut hex = String::new();
        write!(hex, "{password}").unwrap();
        let username = username.to_string();
        Self { version: Version::V311, client_id, username, password: hex.into_bytes(), keep_alive: 60 }
    }

    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet::Connect(self.connect())
    }

    pub(crate) fn connect(&self) -> Connect<'_> {
        Connect {
            version: self.version,
            client_id: &self.client_id,
            username: Some(&self.username),
            password: Some(&self.password),
            keep_alive: self.keep_alive,
            clean: true,
            properties: Properties::NONE,
            will: None,
        }
    }
}

/// A packet received, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received(Vec<u8>, Version);

impl Received {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet::parse(&self.0, self.1).unwrap()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is a CONNACK that lets the device in.
    pub(crate) fn is_welcome(&self) -> bool {
        matches!(self.packet(), Packet::ConnAck { session_present: false, code: 0, .. })
    }

    pub(crate) fn publish(&self) -> Publish<'_> {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?} is no PUBLISH"),
        }
    }
}

pub(crate) fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    bytes_in(Version::V311, packet)
}

pub(crate) fn bytes_in(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len(version).unwrap()];
    packet.emit(version, &mut out).unwrap();
    out
}

pub(crate) fn message<'a>(topic: &'a str, packet_id: Option<u16>, payload: &'a [u8]) -> Publish<'a> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    Publish { dup: false, qos, retain: false, topic, packet_id, properties: Properties::NONE, payload }
}

pub(crate) fn publish(topic: &str, packet_id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    bytes(&Packet::Publish(message(topic, packet_id, payload)))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self::speaking(Version::V311, stream)
    }

    pub(crate) fn speaking(version: Version, stream: S) -> Self {
        Self { stream, version, input: Vec::new() }
    }

    /// Connects and is accepted.
    pub(crate) async fn enter(stream: S, credentials: &Credentials) -> Self {
        Self::enter_with(stream, &credentials.connect()).await
    }

    /// As [`Client::enter`], with this CONNECT.
    pub(crate) async fn enter_with(stream: S, connect: &Connect<'_>) -> Self {
        let mut client = Self::speaking(connect.version, stream);
        client.say(&Packet::Connect(*connect)).await;
        assert!(client.receive().await.is_welcome());
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// As [`Client::send`], to a peer that may have gone.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a packet in the connection's version.
    pub(crate) async fn say(&mut self, packet: &Packet<'_>) {
        self.send(&bytes_in(self.version, packet)).await;
    }

    pub(crate) async fn publish(&mut self, topic: &str, packet_id: Option<u16>, payload: &[u8]) {
        self.say(&Packet::Publish(message(topic, packet_id, payload))).await;
    }

    /// Subscribes and gives the SUBACK's codes.
    pub(crate) async fn subscribe(&mut self, filters: &[(&str, QoS)]) -> Vec<u8> {
        let filters: Vec<_> = filters.iter().map(|&(filter, qos)| (filter, qos.into())).collect();
        let (properties, filters) = (Properties::NONE, Filters::new(&filters));
        self.say(&Packet::Subscribe(Subscribe { packet_id: 77, properties, filters })).await;
        match self.receive().await.packet() {
            Packet::SubAck(suback) if suback.packet_id == 77 => suback.codes.to_vec(),
            other => panic!("{other:?} is no answer to SUBSCRIBE"),
        }
    }

    /// Unsubscribes and gives the UNSUBACK's codes.
    pub(crate) async fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let (properties, filters) = (Properties::NONE, Topics::new(filters));
        self.say(&Packet::Unsubscribe(Unsubscribe { packet_id: 78, properties, filters })).await;
        match self.receive().await.packet() {
            Packet::UnsubAck(UnsubAck { packet_id: 78, codes, .. }) => codes.to_vec(),
            other => panic!("{other:?} is no answer to UNSUBSCRIBE"),
        }
    }

    /// Asks for life and gets it, with nothing before it: whatever was to come has come.
    pub(crate) async fn ping(&mut self) {
        self.say(&Packet::PingReq).await;
        assert_eq!(self.receive().await.packet(), Packet::PingResp);
    }

    /// The next packet; panics at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Received {
        self.next().await.expect("the connection was closed")
    }

    /// The next packet, or `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        timeout(PATIENCE, async {
            loop {
                if let Some(length) = frame_len(&self.input, usize::MAX).unwrap()
                    && length <= self.input.len()
                {
                    let rest = self.input.split_off(length);
                    return Some(Received(std::mem::replace(&mut self.input, rest), self.version));
                }
                let mut chunk = [0; 4096];
                match self.stream.read(&mut chunk).await {
                    Ok(count @ 1..) => self.input.extend_from_slice(&chunk[..count]),
                    _ => return None,
                }
            }
        })
        .await
        .expect("nothing came")
    }

    /// Waits for the end of the connection and gives what came before it.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.input);
        // A reset is an end too.
        let _ =
            timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("the connection stayed open");
        rest
    }
}
