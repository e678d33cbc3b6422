//! An application whose only use is to update itself. It works if it reaches its platform.
#![no_std]
#![no_main]

use core::convert::Infallible;

use device::client::{Client, Inbox, Login, Received, Todo};
use device::flash::{BootLog, Download, Error, Region, State};
use device::{
    Config, DEFAULT_MODULE, Event, FRAME_OVERHEAD, MESSAGE_SIZE, Module, Operation, Output, Updater,
};
use mqtt::Version;
use otaru_qemu_riscv32::flash::{Flash, FlashError};
use otaru_qemu_riscv32::layout::LAYOUT;
use otaru_qemu_riscv32::network::Network;
use otaru_qemu_riscv32::settings::Settings;
use otaru_qemu_riscv32::{machine, say};
use smoltcp::iface::SocketStorage;

/// Bytes asked for at a time, and how many blocks at once.
const BLOCK: usize = 4096;
const WINDOW: usize = 8;

/// The longest packet that can be received. Blocks are written as they come, so one buffer for packets is enough; those
/// that follow wait in the connection's.
const PACKET: usize = BLOCK + FRAME_OVERHEAD;

/// The longest packet that is sent.
const SENT: usize = MESSAGE_SIZE + 256;

/// Bytes kept free for a PINGREQ and an acknowledgement.
const ROOM_FOR_CLIENT: usize = 16;

/// Seconds promised to the platform.
const KEEP_ALIVE: u16 = 60;

/// Milliseconds that the last reports may take before the restart.
const FAREWELL: u64 = 3_000;

type Result<T> = core::result::Result<T, Error<FlashError>>;

#[allow(unsafe_code, reason = "the first instructions jump here, by this name")]
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let Err(error) = run();
    panic!("{error}")
}

fn run() -> Result<Infallible> {
    let mut flash = Flash::new(machine::Bank::new());
    let log = BootLog::open(&mut flash, LAYOUT)?;
    let (slot, state) = log.running();
    say!("application {}: slot {slot:?}, {state:?}", machine::version());
    if !matches!(state, State::Trial { .. }) {
        machine::unwatch();
    }
    let settings = Settings::read(&mut flash).map_err(Error::Flash)?.expect("the factory left no settings");
    let mut storage = [SocketStorage::EMPTY];
    let mut network = Network::new(&mut storage, WINDOW * PACKET).expect("there is no network card");
    let modules = [Module { slot: LAYOUT.slots[0].len, ..Module::new(DEFAULT_MODULE, machine::version()) }];
    let Settings { product_key, device_name, secret, .. } = settings;
    let login = Login { product_key, device_name, secret, version: Version::V311, keep_alive: KEEP_ALIVE };
    let mut application = Application {
        config: Config {
            block: BLOCK as u32,
            window: WINDOW,
            ..Config::new(product_key, device_name, &modules)
        },
        flash,
        log,
        settings: &settings,
        client: Client::new(login),
        is_connected: false,
        is_opening: false,
        update: None,
        received: machine::take(PACKET),
        inbox: Inbox::default(),
    };
    loop {
        network.poll(machine::millis());
        if !application.step(&mut network, machine::millis())? {
            application.rest();
        }
    }
}

struct Application<'a> {
    config: Config<'a>,
    flash: Flash,
    log: BootLog,
    settings: &'a Settings,
    client: Client<'a>,
    is_connected: bool,
    is_opening: bool,
    /// There is none before the image is known to work.
    update: Option<Update<'a>>,
    received: &'static mut [u8],
    inbox: Inbox,
}

/// What updates this application, and where to.
struct Update<'a> {
    updater: Updater<'a>,
    download: Download,
    spare: Region,
    restart_at: Option<u64>,
}

impl<'a> Application<'a> {
    /// Does the next thing; `false` if there is none.
    fn step(&mut self, network: &mut Network<'_>, now: u64) -> Result<bool> {
        self.follow(network, now);
        if self.connect(network, now)? {
            return Ok(true);
        }
        // The client may always speak: it is what notices a dead line, on which nothing makes room.
        let has_room = !self.is_connected || network.room() >= SENT + ROOM_FOR_CLIENT;
        Ok(has_room && (self.update(network, now)? || self.receive(network, now)?))
    }

    /// Nothing is to be done for a while.
    fn rest(&self) {
        if self.update.is_some() {
            machine::nap();
        }
    }

    /// Tells the others what became of the connection.
    fn follow(&mut self, network: &mut Network<'_>, now: u64) {
        if self.is_opening && network.is_open() {
            (self.is_opening, self.is_connected) = (false, true);
            self.inbox = Inbox::default();
            self.client.handle_opened(now);
        } else if (self.is_opening || self.is_connected) && network.is_closed() {
            say!("the connection is gone");
            self.client.handle_closed(now);
            self.disconnected();
        }
    }

    fn disconnected(&mut self) {
        (self.is_opening, self.is_connected) = (false, false);
        if let Some(update) = &mut self.update {
            update.updater.handle_disconnected();
        }
    }

    fn connect(&mut self, network: &mut Network<'_>, now: u64) -> Result<bool> {
        let mut buffer = [0; SENT];
        match self.client.poll(now, &mut buffer) {
            Todo::Open => {
                self.is_opening = network.open(self.settings.platform);
                if !self.is_opening {
                    self.client.handle_closed(now);
                }
            }
            Todo::Send(bytes) => network.send(bytes),
            Todo::Online => self.online()?,
            Todo::Close(why) => {
                say!("{why}");
                network.close();
                self.disconnected();
            }
            Todo::Wait(_) => return Ok(false),
        }
        Ok(true)
    }

