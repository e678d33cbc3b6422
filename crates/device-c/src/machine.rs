//! A device: client, updater and storage together. All of it is safe code.

use device::client::{Client, Inbox, Received, Todo as Ask};
use device::flash::{Download, Region};
use device::{Failure, MESSAGE_SIZE, Operation, Output, Updater};

use crate::fault::Fault;
use crate::flash::Functions;
use crate::line::{Line, Lines};
use crate::parts::Parts;
use crate::todo::{Event, Kind, Todo};

/// The most modules that a device can have here.
pub const OTARU_MODULES: usize = 4;

/// Bytes of the longest packet that is sent.
pub(crate) const PACKET: usize = MESSAGE_SIZE + 256;

/// Milliseconds that the last reports may take before the restart.
const FAREWELL: u64 = 3_000;

/// Bytes of the slot that are read at a time to check its digest.
const READ: usize = 256;

/// So many reads are made before others get their turn: 64 KiB.
const READS: u32 = 256;

/// What a device is, beside the memory that it writes into.
pub(crate) struct Core {
    now: u64,
    /// Product key and device name.
    identity: (&'static str, &'static str),
    /// There is none if the application has one of its own.
    client: Option<Client<'static>>,
    link: Link,
    inbox: Inbox,
    parts: Parts,
    updates: Option<Updates>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Closed,
    Opening,
    Open,
}

/// What there is once updates are taken.
pub(crate) struct Updates {
    pub(crate) updater: Updater<'static>,
    pub(crate) download: Download,
    pub(crate) flash: Functions,
    pub(crate) modules: &'static [device::Module<'static>],
    /// Where each module's image goes.
    pub(crate) slots: [Region; OTARU_MODULES],
    /// Whether the application has yet to say that it kept or installed a file.
    pub(crate) asked: Option<Operation>,
    /// Reads of the slot, ever.
    pub(crate) reads: u32,
    /// When the device starts again at the latest.
    pub(crate) restart_at: Option<u64>,
    /// Whether the application said that all is acknowledged, since it was told to start again.
    pub(crate) is_settled: bool,
}

/// Memory that a poll writes into.
pub(crate) struct Room<'m> {
    pub(crate) message: &'m mut [u8; MESSAGE_SIZE],
    pub(crate) packet: &'m mut [u8; PACKET],
}

impl Core {
    pub(crate) fn new(client: Option<Client<'static>>, identity: (&'static str, &'static str)) -> Self {
        Self {
            now: 0,
            identity,
            client,
            link: Link::Closed,
            inbox: Inbox::default(),
            parts: Parts::default(),
            updates: None,
        }
    }

    /// The caller's clock says this. It does not run backwards here, whatever the caller says.
    pub(crate) fn set_time(&mut self, now: u64) -> Result<(), Fault> {
        if now > i64::MAX as u64 {
            return Err(Fault::Argument("the time is beyond what a clock can show"));
        }
        self.now = self.now.max(now);
        Ok(())
    }

    pub(crate) fn begin(&mut self, updates: Updates) {
        let is_online = self.client.as_ref().is_some_and(Client::is_online);
        let updates = self.updates.insert(updates);
        if is_online {
            updates.updater.handle_connected();
        }
    }

    pub(crate) fn identity(&self) -> (&'static str, &'static str) {
        self.identity
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.updates.is_some()
    }

    pub(crate) fn has_client(&self) -> bool {
        self.client.is_some()
    }

    pub(crate) fn updates(&mut self) -> Result<&mut Updates, Fault> {
        self.updates.as_mut().ok_or(Fault::NotNow("updates are not begun: call otaru_begin first"))
    }

    fn own(&self) -> Result<(), Fault> {
        if self.client.is_none() {
            return Ok(());
        }
        Err(Fault::NotNow(
            "this is for devices without a device_secret, which have an MQTT client of their own",
        ))
    }

