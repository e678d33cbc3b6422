//! Inputs, outputs and the one function between them.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::event::{Event, EventKind};
use crate::gate::Tally;
use crate::revise::Revision;
use crate::rows::{
    CancelStates, Device, Epoch, Id, Job, ModuleVersion, Ms, Package, PackageState, Product, Protocol,
    Release, Rows, Session, Task, TaskState, Timer, Work,
};
use crate::terms::Tag;

/// Some devices of a job's enrolment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolment {
    /// Devices, in the order of their numbers.
    pub devices: Vec<Id>,
    /// For each group that is a wave of the job, those of the devices that are in it.
    pub groups: Vec<BTreeSet<Id>>,
    /// The last device looked at.
    pub upto: Id,
    /// Whether there are none after it.
    pub last: bool,
}

/// One thing to be decided upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A device logged in.
    Connected {
        /// The device.
        device: Id,
        /// Its new connection.
        epoch: Epoch,
    },
    /// Another client ended the device's connection, which was alive. Its own [`Input::Connected`] follows.
    Ousted {
        /// The device.
        device: Id,
    },
    /// A connection ended.
    Disconnected {
        /// The device.
        device: Id,
        /// The connection that ended.
        epoch: Epoch,
    },
    /// The platform stood still, and with it a connection ended.
    Orphaned {
        /// The device.
        device: Id,
        /// The connection that ended.
        epoch: Epoch,
        /// When the platform was last up.
        at: Ms,
    },
    /// The platform stood still until now: a job's timeouts did not go on and its waves did not wait meanwhile.
    StoodStill {
        /// The job.
        job: Id,
        /// When the platform was last up.
        from: Ms,
    },
    /// A version report (docs/protocol.md 5.1).
    Reported {
        /// The device.
        device: Id,
        /// The connection it came on.
        epoch: Epoch,
        /// The module.
        module: String,
        /// The version.
        version: String,
    },
    /// A progress report (docs/protocol.md 5.5).
    Progressed {
        /// The device.
        device: Id,
        /// The connection it came on.
        epoch: Epoch,
        /// The module.
        module: String,
        /// Per cent, or a negative code.
        step: i32,
        /// The device's words.
        desc: String,
    },
    /// The device asks what there is for a module (docs/protocol.md 5.3, 5.4).
    Asked {
        /// The device.
        device: Id,
        /// The connection it came on.
        epoch: Epoch,
        /// The module.
        module: String,
        /// How it asked.
        ask: Ask,
    },
    /// A timer's row was claimed.
    Due(Timer),
    /// A chunk of a job's [`Work::Enrol`]: these devices are next.
    Enrol {
        /// The job.
        job: Id,
        /// Its work when the chunk was read. A chunk of a work that has moved on changes nothing.
        work: Work,
        /// What the chunk holds.
        chunk: Enrolment,
    },
    /// A chunk of any other [`Work`] of a job: these tasks are next.
    Tasks {
        /// The job.
        job: Id,
        /// Its work when the chunk was read, as above.
        work: Work,
        /// Tasks, in the order of their numbers.
        tasks: Vec<Id>,
        /// Whether there are none after them.
        last: bool,
    },
    /// A chunk of a job's release: these tasks are next.
    Release {
        /// The job.
        job: Id,
        /// Its release when the chunk was read, as above.
        release: Release,
        /// Unfinished tasks, in the order of the release.
        tasks: Vec<Id>,
        /// Whether there are none after them.
        last: bool,
    },
    /// The operator cancels a job's unfinished tasks in some states.
    CancelSome {
        /// The job.
        job: Id,
        /// Which states.
        states: CancelStates,
    },
    /// The operator holds a job.
    PauseJob(Id),
    /// The operator lets a held job go on.
    ResumeJob(Id),
    /// The operator opens a job's next wave.
    SkipWave {
        /// The job.
        job: Id,
        /// The wave that is not waited for any longer. If another one is open, the order is not meant for it.
        wave: i32,
    },
    /// The operator, or an app, approves every task of a job that waits for it.
    ConfirmJob(Id),
    /// The operator, or an app, approves a task.
    ConfirmTask(Id),
    /// The operator cancels a job and with it every unfinished task.
    CancelJob(Id),
    /// The operator lets a dynamic job take no more devices; its tasks go on.
    CloseJob(Id),
    /// The operator changes what was settled of a job.
    ReviseJob {
        /// The job.
        job: Id,
        /// What it is to be.
        to: Box<Revision>,
    },
    /// The operator starts the failed tasks of a job again, and if it was cancelled those cancelled with it.
    ReupgradeJob(Id),
    /// The operator cancels one task.
    CancelTask(Id),
    /// The operator starts one failed or cancelled task again.
    ReupgradeTask(Id),
}

