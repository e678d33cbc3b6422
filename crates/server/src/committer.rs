//! The committer: takes what reports have gathered, decides and writes them in one transaction,
//! and only then acknowledges. Time is its other caller.

use std::sync::Arc;

use rollout::{Changes, Enrolment, Id, Input, Job, JobKind, Ms, Rows, Timer, Work};
use store::committer::{self as rows, Keys, Unworked};
use store::{Chain, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{error, warn};

use crate::core::{Core, NEVER, Unit};
use crate::counters::Counters;

/// Most reports in one transaction.
const BATCH: usize = 512;
/// Most reports that wait; more make sessions wait to hand theirs over.
pub(crate) const WAITING: usize = 8_192;
/// Most timers claimed in one transaction.
const TIMERS: u32 = 256;
/// Devices or tasks in one chunk of a job's work.
const CHUNK: u32 = 500;
/// Events dropped in one transaction.
const DROPPED: u32 = 1_000;
/// Pause between two looks for events that have become old.
const RETENTION_MS: i64 = 3_600_000;
/// Pause between two notes that the platform is up.
const ALIVE_MS: i64 = 60_000;
/// Pause after the database failed a turn of time.
const RETRY_MS: i64 = 1_000;

/// Pause before what could not be done once is done again.
const POSTPONE_MS: i64 = 60_000;
/// Tries at a transaction that only another one was in the way of.
const TRIES: u32 = 3;

/// A report on its way to the database; without an input, a mark in the queue.
pub(crate) struct Report {
    input: Option<Input>,
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
    /// Hands over that a device came or went. Bounded by the sessions there are, and by how often gateways may log
    /// sub-devices in.
    pub(crate) fn presence(&self, input: Input) {
        // Only a committer that has stopped takes nothing more.
        let _ = self.reports.send(Report { input: Some(input), done: None, _place: None });
    }

    /// Hands a report over, in the order of calls, and returns once it is durable.
    pub(crate) async fn report(&self, input: Input) -> Result<(), NotTaken> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| NotTaken)?;
        self.hand_over(Some(input), Some(place)).await
    }

    /// Returns once all that was handed over before has been decided.
    pub(crate) async fn flush(&self) -> Result<(), NotTaken> {
        self.hand_over(None, None).await
    }

    /// Reports that are not yet durable.
    pub(crate) fn waiting(&self) -> usize {
        WAITING - self.places.available_permits()
    }

    async fn hand_over(
        &self,
        input: Option<Input>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<(), NotTaken> {
        let (done, durable) = oneshot::channel();
        self.reports.send(Report { input, done: Some(done), _place: place }).map_err(|_| NotTaken)?;
        durable.await.map_err(|_| NotTaken)
    }
}

/// Starts the committer. It ends when every [`Queue`] is gone.
pub(crate) fn start(core: Arc<Core>) -> Queue {
    let (reports, waiting) = mpsc::unbounded_channel();
    tokio::spawn(run(core, waiting));
    Queue { reports, places: Arc::new(Semaphore::new(WAITING)) }
}

/// Takes up what a process that is no more has left: its connections end when it was last known to be up, and
/// neither timeouts nor waves have gone on since.
pub(crate) async fn take_up(core: &Arc<Core>) -> Result<(), Error> {
    let mut tx = core.store.read().await?;
    let last_up = rows::timer_at(&mut tx, Timer::Alive).await?.map(|next| next - ALIVE_MS);
    drop(tx);
    end_orphans(core, last_up).await?;
    let mut unit = core.unit().await?;
    core.is_up(unit.now);
    let jobs = store::jobs::timed(&mut unit.tx).await?;
    if let Some(from) = last_up.filter(|from| *from < unit.now) {
        let inputs: Vec<Input> = jobs.into_iter().map(|job| Input::StoodStill { job, from }).collect();
        unit.decide(&keys(&inputs), inputs).await?;
    }
    note_alive(&mut unit).await?;
    unit.commit().await
}

async fn end_orphans(core: &Arc<Core>, last_up: Option<Ms>) -> Result<(), Error> {
    let mut cursor = 0;
    loop {
        let mut unit = core.unit().await?;
        let found = rows::connections(&mut unit.tx, cursor, CHUNK).await?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        cursor = *last;
        let at = last_up.unwrap_or(unit.now).min(unit.now);
        let orphan = |(device, epoch)| Input::Orphaned { device, epoch, at };
        let inputs: Vec<Input> = found.into_iter().map(orphan).collect();
        unit.decide(&keys(&inputs), inputs).await?;
        unit.commit().await?;
    }
}

