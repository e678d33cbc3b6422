//! A device and a platform under one virtual clock: no socket, no thread, no sleeping.
#![allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)]

mod flash;
mod link;
mod platform;

pub use flash::{Cut, Flash};
pub use link::{Faults, Link, Rng};
pub use platform::{Platform, Task};

use otaru_device::{Config, Event, MESSAGE_SIZE, Module, Output, Updater};

pub const PK: &str = "a1TestPk001";
pub const DN: &str = "dev001";

/// How a boot of the device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It started again by itself.
    Rebooted,
    /// The power was cut.
    Cut,
    /// Nothing is left to happen.
    Quiet,
    /// The time given ran out.
    Time,
}

/// What the device can be made of.
#[derive(Clone, Copy, Debug)]
pub struct Knobs {
    pub block: u32,
    pub window: usize,
    pub slot: u32,
    pub save_interval: u32,
    pub http: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { block: 512, window: 2, slot: otaru_device::MAX_FILE, save_interval: 0, http: false }
    }
}

/// One device, its flash, the link and the platform.
pub struct Bench {
    pub now: u64,
    pub knobs: Knobs,
    /// Name and version of each module; an installed image changes them.
    pub versions: Vec<(String, String)>,
    pub flash: Flash,
    pub link: Link,
    pub platform: Platform,
    pub events: Vec<Event>,
    /// The most blocks that were asked for or being written at once.
    pub outstanding: usize,
    /// What was fetched over HTTP: URL and offset.
    pub fetches: Vec<(String, u32)>,
    /// The fetch under way: its id, where it is, and its end.
    fetching: Option<(u32, u32, u32)>,
    /// A fetch ends before the piece at this offset.
    pub fetch_ends: Box<dyn FnMut(u32) -> bool>,
}

impl Bench {
    pub fn new(tasks: Vec<Task>) -> Self {
        let versions = vec![("default".to_owned(), "1.0".to_owned()), ("MCU".to_owned(), "m1".to_owned())];
        Self {
            now: 1_000,
            knobs: Knobs::default(),
            versions,
            flash: Flash::default(),
            link: Link::new(1),
            platform: Platform::new(tasks),
            events: Vec::new(),
            outstanding: 0,
            fetches: Vec::new(),
            fetching: None,
            fetch_ends: Box::new(|_| false),
        }
    }

    /// Runs boots until nothing is left to happen.
    pub fn run(&mut self) {
        for _ in 0..50 {
            match self.boot(u64::MAX, &mut |_, _| {}) {
                End::Quiet => return,
                End::Time => panic!("there was no limit"),
                End::Rebooted | End::Cut => {}
            }
        }
        panic!("the device never came to rest");
    }

    /// One boot of the device, until it ends or the clock shows `until`. `meddle` may act on device and platform
    /// before each step.
    pub fn boot(&mut self, until: u64, meddle: &mut dyn FnMut(&mut Updater<'_>, &mut Bench)) -> End {
        let versions = self.versions.clone();
        let Knobs { block, window, slot, save_interval, http } = self.knobs;
        let modules: Vec<_> = versions.iter().map(|(name, version)| Module { name, version, slot }).collect();
        let config = Config { block, window, save_interval, http, ..Config::new(PK, DN, &modules) };
        let mut updater = Updater::new(config, self.flash.record()).unwrap();
        self.link.cut();
        self.fetching = None;
        updater.handle_connected();
        let mut asked = Vec::new();
        for _ in 0..1_000_000 {
            meddle(&mut updater, self);
            match self.step(&mut updater, &mut asked, until) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(Cut) => {
                    self.flash.power_on(&mut self.link.rng);
                    return End::Cut;
                }
            }
        }
        panic!("the updater never waits");
    }

