//! The committer: takes what reports have gathered, decides and writes them in one transaction,
//! and only then acknowledges. Time is its other caller.

use std::sync::Arc;

use rollout::{Input, Job, Timer, Work};
use store::Error;
use store::committer::{self as rows, Keys, Unworked};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{error, warn};

use crate::core::{Core, NEVER, Unit};
use crate::counters::Counters;

/// Most reports in one transaction.
const BATCH: usize = 512;
/// Most reports that wait; more make sessions wait to hand theirs over.
const WAITING: usize = 8_192;
/// Most timers claimed in one transaction.
const TIMERS: u32 = 256;
/// Devices or tasks in one chunk of a job's work.
const CHUNK: u32 = 500;
/// Pause after the database failed a turn of time.
const RETRY_MS: i64 = 1_000;

/// A report on its way to the database.
pub(crate) struct Report {
    input: Input,
    done: Option<oneshot::Sender<()>>,
    _place: Option<OwnedSemaphorePermit>,
}

/// The way in for sessions.
#[derive(Clone)]
pub(crate) struct Queue {
    reports: mpsc::UnboundedSender<Report>,
    places: Arc<Semaphore>,
}

/// The database did not take the report.
#[derive(Debug)]
pub(crate) struct NotTaken;

impl Queue {
    /// Hands over that a device came or went. Bounded by the sessions there are.
    pub(crate) fn presence(&self, input: Input) {
        // Only a committer that has stopped takes nothing more.
        let _ = self.reports.send(Report { input, done: None, _place: None });
    }

    /// Hands a report over, in the order of calls, and returns once it is durable.
    pub(crate) async fn report(&self, input: Input) -> Result<(), NotTaken> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| NotTaken)?;
        let (done, durable) = oneshot::channel();
        let report = Report { input, done: Some(done), _place: Some(place) };
        self.reports.send(report).map_err(|_| NotTaken)?;
        durable.await.map_err(|_| NotTaken)
    }
}

/// Starts the committer. It ends when every [`Queue`] is gone.
pub(crate) fn start(core: Arc<Core>) -> Queue {
    let (reports, waiting) = mpsc::unbounded_channel();
    tokio::spawn(run(core, waiting));
    Queue { reports, places: Arc::new(Semaphore::new(WAITING)) }
}

async fn run(core: Arc<Core>, mut waiting: mpsc::UnboundedReceiver<Report>) {
    let mut due = core.due.subscribe();
    loop {
        let next = *due.borrow_and_update();
        let mut batch = Vec::new();
        tokio::select! {
            n = waiting.recv_many(&mut batch, BATCH) => if n == 0 { return },
            () = core.reach(next), if next != NEVER => {}
            _ = due.changed() => continue,
        }
        if !batch.is_empty() {
            commit_reports(&core, batch).await;
        }
        if core.now() >= *core.due.borrow() {
            pass_time(&core).await;
        }
    }
}

/// Commits a batch. One that fails is halved until the report that cannot be written stands alone.
async fn commit_reports(core: &Arc<Core>, batch: Vec<Report>) {
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        let Err(failure) = try_commit(core, &part).await else {
            Counters::add(&core.counters.commits);
            Counters::add_many(&core.counters.reports, part.len() as u64);
            for done in part.into_iter().filter_map(|report| report.done) {
                // The session may have gone meanwhile.
                let _ = done.send(());
            }
            continue;
        };
        if part.len() == 1 || matches!(failure, Error::Unavailable(_)) {
            Counters::add_many(&core.counters.failed_reports, part.len() as u64);
            error!(error = %failure, reports = part.len(), first = ?part.first().map(|r| &r.input), "reports could not be written");
            continue;
        }
        let half = part.split_off(part.len() / 2);
        parts.push(half);
        parts.push(part);
    }
}

async fn try_commit(core: &Arc<Core>, batch: &[Report]) -> Result<(), Error> {
    let inputs: Vec<Input> = batch.iter().map(|report| report.input.clone()).collect();
    let mut unit = core.unit().await?;
    let dropped = unit.decide(&keys(&inputs), inputs).await?.dropped;
    unit.commit().await?;
    Counters::add_many(&core.counters.dropped_reports, dropped.into());
    Ok(())
}

