//! One device of a fleet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use device::client::{Client, Login, Received, Todo};
use device::{DEFAULT_MODULE, Event, MESSAGE_SIZE, Module, Output, Updater};
use mqtt::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::store::{Slot, Store};
use super::{Counts, Plan};
use crate::device::connection::room;
use crate::device::fetch::{Fetch, Piece, next_piece};
use crate::device::trust::Trust;

/// Seconds that are promised to the platform.
const KEEP_ALIVE: u16 = 300;

/// Time for a connection to be opened.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest packet that is sent, in bytes.
const SENT: usize = MESSAGE_SIZE + 256;

pub(super) struct Member {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) counts: Arc<Counts>,
    pub(super) store: Arc<Store>,
    pub(super) trust: Trust,
}

impl Member {
    /// Runs the device for ever. Fails if it cannot run.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (mut version, mut unreported) = (self.plan.version.clone(), false);
        loop {
            let modules = [Module::new(DEFAULT_MODULE, &version)];
            let mut boot = Boot::new(&self, &modules, unreported)?;
            let next = boot.run().await;
            boot.hang_up();
            (version, unreported) = (next, true);
        }
    }
}

/// A device that is on.
struct Boot<'a> {
    member: &'a Member,
    client: Client<'a>,
    updater: Updater<'a>,
    started: Instant,
    stream: Option<TcpStream>,
    received: Vec<u8>,
    room: usize,
    /// Bytes of a packet that is too long, still to come.
    skip: usize,
    online: bool,
    slot: Slot,
    fetch: Option<Fetch>,
    installed: Option<String>,
    /// An update was installed, and the platform does not know it yet.
    unreported: bool,
}

