//! What must hold after every batch, whatever it held.

use std::collections::{BTreeMap, BTreeSet};

use otaru_rollout::*;

use crate::tables::Tables;
use crate::world::World;

/// What the watch remembers from batch to batch.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    /// Where the events say each task is.
    told_states: BTreeMap<Id, TaskState>,
    /// Pushes by task, attempt and connection.
    pushed: BTreeMap<(Id, i32, Epoch), u32>,
    /// Every version that a device's module ever had.
    reported: BTreeSet<(Id, String, String)>,
    /// When each job pushed, and at which rate.
    push_times: BTreeMap<Id, Vec<(Ms, i64)>>,
    /// When files were offered, for each budget: a job's, or the server's.
    offer_times: BTreeMap<Option<Id>, Vec<Ms>>,
}

impl Watch {
    pub(crate) fn check(&mut self, inputs: &[Input], changes: &Changes, before: &Tables, world: &World) {
        let after = &world.tables;
        counts_are_a_recount(after);
        waves_are_a_recount(after);
        one_at_a_time(after);
        policies_take_whom_they_are_for(inputs, changes, world);
        ended_tasks_stay_ended(inputs, before, after);
        self.events_tell_every_task_state(changes, after);
        events_tell_jobs_packages_and_versions(changes, before, after);
        events_tell_presence(changes, before, after);
        events_tell_rivalry(changes, before, after);
        who_shares_an_identity_is_not_pushed_to(changes, before, after);
        nobody_is_told_of_a_file_for_another_version(inputs, changes, before, world);
        self.success_is_a_report(changes, after);
        self.notices_reach_a_live_connection_once(inputs, changes, before, after);
        self.no_minute_sees_more_than_the_rate(changes, world);
        self.no_time_sees_more_than_its_bytes(inputs, changes, before, world);
        nobody_is_told_outside_the_windows(inputs, changes, world);
        events_tell_what_was_changed(changes, before, after);
        what_is_held_starts_nobody(inputs, changes, before, world);
        pushes_respect_the_slots(inputs, changes, before, world);
    }

    fn events_tell_every_task_state(&mut self, changes: &Changes, after: &Tables) {
        for event in &changes.events {
            let Some(task) = event.task_id else { continue };
            match &event.kind {
                EventKind::TaskCreated => {
                    let approve = after.jobs[&after.tasks[&task].job_id].terms.need_confirm;
                    let state = if approve { TaskState::Confirm } else { TaskState::Queued };
                    self.told_states.insert(task, state);
                }
                EventKind::TaskState { from, to, reason } => {
                    assert!(leads_to(*from, *to), "{from:?} does not lead to {to:?}");
                    assert_eq!(reason.is_some(), to.is_terminal(), "a reason is why a task ended");
                    assert_eq!(self.told_states.insert(task, *to), Some(*from), "events are a chain");
                }
                _ => {}
            }
        }
        for task in after.tasks.values() {
            assert_eq!(self.told_states.get(&task.id), Some(&task.state), "events tell where a task is");
        }
    }

    fn success_is_a_report(&mut self, changes: &Changes, after: &Tables) {
        for event in &changes.events {
            if let EventKind::VersionChanged { module, version, .. } = &event.kind {
                self.reported.insert((event.device_id.unwrap(), module.clone(), version.clone()));
            }
        }
        for task in after.tasks.values().filter(|t| t.state == TaskState::Succeeded) {
            let target = (task.device_id, task.module.clone(), task.dest_version.clone());
            assert!(self.reported.contains(&target), "{task:?} succeeded without a report");
        }
    }

