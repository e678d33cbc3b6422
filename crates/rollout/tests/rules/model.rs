//! Every order of events a small world allows, not some of them: two devices, two jobs, reports, silence,
//! reconnects, a server that dies, and an operator.
//!
//! Ten worlds, of 105 000 states together, each gone through to its end.
//!
//! States are told apart by what the rules can still see of them: times as seen from now, connections as
//! present or past. So the worlds are finite and [`explore`] ends. After every batch the watch looks; over the
//! whole graph each unfinished task must have a way on without an operator, or say what an operator is to do.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use otaru_rollout::*;

use crate::tables::Tables;
use crate::world::{GRACE, MINUTE, Order, Pick, Rules, SETTLE, World};

/// So high that no push waits for another.
const RATE: i64 = 1_000_000_000;
/// Windows of this play open at midnight and close at noon.
const HALF_A_DAY: Ms = 12 * 60 * MINUTE;

use Act::*;

/// Something that can happen. Devices and jobs by their place in the cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Connect(usize),
    Disconnect(usize),
    Report(usize, &'static str),
    Step(usize, i32),
    Get(usize),
    /// The server dies with a report written and not acknowledged: whoever was there is gone, and the device
    /// comes back and says it again.
    Crash(usize, &'static str),
    Pause(usize),
    Resume(usize),
    Skip(usize, i32),
    Approve(usize),
    Cancel(usize),
    Again(usize),
    Close(usize),
    /// Time passes until a window opens or closes; what is due meanwhile is done.
    Edge,
    /// What is due is done: one batch.
    Claim,
    /// Nothing is due now; time passes until something is.
    Wait,
}

/// Who plays, and what may happen to them.
struct Cast {
    devices: Vec<Id>,
    jobs: [Id; 2],
    acts: Vec<Act>,
    rules: Rules,
    /// How far back the rules look in time.
    memory: Ms,
}

/// A world of devices online on version `1`, and two jobs for all of them.
fn stage(devices: usize, jobs: [(&str, Terms); 2], acts: Vec<Act>) -> (World, Cast) {
    let orders = jobs.map(|(version, terms)| (version, Order { terms, ..Order::to(Pick::All) }));
    stage_of(devices, orders, acts)
}

fn stage_of(devices: usize, orders: [(&str, Order); 2], acts: Vec<Act>) -> (World, Cast) {
    let mut world = World::new();
    world.chunk = 1;
    world.limits.slot_ms = 0;
    (world.tables.product.settle_ms, world.tables.product.grace_ms) = (0, 0);
    let devices: Vec<Id> = (0..devices).flat_map(|_| world.online::<1>()).collect();
    let jobs = orders.map(|(version, order)| {
        let package = world.package(version);
        world.start(package, Order { rate_per_minute: RATE, ..order })
    });
    (world, Cast { devices, jobs, acts, rules: decide, memory: 0 })
}

/// Without the clocks that would only multiply the states.
fn timeless(overwrite: Overwrite) -> Terms {
    Terms {
        attempts: 2,
        start_timeout_ms: None,
        most_pushes: None,
        lost_ms: None,
        overwrite,
        ..Terms::default()
    }
}

/// A job that is over before it begins.
fn nobody() -> (&'static str, Order) {
    ("3", Order::to(Pick::Named(vec![])))
}

impl Cast {
    /// Lets something happen; `false` if it cannot happen now.
    fn play(&self, world: &mut World, act: Act) -> bool {
        let input = match act {
            Claim | Wait => return self.pass(world, act == Wait),
            Edge => return self.edge(world),
            Crash(d, version) => return self.crash(world, d, version),
            Connect(d) if self.epoch(world, d).is_none() => self.connected(world, d),
            Disconnect(d) => self.epoch(world, d).map(|epoch| self.gone(d, epoch)),
            Report(d, version) => self.epoch(world, d).map(|epoch| self.reported(d, epoch, version)),
            Step(d, step) => self.epoch(world, d).map(|epoch| self.progressed(d, epoch, step)),
            Get(d) => self.epoch(world, d).map(|epoch| self.asked(d, epoch)),
            Connect(_) => None,
            Pause(job) => Some(Input::PauseJob(self.jobs[job])),
            Resume(job) => Some(Input::ResumeJob(self.jobs[job])),
            Skip(job, wave) => Some(Input::SkipWave { job: self.jobs[job], wave }),
            Approve(job) => Some(Input::ConfirmJob(self.jobs[job])),
            Cancel(job) => Some(Input::CancelJob(self.jobs[job])),
            Again(job) => Some(Input::ReupgradeJob(self.jobs[job])),
            Close(job) => Some(Input::CloseJob(self.jobs[job])),
        };
        let possible = input.is_some();
        self.apply(world, input.into_iter().collect());
        self.push(world);
        possible
    }

    /// What devices wait for is done at once; the chunks of an order take turns with everything else.
    fn push(&self, world: &mut World) {
        loop {
            let later = |timer: &Timer| matches!(timer, Timer::Work(_) | Timer::Release(_));
            let kept: Vec<(Timer, Ms)> =
                world.tables.timers.extract_if(.., |timer, _| later(timer)).collect();
            let inputs = world.claim();
            world.tables.timers.extend(kept);
            if inputs.is_empty() {
                return;
            }
            self.apply(world, inputs);
        }
    }

    fn apply(&self, world: &mut World, inputs: Vec<Input>) {
        world.apply_by(self.rules, inputs);
        world.tables.events.clear();
        world.tables.sent.clear();
    }

    fn pass(&self, world: &mut World, wait: bool) -> bool {
        let Some(first) = world.tables.timers.values().min().copied() else { return false };
        if wait != (first > world.now) {
            return false;
        }
        world.now = world.now.max(first);
        let inputs = world.claim();
        self.apply(world, inputs);
        self.push(world);
        true
    }

    fn edge(&self, world: &mut World) -> bool {
        world.pass(HALF_A_DAY - world.now.rem_euclid(HALF_A_DAY));
        world.tables.events.clear();
        world.tables.sent.clear();
        true
    }

    fn crash(&self, world: &mut World, d: usize, version: &str) -> bool {
        let Some(epoch) = self.epoch(world, d) else { return false };
        self.apply(world, vec![self.reported(d, epoch, version)]);
        let online = (0..self.devices.len()).filter_map(|d| Some(self.gone(d, self.epoch(world, d)?)));
        let orphans = online.collect();
        self.apply(world, orphans);
        let back = self.connected(world, d);
        self.apply(world, back.into_iter().collect());
        let again = self.epoch(world, d).map(|epoch| self.reported(d, epoch, version));
        self.apply(world, again.into_iter().collect());
        self.push(world);
        true
    }

    fn epoch(&self, world: &World, d: usize) -> Option<Epoch> {
        world.tables.sessions.get(&self.devices[d]).map(|s| s.epoch)
    }

    fn connected(&self, world: &mut World, d: usize) -> Option<Input> {
        Some(Input::Connected { device: self.devices[d], epoch: world.tables.numbers.next_id() })
    }

    fn gone(&self, d: usize, epoch: Epoch) -> Input {
        Input::Disconnected { device: self.devices[d], epoch }
    }

    fn reported(&self, d: usize, epoch: Epoch, version: &str) -> Input {
        let (module, version) = (DEFAULT_MODULE.into(), version.into());
        Input::Reported { device: self.devices[d], epoch, module, version }
    }

    fn progressed(&self, d: usize, epoch: Epoch, step: i32) -> Input {
        let (module, desc) = (DEFAULT_MODULE.into(), String::new());
        Input::Progressed { device: self.devices[d], epoch, module, step, desc }
    }

    fn asked(&self, d: usize, epoch: Epoch) -> Input {
        let (module, ask) = (DEFAULT_MODULE.into(), Ask::Get { id: "7".into() });
        Input::Asked { device: self.devices[d], epoch, module, ask }
    }

    /// What the rules can still see of a world, in short.
    fn key(&self, world: &World) -> u64 {
        let mut hasher = DefaultHasher::new();
        Seen { tables: &world.tables, now: world.now, memory: self.memory }.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether an act leads on without an operator and without luck: a device comes to a version by being told,
    /// or having begun.
    fn leads_on(&self, world: &World, act: Act) -> bool {
        let told = |d: usize, version: &str| {
            let mut tasks = world.tables.tasks.values().filter(|t| t.device_id == self.devices[d]);
            tasks.any(|t| {
                let knows = t.told_at.is_some() || t.heard_at.is_some();
                t.dest_version == version && !t.state.is_terminal() && knows
            })
        };
        match act {
            Report(d, version) | Crash(d, version) => told(d, version),
            Pause(_) | Resume(_) | Skip(..) | Approve(_) | Cancel(_) | Again(_) | Close(_) => false,
            Connect(_) | Disconnect(_) | Step(..) | Get(_) | Claim | Wait | Edge => true,
        }
    }
}

/// A world as the rules see it.
struct Seen<'a> {
    tables: &'a Tables,
    now: Ms,
    memory: Ms,
}

impl Hash for Seen<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let tables = self.tables;
        for device in tables.devices.keys() {
            tables.sessions.get(device).map(|s| self.as_seen(s.connected_at)).hash(to);
        }
        for ((device, module), row) in &tables.versions {
            let settles = (self.as_seen(row.first_reported_at), row.reported_at == row.first_reported_at);
            (device, module, &row.version, self.present(*device, row.epoch), settles).hash(to);
            row.given_up.hash(to);
        }
        if tables.jobs.values().any(|job| !job.terms.windows.is_empty()) {
            self.now.rem_euclid(2 * HALF_A_DAY).hash(to);
        }
        tables.tasks.values().for_each(|task| self.task(task, to));
        tables.jobs.values().for_each(|job| self.job(job, to));
        for (timer, at) in &tables.timers {
            (timer, self.as_seen(*at)).hash(to);
        }
    }
}

