//! A device on flash that fails: bootloader, images, updater.

use device::flash::{BootLog, Download, Error, Layout, OtaData, Region, State};
use device::{Config, DEFAULT_MODULE, Event, MESSAGE_SIZE, Module, Operation, Output, Record, Updater};
use embedded_storage::nor_flash::NorFlash;

use crate::espressif;
use crate::flash::{Fault, FaultyFlash};
use crate::image::{Behaviour, Image};
use crate::link::{Conditions, FaultyLink, Way};
use crate::platform::{DEVICE_NAME, Message, PRODUCT_KEY, Platform};
use crate::rng::Rng;

/// How the device chooses the image that starts.
#[derive(Clone, Debug)]
pub enum Scheme {
    /// Its own bootloader, with a [`BootLog`].
    BootLog(Layout),
    /// Espressif's bootloader, with [`OtaData`].
    Espressif {
        /// The partition `otadata`.
        otadata: Region,
        /// The partition `factory`, if there is one.
        factory: Option<Region>,
        /// The partitions `ota_0`, `ota_1`, ...
        slots: Vec<Region>,
        /// Journal of downloads.
        journal: Region,
    },
}

impl Scheme {
    /// The regions that can take an image.
    pub fn images(&self) -> Vec<Region> {
        match self {
            Self::BootLog(layout) => layout.slots.to_vec(),
            Self::Espressif { factory, slots, .. } => factory.iter().chain(slots).copied().collect(),
        }
    }

    /// The regions that hold what the device remembers.
    pub fn logs(&self) -> [Region; 2] {
        match self {
            Self::BootLog(layout) => [layout.log, layout.journal],
            Self::Espressif { otadata, journal, .. } => [*otadata, *journal],
        }
    }

    fn journal(&self) -> Region {
        self.logs()[1]
    }
}

/// How a boot of the device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It starts again.
    Rebooted,
    /// The power was cut.
    Cut,
    /// Nothing is left to happen.
    Quiet,
}

/// A device and the platform it is connected to.
#[derive(Clone, Debug)]
pub struct Device<const UNIT: usize, const SECTOR: usize> {
    /// Its flash.
    pub flash: FaultyFlash<UNIT, SECTOR>,
    /// The platform.
    pub platform: Platform,
    /// The connection between them. It is perfect at first.
    pub link: FaultyLink,
    /// The clock, in milliseconds.
    pub now: u64,
    /// Bytes asked for at a time.
    pub block: u32,
    /// Blocks asked for at once, at most.
    pub window: usize,
    /// Milliseconds that the last whole download took.
    pub download: u64,
    /// Starts what the boot log says. To see what a careless bootloader would do.
    pub bootloader: Bootloader<UNIT, SECTOR>,
    scheme: Scheme,
    /// When the download under way began.
    began: u64,
    /// Where the last image is that ran and was not on trial any more.
    proven: Option<Region>,
}

/// A bootloader that goes by a boot log: the region that starts.
pub type Bootloader<const UNIT: usize, const SECTOR: usize> =
    fn(&mut FaultyFlash<UNIT, SECTOR>, Layout) -> Result<Region, Error<Fault>>;

/// Milliseconds until the device is connected again.
const RECONNECT: u64 = 500;

/// Why a boot did not go on.
enum Stop {
    Cut,
    Broken(String),
}

impl From<Error<Fault>> for Stop {
    fn from(error: Error<Fault>) -> Self {
        match error {
            Error::Flash(Fault::Cut) => Self::Cut,
            error => Self::Broken(error.to_string()),
        }
    }
}