    fn notices_reach_a_live_connection_once(
        &mut self,
        inputs: &[Input],
        changes: &Changes,
        before: &Tables,
        after: &Tables,
    ) {
        for out in &changes.outbound {
            let to = match out {
                Outbound::Notice { to, offer } => {
                    // A task started again in this batch may have been pushed in either attempt.
                    let attempt = after.tasks[&offer.task].attempt;
                    let pushes = self.pushed.entry((offer.task, attempt, to.1)).or_default();
                    *pushes += 1;
                    // Once, and once more when the connection's first report is corrected.
                    assert!(*pushes <= 2, "{offer:?} pushed {pushes} times");
                    to
                }
                Outbound::Answer { to, .. } => to,
                Outbound::Revoke { .. } | Outbound::Close { .. } => continue,
            };
            assert!(lived(*to, inputs, before), "{to:?} was never this device's connection");
            assert!(after.sessions.get(&to.0).is_none_or(|s| s.epoch >= to.1 || inputs.len() > 1));
        }
    }

    fn no_minute_sees_more_than_the_rate(&mut self, changes: &Changes, world: &World) {
        for out in &changes.outbound {
            let Outbound::Notice { offer, .. } = out else { continue };
            let job = &world.tables.jobs[&world.tables.tasks[&offer.task].job_id];
            let times = self.push_times.entry(job.id).or_default();
            times.push((world.now, job.rate_per_minute));
            let in_minute = || times.iter().filter(|(at, _)| *at > world.now - 60_000);
            let (minute, fastest) = (in_minute().count() as i64, in_minute().map(|(_, rate)| *rate).max());
            assert!(Some(minute) <= fastest, "{minute} pushes in a minute");
            let same = in_minute().rev().take_while(|(_, rate)| *rate == job.rate_per_minute).count() as i64;
            assert!(same <= job.rate_per_minute, "{same} pushes in a minute since the rate was changed");
        }
    }

    /// A file is offered to a device that holds no download slot; all files of a world have the same size.
    fn no_time_sees_more_than_its_bytes(
        &mut self,
        inputs: &[Input],
        changes: &Changes,
        before: &Tables,
        world: &World,
    ) {
        let offered: BTreeSet<Id> = offers(changes).map(|offer| offer.task).collect();
        let held_slot =
            |task: &Id| before.tasks.get(task).is_some_and(|t| t.slot_until.is_some_and(|at| at > world.now));
        // A device that begins by itself takes a slot, and in the same batch may be offered what it loads already.
        let begins = |task: &Id| {
            let of = world.tables.tasks[task].device_id;
            inputs.iter().any(|i| matches!(i, Input::Progressed { device, .. } if *device == of))
        };
        for task in offered.iter().filter(|task| !held_slot(task) && !begins(task)) {
            let job = &world.tables.jobs[&world.tables.tasks[task].job_id];
            if revised(inputs, job.id) {
                // Offered by the old budget or the new one.
                continue;
            }
            let size = world.tables.packages[&job.package_id].size;
            let budgets = [(Some(job.id), job.terms.kbit_per_second), (None, world.limits.kbit_per_second)];
            for (whose, kbit) in budgets.into_iter().filter_map(|(whose, kbit)| Some((whose, kbit?))) {
                let times = self.offer_times.entry(whose).or_default();
                times.push(world.now);
                for (n, start) in (1..).zip(times.iter().rev()) {
                    let allowed = (world.now - start) * kbit / 8 + size.max(kbit * 100 / 8);
                    assert!(n * size <= allowed, "{n} files in {} ms", world.now - start);
                }
            }
        }
        let changed = |whose: &Option<Id>| whose.is_some_and(|job| revised(inputs, job));
        self.offer_times.retain(|whose, _| !changed(whose));
    }
}

