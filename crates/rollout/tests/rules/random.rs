//! Anything in any order: a few devices, two jobs, and inputs that are late, doubled or senseless.

use otaru_rollout::*;
use proptest::prelude::*;

use crate::world::{GRACE, MINUTE, Order, Pick, SETTLE, World};

const DEVICES: usize = 4;
const MODULES: [&str; 2] = [DEFAULT_MODULE, "MCU"];
const TARGETS: [&str; 2] = ["2", "7"];
/// Whom the policies of a play are for.
const SOURCES: [&str; 2] = ["1", "app-1.0.0"];
const VERSIONS: [&str; 4] = ["1", "2", "7", "app-1.0.0"];

/// Something that happens, before it is known to whom and when exactly.
#[derive(Clone, Debug)]
enum Op {
    Start(usize),
    StartPolicy { module: usize, only_new: bool, sourced: bool, scoped: bool },
    Tag { device: usize, on: bool },
    ClosePolicy(usize),
    Revise { job: usize, what: usize, on: bool },
    Connect { device: usize },
    Oust { device: usize },
    Disconnect { device: usize, late: bool },
    Report { device: usize, module: usize, version: usize, late: bool },
    Progress { device: usize, module: usize, step: i32, late: bool },
    Ask { device: usize, module: usize, old: bool, late: bool },
    CancelJob(usize),
    PauseJob(usize),
    CancelSome(usize, bool),
    ResumeJob(usize),
    ConfirmJob(usize),
    SkipWave(usize, i32),
    ConfirmTask(usize),
    ReupgradeJob(usize),
    CancelTask(usize),
    ReupgradeTask(usize),
    Timer { kind: usize, subject: usize },
    Chunk { job: usize, cursor: usize, kind: usize },
    StandStill(Ms),
}

fn op() -> impl Strategy<Value = Op> {
    let (device, module) = (0..DEVICES, 0..MODULES.len());
    let (job, task) = (0..2_usize, 0..8_usize);
    let late = || prop::bool::weighted(0.1);
    prop_oneof![
        2 => job.clone().prop_map(Op::Start),
        1 => (module.clone(), any::<[bool; 3]>()).prop_map(|(module, [only_new, sourced, scoped])| {
            Op::StartPolicy { module, only_new, sourced, scoped }
        }),
        1 => (device.clone(), any::<bool>()).prop_map(|(device, on)| Op::Tag { device, on }),
        1 => job.clone().prop_map(Op::ClosePolicy),
        2 => (0..4_usize, 0..7_usize, any::<bool>()).prop_map(|(job, what, on)| Op::Revise { job, what, on }),
        5 => device.clone().prop_map(|device| Op::Connect { device }),
        4 => device.clone().prop_map(|device| Op::Oust { device }),
        3 => (device.clone(), late()).prop_map(|(device, late)| Op::Disconnect { device, late }),
        8 => (device.clone(), module.clone(), 0..VERSIONS.len(), late())
            .prop_map(|(device, module, version, late)| Op::Report { device, module, version, late }),
        8 => (device.clone(), module.clone(), -2..110_i32, late())
            .prop_map(|(device, module, step, late)| Op::Progress { device, module, step, late }),
        3 => (device, module, any::<bool>(), late())
            .prop_map(|(device, module, old, late)| Op::Ask { device, module, old, late }),
        1 => job.clone().prop_map(Op::CancelJob),
        1 => job.clone().prop_map(Op::PauseJob),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, told)| Op::CancelSome(job, told)),
        1 => job.clone().prop_map(Op::ResumeJob),
        1 => job.clone().prop_map(Op::ConfirmJob),
        1 => (job.clone(), 0..2_i32).prop_map(|(job, wave)| Op::SkipWave(job, wave)),
        1 => task.clone().prop_map(Op::ConfirmTask),
        2 => job.clone().prop_map(Op::ReupgradeJob),
        1 => task.clone().prop_map(Op::CancelTask),
        3 => task.clone().prop_map(Op::ReupgradeTask),
        3 => (0..8_usize, task.clone()).prop_map(|(kind, subject)| Op::Timer { kind, subject }),
        1 => prop_oneof![Just(30_000), Just(10 * MINUTE)].prop_map(Op::StandStill),
        2 => (job, task, 0..3_usize).prop_map(|(job, cursor, kind)| Op::Chunk { job, cursor, kind }),
    ]
}

