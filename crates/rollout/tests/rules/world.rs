//! Tables, clock and timers: what the store and the server do around `decide`, in memory.

use std::collections::{BTreeMap, BTreeSet};

use otaru_rollout::*;

use crate::watch::{Watch, what_waits_has_a_timer};

/// A second.
pub(crate) const SECOND: Ms = 1_000;
/// A minute.
pub(crate) const MINUTE: Ms = 60 * SECOND;
/// The settle time of the world's product.
pub(crate) const SETTLE: Ms = 10 * SECOND;
/// The grace of the world's product.
pub(crate) const GRACE: Ms = 30 * SECOND;
const PRODUCT: Id = 1;

/// Numbers that count up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbers {
    id: Id,
    stream: u32,
}

impl Ids for Numbers {
    fn next_id(&mut self) -> Id {
        self.id += 1;
        self.id
    }

    fn next_stream(&mut self) -> u32 {
        self.stream += 1;
        self.stream
    }
}

/// What a store remembers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tables {
    pub(crate) product: Product,
    pub(crate) packages: BTreeMap<Id, Package>,
    pub(crate) jobs: BTreeMap<Id, Job>,
    pub(crate) named: BTreeMap<Id, Vec<Id>>,
    pub(crate) devices: BTreeMap<Id, Device>,
    pub(crate) sessions: BTreeMap<Id, Session>,
    pub(crate) versions: BTreeMap<(Id, String), ModuleVersion>,
    pub(crate) tasks: BTreeMap<Id, Task>,
    pub(crate) timers: BTreeMap<Timer, Ms>,
    pub(crate) events: Vec<Event>,
    pub(crate) sent: Vec<Outbound>,
    pub(crate) dropped: u32,
    numbers: Numbers,
}

impl Tables {
    /// Download slots in use at `now`.
    pub(crate) fn slots_used(&self, now: Ms) -> i64 {
        self.tasks.values().filter(|t| t.slot_until.is_some_and(|until| until > now)).count() as i64
    }

    fn write(&mut self, changes: Changes) {
        for (device, epoch) in changes.sessions_ended {
            if self.sessions.get(&device).is_some_and(|s| s.epoch == epoch) {
                self.sessions.remove(&device);
            }
        }
        self.sessions.extend(changes.sessions.into_iter().map(|s| (s.device_id, s)));
        self.devices.extend(changes.devices.into_iter().map(|d| (d.id, d)));
        self.versions.extend(changes.versions.into_iter().map(|v| ((v.device_id, v.module.clone()), v)));
        self.packages.extend(changes.packages.into_iter().map(|p| (p.id, p)));
        for task in changes.tasks_new {
            assert!(self.tasks.insert(task.id, task).is_none(), "a new task has a new number");
        }
        for task in changes.tasks {
            assert!(self.tasks.insert(task.id, task).is_some(), "a changed task is known");
        }
        self.write_jobs(changes.jobs, changes.counts);
        for (timer, at) in changes.timers {
            match at {
                Some(at) => self.timers.insert(timer, at),
                None => self.timers.remove(&timer),
            };
        }
        self.events.extend(changes.events);
        self.sent.extend(changes.outbound);
        self.dropped += changes.dropped;
    }

    /// A job's counts are kept by their differences only.
    fn write_jobs(&mut self, jobs: Vec<Job>, counts: BTreeMap<(Id, TaskState), i64>) {
        for job in jobs {
            let counts = self.jobs[&job.id].counts;
            self.jobs.insert(job.id, Job { counts, ..job });
        }
        for ((job, state), n) in counts {
            self.jobs.get_mut(&job).unwrap().counts.add(state, n);
        }
    }
}

/// Which devices a job of the world is for.
pub(crate) enum Pick {
    All,
    Named(Vec<Id>),
    Percent(u32),
}