impl Seen<'_> {
    /// A time as seen from now, as far as anybody looks back.
    fn as_seen(&self, at: Ms) -> Ms {
        (at - self.now).max(-self.memory)
    }

    /// 0 is none, 1 the present connection, 2 an earlier one.
    fn present(&self, device: Id, epoch: Epoch) -> u8 {
        match self.tables.sessions.get(&device) {
            _ if epoch == 0 => 0,
            Some(session) if session.epoch == epoch => 1,
            _ => 2,
        }
    }

    fn task(&self, task: &Task, to: &mut impl Hasher) {
        (task.state as u8, task.approved).hash(to);
        let job = &self.tables.jobs[&task.job_id];
        if let Some(gate) = &job.gate {
            let now = |round: Option<i32>| round.map(|round| round == gate.round);
            let prevented =
                matches!(task.reason, Some(Reason::Conflict { .. } | Reason::SourceExcluded { .. }));
            (now(task.offered_in), now(task.failed_in), now(task.lost_in), prevented).hash(to);
        }
        // A re-upgrade forgets all else of a task that has ended.
        if task.state.is_terminal() {
            return;
        }
        let at = |time: Option<Ms>| time.map(|at| self.as_seen(at));
        let version = self.tables.versions.get(&(task.device_id, task.module.clone()));
        let done = task.done_at.zip(version).map(|(at, version)| at <= version.reported_at);
        let idle = job.terms.most_pushes.map(|most| (task.idle_pushes.min(most), task.furthest));
        (&task.src_version, task.tries, idle, done, task.is_lost()).hash(to);
        (self.present(task.device_id, task.told_epoch), task.told_at.is_some()).hash(to);
        (at(task.retry_at), at(task.ready_at), at(task.heard_at)).hash(to);
        let counts_from = task.first_progress_at.map(|at| self.as_seen(at + job.held_ms - task.held_before));
        job.timeout_ms.and(counts_from).hash(to);
        job.timeout_ms.and(at(job.held_at)).hash(to);
        match task.start_clock {
            None => (0, 0).hash(to),
            Some(StartClock::By(by)) => (1, self.as_seen(by)).hash(to),
            Some(StartClock::Left(left)) => (2, left).hash(to),
        }
    }

    fn job(&self, job: &Job, to: &mut impl Hasher) {
        (job.state as u8, job.hold.map(|hold| hold == Hold::Paused), job.release, job.work).hash(to);
        if let Some(gate) = &job.gate {
            let times = (self.as_seen(gate.opened_at), gate.enough_at.map(|at| self.as_seen(at)));
            let failed = job.terms.limits.failures.map(|most| gate.failed.min(most + 1));
            (gate.wave, times, failed, gate.ended_before).hash(to);
        }
        // Further back than a budget reaches nobody looks.
        let used_up = (job.offered_until_us - self.now * 1_000).max(0);
        (job.closed_at.is_some(), job.terms.kbit_per_second.map(|_| used_up)).hash(to);
    }
}

