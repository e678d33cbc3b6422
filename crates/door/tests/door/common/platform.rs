//! A platform of two devices in memory, which remembers what it was told.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use otaru_door::{
    Admitted, Bearer, Blob, BoxFuture, Closed, DeviceId, Epoch, FileRefusal, Fingerprint, Granted, Login,
    Platform, Refusal, Registration, RegistrationRefusal, Session, StreamRefusal, Unavailable,
};
use tokio::sync::{mpsc, watch};
use wire::credentials::{PskIdentity, PskKey, Username, verify, verify_registration};
use wire::topic::Kind;

pub(crate) const PRODUCT: &str = "a1TestPk001";
pub(crate) const PRODUCT_SECRET: &str = "ProductSecret001";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the platform was told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Connected(DeviceId, Epoch),
    Disconnected(DeviceId, Epoch, Closed),
    Uplink(Epoch, Kind, Bytes),
    OpenStream(u32, u32),
}

type Found<E> = Result<Arc<TestBlob>, E>;

pub(crate) struct TestPlatform {
    told: mpsc::UnboundedSender<Told>,
    epochs: AtomicI64,
    streams: Mutex<HashMap<(DeviceId, u32), Found<StreamRefusal>>>,
    files: Mutex<HashMap<String, Found<FileRefusal>>>,
    /// Whose certificates are which.
    pub(crate) bearers: Mutex<HashMap<Fingerprint, &'static str>>,
    /// Where the sessions came from.
    pub(crate) peers: Mutex<Vec<SocketAddr>>,
    /// Whether secrets may be sent on them.
    pub(crate) private: Mutex<Vec<bool>>,
    /// How many registrations it was asked for.
    pub(crate) registered: AtomicUsize,
    /// Logins that are being thought about.
    pub(crate) thinking: AtomicUsize,
    /// Logins are answered while it is open.
    pub(crate) mind: watch::Sender<bool>,
    /// No login is answered with anything but "cannot tell".
    pub(crate) down: AtomicBool,
    /// Uplinks fail.
    pub(crate) full: AtomicBool,
    /// Uplinks with this in their payload become durable once the gate is open.
    pub(crate) gate: watch::Sender<bool>,
}

pub(crate) const SLOW: &[u8] = b"slow";

impl TestPlatform {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Told>) {
        let (told, listen) = mpsc::unbounded_channel();
        let platform = Self {
            told,
            epochs: AtomicI64::new(0),
            streams: Mutex::default(),
            files: Mutex::default(),
            bearers: Mutex::default(),
            peers: Mutex::default(),
            private: Mutex::default(),
            registered: AtomicUsize::new(0),
            thinking: AtomicUsize::new(0),
            mind: watch::Sender::new(true),
            down: AtomicBool::new(false),
            full: AtomicBool::new(false),
            gate: watch::Sender::new(false),
        };
        (Arc::new(platform), listen)
    }

    pub(crate) fn stream(
        &self,
        device: DeviceId,
        stream_id: u32,
        blob: Result<Arc<TestBlob>, StreamRefusal>,
    ) {
        self.streams.lock().unwrap().insert((device, stream_id), blob);
    }

    pub(crate) fn file(&self, target: &str, blob: Found<FileRefusal>) {
        self.files.lock().unwrap().insert(target.to_owned(), blob);
    }

    fn tell(&self, told: Told) {
        let _ = self.told.send(told);
    }
}

fn device(name: &str) -> Result<DeviceId, Refusal> {
    match name {
        "dev001" => Ok(1),
        "dev002" => Ok(2),
        _ => Err(Refusal::NotAuthorised),
    }
}

impl Platform for TestPlatform {
    async fn authenticate(&self, login: &Login<'_>) -> Result<Admitted, Refusal> {
        self.thinking.fetch_add(1, Ordering::Relaxed);
        let _ = self.mind.subscribe().wait_for(|open| *open).await;
        self.thinking.fetch_sub(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(Refusal::Unavailable);
        }
        let device = device(login.device_name)?;
        let username = Username { device_name: login.device_name, product_key: login.product_key };
        let method = login.client_id.sign_method().map_err(|_| Refusal::Malformed)?;
        if !verify(login.password, method, SECRET.as_bytes(), login.client_id, &username) {
            return Err(Refusal::BadPassword);
        }
        Ok(Admitted { device, epoch: self.epochs.fetch_add(1, Ordering::Relaxed) + 1 })
    }