/// What an operator asks for. `Order::to(pick)` is a plain pushed static job over MQTT.
pub(crate) struct Order {
    pub(crate) kind: JobKind,
    pub(crate) pick: Pick,
    pub(crate) need_push: bool,
    pub(crate) timeout_ms: Option<Ms>,
    pub(crate) rate_per_minute: i64,
}

impl Order {
    pub(crate) fn to(pick: Pick) -> Self {
        Self { kind: JobKind::Static, pick, need_push: true, timeout_ms: None, rate_per_minute: 10_000 }
    }

    pub(crate) fn verify(devices: Vec<Id>) -> Self {
        Self { kind: JobKind::Verify, ..Self::to(Pick::Named(devices)) }
    }
}

/// The platform in memory.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) now: Ms,
    pub(crate) limits: Limits,
    /// Devices or tasks in one chunk of a job's work.
    pub(crate) chunk: usize,
    pub(crate) tables: Tables,
    watch: Watch,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = 1_700_000_000_000;
        let product = Product {
            id: PRODUCT,
            product_key: "a1World".into(),
            name: "World".into(),
            settle_ms: SETTLE,
            grace_ms: GRACE,
            created_at: now,
        };
        let tables = Tables {
            product,
            packages: BTreeMap::new(),
            jobs: BTreeMap::new(),
            named: BTreeMap::new(),
            devices: BTreeMap::new(),
            sessions: BTreeMap::new(),
            versions: BTreeMap::new(),
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            events: Vec::new(),
            sent: Vec::new(),
            dropped: 0,
            numbers: Numbers { id: 1_000, stream: 0 },
        };
        Self { now, limits: Limits::default(), chunk: 2, tables, watch: Watch::default() }
    }

    // What operators do.

    /// A device that has never connected.
    pub(crate) fn new_device(&mut self) -> Id {
        let id = self.tables.numbers.next_id();
        let device = Device {
            id,
            product_id: PRODUCT,
            name: format!("dev{id}"),
            enabled: true,
            first_online_at: None,
            last_online_at: None,
            last_offline_at: None,
            created_at: self.now,
        };
        self.tables.devices.insert(id, device);
        id
    }

    /// A device that was here before and is offline now.
    pub(crate) fn device(&mut self) -> Id {
        let id = self.new_device();
        self.tables.devices.get_mut(&id).unwrap().first_online_at = Some(self.now - MINUTE);
        id
    }

    /// Devices that are online and have reported version `1` of module `default`.
    pub(crate) fn online<const N: usize>(&mut self) -> [Id; N] {
        std::array::from_fn(|_| {
            let device = self.new_device();
            self.connect(device);
            self.report(device, DEFAULT_MODULE, "1");
            device
        })
    }

    /// A package of module `default`.
    pub(crate) fn package(&mut self, version: &str) -> Id {
        self.package_of(DEFAULT_MODULE, version)
    }

    pub(crate) fn package_of(&mut self, module: &str, version: &str) -> Id {
        let id = self.tables.numbers.next_id();
        let package = Package {
            id,
            product_id: PRODUCT,
            name: format!("{module} {version}"),
            module: module.into(),
            version: version.into(),
            sign_method: SignMethod::Md5,
            size: 4_252,
            md5: "0".repeat(32),
            sha256: "0".repeat(64),
            file_name: "app.bin".into(),
            image_version: None,
            state: PackageState::Unverified,
            created_at: self.now,
        };
        self.tables.packages.insert(id, package);
        id
    }

    /// Writes a job as the server does: its row and the first timer of its work.
    pub(crate) fn order(&mut self, package: Id, order: Order) -> Id {
        let scope = match &order.pick {
            Pick::All => Scope::All,
            Pick::Named(_) => Scope::Named,
            Pick::Percent(thousandths) => {
                Scope::Percent { thousandths: *thousandths, threshold: self.threshold(package, *thousandths) }
            }
        };
        let job = self.new_job(package, scope, &order);
        if let Pick::Named(mut devices) = order.pick {
            devices.sort_unstable();
            self.tables.named.insert(job.id, devices);
        }
        if job.kind == JobKind::Verify {
            self.tables.packages.get_mut(&package).unwrap().state = PackageState::Verifying;
        }
        let id = job.id;
        self.tables.jobs.insert(id, job);
        self.tables.timers.insert(Timer::Work(id), self.now);
        id
    }

    fn new_job(&mut self, package: Id, scope: Scope, order: &Order) -> Job {
        Job {
            id: self.tables.numbers.next_id(),
            product_id: PRODUCT,
            package_id: package,
            kind: order.kind,
            state: JobState::InProgress,
            scope,
            need_push: order.need_push,
            protocol: Protocol::Mqtt,
            timeout_ms: order.timeout_ms,
            rate_per_minute: order.rate_per_minute,
            next_push_us: 0,
            work: Some(Work::Enrol { cursor: 0 }),
            created_at: self.now,
            ended_at: None,
            counts: Counts::default(),
        }
    }

    /// The spread of the last device of a share: the floor(n·p/100) lowest, at least one.
    fn threshold(&self, package: Id, thousandths: u32) -> i64 {
        let of_all = |d: &&Device| d.enabled && d.first_online_at.is_some();
        let mut spreads: Vec<i64> =
            self.tables.devices.values().filter(of_all).map(|d| spread(package, d.id)).collect();
        spreads.sort_unstable();
        let share = (spreads.len() * thousandths as usize / 100_000).max(1);
        spreads.get(share - 1).copied().unwrap_or(i64::MIN)
    }

    /// Orders a job and lets everything happen that is due now.
    pub(crate) fn start(&mut self, package: Id, order: Order) -> Id {
        let job = self.order(package, order);
        self.tick();
        job
    }

    // What devices do. Each is followed by all that is due now.

    pub(crate) fn connect(&mut self, device: Id) -> Epoch {
        let epoch = self.tables.numbers.next_id();
        self.run(Input::Connected { device, epoch });
        epoch
    }

    pub(crate) fn disconnect(&mut self, device: Id) {
        let epoch = self.epoch(device);
        self.run(Input::Disconnected { device, epoch });
    }

    pub(crate) fn report(&mut self, device: Id, module: &str, version: &str) {
        let epoch = self.epoch(device);
        self.run(Input::Reported { device, epoch, module: module.into(), version: version.into() });
    }

    pub(crate) fn progress(&mut self, device: Id, step: i32) {
        let (epoch, module, desc) = (self.epoch(device), DEFAULT_MODULE.into(), format!("step {step}"));
        self.run(Input::Progressed { device, epoch, module, step, desc });
    }

    /// Asks for module `default`; tells what was answered (`None` is silence).
    pub(crate) fn ask(&mut self, device: Id, ask: Ask) -> Option<Option<Offer>> {
        let (epoch, module) = (self.epoch(device), DEFAULT_MODULE.into());
        self.tables.sent.clear();
        self.run(Input::Asked { device, epoch, module, ask });
        self.tables.sent.iter().find_map(|out| match out {
            Outbound::Answer { offer, .. } => Some(offer.clone()),
            _ => None,
        })
    }

    pub(crate) fn get(&mut self, device: Id) -> Option<Option<Offer>> {
        self.ask(device, Ask::Get { id: "7".into() })
    }

    /// The device's present connection.
    pub(crate) fn epoch(&self, device: Id) -> Epoch {
        self.tables.sessions[&device].epoch
    }

    // What can be seen.

    pub(crate) fn task(&self, job: Id, device: Id) -> &Task {
        self.find_task(job, device).unwrap()
    }

    pub(crate) fn find_task(&self, job: Id, device: Id) -> Option<&Task> {
        self.tables.tasks.values().find(|t| t.job_id == job && t.device_id == device)
    }

    pub(crate) fn state(&self, job: Id, device: Id) -> TaskState {
        self.task(job, device).state
    }

    pub(crate) fn job(&self, job: Id) -> &Job {
        &self.tables.jobs[&job]
    }

    pub(crate) fn package_state(&self, package: Id) -> PackageState {
        self.tables.packages[&package].state
    }

    /// Devices that were sent a notice since the last call, in order.
    pub(crate) fn notices(&mut self) -> Vec<Id> {
        let of_notice = |out: Outbound| match out {
            Outbound::Notice { to, .. } => Some(to.0),
            _ => None,
        };
        std::mem::take(&mut self.tables.sent).into_iter().filter_map(of_notice).collect()
    }

    /// Events of a task, as told.
    pub(crate) fn events_of(&self, task: Id) -> Vec<&EventKind> {
        self.tables.events.iter().filter(|e| e.task_id == Some(task)).map(|e| &e.kind).collect()
    }

    // Time and batches.

    /// One input and all that is due now.
    pub(crate) fn run(&mut self, input: Input) {
        self.apply(vec![input]);
        self.tick();
    }

    /// All that is due now, and what becomes due now by it.
    pub(crate) fn tick(&mut self) {
        for _ in 0..1_000 {
            let due = self.claim();
            if due.is_empty() {
                return what_waits_has_a_timer(&self.tables);
            }
            self.apply(due);
        }
        panic!("timers never rest: {:?}", self.tables.timers);
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, ms: Ms) {
        let end = self.now + ms;
        while let Some(at) = self.tables.timers.values().min().copied().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.tick();
        }
        self.now = end;
    }

    /// Takes the rows of the due timers, in order of time, and turns them into inputs.
    pub(crate) fn claim(&mut self) -> Vec<Input> {
        let mut due: Vec<(Ms, Timer)> =
            self.tables.timers.iter().filter(|(_, at)| **at <= self.now).map(|(t, at)| (*at, *t)).collect();
        due.sort_unstable();
        self.tables.timers.retain(|_, at| *at > self.now);
        due.into_iter().filter_map(|(_, timer)| self.input_of(timer)).collect()
    }

    fn input_of(&self, timer: Timer) -> Option<Input> {
        match timer {
            Timer::Work(job) => self.next_chunk(job),
            other => Some(Input::Due(other)),
        }
    }

    pub(crate) fn next_chunk(&self, job: Id) -> Option<Input> {
        let row = self.tables.jobs.get(&job)?;
        let work = row.work?;
        match work {
            Work::Enrol { cursor } => {
                let all: Vec<Id> = match self.tables.named.get(&job) {
                    Some(named) => named.clone(),
                    None => self.tables.devices.keys().copied().collect(),
                };
                let (devices, last) = self.chunk_after(all, cursor);
                Some(Input::Enrol { job, work, devices, last })
            }
            Work::Cancel { cursor } | Work::Reupgrade { cursor } => {
                let of_job = self.tables.tasks.values().filter(|t| t.job_id == job).map(|t| t.id).collect();
                let (tasks, last) = self.chunk_after(of_job, cursor);
                Some(Input::Tasks { job, work, tasks, last })
            }
        }
    }

    fn chunk_after(&self, all: Vec<Id>, cursor: Id) -> (Vec<Id>, bool) {
        let mut rest: Vec<Id> = all.into_iter().filter(|id| *id > cursor).collect();
        let last = rest.len() <= self.chunk;
        rest.truncate(self.chunk);
        (rest, last)
    }

    /// Decides one batch and writes what follows.
    pub(crate) fn apply(&mut self, inputs: Vec<Input>) {
        let rows = self.load(&inputs);
        let before = self.tables.clone();
        let changes = decide(rows, inputs.clone(), self.now, self.limits, &mut self.tables.numbers);
        self.tables.write(changes.clone());
        let mut watch = std::mem::take(&mut self.watch);
        watch.check(&inputs, &changes, &before, self);
        self.watch = watch;
    }

    /// The rows `Rows` promises for a batch, and no others.
    fn load(&self, inputs: &[Input]) -> Rows {
        let mut wanted = Wanted::default();
        inputs.iter().for_each(|input| wanted.add(input, self));
        wanted.rows(self)
    }
}