/// How a device asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `thing/ota/firmware/get`: answered always, with the request's id.
    Get {
        /// The request's id, unescaped as it came.
        id: String,
    },
    /// `/ota/device/request`: answered only if there is something.
    OldRequest,
}

/// What leaves for a device once the transaction has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// A notice, on the upgrade topic.
    Notice {
        /// The connection it is for.
        to: (Id, Epoch),
        /// What is offered.
        offer: Offer,
    },
    /// The answer to an [`Ask`]; `None` is "nothing for you".
    Answer {
        /// The connection it is for.
        to: (Id, Epoch),
        /// What was asked.
        ask: Ask,
        /// What is offered.
        offer: Option<Offer>,
    },
    /// The device may not be connected any more: it was disabled or removed while it came in.
    Close {
        /// The device.
        device: Id,
    },
    /// The right to read a stream has ended.
    Revoke {
        /// The device.
        device: Id,
        /// The stream.
        stream_id: u32,
    },
}

/// All a notice is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The task.
    pub task: Id,
    /// Its stream.
    pub stream_id: u32,
    /// See [`crate::Task::first_attempt`].
    pub first_attempt: i32,
    /// How the file travels.
    pub protocol: Protocol,
    /// The file.
    pub package: Package,
    /// The job's words for the device.
    pub tags: Vec<Tag>,
}

/// Bounds that hold for the whole installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Downloads at once.
    pub downloads: i64,
    /// How long a silent download keeps its slot, or up to an eighth longer.
    pub slot_ms: Ms,
    /// What the files offered by a server may have together, in 1 000 bits a second; `None` is no limit.
    pub kbit_per_second: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { downloads: 500, slot_ms: 300_000, kbit_per_second: None }
    }
}

/// Where new numbers come from.
pub trait Ids {
    /// A row's number.
    fn next_id(&mut self) -> Id;
    /// A stream's number, never given before.
    fn next_stream(&mut self) -> u32;
}

/// Everything a batch changes. To be written in one transaction; `outbound` leaves after it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Changed devices.
    pub devices: Vec<Device>,
    /// Sessions begun.
    pub sessions: Vec<Session>,
    /// Sessions ended: device and connection.
    pub sessions_ended: Vec<(Id, Epoch)>,
    /// Module versions, new or changed.
    pub versions: Vec<ModuleVersion>,
    /// New tasks.
    pub tasks_new: Vec<Task>,
    /// Changed tasks.
    pub tasks: Vec<Task>,
    /// Those among them that were loaded, as they were: only what differs has to be written.
    pub tasks_before: BTreeMap<Id, Task>,
    /// Changed jobs (their counts are in `counts`).
    pub jobs: Vec<Job>,
    /// Changed packages.
    pub packages: Vec<Package>,
    /// Differences to a job's tasks in a state.
    pub counts: BTreeMap<(Id, TaskState), i64>,
    /// Until when the server's byte budget is used up, if something was offered.
    pub offered_until_us: Option<i64>,
    /// Timers to set (replacing their time if set already), `None` to clear.
    pub timers: BTreeMap<Timer, Option<Ms>>,
    /// What happened.
    pub events: Vec<Event>,
    /// What leaves after the commit.
    pub outbound: Vec<Outbound>,
    /// Inputs that changed nothing because they came from an ended connection, or too many modules.
    pub dropped: u32,
    /// Those of them that are reports and questions, by their place among the inputs: nothing of
    /// them is kept, so they must not be acknowledged.
    pub unheard: Vec<usize>,
}

