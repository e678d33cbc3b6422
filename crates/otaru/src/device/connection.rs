//! The device's end of one MQTT connection.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use mqtt::{Connect, Packet, Properties, Publish, QoS, Version, connack};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use wire::credentials::{ClientId, SignMethod, Username, password};

use super::Options;
use super::trust::Trust;

/// What the simulated device speaks.
const VERSION: Version = Version::V311;

/// Seconds promised to the platform; PINGREQ goes out when one of the two said nothing for half of it.
const KEEP_ALIVE: u16 = 60;

/// Time for connecting, for CONNACK, for a write to be taken, and for the answer to PINGREQ.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least that a receive buffer holds, whatever the block size: notices can be longer than small blocks.
const LEAST_PACKET: usize = 4096;

/// The longest payload that a device has room for which asks for blocks of this length.
pub(crate) fn room(block: u32) -> usize {
    (block as usize).max(LEAST_PACKET) + device::FRAME_OVERHEAD
}

/// Packets are taken up to this length, to tell the platform which ones are too long for the device.
const LONGEST_PACKET: usize = 1 << 20;

/// The platform will not take this login, now or later.
#[derive(Debug, thiserror::Error)]
#[error("the platform refuses the login (CONNACK {code}): {}", self.meaning())]
pub(super) struct Refused {
    code: u8,
}

impl Refused {
    fn meaning(&self) -> &'static str {
        match self.code {
            connack::BAD_CLIENT_ID => "the client id is malformed",
            connack::BAD_LOGIN => "the secret is not the device's, compare `otaru device credentials`",
            connack::NOT_AUTHORISED => "the device is unknown or disabled, compare `otaru device list`",
            _ => "it does not say why",
        }
    }
}

/// What bytes go over.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// A connection that the platform has taken.
pub(super) struct Connection {
    line: Box<dyn Line>,
    received: Vec<u8>,
    /// The longest payload that the device has room for.
    room: usize,
    last_id: u16,
    unacknowledged: Vec<u16>,
    last_sent: Instant,
    last_received: Instant,
    /// PINGREQ, after which nothing came yet.
    pinged: Option<Instant>,
}

/// A message that came.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

async fn connect(options: &Options, trust: &Trust) -> anyhow::Result<Box<dyn Line>> {
    let (host, port) = options.address();
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !options.is_encrypted() {
        return Ok(Box::new(stream));
    }
    let secured = trust.for_mqtt()?.connect(host, stream).await;
    Ok(Box::new(secured.context("TLS fails; --ca names the CA that the platform's certificate comes from")?))
}

impl Connection {
    /// Connects and logs in. [`Refused`] inside the error means that trying again is of no use.
    pub(super) async fn open(options: &Options, trust: &Trust) -> anyhow::Result<Self> {
        let line = timeout(PATIENCE, connect(options, trust)).await;
        let line = line
            .unwrap_or_else(|_| Err(anyhow!("no answer in {} s", PATIENCE.as_secs())))
            .with_context(|| format!("cannot connect to {}", options.host))?;
        let mut connection = Self::over(line, room(options.block));
        connection.log_in(options).await?;
        Ok(connection)
    }

    fn over(line: Box<dyn Line>, room: usize) -> Self {
        Self {
            line,
            received: Vec::new(),
            room,
            last_id: 0,
            unacknowledged: Vec::new(),
            last_sent: Instant::now(),
            last_received: Instant::now(),
            pinged: None,
        }
    }

    async fn log_in(&mut self, options: &Options) -> anyhow::Result<()> {
        let Options { product_key, device_name, secret, .. } = options;
        let secure_mode = if options.is_encrypted() { 2 } else { 3 };
        let client_id = format!(
            "{product_key}.{device_name}|securemode={secure_mode},signmethod=hmacsha256,lan=Rust,_v=otaru-{},_ss=1|",
            env!("CARGO_PKG_VERSION")
        );
        let user = Username { device_name, product_key };
        let client = ClientId::parse(&client_id)?;
        let signature = password(SignMethod::HmacSha256, secret.as_bytes(), &client, &user);
        self.send(&Packet::Connect(Connect {
            version: VERSION,
            client_id: &client_id,
            username: Some(&format!("{device_name}&{product_key}")),
            password: Some(signature.as_str().as_bytes()),
            keep_alive: KEEP_ALIVE,
            clean: true,
            properties: Properties::NONE,
            will: None,
        }))
        .await?;
        match timeout(PATIENCE, self.connack()).await {
            Ok(Ok(connack::ACCEPTED)) => Ok(()),
            Ok(Ok(connack::UNAVAILABLE)) => bail!("the platform cannot serve at present (CONNACK 3)"),
            Ok(Ok(code)) => Err(Refused { code }.into()),
            Ok(Err(error)) => Err(error.context("no CONNACK came")),
            Err(_) => bail!("no CONNACK came in {} s", PATIENCE.as_secs()),
        }
    }

    async fn connack(&mut self) -> anyhow::Result<u8> {
        loop {
            if let Some(length) = self.packet()? {
                let Packet::ConnAck { code, .. } = Packet::parse(&self.received[..length], VERSION)? else {
                    bail!("the first packet from the platform is not a CONNACK");
                };
                self.received.drain(..length);
                return Ok(code);
            }
            self.fill().await?;
        }
    }