/// Notes that the platform is up: how long ago the timer was set for tells the next process since when it was not.
async fn note_alive(unit: &mut Unit) -> Result<(), Error> {
    let next = Some(unit.now + ALIVE_MS);
    unit.write(&Changes { timers: [(Timer::Alive, next)].into(), ..Changes::default() }).await
}

/// Sets or clears the timer by which old events are dropped.
pub(crate) async fn start_retention(core: &Arc<Core>) -> Result<(), Error> {
    let mut unit = core.unit().await?;
    let at = core.keep_events.map(|_| unit.now);
    unit.write(&Changes { timers: [(Timer::Retention, at)].into(), ..Changes::default() }).await?;
    unit.commit().await
}

async fn run(core: Arc<Core>, mut waiting: mpsc::UnboundedReceiver<Report>) {
    let mut due = core.due.subscribe();
    let (mut again, mut again_at) = (Vec::new(), NEVER);
    loop {
        let next = (*due.borrow_and_update()).min(again_at);
        let mut batch = Vec::new();
        let mut look = false;
        tokio::select! {
            n = waiting.recv_many(&mut batch, BATCH) => if n == 0 { return },
            () = core.reach(next), if next != NEVER => look = true,
            _ = due.changed() => continue,
        }
        if core.now() >= again_at {
            batch.splice(0..0, again.drain(..));
            again_at = NEVER;
        }
        if !batch.is_empty() {
            again.append(&mut commit_reports(&core, batch).await);
            if !again.is_empty() {
                again_at = again_at.min(core.now() + RETRY_MS);
            }
        }
        if look || core.now() >= *core.due.borrow() {
            pass_time(&core).await;
        }
    }
}

/// Why a transaction came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Store(#[from] Error),
    #[error("the rules failed")]
    Panicked,
}

impl Failure {
    /// Whether every transaction would fail as well, however small.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(Error::Unavailable(_) | Error::Busy(_) | Error::Full(_)))
    }
}

/// Does a unit of work in a task of its own, so that not even a panic ends the committer.
async fn once<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Failure> {
    Ok(tokio::spawn(work).await.map_err(|_| Failure::Panicked)??)
}

/// As [`once`], and anew if another transaction was in the way.
pub(crate) async fn attempt<T, F>(work: impl Fn() -> F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match once(work()).await {
            Err(Failure::Store(Error::Busy(source))) if tries < TRIES => {
                warn!(error = %Chain(&*source), "another process or node holds what is to be written; trying again");
            }
            done => return done,
        }
    }
}

/// Commits a batch. One that fails is halved until the report that cannot be written stands alone.
/// Gives back what must not be lost: that devices have gone.
async fn commit_reports(core: &Arc<Core>, batch: Vec<Report>) -> Vec<Report> {
    let mut again = Vec::new();
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        let inputs: Vec<Input> = part.iter().filter_map(|report| report.input.clone()).collect();
        match attempt(|| commit(Arc::clone(core), inputs.clone())).await {
            Ok(unheard) => acknowledge(core, part, &unheard),
            Err(failure) if part.len() == 1 || failure.is_unavailable() => {
                error!(error = %Chain(&failure), reports = part.len(), first = ?inputs.first(), "reports could not be written");
                if failure.is_unavailable() {
                    core.refuse_logins();
                }
                again.extend(part.into_iter().filter_map(|report| give_up(core, report)));
            }
            Err(_) => {
                let half = part.split_off(part.len() / 2);
                parts.extend([half, part]);
            }
        }
    }
    again
}

/// Commits inputs; tells which of them were not heard.
async fn commit(core: Arc<Core>, inputs: Vec<Input>) -> Result<Vec<usize>, Error> {
    let mut unit = core.unit().await?;
    let changes = unit.decide(&keys(&inputs), inputs).await?;
    unit.commit().await?;
    Counters::add_many(&core.counters.dropped_reports, changes.dropped.into());
    Ok(changes.unheard)
}

fn acknowledge(core: &Core, part: Vec<Report>, unheard: &[usize]) {
    let reports = part.iter().filter(|report| report.input.is_some()).count();
    if reports > 0 {
        core.measures.batches.observe(reports as u64);
    }
    let mut place = 0;
    for report in part {
        let heard = report.input.is_none() || !unheard.contains(&place);
        place += usize::from(report.input.is_some());
        if let Some(done) = report.done.filter(|_| heard) {
            // The session may have gone meanwhile.
            let _ = done.send(());
        }
    }
}

/// What could not be written is not acknowledged, and its session ends; that a device has gone is
/// tried again.
fn give_up(core: &Core, report: Report) -> Option<Report> {
    if report.input.is_some() {
        Counters::add(&core.counters.failed_reports);
    }
    match report.input {
        Some(Input::Disconnected { .. }) => return Some(report),
        Some(Input::Connected { device, epoch }) if core.sessions.epoch(device) == Some(epoch) => {
            core.sessions.close(device, door::Closed::Unavailable);
        }
        _ => {}
    }
    None
}