/// What stands before a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    /// It must have a way on.
    Open,
    /// It has succeeded, or says what an operator is to do, or an operator has it on its way out.
    Fine,
    /// It ended without success.
    Ended,
    /// It is not there yet.
    Unmade,
}

fn outlook(world: &World, task: &Task) -> Outlook {
    match (task.state, world.waiting(task)) {
        (TaskState::Succeeded, _) => Outlook::Fine,
        (_, None) => Outlook::Ended,
        (_, Some(waiting)) if names_an_operator(world, &waiting) => Outlook::Fine,
        _ => Outlook::Open,
    }
}

fn names_an_operator(world: &World, waiting: &Waiting) -> bool {
    match waiting {
        Waiting::AwaitsApproval | Waiting::Paused | Waiting::Halted { .. } | Waiting::Canceling => true,
        Waiting::QueuedBehind { task, .. } => {
            let ahead = world.waiting(&world.tables.tasks[task]);
            ahead.is_some_and(|ahead| names_an_operator(world, &ahead))
        }
        _ => false,
    }
}

/// All that can be reached, as a graph.
#[derive(Default)]
struct Graph {
    /// How each state was first reached.
    reached_by: Vec<(usize, Act)>,
    outlooks: Vec<Vec<Outlook>>,
    /// From and to, by acts that lead on.
    edges: Vec<(usize, usize)>,
}