/// A difference goes only to who reported its source last, and a job that names versions tells only those who report
/// one of them or what they came from.
fn nobody_is_told_of_a_file_for_another_version(
    inputs: &[Input],
    changes: &Changes,
    before: &Tables,
    world: &World,
) {
    for offer in offers(changes) {
        let task = &world.tables.tasks[&offer.task];
        let job = &world.tables.jobs[&task.job_id];
        if revised(inputs, job.id) {
            continue;
        }
        let said = |input: &Input| match input {
            Input::Reported { device, module, version, .. } => {
                (*device == task.device_id && *module == task.module).then(|| version.clone())
            }
            _ => None,
        };
        let key = (task.device_id, task.module.clone());
        let mut lately: Vec<Option<String>> = inputs.iter().filter_map(said).map(Some).collect();
        lately.push(before.versions.get(&key).map(|v| v.version.clone()));
        let suits = |last: &Option<String>| {
            let listed = job.terms.takes_source(last.as_deref()) || *last == task.src_version;
            offer.package.src_version.as_ref().is_none_or(|from| last.as_ref() == Some(from)) && listed
        };
        assert!(lately.iter().any(suits), "told of a file for another version: {offer:?} of {task:?}");
    }
}

fn revised(inputs: &[Input], of: Id) -> bool {
    inputs.iter().any(|input| matches!(input, Input::ReviseJob { job, .. } if *job == of))
}

fn offers(changes: &Changes) -> impl Iterator<Item = &Offer> {
    changes.outbound.iter().filter_map(|out| match out {
        Outbound::Notice { offer, .. } | Outbound::Answer { offer: Some(offer), .. } => Some(offer),
        _ => None,
    })
}

/// By a clock on the wall where the device is.
fn nobody_is_told_outside_the_windows(inputs: &[Input], changes: &Changes, world: &World) {
    for offer in offers(changes) {
        let task = &world.tables.tasks[&offer.task];
        if revised(inputs, task.job_id) {
            continue;
        }
        let windows = &world.tables.jobs[&task.job_id].terms.windows;
        let zone = world.tables.zone_of(task.device_id);
        let ahead = zone.0.iter().rfind(|(from, _)| *from <= world.now).map_or(0, |(_, ahead)| *ahead);
        let minute = (world.now + ahead).div_euclid(60_000);
        let (of_day, day) = (minute.rem_euclid(1_440), (minute.div_euclid(1_440) + 3).rem_euclid(7));
        let on = |window: &Window, day: i64| window.days & (1 << day.rem_euclid(7)) != 0;
        let open = |window: &Window| {
            let (from, to) = (i64::from(window.from), i64::from(window.to));
            let begun = on(window, day) && from <= of_day && (of_day < to || to <= from);
            begun || (to <= from && on(window, day - 1) && of_day < to)
        };
        assert!(windows.is_empty() || windows.iter().any(open), "told outside its windows: {offer:?}");
    }
}

/// Held before and after a batch and not resumed in it, or not started, a job tells no device anything.
fn what_is_held_starts_nobody(inputs: &[Input], changes: &Changes, before: &Tables, world: &World) {
    for out in &changes.outbound {
        let offer = match out {
            Outbound::Notice { offer, .. } | Outbound::Answer { offer: Some(offer), .. } => offer,
            _ => continue,
        };
        let task = &world.tables.tasks[&offer.task];
        let job = &world.tables.jobs[&task.job_id];
        let silent = |j: &Job| j.hold.is_some() || j.state == JobState::Planned;
        let resumed = inputs.contains(&Input::ResumeJob(job.id));
        assert!(!silent(&before.jobs[&job.id]) || !silent(job) || resumed, "told of a held job: {offer:?}");
        // Who has begun before it, also in this batch, is told until it has finished.
        let begun =
            task.heard_at.is_some() || before.tasks.get(&offer.task).is_some_and(|t| t.heard_at.is_some());
        let over = job.terms.end_at.is_some_and(|end| end <= world.now);
        assert!(!over || begun, "told after the end: {offer:?}");
        assert!(task.approved, "told without approval: {offer:?}");
        assert!(job.gate.as_ref().is_none_or(|g| task.wave <= g.wave), "told before its wave: {offer:?}");
    }
}

