//! Devices under load: they report without end, upgrade when told, and write down what was acknowledged.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mqtt::{Connect, Packet, Publish, QoS, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use wire::block::Frame;
use wire::credentials::{ClientId, SignMethod, Username, password};
use wire::message::{Notice, Source};

use crate::rng::Rng;

pub(crate) const PRODUCT: &str = "a1TestPk001";
const BLOCK: usize = 16 * 1024;
/// A platform that answers nothing for so long has failed the test.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the platform has acknowledged, and must remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A version report.
    Version { device: String, module: &'static str, version: String },
    /// Progress of the task with this stream.
    Progress { stream: u32, percent: u32 },
}

/// What devices and test share.
pub(crate) struct Shared {
    /// Where the platform is; nowhere while it is dead.
    pub(crate) address: watch::Sender<Option<SocketAddr>>,
    /// Acknowledged, and not yet looked for.
    pub(crate) facts: Mutex<Vec<Fact>>,
    /// Whether no device fails its upgrade any more.
    pub(crate) calm: AtomicBool,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            address: watch::Sender::new(None),
            facts: Mutex::default(),
            calm: AtomicBool::new(false),
        })
    }

    fn remember(&self, fact: Fact) {
        self.facts.lock().unwrap().push(fact);
    }
}

/// The bytes of the file of a version.
pub(crate) fn file_of(version: &str) -> Vec<u8> {
    let mut rng = Rng::of(version);
    let length = 5 * BLOCK as u64 + rng.below(2 * BLOCK as u64);
    (0..length).map(|_| rng.next() as u8).collect()
}

/// An upgrade under way.
struct Update {
    stream: u32,
    version: String,
    file: Vec<u8>,
    got: usize,
    fails: bool,
}

pub(crate) struct Device {
    name: String,
    secret: String,
    version: String,
    reports: u64,
    update: Option<Update>,
    rng: Rng,
    shared: Arc<Shared>,
}

impl Device {
    pub(crate) fn new(name: &str, secret: &str, rng: Rng, shared: Arc<Shared>) -> Self {
        let (name, secret) = (name.to_owned(), secret.to_owned());
        Self { name, secret, version: "1.0.0".into(), reports: 0, update: None, rng, shared }
    }

    /// Lives through every death of the platform, until it is dropped.
    pub(crate) async fn live(mut self) {
        let mut address = self.shared.address.subscribe();
        loop {
            let found = *address.wait_for(Option::is_some).await.unwrap();
            if let Err(error) = self.session(found.unwrap()).await {
                assert!(error.kind() != io::ErrorKind::InvalidData, "{}: {error}", self.name);
            }
            // As devices do: not at once again.
            tokio::time::sleep(Duration::from_millis(5 + self.rng.below(20))).await;
        }
    }

    async fn session(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut link = Link::open(address, &self.name, &self.secret).await?;
        self.report(&mut link, "default", self.version.clone()).await?;
        loop {
            self.turn(&mut link).await?;
            // A pace of its own, so that reports come in all orders.
            tokio::time::sleep(Duration::from_millis(self.rng.below(8))).await;
        }
    }

    /// One report that has never been made before, and one step of the upgrade.
    async fn turn(&mut self, link: &mut Link) -> io::Result<()> {
        self.reports += 1;
        self.report(link, "probe", self.reports.to_string()).await?;
        let Some(update) = &mut self.update else { return Ok(()) };
        if update.got == update.file.len() {
            self.version = update.version.clone();
            self.update = None;
            return self.report(link, "default", self.version.clone()).await;
        }
        let (stream, percent) = (update.stream, (update.got * 10 / update.file.len()) as u32 * 10);
        if update.fails && percent >= 50 && !self.shared.calm.load(Ordering::Relaxed) {
            self.update = None;
            return self.progress(link, -1).await;
        }
        self.progress(link, percent as i32).await?;
        self.shared.remember(Fact::Progress { stream, percent });
        self.fetch(link, stream).await
    }