/// Batches, each after a while.
fn script() -> impl Strategy<Value = Vec<(Ms, Vec<Op>)>> {
    let gap =
        prop_oneof![Just(0), 1..2_000_i64, 5_000..40_000_i64, Just(SETTLE), Just(GRACE), Just(6 * MINUTE)];
    prop::collection::vec((gap, prop::collection::vec(op(), 1..6)), 1..40)
}

/// How patient the platform is with all that.
#[derive(Clone, Debug)]
struct Setting {
    downloads: i64,
    rates: [i64; 2],
    chunk: usize,
    kbit_per_second: Option<i64>,
    need_push: bool,
    /// Whether the second package is a difference to version `1`.
    is_difference: bool,
    timeout_ms: Option<Ms>,
    terms: Terms,
}

fn setting() -> impl Strategy<Value = Setting> {
    let timeout = prop::option::of(Just(2 * MINUTE));
    let kbit = prop::option::of(Just(2));
    let either = any::<[bool; 2]>();
    (1..4_i64, [1..20_i64, 1..20], 1..4_usize, kbit, either, timeout, terms()).prop_map(
        |(downloads, rates, chunk, kbit_per_second, [need_push, is_difference], timeout_ms, terms)| Setting {
            downloads,
            rates,
            chunk,
            kbit_per_second,
            need_push,
            is_difference,
            timeout_ms,
            terms,
        },
    )
}

fn terms() -> impl Strategy<Value = Terms> {
    let interval = prop_oneof![Just(0), Just(MINUTE)];
    let start = prop::option::of(Just(5 * MINUTE));
    let overwrite = prop_oneof![Just(Overwrite::Keep), Just(Overwrite::Replace), Just(Overwrite::Queue)];
    let conflicts = (overwrite, any::<bool>(), any::<bool>());
    let gates = (any::<bool>(), prop::option::of(0..3_i64));
    let bounds = (any::<bool>(), prop::option::of(Just(1_i64)));
    (1..4_i32, interval, any::<bool>(), start, prop::option::of(1..3_i32), conflicts, gates, bounds).prop_map(
        |(
            attempts,
            retry_interval_ms,
            rollback_fails,
            start_timeout_ms,
            most_pushes,
            (overwrite, multi_module, need_confirm),
            (in_waves, failures),
            (in_windows, kbit_per_second),
        )| Terms {
            attempts,
            retry_interval_ms,
            rollback_fails,
            start_timeout_ms,
            most_pushes,
            overwrite,
            multi_module,
            need_confirm,
            waves: if in_waves { two_waves() } else { vec![] },
            windows: if in_windows { two_windows() } else { vec![] },
            kbit_per_second,
            soak_ms: MINUTE,
            max_wait_ms: Some(5 * MINUTE),
            limits: FailureLimits { failures, ..FailureLimits::default() },
            lost_ms: Some(3 * MINUTE),
            ..Terms::default()
        },
    )
}

/// Two waves, of about half of the devices each.
fn two_waves() -> Vec<Wave> {
    [0, i64::MAX].map(|threshold| Wave { share: Share::Count { n: 2 }, threshold }).to_vec()
}

/// A world begins at 22:13 on a Tuesday.
fn two_windows() -> Vec<Window> {
    let every_day = |from: u16, to| Window { days: 0b111_1111, from: from * 60 + 20, to };
    vec![every_day(22, 22 * 60 + 25), every_day(23, 40)]
}

/// A setting whose bounds four devices do not reach.
fn wide() -> Setting {
    Setting {
        downloads: 500,
        rates: [10_000; 2],
        chunk: 2,
        kbit_per_second: None,
        need_push: true,
        is_difference: false,
        timeout_ms: Some(2 * MINUTE),
        terms: Terms::default(),
    }
}