    /// The platform took the login: this image works.
    fn online(&mut self) -> Result<()> {
        say!("online");
        if let State::Trial { .. } = self.log.running().1 {
            self.log.confirm(&mut self.flash)?;
            machine::unwatch();
            say!("confirmed");
        }
        if self.update.is_none() {
            self.update = Some(Update::begin(&mut self.flash, &self.log, self.config)?);
        }
        if let Some(update) = &mut self.update {
            update.updater.handle_connected();
        }
        Ok(())
    }

    fn update(&mut self, network: &mut Network<'_>, now: u64) -> Result<bool> {
        let Some(update) = &mut self.update else { return Ok(false) };
        if let Some(at) = update.restart_at {
            if self.client.is_settled() || at <= now {
                // Else the platform would take the next login for another device with the same name.
                network.close();
                network.poll(now);
                machine::restart();
            }
            return Ok(false);
        }
        if self.client.is_busy() {
            return Ok(false);
        }
        let mut buffer = [0; MESSAGE_SIZE];
        match update.updater.poll(now, &mut buffer) {
            Output::Publish { topic, payload, acknowledged } => {
                let mut packet = [0; SENT];
                match self.client.publish(now, topic, payload.as_bytes(), acknowledged, &mut packet) {
                    Ok(bytes) => {
                        network.send(bytes);
                        // A roll back is what is told first.
                        self.log.acknowledge(&mut self.flash)?;
                    }
                    Err(error) => {
                        // The connection is ended, and what was to be said is said again on the next.
                        say!("{error}");
                        network.close();
                    }
                }
            }
            Output::Event(event) => tell(event, &update.updater),
            Output::Reboot => update.restart_at = Some(now + FAREWELL),
            Output::Wait(_) => {
                if self.client.is_settled() {
                    update.updater.handle_settled();
                }
                return Ok(false);
            }
            // Without HTTP in its configuration the updater takes no files that need these.
            Output::Fetch { .. } | Output::Keep { .. } => {}
            Output::Prepare { size, .. } => {
                let done = update.download.prepare(&mut self.flash, update.spare, size);
                update.done(Operation::Prepare, done, Updater::handle_prepared);
            }
            Output::Save(record) => {
                let done = update.download.save(&mut self.flash, record);
                update.done(Operation::Save, done, Updater::handle_saved);
            }
            Output::Install { size, .. } => {
                let done = self.log.install(&mut self.flash, size);
                update.done(Operation::Install, done, Updater::handle_installed);
            }
            Output::Read { offset, len } => {
                let mut bytes = [0; BLOCK];
                match update.download.read(&mut self.flash, offset, len, &mut bytes) {
                    Ok(len) => update.updater.handle_read(offset, &bytes[..len]),
                    Err(error) => update.broken(Operation::Read, &error),
                }
            }
        }
        Ok(true)
    }

    /// Takes what has come, one packet at a time.
    fn receive(&mut self, network: &mut Network<'_>, now: u64) -> Result<bool> {
        if !self.is_connected {
            return Ok(false);
        }
        let come = network.receive(&mut self.received[self.inbox.len()..]);
        self.inbox.add(self.received, come);
        if self.inbox.is_empty() {
            return Ok(false);
        }
        match self.client.receive(now, &self.received[..self.inbox.len()], PACKET) {
            Received::Part => return Ok(false),
            Received::Packet { len } => self.inbox.take(self.received, len),
            Received::Message { len, topic, payload } => {
                if let Some(update) = &mut self.update {
                    update.message(&mut self.flash, now, topic, payload);
                }
                self.inbox.take(self.received, len);
            }
            Received::TooLong { len, topic } => {
                if let (Some(update), Some(topic)) = (&mut self.update, topic) {
                    update.updater.handle_too_long(topic, len, PACKET);
                }
                self.inbox.skip(len);
            }
            Received::Broken => self.inbox = Inbox::default(),
        }
        Ok(true)
    }
}

impl<'a> Update<'a> {
    fn begin(flash: &mut Flash, log: &BootLog, config: Config<'a>) -> Result<Self> {
        let spare = log.spare().ok_or(Error::NoSpare)?;
        let (download, record) = Download::open(flash, LAYOUT.journal, &[spare])?;
        let mut updater = Updater::new(config, record).expect("the configuration is right");
        if let State::RolledBack(why) = log.running().1 {
            say!("rolled back: {why}");
            updater.handle_rolled_back(DEFAULT_MODULE, why);
        }
        Ok(Self { updater, download, spare, restart_at: None })
    }

    fn message(&mut self, flash: &mut Flash, now: u64, topic: &str, payload: &[u8]) {
        if let Some(block) = self.updater.handle_message(now, topic, payload) {
            match self.download.write(flash, block.offset, block.data) {
                Ok(()) => self.updater.handle_written(block.offset),
                Err(error) => self.broken(Operation::Write, &error),
            }
        }
    }

    fn done(&mut self, operation: Operation, done: Result<()>, tell: fn(&mut Updater<'a>)) {
        match done {
            Ok(()) => tell(&mut self.updater),
            Err(error) => self.broken(operation, &error),
        }
    }

    fn broken(&mut self, operation: Operation, error: &Error<FlashError>) {
        say!("{operation}: {error}");
        self.updater.handle_broken(operation, "the flash fails");
    }
}

fn tell(event: Event, updater: &Updater<'_>) {
    match (event, updater.status()) {
        (Event::Started { from }, Some(status)) => {
            say!("update to {}: {} bytes, from {from}", status.version, status.size);
        }
        (Event::Failed(_) | Event::Refused(_), _) => say!("failed: {}", updater.last_failure()),
        (event, _) => say!("{event:?}"),
    }
}