    fn client(&mut self) -> Result<&mut Client<'static>, Fault> {
        let without =
            Fault::NotNow("this is for devices with a device_secret, whose MQTT client is the library's");
        self.client.as_mut().ok_or(without)
    }

    pub(crate) fn opened(&mut self) -> Result<(), Fault> {
        let now = self.now;
        let link = self.link;
        let client = self.client()?;
        if link != Link::Opening {
            return Err(Fault::NotNow("no connection was to be opened"));
        }
        client.handle_opened(now);
        (self.link, self.inbox) = (Link::Open, Inbox::default());
        Ok(())
    }

    /// A connection that is closed already may be closed again: sockets say so late.
    pub(crate) fn closed(&mut self) -> Result<(), Fault> {
        let now = self.now;
        let link = self.link;
        let client = self.client()?;
        if link != Link::Closed {
            client.handle_closed(now);
            self.lost();
        }
        Ok(())
    }

    /// The connection is gone.
    fn lost(&mut self) {
        (self.link, self.inbox) = (Link::Closed, Inbox::default());
        self.parts = Parts::default();
        if let Some(updates) = &mut self.updates {
            updates.updater.handle_disconnected();
        }
    }

    /// Where in the buffer the next bytes go.
    pub(crate) fn inbox(&self) -> Result<usize, Fault> {
        if self.link == Link::Open {
            return Ok(self.inbox.len());
        }
        Err(Fault::NotNow("there is no connection to receive from"))
    }

    pub(crate) fn received(&mut self, len: usize, buffer: &mut [u8]) -> Result<(), Fault> {
        if len > buffer.len() - self.inbox()? {
            return Err(Fault::Argument("more bytes were received than there was room for"));
        }
        self.inbox.add(buffer, len);
        Ok(())
    }

    pub(crate) fn connected(&mut self) -> Result<(), Fault> {
        self.own()?;
        self.updates()?.updater.handle_connected();
        Ok(())
    }

    pub(crate) fn disconnected(&mut self) -> Result<(), Fault> {
        self.own()?;
        self.lost();
        Ok(())
    }

    pub(crate) fn settled(&mut self) -> Result<(), Fault> {
        self.own()?;
        let updates = self.updates()?;
        updates.updater.handle_settled();
        updates.is_settled = updates.restart_at.is_some();
        Ok(())
    }

    /// A message came to the application's own client, or a part of one.
    pub(crate) fn message(
        &mut self,
        topic: &str,
        total: usize,
        offset: usize,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        self.own()?;
        let now = self.now;
        let Some(updates) = &mut self.updates else { return Ok(()) };
        if offset == 0 && data.len() == total {
            self.parts = Parts::default();
            updates.message(now, topic, data);
        } else if offset == 0 && topic.len().saturating_add(total) > buffer.len() {
            self.parts = Parts::default();
            let (len, room) = (total, buffer.len().saturating_sub(topic.len()));
            updates.updater.handle_too_long(topic, len, room);
        } else if let Some((topic, payload)) = self.parts.add(topic, total, offset, data, buffer) {
            updates.message(now, topic, payload);
        }
        Ok(())
    }

    /// What is to be done next. What it calls is not inlined, so that the stack has room for one of them at a time.
    pub(crate) fn poll(&mut self, room: &mut Room<'_>, buffer: &mut [u8]) -> Todo {
        loop {
            if let Some(last) = self.farewell(room) {
                return last;
            }
            let client = match self.connect(room) {
                Ok(todo) => return todo,
                Err(until) => until,
            };
            let updater = match self.update(room) {
                Ok(Some(todo)) => return todo,
                Ok(None) => continue,
                Err(until) => until,
            };
            if !self.receive(buffer) {
                let until = client.into_iter().chain(updater).min().unwrap_or(u64::MAX);
                return Todo { until, ..Todo::new(Kind::OtaruWait) };
            }
        }
    }

    /// The last that there is to do, once the last reports are out.
    fn farewell(&mut self, room: &mut Room<'_>) -> Option<Todo> {
        let updates = self.updates.as_ref()?;
        let at = updates.restart_at?;
        let said = match &self.client {
            Some(client) => self.link == Link::Closed || client.is_settled(),
            None => updates.is_settled,
        };
        if !said && self.now < at {
            return None;
        }
        if self.link == Link::Closed {
            return Some(Todo::new(Kind::OtaruReboot));
        }
        // Else the platform would take the next login for another device with the same name.
        Some(self.close(room, "the device starts again"))
    }

    fn close(&mut self, room: &mut Room<'_>, why: impl core::fmt::Display) -> Todo {
        if let Some(client) = &mut self.client {
            client.handle_closed(self.now);
        }
        self.lost();
        Todo { text: Lines(room.packet).add(why), ..Todo::new(Kind::OtaruClose) }
    }

    /// What the client wants; if nothing, until when.
    #[inline(never)]
    fn connect(&mut self, room: &mut Room<'_>) -> Result<Todo, Option<u64>> {
        let Some(client) = &mut self.client else { return Err(None) };
        match client.poll(self.now, room.packet) {
            Ask::Open => {
                self.link = Link::Opening;
                Ok(Todo::new(Kind::OtaruOpen))
            }
            Ask::Send(bytes) => Ok(Todo::bytes(Kind::OtaruSend, bytes)),
            Ask::Online => {
                if let Some(updates) = &mut self.updates {
                    updates.updater.handle_connected();
                }
                Ok(Todo { event: Event::OtaruOnline, ..Todo::new(Kind::OtaruHappened) })
            }
            Ask::Close(why) => {
                self.lost();
                Ok(Todo { text: Lines(room.packet).add(why), ..Todo::new(Kind::OtaruClose) })
            }
            Ask::Wait(until) => Err(until),
        }
    }

    /// What the updater wants, if the library cannot do it itself; if nothing, until when.
    #[inline(never)]
    fn update(&mut self, room: &mut Room<'_>) -> Result<Option<Todo>, Option<u64>> {
        let now = self.now;
        let Some(updates) = &mut self.updates else { return Err(None) };
        if let Some(at) = updates.restart_at {
            return Err(Some(at));
        }
        if self.client.as_ref().is_some_and(Client::is_busy) {
            return Err(None);
        }
        match updates.updater.poll(now, room.message) {
            Output::Publish { topic, payload, acknowledged } => {
                let Some(client) = &mut self.client else {
                    let topic = Lines(room.packet).add(topic);
                    return Ok(Some(Todo {
                        topic,
                        acknowledged,
                        ..Todo::bytes(Kind::OtaruPublish, payload.as_bytes())
                    }));
                };
                match client.publish(now, topic, payload.as_bytes(), acknowledged, room.packet) {
                    Ok(bytes) => return Ok(Some(Todo::bytes(Kind::OtaruSend, bytes))),
                    // What was to be said is said again on the next connection.
                    Err(why) => return Ok(Some(self.close(room, why))),
                }
            }
            Output::Event(event) => return Ok(Some(updates.tell(event, room))),
            Output::Fetch { id, url, offset, len } => {
                let url = Lines(room.packet).add(url);
                return Ok(Some(Todo { id, url, offset, size: len, ..Todo::new(Kind::OtaruFetch) }));
            }
            Output::Keep { module, file, size } => {
                updates.asked = Some(Operation::Keep);
                let offset = slot_of(updates.modules, &updates.slots, module).start;
                let module = Lines(room.packet).add(module);
                let file = file.into();
                return Ok(Some(Todo { module, file, offset, size, ..Todo::new(Kind::OtaruKeep) }));
            }
            Output::Install { module, version, size } => {
                updates.asked = Some(Operation::Install);
                let offset = slot_of(updates.modules, &updates.slots, module).start;
                let mut lines = Lines(room.packet);
                let (module, version) = (lines.add(module), lines.add(version));
                return Ok(Some(Todo { module, version, offset, size, ..Todo::new(Kind::OtaruInstall) }));
            }
            Output::Prepare { module, size, .. } => {
                let slot = slot_of(updates.modules, &updates.slots, module);
                let done = updates.download.prepare(&mut updates.flash, slot, size);
                updates.done(Operation::Prepare, done, Updater::handle_prepared);
            }
            Output::Save(record) => {
                let done = updates.download.save(&mut updates.flash, record);
                updates.done(Operation::Save, done, Updater::handle_saved);
            }
            Output::Read { offset, len } => {
                let mut bytes = [0; READ];
                match updates.download.read(&mut updates.flash, offset, len, &mut bytes) {
                    Ok(len) => updates.updater.handle_read(offset, &bytes[..len]),
                    Err(error) => updates.broken(Operation::Read, error),
                }
                updates.reads = updates.reads.wrapping_add(1);
                if updates.reads.is_multiple_of(READS) {
                    return Ok(Some(Todo { until: now, ..Todo::new(Kind::OtaruWait) }));
                }
            }
            Output::Reboot => updates.restart_at = Some(now.saturating_add(FAREWELL)),
            Output::Wait(until) => {
                if self.client.as_ref().is_some_and(Client::is_settled) {
                    updates.updater.handle_settled();
                }
                return Err(until);
            }
        }
        Ok(None)
    }

    /// Deals with the next packet that was received; `false` if there is none.
    #[inline(never)]
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let (now, room) = (self.now, buffer.len());
        let Some(client) = self.client.as_mut().filter(|_| !self.inbox.is_empty()) else { return false };
        match client.receive(now, &buffer[..self.inbox.len()], room) {
            Received::Part => return false,
            Received::Packet { len } => self.inbox.take(buffer, len),
            Received::Message { len, topic, payload } => {
                if let Some(updates) = &mut self.updates {
                    updates.message(now, topic, payload);
                }
                self.inbox.take(buffer, len);
            }
            Received::TooLong { len, topic } => {
                if let (Some(updates), Some(topic)) = (&mut self.updates, topic) {
                    updates.updater.handle_too_long(topic, len, room);
                }
                self.inbox.skip(len);
            }
            Received::Broken => self.inbox = Inbox::default(),
        }
        true
    }
}