impl Graph {
    /// The acts that lead to a state.
    fn path(&self, mut state: usize) -> Vec<Act> {
        let mut path = Vec::new();
        while state != 0 {
            let (before, act) = self.reached_by[state];
            path.push(act);
            state = before;
        }
        path.reverse();
        path
    }

    /// A state in which a task can neither succeed nor comes to say what an operator is to do.
    fn dead_end(&self) -> Option<usize> {
        let mut back = vec![Vec::new(); self.outlooks.len()];
        for (from, to) in &self.edges {
            back[*to].push(*from);
        }
        let tasks = self.outlooks.iter().map(Vec::len).max().unwrap_or(0);
        (0..tasks).find_map(|task| {
            let of = |outlooks: &[Outlook]| outlooks.get(task).copied().unwrap_or(Outlook::Unmade);
            let mut has_a_way: Vec<bool> = self.outlooks.iter().map(|o| of(o) == Outlook::Fine).collect();
            let mut open: Vec<usize> = (0..has_a_way.len()).filter(|s| has_a_way[*s]).collect();
            while let Some(state) = open.pop() {
                for before in &back[state] {
                    if !std::mem::replace(&mut has_a_way[*before], true) {
                        open.push(*before);
                    }
                }
            }
            (0..has_a_way.len()).find(|s| !has_a_way[*s] && of(&self.outlooks[*s]) == Outlook::Open)
        })
    }
}

