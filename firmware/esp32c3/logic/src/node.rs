//! The program: a login, a connection, updates.

use core::fmt;

use device::client::{Client, Inbox, Login, Received, Todo};
use device::flash::{Download, Error, OtaData, Region};
use device::mcu::{Event as PartEvent, FRAME_SIZE, Host, Image, Output as PartOutput, Phase};
use device::{
    BadConfig, Config, DEFAULT_MODULE, Event, FRAME_OVERHEAD, MESSAGE_SIZE, Module, Operation, Output,
    Record, Updater,
};
use embedded_storage::nor_flash::NorFlash;
use heapless::{String, Vec};
use mqtt::Version;
use sha2::{Digest as _, Sha256};

use crate::board::{Board, Connection};
use crate::image::{HEAD, check_image};
use crate::part::{self, Part};
use crate::settings::Settings;
use crate::table::Table;

/// Bytes asked for at a time, and how many blocks at once: what a round trip of some tens of milliseconds needs.
pub const BLOCK: usize = 4096;
/// How many blocks may be on their way; the connection's receive buffer holds as many packets.
pub const WINDOW: usize = 4;

/// The longest packet that can be received. Blocks are written as they come, so that one buffer for packets is enough.
pub const PACKET: usize = BLOCK + FRAME_OVERHEAD;

/// The longest packet that is sent.
const SENT: usize = MESSAGE_SIZE + 256;

/// Bytes kept free for a PINGREQ and an acknowledgement.
const ROOM_FOR_CLIENT: usize = 16;

/// Seconds promised to the platform.
const KEEP_ALIVE: u16 = 60;

/// Milliseconds that the last reports may take before the restart.
const FAREWELL: u64 = 3_000;

/// Milliseconds that a new image has to show that it works: to find its Wi-Fi and log in to its platform.
pub const TRIAL: u64 = 300_000;

/// Milliseconds from one record of a download to the next: some blocks, so that the journal's sectors last.
const SAVE_INTERVAL: u32 = 500;

/// What there is, and which of it runs.
#[derive(Clone, Debug)]
pub struct Home<'a> {
    /// Where everything lies in the flash.
    pub table: Table,
    /// The slot that runs; `None` if it is `factory`.
    pub running: Option<u8>,
    /// Version of the running image.
    pub version: &'a str,
}

/// Why the program cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<E> {
    /// The flash fails, or what lies in it cannot be used.
    Flash(Error<E>),
    /// Triple or version cannot be right.
    Config(BadConfig),
    /// The running image is in no slot: a download might be written over it.
    Nowhere,
}