fn leads_to(from: TaskState, to: TaskState) -> bool {
    use TaskState::*;
    match from {
        Confirm => to == Queued || to.is_terminal(),
        Queued => !matches!(to, Confirm | Queued),
        Notified => !matches!(to, Confirm | Queued | Notified),
        InProgress => to == Queued || to.is_terminal(),
        Succeeded => false,
        Failed | Canceled => to == Queued,
    }
}

/// Whether a connection was there at the start of a batch or began in it.
fn lived(to: (Id, Epoch), inputs: &[Input], before: &Tables) -> bool {
    let began =
        inputs.iter().any(|i| matches!(i, Input::Connected { device, epoch } if (*device, *epoch) == to));
    began || before.sessions.get(&to.0).is_some_and(|s| s.epoch == to.1)
}

pub(crate) fn counts_are_a_recount(after: &Tables) {
    for job in after.jobs.values() {
        for state in TaskState::ALL {
            let there = after.tasks.values().filter(|t| t.job_id == job.id && t.state == state).count();
            assert_eq!(job.counts.get(state), there as i64, "{state:?} tasks of job {}", job.id);
        }
    }
}

fn prevented(task: &Task) -> bool {
    matches!(task.reason, Some(Reason::Conflict { .. } | Reason::SourceExcluded { .. }))
}

fn waves_are_a_recount(after: &Tables) {
    for job in after.jobs.values() {
        let Some(gate) = &job.gate else { continue };
        let of_job: Vec<&Task> = after.tasks.values().filter(|t| t.job_id == job.id).collect();
        for (wave, counts) in (0..).zip(&gate.waves) {
            let count = |wanted: &dyn Fn(&Task) -> bool| {
                of_job.iter().filter(|t| t.wave == wave && wanted(t)).count() as i64
            };
            let found = WaveCounts {
                total: count(&|_| true),
                succeeded: count(&|t| t.state == TaskState::Succeeded),
                untold: count(&|t| t.state == TaskState::Succeeded && t.offered_in.is_none()),
                failed: count(&|t| t.state == TaskState::Failed),
                prevented: count(&|t| t.state == TaskState::Failed && prevented(t)),
                canceled: count(&|t| t.state == TaskState::Canceled),
                lost: count(&|t| t.is_lost()),
                retrying: count(&|t| !t.state.is_terminal() && !t.is_lost() && t.failed_in.is_some()),
                told: count(&|t| {
                    let told = t.offered_in == Some(gate.round);
                    told && !t.state.is_terminal() && !t.is_lost() && t.failed_in.is_none()
                }),
                forgiven: count(&|t| fails_since(t).is_some_and(|round| round < gate.round)),
            };
            assert_eq!(*counts, found, "wave {wave} of job {}", job.id);
        }
        let count = |wanted: &dyn Fn(&Task) -> bool| of_job.iter().filter(|t| wanted(t)).count() as i64;
        let (offered, failed) =
            (count(&|t| t.offered_in == Some(gate.round)), count(&|t| fails_since(t) == Some(gate.round)));
        assert_eq!((gate.offered, gate.failed), (offered, failed), "job {}", job.id);
    }
}

/// Since which round of its job's gate a task counts as failed.
fn fails_since(task: &Task) -> Option<i32> {
    match task.state {
        TaskState::Succeeded | TaskState::Canceled => None,
        TaskState::Failed if prevented(task) => None,
        TaskState::Failed => task.failed_in,
        _ if task.is_lost() => task.lost_in,
        _ => task.failed_in,
    }
}

/// Two tasks in each other's way are never both told, unless one only waits to be cancelled.
fn one_at_a_time(after: &Tables) {
    let runs = |t: &Task| after.jobs[&t.job_id].state != JobState::Canceled;
    let told = |t: &&Task| runs(t) && matches!(t.state, TaskState::Notified | TaskState::InProgress);
    let told: Vec<&Task> = after.tasks.values().filter(told).collect();
    let multi = |t: &Task| after.jobs[&t.job_id].terms.multi_module;
    for (n, a) in told.iter().enumerate() {
        let mut others = told[n + 1..].iter().filter(|b| b.device_id == a.device_id);
        let rival = others.find(|b| a.module == b.module || !(multi(a) && multi(b)));
        assert!(rival.is_none(), "{a:?} and {rival:?} run at once");
    }
}