/// Why a search failed, and the shortest way there.
#[derive(Debug)]
struct Broken {
    what: String,
    path: Vec<Act>,
}

/// Goes everywhere, nearest first. Tells how many states there are.
fn explore(start: World, cast: &Cast) -> Result<usize, Broken> {
    let mut graph = Graph::default();
    let mut known: HashMap<u64, usize> = HashMap::from([(cast.key(&start), 0)]);
    let mut waiting = std::collections::VecDeque::from([(0, start.clone())]);
    graph.add(0, Claim, &start);
    while let Some((from, world)) = waiting.pop_front() {
        for act in &cast.acts {
            let mut next = world.clone();
            let played = catch_unwind(AssertUnwindSafe(|| cast.play(&mut next, *act)));
            let possible = played.map_err(|panic| Broken {
                what: panic.downcast::<String>().map_or_else(|_| "a panic".into(), |text| *text),
                path: [graph.path(from), vec![*act]].concat(),
            })?;
            if !possible {
                continue;
            }
            let to = *known.entry(cast.key(&next)).or_insert_with(|| {
                let to = graph.add(from, *act, &next);
                waiting.push_back((to, next));
                to
            });
            if cast.leads_on(&world, *act) {
                graph.edges.push((from, to));
            }
        }
    }
    match graph.dead_end() {
        None => Ok(graph.outlooks.len()),
        Some(state) => Err(Broken { what: "a task has no way on".into(), path: graph.path(state) }),
    }
}

impl Graph {
    fn add(&mut self, from: usize, act: Act, world: &World) -> usize {
        self.reached_by.push((from, act));
        self.outlooks.push(world.tables.tasks.values().map(|task| outlook(world, task)).collect());
        self.outlooks.len() - 1
    }
}

/// Fails with the way to what is wrong, or if the world is smaller than it was.
fn holds_everywhere((world, cast): (World, Cast), at_least: usize) {
    match explore(world, &cast) {
        Ok(states) => {
            assert!(states >= at_least, "only {states} states: something keeps the search from going on");
        }
        Err(Broken { what, path }) => panic!("{what}\nafter {path:?}"),
    }
}

/// A device that does all it can, its server that dies, and an operator who stops and starts the job ahead.
#[test]
fn two_jobs_in_a_line() {
    let terms = || Terms { attempts: 1, ..timeless(Overwrite::Queue) };
    let reports = ["1", "2", "3"].into_iter().flat_map(|v| [Report(0, v), Crash(0, v)]);
    let others = [Connect(0), Disconnect(0), Get(0), Step(0, 100), Step(0, -1), Claim, Wait];
    let operator = [Pause(0), Resume(0), Cancel(0), Again(0)];
    let acts = reports.chain(others).chain(operator).collect();
    holds_everywhere(stage(1, [("2", terms()), ("3", terms())], acts), 3_400);
}

/// Behind a whole file a difference to the version the device was on at first.
#[test]
fn a_difference_behind_a_file() {
    let terms = || Terms { attempts: 2, ..timeless(Overwrite::Queue) };
    let reports = ["1", "2", "3"].map(|version| Report(0, version));
    let others = [Connect(0), Disconnect(0), Get(0), Step(0, 50), Step(0, 100), Step(0, -1), Claim, Wait];
    let acts = reports.into_iter().chain(others).chain([Cancel(0), Again(0), Again(1)]).collect();
    let (mut world, cast) = stage(1, [("2", terms()), ("3", terms())], acts);
    let package = world.job(cast.jobs[1]).package_id;
    world.tables.packages.get_mut(&package).unwrap().src_version = Some("1".into());
    holds_everywhere((world, cast), 1_000);
}

