//! What the updater wants done next.

use wire::Emit;
use wire::json::RawStr;
use wire::message::{BlockRequest, Get, Id, Inform, Progress};
use wire::topic::{Kind, Topic};

use crate::config::DEFAULT_MODULE;
use crate::output::{Event, Failure, MESSAGE_SIZE, Output};
use crate::record::Record;
use crate::stream::Fetch;
use crate::target::{Origin, describe};
use crate::text::Text;
use crate::update::{Stage, Update};
use crate::updater::{Report, Told, Updater};
use crate::window::{Ask, Millis, Patience};

/// Milliseconds until the next file of a package is asked for again, and how often it is.
const NEXT_AGAIN: Millis = 30_000;
const NEXT_ASKS: u8 = 10;

/// Milliseconds after a connect until offers are asked for that were not pushed. A notice comes sooner: an offer that is
/// refused should not be refused twice.
const PULL: Millis = 5_000;

/// For how many times the longest wait for a reply a block is asked for before the download fails.
const WAITS: Millis = 6;

/// An output before its message is written.
#[derive(Debug)]
enum Step {
    Event(Event),
    Reached(u8, Text<64>),
    Report(Report),
    Inform(usize),
    Progress(u8),
    Get(usize),
    Ask(Ask),
    Fetch(Fetch),
    Save(Option<Record>),
    Prepare,
    Read { offset: u32, len: u32 },
    Keep,
    Install,
    Reboot,
    Wait(Option<Millis>),
}