impl<const UNIT: usize, const SECTOR: usize> Device<UNIT, SECTOR> {
    /// A new device, with the first of these images in it. What is said if that cannot be is for the user.
    pub fn new(scheme: Scheme, block: u32, images: Vec<Image>) -> Result<Self, String> {
        let regions = scheme.images().into_iter().chain(scheme.logs());
        let capacity = regions.map(|region| region.start.saturating_add(region.len)).max().unwrap_or(0);
        let mut flash = FaultyFlash::new(capacity);
        let first = images.first().map(|image| image.bytes.clone()).unwrap_or_default();
        let put = |flash: &mut FaultyFlash<UNIT, SECTOR>, region: Region| {
            let mut bytes = first.clone();
            bytes.resize(first.len().next_multiple_of(UNIT), 0xFF);
            flash.write(region.start, &bytes).map_err(|error| format!("{error:?}"))
        };
        match &scheme {
            Scheme::BootLog(layout) => {
                put(&mut flash, layout.slots[0])?;
                let provisioned = BootLog::provision(&mut flash, *layout, first.len() as u32);
                provisioned.map_err(|error| error.to_string())?;
            }
            Scheme::Espressif { factory, slots, .. } => put(&mut flash, factory.unwrap_or(slots[0]))?,
        }
        Ok(Self {
            flash,
            platform: Platform::new(images),
            link: FaultyLink::new(Conditions::default(), Rng::new(0)),
            now: 0,
            block,
            window: 2,
            download: 0,
            bootloader,
            scheme,
            began: 0,
            proven: None,
        })
    }

    /// Uses up what is left of a sector of each log but for some entries, so that the next ones go round.
    pub fn age(&mut self, left: u32) -> Result<(), String> {
        let full = |len: usize| (SECTOR / len.next_multiple_of(UNIT)) as u32;
        let flash = &mut self.flash;
        let text = |error: Error<Fault>| error.to_string();
        if let Scheme::BootLog(layout) = self.scheme {
            let size = self.platform.offered()[0].bytes.len() as u32;
            for _ in 1..full(52).saturating_sub(left) / 2 {
                BootLog::provision(flash, layout, size).map_err(text)?;
            }
        }
        let (mut download, _) =
            Download::open(flash, self.scheme.journal(), &self.scheme.images()).map_err(text)?;
        for _ in 0..full(32).saturating_sub(left) {
            download.save(flash, None).map_err(text)?;
        }
        Ok(())
    }

    /// What may rot without taking the last image away that is known to work: everything but its slot.
    pub fn spoilable(&self) -> Vec<Region> {
        let regions = self.scheme.images().into_iter().chain(self.scheme.logs());
        regions.filter(|region| Some(*region) != self.proven).collect()
    }

    /// Runs boots until nothing is left to happen or the power is cut.
    pub fn run(&mut self) -> Result<End, String> {
        // Every image may need its trials, and a cut each some more.
        for _ in 0..60 {
            match self.boot()? {
                End::Rebooted => {}
                end => return Ok(end),
            }
        }
        Err(format!("the device does not come to rest; failures: {:?}", self.platform.failures))
    }

    /// One boot, from the bootloader until the device starts again, loses power, or has nothing to do. An error says
    /// what must never happen.
    pub fn boot(&mut self) -> Result<End, String> {
        match self.try_boot() {
            Ok(end) => Ok(end),
            Err(Stop::Cut) => Ok(End::Cut),
            Err(Stop::Broken(why)) => Err(why),
        }
    }

    fn try_boot(&mut self) -> Result<End, Stop> {
        let (region, image, mut app) = self.start()?;
        if app.is_on_trial() {
            match image.behaviour {
                Behaviour::Works => app.confirm(&mut self.flash)?,
                Behaviour::Crashes => return Ok(End::Rebooted),
                Behaviour::GivesUp => {
                    app.give_up(&mut self.flash)?;
                    return Ok(End::Rebooted);
                }
            }
        }
        self.proven = Some(region);
        self.update(&image, &mut app)
    }

