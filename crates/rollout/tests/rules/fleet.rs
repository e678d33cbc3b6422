//! A thousand devices on bad links against the rules: the real updaters, every message as its bytes, power cuts
//! and a platform that dies. Whatever happens on the way, each task must end as its device's fate wants it.

use std::fmt::Write as _;

use md5::Digest as _;
use otaru_rollout::*;
use sim::fleet::{Fate, Faults, Fleet, PRODUCT_KEY, TARGET};
use sim::{Conditions, Message};
use wire::Emit;
use wire::block::CODE_TASK_OVER;
use wire::json::RawStr;
use wire::message::{self, BlockRequest, Get, GetReply, Inform, Notice, Progress, Source};
use wire::topic::{Kind, Topic};

use crate::watch::{counts_are_a_recount, what_waits_has_a_timer};
use crate::world::{MINUTE, Order, Pick, World};

pub(crate) const HOUR: Ms = 60 * MINUTE;
const DEVICES: usize = 1_000;
const RATE: i64 = 600;

const FAULTS: Faults = Faults {
    link: Conditions { round_trip: 80, rate: 0, lose: 2, double: 5, damage: 0, jitter: 200, breaks: 3 },
    power_cuts: 20,
    crashes: 4,
    trouble: 5 * MINUTE as u64,
};

/// The rules on tables in memory, and the codec.
pub(crate) struct Platform<'a> {
    pub(crate) world: World,
    names: &'a [String],
    pub(crate) devices: Vec<Id>,
    epochs: Vec<Option<Epoch>>,
    pub(crate) job: Id,
    batch: Vec<Input>,
    out: Vec<(usize, Message)>,
    file: Vec<u8>,
}

impl<'a> Platform<'a> {
    /// A job for all, in waves of so many devices if any are given.
    pub(crate) fn new(names: &'a [String], waves: &[usize], terms: Terms) -> Self {
        let mut world = World::new();
        world.chunk = 100;
        let file: Vec<u8> = (0..1_300_u32).map(|n| n as u8).collect();
        let devices: Vec<Id> = names.iter().map(|_| world.device()).collect();
        let package = world.package(TARGET);
        let row = world.tables.packages.get_mut(&package).unwrap();
        (row.size, row.md5) = (file.len() as i64, hex(&md5::Md5::digest(&file)));
        let terms = Terms { waves: world.waves(package, waves), ..terms };
        let (timeout_ms, rate_per_minute) = (Some(6 * HOUR), RATE);
        let order = Order { timeout_ms, rate_per_minute, terms, ..Order::to(Pick::All) };
        let job = world.order(package, order);
        let epochs = vec![None; devices.len()];
        Self { world, names, devices, epochs, job, batch: Vec::new(), out: Vec::new(), file }
    }

    /// What a device published, as the rules want it; a block is answered at once.
    fn read(&mut self, unit: usize, epoch: Epoch, kind: Kind, payload: &[u8]) -> Option<Input> {
        let device = self.devices[unit];
        let name = |module: Option<&str>| module.unwrap_or(DEFAULT_MODULE).to_owned();
        match kind {
            Kind::Inform => {
                let Inform { version, module, .. } = Inform::parse(payload).unwrap();
                Some(Input::Reported { device, epoch, module: name(module), version: version.to_string() })
            }
            Kind::Progress => {
                let Progress { step, desc, module, .. } = Progress::parse(payload).unwrap();
                let desc = desc.to_string();
                Some(Input::Progressed { device, epoch, module: name(module), step, desc })
            }
            Kind::FirmwareGet => {
                let Get { id, module } = Get::parse(payload).unwrap();
                let ask = Ask::Get { id: id.raw().into() };
                Some(Input::Asked { device, epoch, module: name(module), ask })
            }
            Kind::FileDownload => {
                let frame = self.frame(device, &BlockRequest::parse(payload).unwrap());
                self.send(unit, Kind::FileDownloadReply, frame);
                None
            }
            kind => panic!("no device publishes {kind:?}"),
        }
    }

    fn frame(&self, device: Id, request: &BlockRequest<'_>) -> Vec<u8> {
        let readable =
            |t: &&Task| t.device_id == device && t.stream_id == request.stream_id && !t.state.is_terminal();
        if self.world.tables.tasks.values().find(readable).is_none() {
            return sim::error_frame(request, CODE_TASK_OVER);
        }
        let rest = &self.file[request.offset as usize..];
        sim::block_frame(request, &rest[..rest.len().min(request.size as usize)], self.file.len())
    }

