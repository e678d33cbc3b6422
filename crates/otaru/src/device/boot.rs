//! One boot of a device: from power-on to its reboot.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use device::{Config, Failure, MESSAGE_SIZE, Module, Operation, Output, Record, Updater};
use tokio::time::{Instant, sleep, sleep_until};
use wire::topic::{Kind, Topic};

use super::connection::{Connection, Message, Refused};
use super::faults::Faults;
use super::fetch::{Fetch, Piece, next_piece};
use super::flash::{Done, Flash, Work, Worker};
use super::mcu::Mcu;
use super::trust::Trust;
use super::{Event, Options, Outcome, RETRY};

/// A connection that lasted this long was a good one: after it the next attempt comes soon.
const STABLE: Duration = Duration::from_secs(10);

/// Milliseconds between two records: each takes several fsyncs, which ten devices of a demo and their platform share.
/// A device that is to lose its power records every block.
const SAVE_INTERVAL: u32 = 500;

/// How a boot ended.
pub(super) enum BootEnd {
    /// The device ends.
    Finished(Outcome),
    /// It starts again; an update that is finished with it is given along.
    Rebooting(Option<Outcome>),
    /// It starts again because the part behind the serial line may not run what was reported of it.
    Stale(Option<Outcome>),
}

/// A device that is on.
pub(super) struct Boot<'a> {
    options: &'a Options,
    trust: &'a Trust,
    modules: &'a [Module<'a>],
    updater: Updater<'a>,
    worker: Worker,
    fetch: Option<Fetch>,
    /// A piece of the fetch is being written.
    writing: bool,
    started: Instant,
    /// Bytes stored when it was last told.
    told: u32,
    finished: Option<Outcome>,
    installed: Option<Outcome>,
    /// A part that did not answer, until it does.
    silent: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// It answers now, or an image did not get to it.
    stale: bool,
}

type Tell<'t> = &'t mut (dyn FnMut(Event) + Send);

