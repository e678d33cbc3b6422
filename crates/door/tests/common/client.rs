//! A device reduced to its packets.

use std::fmt::Write as _;
use std::time::Duration;

use mqtt::{Connect, Filters, Packet, Publish, QoS, Subscribe, Topics, Unsubscribe, Version, frame_len};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use wire::credentials::{ClientId, SignMethod, Username, password};

use super::platform::{PRODUCT, SECRET};

/// Long enough for a busy machine; every wait ends with what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of a device, over whatever carries it.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
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
        Packet::Connect(Connect {
            version: self.version,
            client_id: &self.client_id,
            username: Some(&self.username),
            password: Some(&self.password),
            keep_alive: self.keep_alive,
            clean: true,
            will: None,
        })
    }
}

/// A packet received, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received(Vec<u8>);

impl Received {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet::parse(&self.0, Version::V311).unwrap()
    }

    pub(crate) fn publish(&self) -> Publish<'_> {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?} is no PUBLISH"),
        }
    }
}

pub(crate) fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len().unwrap()];
    packet.emit(&mut out).unwrap();
    out
}

pub(crate) fn publish(topic: &str, packet_id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    bytes(&Packet::Publish(Publish { dup: false, qos, retain: false, topic, packet_id, payload }))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: Vec::new() }
    }

    /// Connects and is accepted.
    pub(crate) async fn enter(stream: S, credentials: &Credentials) -> Self {
        let mut client = Self::new(stream);
        client.send(&bytes(&credentials.packet())).await;
        assert_eq!(client.receive().await.packet(), Packet::ConnAck { session_present: false, code: 0 });
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, topic: &str, packet_id: Option<u16>, payload: &[u8]) {
        self.send(&publish(topic, packet_id, payload)).await;
    }

    /// Subscribes and gives the SUBACK's codes.
    pub(crate) async fn subscribe(&mut self, filters: &[(&str, QoS)]) -> Vec<u8> {
        let filters = Filters::new(filters);
        self.send(&bytes(&Packet::Subscribe(Subscribe { packet_id: 77, filters }))).await;
        match self.receive().await.packet() {
            Packet::SubAck(suback) if suback.packet_id == 77 => suback.codes.to_vec(),
            other => panic!("{other:?} is no answer to SUBSCRIBE"),
        }
    }

    pub(crate) async fn unsubscribe(&mut self, filters: &[&str]) {
        let filters = Topics::new(filters);
        self.send(&bytes(&Packet::Unsubscribe(Unsubscribe { packet_id: 78, filters }))).await;
        assert_eq!(self.receive().await.packet(), Packet::UnsubAck { packet_id: 78 });
    }

    /// Asks for life and gets it, with nothing before it: whatever was to come has come.
    pub(crate) async fn ping(&mut self) {
        self.send(&bytes(&Packet::PingReq)).await;
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
                    return Some(Received(std::mem::replace(&mut self.input, rest)));
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
