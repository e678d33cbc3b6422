//! Clock, timers and chunks: what the server does around `decide`, and what operators and devices do.

use otaru_rollout::*;

use crate::tables::Tables;
use crate::watch::{Watch, what_waits_has_a_timer};

/// A second.
pub(crate) const SECOND: Ms = 1_000;
/// A minute.
pub(crate) const MINUTE: Ms = 60 * SECOND;
/// The settle time of the world's product.
pub(crate) const SETTLE: Ms = 10 * SECOND;
/// The grace of the world's product.
pub(crate) const GRACE: Ms = 30 * SECOND;
/// The world's product.
pub(crate) const PRODUCT: Id = 1;

/// [`decide`], or something like it.
pub(crate) type Rules = fn(Rows, Vec<Input>, Ms, Limits, &mut dyn Ids) -> Changes;

/// Which devices a job of the world is for.
pub(crate) enum Pick {
    All,
    Named(Vec<Id>),
    Percent(u32),
    Meant(&'static str),
}

/// What an operator asks for. `Order::to(pick)` is a plain pushed static job over MQTT, by the cloud's
/// own rules.
pub(crate) struct Order {
    pub(crate) kind: JobKind,
    pub(crate) pick: Pick,
    pub(crate) need_push: bool,
    pub(crate) timeout_ms: Option<Ms>,
    pub(crate) rate_per_minute: i64,
    pub(crate) terms: Terms,
}

impl Order {
    pub(crate) fn to(pick: Pick) -> Self {
        Self {
            kind: JobKind::Static,
            pick,
            need_push: true,
            timeout_ms: None,
            rate_per_minute: 10_000,
            terms: Terms::as_the_cloud(),
        }
    }

    /// The same with the answers to the cloud's troubles, as a job has them unless told otherwise.
    pub(crate) fn usual(pick: Pick) -> Self {
        Self { terms: Terms::default(), ..Self::to(pick) }
    }

    /// A dynamic job for devices that report one of `sources`.
    pub(crate) fn dynamic(sources: &[&str]) -> Self {
        let terms = Terms { src_versions: sources.iter().map(|v| (*v).into()).collect(), ..Terms::default() };
        Self { kind: JobKind::Dynamic, terms, ..Self::to(Pick::All) }
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
        Self { now, limits: Limits::default(), chunk: 2, tables: Tables::new(now), watch: Watch::default() }
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
            rivalry: None,
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
            more_files: vec![],
            image_version: None,
            src_version: None,
            custom: None,
            state: PackageState::Unverified,
            created_at: self.now,
        };
        self.tables.packages.insert(id, package);
        id
    }

    /// A package that is a difference between two versions of module `default`.
    pub(crate) fn difference(&mut self, from: &str, to: &str) -> Id {
        let id = self.package(to);
        self.tables.packages.get_mut(&id).unwrap().src_version = Some(from.into());
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
            Pick::Meant(filter) => Scope::Filter { filter: (*filter).into() },
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
        let starts = job.terms.start_at.map(|at| (Timer::Start(id), at));
        let ends = job.terms.end_at.map(|at| (Timer::Finish(id), at));
        self.tables.timers.extend(starts.into_iter().chain(ends));
        if job.work.is_some() {
            self.tables.timers.insert(Timer::Work(id), self.now);
        }
        self.tables.jobs.insert(id, job);
        id
    }

    fn new_job(&mut self, package: Id, scope: Scope, order: &Order) -> Job {
        Job {
            id: self.tables.numbers.next_id(),
            product_id: PRODUCT,
            package_id: package,
            kind: order.kind,
            state: if order.terms.start_at.is_some() { JobState::Planned } else { JobState::InProgress },
            scope,
            need_push: order.need_push,
            protocol: Protocol::Mqtt,
            timeout_ms: order.timeout_ms,
            rate_per_minute: order.rate_per_minute,
            next_push_us: 0,
            offered_until_us: 0,
            terms: order.terms.clone(),
            hold: None,
            held_at: None,
            held_ms: 0,
            gate: Some(Gate::of(&order.terms, self.now)),
            work: (!order.terms.only_new).then_some(Work::Enrol { cursor: 0 }),
            release: None,
            created_at: self.now,
            closed_at: None,
            ended_at: None,
            counts: Counts::default(),
        }
    }