async fn pass_time(core: &Arc<Core>) {
    core.due.send_replace(NEVER);
    match claim(core).await {
        Ok(next) => core.wake_at(next.unwrap_or(NEVER)),
        Err(failure) => {
            warn!(error = %failure, "what is due could not be done; trying again");
            core.wake_at(core.now() + RETRY_MS);
        }
    }
}

/// Does what is due; tells when the next timer is.
async fn claim(core: &Arc<Core>) -> Result<Option<i64>, Error> {
    let mut unit = core.unit().await?;
    let timers = rows::claim_timers(&mut unit.tx, unit.now, TIMERS).await?;
    let (keys, inputs) = prepare(&mut unit, timers).await?;
    if !inputs.is_empty() {
        unit.decide(&keys, inputs).await?;
    }
    let next = rows::next_timer_at(&mut unit.tx).await?;
    unit.commit().await?;
    Ok(next)
}

/// The inputs that claimed timers stand for, and the rows those need.
async fn prepare(unit: &mut Unit, timers: Vec<Timer>) -> Result<(Keys, Vec<Input>), Error> {
    let mut inputs = Vec::new();
    let mut keys = Keys::default();
    for timer in timers {
        match timer {
            Timer::Push(job) => {
                if let Some(row) = store::jobs::get(&mut unit.tx, job).await? {
                    let used = rows::slots_used(&mut unit.tx, unit.now).await?;
                    let limit = rollout::push_limit(&row, used, unit.core.limits, unit.now).max(1);
                    keys.tasks.extend(
                        rows::ready_tasks(&mut unit.tx, job, u32::try_from(limit).unwrap_or(1)).await?,
                    );
                }
                inputs.push(Input::Due(timer));
            }
            Timer::Work(job) => {
                if let Some(row) = store::jobs::get(&mut unit.tx, job).await? {
                    inputs.extend(chunk(unit, &row).await?);
                }
            }
            Timer::Timeout(_) | Timer::Settle(_) | Timer::Grace(_) => inputs.push(Input::Due(timer)),
        }
    }
    for input in &inputs {
        add_keys(&mut keys, input);
    }
    Ok((keys, inputs))
}

/// The next chunk of a job's work.
async fn chunk(unit: &mut Unit, job: &Job) -> Result<Option<Input>, Error> {
    let Some(work) = job.work else { return Ok(None) };
    let (cursor, which) = match work {
        Work::Enrol { cursor } => {
            let (devices, last) = rows::enrol_chunk(&mut unit.tx, job, cursor, CHUNK).await?;
            return Ok(Some(Input::Enrol { job: job.id, work, devices, last }));
        }
        Work::Cancel { cursor } => (cursor, Unworked::Unfinished),
        Work::Reupgrade { cursor } => (cursor, Unworked::Restartable),
    };
    let (tasks, last) = rows::task_chunk(&mut unit.tx, job.id, cursor, which, CHUNK).await?;
    Ok(Some(Input::Tasks { job: job.id, work, tasks, last }))
}

/// The rows that inputs speak of.
pub(crate) fn keys(inputs: &[Input]) -> Keys {
    let mut keys = Keys::default();
    inputs.iter().for_each(|input| add_keys(&mut keys, input));
    keys
}

fn add_keys(keys: &mut Keys, input: &Input) {
    match input {
        Input::Connected { device, .. }
        | Input::Disconnected { device, .. }
        | Input::Reported { device, .. }
        | Input::Progressed { device, .. }
        | Input::Asked { device, .. }
        | Input::Due(Timer::Grace(device)) => {
            keys.devices.insert(*device);
        }
        Input::Due(Timer::Timeout(task) | Timer::Settle(task))
        | Input::CancelTask(task)
        | Input::ReupgradeTask(task) => {
            keys.tasks.insert(*task);
        }
        Input::Due(Timer::Push(job) | Timer::Work(job))
        | Input::CancelJob(job)
        | Input::ReupgradeJob(job) => {
            keys.jobs.insert(*job);
        }
        Input::Enrol { job, devices, .. } => {
            keys.jobs.insert(*job);
            keys.devices.extend(devices);
        }
        Input::Tasks { job, tasks, .. } => {
            keys.jobs.insert(*job);
            keys.tasks.extend(tasks);
        }
    }
}