    /// Publishes at QoS 1 if `acknowledged`, else at QoS 0.
    pub(super) async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        acknowledged: bool,
    ) -> anyhow::Result<()> {
        let packet_id = acknowledged.then(|| self.next_id());
        self.unacknowledged.extend(packet_id);
        let qos = if acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let (dup, retain, properties) = (false, false, Properties::NONE);
        self.send(&Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload })).await
    }

    /// Bytes of the longest payload that the device can take.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Whether the platform has everything that was published at QoS 1.
    pub(super) fn is_settled(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// When [`Connection::keep_alive`] has something to do.
    pub(super) fn keep_alive_due(&self) -> Instant {
        let silent_since = self.last_sent.min(self.last_received);
        let ping = silent_since + Duration::from_secs(u64::from(KEEP_ALIVE) / 2);
        self.pinged.map_or(ping, |at| at + PATIENCE)
    }

    /// Shows that the device is there, and fails if the platform no longer is.
    pub(super) async fn keep_alive(&mut self) -> anyhow::Result<()> {
        if self.pinged.is_some() {
            bail!("the platform has been silent for {} s", self.last_received.elapsed().as_secs());
        }
        self.send(&Packet::PingReq).await?;
        self.pinged = Some(Instant::now());
        Ok(())
    }

    /// Takes more bytes from the socket. Nothing is lost if the future is dropped.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        let missing = self.packet_len()?.unwrap_or(0).saturating_sub(self.received.len());
        self.received.reserve(missing.max(1024));
        let count = self.line.read_buf(&mut self.received).await.context("the connection broke")?;
        if count == 0 {
            bail!("the platform closed the connection");
        }
        (self.last_received, self.pinged) = (Instant::now(), None);
        Ok(())
    }

    /// The next message among the bytes taken; answers and acknowledgements are dealt with on the way.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Message>> {
        while let Some(length) = self.packet()? {
            let mut acknowledge = None;
            let mut message = None;
            match Packet::parse(&self.received[..length], VERSION)? {
                Packet::Publish(publish) => {
                    acknowledge = publish.packet_id;
                    message = Some(Message {
                        topic: publish.topic.to_owned(),
                        payload: publish.payload.to_owned(),
                    });
                }
                Packet::PubAck { packet_id, .. } => self.unacknowledged.retain(|id| *id != packet_id),
                _ => {}
            }
            self.received.drain(..length);
            if let Some(packet_id) = acknowledge {
                self.send(&Packet::puback(packet_id)).await?;
            }
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// Waits for the platform to have everything, then says goodbye. Gives up quietly after a while.
    pub(super) async fn close(mut self) {
        let _ = timeout(PATIENCE, async {
            while !self.is_settled() {
                self.fill().await?;
                while self.next().await?.is_some() {}
            }
            self.send(&Packet::GOODBYE).await?;
            Ok::<_, anyhow::Error>(self.line.shutdown().await?)
        })
        .await;
    }

    fn packet_len(&self) -> anyhow::Result<Option<usize>> {
        mqtt::frame_len(&self.received, LONGEST_PACKET).context("the platform sent what a device cannot take")
    }

    fn packet(&self) -> anyhow::Result<Option<usize>> {
        Ok(self.packet_len()?.filter(|length| *length <= self.received.len()))
    }

    async fn send(&mut self, packet: &Packet<'_>) -> anyhow::Result<()> {
        let mut bytes = vec![0; packet.encoded_len(VERSION)?];
        packet.emit(VERSION, &mut bytes)?;
        match timeout(PATIENCE, self.line.write_all(&bytes)).await {
            Ok(written) => written.context("the connection broke")?,
            Err(_) => bail!("the platform took nothing for {} s", PATIENCE.as_secs()),
        }
        self.last_sent = Instant::now();
        Ok(())
    }

    fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::sleep;

    use super::*;

    /// Uses a connection for so long, asking for something every second; how it ended, and after how many seconds.
    async fn used(mut connection: Connection, seconds: u64) -> (String, u64) {
        let started = Instant::now();
        for second in 1..=seconds {
            let until = started + Duration::from_secs(second);
            loop {
                let due = connection.keep_alive_due();
                let kept = tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    () = tokio::time::sleep_until(due) => connection.keep_alive().await,
                    filled = connection.fill() => filled.and(connection.next().await.map(drop)),
                };
                if let Err(error) = kept {
                    return (error.to_string(), started.elapsed().as_secs());
                }
            }
            connection.publish("/topic", b"a block, please", false).await.unwrap();
        }
        ("used".to_owned(), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_is_dead_is_left_however_much_is_sent() {
        let (line, _hole) = duplex(1 << 20);
        let (end, seconds) = used(Connection::over(Box::new(line), 4096), 300).await;
        assert_eq!((end.as_str(), seconds), ("the platform has been silent for 40 s", 40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_answers_pings_is_there() {
        let (line, mut platform) = duplex(1 << 20);
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = platform.read(&mut bytes).await {
                if bytes[..length].windows(2).any(|two| two == [0xC0, 0]) {
                    sleep(Duration::from_secs(9)).await;
                    platform.write_all(&[0xD0, 0]).await.unwrap();
                }
            }
        });
        assert_eq!(used(Connection::over(Box::new(line), 4096), 300).await.0, "used");
    }
}
