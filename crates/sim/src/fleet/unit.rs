//! One device.

use device::{Config, DEFAULT_MODULE, MESSAGE_SIZE, Module, Operation, Output, Record, Updater};

use super::Fate;
use crate::Message;

/// The product of every unit.
pub const PRODUCT_KEY: &str = "a1TestPk001";
/// The version that units are to be brought to.
pub const TARGET: &str = "2.0.0";

const OLD: &[Module<'static>] = &[Module::new(DEFAULT_MODULE, "1.0.0")];
const NEW: &[Module<'static>] = &[Module::new(DEFAULT_MODULE, TARGET)];
const STRANGE: &[Module<'static>] = &[Module::new(DEFAULT_MODULE, "1.9.9-strange")];

/// A message to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Topic and payload.
    pub message: Message,
    /// Whether it is to be acknowledged (QoS 1).
    pub acknowledged: bool,
}

/// What a unit did when it was given time.
#[derive(Debug, Default)]
pub struct Polled {
    /// What it publishes, in this order.
    pub publishes: Vec<Publish>,
    /// When it wants time again, if nothing comes before.
    pub wake: Option<u64>,
    /// It goes down to start anew.
    pub reboots: bool,
}

/// One device: an updater while it is up, and what outlives that.
pub struct Unit<'a> {
    name: &'a str,
    fate: Fate,
    runs: &'static [Module<'static>],
    boots_into: &'static [Module<'static>],
    updater: Option<Updater<'a>>,
    slot: Vec<u8>,
    record: Option<Record>,
    prepared: u32,
    bricked: bool,
}

impl<'a> Unit<'a> {
    /// A device on its first version, switched off.
    pub fn new(name: &'a str, fate: Fate) -> Self {
        let (slot, updater, record) = (Vec::new(), None, None);
        Self { name, fate, runs: OLD, boots_into: OLD, updater, slot, record, prepared: 0, bricked: false }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What becomes of it.
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// The version it runs.
    pub fn version(&self) -> &'static str {
        self.runs[0].version
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.updater.is_some()
    }

    /// It starts, with what it had stored. Not possible for a brick.
    pub fn boot(&mut self) {
        if self.bricked {
            return;
        }
        self.runs = self.boots_into;
        let config = Config { block: 512, ..Config::new(PRODUCT_KEY, self.name, self.runs) };
        self.updater = Updater::new(config, self.record).ok();
    }

    /// The power is gone, and with it what was in memory.
    pub fn cut(&mut self) {
        self.updater = None;
    }

    /// The platform took its connection.
    pub fn connected(&mut self) {
        if let Some(updater) = &mut self.updater {
            updater.handle_connected();
        }
    }

    /// All that it sent to be acknowledged is.
    pub fn settled(&mut self) {
        if let Some(updater) = &mut self.updater {
            updater.handle_settled();
        }
    }

    /// Its connection is gone.
    pub fn disconnected(&mut self) {
        if let Some(updater) = &mut self.updater {
            updater.handle_disconnected();
        }
    }

    /// A message came.
    pub fn message(&mut self, now: u64, topic: &str, payload: &[u8]) {
        let Some(updater) = self.updater.as_mut().filter(|_| self.fate != Fate::Deaf) else { return };
        if let Some(block) = updater.handle_message(now, topic, payload) {
            let at = block.offset as usize;
            self.slot[at..at + block.data.len()].copy_from_slice(block.data);
            updater.handle_written(block.offset);
        }
    }

    /// Gives it time until it waits or goes down.
    pub fn poll(&mut self, now: u64) -> Polled {
        let mut polled = Polled::default();
        let mut buffer = [0; MESSAGE_SIZE];
        while let Some(updater) = &mut self.updater {
            match updater.poll(now, &mut buffer) {
                Output::Publish { topic, payload, acknowledged } => polled.publishes.push(Publish {
                    message: (topic.to_string(), payload.as_bytes().to_vec()),
                    acknowledged,
                }),
                Output::Prepare { size, .. } => {
                    self.prepared += 1;
                    if self.fate.erases(self.prepared) {
                        self.slot = vec![0xFF; size as usize];
                        updater.handle_prepared();
                    } else {
                        updater.handle_broken(Operation::Prepare, "the flash does not erase");
                    }
                }
                Output::Read { offset, len } => {
                    updater.handle_read(offset, &self.slot[offset as usize..(offset + len) as usize]);
                }
                Output::Save(record) => {
                    self.record = record;
                    updater.handle_saved();
                }
                Output::Install { version, .. } => {
                    assert_eq!(version, TARGET, "nobody offered {version}");
                    self.boots_into = match self.fate {
                        Fate::FallsBack => self.runs,
                        Fate::Strange => STRANGE,
                        _ => NEW,
                    };
                    updater.handle_installed();
                }
                Output::Reboot => {
                    self.bricked = self.fate == Fate::Bricked;
                    self.updater = None;
                    polled.reboots = true;
                }
                // Files come in blocks here.
                Output::Event(_) | Output::Fetch { .. } | Output::Keep { .. } => {}
                Output::Wait(wake) => {
                    polled.wake = wake;
                    return polled;
                }
            }
        }
        polled
    }
}