/// Decides a batch: what `inputs` mean for `rows` at `now`.
pub fn decide(rows: Rows, inputs: Vec<Input>, now: Ms, limits: Limits, ids: &mut dyn Ids) -> Changes {
    let mut tasks_of: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for task in rows.tasks.values() {
        tasks_of.entry(task.device_id).or_default().push(task.id);
    }
    let mut decider = Decider {
        rows,
        tasks_of,
        now,
        limits,
        ids,
        out: Changes::default(),
        dirty: Dirty::default(),
        place: 0,
        touched: BTreeSet::new(),
        tallies: BTreeMap::new(),
    };
    for (place, input) in inputs.into_iter().enumerate() {
        decider.place = place;
        decider.input(input);
        decider.count_tallies();
        decider.judge_touched();
    }
    decider.finish()
}

#[derive(Default)]
struct Dirty {
    devices: BTreeSet<Id>,
    sessions: BTreeSet<Id>,
    versions: BTreeSet<(Id, String)>,
    tasks_new: BTreeSet<Id>,
    /// As they were.
    tasks: BTreeMap<Id, Task>,
    jobs: BTreeSet<Id>,
    packages: BTreeSet<Id>,
}

/// The working state of one batch.
pub(crate) struct Decider<'a> {
    pub(crate) rows: Rows,
    /// The tasks in `rows` by device, in the order of their numbers.
    tasks_of: BTreeMap<Id, Vec<Id>>,
    pub(crate) now: Ms,
    pub(crate) limits: Limits,
    pub(crate) ids: &'a mut dyn Ids,
    pub(crate) out: Changes,
    dirty: Dirty,
    /// Which input is decided upon.
    place: usize,
    /// Jobs whose gates an input has touched.
    pub(crate) touched: BTreeSet<Id>,
    /// Tasks that an input has touched, as they are counted in the gates of their jobs.
    pub(crate) tallies: BTreeMap<Id, Tally>,
}

