//! Changes of every kind, written batch by batch, read back and held against plain maps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestRunner};
use rollout::{
    CancelStates, Changes, Counts, Device, DeviceError, Event, EventKind, FailureLimits, Gate, Halt, Hold,
    Id, Job, JobState, ModuleVersion, Ms, Package, PackageState, Reason, Release, Rivalry, Rows, Session,
    StartClock, Task, TaskState, Terms, Timer, Work,
};

use super::home::Home;
use super::on_both;
use super::sample::{self, JOB, PACKAGE, PRODUCT};
use crate::committer::{self, Keys};
use crate::{Store, events, jobs};

const DEVICES: std::ops::Range<Id> = 10..14;
const JOBS: [Id; 2] = [JOB, JOB + 1];

#[derive(Clone, Debug)]
enum Step {
    Device {
        id: Id,
        enabled: bool,
        times: [Option<Ms>; 3],
        rivalry: Option<Rivalry>,
    },
    Connect {
        device: Id,
        epoch: i64,
    },
    Disconnect {
        device: Id,
    },
    Version {
        device: Id,
        module: String,
        version: String,
        at: Ms,
    },
    NewTask {
        device: Id,
        job: Id,
    },
    Task {
        nth: usize,
        state: TaskState,
        texts: [Option<String>; 2],
        times: [Option<Ms>; 4],
        n: i32,
        reason: Option<Reason>,
    },
    Job {
        job: Id,
        state: JobState,
        work: Option<Work>,
        next_push_us: i64,
        ended_at: Option<Ms>,
    },
    Package {
        state: PackageState,
    },
    Timer {
        timer: Timer,
        at: Option<Ms>,
    },
    Event {
        at: Ms,
        device: Option<Id>,
        kind: EventKind,
    },
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "[^\\x00]{0,12}", Just("it's \"?\" $1 \\ 版本 🦦".to_owned())]
}

fn time() -> impl Strategy<Value = Option<Ms>> {
    option::of(prop_oneof![0..5_000i64, any::<i64>()])
}

fn device() -> impl Strategy<Value = Id> {
    DEVICES
}

fn state() -> impl Strategy<Value = TaskState> {
    select(TaskState::ALL.to_vec())
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Success),
        Just(Reason::CanceledByOperator),
        (-4..0, text()).prop_map(|(step, desc)| Reason::DeviceFailed { step, desc }),
        (text(), text()).prop_map(|(expected, reported)| Reason::VersionMismatch { expected, reported }),
        any::<i64>().prop_map(|minutes| Reason::Timeout { minutes }),
        any::<i64>().prop_map(|task| Reason::Conflict { task }),
        any::<i64>().prop_map(|job| Reason::Overwritten { job }),
        (text(), text()).prop_map(|(expected, reported)| Reason::ModuleCase { expected, reported }),
    ]
}

fn timer() -> impl Strategy<Value = Timer> {
    let kinds = vec![
        Timer::Push,
        Timer::Timeout,
        Timer::Settle,
        Timer::Retry,
        Timer::Unstarted,
        Timer::Grace,
        Timer::Work,
        Timer::Start,
        Timer::Finish,
        Timer::Release,
        Timer::Gate,
        Timer::Lost,
        Timer::Quiet,
    ];
    (select(kinds), 0..3i64).prop_map(|(kind, id)| kind(id))
}

fn rivalry() -> impl Strategy<Value = Rivalry> {
    (prop::collection::vec(any::<i64>(), 0..6), time())
        .prop_map(|(take_overs, shared_since)| Rivalry { take_overs, shared_since })
}

