//! A whole platform on real sockets in a temporary folder, and devices that speak to it.
#![allow(unreachable_pub)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mqtt::{Connect, Packet, Properties, Publish, QoS, Subscribe, Version};
use otaru_server::rollout::{
    Job, JobKind, JobState, Limits, Package, Product, Protocol, SignMethod, Task, TaskState, Terms,
};
use otaru_server::{
    Clock, Config, NewDevice, NewJob, NewPackage, NewProduct, NewScope, Paging, ProductChange, Server,
    TaskFilter, TaskView,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::credentials::{ClientId, SignMethod as Hmac, Username, password};

/// 2026-11-22T10:00:00Z
pub const START: i64 = 1_795_341_600_000;
pub mod database;

/// How long events are kept.
pub const KEEP_EVENTS: Duration = Duration::from_secs(90 * 86_400);

/// Most sub-devices of a gateway.
pub const SUB_DEVICES: usize = 60;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub server: Server,
    pub clock: Clock,
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    pub database: String,
    pub store: store::Store,
    limits: Limits,
    door: tokio::task::JoinHandle<()>,
}

enum PublicUrl {
    Own,
    Given(Option<String>),
}

impl World {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        Self::fresh(limits, PublicUrl::Own).await
    }

    pub async fn with_public_url(url: Option<String>) -> Self {
        Self::fresh(Limits::default(), PublicUrl::Given(url)).await
    }

    async fn fresh(limits: Limits, public_url: PublicUrl) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database::fresh().await;
        Self::open(folder, database, limits, public_url, Clock::manual(START)).await
    }

    async fn open(
        folder: tempfile::TempDir,
        database: String,
        limits: Limits,
        public_url: PublicUrl,
        clock: Clock,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = open_store(&folder, &database).await;
        let counters = Arc::new(door::Counters::default());
        let server = Server::start(Config {
            store: store.clone(),
            public_url: match public_url {
                PublicUrl::Own => Some(format!("http://{address}")),
                PublicUrl::Given(url) => url,
            },
            limits,
            sub_devices: SUB_DEVICES,
            timezone: "UTC".into(),
            keep_events: Some(KEEP_EVENTS),
            clock: clock.clone(),
            door_counters: Arc::clone(&counters),
            tls: None,
        })
        .await
        .unwrap();
        let (platform, sessions) = (Arc::new(server.clone()), server.sessions().clone());
        let config = door::Config { register_in_clear: true, ..door::Config::default() };
        let door = tokio::spawn(async move {
            let tls = door::Tls::new(None).unwrap();
            door::serve(vec![listener], platform, sessions, config, counters, tls).await;
        });
        Self { server, clock, address, folder, database, limits, store, door }
    }

    /// Ends the process as a kill would, and starts it anew on what is on disk.
    pub async fn kill(self) -> Self {
        self.off_for(0).await
    }

    /// The same, but it stays off for a while.
    pub async fn off_for(self, ms: i64) -> Self {
        let Self { clock, folder, store, database, limits, door, .. } = self;
        door.abort();
        let _ = door.await;
        store.close().await;
        clock.advance(ms);
        Self::open(folder, database, limits, PublicUrl::Own, clock).await
    }

    /// Ends the process as a person does, and starts it anew.
    pub async fn restart(self) -> Self {
        let Self { server, clock, folder, database, limits, door, .. } = self;
        server.stop().await;
        door.abort();
        Self::open(folder, database, limits, PublicUrl::Own, clock).await
    }

    /// Writes nothing and lets nobody else write, until it is dropped.
    #[cfg(not(feature = "postgres-tests"))]
    pub async fn hold_database(&self) -> store::Tx {
        self.store.begin().await.unwrap()
    }

    /// No statement is answered any more.
    pub async fn lose_database(&self) {
        self.store.close().await;
    }

    pub async fn product(&self) -> Product {
        let new = NewProduct {
            name: "lamp".into(),
            product_key: Some("a1TestPk001".into()),
            ..NewProduct::default()
        };
        self.server.create_product(new).await.unwrap()
    }

    pub async fn device(&self, name: &str) -> DeviceKey {
        let new = NewDevice { device_name: Some(name.into()), device_secret: None };
        let made = self.server.create_device("a1TestPk001", new).await.unwrap();
        DeviceKey { name: name.into(), secret: made.secret }
    }

    pub async fn package(&self, version: &str, file: &[u8]) -> Package {
        self.package_of(new_package(version), file).await
    }

    pub async fn package_of(&self, new: NewPackage, file: &[u8]) -> Package {
        let mut upload = self.server.start_package("a1TestPk001", new).await.unwrap();
        for chunk in file.chunks(1_000) {
            upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        upload.finish().await.unwrap()
    }

    pub async fn job(&self, package: &Package, devices: &[&str]) -> Job {
        self.job_of(NewJob { scope: named(devices), ..new_job(package) }).await
    }

    pub async fn job_of(&self, new: NewJob) -> Job {
        self.server.create_job(new).await.unwrap().job
    }

    pub async fn tasks(&self, job: &Job) -> Vec<TaskView> {
        self.server
            .job_tasks(job.id, TaskFilter::default(), Paging { after: None, limit: 10_000 })
            .await
            .unwrap()
            .items
    }

    /// Waits until a job's tasks look as wanted.
    pub async fn until(&self, job: &Job, what: &str, wanted: impl Fn(&Job, &[Task]) -> bool) -> Vec<Task> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let row = self.server.job(job.id).await.unwrap();
            let tasks: Vec<Task> = self.tasks(job).await.into_iter().map(|v| v.task).collect();
            if wanted(&row, &tasks) {
                return tasks;
            }
            assert!(tokio::time::Instant::now() < deadline, "never {what}: {row:#?} {tasks:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_all(&self, job: &Job, state: TaskState) -> Vec<Task> {
        self.until(job, state.as_str(), |row, tasks| {
            row.work.is_none() && !tasks.is_empty() && tasks.iter().all(|t| t.state == state)
        })
        .await
    }

    pub async fn until_job(&self, job: &Job, state: JobState) {
        self.until(job, "in the job's state", |row, _| row.state == state).await;
    }

    /// Waits until all that is due has been done.
    pub async fn until_nothing_is_due(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let next = store::committer::next_timer_at(&mut self.store.read().await.unwrap()).await.unwrap();
            if next.is_none_or(|at| at > self.clock.now()) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "what was due at {next:?} is never done");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until an order under way has been carried out to its end, or given up.
    pub async fn until_next_turn(&self) {
        self.server.change_product("a1TestPk001", ProductChange::default(), |_| Ok(())).await.unwrap();
    }

    pub fn counter(&self, name: &str) -> u64 {
        let status = self.server.status();
        status.counters.iter().find(|(n, _)| *n == name).map(|(_, n)| *n).unwrap()
    }
}

