//! A platform as a process, its devices and its operator; what must be there of what was acknowledged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::audit::Audit;
use crate::device::{Device, Fact, Shared};
use crate::orders::Operator;
use crate::process::Serve;
use crate::rng::Rng;

const DEVICES: usize = 24;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A platform, its devices and its operator.
pub(crate) struct House {
    pub(crate) serve: Option<Serve>,
    pub(crate) data: PathBuf,
    pub(crate) database: String,
    /// Where the platform logs, from its next start on.
    pub(crate) log: PathBuf,
    shared: Arc<Shared>,
    url: watch::Sender<Option<String>>,
    stop_orders: watch::Sender<bool>,
    ordering: JoinHandle<Operator>,
    audit: Audit,
    devices: JoinSet<()>,
}

impl House {
    /// Opens in a folder, over the database that `OTARU_FAULTS_DATABASE` names, with devices that report and
    /// an operator who orders, without end.
    pub(crate) async fn open(folder: &Path, log: &Path, rng: &mut Rng) -> Self {
        let (data, log) = (folder.join("data"), log.to_path_buf());
        let database = setting("OTARU_FAULTS_DATABASE").unwrap_or_else(|| "sqlite".into());
        let serve = Serve::start(&data, &database, &log);
        let url = watch::Sender::new(Some(serve.url.clone()));
        let shared = Shared::new();
        shared.address.send_replace(Some(serve.devices));
        let mut operator = Operator::new(&data, url.subscribe(), rng.fork());
        let names: Vec<String> = (0..DEVICES).map(|n| format!("lamp-{n:04}")).collect();
        let secrets = operator.prepare(&names).await;
        let mut devices = JoinSet::new();
        for (name, secret) in names.iter().zip(&secrets) {
            devices.spawn(Device::new(name, secret, rng.fork(), Arc::clone(&shared)).live());
        }
        let stop_orders = watch::Sender::new(false);
        Self {
            audit: Audit::new(&data, &database),
            serve: Some(serve),
            data,
            database,
            log,
            shared,
            url,
            ordering: tokio::spawn(order(operator, stop_orders.subscribe())),
            stop_orders,
            devices,
        }
    }

    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    pub(crate) fn kill(&mut self) {
        self.serve.take().unwrap().kill();
        self.shared.address.send_replace(None);
        self.url.send_replace(None);
    }

    pub(crate) fn restart(&mut self) {
        let serve = Serve::start(&self.data, &self.database, &self.log);
        self.shared.address.send_replace(Some(serve.devices));
        self.url.send_replace(Some(serve.url.clone()));
        self.serve = Some(serve);
    }

    /// What was acknowledged before this moment is in the database of this moment. Gives how much it was.
    pub(crate) async fn check(&mut self) -> usize {
        let facts: Vec<Fact> = std::mem::take(&mut *self.shared.facts.lock().unwrap());
        let found = facts.len();
        self.audit.check(facts).await;
        if let Some(ended) = self.devices.try_join_next() {
            panic!("a device has seen what must not be: {ended:?}");
        }
        found
    }

    /// Another operator.
    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.data, self.url.subscribe(), Rng::of("another"))
    }

    /// Waits until the platform has logged something.
    pub(crate) async fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&self.log).unwrap().contains(text) {
            assert!(Instant::now() < deadline, "never logged: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until `/readyz` answers so.
    pub(crate) async fn until_ready(&self, status: u16, words: &str) {
        let url = format!("{}/readyz", self.serve.as_ref().unwrap().url);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (url, agent) = (url.clone(), ureq::Agent::config_builder().http_status_as_error(false));
            let asked = move || {
                let mut answer = ureq::Agent::from(agent.build()).get(&url).call().unwrap();
                (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
            };
            let found = tokio::task::spawn_blocking(asked).await.unwrap();
            if found.0 == status && found.1.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "/readyz says {found:?} instead of {status} and {words:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until something is acknowledged.
    pub(crate) async fn until_acknowledged(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.shared.facts.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// No more blows: one last version reaches every device, and nothing is left over.
    pub(crate) async fn finish(mut self) {
        self.stop_orders.send_replace(true);
        let mut operator = (&mut self.ordering).await.unwrap();
        self.shared.calm.store(true, Ordering::Relaxed);
        let last = operator.roll_out().await.expect("nobody has a version yet to come");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = operator.job(&last).await;
            if job["state"] == "COMPLETED" {
                if job["counts"]["succeeded"] == DEVICES {
                    break;
                }
                // Progress does not name its task: a failure on its way is taken for one of the new task.
                operator.again(&last).await;
            }
            assert!(Instant::now() < deadline, "the last job does not end: {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.devices.shutdown().await;
        assert_eq!(self.serve.take().unwrap().stop(), Some(0));
        self.check().await;
        self.audit.all_ended();
        assert_eq!(self.audit.jobs(), operator.jobs.len(), "an order was carried out twice, or not at all");
        println!(
            "{} jobs, {} events, {} acknowledged facts, none lost",
            self.audit.jobs(),
            self.audit.events(),
            self.audit.found
        );
    }
}

async fn order(mut operator: Operator, stop: watch::Receiver<bool>) -> Operator {
    while !*stop.borrow() {
        operator.act().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    operator
}