impl<E> From<Error<E>> for Trouble<E> {
    fn from(error: Error<E>) -> Self {
        Self::Flash(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Trouble<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => error.fmt(f),
            Self::Config(bad) => bad.fmt(f),
            Self::Nowhere => f.write_str(
                "the image that runs is in none of the partition table's slots: write it to ota_0, or add a partition factory",
            ),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Trouble<E> {}

/// Runs until the chip has to start anew: into an image that was installed, or away from one that does not work, which
/// Espressif's bootloader then leaves.
pub fn run<F: NorFlash, B: Board>(
    flash: &mut F,
    board: &mut B,
    home: &Home<'_>,
    settings: &Settings,
) -> Result<(), Trouble<F::Error>> {
    let Home { table, running, version } = home;
    match running {
        Some(slot) => board.say(format_args!("firmware {version}, in ota_{slot}")),
        None if table.factory => board.say(format_args!("firmware {version}, in factory")),
        None => return Err(Trouble::Nowhere),
    }
    let otadata = OtaData::open(flash, table.otadata, table.slots.len() as u8, *running)?;
    let part = table.mcu.map(Part::new::<F>);
    let part_version = match &part {
        Some(part) => part.version(flash, board)?,
        None => None,
    };
    let mut modules: Vec<Module<'_>, 2> = Vec::new();
    let _ = modules.push(Module { slot: table.slots[0].len, ..Module::new(DEFAULT_MODULE, version) });
    if let (Some(part), Some(version)) = (&part, &part_version) {
        board.say(format_args!("the part on the serial line: {version}"));
        let _ = modules.push(Module { slot: part.slot.len, ..Module::new(part::MODULE, version) });
    }
    let Settings { product_key, device_name, secret, .. } = settings;
    let login = Login { product_key, device_name, secret, version: Version::V311, keep_alive: KEEP_ALIVE };
    let named = Config::new(product_key, device_name, &modules);
    let config = Config { block: BLOCK as u32, window: WINDOW, save_interval: SAVE_INTERVAL, ..named };
    // An image that could never update must fail while it is on trial.
    Updater::new(config, None).map_err(Trouble::Config)?;
    let until = board.now() + TRIAL;
    let mut node = Node {
        trial: otadata.is_on_trial().then_some(until),
        otadata,
        flash,
        board,
        table,
        part,
        settings,
        config,
        client: Client::new(login),
        connection: Connection::Closed,
        update: None,
        received: [0; PACKET],
        inbox: Inbox::default(),
    };
    while !node.is_to_restart() {
        node.board.poll();
        if !node.step()? {
            node.board.rest();
        }
    }
    node.board.close();
    node.board.poll();
    Ok(())
}

struct Node<'a, F, B> {
    flash: &'a mut F,
    board: &'a mut B,
    table: &'a Table,
    part: Option<Part>,
    otadata: OtaData,
    settings: &'a Settings,
    config: Config<'a>,
    client: Client<'a>,
    connection: Connection,
    /// Until when an image on trial must have shown that it works.
    trial: Option<u64>,
    /// There is none before the image is known to work.
    update: Option<Update<'a>>,
    /// Holds the longest packet that can be received; those that follow wait in the connection's own buffer.
    received: [u8; PACKET],
    inbox: Inbox,
}

/// What updates this device, and where to.
struct Update<'a> {
    updater: Updater<'a>,
    download: Download,
    /// The slot that takes the next image.
    spare: Region,
    restart_at: Option<u64>,
}

impl<'a, F: NorFlash, B: Board> Node<'a, F, B> {
    fn is_to_restart(&mut self) -> bool {
        let now = self.board.now();
        let settled = self.client.is_settled();
        if self.trial.is_some_and(|until| now >= until) {
            self.board.say(format_args!("no login within {} s: this image is given up", TRIAL / 1000));
            return true;
        }
        let restart_at = self.update.as_ref().and_then(|update| update.restart_at);
        restart_at.is_some_and(|at| settled || now >= at)
    }

    /// Does the next thing; `false` if there is none.
    fn step(&mut self) -> Result<bool, Trouble<F::Error>> {
        // The client may always speak: it is what notices a dead line, on which nothing makes room.
        if self.connect()? {
            return Ok(true);
        }
        let has_room = self.connection != Connection::Open || self.board.room() >= SENT + ROOM_FOR_CLIENT;
        Ok(has_room && (self.update()? || self.receive()))
    }