/// Opens a folder, once whoever served it before has let go of it.
async fn open_store(folder: &tempfile::TempDir, database: &str) -> store::Store {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let config = store::Config {
            data: folder.path().into(),
            database: database.to_owned(),
            clock: store::Clock::Caller,
        };
        match store::Store::open(config).await {
            Err(store::OpenError::Locked(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}

pub fn named(devices: &[&str]) -> NewScope {
    NewScope::Named(devices.iter().map(|d| (*d).to_owned()).collect())
}

pub fn new_package(version: &str) -> NewPackage {
    NewPackage {
        name: None,
        version: version.into(),
        module: None,
        sign_method: SignMethod::Md5,
        need_verify: false,
        accept_image_version: false,
        file_name: "firmware.bin".into(),
        src_version: None,
        custom: None,
    }
}

pub fn new_job(package: &Package) -> NewJob {
    NewJob {
        package: package.id,
        kind: JobKind::Static,
        scope: NewScope::All,
        protocol: Protocol::Mqtt,
        need_push: true,
        timeout_minutes: None,
        rate_per_minute: None,
        terms: Terms::as_the_cloud(),
        allow_large_notice: false,
        allow_sha256_over_mqtt: false,
    }
}

#[derive(Clone)]
pub struct DeviceKey {
    pub name: String,
    pub secret: String,
}

/// A device's connection, as raw as a test needs it.
pub struct Device {
    pub name: String,
    version: Version,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Publishes not yet asked for.
    inbox: Vec<(String, Vec<u8>)>,
    next_id: u16,
}

impl Device {
    /// Connects; gives the CONNACK code with the connection.
    pub async fn dial(world: &World, key: &DeviceKey) -> (Self, u8) {
        Self::try_dial(world, key).await.expect("closed before CONNACK")
    }

    /// Connects; without a CONNACK there is no connection.
    pub async fn try_dial(world: &World, key: &DeviceKey) -> Option<(Self, u8)> {
        Self::try_dial_in(Version::V311, world, key, &key.name).await
    }

    /// `id` is how the client calls itself.
    async fn try_dial_in(version: Version, world: &World, key: &DeviceKey, id: &str) -> Option<(Self, u8)> {
        let client_id = format!("{id}|securemode=3,signmethod=hmacsha256|");
        let user = Username { device_name: &key.name, product_key: "a1TestPk001" };
        let client = ClientId::parse(&client_id).unwrap();
        let password = password(Hmac::HmacSha256, key.secret.as_bytes(), &client, &user);
        Self::try_dial_as(version, world, &key.name, &client_id, password.as_str()).await
    }

    /// Connects with a client id and a password of any scheme.
    pub async fn try_dial_as(
        version: Version,
        world: &World,
        name: &str,
        client_id: &str,
        password: &str,
    ) -> Option<(Self, u8)> {
        let connect = Packet::Connect(Connect {
            version,
            client_id,
            username: Some(&format!("{name}&a1TestPk001")),
            password: Some(password.as_bytes()),
            keep_alive: 300,
            clean: true,
            properties: Properties::NONE,
            will: None,
        });
        let stream = TcpStream::connect(world.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (name, buffer, inbox) = (name.to_owned(), Vec::new(), Vec::new());
        let mut device = Self { name, version, stream, buffer, inbox, next_id: 1 };
        device.send(&connect).await;
        let code = loop {
            match device.packet().await? {
                Owned::ConnAck(code) => break code,
                Owned::Publish(topic, payload) => device.inbox.push((topic, payload)),
                other => panic!("{other:?} before CONNACK"),
            }
        };
        Some((device, code))
    }

    pub async fn connect(world: &World, key: &DeviceKey) -> Self {
        Self::connect_in(Version::V311, world, key).await
    }

    /// Connects in a version of MQTT.
    pub async fn connect_in(version: Version, world: &World, key: &DeviceKey) -> Self {
        let dialled = Self::try_dial_in(version, world, key, &key.name).await;
        let (device, code) = dialled.expect("closed before CONNACK");
        assert_eq!(code, 0, "CONNACK");
        device
    }

    /// As [`Self::online`], by another client with the device's identity.
    pub async fn online_as(id: &str, world: &World, key: &DeviceKey, version: &str) -> Self {
        let (mut device, code) = Self::try_dial_in(Version::V311, world, key, id).await.unwrap();
        assert_eq!(code, 0, "CONNACK");
        device.report(version).await;
        device
    }

    /// Connects and reports the default module's version.
    pub async fn online(world: &World, key: &DeviceKey, version: &str) -> Self {
        let mut device = Self::connect(world, key).await;
        device.report(version).await;
        device
    }

    pub async fn report(&mut self, version: &str) {
        let topic = format!("/ota/device/inform/a1TestPk001/{}", self.name);
        self.publish(&topic, format!(r#"{{"id":"1","params":{{"version":"{version}"}}}}"#)).await;
    }

    pub async fn progress(&mut self, step: i32, desc: &str) {
        let topic = format!("/ota/device/progress/a1TestPk001/{}", self.name);
        self.publish(&topic, format!(r#"{{"id":"1","params":{{"step":"{step}","desc":"{desc}"}}}}"#)).await;
    }

    /// Publishes at QoS 1 and waits for the PUBACK: the message is durable.
    pub async fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        let id = self.next_id;
        self.next_id += 1;
        self.send_publish(topic, payload.as_ref(), Some(id)).await;
        loop {
            match self.packet().await.expect("closed before PUBACK") {
                Owned::PubAck(acked) => return assert_eq!(acked, id),
                Owned::Publish(topic, payload) => self.inbox.push((topic, payload)),
                other => panic!("{other:?} before PUBACK"),
            }
        }
    }

    pub async fn send_publish(&mut self, topic: &str, payload: &[u8], packet_id: Option<u16>) {
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let (dup, retain, properties) = (false, false, Properties::NONE);
        self.send(&Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload }))
            .await;
    }

    /// Waits for a PUBACK.
    pub async fn expect_ack(&mut self, packet_id: u16) {
        loop {
            match self.packet().await.expect("closed before PUBACK") {
                Owned::PubAck(acked) => return assert_eq!(acked, packet_id),
                Owned::Publish(topic, payload) => self.inbox.push((topic, payload)),
                other => panic!("{other:?} before PUBACK"),
            }
        }
    }

    pub async fn subscribe(&mut self, filter: &str) -> u8 {
        let filters = [(filter, QoS::AtLeastOnce.into())];
        let (properties, filters) = (Properties::NONE, mqtt::Filters::new(&filters));
        self.send(&Packet::Subscribe(Subscribe { packet_id: 999, properties, filters })).await;
        loop {
            match self.packet().await.expect("closed before SUBACK") {
                Owned::SubAck(code) => return code,
                Owned::Publish(topic, payload) => self.inbox.push((topic, payload)),
                other => panic!("{other:?} before SUBACK"),
            }
        }
    }

    /// The next message on a topic that ends so.
    pub async fn expect(&mut self, suffix: &str) -> Vec<u8> {
        loop {
            if let Some(at) = self.inbox.iter().position(|(topic, _)| topic.contains(suffix)) {
                return self.inbox.remove(at).1;
            }
            match self.packet().await {
                Some(Owned::Publish(topic, payload)) => self.inbox.push((topic, payload)),
                Some(other) => panic!("{other:?} while waiting for {suffix}"),
                None => panic!("closed while waiting for {suffix}"),
            }
        }
    }

    pub async fn notice(&mut self) -> serde_json::Value {
        let payload = self.expect("/ota/device/upgrade/").await;
        serde_json::from_slice(&payload).unwrap()
    }

    /// Asks for the next task and gives the answer's `data`.
    pub async fn ask(&mut self) -> serde_json::Value {
        let topic = format!("/sys/a1TestPk001/{}/thing/ota/firmware/get", self.name);
        self.publish(&topic, r#"{"id":"7","params":{}}"#).await;
        let payload = self.expect("/thing/ota/firmware/get_reply").await;
        let reply: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(reply["id"], "7");
        assert_eq!(reply["code"], 200);
        reply["data"].clone()
    }

    /// Asks for a block and gives the frame.
    pub async fn block(&mut self, stream: u64, offset: usize, size: usize) -> Vec<u8> {
        let topic = format!("/sys/a1TestPk001/{}/thing/file/download", self.name);
        let request = format!(
            r#"{{"id":"5","version":"1.0","params":{{"fileInfo":{{"streamId":{stream},"fileId":1}},"fileBlock":{{"size":{size},"offset":{offset}}}}}}}"#
        );
        self.send_publish(&topic, request.as_bytes(), None).await;
        self.expect("/thing/file/download_reply").await
    }

    /// Downloads a stream in blocks.
    pub async fn download(&mut self, stream: u64, size: usize) -> Vec<u8> {
        let mut file = Vec::new();
        while file.len() < size {
            let frame = self.block(stream, file.len(), 4_096).await;
            match wire::block::Frame::parse(&frame).unwrap() {
                wire::block::Frame::Block { data, .. } => file.extend_from_slice(data),
                other => panic!("{other:?}"),
            }
        }
        file
    }

    /// Nothing more was sent than what was asked for: the answer to a PINGREQ comes first.
    pub async fn nothing_more(&mut self) {
        let heard = self.heard().await;
        let topics: Vec<&str> = heard.iter().map(|(t, _)| &**t).collect();
        assert!(topics.is_empty(), "unexpected: {topics:?}");
    }

    /// What was sent until the answer to a PINGREQ, and has not been asked for.
    pub async fn heard(&mut self) -> Vec<(String, Vec<u8>)> {
        self.send(&Packet::PingReq).await;
        loop {
            match self.packet().await.expect("closed before PINGRESP") {
                Owned::PingResp => break,
                Owned::Publish(topic, payload) => self.inbox.push((topic, payload)),
                other => panic!("{other:?}"),
            }
        }
        std::mem::take(&mut self.inbox)
    }

    /// Nothing was pushed by the time a question has been answered.
    pub async fn ask_nothing_pushed(&mut self) {
        self.publish(
            &format!("/ota/device/progress/a1TestPk001/{}", self.name),
            r#"{"params":{"step":"2","module":"MCU"}}"#,
        )
        .await;
        self.nothing_more().await;
    }

    /// Says DISCONNECT.
    pub async fn say_goodbye(&mut self) {
        self.send(&Packet::GOODBYE).await;
    }

    /// Closes the connection without a word.
    pub async fn hang_up(mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The platform closes the connection, without a message.
    pub async fn expect_close(&mut self) {
        while self.packet().await.is_some() {}
    }

    async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = vec![0; packet.encoded_len(self.version).unwrap()];
        packet.emit(self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn packet(&mut self) -> Option<Owned> {
        loop {
            if let Some(len) = mqtt::frame_len(&self.buffer, 300_000).unwrap()
                && len <= self.buffer.len()
            {
                let bytes: Vec<u8> = self.buffer.drain(..len).collect();
                return Some(Owned::from(Packet::parse(&bytes, self.version).unwrap()));
            }
            let mut chunk = [0; 16_384];
            let n = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk))
                .await
                .expect("nothing came")
                .unwrap_or(0);
            if n == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }
}

#[derive(Debug)]
enum Owned {
    ConnAck(u8),
    Publish(String, Vec<u8>),
    PubAck(u16),
    SubAck(u8),
    UnsubAck,
    PingResp,
    Other,
}

impl From<Packet<'_>> for Owned {
    fn from(packet: Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck { code, .. } => Self::ConnAck(code),
            Packet::Publish(p) => Self::Publish(p.topic.into(), p.payload.into()),
            Packet::PubAck { packet_id, .. } => Self::PubAck(packet_id),
            Packet::SubAck(ack) => Self::SubAck(ack.codes[0]),
            Packet::UnsubAck(_) => Self::UnsubAck,
            Packet::PingResp => Self::PingResp,
            _ => Self::Other,
        }
    }
}

/// `GET` by hand, so that every byte of the answer is seen.
pub async fn http_get(address: SocketAddr, target: &str, headers: &str) -> (String, Vec<u8>) {
    http_ask(address, "GET", target, headers).await
}

pub async fn http_ask(address: SocketAddr, method: &str, target: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end..].to_vec())
}

/// Lets an order get as far as so many polls bring it, and drops it there, as when the one who sent it goes away.
/// `None`: it was not done by then.
pub async fn polled<T>(polls: usize, order: impl Future<Output = T>) -> Option<T> {
    let (mut order, mut left) = (std::pin::pin!(order), polls);
    std::future::poll_fn(move |context| {
        left -= 1;
        match order.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// How often to poll an order, time and again: how often it takes is not always the same.
pub fn polls() -> impl Iterator<Item = usize> {
    (1..30).cycle().take(900)
}