impl Decider<'_> {
    fn input(&mut self, input: Input) {
        match input {
            Input::Connected { device, epoch } => self.connected(device, epoch),
            Input::Ousted { device } => self.ousted(device),
            Input::Disconnected { device, epoch } => self.disconnected(device, epoch, self.now),
            Input::Orphaned { device, epoch, at } => self.disconnected(device, epoch, at),
            Input::StoodStill { job, from } => self.stood_still(job, from),
            Input::Reported { device, epoch, module, version } => {
                self.reported(device, epoch, module, version)
            }
            Input::Progressed { device, epoch, module, step, desc } => {
                self.progressed(device, epoch, &module, step, desc);
            }
            Input::Asked { device, epoch, module, ask } => self.asked(device, epoch, &module, ask),
            Input::Due(Timer::Push(job)) => self.push_ready(job),
            Input::Due(Timer::Timeout(task)) => self.timed_out(task),
            Input::Due(Timer::Settle(task)) => self.settled(task),
            Input::Due(Timer::Retry(task)) => self.retry_due(task),
            Input::Due(Timer::Unstarted(task)) => self.unstarted(task),
            Input::Due(Timer::Grace(device)) => self.grace_over(device),
            Input::Due(Timer::Quiet(device)) => self.quiet(device),
            // The server turns such a claimed timer into the chunk it calls for, and does the rest itself.
            Input::Due(Timer::Work(_) | Timer::Release(_) | Timer::Retention | Timer::Alive) => {}
            Input::Due(Timer::Gate(job)) => self.judge(job),
            Input::Due(Timer::Lost(task)) => self.silent(task),
            Input::SkipWave { job, wave } => self.skip_wave(job, wave),
            Input::Due(Timer::Start(job)) => self.start_due(job),
            Input::Due(Timer::Finish(job)) => self.finish_due(job),
            Input::Release { job, release, tasks, last } => self.release_chunk(job, release, &tasks, last),
            Input::CancelSome { job, states } => self.cancel_some(job, states),
            Input::PauseJob(job) => self.pause_job(job),
            Input::ResumeJob(job) => self.resume_job(job),
            Input::ConfirmJob(job) => self.confirm_job(job),
            Input::ConfirmTask(task) => self.confirm_task(task),
            Input::Enrol { job, work, chunk } => self.enrol(job, work, &chunk),
            Input::Tasks { job, work, tasks, last } => self.work_on_tasks(job, work, &tasks, last),
            Input::CancelJob(job) => self.cancel_job(job),
            Input::CloseJob(job) => self.close_job(job),
            Input::ReviseJob { job, to } => self.revise_job(job, *to),
            Input::ReupgradeJob(job) => self.reupgrade_job(job),
            Input::CancelTask(task) => self.cancel_task(task),
            Input::ReupgradeTask(task) => self.reupgrade_task(task),
        }
    }

    /// The job of a task.
    pub(crate) fn job_of(&self, task: Id) -> Option<&Job> {
        self.rows.jobs.get(&self.rows.tasks.get(&task)?.job_id)
    }

    /// The product of a device.
    pub(crate) fn product_of(&self, device: Id) -> Option<&Product> {
        self.rows.products.get(&self.rows.devices.get(&device)?.product_id)
    }

    /// Whether `epoch` is the device's present connection.
    pub(crate) fn is_present(&self, device: Id, epoch: Epoch) -> bool {
        self.rows.sessions.get(&device).is_some_and(|s| s.epoch == epoch)
    }

    /// Whether a report came on the device's present connection; one that did not is not heard.
    pub(crate) fn hears(&mut self, device: Id, epoch: Epoch) -> bool {
        let present = self.is_present(device, epoch);
        if !present {
            self.out.dropped += 1;
            self.out.unheard.push(self.place);
        }
        present
    }

    /// The unfinished tasks of a device.
    pub(crate) fn unfinished(&self, device: Id) -> Vec<Id> {
        let open = |id: &Id| self.rows.tasks.get(id).is_some_and(|t| !t.state.is_terminal());
        self.tasks_of.get(&device).into_iter().flatten().copied().filter(open).collect()
    }

    /// The task of a device's module whose turn it is, if its job still runs.
    pub(crate) fn active_task(&self, device: Id, module: &str) -> Option<Id> {
        self.unfinished(device)
            .into_iter()
            .find(|id| self.rows.tasks.get(id).is_some_and(|t| t.module == module && self.rows.is_open(t)))
            .filter(|id| self.blocked_by(*id).is_none())
    }

    /// The last version reported of a task's module.
    pub(crate) fn version_of(&self, device: Id, module: &str) -> Option<&ModuleVersion> {
        self.rows.versions.get(&(device, String::from(module)))
    }

    pub(crate) fn task_mut(&mut self, id: Id) -> Option<&mut Task> {
        let task = self.rows.tasks.get_mut(&id)?;
        if let Some(gate) = self.rows.jobs.get(&task.job_id).and_then(|j| j.gate.as_ref()) {
            self.tallies.entry(id).or_insert_with(|| gate.tally(task));
        }
        if !self.dirty.tasks_new.contains(&id) {
            self.dirty.tasks.entry(id).or_insert_with(|| task.clone());
        }
        task.updated_at = self.now;
        Some(task)
    }

    pub(crate) fn job_mut(&mut self, id: Id) -> Option<&mut Job> {
        self.dirty.jobs.insert(id);
        self.rows.jobs.get_mut(&id)
    }

    pub(crate) fn device_mut(&mut self, id: Id) -> Option<&mut Device> {
        self.dirty.devices.insert(id);
        self.rows.devices.get_mut(&id)
    }

    pub(crate) fn put_session(&mut self, session: Session) {
        self.dirty.sessions.insert(session.device_id);
        self.rows.sessions.insert(session.device_id, session);
    }

    pub(crate) fn end_session(&mut self, device: Id, epoch: Epoch) {
        self.rows.sessions.remove(&device);
        self.out.sessions_ended.push((device, epoch));
    }

    pub(crate) fn put_version(&mut self, version: ModuleVersion) {
        let key = (version.device_id, version.module.clone());
        self.dirty.versions.insert(key.clone());
        self.rows.versions.insert(key, version);
    }

    pub(crate) fn add_task(&mut self, task: Task) {
        self.count(task.job_id, task.state, 1);
        self.tallies.insert(task.id, Tally::default());
        self.dirty.tasks_new.insert(task.id);
        self.tasks_of.entry(task.device_id).or_default().push(task.id);
        self.rows.tasks.insert(task.id, task);
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, at: Ms) {
        self.out.timers.insert(timer, Some(at));
    }

    pub(crate) fn clear_timer(&mut self, timer: Timer) {
        self.out.timers.insert(timer, None);
    }

    /// Whether a chunk read for `work` is still the next of its job.
    pub(crate) fn is_at(&self, job: Id, work: Work) -> bool {
        self.rows.jobs.get(&job).is_some_and(|j| j.work == Some(work))
    }

    pub(crate) fn set_work(&mut self, job: Id, work: Option<Work>) {
        let Some(row) = self.job_mut(job) else { return };
        row.work = work;
        match work {
            Some(_) => self.set_timer(Timer::Work(job), self.now),
            None => self.clear_timer(Timer::Work(job)),
        }
    }

    /// Keeps a job's counts, in the rows and in the changes.
    pub(crate) fn count(&mut self, job: Id, state: TaskState, n: i64) {
        if let Some(row) = self.rows.jobs.get_mut(&job) {
            row.counts.add(state, n);
        }
        *self.out.counts.entry((job, state)).or_default() += n;
    }

    pub(crate) fn set_package_state(&mut self, package: Id, state: PackageState) {
        let Some(row) = self.rows.packages.get_mut(&package) else { return };
        if row.state == state {
            return;
        }
        row.state = state;
        let product_id = row.product_id;
        self.dirty.packages.insert(package);
        let kind = EventKind::PackageState { package, state };
        self.out.events.push(Event {
            at: self.now,
            product_id,
            device_id: None,
            job_id: None,
            task_id: None,
            kind,
        });
    }

    pub(crate) fn device_event(&mut self, device: Id, kind: EventKind) {
        let Some(row) = self.rows.devices.get(&device) else { return };
        let (product_id, device_id) = (row.product_id, Some(device));
        self.out.events.push(Event {
            at: self.now,
            product_id,
            device_id,
            job_id: None,
            task_id: None,
            kind,
        });
    }

    pub(crate) fn job_event(&mut self, job: Id, kind: EventKind) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let (product_id, job_id) = (row.product_id, Some(job));
        self.out.events.push(Event {
            at: self.now,
            product_id,
            device_id: None,
            job_id,
            task_id: None,
            kind,
        });
    }

    pub(crate) fn task_event(&mut self, task: Id, kind: EventKind) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        self.out.events.push(Event {
            at: self.now,
            product_id: row.product_id,
            device_id: Some(row.device_id),
            job_id: Some(row.job_id),
            task_id: Some(task),
            kind,
        });
    }

    fn finish(self) -> Changes {
        let Self { mut rows, mut out, dirty, .. } = self;
        out.tasks_new = dirty.tasks_new.iter().filter_map(|id| rows.tasks.remove(id)).collect();
        out.tasks = dirty.tasks.keys().filter_map(|id| rows.tasks.remove(id)).collect();
        out.tasks_before = dirty.tasks;
        out.devices = dirty.devices.iter().filter_map(|id| rows.devices.get(id)).cloned().collect();
        out.sessions = dirty.sessions.iter().filter_map(|id| rows.sessions.get(id)).cloned().collect();
        out.versions = dirty.versions.iter().filter_map(|key| rows.versions.get(key)).cloned().collect();
        out.jobs = dirty.jobs.iter().filter_map(|id| rows.jobs.get(id)).cloned().collect();
        out.packages = dirty.packages.iter().filter_map(|id| rows.packages.get(id)).cloned().collect();
        out.counts.retain(|_, n| *n != 0);
        out
    }
}