    /// The bootloader's part: whatever it starts must be an image that was offered, whole.
    fn start(&mut self) -> Result<(Region, Image, App), Stop> {
        let (region, running) = match &self.scheme {
            Scheme::BootLog(layout) => ((self.bootloader)(&mut self.flash, *layout)?, None),
            Scheme::Espressif { otadata, factory, slots, .. } => {
                let started = espressif::boot(&mut self.flash, *otadata, *factory, slots);
                let running = started.map_err(Error::Flash)?.ok_or(Error::NoImage)?;
                (running.map_or(*factory, |slot| Some(slots[slot])).unwrap_or(slots[0]), running)
            }
        };
        let found = espressif::read_image(&mut self.flash, region).map_err(Error::Flash)?.unwrap_or_default();
        let Some(image) = self.platform.offered().iter().find(|image| image.bytes == found).cloned() else {
            return Err(Stop::Broken(format!("what starts from {region} is no image that was offered")));
        };
        let app = match &self.scheme {
            Scheme::BootLog(layout) => App::BootLog(BootLog::open(&mut self.flash, *layout)?),
            Scheme::Espressif { otadata, slots, .. } => {
                let running = running.map(|running| running as u8);
                let otadata = OtaData::open(&mut self.flash, *otadata, slots.len() as u8, running)?;
                App::Espressif { otadata, slots: slots.clone() }
            }
        };
        Ok((region, image, app))
    }

    /// The image's part, once it is confirmed.
    fn update(&mut self, image: &Image, app: &mut App) -> Result<End, Stop> {
        let spare = app.spare().ok_or(Error::NoSpare)?;
        let (mut download, record) = Download::open(&mut self.flash, self.scheme.journal(), &[spare])?;
        let modules = [Module { slot: spare.len, ..Module::new(DEFAULT_MODULE, &image.version) }];
        let mut updater = self.updater(&modules, record)?;
        if let Some(why) = app.rolled_back() {
            updater.handle_rolled_back(DEFAULT_MODULE, why);
        }
        self.link.clear();
        self.platform.connect();
        updater.handle_connected();
        loop {
            let mut buffer = [0; MESSAGE_SIZE];
            let step = match updater.poll(self.now, &mut buffer) {
                Output::Publish { topic, payload, acknowledged } => {
                    let message = (topic.to_string(), payload.as_bytes().to_vec());
                    if self.link.send(self.now, Way::Up, message, acknowledged) {
                        app.acknowledge(&mut self.flash)?;
                    }
                    continue;
                }
                Output::Reboot => {
                    self.pass_up(u64::MAX);
                    return Ok(End::Rebooted);
                }
                Output::Event(event) => {
                    self.note(event);
                    continue;
                }
                Output::Wait(wake) => {
                    if self.link.is_settled() {
                        updater.handle_settled();
                    }
                    match self.wait(&mut updater, wake) {
                        None => return Ok(End::Quiet),
                        Some(message) => {
                            message.map_or(Ok(()), |message| self.take(&mut updater, &mut download, &message))
                        }
                    }
                }
                // The platform offers blocks only, of one file.
                Output::Fetch { .. } | Output::Keep { .. } => continue,
                Output::Prepare { size, .. } => {
                    let done = download.prepare(&mut self.flash, spare, size);
                    done.map(|()| updater.handle_prepared()).map_err(|error| (Operation::Prepare, error))
                }
                Output::Save(record) => {
                    let done = download.save(&mut self.flash, record);
                    done.map(|()| updater.handle_saved()).map_err(|error| (Operation::Save, error))
                }
                Output::Install { size, .. } => {
                    let done = app.install(&mut self.flash, size);
                    done.map(|()| updater.handle_installed()).map_err(|error| (Operation::Install, error))
                }
                Output::Read { offset, len } => {
                    let mut data = [0; 512];
                    let done = download.read(&mut self.flash, offset, len, &mut data);
                    done.map(|len| updater.handle_read(offset, &data[..len]))
                        .map_err(|error| (Operation::Read, error))
                }
            };
            if let Err((operation, error)) = step {
                match Stop::from(error) {
                    Stop::Cut => return Err(Stop::Cut),
                    Stop::Broken(why) => updater.handle_broken(operation, &why),
                }
            }
        }
    }