/// A job that takes the other's place, both held, cancelled and started again.
#[test]
fn a_job_that_replaces_another() {
    let terms = || Terms { attempts: 1, ..timeless(Overwrite::Replace) };
    let device = [Report(0, "1"), Report(0, "2"), Report(0, "3"), Step(0, 100), Step(0, -1), Claim, Wait];
    let operator = [Pause(1), Resume(1), Cancel(0), Again(0), Cancel(1), Again(1)];
    let acts = device.into_iter().chain(operator).collect();
    holds_everywhere(stage(1, [("2", terms()), ("3", terms())], acts), 1_300);
}

/// Several attempts, made-up versions, grace and time to settle.
#[test]
fn a_device_that_corrects_itself() {
    let terms = || timeless(Overwrite::Queue);
    let acts = vec![
        Connect(0),
        Disconnect(0),
        Report(0, "1"),
        Report(0, "2"),
        Report(0, "x"),
        Crash(0, "x"),
        Step(0, 100),
        Report(0, "3"),
        Claim,
        Wait,
    ];
    let (mut world, mut cast) = stage(1, [("2", terms()), ("3", terms())], acts);
    (world.tables.product.settle_ms, world.tables.product.grace_ms) = (SETTLE, GRACE);
    cast.memory = GRACE;
    holds_everywhere((world, cast), 12_000);
}

/// A clock until the first progress that runs while the device is there, an end to pushing, and a pause.
#[test]
fn a_device_that_may_not_begin() {
    let terms = Terms {
        start_timeout_ms: Some(2 * MINUTE),
        most_pushes: Some(2),
        attempts: 1,
        ..timeless(Overwrite::Queue)
    };
    let acts = vec![
        Connect(0),
        Disconnect(0),
        Report(0, "1"),
        Report(0, "2"),
        Report(0, "3"),
        Step(0, 10),
        Pause(0),
        Resume(0),
        Claim,
        Wait,
    ];
    let (mut world, mut cast) = stage(1, [("2", terms), ("3", timeless(Overwrite::Queue))], acts);
    world.tables.product.grace_ms = GRACE;
    cast.memory = 2 * MINUTE;
    holds_everywhere((world, cast), 17_500);
}

/// Two devices that come and go, one of which fails, and a job that is cancelled in chunks.
#[test]
fn two_devices_and_two_jobs() {
    let terms = || Terms { attempts: 1, ..timeless(Overwrite::Queue) };
    let of_one = |d| [Report(d, "2"), Report(d, "3"), Disconnect(d), Connect(d)];
    let others = [Step(0, -1), Cancel(0), Claim, Wait];
    let acts = of_one(0).into_iter().chain(of_one(1)).chain(others).collect();
    holds_everywhere(stage(2, [("2", terms()), ("3", terms())], acts), 13_000);
}

/// Two waves of a device each, a limit that halts, and a second job that waits for approval.
#[test]
fn waves_that_halt_and_are_skipped() {
    let waves = [0, i64::MAX].map(|threshold| Wave { share: Share::Count { n: 1 }, threshold });
    let first = Terms {
        attempts: 1,
        waves: waves.to_vec(),
        soak_ms: MINUTE,
        max_wait_ms: Some(MINUTE),
        limits: FailureLimits { failures: Some(0), ..FailureLimits::default() },
        ..timeless(Overwrite::Queue)
    };
    let second = Terms { need_confirm: true, attempts: 1, ..timeless(Overwrite::Queue) };
    let of_one = |d| [Report(d, "2"), Report(d, "3"), Step(d, -1)];
    let others = [Skip(0, 0), Resume(0), Approve(1), Claim, Wait];
    let acts = of_one(0).into_iter().chain(of_one(1)).chain(others).collect();
    let (world, mut cast) = stage(2, [("2", first), ("3", second)], acts);
    cast.memory = MINUTE;
    holds_everywhere((world, cast), 29_000);
}