impl Updates {
    fn message(&mut self, now: u64, topic: &str, payload: &[u8]) {
        if let Some(block) = self.updater.handle_message(now, topic, payload) {
            self.write(block.offset, block.data);
        }
    }

    /// A piece of a file that came over HTTP.
    pub(crate) fn fetched(&mut self, id: u32, offset: u32, data: &[u8]) -> Result<(), Fault> {
        match self.updater.handle_fetched(id, offset, data) {
            Some(block) => {
                self.write(block.offset, block.data);
                Ok(())
            }
            None => Err(Fault::NotNow("this fetch is of no use any more: end it")),
        }
    }

    /// The application kept or installed the file, or why it could not.
    pub(crate) fn answered(&mut self, why: Option<&str>) -> Result<(), Fault> {
        let asked = self.asked.take().ok_or(Fault::NotNow("nothing was to be kept or installed"))?;
        match (why, asked) {
            (Some(why), _) => self.updater.handle_broken(asked, why),
            (None, Operation::Keep) => self.updater.handle_kept(),
            (None, _) => self.updater.handle_installed(),
        }
        Ok(())
    }

    /// The device gives the running update up.
    pub(crate) fn abandon(&mut self, failure: Failure, why: &str) -> Result<(), Fault> {
        if self.updater.abandon(failure, why) {
            self.asked = None;
            return Ok(());
        }
        Err(Fault::NotNow("there is no update to give up, or it is too late for that"))
    }