/// A world, and what makes an [`Op`] an [`Input`] of it.
#[derive(Clone)]
struct Play {
    world: World,
    setting: Setting,
    devices: Vec<Id>,
    packages: Vec<Id>,
    jobs: [Option<Id>; 2],
    policies: Vec<Id>,
    epochs: [Epoch; DEVICES],
    last_epoch: Epoch,
}

impl Play {
    fn new(setting: Setting) -> Self {
        let mut world = World::new();
        world.limits = Limits {
            downloads: setting.downloads,
            slot_ms: MINUTE,
            kbit_per_second: setting.kbit_per_second,
        };
        world.chunk = setting.chunk;
        let devices = (0..DEVICES).map(|_| world.device()).collect();
        let packages: Vec<Id> =
            MODULES.iter().zip(TARGETS).map(|(module, to)| world.package_of(module, to)).collect();
        if setting.is_difference {
            world.tables.packages.get_mut(&packages[1]).unwrap().src_version = Some("1".into());
        }
        Self {
            world,
            setting,
            devices,
            packages,
            jobs: [None; 2],
            policies: vec![],
            epochs: [0; DEVICES],
            last_epoch: 10,
        }
    }

    fn start(&mut self, which: usize) {
        if self.jobs[which].is_some() {
            return;
        }
        let base = match which {
            0 => Order::to(Pick::All),
            _ => Order::verify(self.devices[1..].to_vec()),
        };
        let order = Order {
            need_push: which == 0 || self.setting.need_push,
            timeout_ms: self.setting.timeout_ms,
            rate_per_minute: self.setting.rates[which],
            terms: self.setting.terms.clone(),
            ..base
        };
        self.jobs[which] = Some(self.world.order(self.packages[which], order));
    }

    fn start_policy(&mut self, module: usize, [only_new, sourced, scoped]: [bool; 3]) {
        if self.policies.len() < 2 {
            let terms = Terms {
                only_new,
                src_versions: if sourced { SOURCES.map(Into::into).to_vec() } else { vec![] },
                waves: vec![],
                ..self.setting.terms.clone()
            };
            let pick = if scoped { Pick::Meant("has tag.ring") } else { Pick::All };
            let order = Order { terms, pick, ..Order::dynamic(&[]) };
            self.policies.push(self.world.order(self.packages[module], order));
        }
    }

    /// A job, or a policy, becomes another.
    fn revise(&self, job: usize, what: usize, on: bool) -> Option<Input> {
        let job = if job < 2 { self.jobs[job]? } else { *self.policies.get(job - 2)? };
        let (mut to, of_play) = (self.world.revision(job), &self.setting.terms);
        match what {
            0 => to.timeout_ms = on.then_some(4 * MINUTE),
            1 => to.terms.end_at = on.then_some(self.world.now + 6 * MINUTE),
            2 => to.terms.windows = if on { two_windows() } else { vec![] },
            3 => to.terms.attempts = 1 + i32::from(on),
            4 => to.rate_per_minute = self.setting.rates[0] * (1 + i64::from(on)),
            5 => to.terms.kbit_per_second = of_play.kbit_per_second.map(|kbit| kbit + i64::from(on)),
            _ if on => to.scope = Some(Scope::Filter { filter: "not has tag.ring".into() }),
            _ => to.scope = Some(Scope::All),
        }
        Some(Input::ReviseJob { job, to: Box::new(to) })
    }

    /// The connection an input says it came on.
    fn epoch(&self, device: usize, late: bool) -> Epoch {
        self.epochs[device] - Epoch::from(late)
    }

    fn nth_task(&self, n: usize) -> Id {
        self.world.tables.tasks.keys().nth(n).copied().unwrap_or(n as Id)
    }

