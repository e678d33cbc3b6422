//! The updater: what happened, and what it changes.

use core::fmt::Display;

use wire::block::{BlockHead, CODE_PARAMETER, CODE_TASK_OVER, CODE_UNKNOWN, Frame};
use wire::json::RawStr;
use wire::message::{GetReply, Id, Notice, Offer};
use wire::topic::{Kind, Topic};

use crate::config::{BadConfig, Config, DEFAULT_MODULE};
use crate::events::Events;
use crate::journal::Journal;
use crate::output::{Block, Counters, Event, Failure, Operation, Status};
use crate::pace::Pace;
use crate::record::Record;
use crate::target::{Description, Refusal, Target, describe, files_of, module_of};
use crate::text::Text;
use crate::update::{Stage, Update};
use crate::window::{Arrival, Millis};

/// The updater of one device. The crate's documentation says how it is driven.
#[derive(Debug)]
pub struct Updater<'a> {
    pub(crate) config: Config<'a>,
    pub(crate) connected: bool,
    /// Number of the last message sent.
    pub(crate) messages: u32,
    /// Number of the last fetch.
    pub(crate) fetches: u32,
    /// One bit a module: its version is still to be reported on this connection.
    pub(crate) inform: u32,
    /// One bit a module: it is to be asked for whether there is an offer. It may have come at a bad time, or be one that
    /// is not pushed.
    pub(crate) pull: u32,
    /// From when on, once that is known.
    pub(crate) pull_from: Option<Millis>,
    pub(crate) update: Option<Update>,
    pub(crate) reports: [Option<Report>; 2],
    pub(crate) journal: Journal,
    pub(crate) events: Events,
    pub(crate) counters: Counters,
    last_failure: Description,
}

/// A failure to be reported. It names its module itself, as the device may have no such module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) failure: Failure,
    pub(crate) text: Description,
    pub(crate) module: Text<64>,
    /// How far the update was, if the platform does not know yet: it is told before.
    pub(crate) reached: Option<u8>,
    /// What of it was sent on this connection.
    pub(crate) told: Told,
}

/// How much of a failure was sent. It is kept until the server has acknowledged it, as nobody else knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Reached,
    All,
}

impl<'a> Updater<'a> {
    /// An updater for this device, not connected yet. `record` is what was saved last, if anything.
    pub fn new(config: Config<'a>, record: Option<Record>) -> Result<Self, BadConfig> {
        config.check()?;
        Ok(Self {
            config,
            connected: false,
            messages: 0,
            fetches: 0,
            inform: 0,
            pull: 0,
            pull_from: None,
            update: None,
            reports: [None; 2],
            journal: Journal::new(record),
            events: Events::default(),
            counters: Counters::default(),
            last_failure: Description::new(),
        })
    }