    async fn pre_shared_key(&self, identity: &PskIdentity<'_>) -> Result<PskKey, Refusal> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Refusal::Unavailable);
        }
        device(identity.user.device_name).map(|_| identity.key(SECRET.as_bytes()))
    }

    async fn bearer(&self, certificate: &Fingerprint) -> Result<Bearer, Refusal> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Refusal::Unavailable);
        }
        let name = *self.bearers.lock().unwrap().get(certificate).ok_or(Refusal::NotAuthorised)?;
        let admitted =
            Admitted { device: device(name)?, epoch: self.epochs.fetch_add(1, Ordering::Relaxed) + 1 };
        Ok(Bearer { admitted, product_key: PRODUCT.into(), device_name: name.into() })
    }

    async fn register(&self, registration: &Registration<'_>) -> Result<Granted, RegistrationRefusal> {
        self.registered.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(RegistrationRefusal::Unavailable);
        }
        let Registration { product_key, device_name, random, sign_method, signature, client_id } =
            *registration;
        let user = Username { device_name, product_key };
        if product_key != PRODUCT {
            return Err(RegistrationRefusal::UnknownProduct);
        }
        if !verify_registration(signature, sign_method, PRODUCT_SECRET.as_bytes(), &user, random) {
            return Err(RegistrationRefusal::BadSignature);
        }
        match device_name {
            "dev001" => {
                Ok(Granted(client_id.map_or(SECRET.into(), |client_id| format!("token-of-{client_id}"))))
            }
            "dev002" => Err(RegistrationRefusal::Activated),
            "closed" => Err(RegistrationRefusal::Off),
            "unmade" => Err(RegistrationRefusal::OnlyMadeBefore),
            "banned" => Err(RegistrationRefusal::Disabled),
            "crowded" => Err(RegistrationRefusal::TooManyTokens),
            "quoted" => Ok(Granted("a\"b".into())),
            _ => Err(RegistrationRefusal::UnknownDevice),
        }
    }

    fn connected(&self, session: &Arc<Session>) {
        self.peers.lock().unwrap().push(session.peer);
        self.private.lock().unwrap().push(session.is_private);
        self.tell(Told::Connected(session.device, session.epoch));
    }

    fn disconnected(&self, session: &Arc<Session>, why: Closed) {
        self.tell(Told::Disconnected(session.device, session.epoch, why));
    }

    fn uplink(
        &self,
        session: &Arc<Session>,
        kind: Kind,
        payload: Bytes,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let full = self.full.load(Ordering::Relaxed);
        let mut gate = self.gate.subscribe();
        let slow = payload.starts_with(SLOW);
        let (told, uplink) = (self.told.clone(), Told::Uplink(session.epoch, kind, payload));
        Box::pin(async move {
            if full {
                return Err(Unavailable);
            }
            if slow {
                gate.wait_for(|open| *open).await.map_err(|_| Unavailable)?;
            }
            told.send(uplink).map_err(|_| Unavailable)
        })
    }

    fn open_stream(
        &self,
        session: &Arc<Session>,
        stream_id: u32,
        file_id: u32,
    ) -> BoxFuture<'static, Result<Arc<dyn Blob>, StreamRefusal>> {
        self.tell(Told::OpenStream(stream_id, file_id));
        let streams = self.streams.lock().unwrap();
        let found = streams.get(&(session.device, stream_id)).cloned();
        Box::pin(
            async move { found.unwrap_or(Err(StreamRefusal::NotFound)).map(|blob| blob as Arc<dyn Blob>) },
        )
    }

    async fn open_file(&self, target: &str) -> Result<Arc<dyn Blob>, FileRefusal> {
        let found = self.files.lock().unwrap().get(target).cloned();
        found.unwrap_or(Err(FileRefusal::NotFound)).map(|blob| blob as Arc<dyn Blob>)
    }
}

/// A file in memory that counts how often it is read.
pub(crate) struct TestBlob {
    bytes: Bytes,
    /// Bytes that can be read; beyond them reading fails.
    readable: u64,
    etag: Option<&'static str>,
    pub(crate) reads: AtomicUsize,
}

impl TestBlob {
    /// A file of this length, each byte depending on its place.
    pub(crate) fn new(length: usize) -> Arc<Self> {
        Arc::new(Self::whole(length))
    }

    /// A file that breaks off.
    pub(crate) fn broken(length: usize, readable: u64) -> Arc<Self> {
        Arc::new(Self { readable, ..Self::whole(length) })
    }

    pub(crate) fn with_etag(length: usize, etag: &'static str) -> Arc<Self> {
        Arc::new(Self { etag: Some(etag), ..Self::whole(length) })
    }

    pub(crate) fn of(bytes: &'static [u8]) -> Arc<Self> {
        Arc::new(Self { bytes: Bytes::from_static(bytes), ..Self::whole(bytes.len()) })
    }

    fn whole(length: usize) -> Self {
        let bytes = (0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
        Self { bytes, readable: length as u64, etag: None, reads: AtomicUsize::new(0) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Blob for TestBlob {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let end = offset + len as u64;
        let read = if end > self.readable {
            Err(io::Error::other("the disk is gone"))
        } else {
            Ok(self.bytes.slice(offset as usize..end as usize))
        };
        Box::pin(async move { read })
    }

    fn etag(&self) -> Option<&str> {
        self.etag
    }
}