    /// Keeps the connection; `true` if there was something to be done for it, or nothing else can be done now.
    fn connect(&mut self) -> Result<bool, Trouble<F::Error>> {
        self.follow();
        if self.connection == Connection::Closed && !self.board.is_up() {
            return Ok(false);
        }
        let (now, mut buffer) = (self.board.now(), [0; SENT]);
        match self.client.poll(now, &mut buffer) {
            Todo::Open => {
                self.board.open(&self.settings.host, self.settings.port);
                self.connection = Connection::Opening;
            }
            Todo::Send(bytes) => self.board.send(bytes),
            Todo::Online => self.online()?,
            Todo::Close(why) => {
                self.board.say(format_args!("{why}"));
                self.board.close();
                self.disconnected();
            }
            Todo::Wait(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Tells the others what became of the connection.
    fn follow(&mut self) {
        let (before, now) = (self.connection, self.board.now());
        match (before, self.board.connection()) {
            (Connection::Opening, Connection::Open) => {
                self.connection = Connection::Open;
                self.inbox = Inbox::default();
                self.client.handle_opened(now);
            }
            (Connection::Opening | Connection::Open, Connection::Closed) => {
                self.board.say(format_args!("there is no connection to {}", self.settings.host));
                self.client.handle_closed(now);
                self.disconnected();
            }
            _ => {}
        }
    }

    fn disconnected(&mut self) {
        self.connection = Connection::Closed;
        if let Some(update) = &mut self.update {
            update.updater.handle_disconnected();
        }
    }

    /// The platform took the login: this image works.
    fn online(&mut self) -> Result<(), Trouble<F::Error>> {
        self.board.say(format_args!("online"));
        if self.trial.take().is_some() {
            self.otadata.confirm(self.flash)?;
            self.board.say(format_args!("confirmed"));
        }
        if self.update.is_none() {
            self.update = Some(self.begin()?);
        }
        if let Some(update) = &mut self.update {
            update.updater.handle_connected();
        }
        Ok(())
    }

    /// Starts to update, with what is left of a download.
    fn begin(&mut self) -> Result<Update<'a>, Trouble<F::Error>> {
        let spare = self.otadata.spare().and_then(|spare| self.table.slots.get(usize::from(spare)));
        let spare = *spare.ok_or(Error::NoSpare)?;
        let (download, record) = self.open(spare)?;
        let mut updater = Updater::new(self.config, record).map_err(Trouble::Config)?;
        if let Some(slot) = self.otadata.rolled_back() {
            let why = part::told(format_args!("the new image in ota_{slot} did not confirm itself"));
            self.board.say(format_args!("rolled back: {why}"));
            updater.handle_rolled_back(DEFAULT_MODULE, why);
        }
        Ok(Update { updater, download, spare, restart_at: None })
    }

    fn open(&mut self, spare: Region) -> Result<(Download, Option<Record>), Error<F::Error>> {
        let slots = [Some(spare), self.part.map(|part| part.slot)];
        let slots: Vec<Region, 2> = slots.into_iter().flatten().collect();
        Download::open(self.flash, self.table.journal, &slots)
    }

    /// Does what the updater wants next, if it wants anything.
    fn update(&mut self) -> Result<bool, Trouble<F::Error>> {
        let Some(update) = &mut self.update else { return Ok(false) };
        if self.client.is_busy() || update.restart_at.is_some() {
            return Ok(false);
        }
        let (now, mut buffer) = (self.board.now(), [0; MESSAGE_SIZE]);
        match update.updater.poll(now, &mut buffer) {
            Output::Publish { topic, payload, acknowledged } => {
                let mut packet = [0; SENT];
                match self.client.publish(now, topic, payload.as_bytes(), acknowledged, &mut packet) {
                    Ok(bytes) => {
                        self.board.send(bytes);
                    }
                    Err(error) => {
                        // The connection is ended, and what was to be said is said again on the next.
                        self.board.say(format_args!("{error}"));
                        self.board.close();
                    }
                }
            }
            Output::Event(event) => tell(self.board, event, &update.updater),
            Output::Reboot => update.restart_at = Some(now + FAREWELL),
            Output::Wait(_) => {
                if self.client.is_settled() {
                    update.updater.handle_settled();
                    // Among all that was told is a roll back.
                    self.otadata.acknowledge(self.flash)?;
                }
                return Ok(false);
            }
            // Without HTTP in its configuration the updater takes no files that need these.
            Output::Fetch { .. } | Output::Keep { .. } => {}
            Output::Prepare { module, size, .. } => {
                let part = self.part.filter(|_| module == part::MODULE);
                let slot = part.map_or(update.spare, |part| part.slot);
                let done = update.download.prepare(self.flash, slot, size);
                update.done(self.board, Operation::Prepare, done, Updater::handle_prepared);
            }
            Output::Save(record) => {
                let done = update.download.save(self.flash, record);
                update.done(self.board, Operation::Save, done, Updater::handle_saved);
            }
            Output::Read { offset, len } => {
                let mut bytes = [0; BLOCK];
                match update.download.read(self.flash, offset, len, &mut bytes) {
                    Ok(len) => update.updater.handle_read(offset, &bytes[..len]),
                    Err(error) => update.broken(self.board, Operation::Read, &error),
                }
            }
            Output::Install { module, version, size } => {
                let is_part = module == part::MODULE;
                let version = String::<64>::try_from(version).unwrap_or_default();
                self.install(is_part, &version, size);
            }
        }
        Ok(true)
    }

    /// Has the image in the slot start next, or passes it on.
    fn install(&mut self, is_part: bool, version: &str, size: u32) {
        let done = if is_part { self.pass_on(version, size) } else { self.choose(version) };
        let Some(update) = &mut self.update else { return };
        match done {
            Ok(()) => update.updater.handle_installed(),
            Err(why) => {
                self.board.say(format_args!("{}: {why}", Operation::Install));
                update.updater.handle_broken(Operation::Install, &why);
            }
        }
    }

    /// Has Espressif's bootloader start the image, on trial.
    fn choose(&mut self, version: &str) -> Result<(), String<160>> {
        let Some(update) = &mut self.update else { return Ok(()) };
        let mut head = [0; HEAD];
        let len = update.download.read(self.flash, 0, HEAD as u32, &mut head).map_err(part::told)?;
        check_image(&head[..len], version).map_err(part::told)?;
        self.otadata.install(self.flash).map_err(part::told)
    }

    /// Passes the image on over the serial line, which takes as long as it takes. The connection is kept meanwhile.
    fn pass_on(&mut self, version: &str, size: u32) -> Result<(), String<160>> {
        let digest = self.digest(size)?;
        let image = Image::new(size, wire::message::Digest::Sha256, &digest);
        let mut host = Host::pass_on(image.ok_or_else(|| part::told("the image has no bytes"))?, version);
        let mut out = [0; FRAME_SIZE];
        loop {
            self.board.poll();
            while self.connect().map_err(part::told)? || self.receive() {}
            let now = self.board.now();
            let read = |offset, into: &mut [u8]| self.read(offset, into).map(drop);
            match host.poll(now, read, &mut out) {
                PartOutput::Send(frame) => part::send(self.board, frame),
                PartOutput::Wait(_) => part::listen(self.board, &mut host),
                PartOutput::End(PartEvent::Answered(Phase::Running, _)) => return Ok(()),
                PartOutput::End(PartEvent::Answered(..)) => {
                    return Err(part::told("the part waits in its loader"));
                }
                PartOutput::End(PartEvent::Failed(failure)) => return Err(part::told(failure)),
            }
        }
    }

    /// SHA-256 of what is in the slot.
    fn digest(&mut self, size: u32) -> Result<[u8; 32], String<160>> {
        let (mut hasher, mut bytes) = (Sha256::new(), [0; BLOCK]);
        for offset in (0..size).step_by(BLOCK) {
            let part = &mut bytes[..BLOCK.min((size - offset) as usize)];
            self.read(offset, part)?;
            hasher.update(part);
        }
        Ok(hasher.finalize().into())
    }

    /// Reads bytes of the slot, of any number.
    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), String<160>> {
        let Some(update) = &mut self.update else { return Ok(()) };
        let (mut bytes, len) = ([0; BLOCK], into.len());
        let whole = &mut bytes[..len.next_multiple_of(F::READ_SIZE)];
        update.download.read(self.flash, offset, len as u32, whole).map_err(part::told)?;
        into.copy_from_slice(&whole[..len]);
        Ok(())
    }

    /// Takes what has come, one packet at a time; `true` if something was.
    fn receive(&mut self) -> bool {
        if self.connection != Connection::Open {
            return false;
        }
        let come = self.board.receive(&mut self.received[self.inbox.len()..]);
        self.inbox.add(&mut self.received, come);
        if self.inbox.is_empty() {
            return false;
        }
        let now = self.board.now();
        match self.client.receive(now, &self.received[..self.inbox.len()], PACKET) {
            Received::Part => return false,
            Received::Packet { len } => self.inbox.take(&mut self.received, len),
            Received::Message { len, topic, payload } => {
                if let Some(update) = &mut self.update {
                    update.message(self.flash, self.board, topic, payload);
                }
                self.inbox.take(&mut self.received, len);
            }
            Received::TooLong { len, topic } => {
                if let (Some(update), Some(topic)) = (&mut self.update, topic) {
                    update.updater.handle_too_long(topic, len, PACKET);
                }
                self.inbox.skip(len);
            }
            Received::Broken => self.inbox = Inbox::default(),
        }
        true
    }
}

impl<'a> Update<'a> {
    fn message<F: NorFlash, B: Board>(&mut self, flash: &mut F, board: &mut B, topic: &str, payload: &[u8]) {
        if let Some(block) = self.updater.handle_message(board.now(), topic, payload) {
            match self.download.write(flash, block.offset, block.data) {
                Ok(()) => self.updater.handle_written(block.offset),
                Err(error) => self.broken(board, Operation::Write, &error),
            }
        }
    }

    fn done<E: fmt::Debug, B: Board>(
        &mut self,
        board: &mut B,
        operation: Operation,
        done: Result<(), Error<E>>,
        tell: fn(&mut Updater<'a>),
    ) {
        match done {
            Ok(()) => tell(&mut self.updater),
            Err(error) => self.broken(board, operation, &error),
        }
    }

    fn broken<E: fmt::Debug, B: Board>(&mut self, board: &mut B, operation: Operation, error: &Error<E>) {
        board.say(format_args!("{operation}: {error}"));
        self.updater.handle_broken(operation, "the flash fails");
    }
}

fn tell<B: Board>(board: &mut B, event: Event, updater: &Updater<'_>) {
    match (event, updater.status()) {
        (Event::Started { from }, Some(status)) => board.say(format_args!(
            "update of {} to {}: {} bytes, from {from}",
            status.module, status.version, status.size
        )),
        (Event::Failed(_) | Event::Refused(_), _) => {
            board.say(format_args!("failed: {}", updater.last_failure()));
        }
        (event, _) => board.say(format_args!("{event:?}")),
    }
}