    fn input(&mut self, op: &Op) -> Option<Input> {
        Some(match *op {
            Op::Start(which) => {
                self.start(which);
                return None;
            }
            Op::StartPolicy { module, only_new, sourced, scoped } => {
                self.start_policy(module, [only_new, sourced, scoped]);
                return None;
            }
            Op::Tag { device, on } => {
                self.world.tag(self.devices[device], "ring", on.then_some("beta"));
                return None;
            }
            Op::StandStill(ms) => {
                self.world.stand_still(ms);
                return None;
            }
            Op::ClosePolicy(n) => Input::CloseJob(*self.policies.get(n)?),
            Op::Revise { job, what, on } => self.revise(job, what, on)?,
            Op::Connect { device } => {
                self.last_epoch += 2;
                self.epochs[device] = self.last_epoch;
                Input::Connected { device: self.devices[device], epoch: self.last_epoch }
            }
            Op::Oust { device } => Input::Ousted { device: self.devices[device] },
            Op::Disconnect { device, late } => {
                Input::Disconnected { device: self.devices[device], epoch: self.epoch(device, late) }
            }
            Op::Report { device, module, version, late } => Input::Reported {
                device: self.devices[device],
                epoch: self.epoch(device, late),
                module: MODULES[module].into(),
                version: VERSIONS[version].into(),
            },
            Op::Progress { device, module, step, late } => Input::Progressed {
                device: self.devices[device],
                epoch: self.epoch(device, late),
                module: MODULES[module].into(),
                step,
                desc: "words".into(),
            },
            Op::Ask { device, module, old, late } => Input::Asked {
                device: self.devices[device],
                epoch: self.epoch(device, late),
                module: MODULES[module].into(),
                ask: if old { Ask::OldRequest } else { Ask::Get { id: "7".into() } },
            },
            Op::CancelSome(job, told) => {
                let states = CancelStates { notified: told, queued: !told, ..CancelStates::default() };
                Input::CancelSome { job: self.jobs[job]?, states }
            }
            Op::PauseJob(job) => Input::PauseJob(self.jobs[job]?),
            Op::ResumeJob(job) => Input::ResumeJob(self.jobs[job]?),
            Op::SkipWave(job, wave) => Input::SkipWave { job: self.jobs[job]?, wave },
            Op::ConfirmJob(job) => Input::ConfirmJob(self.jobs[job]?),
            Op::ConfirmTask(n) => Input::ConfirmTask(self.nth_task(n)),
            Op::CancelJob(job) => Input::CancelJob(self.jobs[job]?),
            Op::ReupgradeJob(job) => Input::ReupgradeJob(self.jobs[job]?),
            Op::CancelTask(n) => Input::CancelTask(self.nth_task(n)),
            Op::ReupgradeTask(n) => Input::ReupgradeTask(self.nth_task(n)),
            Op::Timer { kind, subject } => Input::Due(self.timer(kind, subject)?),
            Op::Chunk { job, cursor, kind } => self.any_chunk(self.jobs[job]?, cursor, kind),
        })
    }

    /// A timer that nobody set, or not for now.
    fn timer(&self, kind: usize, subject: usize) -> Option<Timer> {
        Some(match kind {
            0 => Timer::Push(self.jobs[subject % 2]?),
            1 => Timer::Timeout(self.nth_task(subject)),
            2 => Timer::Settle(self.nth_task(subject)),
            3 => Timer::Retry(self.nth_task(subject)),
            4 => Timer::Unstarted(self.nth_task(subject)),
            5 => Timer::Grace(self.devices[subject % DEVICES]),
            6 => Timer::Quiet(self.devices[subject % DEVICES]),
            _ => Timer::Work(self.jobs[subject % 2]?),
        })
    }

    /// A chunk of a work that may be over, or may never have been.
    fn any_chunk(&self, job: Id, cursor: usize, kind: usize) -> Input {
        let cursor = if cursor == 0 { 0 } else { self.nth_task(cursor) };
        let tasks = self.world.tables.tasks.values().filter(|t| t.job_id == job && t.id > cursor);
        let (tasks, last) = (tasks.map(|t| t.id).collect(), true);
        match kind {
            0 => {
                let (devices, upto) = (self.devices.clone(), cursor);
                let chunk = Enrolment { devices, upto, last, ..Enrolment::default() };
                Input::Enrol { job, work: Work::Enrol { cursor }, chunk }
            }
            1 => Input::Tasks { job, work: Work::Cancel { cursor }, tasks, last },
            _ => Input::Tasks { job, work: Work::Reupgrade { cursor, canceled: true }, tasks, last },
        }
    }