/// Which devices, tasks and jobs the inputs of a batch name.
#[derive(Default)]
struct Wanted {
    devices: BTreeSet<Id>,
    tasks: BTreeSet<Id>,
    jobs: BTreeSet<Id>,
}

impl Wanted {
    fn add(&mut self, input: &Input, world: &World) {
        match input {
            Input::Connected { device, .. }
            | Input::Disconnected { device, .. }
            | Input::Reported { device, .. }
            | Input::Progressed { device, .. }
            | Input::Asked { device, .. }
            | Input::Due(Timer::Grace(device)) => drop(self.devices.insert(*device)),
            Input::Due(Timer::Timeout(task) | Timer::Settle(task))
            | Input::CancelTask(task)
            | Input::ReupgradeTask(task) => drop(self.tasks.insert(*task)),
            Input::Due(Timer::Push(job)) => self.add_ready(*job, world),
            Input::Due(Timer::Work(job)) | Input::CancelJob(job) | Input::ReupgradeJob(job) => {
                self.jobs.insert(*job);
            }
            Input::Enrol { job, devices, .. } => {
                self.jobs.insert(*job);
                self.devices.extend(devices);
            }
            Input::Tasks { job, tasks, .. } => {
                self.jobs.insert(*job);
                self.tasks.extend(tasks);
            }
        }
    }