    /// Lets time pass until something is to be done; a message if one came down, nothing at all if nothing will.
    fn wait(&mut self, updater: &mut Updater<'_>, wake: Option<u64>) -> Option<Option<Message>> {
        if self.link.take_broken() {
            updater.handle_disconnected();
            self.now += RECONNECT;
            self.platform.connect();
            updater.handle_connected();
            return Some(None);
        }
        if let Some(message) = self.link.receive(self.now, Way::Down) {
            return Some(Some(message));
        }
        self.now = self.now.max(wake.into_iter().chain(self.link.next()).min()?);
        self.pass_up(self.now);
        Some(None)
    }

    /// Hands the platform what has arrived there.
    fn pass_up(&mut self, until: u64) {
        while let Some((topic, payload)) = self.link.receive(until, Way::Up) {
            for answer in self.platform.receive(&topic, &payload) {
                let sure = !answer.0.ends_with("/download_reply");
                self.link.send(self.now, Way::Down, answer, sure);
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Started { .. } => self.began = self.now,
            Event::Verified => self.download = self.now - self.began,
            _ => {}
        }
    }

    fn updater<'m>(&self, modules: &'m [Module<'m>], record: Option<Record>) -> Result<Updater<'m>, Stop> {
        let named = Config::new(PRODUCT_KEY, DEVICE_NAME, modules);
        let config = Config { block: self.block, window: self.window, ..named };
        Updater::new(config, record).map_err(|bad| Stop::Broken(bad.to_string()))
    }

    fn take(
        &mut self,
        updater: &mut Updater<'_>,
        download: &mut Download,
        (topic, payload): &Message,
    ) -> Result<(), (Operation, Error<Fault>)> {
        if let Some(block) = updater.handle_message(self.now, topic, payload) {
            download
                .write(&mut self.flash, block.offset, block.data)
                .map_err(|error| (Operation::Write, error))?;
            updater.handle_written(block.offset);
        }
        Ok(())
    }
}

/// The bootloader as it should be.
fn bootloader<const UNIT: usize, const SECTOR: usize>(
    flash: &mut FaultyFlash<UNIT, SECTOR>,
    layout: Layout,
) -> Result<Region, Error<Fault>> {
    let slot = BootLog::open(flash, layout)?.boot(flash)?;
    Ok(layout.slots[slot.index()])
}

/// What an image does with what the bootloader goes by.
enum App {
    BootLog(BootLog),
    Espressif { otadata: OtaData, slots: Vec<Region> },
}

impl App {
    fn is_on_trial(&self) -> bool {
        match self {
            Self::BootLog(log) => matches!(log.running().1, State::Trial { .. }),
            Self::Espressif { otadata, .. } => otadata.is_on_trial(),
        }
    }

    fn rolled_back(&self) -> Option<String> {
        match self {
            Self::BootLog(log) => match log.running().1 {
                State::RolledBack(why) => Some(why.to_string()),
                _ => None,
            },
            Self::Espressif { otadata, .. } => {
                otadata.rolled_back().map(|slot| format!("ota_{slot} did not confirm itself"))
            }
        }
    }

    fn confirm<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        match self {
            Self::BootLog(log) => log.confirm(flash),
            Self::Espressif { otadata, .. } => otadata.confirm(flash),
        }
    }

    /// Espressif's bootloader gives up whatever was not confirmed.
    fn give_up<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        match self {
            Self::BootLog(log) => log.give_up(flash),
            Self::Espressif { .. } => Ok(()),
        }
    }

    fn acknowledge<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Error<F::Error>> {
        match self {
            Self::BootLog(log) => log.acknowledge(flash),
            Self::Espressif { otadata, .. } => otadata.acknowledge(flash),
        }
    }

    fn spare(&self) -> Option<Region> {
        match self {
            Self::BootLog(log) => log.spare(),
            Self::Espressif { otadata, slots } => otadata.spare().map(|slot| slots[usize::from(slot)]),
        }
    }

    fn install<F: NorFlash>(&mut self, flash: &mut F, size: u32) -> Result<(), Error<F::Error>> {
        match self {
            Self::BootLog(log) => log.install(flash, size),
            Self::Espressif { otadata, .. } => otadata.install(flash),
        }
    }
}