    fn step(
        &mut self,
        updater: &mut Updater<'_>,
        asked: &mut Vec<u32>,
        until: u64,
    ) -> Result<Option<End>, Cut> {
        let mut buffer = [0; MESSAGE_SIZE];
        match updater.poll(self.now, &mut buffer) {
            Output::Publish { topic, payload, .. } => {
                if let Ok(request) = wire::message::BlockRequest::parse(payload.as_bytes()) {
                    asked.retain(|offset| *offset != request.offset);
                    asked.push(request.offset);
                    self.outstanding = self.outstanding.max(asked.len());
                }
                self.link.send_up(self.now, topic.to_string(), payload.as_bytes().to_vec());
            }
            Output::Prepare { size, .. } => {
                self.flash.prepare(size)?;
                updater.handle_prepared();
            }
            Output::Fetch { id, url, offset, len } => {
                self.fetches.push((url.to_owned(), offset));
                assert_eq!(self.platform.tasks[0].behind(url).len(), (offset + len) as usize);
                self.fetching = Some((id, offset, offset + len));
            }
            Output::Read { offset, len } => {
                let data = self.flash.read(offset, len.min(700));
                updater.handle_read(offset, &data);
            }
            Output::Save(record) => {
                self.flash.save(record)?;
                updater.handle_saved();
            }
            Output::Keep { file, size, .. } => {
                self.assert_recorded(size);
                self.flash.install(&format!("file {file}"), size)?;
                updater.handle_kept();
            }
            Output::Install { module, version, size } => {
                let (module, version) = (module.to_owned(), version.to_owned());
                self.assert_recorded(size);
                self.flash.install(&module, size)?;
                self.versions.iter_mut().find(|(name, _)| *name == module).unwrap().1 = version;
                updater.handle_installed();
            }
            Output::Reboot => {
                while let Some((topic, payload)) = self.link.take_up(u64::MAX) {
                    self.platform.receive(self.now, &topic, &payload);
                }
                return Ok(Some(End::Rebooted));
            }
            Output::Event(event) => self.events.push(event),
            Output::Wait(_) if self.fetching.is_some() => {
                if let Some(fetch) = self.fetching.take() {
                    self.piece(updater, fetch)?;
                }
            }
            Output::Wait(wake) => return self.wait(updater, asked, wake, until),
        }
        Ok(None)
    }

    /// At the next start bytes that no record speaks of are erased.
    fn assert_recorded(&self, size: u32) {
        assert_eq!(
            self.flash.record().map(|record| record.stored()),
            Some(size),
            "all of the file is recorded"
        );
    }

    /// The next piece of the fetch under way, which takes no time.
    fn piece(&mut self, updater: &mut Updater<'_>, (id, from, end): (u32, u32, u32)) -> Result<(), Cut> {
        if (self.fetch_ends)(from) {
            updater.handle_fetch_failed(self.now, id, "HTTP 403");
            return Ok(());
        }
        let to = end.min(from + self.knobs.block);
        let url = self.fetches.last().unwrap().0.clone();
        let piece = self.platform.tasks[0].behind(&url)[from as usize..to as usize].to_vec();
        if let Some(block) = updater.handle_fetched(id, from, &piece) {
            self.platform.served += piece.len() as u64;
            self.fetching = Some((id, to, end)).filter(|_| to < end);
            self.flash.write(block.offset, block.data)?;
            updater.handle_written(block.offset);
        }
        Ok(())
    }

    fn wait(
        &mut self,
        updater: &mut Updater<'_>,
        asked: &mut Vec<u32>,
        wake: Option<u64>,
        until: u64,
    ) -> Result<Option<End>, Cut> {
        let Some(next) = wake.into_iter().chain(self.link.next()).min() else {
            return Ok(Some(End::Quiet));
        };
        if next > until {
            self.now = until;
            return Ok(Some(End::Time));
        }
        self.now = self.now.max(next);
        while let Some((topic, payload)) = self.link.take_up(self.now) {
            for (topic, payload) in self.platform.receive(self.now, &topic, &payload) {
                self.link.send_down(self.now, topic, payload);
            }
        }
        if self.link.is_settled() {
            updater.handle_settled();
        }
        while let Some((topic, payload)) = self.link.take_down(self.now) {
            if let Some(block) = updater.handle_message(self.now, &topic, &payload) {
                self.flash.write(block.offset, block.data)?;
                asked.retain(|offset| *offset != block.offset);
                updater.handle_written(block.offset);
            }
        }
        Ok(None)
    }

    /// The steps reported for a module, in order.
    pub fn steps(&self, module: &str) -> Vec<i32> {
        self.platform.progress.iter().filter(|p| p.module == module).map(|p| p.step).collect()
    }

    /// The last description reported.
    pub fn last_desc(&self) -> &str {
        self.platform.progress.last().map_or("", |p| p.desc.as_str())
    }
}