    /// Waves of a job of `package` for all, as the server makes them: so many devices, the last takes
    /// what is left.
    pub(crate) fn waves(&self, package: Id, sizes: &[usize]) -> Vec<Wave> {
        let of_all = |d: &&Device| d.enabled && d.first_online_at.is_some();
        let mut spreads: Vec<i64> =
            self.tables.devices.values().filter(of_all).map(|d| spread(package, d.id)).collect();
        spreads.sort_unstable();
        let threshold = |n: &usize| spreads.get(n - 1).copied().unwrap_or(i64::MAX);
        let wave = |n: &usize| Wave { share: Share::Count { n: *n as i64 }, threshold: threshold(n) };
        sizes.iter().map(wave).collect()
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

    /// What a task waits for.
    pub(crate) fn waiting(&self, task: &Task) -> Option<Waiting> {
        let rows = self.tables.load(&[Input::CancelTask(task.id)], self.now, self.limits);
        waiting(&rows, task, self.limits, self.now)
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

    /// What a job is, to be made something else.
    pub(crate) fn revision(&self, job: Id) -> Revision {
        let Job { timeout_ms, rate_per_minute, terms, .. } = self.job(job).clone();
        Revision { scope: None, timeout_ms, rate_per_minute, terms }
    }

    /// Changes a job.
    pub(crate) fn revise(&mut self, job: Id, change: impl FnOnce(&mut Revision)) {
        let mut to = self.revision(job);
        change(&mut to);
        self.run(Input::ReviseJob { job, to: Box::new(to) });
    }

    /// Sets a tag of a device, or takes it away.
    pub(crate) fn tag(&mut self, device: Id, name: &str, value: Option<&str>) {
        let tags = &mut self.tables.labels.entry(device).or_default().tags;
        match value {
            Some(value) => drop(tags.insert(name.into(), value.into())),
            None => drop(tags.remove(name)),
        }
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
            Timer::Release(job) => self.next_released(job),
            other => Some(Input::Due(other)),
        }
    }

    pub(crate) fn next_chunk(&self, job: Id) -> Option<Input> {
        let row = self.tables.jobs.get(&job)?;
        let work = row.work?;
        match work {
            Work::Enrol { cursor } => {
                let mut all: Vec<Id> = match self.tables.named.get(&job) {
                    Some(named) => named.clone(),
                    None => self.tables.devices.keys().copied().collect(),
                };
                if let Some(filter) = self.tables.meaning(job) {
                    all.retain(|device| self.tables.means(&filter, *device, self.now));
                }
                let (devices, last) = self.chunk_after(all, cursor);
                let upto = devices.last().copied().unwrap_or(cursor);
                let chunk = Enrolment { devices, upto, last, ..Enrolment::default() };
                Some(Input::Enrol { job, work, chunk })
            }
            Work::Cancel { cursor }
            | Work::CancelSome { cursor, .. }
            | Work::Confirm { cursor }
            | Work::Finish { cursor }
            | Work::Reupgrade { cursor, .. } => {
                let of_job = self.tables.tasks.values().filter(|t| t.job_id == job).map(|t| t.id).collect();
                let (tasks, last) = self.chunk_after(of_job, cursor);
                Some(Input::Tasks { job, work, tasks, last })
            }
        }
    }

    fn next_released(&self, job: Id) -> Option<Input> {
        let release = self.tables.jobs.get(&job)?.release?;
        let open = self.tables.tasks.values().filter(|t| t.job_id == job && !t.state.is_terminal());
        let (tasks, last) = match release {
            Release::All { cursor } => self.chunk_after(open.map(|t| t.id).collect(), cursor),
            Release::Waves { at, upto, cursor } => {
                let of_waves = open.filter(|t| t.wave <= upto && (t.wave, t.id) > (at, cursor));
                let mut rest: Vec<(i32, Id)> = of_waves.map(|t| (t.wave, t.id)).collect();
                rest.sort_unstable();
                self.some_of(rest.into_iter().map(|(_, id)| id).collect())
            }
        };
        Some(Input::Release { job, release, tasks, last })
    }

    fn chunk_after(&self, all: Vec<Id>, cursor: Id) -> (Vec<Id>, bool) {
        self.some_of(all.into_iter().filter(|id| *id > cursor).collect())
    }

    fn some_of(&self, mut rest: Vec<Id>) -> (Vec<Id>, bool) {
        let last = rest.len() <= self.chunk;
        rest.truncate(self.chunk);
        (rest, last)
    }

    /// The platform stands still for a while; then it is up again, and does what is due.
    pub(crate) fn stand_still(&mut self, ms: Ms) {
        let at = self.now;
        self.now += ms;
        let gone = |s: &Session| Input::Orphaned { device: s.device_id, epoch: s.epoch, at };
        let orphans: Vec<Input> = self.tables.sessions.values().map(gone).collect();
        self.apply(orphans);
        let timed = |j: &&Job| (j.gate.is_some() || j.timeout_ms.is_some()) && j.ended_at.is_none();
        let timed = self.tables.jobs.values().filter(timed);
        let stood: Vec<Input> = timed.map(|j| Input::StoodStill { job: j.id, from: at }).collect();
        self.tables.up_since = self.now;
        self.apply(stood);
        self.tick();
    }

    /// The operator opens a job's next wave.
    pub(crate) fn skip(&mut self, job: Id) {
        let wave = self.job(job).gate.as_ref().map_or(0, |gate| gate.wave);
        self.run(Input::SkipWave { job, wave });
    }

    /// Decides one batch and writes what follows.
    pub(crate) fn apply(&mut self, inputs: Vec<Input>) {
        self.apply_by(decide, inputs);
    }

    /// The same by other rules.
    pub(crate) fn apply_by(&mut self, rules: Rules, inputs: Vec<Input>) {
        let before = self.tables.without_history();
        let changes = self.decide_by(rules, inputs.clone());
        let mut watch = std::mem::take(&mut self.watch);
        watch.check(&inputs, &changes, &before, self);
        self.watch = watch;
    }

    /// Without the watch, which looks at everything there is.
    pub(crate) fn decide_by(&mut self, rules: Rules, inputs: Vec<Input>) -> Changes {
        let rows = self.tables.load(&inputs, self.now, self.limits);
        let changes = rules(rows, inputs, self.now, self.limits, &mut self.tables.numbers);
        self.tables.write(changes.clone());
        changes
    }
}