    /// Lets a batch's time come; what happens in it, and what is due with it.
    fn batch(&mut self, gap: Ms, ops: &[Op]) -> Vec<Input> {
        self.world.pass(gap);
        let mut inputs: Vec<Input> = ops.iter().filter_map(|op| self.input(op)).collect();
        inputs.extend(self.world.claim());
        inputs
    }

    fn play(&mut self, script: &[(Ms, Vec<Op>)]) {
        for (gap, ops) in script {
            let inputs = self.batch(*gap, ops);
            self.world.apply(inputs);
            self.world.tick();
        }
    }

    /// Every device comes, says the given version of each module, and all have time.
    fn all_report(&mut self, versions: [&str; 2]) {
        for device in self.devices.clone() {
            self.last_epoch += 2;
            self.world.run(Input::Connected { device, epoch: self.last_epoch });
            for (module, version) in MODULES.iter().zip(versions) {
                self.world.report(device, module, version);
            }
        }
        self.world.pass(60 * MINUTE);
    }
}

/// An order that only takes away, or lets go what another may take away.
fn order(play: &Play, which: usize, n: usize) -> Option<Input> {
    Some(match which {
        0 => Input::PauseJob(play.jobs[n % 2]?),
        1 => Input::CancelJob(play.jobs[n % 2]?),
        2 => Input::CancelTask(play.nth_task(n)),
        _ => Input::ConfirmTask(play.nth_task(n)),
    })
}

/// Where jobs and tasks are. A job whose last task is cancelled before the job is has completed.
fn places(world: &World) -> (Vec<Option<JobState>>, Vec<Option<Hold>>, Vec<TaskState>) {
    let jobs = || world.tables.jobs.values();
    let tasks = world.tables.tasks.values().map(|t| t.state);
    let going_on = |job: &Job| job.ended_at.is_none().then_some(job.state);
    (jobs().map(going_on).collect(), jobs().map(|j| j.hold).collect(), tasks.collect())
}

