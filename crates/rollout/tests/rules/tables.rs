//! What the store does around `decide`, in memory: loads the rows of a batch, writes its changes.

use std::collections::{BTreeMap, BTreeSet};

use otaru_rollout::filter::{Facts, Filter};
use otaru_rollout::*;

use crate::world::{GRACE, PRODUCT, SETTLE};

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
    pub(crate) numbers: Numbers,
    pub(crate) offered_until_us: i64,
    pub(crate) up_since: Ms,
    pub(crate) zones: BTreeMap<String, Zone>,
    pub(crate) zone_tags: BTreeMap<Id, String>,
    pub(crate) labels: BTreeMap<Id, Labels>,
}

impl Tables {
    /// A product, and nothing of it.
    pub(crate) fn new(now: Ms) -> Self {
        let product = Product {
            id: PRODUCT,
            product_key: "a1World".into(),
            name: "World".into(),
            node_type: NodeType::Device,
            settle_ms: SETTLE,
            grace_ms: GRACE,
            timezone: None,
            dynamic_registration: false,
            without_pre_registration: false,
            registration_until: None,
            created_at: now,
        };
        Self {
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
            offered_until_us: 0,
            up_since: 0,
            zones: BTreeMap::new(),
            zone_tags: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    /// The zone of a device.
    pub(crate) fn zone_of(&self, device: Id) -> Zone {
        let tag = self.zone_tags.get(&device).or(self.product.timezone.as_ref());
        self.zones.get(tag.map_or(SERVER_ZONE, |name| name)).cloned().unwrap_or_default()
    }

    /// Whom the scope of a job means, if it is for a filter.
    pub(crate) fn meaning(&self, job: Id) -> Option<Filter> {
        meaning(&self.jobs[&job].scope)
    }

    /// Whether a filter means a device.
    pub(crate) fn means(&self, filter: &Filter, device: Id, now: Ms) -> bool {
        let of_device = self.versions.values().filter(|v| v.device_id == device);
        let versions = of_device.map(|v| (v.module.clone(), v.version.clone())).collect();
        let Labels { tags, groups } = self.labels.get(&device).cloned().unwrap_or_default();
        let online = self.sessions.contains_key(&device);
        let device = &self.devices[&device];
        filter.matches(&Facts { device, online, tags: &tags, versions: &versions, groups: &groups }, now)
    }

    /// Download slots in use at `now`.
    pub(crate) fn slots_used(&self, now: Ms) -> i64 {
        self.tasks.values().filter(|t| t.slot_until.is_some_and(|until| until > now)).count() as i64
    }

    /// Those of some tasks whose device has succeeded in a later one for the same module.
    fn overtaken(&self, tasks: &BTreeSet<Id>) -> BTreeSet<Id> {
        let later = |old: &Task, t: &Task| {
            (t.device_id, &t.module) == (old.device_id, &old.module)
                && t.id > old.id
                && t.state == TaskState::Succeeded
        };
        let is_overtaken =
            |id: &&Id| self.tasks.get(id).is_some_and(|old| self.tasks.values().any(|t| later(old, t)));
        tasks.iter().filter(is_overtaken).copied().collect()
    }

    /// What a later look compares with; events and messages only grow.
    pub(crate) fn without_history(&mut self) -> Self {
        let (events, sent) = (std::mem::take(&mut self.events), std::mem::take(&mut self.sent));
        let copy = self.clone();
        (self.events, self.sent) = (events, sent);
        copy
    }

    /// The rows that [`Rows`] promises for a batch, and no others.
    pub(crate) fn load(&self, inputs: &[Input], now: Ms, limits: Limits) -> Rows {
        let mut wanted = Wanted::default();
        inputs.iter().for_each(|input| wanted.add(input, self, Moment { now, limits }));
        wanted.rows(self, now)
    }

    pub(crate) fn write(&mut self, changes: Changes) {
        for (device, epoch) in changes.sessions_ended {
            if self.sessions.get(&device).is_some_and(|s| s.epoch == epoch) {
                self.sessions.remove(&device);
            }
        }
        self.sessions.extend(changes.sessions.into_iter().map(|s| (s.device_id, s)));
        self.devices.extend(changes.devices.into_iter().map(|d| (d.id, d)));
        self.versions.extend(changes.versions.into_iter().map(|v| ((v.device_id, v.module.clone()), v)));
        self.packages.extend(changes.packages.into_iter().map(|p| (p.id, p)));
        for task in changes.tasks {
            assert!(self.tasks.insert(task.id, task).is_some(), "a changed task was known before");
        }
        for task in changes.tasks_new {
            assert!(self.tasks.insert(task.id, task).is_none(), "a new task has a new number");
        }
        self.write_jobs(changes.jobs, changes.counts);
        self.offered_until_us = changes.offered_until_us.unwrap_or(self.offered_until_us);
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

/// What else a push's rows depend on.
#[derive(Clone, Copy)]
struct Moment {
    now: Ms,
    limits: Limits,
}

/// Which devices, tasks and jobs the inputs of a batch name.
#[derive(Default)]
struct Wanted {
    devices: BTreeSet<Id>,
    tasks: BTreeSet<Id>,
    jobs: BTreeSet<Id>,
    /// Those of the tasks that start again with their job.
    restarts: BTreeSet<Id>,
    /// Dynamic jobs that reports, and devices of an enrolment, may be for.
    policies: BTreeSet<Id>,
    /// What dynamic jobs are to be for.
    scopes: Vec<Scope>,
}

impl Wanted {
    fn add(&mut self, input: &Input, tables: &Tables, at: Moment) {
        match input {
            Input::Reported { module, .. } => self.add_policies(|of| of == module, tables),
            Input::Enrol { job, .. } if tables.jobs.get(job).is_some_and(|j| j.kind == JobKind::Dynamic) => {
                self.add_policies(|_| true, tables);
            }
            Input::ReviseJob { to, .. } => self.scopes.extend(to.scope.clone()),
            _ => {}
        }
        match input {
            Input::Connected { device, .. }
            | Input::Ousted { device }
            | Input::Disconnected { device, .. }
            | Input::Orphaned { device, .. }
            | Input::Reported { device, .. }
            | Input::Progressed { device, .. }
            | Input::Asked { device, .. }
            | Input::Due(Timer::Grace(device) | Timer::Quiet(device)) => drop(self.devices.insert(*device)),
            Input::Due(
                Timer::Timeout(task)
                | Timer::Settle(task)
                | Timer::Retry(task)
                | Timer::Unstarted(task)
                | Timer::Lost(task),
            )
            | Input::CancelTask(task)
            | Input::ConfirmTask(task)
            | Input::ReupgradeTask(task) => drop(self.tasks.insert(*task)),
            Input::Due(Timer::Push(job)) => self.add_ready(*job, tables, at),
            Input::Due(Timer::Retention | Timer::Alive) => {}
            Input::Due(
                Timer::Work(job)
                | Timer::Start(job)
                | Timer::Finish(job)
                | Timer::Release(job)
                | Timer::Gate(job),
            )
            | Input::SkipWave { job, .. }
            | Input::StoodStill { job, .. }
            | Input::CancelJob(job)
            | Input::CloseJob(job)
            | Input::CancelSome { job, .. }
            | Input::ReviseJob { job, .. }
            | Input::PauseJob(job)
            | Input::ResumeJob(job)
            | Input::ConfirmJob(job)
            | Input::ReupgradeJob(job) => {
                self.jobs.insert(*job);
            }
            Input::Enrol { job, chunk, .. } => {
                self.jobs.insert(*job);
                self.devices.extend(&chunk.devices);
            }
            Input::Tasks { job, tasks, .. } | Input::Release { job, tasks, .. } => {
                self.jobs.insert(*job);
                self.tasks.extend(tasks);
                if matches!(input, Input::Tasks { work: Work::Reupgrade { .. }, .. }) {
                    self.restarts.extend(tasks);
                }
            }
        }
    }

    /// The policies for a module.
    fn add_policies(&mut self, of_module: impl Fn(&String) -> bool, tables: &Tables) {
        let wanted = |j: &&Job| {
            j.kind == JobKind::Dynamic
                && j.ended_at.is_none()
                && of_module(&tables.packages[&j.package_id].module)
        };
        self.policies.extend(tables.jobs.values().filter(wanted).map(|j| j.id));
    }

    /// The longest waiting tasks of a job, as many as may be pushed; or the one whose window opens first.
    fn add_ready(&mut self, job: Id, tables: &Tables, at: Moment) {
        self.jobs.insert(job);
        let rows = Self { jobs: BTreeSet::from([job]), ..Self::default() }.rows(tables, at.now);
        let limit = push_limit(&rows, job, at.limits, at.now);
        let of_job = tables.tasks.values().filter(|t| t.job_id == job);
        let mut ready: Vec<(Ms, Id)> = of_job.filter_map(|t| Some((t.ready_at?, t.id))).collect();
        ready.sort_unstable();
        let due = ready.iter().take_while(|(since, _)| *since <= at.now).count().max(1);
        self.tasks.extend(ready.into_iter().take(due.min(limit as usize)).map(|(_, id)| id));
    }

    fn rows(mut self, tables: &Tables, now: Ms) -> Rows {
        self.devices.extend(self.tasks.iter().filter_map(|id| Some(tables.tasks.get(id)?.device_id)));
        let of_batch = |t: &&Task| {
            self.tasks.contains(&t.id) || (self.devices.contains(&t.device_id) && !t.state.is_terminal())
        };
        let tasks: BTreeMap<Id, Task> =
            tables.tasks.values().filter(of_batch).map(|t| (t.id, t.clone())).collect();
        self.jobs.extend(&self.policies);
        let mut matches = BTreeMap::new();
        for task in tables.tasks.values().filter(|t| self.devices.contains(&t.device_id)) {
            let dynamic = tables.jobs[&task.job_id].kind == JobKind::Dynamic;
            if dynamic && self.jobs.contains(&task.job_id) {
                *matches.entry((task.job_id, task.device_id)).or_default() += 1;
            }
        }
        self.jobs.extend(tasks.values().map(|t| t.job_id));
        let jobs: BTreeMap<Id, Job> =
            self.jobs.iter().filter_map(|id| Some((*id, tables.jobs.get(id)?.clone()))).collect();
        let packages =
            jobs.values().map(|j| (j.package_id, tables.packages[&j.package_id].clone())).collect();
        let of_device = |id: &Id| self.devices.contains(id);
        let scopes = self.policies.iter().map(|job| tables.jobs[job].scope.clone()).chain(self.scopes);
        let meanings = scopes.filter_map(|scope| meaning(&scope).map(|filter| (scope, filter))).collect();
        Rows {
            products: BTreeMap::from([(PRODUCT, tables.product.clone())]),
            packages,
            jobs,
            devices: pick(&tables.devices, of_device),
            sessions: pick(&tables.sessions, of_device),
            versions: pick(&tables.versions, |(device, _)| of_device(device)),
            tasks,
            meanings,
            labels: pick(&tables.labels, of_device),
            policies: self.policies,
            matches,
            overtaken: tables.overtaken(&self.restarts),
            slots_used: tables.slots_used(now),
            offered_until_us: tables.offered_until_us,
            up_since: tables.up_since,
            zones: tables.zones.clone(),
            zone_tags: tables.zone_tags.clone(),
        }
    }
}

fn pick<K: Ord + Clone, V: Clone>(table: &BTreeMap<K, V>, wanted: impl Fn(&K) -> bool) -> BTreeMap<K, V> {
    table.iter().filter(|(key, _)| wanted(key)).map(|(key, row)| (key.clone(), row.clone())).collect()
}

/// Whom a scope means that is a filter.
fn meaning(scope: &Scope) -> Option<Filter> {
    match scope {
        Scope::Filter { filter } => Some(Filter::parse(filter).unwrap()),
        _ => None,
    }
}