impl<'a> Boot<'a> {
    /// Switches the device on, with these versions.
    pub(super) fn new(
        options: &'a Options,
        trust: &'a Trust,
        modules: &'a [Module<'a>],
        record: Option<Record>,
        flash: Flash,
        silent: Option<Mcu>,
    ) -> anyhow::Result<Self> {
        let Options { block, window, reply_timeout, .. } = *options;
        let named = Config::new(&options.product_key, &options.device_name, modules);
        let save_interval = if options.reboot_at.is_some() { 0 } else { SAVE_INTERVAL };
        let config = Config { block, window, save_interval, reply_timeout, http: true, ..named };
        Ok(Self {
            options,
            trust,
            modules,
            updater: Updater::new(config, record)?,
            worker: Worker::start(flash)?,
            fetch: None,
            writing: false,
            started: Instant::now(),
            told: 0,
            finished: None,
            installed: None,
            silent: silent.map(|part| Box::pin(part.answers()) as _),
            stale: false,
        })
    }

    /// An update of this module did not work, and the image before runs again.
    pub(super) fn came_back(&mut self, module: &str, why: &str) {
        self.updater.handle_rolled_back(module, why);
    }

    /// Runs until the device reboots, or ends because it is done. `finished` is an update of the boot before that is
    /// done once the new versions are reported.
    pub(super) async fn run(
        mut self,
        faults: &mut Faults,
        finished: Option<Outcome>,
        tell: Tell<'_>,
    ) -> anyhow::Result<BootEnd> {
        self.finished = finished;
        let end = self.connections(faults, tell).await;
        self.worker.end().await;
        end
    }

    /// Connects again and again.
    async fn connections(&mut self, faults: &mut Faults, tell: Tell<'_>) -> anyhow::Result<BootEnd> {
        let mut retry = RETRY.0;
        loop {
            let error = match Connection::open(self.options, self.trust).await {
                Ok(connection) => {
                    let since = Instant::now();
                    match self.session(connection, faults, tell).await {
                        Ok(end) => return Ok(end),
                        Err(error) => {
                            self.updater.handle_disconnected();
                            retry = if since.elapsed() > STABLE { RETRY.0 } else { retry };
                            error
                        }
                    }
                }
                Err(error) if error.is::<Refused>() => return Err(error),
                Err(error) => error,
            };
            tell(Event::Offline { why: format!("{error:#}"), retry });
            sleep(retry).await;
            retry = (retry * 2).min(RETRY.1);
        }
    }

    /// One connection, until the device reboots or ends, or with an error until it breaks.
    async fn session(
        &mut self,
        mut connection: Connection,
        faults: &mut Faults,
        tell: Tell<'_>,
    ) -> anyhow::Result<BootEnd> {
        self.updater.handle_connected();
        let modules = self.modules.iter().map(|module| (module.name.to_owned(), module.version.to_owned()));
        tell(Event::Connected { modules: modules.collect() });
        loop {
            let ControlFlow::Continue(wake) = self.poll(&mut connection, tell).await? else {
                connection.close().await;
                return Ok(BootEnd::Rebooting(self.installed.take()));
            };
            let message = connection.next().await?;
            if connection.is_settled() {
                self.updater.handle_settled();
            }
            if let Some(message) = message {
                self.handle_message(&message, connection.room(), faults);
            } else if let Some(outcome) =
                self.finished.take_if(|_| self.options.once && connection.is_settled())
            {
                connection.close().await;
                return Ok(BootEnd::Finished(outcome));
            } else if self.stale && self.updater.status().is_none() && connection.is_settled() {
                connection.close().await;
                return Ok(BootEnd::Stale(self.finished.take()));
            } else {
                self.wait(&mut connection, wake).await?;
            }
            self.tell_progress(tell);
            if self.misbehave(faults) {
                return Ok(BootEnd::Rebooting(None));
            }
        }
    }

    /// Does what the updater wants done, until it waits; breaks when it reboots.
    async fn poll(
        &mut self,
        connection: &mut Connection,
        tell: Tell<'_>,
    ) -> anyhow::Result<ControlFlow<(), Option<Instant>>> {
        let mut buffer = [0; MESSAGE_SIZE];
        loop {
            let now = self.started.elapsed().as_millis() as u64;
            match self.updater.poll(now, &mut buffer) {
                Output::Publish { topic, payload, acknowledged } => {
                    connection.publish(&topic.to_string(), payload.as_bytes(), acknowledged).await?;
                }
                Output::Prepare { file, size, .. } => self.worker.submit(Work::Prepare { file, size }),
                Output::Read { offset, len } => self.worker.submit(Work::Read { offset, len }),
                Output::Save(record) => self.worker.submit(Work::Save(record)),
                Output::Install { module, version, size } => {
                    let (module, version) = (module.to_owned(), version.to_owned());
                    self.worker.submit(Work::Install { module, version, size });
                }
                Output::Keep { module, file, size } => {
                    let module = module.to_owned();
                    self.worker.submit(Work::Keep { module, file, size });
                }
                Output::Fetch { id, url, offset, len } => {
                    self.fetch = Some(Fetch::start(id, url, offset, len, self.options.block, self.trust));
                }
                Output::Reboot => return Ok(ControlFlow::Break(())),
                Output::Event(event) => self.happened(event, tell),
                Output::Wait(until) => {
                    let wake = until.map(|at| self.started + Duration::from_millis(at));
                    return Ok(ControlFlow::Continue(wake));
                }
            }
        }
    }

    /// Waits until something can be handled, and handles it.
    async fn wait(&mut self, connection: &mut Connection, wake: Option<Instant>) -> anyhow::Result<()> {
        let keep_alive = connection.keep_alive_due();
        tokio::select! {
            filled = connection.fill() => filled,
            done = self.worker.done() => {
                self.handle_done(done);
                Ok(())
            }
            piece = next_piece(&mut self.fetch), if !self.writing => {
                self.handle_piece(piece);
                Ok(())
            }
            () = answered(&mut self.silent) => {
                (self.silent, self.stale) = (None, true);
                Ok(())
            }
            () = sleep_until(wake.unwrap_or(keep_alive)), if wake.is_some() => Ok(()),
            () = sleep_until(keep_alive) => connection.keep_alive().await,
        }
    }

    fn handle_message(&mut self, message: &Message, room: usize, faults: &mut Faults) {
        if message.payload.len() > room {
            return self.updater.handle_too_long(&message.topic, message.payload.len(), room);
        }
        let kind = Topic::parse(&message.topic).map(|topic| topic.kind);
        if kind == Some(Kind::FileDownloadReply) && faults.drops() {
            return;
        }
        let now = self.started.elapsed().as_millis() as u64;
        if let Some(block) = self.updater.handle_message(now, &message.topic, &message.payload) {
            self.worker.submit(Work::Write { offset: block.offset, data: block.data.to_owned() });
        }
    }

    /// Takes a piece of a file over HTTP; the next one waits until it is written.
    fn handle_piece(&mut self, piece: Piece) {
        let Some(id) = self.fetch.as_ref().map(|fetch| fetch.id) else { return };
        let now = self.started.elapsed().as_millis() as u64;
        match piece {
            Piece::Failed { why } => {
                self.fetch = None;
                self.updater.handle_fetch_failed(now, id, why);
            }
            Piece::Data { offset, data } => match self.updater.handle_fetched(id, offset, &data) {
                Some(block) => {
                    self.writing = true;
                    let offset = block.offset;
                    self.worker.submit(Work::Write { offset, data });
                }
                None => self.fetch = None,
            },
        }
    }

    fn handle_done(&mut self, done: Done) {
        self.writing &= !matches!(done, Done::Written { .. } | Done::Broken { .. });
        match done {
            Done::Prepared => self.updater.handle_prepared(),
            Done::Written { offset } => self.updater.handle_written(offset),
            Done::Read { offset, data } => self.updater.handle_read(offset, &data),
            Done::Saved => self.updater.handle_saved(),
            Done::Kept => self.updater.handle_kept(),
            Done::Installed { module, version } => {
                self.installed = Some(Outcome::Updated { module, version });
                self.updater.handle_installed();
            }
            Done::Broken { operation, why } => {
                let module = self.updater.status().map(|status| status.module);
                self.stale |= operation == Operation::Install
                    && module.is_some_and(|module| module == self.options.mcu_module);
                self.updater.handle_broken(operation, &why);
            }
        }
    }

    fn happened(&mut self, event: device::Event, tell: Tell<'_>) {
        use device::Event as Happened;
        match event {
            Happened::Started { from } => {
                if let Some(status) = self.updater.status() {
                    let (module, version) = (status.module.to_owned(), status.version.to_owned());
                    self.told = from;
                    tell(Event::Started { module, version, size: status.size, from });
                }
            }
            Happened::Verified => tell(Event::Verified),
            Happened::Installed => {
                if let Some(Outcome::Updated { module, version }) = self.installed.clone() {
                    tell(Event::Installed { module, version });
                }
            }
            Happened::Failed(failure) | Happened::Refused(failure) => {
                let why = self.updater.last_failure().to_owned();
                tell(Event::Failed { failure, why: why.clone() });
                self.finished = Some(Outcome::Failed { failure, why });
            }
            Happened::Cancelled => {
                tell(Event::Cancelled);
                self.finished = Some(Outcome::Cancelled);
            }
        }
    }

    fn tell_progress(&mut self, tell: Tell<'_>) {
        if let Some(status) = self.updater.status()
            && status.stored > self.told
        {
            self.told = status.stored;
            tell(Event::Progress {
                module: status.module.to_owned(),
                stored: status.stored,
                size: status.size,
            });
        }
    }

    /// Fails the update if that is due; `true` if the power is to be cut.
    fn misbehave(&mut self, faults: &mut Faults) -> bool {
        let Some(percent) = self.updater.status().map(|status| status.percent) else { return false };
        if faults.reboots(percent) {
            return true;
        }
        if faults.fails(percent) {
            let why = format!("the device failed at {percent} %, as --fail-at asked for");
            self.updater.abandon(Failure::Upgrade, &why);
        }
        false
    }
}

/// Waits until a part answers that did not.
async fn answered(silent: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match silent {
        Some(answers) => answers.await,
        None => std::future::pending().await,
    }
}