    fn send(&mut self, unit: usize, kind: Kind, payload: Vec<u8>) {
        let topic = Topic::new(kind, PRODUCT_KEY, &self.names[unit]).to_string();
        self.out.push((unit, (topic, payload)));
    }

    fn send_out(&mut self, message: Outbound) {
        let (to, kind, payload) = match message {
            Outbound::Notice { to, offer } => {
                (to, Kind::Upgrade, with_offer(&offer, |offer| text(&Notice::new(1, offer).unwrap())))
            }
            Outbound::Answer { to, ask: Ask::Get { id }, offer } => {
                let id = message::Id::from_raw(&id).unwrap();
                let reply = match offer {
                    None => text(&GetReply::nothing(id)),
                    Some(offer) => with_offer(&offer, |offer| text(&GetReply::offer(id, offer).unwrap())),
                };
                (to, Kind::FirmwareGetReply, reply)
            }
            _ => return,
        };
        let unit = self.devices.binary_search(&to.0).unwrap();
        if self.epochs[unit] == Some(to.1) {
            self.send(unit, kind, payload);
        }
    }
}

impl sim::fleet::Ground for Platform<'_> {
    fn connected(&mut self, unit: usize) {
        let (device, epoch) = (self.devices[unit], self.world.tables.numbers.next_id());
        self.epochs[unit] = Some(epoch);
        self.batch.push(Input::Connected { device, epoch });
    }

    fn gone(&mut self, unit: usize) {
        let device = self.devices[unit];
        self.batch.extend(self.epochs[unit].take().map(|epoch| Input::Disconnected { device, epoch }));
    }

    fn uplink(&mut self, unit: usize, topic: &str, payload: &[u8]) {
        let Some(epoch) = self.epochs[unit] else { return };
        let kind = Topic::parse(topic).unwrap().kind;
        let input = self.read(unit, epoch, kind, payload);
        self.batch.extend(input);
    }

    fn turn(&mut self, now: u64) -> Vec<(usize, Message)> {
        self.world.now = now as Ms;
        let mut inputs = std::mem::take(&mut self.batch);
        inputs.extend(self.world.claim());
        while !inputs.is_empty() {
            self.world.decide_by(decide, inputs);
            inputs = self.world.claim();
        }
        for message in std::mem::take(&mut self.world.tables.sent) {
            self.send_out(message);
        }
        std::mem::take(&mut self.out)
    }

    fn next(&self) -> Option<u64> {
        self.world.tables.timers.values().min().map(|at| *at as u64)
    }

    fn crash(&mut self, now: u64) {
        self.world.now = now as Ms;
        self.batch.clear();
        self.out.clear();
        self.epochs.fill(None);
        let orphans = self.world.tables.sessions.values();
        let at = self.world.now;
        let inputs = orphans.map(|s| Input::Orphaned { device: s.device_id, epoch: s.epoch, at }).collect();
        self.world.decide_by(decide, inputs);
        what_waits_has_a_timer(&self.world.tables);
        counts_are_a_recount(&self.world.tables);
    }

    fn is_done(&self) -> bool {
        let job = self.world.job(self.job);
        job.state == JobState::Completed || job.hold.is_some()
    }
}