/// A policy makes at most ten tasks for a device, one after the other, and only for one it means.
fn policies_take_whom_they_are_for(inputs: &[Input], changes: &Changes, world: &World) {
    let after = &world.tables;
    for task in &changes.tasks_new {
        let job = &after.jobs[&task.job_id];
        if job.kind != JobKind::Dynamic {
            continue;
        }
        let of_device = |t: &&Task| t.job_id == job.id && t.device_id == task.device_id;
        let all = || after.tasks.values().filter(of_device);
        let meant =
            after.meaning(job.id).is_none_or(|filter| after.means(&filter, task.device_id, world.now));
        // Of several inputs a later one may have changed what is meant.
        assert!(meant || inputs.len() > 1, "{task:?} is for a device that its job does not mean");
        assert!(all().count() <= 10, "{task:?} is one too many");
        assert!(all().filter(|t| !t.state.is_terminal()).count() <= 1, "{task:?} beside another one");
    }
}

fn ended_tasks_stay_ended(inputs: &[Input], before: &Tables, after: &Tables) {
    let restarted = inputs.iter().any(|i| matches!(i, Input::ReupgradeTask(_) | Input::Tasks { .. }));
    for old in before.tasks.values().filter(|t| t.state.is_terminal()) {
        let new = &after.tasks[&old.id];
        if new != old {
            assert!(
                restarted && new.attempt > old.attempt && new.tries == 1,
                "an ended task moved: {old:?} to {new:?}"
            );
            assert_ne!(old.state, TaskState::Succeeded);
        }
    }
}

fn events_tell_jobs_packages_and_versions(changes: &Changes, before: &Tables, after: &Tables) {
    let told = |wanted: EventKind| changes.events.iter().any(|e| e.kind == wanted);
    for job in after.jobs.values() {
        if before.jobs[&job.id].state != job.state {
            assert!(told(EventKind::JobState { state: job.state }));
        }
        assert_eq!(job.ended_at.is_some(), matches!(job.state, JobState::Completed | JobState::Canceled));
    }
    for package in after.packages.values() {
        if before.packages[&package.id].state != package.state {
            assert!(told(EventKind::PackageState { package: package.id, state: package.state }));
        }
    }
    for (key, row) in &after.versions {
        let changed = before.versions.get(key).is_none_or(|old| old.version != row.version);
        let of_row = |e: &Event| {
            matches!(&e.kind, EventKind::VersionChanged { module, version, .. }
                if *module == key.1 && *version == row.version)
        };
        assert!(!changed || changes.events.iter().any(of_row));
    }
}

fn events_tell_what_was_changed(changes: &Changes, before: &Tables, after: &Tables) {
    for (id, job) in &after.jobs {
        let old = &before.jobs[id];
        let settled = |job: &Job| (job.scope.clone(), job.timeout_ms, job.rate_per_minute, job.terms.clone());
        let of_job = |e: &Event| e.job_id == Some(*id) && matches!(e.kind, EventKind::JobChanged { .. });
        assert!(settled(old) == settled(job) || changes.events.iter().any(of_job), "{job:?}");
    }
}

fn events_tell_presence(changes: &Changes, before: &Tables, after: &Tables) {
    for device in after.devices.keys() {
        let of_device = || changes.events.iter().filter(|e| e.device_id == Some(*device));
        let came = of_device().filter(|e| matches!(e.kind, EventKind::DeviceConnected { .. })).count() as i64;
        let went = of_device().filter(|e| e.kind == EventKind::DeviceDisconnected).count() as i64;
        let was = i64::from(before.sessions.contains_key(device));
        assert_eq!(was + came - went, i64::from(after.sessions.contains_key(device)));
    }
}

