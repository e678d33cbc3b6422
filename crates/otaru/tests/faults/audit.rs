//! Compares what the database holds with what it must hold: what was acknowledged, and its own log.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use server::rollout::{Counts, EventKind, Id, JobState, TaskState};
use store::{Order, Store, Tx, device_counts, devices, events, jobs, products, tasks};

use crate::device::{Fact, PRODUCT};

const PAGE: u32 = 1_000;

/// Reads the log from where the last check ended, so it also sees that nothing written is lost or changed.
pub(crate) struct Audit {
    config: store::Config,
    seq: i64,
    at: i64,
    tasks: HashMap<Id, TaskState>,
    jobs: HashMap<Id, JobState>,
    /// Versions ever seen: device, module, version.
    versions: HashSet<(Id, String, String)>,
    progress: HashMap<Id, i32>,
    /// Tasks that have ever ended.
    ended: HashSet<Id>,
    /// Checks done, facts found.
    pub(crate) found: usize,
}

impl Audit {
    pub(crate) fn new(data: &Path, database: &str) -> Self {
        let config =
            store::Config { data: data.into(), database: database.into(), clock: store::Clock::default() };
        let (tasks, jobs, versions, progress, ended) = Default::default();
        Self { config, seq: 0, at: 0, tasks, jobs, versions, progress, ended, found: 0 }
    }

    /// Checks one moment of the database, in which these facts must be there.
    pub(crate) async fn check(&mut self, facts: Vec<Fact>) {
        let store = Store::open_to_read(self.config.clone()).await.unwrap();
        let mut tx = store.read().await.unwrap();
        self.replay(&mut tx).await;
        self.compare_rows(&mut tx).await;
        Self::compare_devices(&mut tx).await;
        self.find(&mut tx, &facts).await;
        self.found += facts.len();
        drop(tx);
        store.close().await;
    }

    /// Numbers without gaps, times that do not run backwards, and every move from where its row was.
    async fn replay(&mut self, tx: &mut Tx) {
        loop {
            let page = events::list(tx, events::Filter::All, self.seq, PAGE).await.unwrap();
            let Some(last) = page.last().map(|event| event.seq) else { break };
            for (place, numbered) in page.into_iter().enumerate() {
                assert_eq!(numbered.seq, self.seq + 1 + place as i64, "the log has a gap");
                assert!(numbered.event.at >= self.at, "event {} is older than the one before", numbered.seq);
                self.at = numbered.event.at;
                self.apply(numbered.event);
            }
            self.seq = last;
        }
        assert_eq!(events::last(tx).await.unwrap(), self.seq);
    }

    fn apply(&mut self, event: server::rollout::Event) {
        let task = event.task_id.unwrap_or_default();
        let job = event.job_id.unwrap_or_default();
        match event.kind {
            EventKind::JobCreated => assert_eq!(self.jobs.insert(job, JobState::InProgress), None),
            EventKind::JobState { state } => assert!(self.jobs.insert(job, state).is_some()),
            EventKind::TaskCreated => assert_eq!(self.tasks.insert(task, TaskState::Queued), None),
            EventKind::TaskState { from, to, .. } => {
                assert_eq!(self.tasks.insert(task, to), Some(from), "task {task} moved without an event");
                if to.is_terminal() {
                    self.ended.insert(task);
                }
            }
            EventKind::TaskProgress { percent, .. } => {
                let most = self.progress.entry(task).or_default();
                *most = percent.max(*most);
            }
            EventKind::VersionChanged { module, version, .. } => {
                self.versions.insert((event.device_id.unwrap(), module, version));
            }
            _ => {}
        }
    }

    /// The rows are where the log says, and the counts are those of the rows.
    async fn compare_rows(&self, tx: &mut Tx) {
        let mut rows = 0;
        let mut after = None;
        loop {
            let page = jobs::list(tx, jobs::Filter::All, None, Order::Oldest, after, PAGE).await.unwrap();
            for job in &page.items {
                assert_eq!(self.jobs.get(&job.id), Some(&job.state), "job {}", job.id);
                let mut counts = Counts::default();
                let of_job =
                    tasks::list_by_job(tx, job.id, tasks::Filter::default(), None, PAGE).await.unwrap();
                assert_eq!(of_job.next, None, "a job of this test has fewer than {PAGE} tasks");
                for view in of_job.items {
                    let (id, state) = (view.task.id, view.task.state);
                    assert_eq!(self.tasks.get(&id), Some(&state), "task {id} is not where its events say");
                    counts.add(state, 1);
                    rows += 1;
                }
                for state in TaskState::ALL {
                    assert_eq!(job.counts.get(state), counts.get(state), "{state:?} of job {}", job.id);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(rows, self.tasks.len(), "there are tasks that no event made, or events of no task");
    }

    /// The devices are counted by what they are.
    async fn compare_devices(tx: &mut Tx) {
        let product = products::find(tx, PRODUCT).await.unwrap().unwrap();
        let all = devices::list(tx, product.id, &devices::Filter::default(), None, PAGE).await.unwrap().items;
        let of =
            |wanted: fn(&devices::DeviceView) -> bool| all.iter().filter(|view| wanted(view)).count() as i64;
        let counts = device_counts::DeviceCounts {
            all: of(|_| true),
            online: of(|view| view.online),
            never_connected: of(|view| view.device.first_online_at.is_none()),
            disabled: of(|view| !view.device.enabled),
        };
        assert_eq!(device_counts::of(tx, &[product.id]).await.unwrap()[&product.id], counts);
    }

    async fn find(&self, tx: &mut Tx, facts: &[Fact]) {
        let product = products::find(tx, PRODUCT).await.unwrap().unwrap();
        let all = devices::list(tx, product.id, &devices::Filter::default(), None, PAGE).await.unwrap();
        let ids: HashMap<String, Id> = all.items.into_iter().map(|v| (v.device.name, v.device.id)).collect();
        for fact in facts {
            let there = match fact {
                Fact::Version { device, module, version } => {
                    self.versions.contains(&(ids[device], (*module).into(), version.clone()))
                }
                Fact::Progress { stream, percent } => {
                    let task = tasks::by_stream(tx, *stream).await.unwrap().unwrap().id;
                    let most = self.progress.get(&task).copied();
                    // What is reported of a task that has ended is acknowledged and means nothing.
                    self.ended.contains(&task) || most >= i32::try_from(*percent).ok()
                }
            };
            assert!(there, "acknowledged and lost: {fact:?}");
        }
    }

    /// Every task and every job has come to its end.
    pub(crate) fn all_ended(&self) {
        assert!(self.tasks.values().all(|state| state.is_terminal()), "{:?}", self.tasks);
        assert!(self.jobs.values().all(|state| *state != JobState::InProgress), "{:?}", self.jobs);
    }

    /// Jobs ever made.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Events ever written.
    pub(crate) fn events(&self) -> i64 {
        self.seq
    }
}