fn work() -> impl Strategy<Value = Work> {
    (0..6usize, any::<i64>()).prop_map(|(kind, cursor)| {
        [
            Work::Enrol { cursor },
            Work::Cancel { cursor },
            Work::Confirm { cursor },
            Work::CancelSome { cursor, states: CancelStates::default(), any: true },
            Work::Finish { cursor },
            Work::Reupgrade { cursor, canceled: true },
        ][kind]
    })
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        any::<bool>().prop_map(|first| EventKind::DeviceConnected { first }),
        (text(), option::of(text()), text())
            .prop_map(|(module, previous, version)| EventKind::VersionChanged { module, previous, version }),
        (state(), state(), option::of(reason())).prop_map(|(from, to, reason)| EventKind::TaskState {
            from,
            to,
            reason
        }),
        (0..=100, text()).prop_map(|(percent, desc)| EventKind::TaskProgress { percent, desc }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let job = select(JOBS.to_vec());
    let job_state =
        select(vec![JobState::Planned, JobState::InProgress, JobState::Completed, JobState::Canceled]);
    let package = select(vec![PackageState::Verifying, PackageState::Verified, PackageState::Failed]);
    prop_oneof![
        (device(), any::<bool>(), [time(), time(), time()], option::of(rivalry()))
            .prop_map(|(id, enabled, times, rivalry)| Step::Device { id, enabled, times, rivalry }),
        (device(), 1..100i64).prop_map(|(device, epoch)| Step::Connect { device, epoch }),
        device().prop_map(|device| Step::Disconnect { device }),
        (device(), "[aA]", text(), any::<i64>()).prop_map(|(device, module, version, at)| Step::Version {
            device,
            module,
            version,
            at
        }),
        (device(), job.clone()).prop_map(|(device, job)| Step::NewTask { device, job }),
        (
            any::<usize>(),
            state(),
            [option::of(text()), option::of(text())],
            [time(), time(), time(), time()],
            any::<i32>(),
            option::of(reason())
        )
            .prop_map(|(nth, state, texts, times, n, reason)| Step::Task {
                nth,
                state,
                texts,
                times,
                n,
                reason
            }),
        (job, job_state, option::of(work()), any::<i64>(), time()).prop_map(
            |(job, state, work, next_push_us, ended_at)| Step::Job {
                job,
                state,
                work,
                next_push_us,
                ended_at
            }
        ),
        package.prop_map(|state| Step::Package { state }),
        (timer(), option::of(0..9_000i64)).prop_map(|(timer, at)| Step::Timer { timer, at }),
        (0..9_000i64, option::of(device()), kind()).prop_map(|(at, device, kind)| Step::Event {
            at,
            device,
            kind
        }),
    ]
}

/// What the database should hold.
struct Model {
    rows: Rows,
    timers: BTreeMap<Timer, Ms>,
    events: Vec<Event>,
    next_task: Id,
    last_at: Ms,
}

impl Model {
    fn new() -> Self {
        let mut rows = Rows::default();
        rows.products.insert(PRODUCT, sample::product());
        rows.packages.insert(PACKAGE, sample::package());
        rows.devices.extend(DEVICES.map(|id| (id, sample::device(id))));
        rows.jobs.extend(JOBS.map(|id| (id, sample::job(id))));
        Self { rows, timers: BTreeMap::new(), events: vec![], next_task: 100, last_at: 0 }
    }

    /// Takes a batch of steps into the model; gives the changes that make the database follow.
    fn take(&mut self, steps: Vec<Step>) -> Changes {
        let mut changes = Changes::default();
        let (mut devices, mut versions, mut tasks, mut jobs) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut new, mut begun) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Device {
                    id,
                    enabled,
                    times: [first_online_at, last_online_at, last_offline_at],
                    rivalry,
                } => {
                    let old = &self.rows.devices[&id];
                    let device = Device {
                        enabled,
                        first_online_at,
                        last_online_at,
                        last_offline_at,
                        rivalry,
                        ..old.clone()
                    };
                    self.rows.devices.insert(id, device);
                    devices.insert(id);
                }
                Step::Connect { device, epoch } => {
                    let last = self.rows.sessions.get(&device).map_or(0, |s| s.epoch);
                    let session = Session { device_id: device, epoch: last + epoch, connected_at: epoch * 7 };
                    self.rows.sessions.insert(device, session);
                    begun.insert(device);
                }
                Step::Disconnect { device } => {
                    if let Some(session) = self.rows.sessions.remove(&device) {
                        changes.sessions_ended.push((device, session.epoch));
                    }
                }
                Step::Version { device, module, version, at } => {
                    let row = ModuleVersion {
                        device_id: device,
                        module: module.clone(),
                        version,
                        epoch: at,
                        first_reported_at: at,
                        reported_at: at,
                        given_up: Some(at.to_string()).filter(|_| at % 2 == 0),
                    };
                    self.rows.versions.insert((device, module.clone()), row);
                    versions.insert((device, module));
                }
                Step::NewTask { device, job } => {
                    self.next_task += 1;
                    self.rows.tasks.insert(self.next_task, sample::task(self.next_task, job, device));
                    self.count(&mut changes, job, TaskState::Queued, 1);
                    new.insert(self.next_task);
                }
                Step::Task { nth, state, texts: [src, dest], times: [a, b, c, d], n, reason } => {
                    let Some(id) = self.rows.tasks.keys().nth(nth % self.rows.tasks.len().max(1)).copied()
                    else {
                        continue;
                    };
                    let old = self.rows.tasks[&id].clone();
                    self.count(&mut changes, old.job_id, old.state, -1);
                    self.count(&mut changes, old.job_id, state, 1);
                    let task = Task {
                        state,
                        src_version: src,
                        dest_version: dest.unwrap_or_default(),
                        told_at: a,
                        ready_at: b,
                        slot_until: c,
                        first_progress_at: d,
                        begun_at: c,
                        progress: n,
                        furthest: n,
                        tries: n,
                        approved: n > 0,
                        lost_in: (n < 0).then_some(n),
                        offered_in: (n > 0).then_some(n),
                        failed_in: a.map(|_| n),
                        held_before: n.into(),
                        wave: n,
                        idle_pushes: n,
                        retry_at: b,
                        heard_at: c,
                        done_at: d,
                        start_clock: a.map(StartClock::By).or(b.map(StartClock::Left)),
                        device_error: Some(DeviceError { step: n, desc: format!("{reason:?}") }),
                        told_epoch: n.into(),
                        reason,
                        ..old
                    };
                    self.rows.tasks.insert(id, task);
                    tasks.insert(id);
                }
                Step::Job { job, state, work, next_push_us, ended_at } => {
                    let old = &self.rows.jobs[&job];
                    let terms = Terms { attempts: 7, start_timeout_ms: ended_at, ..Terms::default() };
                    let halt = Halt::Failures { failed: next_push_us, limit: 1 };
                    let hold = work.map(|_| Hold::Halted { halt });
                    let waves = Release::Waves { at: 1, upto: 2, cursor: next_push_us };
                    let release = ended_at.map_or(Some(waves), |cursor| Some(Release::All { cursor }));
                    let limits = FailureLimits { failures: Some(1), ..FailureLimits::default() };
                    let gate = Some(Gate::of(&Terms { limits, ..Terms::default() }, next_push_us));
                    let row = Job {
                        state,
                        work,
                        next_push_us,
                        offered_until_us: next_push_us / 2,
                        terms,
                        closed_at: ended_at,
                        ended_at,
                        hold,
                        gate,
                        release,
                        ..old.clone()
                    };
                    self.rows.jobs.insert(job, row);
                    jobs.insert(job);
                }
                Step::Package { state } => {
                    let package = Package { state, ..self.rows.packages[&PACKAGE].clone() };
                    self.rows.packages.insert(PACKAGE, package.clone());
                    changes.packages = vec![package];
                }
                Step::Timer { timer, at } => {
                    match at {
                        Some(at) => self.timers.insert(timer, at),
                        None => self.timers.remove(&timer),
                    };
                    changes.timers.insert(timer, at);
                }
                Step::Event { at, device, kind } => {
                    changes.events.push(Event {
                        at,
                        product_id: PRODUCT,
                        device_id: device,
                        job_id: None,
                        task_id: None,
                        kind,
                    });
                }
            }
        }
        let at = changes.events.iter().map(|e| e.at).max().unwrap_or_default().max(self.last_at);
        self.last_at = at;
        self.events.extend(changes.events.iter().map(|e| Event { at, ..e.clone() }));
        changes.devices = devices.iter().map(|id| self.rows.devices[id].clone()).collect();
        changes.sessions = begun.iter().filter_map(|id| self.rows.sessions.get(id).cloned()).collect();
        changes.versions = versions.iter().map(|key| self.rows.versions[key].clone()).collect();
        changes.tasks_new = new.iter().map(|id| self.rows.tasks[id].clone()).collect();
        changes.tasks = tasks.difference(&new).map(|id| self.rows.tasks[id].clone()).collect();
        changes.jobs = jobs.iter().map(|id| self.rows.jobs[id].clone()).collect();
        changes
    }

    fn count(&mut self, changes: &mut Changes, job: Id, state: TaskState, n: i64) {
        self.rows.jobs.get_mut(&job).unwrap().counts.add(state, n);
        *changes.counts.entry((job, state)).or_default() += n;
    }

    async fn check(&self, store: &Store) {
        let mut tx = store.begin().await.unwrap();
        let keys = Keys {
            devices: DEVICES.collect(),
            tasks: self.rows.tasks.keys().copied().collect(),
            jobs: JOBS.into(),
            packages: BTreeSet::from([PACKAGE]),
            ..Keys::default()
        };
        let found = committer::load(&mut tx, &keys, 1000).await.unwrap();
        let mine = &self.rows;
        assert_eq!(found.devices, mine.devices);
        assert_eq!(found.sessions, mine.sessions);
        assert_eq!(found.versions, mine.versions);
        assert_eq!(found.tasks, mine.tasks);
        assert_eq!(found.jobs, mine.jobs);
        assert_eq!(found.packages, mine.packages);
        assert_eq!(found.products, mine.products);
        let slots = mine.tasks.values().filter(|t| t.slot_until.is_some_and(|until| until > 1000)).count();
        assert_eq!(found.slots_used, i64::try_from(slots).unwrap());
        for job in JOBS {
            let mut counts = Counts::default();
            mine.tasks.values().filter(|t| t.job_id == job).for_each(|t| counts.add(t.state, 1));
            assert_eq!(found.jobs[&job].counts, counts, "counts are not those of the tasks");
        }
        for id in DEVICES {
            let view = crate::devices::get(&mut tx, id).await.unwrap().unwrap();
            assert_eq!(view.online, mine.sessions.contains_key(&id));
        }
        let found = events::list(&mut tx, events::Filter::All, 0, 100_000).await.unwrap();
        assert!(found.iter().map(|e| e.seq).eq(1..=i64::try_from(self.events.len()).unwrap()));
        assert!(found.iter().map(|e| &e.event).eq(&self.events));
        let claimed = committer::claim_timers(&mut tx, i64::MAX, 1000).await.unwrap();
        let mut wanted: Vec<_> = self.timers.iter().map(|(timer, at)| (*at, *timer)).collect();
        wanted.sort_by_key(|(at, _)| *at);
        let sorted = |timers: &[Timer]| BTreeSet::from_iter(timers.iter().copied());
        assert_eq!(sorted(&claimed), self.timers.keys().copied().collect());
        let due: Vec<Ms> = claimed.iter().map(|timer| self.timers[timer]).collect();
        assert!(due.iter().eq(wanted.iter().map(|(at, _)| at)));
    }
}

async fn replay(home: &Home, batches: Vec<Vec<Step>>) {
    let store = home.open().await;
    let mut model = Model::new();
    let mut tx = store.begin().await.unwrap();
    sample::fill(&store, &mut tx, DEVICES).await;
    jobs::create(&mut tx, &sample::job(JOBS[1]), &[]).await.unwrap();
    tx.commit().await.unwrap();
    for steps in batches {
        let changes = model.take(steps);
        let mut tx = store.begin().await.unwrap();
        committer::apply(&mut tx, &changes).await.unwrap();
        tx.commit().await.unwrap();
        model.check(&store).await;
    }
    store.close().await;
}

on_both! {
    async fn what_is_applied_is_loaded(home: Home) {
        let cases = if home.is_sqlite() { 24 } else { 8 };
        let config = Cases { cases, failure_persistence: None, ..Cases::default() };
        let batches = prop::collection::vec(prop::collection::vec(step(), 0..25), 1..5);
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            let run = |batches| {
                handle.block_on(async {
                    let own = home.another().await;
                    replay(&own, batches).await;
                    own.done().await;
                });
                Ok(())
            };
            TestRunner::new(config).run(&batches, run).unwrap();
        });
    }
}