fn events_tell_rivalry(changes: &Changes, before: &Tables, after: &Tables) {
    for (id, device) in &after.devices {
        let of_device = || changes.events.iter().filter(|e| e.device_id == Some(*id));
        let began = of_device().filter(|e| matches!(e.kind, EventKind::IdentityShared { .. })).count() as i64;
        let ended = of_device().filter(|e| e.kind == EventKind::IdentitySettled).count() as i64;
        let was = i64::from(before.devices[id].shared_since().is_some());
        assert_eq!(was + began - ended, i64::from(device.shared_since().is_some()));
    }
}

fn who_shares_an_identity_is_not_pushed_to(changes: &Changes, before: &Tables, after: &Tables) {
    for out in &changes.outbound {
        let Outbound::Notice { to: (device, _), .. } = out else { continue };
        let is_shared = |tables: &Tables| tables.devices[device].shared_since().is_some();
        assert!(!is_shared(before) || !is_shared(after), "{out:?}");
    }
}

/// No push takes a slot beyond the cap; answers and progress may, for they come unasked.
fn pushes_respect_the_slots(inputs: &[Input], changes: &Changes, before: &Tables, world: &World) {
    let pushes = changes.outbound.iter().filter(|out| matches!(out, Outbound::Notice { .. })).count() as i64;
    let unasked = inputs.iter().filter(|i| matches!(i, Input::Asked { .. } | Input::Progressed { .. }));
    let free = world.limits.downloads - before.slots_used(world.now);
    let freed_at_most = inputs.len() as i64 - 1;
    assert!(pushes <= (free + freed_at_most).max(0), "{pushes} pushes into {free} slots");
    if pushes > 0 {
        let used = world.tables.slots_used(world.now);
        assert!(used <= world.limits.downloads + unasked.count() as i64, "{used} slots");
    }
}

/// Holds whenever no claimed timer is still to be decided.
pub(crate) fn what_waits_has_a_timer(after: &Tables) {
    for task in after.tasks.values() {
        assert!(task.ready_at.is_none() || after.timers.contains_key(&Timer::Push(task.job_id)), "{task:?}");
        assert!(task.retry_at.is_none() || after.timers.contains_key(&Timer::Retry(task.id)), "{task:?}");
        let job = &after.jobs[&task.job_id];
        if task.state == TaskState::InProgress && job.hold.is_none() && job.release.is_none() {
            let watched = job.timeout_ms.is_none() || after.timers.contains_key(&Timer::Timeout(task.id));
            assert!(watched, "its timeout never passes: {task:?}");
        }
        if matches!(task.start_clock, Some(StartClock::By(_))) {
            assert!(after.timers.contains_key(&Timer::Unstarted(task.id)), "{task:?}");
            assert!(after.sessions.contains_key(&task.device_id), "only connected time counts: {task:?}");
        }
        if task.state.is_terminal() {
            assert_eq!((task.ready_at, task.slot_until), (None, None));
            let left = [Timer::Timeout, Timer::Settle, Timer::Retry, Timer::Unstarted, Timer::Lost]
                .map(|timer| timer(task.id));
            assert!(!left.iter().any(|timer| after.timers.contains_key(timer)), "{left:?}");
        }
    }
    for job in after.jobs.values().filter(|j| j.release.is_some()) {
        assert!(after.timers.contains_key(&Timer::Release(job.id)), "the release of job {} stalls", job.id);
    }
    for device in after.devices.values().filter(|d| d.shared_since().is_some()) {
        assert!(after.timers.contains_key(&Timer::Quiet(device.id)), "{device:?} is never pushed to again");
    }
    for job in after.jobs.values().filter(|j| j.work.is_some()) {
        assert!(after.timers.contains_key(&Timer::Work(job.id)), "the work of job {} stalls", job.id);
    }
}