/// A job that tells devices before noon only, with a clock until the first progress that outlasts a morning, and one
/// behind it that tells them always.
#[test]
fn a_window_that_opens_and_closes() {
    let windows = vec![Window { days: 0b111_1111, from: 0, to: 12 * 60 }];
    let first = Terms {
        windows,
        start_timeout_ms: Some(3 * HALF_A_DAY / 2),
        attempts: 2,
        ..timeless(Overwrite::Queue)
    };
    let second = Terms { attempts: 1, ..timeless(Overwrite::Queue) };
    let device = [Connect(0), Disconnect(0), Report(0, "1"), Report(0, "2"), Report(0, "3"), Get(0)];
    let others = [Step(0, 100), Step(0, -1), Pause(0), Resume(0), Edge, Claim, Wait];
    let acts = device.into_iter().chain(others).collect();
    holds_everywhere(stage(1, [("2", first), ("3", second)], acts), 15_000);
}

/// A byte budget that has room for one file in half a minute, and two devices that ask for it.
#[test]
fn a_budget_for_one_file_at_a_time() {
    let first = Terms { kbit_per_second: Some(1), attempts: 2, ..timeless(Overwrite::Queue) };
    let first = Order { terms: first, ..Order::to(Pick::All) };
    let of_one = |d| [Connect(d), Disconnect(d), Report(d, "2"), Get(d), Step(d, -1)];
    let acts = of_one(0).into_iter().chain(of_one(1)).chain([Claim, Wait]).collect();
    holds_everywhere(stage_of(2, [("2", first), nobody()], acts), 4_000);
}

/// A dynamic job that has taken a device eight times, and may twice more.
#[test]
fn a_policy_that_takes_a_device_again_and_again() {
    let terms = Terms { attempts: 1, src_versions: vec!["1".into()], ..timeless(Overwrite::Queue) };
    let policy = Order { terms, ..Order::dynamic(&["1"]) };
    let reports = ["1", "2", "3"].map(|version| Report(0, version));
    let others = [Step(0, 100), Disconnect(0), Connect(0), Claim, Wait];
    let operator = [Pause(0), Resume(0), Close(0), Cancel(0)];
    let acts = reports.into_iter().chain(others).chain(operator).collect();
    let (mut world, cast) = stage_of(1, [("2", policy), nobody()], acts);
    for _ in 0..7 {
        for version in ["2", "1"] {
            world.report(cast.devices[0], DEFAULT_MODULE, version);
        }
    }
    assert_eq!(world.tables.tasks.len(), 8);
    world.tables.events.clear();
    world.tables.sent.clear();
    holds_everywhere((world, cast), 1_000);
}

// Rules with one mistake each, so that it is known that the search finds it.

/// Holds are not looked at.
fn blind_to_holds(mut rows: Rows, inputs: Vec<Input>, now: Ms, limits: Limits, ids: &mut dyn Ids) -> Changes {
    let held: Vec<(Id, Option<Hold>)> = rows.jobs.values_mut().map(|job| (job.id, job.hold.take())).collect();
    let mut changes = decide(rows, inputs, now, limits, ids);
    for job in &mut changes.jobs {
        let before = held.iter().find(|(id, _)| *id == job.id).and_then(|(_, hold)| *hold);
        job.hold = job.hold.or(before);
    }
    changes
}

/// Cancelling a job cancels those that have ended, too.
fn cancels_what_has_ended(
    rows: Rows,
    inputs: Vec<Input>,
    now: Ms,
    limits: Limits,
    ids: &mut dyn Ids,
) -> Changes {
    let cancels = inputs.iter().any(|i| matches!(i, Input::Tasks { work: Work::Cancel { .. }, .. }));
    let failed: Vec<Task> =
        rows.tasks.values().filter(|t| cancels && t.state == TaskState::Failed).cloned().collect();
    let mut changes = decide(rows, inputs, now, limits, ids);
    for task in failed {
        *changes.counts.entry((task.job_id, TaskState::Failed)).or_default() -= 1;
        *changes.counts.entry((task.job_id, TaskState::Canceled)).or_default() += 1;
        changes.tasks.push(Task { state: TaskState::Canceled, ..task });
    }
    changes
}