fn with_offer<T>(offer: &Offer, then: impl FnOnce(message::Offer<'_>) -> T) -> T {
    let package = &offer.package;
    then(message::Offer {
        version: RawStr::plain(&package.version).unwrap(),
        module: None,
        sign_method: message::Digest::Md5,
        is_diff: false,
        ext_data: None,
        digest_sign: None,
        source: Source::Mqtt {
            stream_id: offer.stream_id,
            file_id: 1,
            size: package.size as u64,
            sign: &package.md5,
            md5: Some(&package.md5),
        },
    })
}

fn text(message: &impl Emit) -> Vec<u8> {
    let mut text = String::new();
    message.emit(&mut text).unwrap();
    text.into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Whether a task ended as its device's fate wants it. Who fails and was not reached by the last notice has not begun;
/// and on a bad link the last try of who fails may end on a block that did not come (-2).
pub(crate) fn as_fated(fate: Fate, task: &Task) -> bool {
    let reason = task.reason.as_ref().unwrap();
    let not_begun = matches!(reason, Reason::StartTimeout { .. } | Reason::TooManyPushes { .. });
    let not_loaded = not_begun || matches!(reason, Reason::DeviceFailed { step: -2, .. });
    match fate {
        Fate::Good | Fate::Hiccup => *reason == Reason::Success,
        Fate::WornOut => not_loaded || matches!(reason, Reason::DeviceFailed { step: -4, .. }),
        Fate::FallsBack | Fate::Strange => not_loaded || matches!(reason, Reason::RolledBack { .. }),
        Fate::Deaf => not_begun,
        Fate::Bricked => matches!(reason, Reason::Timeout { .. }),
    }
}

fn no_minute_sees_more_than_the_rate(world: &World, seed: u64) {
    let pushed = world.tables.events.iter().filter(|e| matches!(e.kind, EventKind::TaskPushed { .. }));
    let times: Vec<Ms> = pushed.map(|e| e.at).collect();
    for (n, at) in times.iter().enumerate() {
        let minute = times[n..].iter().take_while(|t| **t < at + MINUTE).count() as i64;
        assert!(minute <= RATE, "rng seed {seed}: {minute} pushes in a minute");
    }
}

fn names() -> Vec<String> {
    (0..DEVICES).map(|n| format!("unit{n:04}")).collect()
}

fn run(seed: u64) {
    let names = names();
    let mut platform = Platform::new(&names, &[], Terms::default());
    let start = platform.world.now as u64;
    let mut fleet = Fleet::new(&names, Fate::draw, seed, FAULTS, start);
    fleet.run(&mut platform, start + 48 * HOUR as u64);
    let world = &platform.world;
    assert_eq!(world.job(platform.job).state, JobState::Completed, "rng seed {seed}");
    for (unit, device) in fleet.units().zip(&platform.devices) {
        let (fate, task) = (unit.fate(), world.task(platform.job, *device));
        assert!(as_fated(fate, task), "rng seed {seed}: {} is {fate:?}, its task {task:#?}", unit.name());
        assert_eq!(unit.version() == TARGET, fate.succeeds(), "rng seed {seed}: {}", unit.name());
    }
    counts_are_a_recount(&world.tables);
    what_waits_has_a_timer(&world.tables);
    no_minute_sees_more_than_the_rate(world, seed);
}

#[test]
fn a_thousand_devices_end_as_their_fates_want() {
    for seed in 1..=3 {
        run(seed);
    }
}

/// One per cent go first. On evidence against the image the job halts by itself, long before the other waves.
#[test]
fn an_image_that_nobody_can_live_with_reaches_one_per_cent() {
    let names = names();
    let evidence = Some(Evidence { accepted: 1_000, rejected: 10_000 });
    let limits = FailureLimits { evidence, ..FailureLimits::default() };
    let terms = Terms { limits, ..Terms::default() };
    for seed in 4..=6 {
        let mut platform = Platform::new(&names, &[10, 100, DEVICES], terms.clone());
        let start = platform.world.now as u64;
        let mut fleet = Fleet::new(&names, |_| Fate::FallsBack, seed, FAULTS, start);
        fleet.run(&mut platform, start + 48 * HOUR as u64);
        let tables = &platform.world.tables;
        let halted = platform.world.job(platform.job).hold;
        let two = Halt::Evidence { failed: 2, ended: 2, accepted: 1_000, rejected: 10_000 };
        assert_eq!(halted, Some(Hold::Halted { halt: two }), "rng seed {seed}");
        assert!(tables.tasks.values().all(|t| t.wave == 0 || t.told_at.is_none()), "rng seed {seed}");
        assert_eq!(tables.tasks.values().filter(|t| t.wave == 0).count(), 10);
    }
}

/// An image that is good for most is let through wave by wave, with a pause for people to look.
#[test]
fn an_image_that_is_good_for_most_goes_through_all_waves() {
    let names = names();
    let min_success = Share::Percent { thousandths: 60_000 };
    let terms = Terms { min_success, ..Terms::default() };
    let mut platform = Platform::new(&names, &[100, 400, DEVICES], terms);
    let start = platform.world.now as u64;
    let mut fleet = Fleet::new(&names, Fate::draw, 7, FAULTS, start);
    fleet.run(&mut platform, start + 72 * HOUR as u64);
    let opened = platform.world.tables.events.iter().filter_map(|e| match e.kind {
        EventKind::WaveOpened { wave, .. } => Some((wave, (e.at - start as Ms) / HOUR)),
        _ => None,
    });
    // Each wave soaks for an hour.
    let opened: Vec<(i32, Ms)> = opened.collect();
    assert_eq!(opened, [(1, 1), (2, 2)]);
    for (unit, device) in fleet.units().zip(&platform.devices) {
        assert!(as_fated(unit.fate(), platform.world.task(platform.job, *device)), "{}", unit.name());
    }
}
