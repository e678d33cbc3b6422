//! When a job lets its tasks go: its schedule, its approvals, and an operator who holds it.

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Hold, Id, Job, JobState, Ms, Reason, Release, Task, TaskState, Timer, Work};

impl Job {
    /// How long it has been held until now, all holds together.
    pub(crate) fn held_for(&self, now: Ms) -> Ms {
        self.held_ms + self.held_at.map_or(0, |at| now - at)
    }

    /// Whether its scheduled end has come.
    pub fn is_over(&self, now: Ms) -> bool {
        self.terms.end_at.is_some_and(|end| end <= now)
    }

    /// Whether it may begin with devices now.
    pub(crate) fn speaks(&self, now: Ms) -> bool {
        self.runs() && !self.is_over(now)
    }

    fn runs(&self) -> bool {
        self.state == JobState::InProgress && self.hold.is_none()
    }

    /// Whether the device of a task of it is told anything now: after the scheduled end only who has begun, so that
    /// it can finish.
    fn speaks_of(&self, task: &Task, now: Ms) -> bool {
        self.runs() && (task.has_begun() || !self.is_over(now)) && Decider::is_wave_open(self, task.wave)
    }
}

impl Decider<'_> {
    /// Whether a task's device may be told of it now.
    pub(crate) fn may_tell(&self, task: Id) -> bool {
        let Some(row) = self.rows.tasks.get(&task) else { return false };
        !row.state.is_terminal()
            && row.state != TaskState::Confirm
            && row.retry_at.is_none()
            && self.rows.suits(row)
            && self.job_of(task).is_some_and(|job| job.speaks_of(row, self.now))
            && self.blocked_by(task).is_none()
    }

    pub(crate) fn start_due(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| j.state == JobState::Planned) else { return };
        let at = row.terms.start_at.unwrap_or(self.now);
        if at > self.now {
            self.set_timer(Timer::Start(job), at);
            return;
        }
        self.move_job(job, JobState::InProgress);
        self.wait_anew(job);
        self.touched.insert(job);
        self.release(job);
        self.complete_if_done(job);
    }

    /// The scheduled end: what has not begun is cancelled in chunks, what has begun finishes, unless
    /// the terms say otherwise.
    pub(crate) fn finish_due(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let Some(end) = row.terms.end_at.filter(|_| row.state == JobState::InProgress) else { return };
        if end > self.now {
            self.set_timer(Timer::Finish(job), end);
            return;
        }
        self.set_work(job, Some(Work::Finish { cursor: 0 }));
    }

    /// Cancels a task whose job's end has come.
    pub(crate) fn finish_task(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task).filter(|t| !t.state.is_terminal()) else { return };
        let end_running = self.rows.jobs.get(&row.job_id).is_some_and(|j| j.terms.end_running);
        if end_running || !row.has_begun() {
            self.end_task(task, TaskState::Canceled, Reason::ScheduleEnded);
        }
    }

    /// From this moment nothing of the job is pushed or answered; running downloads go on.
    pub(crate) fn pause_job(&mut self, job: Id) {
        if self.rows.jobs.get(&job).is_some_and(|j| j.state == JobState::InProgress && j.hold.is_none()) {
            self.hold(job, Hold::Paused);
        }
    }

    pub(crate) fn hold(&mut self, job: Id, hold: Hold) {
        let now = self.now;
        if let Some(row) = self.job_mut(job) {
            row.hold = Some(hold);
            row.held_at = Some(now);
        }
        self.job_event(job, EventKind::JobHeld { hold });
    }

    pub(crate) fn resume_job(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| j.state == JobState::InProgress) else { return };
        let Some(hold) = row.hold else { return };
        let now = self.now;
        if let Some(row) = self.job_mut(job) {
            row.hold = None;
            row.held_ms = row.held_for(now);
            row.held_at = None;
        }
        self.job_event(job, EventKind::JobResumed);
        match hold {
            Hold::Halted { .. } => self.forgive(job),
            Hold::Paused => self.wait_anew(job),
        }
        self.release(job);
    }

    /// Lets the tasks of a job go, in chunks: those that waited for the job are offered.
    pub(crate) fn release(&mut self, job: Id) {
        self.set_release(job, Release::All { cursor: 0 });
    }

    /// Lets the tasks of a wave go that has opened, after those that are being let go.
    pub(crate) fn release_wave(&mut self, job: Id, wave: i32) {
        let under_way = self.rows.jobs.get(&job).and_then(|j| j.release);
        let release = match under_way {
            None => Release::Waves { at: wave, upto: wave, cursor: 0 },
            Some(Release::Waves { at, cursor, .. }) => Release::Waves { at, upto: wave, cursor },
            Some(Release::All { .. }) => Release::All { cursor: 0 },
        };
        self.set_release(job, release);
    }

    fn set_release(&mut self, job: Id, release: Release) {
        if let Some(row) = self.job_mut(job) {
            row.release = Some(release);
        }
        self.set_timer(Timer::Release(job), self.now);
    }

    /// A chunk of a job's release.
    pub(crate) fn release_chunk(&mut self, job: Id, release: Release, tasks: &[Id], last: bool) {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| j.release == Some(release)) else { return };
        let speaks = row.speaks(self.now);
        for task in tasks {
            self.rearm(*task);
            if speaks {
                self.resume_if_here(*task);
            }
            self.offer_when_due(*task);
        }
        if !last {
            self.set_release(job, self.after(release, tasks));
            return;
        }
        if let Some(row) = self.job_mut(job) {
            row.release = None;
        }
        self.clear_timer(Timer::Release(job));
    }

    /// A release once a chunk of it is done.
    fn after(&self, release: Release, tasks: &[Id]) -> Release {
        let Some(last) = tasks.last().and_then(|id| self.rows.tasks.get(id)) else { return release };
        match release {
            Release::All { .. } => Release::All { cursor: last.id },
            Release::Waves { upto, .. } => Release::Waves { at: last.wave, upto, cursor: last.id },
        }
    }

    /// The clock of a task that ran out while its job was held runs again, if its device is here.
    fn resume_if_here(&mut self, task: Id) {
        let here = |task: &Task| self.rows.sessions.contains_key(&task.device_id);
        if self.rows.tasks.get(&task).is_some_and(here) {
            self.resume_clock(task);
        }
    }

    /// An operator lets a task go: within the schedule of its job, if that has one.
    pub(crate) fn confirm_task(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task).filter(|t| t.state == TaskState::Confirm) else { return };
        let runs = |job: &Job| job.state == JobState::InProgress && !job.is_over(self.now);
        if !self.rows.jobs.get(&row.job_id).is_some_and(runs) {
            return;
        }
        if let Some(row) = self.task_mut(task) {
            row.approved = true;
        }
        self.move_task(task, TaskState::Queued, None);
        self.offer_when_due(task);
    }

    /// An operator lets every task of a job go.
    pub(crate) fn confirm_job(&mut self, job: Id) {
        let now = self.now;
        let runs = |j: &Job| j.state == JobState::InProgress && j.work.is_none() && !j.is_over(now);
        if self.rows.jobs.get(&job).is_some_and(runs) {
            self.set_work(job, Some(Work::Confirm { cursor: 0 }));
        }
    }
}