    /// Where the running update stands; `None` if there is none.
    pub fn status(&self) -> Option<Status<'_>> {
        self.update.as_ref().map(|update| Status {
            module: self.config.modules[update.target.module].name,
            version: update.target.version.as_str(),
            file: update.target.part.file,
            size: update.target.size,
            stored: update.stored(),
            percent: update.percent(),
        })
    }

    /// Why the last update failed or the last offer was refused, as it is told to the platform.
    pub fn last_failure(&self) -> &str {
        self.last_failure.as_str()
    }

    /// What came in and was of no use.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// At this start the device found that it is back on the image before: the platform is told so at the next
    /// connection, before it hears the version.
    pub fn handle_rolled_back(&mut self, module: &str, why: impl Display) {
        let text = describe(format_args!("rolled back: {why}"));
        self.report(Failure::Upgrade, text, Text::of(module), None);
    }

    /// The server took the connection.
    pub fn handle_connected(&mut self) {
        self.connected = true;
        self.inform = self.all();
        self.pull();
        self.pull_from = None;
    }

    /// Asks for offers that are not pushed, as soon as no update is under way. Some seconds after every connect it is
    /// done anyway, for the modules of which none was pushed by then.
    pub fn pull(&mut self) {
        self.pull = self.all();
    }

    /// One bit for each module.
    fn all(&self) -> u32 {
        u32::MAX >> (u32::BITS as usize - self.config.modules.len())
    }

    /// The server has acknowledged all that was published to be acknowledged. To be said whenever it is so, at least
    /// before [`Updater::handle_disconnected`]: a failure of which this was not said is told again on the next
    /// connection.
    pub fn handle_settled(&mut self) {
        for slot in &mut self.reports {
            slot.take_if(|report| report.told == Told::All);
        }
    }

    /// The connection is gone. What was under way goes on at the next one.
    pub fn handle_disconnected(&mut self) {
        self.connected = false;
        self.reports.iter_mut().flatten().for_each(|report| report.told = Told::Nothing);
        if let Some(Update { stage: Stage::Fetching(window), .. }) = &mut self.update {
            window.forget_replies();
        }
    }

    /// A message came. If it carries a block that is wanted, its bytes are to be written to the slot.
    pub fn handle_message<'p>(&mut self, now: Millis, topic: &str, payload: &'p [u8]) -> Option<Block<'p>> {
        match self.kind_of(topic)? {
            Kind::Upgrade | Kind::Request => match Notice::parse(payload) {
                Ok(notice) => self.handle_offer(notice.offer()),
                Err(_) => self.counters.malformed += 1,
            },
            Kind::FirmwareGetReply => match GetReply::parse(payload) {
                Ok(reply) => reply.offered().into_iter().for_each(|offer| self.handle_offer(offer)),
                Err(_) => self.counters.malformed += 1,
            },
            Kind::FileDownloadReply => return self.handle_frame(now, payload),
            _ => {}
        }
        None
    }

    /// A message of `len` bytes came to this topic and did not fit into a receive buffer of `room` bytes. If it was a
    /// notice, the platform is told; of which module it was nobody knows, so it is told of the first.
    pub fn handle_too_long(&mut self, topic: &str, len: usize, room: usize) {
        match self.kind_of(topic) {
            None => {}
            Some(Kind::FileDownloadReply) => self.counters.malformed += 1,
            Some(_) => {
                let text =
                    describe(format_args!("a notice of {len} bytes came, the device can receive {room}"));
                let module = Text::of(self.config.modules[0].name);
                self.refuse(Refusal { failure: Failure::Upgrade, text }, module);
            }
        }
    }

    /// What comes on this topic, if it is one on which updates come to this device.
    fn kind_of(&self, topic: &str) -> Option<Kind> {
        let Config { product_key, device_name, .. } = self.config;
        let kinds = [Kind::FileDownloadReply, Kind::Upgrade, Kind::FirmwareGetReply, Kind::Request];
        kinds.into_iter().find(|kind| Topic::new(*kind, product_key, device_name).is_written(topic))
    }

    /// [`crate::Output::Prepare`] is done.
    pub fn handle_prepared(&mut self) {
        if let Some(update) = &mut self.update
            && let Stage::Preparing { asked: true } = update.stage
        {
            update.stage = update.fetching(&self.config, 0);
        }
    }

    /// The block at this offset is written. It need not be durable before the next [`crate::Output::Save`] is done.
    pub fn handle_written(&mut self, offset: u32) {
        let Some(update) = &mut self.update else { return };
        match &mut update.stage {
            Stage::Fetching(window) => window.written(offset),
            Stage::Streaming(stream) => stream.written(offset),
            _ => return,
        }
        self.journal.wanted = update.record();
        update.check_if_complete();
    }

    /// This is a piece of the file that [`crate::Output::Fetch`] asked for. It is to be written before the next one is
    /// handed over. If nothing is returned, this fetch is of no use any more: it is to be ended.
    pub fn handle_fetched<'p>(&mut self, id: u32, offset: u32, data: &'p [u8]) -> Option<Block<'p>> {
        if let Some(Update { stage: Stage::Streaming(stream), .. }) = &mut self.update
            && stream.arrived(id, offset, data.len())
        {
            return Some(Block { offset, data });
        }
        self.counters.unwanted += 1;
        None
    }

    /// The fetch with this id ended before the end of the file. It is begun again after a while, up to five times in a
    /// row; the platform is asked for a fresh URL meanwhile, as they expire.
    pub fn handle_fetch_failed(&mut self, now: Millis, id: u32, why: impl Display) {
        let Some(update) = &mut self.update else { return };
        let Stage::Streaming(stream) = &mut update.stage else { return };
        if !stream.is_under_way(id) {
            return;
        }
        if stream.failed(now, chance(self.config.device_name, id)) {
            self.pull |= 1 << update.target.module;
        } else {
            self.fail(Failure::Download, describe(format_args!("the file cannot be fetched: {why}")));
        }
    }

    /// These are the bytes of the slot at this offset, as asked for by [`crate::Output::Read`].
    pub fn handle_read(&mut self, offset: u32, data: &[u8]) {
        let Some(update) = &mut self.update else { return };
        let Stage::Verifying(check) = &mut update.stage else { return };
        if !check.reading || check.offset != offset {
            return;
        }
        if data.is_empty() {
            return self.fail(
                Failure::Burn,
                describe(format_args!("the slot holds fewer bytes than were written to it")),
            );
        }
        check.reading = false;
        check.take(data, update.target.size);
        if check.offset < update.target.size {
            return;
        }
        if !check.hasher.clone().matches(&update.target.digest) {
            return self
                .fail(Failure::Verify, describe(format_args!("the file's digest is not the one announced")));
        }
        update.stage = if update.target.part.is_last() {
            Stage::Installing { asked: false }
        } else {
            Stage::Keeping { asked: false }
        };
        self.journal.hurry();
        self.events.push(Event::Verified);
    }

    /// [`crate::Output::Keep`] is done.
    pub fn handle_kept(&mut self) {
        if let Some(update) = &mut self.update
            && let Stage::Keeping { asked: true } = update.stage
        {
            update.stage = Stage::Next { at: 0, asked: 0 };
        }
    }

    /// The record of the last [`crate::Output::Save`] is durable.
    pub fn handle_saved(&mut self) {
        self.journal.done();
    }

    /// [`crate::Output::Install`] is done.
    pub fn handle_installed(&mut self) {
        if let Some(update) = &mut self.update
            && let Stage::Installing { asked: true } = update.stage
        {
            update.stage = Stage::Installed;
            self.journal.wanted = None;
            self.events.push(Event::Installed);
        }
    }

    /// A storage operation failed; `why` goes into the report. The running update fails with -4, unless it is
    /// installed already.
    pub fn handle_broken(&mut self, operation: Operation, why: &str) {
        if operation == Operation::Save {
            self.journal.broke();
        }
        if self
            .update
            .as_ref()
            .is_some_and(|update| !matches!(update.stage, Stage::Installed | Stage::Rebooting))
        {
            self.fail(Failure::Burn, describe(format_args!("{operation}: {why}")));
        }
    }

    /// The device itself gives up the running update, for a reason of its own that is reported as `why`. `false` if
    /// there is none, or if it is too late.
    pub fn abandon(&mut self, failure: Failure, why: &str) -> bool {
        let possible = self.update.as_ref().is_some_and(|update| !update.is_committed());
        if possible {
            self.fail(failure, describe(format_args!("{why}")));
        }
        possible
    }

    /// Ends the running update and has that reported. What is stored of the file is kept for the next attempt, unless
    /// it is the cause.
    pub(crate) fn fail(&mut self, failure: Failure, text: Description) {
        let Some(update) = self.update.take() else { return };
        if matches!(failure, Failure::Verify | Failure::Burn) {
            self.journal.wanted = None;
        }
        let module = Text::of(self.config.modules[update.target.module].name);
        let reached = Some(update.percent()).filter(|percent| update.pace.wake(*percent).is_some());
        self.report(failure, text, module, reached);
        self.events.push(Event::Failed(failure));
    }

    /// Has a failure reported. If there are too many, the one that was told is forgotten, or else this one.
    fn report(&mut self, failure: Failure, text: Description, module: Text<64>, reached: Option<u8>) {
        self.last_failure = text;
        let free = |slot: &&mut Option<Report>| slot.as_ref().is_none_or(|report| report.told == Told::All);
        if let Some(free) = self.reports.iter_mut().find(free) {
            *free = Some(Report { failure, text, module, reached, told: Told::Nothing });
        }
    }

    fn handle_offer(&mut self, offer: &Offer<'_>) {
        let Some(module) = module_of(offer, &self.config) else {
            let name = Text::of(offer.module.unwrap_or(DEFAULT_MODULE));
            let text = describe(format_args!("the device has no module {name}"));
            return self.refuse(Refusal { failure: Failure::Upgrade, text }, name);
        };
        self.pull &= !(1 << module);
        if offer.version.eq_str(self.config.modules[module].version) {
            self.inform |= 1 << module;
            self.cancel_if(|update| update.target.module == module && !update.is_committed());
            return;
        }
        match Target::of(offer, module, &self.config, self.file_of(offer, module)) {
            Ok(target) => self.take(target),
            Err(refusal) => {
                self.cancel_if(|update| update.target.module == module && update.is_between_files());
                self.refuse(refusal, Text::of(self.config.modules[module].name));
            }
        }
    }

    /// Ends the running update without a report if it is such a one: the platform does not want it any more.
    pub(crate) fn cancel_if(&mut self, is_over: impl FnOnce(&Update) -> bool) {
        if self.update.take_if(|update| is_over(update)).is_some() {
            self.events.push(Event::Cancelled);
        }
    }

    /// Which file of this offer is due: the one that is on its way or follows the one that was kept, or after a start
    /// the one that the record names.
    fn file_of(&self, offer: &Offer<'_>, module: usize) -> usize {
        match &self.update {
            Some(update)
                if update.target.module == module && offer.version.eq_str(update.target.version.as_str()) =>
            {
                usize::from(update.target.part.file) + usize::from(matches!(update.stage, Stage::Next { .. }))
            }
            _ => {
                let Some(record) = self.journal.wanted else { return 0 };
                let named = |index: &usize| {
                    let target = Target::of(offer, module, &self.config, *index);
                    target.is_ok_and(|target| target.fingerprint == record.file)
                };
                // The first is what is taken anyway.
                (1..files_of(offer)).find(named).unwrap_or(0)
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, module: Text<64>) {
        let Refusal { failure, text } = refusal;
        self.report(failure, text, module, None);
        self.events.push(Event::Refused(failure));
    }

    /// Starts fetching this file, unless that is what is being done.
    fn take(&mut self, target: Target) {
        let next_request = self.messages.wrapping_add(1);
        match &mut self.update {
            Some(update) if update.target.fingerprint == target.fingerprint => {
                update.renew(&target, &self.config, next_request)
            }
            Some(update)
                if update.is_committed()
                    || update.target.module != target.module && !update.is_between_files() =>
            {
                self.pull |= 1 << target.module;
            }
            _ => self.start(target),
        }
    }

    fn start(&mut self, target: Target) {
        self.journal.retry();
        // The platform has gone on: told again, a failure would count for this update.
        self.handle_settled();
        let known = self
            .journal
            .wanted
            .filter(|record| record.file == target.fingerprint && (1..=target.size).contains(&record.stored));
        let from = known.map_or(0, |record| record.stored);
        let first_request = self.messages.wrapping_add(1);
        let mut update = Update { target, stage: Stage::Clearing, pace: Pace::default(), first_request };
        if from > 0 {
            update.stage = update.fetching(&self.config, from);
        }
        self.journal.wanted = known;
        update.check_if_complete();
        self.update = Some(update);
        self.events.push(Event::Started { from });
    }

    fn handle_frame<'p>(&mut self, now: Millis, payload: &'p [u8]) -> Option<Block<'p>> {
        match Frame::parse(payload) {
            Ok(Frame::Block { head, data }) => return self.handle_block(now, &head, data),
            Ok(Frame::Error { code, msg, id, .. }) => self.handle_refused_block(now, code, msg, id),
            Err(_) => self.counters.malformed += 1,
        }
        None
    }

    fn handle_block<'p>(&mut self, now: Millis, head: &BlockHead<'_>, data: &'p [u8]) -> Option<Block<'p>> {
        let number = number(head.id);
        let messages = self.messages;
        let wanted =
            self.update.as_mut().filter(|update| update.asked_for(head.file_token, number, messages));
        let Some(Update { stage: Stage::Fetching(window), target, .. }) = wanted else {
            self.counters.unwanted += 1;
            return None;
        };
        let (announced, served) = (target.size, u32::try_from(head.file_length).unwrap_or(u32::MAX));
        if u64::from(announced) != head.file_length {
            let text = format_args!("the file has {served} bytes, the notice announced {announced}");
            self.fail(Failure::Verify, describe(text));
            return None;
        }
        match window.arrived(now, head.offset, head.size, number) {
            Arrival::Wanted => Some(Block { offset: head.offset, data }),
            Arrival::Unwanted => {
                self.counters.unwanted += 1;
                None
            }
        }
    }

    /// The server does not give a block (docs/protocol.md 6.2, error codes).
    fn handle_refused_block(&mut self, now: Millis, code: i32, msg: RawStr<'_>, id: Id<'_>) {
        let Some(number) = number(id) else { return };
        let messages = self.messages;
        let Some(update) =
            self.update.as_mut().filter(|update| update.asked_for(None, Some(number), messages))
        else {
            return;
        };
        let Stage::Fetching(window) = &mut update.stage else { return };
        let chance = chance(self.config.device_name, number);
        match u16::try_from(code) {
            Ok(CODE_TASK_OVER) => self.cancel_if(|_| true),
            Ok(CODE_UNKNOWN | CODE_PARAMETER) => {
                self.fail(
                    Failure::Download,
                    describe(format_args!("the server refuses a block: {code} {msg}")),
                );
            }
            _ => window.put_off(now, number, chance),
        }
    }
}

/// The number of the message that is answered, if the id is one of ours at all.
fn number(id: Id<'_>) -> Option<u32> {
    id.raw().parse().ok()
}

/// A wait, and up to half as long again, by `chance` of 256: not all devices of a fleet should come back at once.
pub(crate) fn spread(wait: Millis, chance: u8) -> Millis {
    wait + wait * Millis::from(chance) / 512
}

/// A number that differs from device to device and from request to request (FNV-1a).
pub(crate) fn chance(device_name: &str, request: u32) -> u8 {
    let bytes = device_name.bytes().chain(request.to_le_bytes());
    let hash = bytes.fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash >> 24) as u8
}