async fn pass_time(core: &Arc<Core>) {
    core.due.send_replace(NEVER);
    // Once: what is due is looked at again anyway, and reports must not wait for it meanwhile.
    let next = match once(claim(Arc::clone(core), TIMERS)).await {
        Ok(next) => next,
        Err(failure) if failure.is_unavailable() => {
            warn!(error = %Chain(&failure), "what is due could not be done; trying again");
            Some(core.now() + RETRY_MS)
        }
        Err(_) => one_by_one(core).await,
    };
    core.wake_at(next.unwrap_or(NEVER));
}

/// Does what is due one by one, and postpones what cannot be done; tells when the next timer is.
async fn one_by_one(core: &Arc<Core>) -> Option<i64> {
    for _ in 0..TIMERS {
        match attempt(|| claim(Arc::clone(core), 1)).await {
            Ok(Some(next)) if next <= core.now() => {}
            Ok(next) => return next,
            Err(failure) => {
                error!(error = %Chain(&failure), "something that is due cannot be done; it waits a minute");
                if attempt(|| postpone(Arc::clone(core))).await.is_err() {
                    break;
                }
            }
        }
    }
    Some(core.now() + RETRY_MS)
}

async fn postpone(core: Arc<Core>) -> Result<(), Error> {
    let mut unit = core.unit().await?;
    let timers = rows::claim_timers(&mut unit.tx, unit.now, 1).await?;
    let at = Some(unit.now + POSTPONE_MS);
    let timers = timers.into_iter().map(|timer| (timer, at)).collect();
    unit.write(&Changes { timers, ..Changes::default() }).await?;
    unit.commit().await
}

/// Does what is due; tells when the next timer is.
async fn claim(core: Arc<Core>, limit: u32) -> Result<Option<i64>, Error> {
    let mut unit = core.unit().await?;
    let timers = rows::claim_timers(&mut unit.tx, unit.now, limit).await?;
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
                keys.tasks.extend(ready(unit, job).await?);
                inputs.push(Input::Due(timer));
            }
            Timer::Work(job) => {
                if let Some(row) = store::jobs::get(&mut unit.tx, job).await? {
                    keys.enrols_policy |= row.kind == JobKind::Dynamic;
                    inputs.extend(chunk(unit, &row).await?);
                }
            }
            Timer::Retention => drop_events(unit).await?,
            Timer::Alive => note_alive(unit).await?,
            Timer::Release(job) => {
                if let Some(row) = store::jobs::get(&mut unit.tx, job).await? {
                    inputs.extend(released(unit, &row).await?);
                }
            }
            Timer::Start(_)
            | Timer::Finish(_)
            | Timer::Gate(_)
            | Timer::Lost(_)
            | Timer::Timeout(_)
            | Timer::Settle(_)
            | Timer::Retry(_)
            | Timer::Unstarted(_)
            | Timer::Grace(_)
            | Timer::Quiet(_) => {
                inputs.push(Input::Due(timer));
            }
        }
    }
    for input in &inputs {
        add_keys(&mut keys, input);
    }
    Ok((keys, inputs))
}

/// The tasks that a push of a job needs.
async fn ready(unit: &mut Unit, job: Id) -> Result<Vec<Id>, Error> {
    let Some(row) = store::jobs::get(&mut unit.tx, job).await? else { return Ok(Vec::new()) };
    let mut found = Rows::default();
    if row.terms.kbit_per_second.or(unit.core.limits.kbit_per_second).is_some() {
        let package = store::packages::get(&mut unit.tx, row.package_id).await?;
        found.packages.extend(package.map(|package| (package.id, package)));
    }
    found.jobs.insert(job, row);
    found.slots_used = rows::slots_used(&mut unit.tx, unit.now).await?;
    unit.core.complete(&mut found, unit.now);
    let limit = rollout::push_limit(&found, job, unit.core.limits, unit.now);
    rows::ready_tasks(&mut unit.tx, job, unit.now, u32::try_from(limit).unwrap_or(1)).await
}

/// Drops a chunk of the events that are old enough. Reports have their turn before the next one.
async fn drop_events(unit: &mut Unit) -> Result<(), Error> {
    let Some(keep) = unit.core.keep_events else { return Ok(()) };
    let before = unit.now.saturating_sub(keep);
    let more = store::events::drop_oldest(&mut unit.tx, before, DROPPED).await?;
    if !more {
        store::statistics::drop_before(&mut unit.tx, before).await?;
    }
    let next = if more { unit.now } else { unit.now + RETENTION_MS };
    unit.write(&Changes { timers: [(Timer::Retention, Some(next))].into(), ..Changes::default() }).await
}