/// A report or progress: what devices may send again when an acknowledgement is lost.
fn may_come_twice(input: &Input) -> bool {
    matches!(input, Input::Reported { .. } | Input::Progressed { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The watch looks at every batch; at the end whatever is still wanted happens, and all rests.
    #[test]
    fn whatever_comes_the_rules_hold_and_nothing_stalls(script in script(), setting in setting()) {
        let mut play = Play::new(setting);
        play.play(&script);
        let jobs: Vec<Id> = play.world.tables.jobs.keys().copied().collect();
        for job in jobs {
            play.world.run(Input::ResumeJob(job));
            play.world.run(Input::ConfirmJob(job));
            play.world.run(Input::CloseJob(job));
        }
        play.all_report(["1", "1"]);
        for task in play.world.tables.tasks.values().filter(|t| !t.state.is_terminal()) {
            let pushed = task.told_epoch == play.world.epoch(task.device_id);
            let behind = matches!(
                play.world.waiting(task),
                Some(
                    Waiting::QueuedBehind { .. }
                        | Waiting::WaveNotOpen { .. }
                        | Waiting::Halted { .. }
                        | Waiting::OutsideWindow { .. }
                        | Waiting::RetryAt { .. }
                        | Waiting::Rate
                        | Waiting::ByteBudget { .. }
                        | Waiting::DownloadSlots
                )
            );
            let job = play.world.job(task.job_id);
            let asks = !job.need_push || job.hold.is_some();
            prop_assert!(pushed || behind || asks, "never pushed: {task:?}");
        }
        play.all_report(TARGETS);
        // A look at an opening of which nobody is left.
        play.world.pass(24 * 60 * MINUTE);
        let tables = &play.world.tables;
        prop_assert!(tables.tasks.values().all(|t| t.state.is_terminal()));
        prop_assert!(tables.jobs.values().all(|j| j.state != JobState::InProgress && j.work.is_none()));
        prop_assert!(tables.timers.is_empty(), "{:?}", tables.timers);
        prop_assert_eq!(tables.slots_used(play.world.now), 0);
    }

    #[test]
    fn a_batch_and_its_inputs_one_by_one_end_the_same(script in script()) {
        let mut whole = Play::new(wide());
        for (gap, ops) in &script {
            let inputs = whole.batch(*gap, ops);
            let mut single = whole.world.clone();
            inputs.iter().for_each(|input| single.apply(vec![input.clone()]));
            single.tick();
            whole.world.apply(inputs);
            whole.world.tick();
            prop_assert_eq!(&whole.world.tables, &single.tables);
        }
    }

    #[test]
    fn a_report_that_comes_twice_changes_nothing_more(script in script(), setting in setting()) {
        let mut play = Play::new(setting);
        for (gap, ops) in &script {
            for input in play.batch(*gap, ops) {
                play.world.apply(vec![input.clone()]);
                let mut twice = play.world.clone();
                twice.tables.dropped = play.world.tables.dropped;
                if may_come_twice(&input) {
                    twice.apply(vec![input]);
                    twice.tables.dropped = play.world.tables.dropped;
                    prop_assert_eq!(&twice.tables, &play.world.tables);
                }
            }
            play.world.tick();
        }
    }

    #[test]
    fn a_batch_of_reports_that_comes_again_after_its_pushes_changes_nothing_more(script in script()) {
        let mut play = Play::new(wide());
        for (gap, ops) in &script {
            let inputs = play.batch(*gap, ops);
            play.world.apply(inputs.clone());
            play.world.tick();
            if let Some(last) = inputs.into_iter().rfind(may_come_twice).filter(|_| ops.len() == 1) {
                let mut again = play.world.clone();
                again.run(last);
                again.tables.dropped = play.world.tables.dropped;
                prop_assert_eq!(&again.tables, &play.world.tables);
            }
        }
    }

    /// The platform was off, and with it every connection. The watch looks at the rate.
    #[test]
    fn after_a_week_off_what_was_due_happens_once(script in script(), setting in setting()) {
        let mut play = Play::new(setting);
        play.play(&script);
        let world = &mut play.world;
        let (before, told) = (world.tables.tasks.clone(), world.tables.events.len());
        world.stand_still(7 * 24 * 60 * MINUTE);
        prop_assert!(world.tables.timers.values().all(|at| *at > world.now), "{:?}", world.tables.timers);
        for (id, task) in &before {
            let events = || world.tables.events[told..].iter().filter(|e| e.task_id == Some(*id));
            let failures = events().filter(|e| matches!(e.kind, EventKind::TaskRetry { .. })).count();
            let ends = events().filter(|e| matches!(&e.kind, EventKind::TaskState { to, .. } if to.is_terminal())).count();
            prop_assert!(failures + ends <= 1, "{task:?}: {:?}", events().collect::<Vec<_>>());
            prop_assert!(events().all(|e| !matches!(e.kind, EventKind::TaskPushed { .. })), "nobody is here");
        }
        play.all_report(TARGETS);
    }

    #[test]
    fn two_orders_at_one_moment_end_the_same_in_either_order(
        script in script(), setting in setting(), a in (0..4_usize, 0..8_usize), b in (0..4_usize, 0..8_usize),
    ) {
        let mut play = Play::new(setting);
        play.play(&script);
        let orders = [order(&play, a.0, a.1), order(&play, b.0, b.1)];
        let [Some(a), Some(b)] = orders else { return Ok(()) };
        let [mut one, mut other] = [play.world.clone(), play.world.clone()];
        one.apply(vec![a.clone(), b.clone()]);
        other.apply(vec![b.clone()]);
        other.apply(vec![a.clone()]);
        one.tick();
        other.tick();
        prop_assert_eq!(places(&one), places(&other), "{:?} and {:?}", a, b);
    }
}
