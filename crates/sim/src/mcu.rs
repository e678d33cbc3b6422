//! A part behind a serial line, such as a microcontroller: with a loader, applications, a reset and a power plug.

use std::cell::RefCell;
use std::rc::Rc;

use device::flash::Region;
use device::mcu::{Application, FRAME_SIZE, FlashStore, Loader, Store as _};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::flash::{Fault, FaultyFlash};
use crate::rng::Rng;

/// Bytes of a sector of the part's flash.
const SECTOR: usize = 1024;
const LOG: Region = Region { start: 0, len: 2 * SECTOR as u32 };
const SLOT: Region = Region { start: LOG.len, len: 256 * SECTOR as u32 };

/// Milliseconds that a part takes to start.
const START: u64 = 50;

/// The flash of a part, also when the part is off.
#[derive(Clone)]
pub struct Chip(Rc<RefCell<FaultyFlash<8, SECTOR>>>);

impl Chip {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(FaultyFlash::new(SLOT.end()))))
    }

    /// Looks at the flash, or spoils it.
    pub fn with<T>(&self, look: impl FnOnce(&mut FaultyFlash<8, SECTOR>) -> T) -> T {
        look(&mut self.0.borrow_mut())
    }
}

impl ErrorType for Chip {
    type Error = Fault;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 8;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        self.0.borrow_mut().read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().capacity()
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.0.borrow_mut().erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.0.borrow_mut().write(offset, bytes)
    }
}

/// An image of this many bytes, whose application says that it is of this version.
pub fn image(version: &str, size: u32) -> Vec<u8> {
    let mut rng = Rng::new(version.bytes().map(u64::from).sum());
    let mut bytes: Vec<u8> = (0..size).map(|_| rng.byte()).collect();
    bytes[..version.len()].copy_from_slice(version.as_bytes());
    bytes[version.len()] = 0;
    bytes
}

enum Runs {
    /// Off until this time.
    Nothing(u64),
    Loader(Box<Loader<FlashStore<Chip>>>),
    Application(Box<Application>),
}

/// A part that starts, resets and loses its power. Times are milliseconds.
pub struct Part {
    chip: Chip,
    runs: Runs,
    /// What its application has told the loader; a reset leaves it alone, a power cut does not.
    stay: bool,
    requests: u64,
    cut: Option<u64>,
    /// Images that may be started.
    good: Vec<Vec<u8>>,
    started: Vec<String>,
}

impl Part {
    /// An empty part, off.
    ///
    /// # Panics
    ///
    /// Later, if it starts anything but one of these images.
    pub fn new(good: &[Vec<u8>]) -> Self {
        let (chip, good) = (Chip::new(), good.to_vec());
        Self { chip, runs: Runs::Nothing(0), stay: false, requests: 0, cut: None, good, started: vec![] }
    }

    /// Its flash.
    pub fn chip(&self) -> &Chip {
        &self.chip
    }

    /// Requests that came whole since it was made.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The versions that it has started, in order.
    pub fn started(&self) -> &[String] {
        &self.started
    }

    /// Cuts the power when so many requests have come.
    pub fn cut_after(&mut self, requests: u64) {
        self.cut = Some(requests);
    }

    /// Switches it off until this time.
    pub fn switch_off(&mut self, until: u64) {
        (self.stay, self.runs) = (false, Runs::Nothing(until));
    }

    /// Takes what came on the line; what it sends.
    pub fn tick(&mut self, now: u64, bytes: &[u8]) -> Vec<u8> {
        if let Runs::Nothing(until) = self.runs {
            if now >= until {
                self.runs = self.start().unwrap_or(Runs::Nothing(now + START));
            }
            return Vec::new();
        }
        let (mut sent, mut out) = (Vec::new(), [0; FRAME_SIZE]);
        for byte in bytes {
            let answer = match &mut self.runs {
                Runs::Loader(loader) => loader.take(*byte, &mut out),
                Runs::Application(application) => application.take(*byte, &mut out),
                Runs::Nothing(_) => None,
            };
            let Some(answer) = answer else { continue };
            self.requests += 1;
            let dead = self.chip.read(0, &mut [0; 8]) == Err(Fault::Cut);
            if dead || self.cut == Some(self.requests) {
                self.switch_off(now + START);
                return sent;
            }
            sent.extend(answer);
        }
        let restarts = match &self.runs {
            Runs::Application(application) => application.is_update_wanted(),
            Runs::Loader(loader) => loader.is_done(),
            Runs::Nothing(_) => false,
        };
        if restarts {
            self.stay = matches!(self.runs, Runs::Application(_));
            self.runs = Runs::Nothing(now + START);
        }
        sent
    }

    /// Switches it on; `None` if the power goes again at once.
    fn start(&mut self) -> Option<Runs> {
        self.chip.with(FaultyFlash::power_on);
        let store = FlashStore::open(self.chip.clone(), LOG, SLOT).ok()?;
        let loader = if self.stay { Loader::stay(store) } else { Loader::new(store) };
        if !loader.is_done() {
            return Some(Runs::Loader(Box::new(loader)));
        }
        let mut store = loader.into_store();
        let running = self.good.iter().find(|image| holds(&mut store, image));
        let image = running.unwrap_or_else(|| panic!("the part starts an image that nobody offered"));
        let version = image.split(|byte| *byte == 0).next().unwrap_or_default();
        let version = String::from_utf8_lossy(version).into_owned();
        self.started.push(version.clone());
        Some(Runs::Application(Box::new(Application::new(version))))
    }
}

fn holds(store: &mut FlashStore<Chip>, image: &[u8]) -> bool {
    let mut buffer = [0; 256];
    image.chunks(buffer.len()).enumerate().all(|(index, wanted)| {
        let part = &mut buffer[..wanted.len()];
        store.read(index as u32 * 256, part).is_ok() && part == wanted
    })
}

/// A serial line that loses and changes bytes.
pub struct Line {
    rng: Rng,
    bad: u64,
}

impl Line {
    /// A line that loses `bad` of 20 000 bytes and changes as many.
    pub fn new(seed: u64, bad: u64) -> Self {
        Self { rng: Rng::new(seed), bad }
    }

    /// What arrives of these bytes.
    pub fn carry(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut carried = Vec::new();
        for byte in bytes {
            match self.rng.below(20_000) {
                lost if lost < self.bad => {}
                changed if changed < 2 * self.bad => carried.push(byte ^ 1 << self.rng.below(8)),
                _ => carried.push(*byte),
            }
        }
        carried
    }
}