/// The next chunk of a job's work.
async fn chunk(unit: &mut Unit, job: &Job) -> Result<Option<Input>, Error> {
    let Some(work) = job.work else { return Ok(None) };
    let (cursor, which) = match work {
        Work::Enrol { cursor } => {
            let chunk = enrolment(unit, job, cursor).await?;
            return Ok(Some(Input::Enrol { job: job.id, work, chunk }));
        }
        Work::Cancel { cursor } | Work::CancelSome { cursor, .. } | Work::Finish { cursor } => {
            (cursor, Unworked::Unfinished)
        }
        Work::Confirm { cursor } => (cursor, Unworked::Unapproved),
        Work::Reupgrade { cursor, .. } => (cursor, Unworked::Restartable),
    };
    let (tasks, last) = rows::task_chunk(&mut unit.tx, job.id, cursor, which, CHUNK).await?;
    Ok(Some(Input::Tasks { job: job.id, work, tasks, last }))
}

async fn enrolment(unit: &mut Unit, job: &Job, cursor: Id) -> Result<Enrolment, Error> {
    let rows::Chunk { devices, upto, last } =
        rows::enrol_chunk(&mut unit.tx, job, cursor, unit.now, CHUNK).await?;
    let mut groups = Vec::with_capacity(job.terms.wave_groups.len());
    for wave in &job.terms.wave_groups {
        groups.push(store::groups::among(&mut unit.tx, wave.group, &devices, job.created_at).await?);
    }
    Ok(Enrolment { devices, groups, upto, last })
}

/// The next tasks that a job lets go.
async fn released(unit: &mut Unit, job: &Job) -> Result<Option<Input>, Error> {
    let Some(release) = job.release else { return Ok(None) };
    let (tasks, last) = rows::release_chunk(&mut unit.tx, job.id, release, CHUNK).await?;
    Ok(Some(Input::Release { job: job.id, release, tasks, last }))
}

/// The rows that inputs speak of.
pub(crate) fn keys(inputs: &[Input]) -> Keys {
    let mut keys = Keys::default();
    inputs.iter().for_each(|input| add_keys(&mut keys, input));
    keys
}

fn add_keys(keys: &mut Keys, input: &Input) {
    match input {
        Input::Reported { device, module, .. } => {
            keys.devices.insert(*device);
            keys.reports.insert((*device, module.clone()));
        }
        Input::Connected { device, .. }
        | Input::Ousted { device }
        | Input::Disconnected { device, .. }
        | Input::Orphaned { device, .. }
        | Input::Progressed { device, .. }
        | Input::Asked { device, .. }
        | Input::Due(Timer::Grace(device) | Timer::Quiet(device)) => {
            keys.devices.insert(*device);
        }
        Input::Due(
            Timer::Timeout(task)
            | Timer::Settle(task)
            | Timer::Retry(task)
            | Timer::Unstarted(task)
            | Timer::Lost(task),
        )
        | Input::CancelTask(task)
        | Input::ConfirmTask(task)
        | Input::ReupgradeTask(task) => {
            keys.tasks.insert(*task);
        }
        // Nothing is decided about events, and that the platform is up.
        Input::Due(Timer::Retention | Timer::Alive) => {}
        Input::Due(
            Timer::Push(job)
            | Timer::Work(job)
            | Timer::Start(job)
            | Timer::Finish(job)
            | Timer::Release(job)
            | Timer::Gate(job),
        )
        | Input::SkipWave { job, .. }
        | Input::StoodStill { job, .. }
        | Input::CancelSome { job, .. }
        | Input::PauseJob(job)
        | Input::ResumeJob(job)
        | Input::ConfirmJob(job)
        | Input::CancelJob(job)
        | Input::CloseJob(job)
        | Input::ReupgradeJob(job) => {
            keys.jobs.insert(*job);
        }
        Input::ReviseJob { job, to } => {
            keys.jobs.insert(*job);
            keys.scopes.extend(to.scope.clone());
        }
        Input::Enrol { job, chunk, .. } => {
            keys.jobs.insert(*job);
            keys.devices.extend(&chunk.devices);
        }
        Input::Tasks { job, tasks, .. } | Input::Release { job, tasks, .. } => {
            keys.jobs.insert(*job);
            keys.tasks.extend(tasks);
            if matches!(input, Input::Tasks { work: Work::Reupgrade { .. }, .. }) {
                keys.restarts.extend(tasks);
            }
        }
    }
}