    /// The longest waiting tasks of a job, as many as may be pushed.
    fn add_ready(&mut self, job: Id, world: &World) {
        self.jobs.insert(job);
        let Some(row) = world.tables.jobs.get(&job) else { return };
        let limit = push_limit(row, world.tables.slots_used(world.now), world.limits, world.now);
        let of_job = world.tables.tasks.values().filter(|t| t.job_id == job);
        let mut ready: Vec<(Ms, Id)> = of_job.filter_map(|t| Some((t.ready_at?, t.id))).collect();
        ready.sort_unstable();
        self.tasks.extend(ready.into_iter().take(limit as usize).map(|(_, id)| id));
    }

    fn rows(mut self, world: &World) -> Rows {
        let tables = &world.tables;
        self.devices.extend(self.tasks.iter().filter_map(|id| Some(tables.tasks.get(id)?.device_id)));
        let of_batch = |t: &&Task| {
            self.tasks.contains(&t.id) || (self.devices.contains(&t.device_id) && !t.state.is_terminal())
        };
        let tasks: BTreeMap<Id, Task> =
            tables.tasks.values().filter(of_batch).map(|t| (t.id, t.clone())).collect();
        self.jobs.extend(tasks.values().map(|t| t.job_id));
        let jobs: BTreeMap<Id, Job> =
            self.jobs.iter().filter_map(|id| Some((*id, tables.jobs.get(id)?.clone()))).collect();
        let packages =
            jobs.values().map(|j| (j.package_id, tables.packages[&j.package_id].clone())).collect();
        let of_device = |id: &Id| self.devices.contains(id);
        Rows {
            products: BTreeMap::from([(PRODUCT, tables.product.clone())]),
            packages,
            jobs,
            devices: pick(&tables.devices, of_device),
            sessions: pick(&tables.sessions, of_device),
            versions: pick(&tables.versions, |(device, _)| of_device(device)),
            tasks,
            slots_used: tables.slots_used(world.now),
        }
    }
}

fn pick<K: Ord + Clone, V: Clone>(table: &BTreeMap<K, V>, wanted: impl Fn(&K) -> bool) -> BTreeMap<K, V> {
    table.iter().filter(|(key, _)| wanted(key)).map(|(key, row)| (key.clone(), row.clone())).collect()
}