impl Updater<'_> {
    /// The next thing to do. To be called until it is [`Output::Wait`]; a message is written into `buffer`.
    pub fn poll<'o>(&'o mut self, now: Millis, buffer: &'o mut [u8; MESSAGE_SIZE]) -> Output<'o> {
        let step = self.step(now);
        if let Step::Reached(..)
        | Step::Report(_)
        | Step::Inform(_)
        | Step::Progress(_)
        | Step::Get(_)
        | Step::Ask(_) = step
        {
            self.messages = self.messages.wrapping_add(1);
        }
        match step {
            Step::Event(event) => Output::Event(event),
            Step::Reached(percent, module) => {
                self.publish_step(percent.into(), "downloading", module.as_str(), buffer)
            }
            Step::Report(report) => self.report_failure(&report, buffer),
            Step::Inform(module) => self.publish_inform(module, buffer),
            Step::Progress(percent) => self.publish_progress(percent, buffer),
            Step::Get(module) => self.publish_get(module, buffer),
            Step::Ask(ask) => self.publish_request(ask, buffer),
            Step::Fetch(Fetch { id, offset, len }) => {
                match self.update.as_ref().map(|update| &update.target.origin) {
                    Some(Origin::Url(url)) => Output::Fetch { id, url: url.as_str(), offset, len },
                    _ => Output::Wait(Some(now)),
                }
            }
            Step::Save(record) => Output::Save(record),
            Step::Read { offset, len } => Output::Read { offset, len },
            Step::Reboot => Output::Reboot,
            Step::Wait(until) => Output::Wait(until),
            Step::Prepare => match self.status() {
                Some(status) => {
                    Output::Prepare { module: status.module, file: status.file, size: status.size }
                }
                None => Output::Wait(Some(now)),
            },
            Step::Keep => match self.status() {
                Some(status) => Output::Keep { module: status.module, file: status.file, size: status.size },
                None => Output::Wait(Some(now)),
            },
            Step::Install => match self.status() {
                Some(status) => {
                    Output::Install { module: status.module, version: status.version, size: status.size }
                }
                None => Output::Wait(Some(now)),
            },
        }
    }

    fn step(&mut self, now: Millis) -> Step {
        if let Some(event) = self.events.pop() {
            return Step::Event(event);
        }
        let said = if self.connected { self.say(now) } else { None };
        let interval = self.config.save_interval;
        said.or_else(|| self.journal.save(now, interval).map(Step::Save))
            .or_else(|| self.store())
            .or_else(|| if self.connected { self.ask(now) } else { None })
            .or_else(|| self.fetch(now))
            .unwrap_or_else(|| Step::Wait(self.wake(now)))
    }

    /// What is to be reported. Failures go before versions: a version report can bring the same offer again.
    fn say(&mut self, now: Millis) -> Option<Step> {
        if let Some(report) = self.reports.iter_mut().flatten().find(|report| report.told != Told::All) {
            if let (Some(percent), Told::Nothing) = (report.reached, report.told) {
                report.told = Told::Reached;
                return Some(Step::Reached(percent, report.module));
            }
            report.told = Told::All;
            return Some(Step::Report(*report));
        }
        if let Some(module) = first_bit(self.inform) {
            self.inform &= !(1 << module);
            return Some(Step::Inform(module));
        }
        let update = self.update.as_mut()?;
        let percent = update.percent();
        update.pace.report(now, percent).then_some(Step::Progress(percent))
    }

    /// What is to be done to the storage, the record aside. A file goes out of the updater's hands once its record is
    /// durable: at the next start bytes that no record speaks of are erased.
    fn store(&mut self) -> Option<Step> {
        let update = self.update.as_mut()?;
        match &mut update.stage {
            Stage::Clearing if self.journal.is_clear() => {
                update.stage = Stage::Preparing { asked: true };
                Some(Step::Prepare)
            }
            Stage::Verifying(check) if !check.reading => {
                check.reading = true;
                Some(Step::Read { offset: check.offset, len: update.target.size - check.offset })
            }
            Stage::Keeping { asked } if !*asked && self.journal.is_settled() => {
                *asked = true;
                Some(Step::Keep)
            }
            Stage::Installing { asked } if !*asked && self.journal.is_settled() => {
                *asked = true;
                Some(Step::Install)
            }
            Stage::Installed if self.journal.is_settled() => {
                update.stage = Stage::Rebooting;
                Some(Step::Reboot)
            }
            _ => None,
        }
    }

    /// What is to be asked of the server.
    fn ask(&mut self, now: Millis) -> Option<Step> {
        let pull_from = *self.pull_from.get_or_insert(now + PULL);
        let wanted = match &self.update {
            None if pull_from > now => 0,
            None => self.pull,
            // A failed fetch wants a fresh URL.
            Some(Update { stage: Stage::Streaming(_), target, .. }) => self.pull & 1 << target.module,
            Some(_) => 0,
        };
        if let Some(Update { stage: Stage::Next { at, asked }, target, .. }) = &mut self.update
            && *at <= now
        {
            if *asked < NEXT_ASKS {
                (*at, *asked) = (now + NEXT_AGAIN, *asked + 1);
                return Some(Step::Get(target.module));
            }
            self.cancel_if(|_| true);
            return self.events.pop().map(Step::Event);
        }
        if let Some(module) = first_bit(wanted) {
            self.pull &= !(1 << module);
            return Some(Step::Get(module));
        }
        let Some(Update { stage: Stage::Fetching(window), .. }) = &mut self.update else { return None };
        let reply = Millis::from(self.config.reply_timeout);
        let patience = Patience { reply, block: WAITS * reply };
        match window.ask(now, self.messages.wrapping_add(1), patience) {
            Ok(None) => None,
            Ok(Some(ask)) => {
                self.counters.repeated += u32::from(ask.again);
                Some(Step::Ask(ask))
            }
            Err(stalled) => {
                let (offset, seconds) =
                    (stalled.offset, self.config.reply_timeout.saturating_mul(WAITS as u32) / 1000);
                let text = format_args!("the block at {offset} did not come within {seconds} s");
                self.fail(Failure::Download, describe(text));
                None
            }
        }
    }

    /// What is to be fetched over HTTP, also while there is no connection.
    fn fetch(&mut self, now: Millis) -> Option<Step> {
        let Some(Update { stage: Stage::Streaming(stream), .. }) = &mut self.update else { return None };
        let fetch = stream.fetch(now, self.fetches.wrapping_add(1))?;
        self.fetches = fetch.id;
        Some(Step::Fetch(fetch))
    }

    fn wake(&self, now: Millis) -> Option<Millis> {
        if !self.events.is_empty() {
            return Some(now);
        }
        let talk = self.update.as_ref().filter(|_| self.connected).and_then(|update| {
            let progress = update.pace.wake(update.percent());
            let block = match &update.stage {
                Stage::Fetching(window) => window.wake(),
                Stage::Next { at, .. } => Some(*at),
                _ => None,
            };
            progress.into_iter().chain(block).min()
        });
        let fetch = self.update.as_ref().and_then(|update| match &update.stage {
            Stage::Streaming(stream) => stream.wake(),
            _ => None,
        });
        let pull =
            if self.connected && self.pull != 0 && self.update.is_none() { self.pull_from } else { None };
        talk.into_iter().chain(fetch).chain(pull).chain(self.journal.wake()).min()
    }

    fn report_failure<'o>(&'o self, report: &Report, buffer: &'o mut [u8; MESSAGE_SIZE]) -> Output<'o> {
        let (step, desc, module) = (report.failure.step(), report.text.as_str(), report.module.as_str());
        self.publish_step(step, desc, module, buffer)
    }

    fn publish_progress<'o>(&'o self, percent: u8, buffer: &'o mut [u8; MESSAGE_SIZE]) -> Output<'o> {
        let desc = match self.update.as_ref().map(|update| &update.stage) {
            Some(Stage::Verifying(_)) => "verifying",
            Some(Stage::Installing { .. }) => "installing",
            Some(Stage::Installed | Stage::Rebooting) => "restarting",
            _ => "downloading",
        };
        let module = self.status().map_or(DEFAULT_MODULE, |status| status.module);
        self.publish_step(percent.into(), desc, module, buffer)
    }

    fn publish_step<'o>(
        &'o self,
        step: i32,
        desc: &str,
        module: &str,
        buffer: &'o mut [u8; MESSAGE_SIZE],
    ) -> Output<'o> {
        let mut digits = [0; 10];
        let id = Id::decimal(self.messages, &mut digits);
        let desc = RawStr::plain(desc).unwrap_or_default();
        self.publish(Kind::Progress, &Progress { id, step, desc, module: named(module) }, true, buffer)
    }

    fn publish_inform<'o>(&'o self, module: usize, buffer: &'o mut [u8; MESSAGE_SIZE]) -> Output<'o> {
        let module = &self.config.modules[module];
        let mut digits = [0; 10];
        let id = Id::decimal(self.messages, &mut digits);
        let version = RawStr::plain(module.version).unwrap_or_default();
        self.publish(Kind::Inform, &Inform { id, version, module: named(module.name) }, true, buffer)
    }

    fn publish_get<'o>(&'o self, module: usize, buffer: &'o mut [u8; MESSAGE_SIZE]) -> Output<'o> {
        let mut digits = [0; 10];
        let id = Id::decimal(self.messages, &mut digits);
        let module = named(self.config.modules[module].name);
        self.publish(Kind::FirmwareGet, &Get { id, module }, true, buffer)
    }

    fn publish_request<'o>(&'o self, ask: Ask, buffer: &'o mut [u8; MESSAGE_SIZE]) -> Output<'o> {
        let Some(update) = &self.update else { return Output::Wait(None) };
        let Origin::Blocks { stream, file } = update.target.origin else { return Output::Wait(None) };
        let mut digits = [0; 10];
        let token = update.token();
        let request = BlockRequest {
            id: Id::decimal(self.messages, &mut digits),
            file_token: RawStr::plain(token.as_str()),
            stream_id: stream,
            file_id: file,
            size: ask.size,
            offset: ask.offset,
        };
        self.publish(Kind::FileDownload, &request, false, buffer)
    }

    fn publish<'o>(
        &'o self,
        kind: Kind,
        message: &dyn Emit,
        acknowledged: bool,
        buffer: &'o mut [u8; MESSAGE_SIZE],
    ) -> Output<'o> {
        let topic = Topic::new(kind, self.config.product_key, self.config.device_name);
        // The config's checks and the bound of descriptions keep every message below the buffer's size.
        let payload = message.emit_into(buffer).unwrap_or_default();
        Output::Publish { topic, payload, acknowledged }
    }
}

/// The default module goes unnamed (docs/protocol.md 5.1).
fn named(module: &str) -> Option<&str> {
    (module != DEFAULT_MODULE).then_some(module)
}

fn first_bit(bits: u32) -> Option<usize> {
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}