impl<'a> Boot<'a> {
    fn new(member: &'a Member, modules: &'a [Module<'a>], unreported: bool) -> anyhow::Result<Self> {
        let Plan { product_key, devices, block, .. } = &*member.plan;
        let (device_name, secret) = &devices[member.index];
        let login =
            Login { product_key, device_name, secret, version: Version::V311, keep_alive: KEEP_ALIVE };
        Ok(Self {
            member,
            client: Client::new(login),
            updater: Updater::new(member.plan.config(device_name, modules), None)?,
            started: Instant::now(),
            stream: None,
            received: Vec::new(),
            room: room(*block),
            skip: 0,
            online: false,
            slot: Slot::default(),
            fetch: None,
            installed: None,
            unreported,
        })
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Runs until the device starts again; the version that it has then.
    async fn run(&mut self) -> String {
        loop {
            let client = self.connect().await;
            let Some(updater) = self.update().await else {
                return self.installed.take().unwrap_or_else(|| self.member.plan.version.clone());
            };
            if self.client.is_settled() {
                self.updater.handle_settled();
                if std::mem::take(&mut self.unreported) {
                    Counts::add(&self.member.counts.updated, 1);
                }
            }
            let wake = [client, updater].into_iter().flatten().min();
            self.wait(wake.map(|at| self.started + Duration::from_millis(at))).await;
        }
    }

    /// Does what the client wants done; when it is to be asked again, if nothing happens before.
    async fn connect(&mut self) -> Option<u64> {
        let mut out = [0; SENT];
        loop {
            let now = self.now();
            match self.client.poll(now, &mut out) {
                Todo::Open => self.open().await,
                Todo::Send(bytes) => {
                    if let Err(why) = send(&mut self.stream, bytes).await {
                        self.lost(why);
                    }
                }
                Todo::Online => {
                    self.online = true;
                    Counts::add(&self.member.counts.online, 1);
                    Counts::add(&self.member.counts.logins, 1);
                    self.updater.handle_connected();
                }
                Todo::Close(trouble) => {
                    self.member.counts.trouble(trouble);
                    self.hang_up();
                }
                Todo::Wait(at) => return at,
            }
        }
    }

    async fn open(&mut self) {
        let opened = timeout(PATIENCE, TcpStream::connect(&self.member.plan.address)).await;
        let now = self.now();
        match opened {
            Ok(Ok(stream)) => {
                // Without it small packets only leave later.
                let _ = stream.set_nodelay(true);
                self.stream = Some(stream);
                self.client.handle_opened(now);
            }
            failed => {
                let why = failed.map_or_else(|_| "no answer".to_owned(), |error| text_of(error.err()));
                self.member.counts.trouble(format!("cannot connect to {}: {why}", self.member.plan.address));
                self.client.handle_closed(now);
            }
        }
    }

    /// The connection broke.
    fn lost(&mut self, why: impl ToString) {
        self.member.counts.trouble(why);
        self.client.handle_closed(self.now());
        self.hang_up();
    }

    fn hang_up(&mut self) {
        self.stream = None;
        self.received.clear();
        self.skip = 0;
        if std::mem::take(&mut self.online) {
            self.member.counts.online.fetch_sub(1, Ordering::Relaxed);
            self.updater.handle_disconnected();
        }
    }

    /// Does what the updater wants done; `None` if the device is to start again.
    async fn update(&mut self) -> Option<Option<u64>> {
        let (mut buffer, mut out) = ([0; MESSAGE_SIZE], [0; SENT]);
        loop {
            let now = self.now();
            match self.updater.poll(now, &mut buffer) {
                Output::Publish { topic, payload, acknowledged } => {
                    let written = self.client.publish(now, topic, payload.as_bytes(), acknowledged, &mut out);
                    let sent = match written {
                        Ok(bytes) => send(&mut self.stream, bytes).await,
                        Err(error) => Err(error.to_string()),
                    };
                    if let Err(why) = sent {
                        self.lost(why);
                    }
                }
                Output::Prepare { .. } => {
                    self.slot.clear();
                    self.updater.handle_prepared();
                }
                Output::Read { offset, len } => {
                    let data = self.slot.read(offset, len);
                    self.updater.handle_read(offset, data);
                }
                Output::Save(_) => self.updater.handle_saved(),
                Output::Keep { .. } => self.updater.handle_kept(),
                Output::Install { version, .. } => {
                    self.installed = Some(version.to_owned());
                    self.updater.handle_installed();
                }
                Output::Fetch { id, url, offset, len } => {
                    let block = self.member.plan.block;
                    self.fetch = Some(Fetch::start(id, url, offset, len, block, &self.member.trust));
                }
                Output::Event(event) => self.happened(event),
                Output::Wait(at) => return Some(at),
                Output::Reboot => return None,
            }
        }
    }

    fn happened(&self, event: Event) {
        let counts = &self.member.counts;
        match event {
            Event::Verified => Counts::add(&counts.verified, 1),
            Event::Failed(_) | Event::Refused(_) => counts.failure(self.updater.last_failure()),
            Event::Cancelled => Counts::add(&counts.cancelled, 1),
            Event::Started { .. } | Event::Installed => {}
        }
    }

    /// Waits until something can be handled, and handles it.
    async fn wait(&mut self, wake: Option<Instant>) {
        let far = self.started + Duration::from_secs(365 * 24 * 3600);
        tokio::select! {
            read = receive(&mut self.stream, &mut self.received) => match read {
                Ok(0) => self.lost("the platform closed the connection"),
                Ok(_) => self.take(),
                Err(why) => self.lost(why),
            },
            piece = next_piece(&mut self.fetch) => self.handle_piece(piece),
            () = sleep_until(wake.unwrap_or(far)) => {}
        }
    }

    /// Takes the packets that came whole.
    fn take(&mut self) {
        let now = self.now();
        let mut taken = 0;
        loop {
            let skipped = self.skip.min(self.received.len() - taken);
            (taken, self.skip) = (taken + skipped, self.skip - skipped);
            match self.client.receive(now, &self.received[taken..], self.room) {
                Received::Part | Received::Broken => break,
                Received::Packet { len } => taken += len,
                Received::TooLong { len, topic } => {
                    self.updater.handle_too_long(topic.unwrap_or_default(), len, self.room);
                    self.skip = len;
                }
                Received::Message { len, topic, payload } => {
                    taken += len;
                    if let Some(block) = self.updater.handle_message(now, topic, payload) {
                        Counts::add(&self.member.counts.bytes, block.data.len() as u64);
                        self.slot.write(&self.member.store, block.offset, block.data);
                        self.updater.handle_written(block.offset);
                    }
                }
            }
        }
        self.received.drain(..taken);
    }

    fn handle_piece(&mut self, piece: Piece) {
        let Some(id) = self.fetch.as_ref().map(|fetch| fetch.id) else { return };
        match piece {
            Piece::Failed { why } => {
                self.fetch = None;
                self.updater.handle_fetch_failed(self.now(), id, why);
            }
            Piece::Data { offset, data } => match self.updater.handle_fetched(id, offset, &data) {
                Some(block) => {
                    Counts::add(&self.member.counts.bytes, block.data.len() as u64);
                    self.slot.write(&self.member.store, block.offset, block.data);
                    self.updater.handle_written(block.offset);
                }
                None => self.fetch = None,
            },
        }
    }
}

async fn send(stream: &mut Option<TcpStream>, bytes: &[u8]) -> Result<(), String> {
    let Some(stream) = stream else { return Err("there is no connection".to_owned()) };
    match timeout(PATIENCE, stream.write_all(bytes)).await {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(_) => Err("the platform takes no bytes".to_owned()),
    }
}

async fn receive(stream: &mut Option<TcpStream>, received: &mut Vec<u8>) -> Result<usize, String> {
    match stream {
        Some(stream) => stream.read_buf(received).await.map_err(|error| error.to_string()),
        None => std::future::pending().await,
    }
}

fn text_of(error: Option<std::io::Error>) -> String {
    error.map_or_else(String::new, |error| error.to_string())
}