    async fn report(&mut self, link: &mut Link, module: &'static str, version: String) -> io::Result<()> {
        let topic = format!("/ota/device/inform/{PRODUCT}/{}", self.name);
        let payload = format!(r#"{{"id":"1","params":{{"version":"{version}","module":"{module}"}}}}"#);
        self.publish(link, &topic, &payload).await?;
        self.shared.remember(Fact::Version { device: self.name.clone(), module, version });
        Ok(())
    }

    async fn progress(&mut self, link: &mut Link, step: i32) -> io::Result<()> {
        let topic = format!("/ota/device/progress/{PRODUCT}/{}", self.name);
        self.publish(link, &topic, &format!(r#"{{"id":"1","params":{{"step":"{step}","desc":""}}}}"#)).await
    }

    /// Publishes at QoS 1 and waits for the PUBACK.
    async fn publish(&mut self, link: &mut Link, topic: &str, payload: &str) -> io::Result<()> {
        let id = link.publish(topic, payload, true).await?;
        while link.acknowledged.pop_front() != id {
            link.read().await?;
            self.listen(link)?;
        }
        Ok(())
    }

    /// Asks for the next block, and waits until it is there or the upgrade is over.
    async fn fetch(&mut self, link: &mut Link, stream: u32) -> io::Result<()> {
        let Some(before) = self.got(stream) else { return Ok(()) };
        let topic = format!("/sys/{PRODUCT}/{}/thing/file/download", self.name);
        let payload = format!(
            r#"{{"id":"{stream}","params":{{"fileInfo":{{"streamId":{stream},"fileId":1}},"fileBlock":{{"size":{BLOCK},"offset":{before}}}}}}}"#
        );
        link.publish(&topic, &payload, false).await?;
        while self.got(stream) == Some(before) {
            link.read().await?;
            self.listen(link)?;
        }
        Ok(())
    }

    fn got(&self, stream: u32) -> Option<usize> {
        self.update.as_ref().filter(|update| update.stream == stream).map(|update| update.got)
    }

    /// Takes in what has come.
    fn listen(&mut self, link: &mut Link) -> io::Result<()> {
        while let Some((topic, payload)) = link.messages.pop_front() {
            if topic.starts_with("/ota/device/upgrade/") {
                self.told(&Notice::parse(&payload).map_err(wrong)?)?;
            } else if topic.ends_with("/thing/file/download_reply") {
                self.block(&Frame::parse(&payload).map_err(wrong)?)?;
            }
        }
        Ok(())
    }

    fn told(&mut self, notice: &Notice<'_>) -> io::Result<()> {
        let offer = notice.offer();
        let Source::Mqtt { stream_id, size, .. } = offer.source else { return Err(wrong("not over MQTT")) };
        let version = offer.version.to_string();
        if self.got(stream_id).is_none() {
            let file = file_of(&version);
            if file.len() as u64 != size {
                return Err(wrong(format!("the notice of {version} says {size} bytes")));
            }
            let fails = self.rng.below(6) == 0;
            self.update = Some(Update { stream: stream_id, version, file, got: 0, fails });
        }
        Ok(())
    }

    fn block(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let (id, block) = match frame {
            Frame::Block { head, data } => (head.id, Ok((head.offset as usize, *data))),
            Frame::Error { id, code, .. } => (*id, Err(*code)),
        };
        let Some(update) = self.update.as_mut().filter(|update| update.stream.to_string() == id.raw()) else {
            return Ok(());
        };
        match block {
            Ok((offset, data)) if update.file[offset..].starts_with(data) => update.got = offset + data.len(),
            Ok((offset, _)) => return Err(wrong(format!("wrong bytes at {offset} of {}", update.version))),
            Err(403 | 404) => self.update = None,
            // Tried again on the next connection.
            Err(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        Ok(())
    }
}

/// What a platform must never send.
fn wrong(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// One connection.
pub(crate) struct Link {
    stream: TcpStream,
    buffer: Vec<u8>,
    last_id: u16,
    acknowledged: VecDeque<u16>,
    messages: VecDeque<(String, Vec<u8>)>,
}

impl Link {
    pub(crate) async fn open(address: SocketAddr, name: &str, secret: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (buffer, acknowledged, messages) = Default::default();
        let mut link = Self { stream, buffer, last_id: 0, acknowledged, messages };
        let client_id = format!("{PRODUCT}.{name}|securemode=3,signmethod=hmacsha256|");
        let user = Username { device_name: name, product_key: PRODUCT };
        let client = ClientId::parse(&client_id).map_err(wrong)?;
        let signature = password(SignMethod::HmacSha256, secret.as_bytes(), &client, &user);
        link.send(&Packet::Connect(Connect {
            version: Version::V311,
            client_id: &client_id,
            username: Some(&user.to_string()),
            password: Some(signature.as_str().as_bytes()),
            keep_alive: 300,
            clean: true,
            properties: mqtt::Properties::NONE,
            will: None,
        }))
        .await?;
        // Packets behind the CONNACK come with it or after it.
        link.read().await?;
        Ok(link)
    }

    async fn publish(&mut self, topic: &str, payload: &str, acknowledged: bool) -> io::Result<Option<u16>> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let packet_id = acknowledged.then_some(self.last_id);
        let qos = if acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let payload = payload.as_bytes();
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id,
            properties: mqtt::Properties::NONE,
            payload,
        }))
        .await?;
        Ok(packet_id)
    }

    async fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut bytes = vec![0; packet.encoded_len(Version::V311).unwrap()];
        packet.emit(Version::V311, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await
    }

    /// Waits for bytes, and sorts the packets in them.
    async fn read(&mut self) -> io::Result<()> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
        if read.await.map_err(|_| wrong("nothing came for two minutes"))?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some(length) = mqtt::frame_len(&self.buffer, 300_000).map_err(wrong)?
            && length <= self.buffer.len()
        {
            match Packet::parse(&self.buffer[..length], Version::V311).map_err(wrong)? {
                Packet::PubAck { packet_id, .. } => self.acknowledged.push_back(packet_id),
                Packet::Publish(p) => self.messages.push_back((p.topic.into(), p.payload.into())),
                Packet::ConnAck { code: 0, .. } => {}
                other => return Err(wrong(format!("{other:?}"))),
            }
            self.buffer.drain(..length);
        }
        Ok(())
    }
}