/// Failures are not counted.
fn miscounts(rows: Rows, inputs: Vec<Input>, now: Ms, limits: Limits, ids: &mut dyn Ids) -> Changes {
    let mut changes = decide(rows, inputs, now, limits, ids);
    changes.counts.retain(|(_, state), _| *state != TaskState::Failed);
    changes
}

/// A task waits for its next attempt without a timer.
fn forgets_the_retry(rows: Rows, inputs: Vec<Input>, now: Ms, limits: Limits, ids: &mut dyn Ids) -> Changes {
    let mut changes = decide(rows, inputs, now, limits, ids);
    changes.timers.retain(|timer, at| !matches!(timer, Timer::Retry(_)) || at.is_none());
    changes
}

/// What is due does not see the first of two tasks.
fn tells_two_at_once(
    mut rows: Rows,
    inputs: Vec<Input>,
    now: Ms,
    limits: Limits,
    ids: &mut dyn Ids,
) -> Changes {
    let newest = rows.tasks.values().map(|t| t.job_id).max();
    if inputs.iter().all(|i| matches!(i, Input::Due(_))) {
        rows.tasks.retain(|_, task| Some(task.job_id) == newest);
    }
    decide(rows, inputs, now, limits, ids)
}

/// 100 % is taken for success.
fn believes_in_100(rows: Rows, inputs: Vec<Input>, now: Ms, limits: Limits, ids: &mut dyn Ids) -> Changes {
    let mut changes = decide(rows, inputs, now, limits, ids);
    let done = |task: &&mut Task| task.state == TaskState::InProgress && task.progress == 100;
    for task in changes.tasks.iter_mut().filter(done) {
        let (from, to, reason) = (task.state, TaskState::Succeeded, Some(Reason::Success));
        task.state = to;
        *changes.counts.entry((task.job_id, from)).or_default() -= 1;
        *changes.counts.entry((task.job_id, to)).or_default() += 1;
        changes.events.push(Event {
            at: now,
            product_id: task.product_id,
            device_id: Some(task.device_id),
            job_id: Some(task.job_id),
            task_id: Some(task.id),
            kind: EventKind::TaskState { from, to, reason },
        });
    }
    changes
}

#[test]
fn the_search_finds_each_mistake() {
    let acts = || {
        let operator = [Pause(0), Resume(0), Cancel(0)];
        let device = [Connect(0), Disconnect(0), Report(0, "1"), Report(0, "2"), Report(0, "3")];
        let others = [Step(0, 100), Step(0, -1), Claim, Wait];
        device.into_iter().chain(others).chain(operator).collect()
    };
    let mistakes: [(Rules, i32, &str); 6] = [
        (blind_to_holds, 1, "told of a held job"),
        (cancels_what_has_ended, 1, "an ended task moved"),
        (miscounts, 1, "Failed tasks of job"),
        (forgets_the_retry, 2, "a task has no way on"),
        (tells_two_at_once, 1, "run at once"),
        (believes_in_100, 1, "succeeded without a report"),
    ];
    for (rules, attempts, what) in mistakes {
        let terms = || Terms { attempts, ..timeless(Overwrite::Queue) };
        // The first job is for two devices, so that it goes on when one has failed.
        let (mut world, cast) = stage(2, [("2", terms()), ("3", terms())], acts());
        // The counts of gates would give most of these away first.
        world.tables.jobs.values_mut().for_each(|job| job.gate = None);
        let broken = explore(world, &Cast { rules, ..cast }).expect_err(what);
        assert!(broken.what.contains(what), "{what}: {broken:?}");
    }
}