    fn write(&mut self, offset: u32, data: &[u8]) {
        match self.download.write(&mut self.flash, offset, data) {
            Ok(()) => self.updater.handle_written(offset),
            Err(error) => self.broken(Operation::Write, error),
        }
    }

    fn done<E: core::fmt::Display>(
        &mut self,
        operation: Operation,
        done: Result<(), E>,
        tell: fn(&mut Updater<'static>),
    ) {
        match done {
            Ok(()) => tell(&mut self.updater),
            Err(error) => self.broken(operation, error),
        }
    }

    fn broken(&mut self, operation: Operation, error: impl core::fmt::Display) {
        self.updater.handle_broken(operation, Line::<96>::of(error).as_str());
    }

    fn tell(&self, event: device::Event, room: &mut Room<'_>) -> Todo {
        let mut lines = Lines(room.packet);
        let mut todo = Todo { event: event.into(), ..Todo::new(Kind::OtaruHappened) };
        match (event, self.updater.status()) {
            (device::Event::Started { from }, Some(status)) => {
                (todo.offset, todo.size) = (from, status.size);
                (todo.module, todo.version) = (lines.add(status.module), lines.add(status.version));
            }
            (device::Event::Failed(_) | device::Event::Refused(_), _) => {
                todo.text = lines.add(self.updater.last_failure());
            }
            _ => {}
        }
        todo
    }
}

/// Where an image of this module goes.
fn slot_of(modules: &[device::Module<'_>], slots: &[Region; OTARU_MODULES], name: &str) -> Region {
    let index = modules.iter().position(|module| module.name == name).unwrap_or_default();
    slots[index]
}
