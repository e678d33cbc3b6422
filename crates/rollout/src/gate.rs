//! Waves and gates: when a job goes on to more devices, and when it halts by itself.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Halt, Hold, Id, Job, Ms, Reason, Task, TaskState, Timer};
use crate::terms::{FailureLimits, Share, Terms, Wave};

/// A hundred per cent in thousandths.
const WHOLE: i64 = 100_000;
/// Both error rates of the sequential test.
const ERROR_RATE: f64 = 0.05;

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The last wave that is open, from 0.
    pub wave: i32,
    /// Since when; the longest wait counts from here, anew after a resume.
    pub opened_at: Ms,
    /// When it had enough successes.
    pub enough_at: Option<Ms>,
    /// Its tasks by wave.
    pub waves: Vec<WaveCounts>,
    /// How often the job was resumed after a halt. What was told or had failed in an earlier round counts no more.
    #[serde(default)]
    pub round: i32,
    /// Devices told in this round.
    pub offered: i64,
    /// Devices told that have succeeded in this round.
    pub succeeded: i64,
    /// Devices that count as failed since this round.
    pub failed: i64,
    /// Tasks of the open wave that had ended at the last resume, if that was in this wave.
    #[serde(default)]
    pub ended_before: i64,
    /// The waves whose gate an operator did not wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<i32>,
}

/// The tasks of one wave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WaveCounts {
    /// All of them.
    pub total: i64,
    /// Those that succeeded.
    pub succeeded: i64,
    /// Of those that succeeded, the ones whose devices were never told.
    pub untold: i64,
    /// Those that failed.
    pub failed: i64,
    /// Of those that failed, the ones that another job or its filter prevented.
    pub prevented: i64,
    /// Those that were cancelled.
    pub canceled: i64,
    /// Those that began and are silent.
    pub lost: i64,
    /// Those whose last attempt failed and that have another, but for the lost ones.
    pub retrying: i64,
    /// Those told in this round that have not ended and do not count as failed.
    pub told: i64,
    /// Of those that count as failed, the ones that do so since an earlier round.
    pub forgiven: i64,
}

impl WaveCounts {
    fn ended(&self) -> i64 {
        self.succeeded + self.failed + self.canceled
    }

    fn unfinished(&self) -> i64 {
        self.total - self.ended()
    }

    /// Failures of the package, whenever they were; who is lost or tries again counts as one.
    fn failures(&self) -> i64 {
        self.failed - self.prevented + self.lost + self.retrying
    }

    fn add(&mut self, other: &Self, n: i64) {
        self.total += n * other.total;
        self.succeeded += n * other.succeeded;
        self.untold += n * other.untold;
        self.failed += n * other.failed;
        self.prevented += n * other.prevented;
        self.canceled += n * other.canceled;
        self.lost += n * other.lost;
        self.retrying += n * other.retrying;
        self.told += n * other.told;
        self.forgiven += n * other.forgiven;
    }
}

/// What one task is in the counts of its job's gate.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    wave: i32,
    in_wave: WaveCounts,
    offered: i64,
    succeeded: i64,
    failed: i64,
}

impl Task {
    /// Whether its device has begun and is silent for long.
    pub fn is_lost(&self) -> bool {
        self.lost_in.is_some()
    }

    /// Since which round of its job's gate it counts as failed, if it does. An attempt that failed counts until the
    /// device succeeds, or an operator lets it start again.
    fn fails_since(&self) -> Option<i32> {
        match self.state {
            TaskState::Succeeded | TaskState::Canceled => None,
            TaskState::Failed => self.failed_in.filter(|_| !self.is_prevented()),
            _ => self.lost_in.or(self.failed_in),
        }
    }

    fn is_prevented(&self) -> bool {
        self.reason.as_ref().is_some_and(Reason::prevents)
    }
}

/// What a wave is asked for, and what has come of it. It leaves out who was cancelled or prevented, who succeeded
/// without being told, and what had failed at the last resume.
#[derive(Clone, Copy)]
struct WaveResult {
    total: i64,
    needed: i64,
    succeeded: i64,
    failed: i64,
    /// Told in this round, and nothing came of it yet.
    told: i64,
}

impl WaveResult {
    fn is_enough(self) -> bool {
        self.succeeded >= self.needed
    }

    /// Whether somebody succeeded, and of those that were told no smaller part than the wave needs of all. Who was
    /// told and is silent may be broken: an update that bricks a device has no time to say so.
    fn goes_well(self) -> bool {
        let told = self.succeeded + self.failed + self.told;
        self.succeeded > 0 && self.succeeded * self.total >= self.needed * told
    }

    fn halt(self, wave: i32, terms: &Terms) -> Halt {
        let Self { total, needed, succeeded, failed, .. } = self;
        match terms.max_wait_ms {
            Some(wait) if succeeded + failed == 0 && total > 0 => {
                Halt::WaveStalled { wave, minutes: wait / 60_000 }
            }
            _ => Halt::WaveFailed { wave, succeeded, ended: succeeded + failed, needed, total },
        }
    }
}

/// What becomes of an open wave.
enum Next {
    Opens,
    Halts(Halt),
    /// Until it is looked at again, if time alone can change anything.
    Waits(Option<Ms>),
}

impl Gate {
    /// The gate of a job that is just being made. One without waves and limits only counts: all its tasks are one wave.
    pub fn of(terms: &Terms, now: Ms) -> Self {
        Self {
            wave: 0,
            opened_at: terms.start_at.unwrap_or(now),
            enough_at: None,
            waves: (0..terms.count_waves().max(1)).map(|_| WaveCounts::default()).collect(),
            round: 0,
            offered: 0,
            succeeded: 0,
            failed: 0,
            ended_before: 0,
            skipped: Vec::new(),
        }
    }

    pub(crate) fn tally(&self, task: &Task) -> Tally {
        let is = |state| i64::from(task.state == state);
        let (succeeded, failed) = (is(TaskState::Succeeded), is(TaskState::Failed));
        let told = i64::from(task.offered_in.is_some());
        let told_now = task.offered_in == Some(self.round);
        let lost = i64::from(task.is_lost());
        let since = task.fails_since();
        let retrying = !task.state.is_terminal() && task.failed_in.is_some() && !task.is_lost();
        Tally {
            wave: task.wave,
            in_wave: WaveCounts {
                total: 1,
                succeeded,
                untold: succeeded * (1 - told),
                failed,
                prevented: failed * i64::from(task.is_prevented()),
                canceled: is(TaskState::Canceled),
                lost,
                retrying: i64::from(retrying),
                told: i64::from(told_now && !task.state.is_terminal() && since.is_none()),
                forgiven: i64::from(since.is_some_and(|round| round < self.round)),
            },
            offered: i64::from(told_now),
            succeeded: succeeded * told,
            failed: i64::from(since == Some(self.round)),
        }
    }

    fn count(&mut self, tally: &Tally, n: i64) {
        if let Some(counts) = self.wave_mut(tally.wave) {
            counts.add(&tally.in_wave, n);
        }
        self.offered += n * tally.offered;
        self.succeeded += n * tally.succeeded;
        self.failed += n * tally.failed;
    }

    /// Takes a task that is removed out of its wave. What was counted in this round stays: it has happened.
    pub fn forget(&mut self, task: &Task) {
        let tally = self.tally(task);
        if let Some(counts) = self.wave_mut(tally.wave) {
            counts.add(&tally.in_wave, -1);
        }
    }

    fn wave_mut(&mut self, wave: i32) -> Option<&mut WaveCounts> {
        self.waves.get_mut(usize::try_from(wave).ok()?)
    }

    fn open_wave(&self) -> WaveCounts {
        usize::try_from(self.wave).ok().and_then(|n| self.waves.get(n)).copied().unwrap_or_default()
    }

    fn result(&self, terms: &Terms) -> WaveResult {
        let counts = self.open_wave();
        let left_out = counts.canceled + counts.prevented + counts.untold + counts.forgiven;
        let total = counts.total - left_out;
        let needed = terms.enough(total).max(1);
        let (succeeded, failed) = (counts.succeeded - counts.untold, counts.failures() - counts.forgiven);
        WaveResult { total, needed, succeeded, failed, told: counts.told }
    }

    /// Whether something of the open wave has ended since the last resume: what had ended then does not halt it
    /// again.
    fn has_news(&self, result: WaveResult) -> bool {
        result.failed > 0 || self.open_wave().ended() != self.ended_before
    }

    fn is_last(&self) -> bool {
        usize::try_from(self.wave).unwrap_or(0) + 1 >= self.waves.len()
    }
}

impl Terms {
    /// How many waves there are; 0 is one for all.
    pub fn count_waves(&self) -> usize {
        self.wave_groups.len() + self.waves.len()
    }

    /// The wave of a device with this spread: that of the first group that it is in, or else of its share.
    pub fn wave_of(&self, spread: i64, is_in: impl Fn(usize) -> bool) -> i32 {
        let groups = self.wave_groups.len();
        let share = |wave: &Wave| spread <= wave.threshold;
        let of_share = || Some(groups + self.waves.iter().position(share)?);
        let wave = (0..groups).find(|n| is_in(*n)).or_else(of_share);
        i32::try_from(wave.unwrap_or(self.count_waves().saturating_sub(1))).unwrap_or(0)
    }

    /// Successes a wave of `total` tasks needs.
    fn enough(&self, total: i64) -> i64 {
        match self.min_success {
            Share::Count { n } => n.min(total),
            Share::Percent { thousandths } => {
                // Rounded up: one of two is not 90 per cent.
                (total * i64::from(thousandths) + WHOLE - 1).div_euclid(WHOLE).max(1).min(total)
            }
        }
    }
}

/// Why failures have passed a limit, if they have. A rate needs so many devices told, and one at least.
fn exceeded(limits: &FailureLimits, gate: &Gate, min_offers: i64) -> Option<Halt> {
    let (failed, offered) = (gate.failed, gate.offered);
    if let Some(limit) = limits.failures
        && failed > limit
    {
        return Some(Halt::Failures { failed, limit });
    }
    if let Some(limit) = limits.failure_thousandths
        && offered >= min_offers.max(1)
    {
        // Of those that fail, some may have been told before the last resume.
        let offered = offered.max(failed);
        if failed * WHOLE > offered * i64::from(limit) {
            return Some(Halt::FailureRate { failed, offered, limit });
        }
    }
    let evidence = limits.evidence?;
    let ended = failed + gate.succeeded;
    let (accepted, rejected) = (evidence.accepted, evidence.rejected);
    speaks_for(f64::from(accepted), f64::from(rejected), failed, gate.succeeded).then_some(Halt::Evidence {
        failed,
        ended,
        accepted,
        rejected,
    })
}

/// Wald's sequential probability ratio test: whether so many failures and successes speak for the
/// rejected failure rate and against the accepted one. Rates in thousandths of a per cent.
fn speaks_for(accepted: f64, rejected: f64, failed: i64, succeeded: i64) -> bool {
    let (p0, p1) = (accepted / WHOLE as f64, rejected / WHOLE as f64);
    let ratio = failed as f64 * libm::log(p1 / p0) + succeeded as f64 * libm::log((1.0 - p1) / (1.0 - p0));
    ratio >= libm::log((1.0 - ERROR_RATE) / ERROR_RATE)
}

impl Reason {
    /// Whether it kept an upgrade from being tried, which is no failure of the package.
    pub(crate) fn prevents(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::SourceExcluded { .. })
    }
}

impl Decider<'_> {
    pub(crate) fn gate_mut(&mut self, job: Id) -> Option<&mut Gate> {
        self.rows.jobs.get(&job)?.gate.as_ref()?;
        self.touched.insert(job);
        self.job_mut(job)?.gate.as_mut()
    }

    /// Which round of its gate a job is in.
    pub(crate) fn round_of(&self, job: Id) -> i32 {
        self.rows.jobs.get(&job).and_then(|j| j.gate.as_ref()).map_or(0, |gate| gate.round)
    }

    /// Counts what an input made of tasks: each by what it was and what it is now, so that none counts twice.
    pub(crate) fn count_tallies(&mut self) {
        for (task, was) in core::mem::take(&mut self.tallies) {
            let Some(row) = self.rows.tasks.get(&task) else { continue };
            let Some(gate) = self.rows.jobs.get(&row.job_id).and_then(|j| j.gate.as_ref()) else { continue };
            let (job, is) = (row.job_id, gate.tally(row));
            if is != was
                && let Some(gate) = self.gate_mut(job)
            {
                gate.count(&was, -1);
                gate.count(&is, 1);
            }
        }
    }

    /// Whether a wave of a job is open.
    pub(crate) fn is_wave_open(job: &Job, wave: i32) -> bool {
        job.gate.as_ref().is_none_or(|gate| wave <= gate.wave)
    }

    /// Looks at the gates of the jobs that an input touched.
    pub(crate) fn judge_touched(&mut self) {
        for job in core::mem::take(&mut self.touched) {
            self.judge(job);
        }
        self.touched.clear();
    }

    /// Halts a job whose failures have passed a limit or whose wave has failed, or opens its next wave if it is
    /// time.
    pub(crate) fn judge(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job) else { return };
        let Some(gate) = row.gate.as_ref().filter(|_| row.speaks(self.now)) else { return };
        if let Some(halt) = exceeded(&row.terms.limits, gate, row.terms.limits.min_offers) {
            self.hold(job, Hold::Halted { halt });
            return;
        }
        // Work that moves tasks looks at the gate when it is done: half done it shows a wave that never was.
        if gate.is_last() || row.work.is_some() {
            return;
        }
        if gate.open_wave().total == 0 {
            self.open_next(job, false);
            return;
        }
        let result = gate.result(&row.terms);
        let enough_at = result.is_enough().then(|| gate.enough_at.unwrap_or(self.now));
        let next = self.next_of(row, gate, result, enough_at);
        if enough_at != gate.enough_at
            && let Some(gate) = self.gate_mut(job)
        {
            gate.enough_at = enough_at;
        }
        match next {
            Next::Opens => self.open_next(job, false),
            Next::Halts(halt) => self.hold(job, Hold::Halted { halt }),
            Next::Waits(Some(at)) => self.set_timer(Timer::Gate(job), at),
            Next::Waits(None) => {}
        }
    }

    /// Enough successes have to soak. Without them a wave passes after its longest wait if it went well until
    /// then, and has failed if it did not, or if nobody is left in it.
    fn next_of(&self, row: &Job, gate: &Gate, result: WaveResult, enough_at: Option<Ms>) -> Next {
        let terms = &row.terms;
        let patience = |wait| self.rows.openings(row).after_open(gate.opened_at, wait);
        let at = match enough_at {
            Some(at) => Some(at.saturating_add(terms.soak_ms)),
            None => terms.max_wait_ms.map(patience),
        };
        let due = at.is_some_and(|at| at <= self.now);
        let opens = due && (enough_at.is_some() || result.goes_well());
        let over = gate.open_wave().unfinished() == 0;
        if (opens || over)
            && let Some(halt) = exceeded(&terms.limits, gate, 0)
        {
            return Next::Halts(halt);
        }
        let fails = enough_at.is_none() && (due || (over && gate.has_news(result)));
        match () {
            () if opens => Next::Opens,
            () if fails => Next::Halts(result.halt(gate.wave, terms)),
            () => Next::Waits(at),
        }
    }

    /// Opens the next wave, and looks at its gate in turn.
    fn open_next(&mut self, job: Id, skipped: bool) {
        let now = self.now;
        let Some(gate) = self.gate_mut(job) else { return };
        if skipped {
            gate.skipped.push(gate.wave);
        }
        gate.wave += 1;
        gate.opened_at = now;
        gate.enough_at = None;
        gate.ended_before = 0;
        let wave = gate.wave;
        self.clear_timer(Timer::Gate(job));
        self.job_event(job, EventKind::WaveOpened { wave, skipped });
        self.release_wave(job, wave);
        self.judge(job);
    }

    /// The operator opens the next wave without waiting for the gate of `wave`, if that is the open one.
    pub(crate) fn skip_wave(&mut self, job: Id, wave: i32) {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| j.speaks(self.now)) else { return };
        if row.gate.as_ref().is_some_and(|gate| gate.wave == wave && !gate.is_last()) {
            self.open_next(job, true);
        }
    }

    /// The platform stood still since `from`: no timeout went on, and a wave neither waited nor soaked meanwhile.
    pub(crate) fn stood_still(&mut self, job: Id, from: Ms) {
        let missed = self.now - from;
        // While a job is held its timeouts stand still anyway.
        let timed = |job: &Job| job.timeout_ms.is_some() && job.held_at.is_none();
        if self.rows.jobs.get(&job).is_some_and(timed)
            && let Some(row) = self.job_mut(job)
        {
            row.held_ms += missed;
        }
        let Some(gate) = self.gate_mut(job).filter(|gate| gate.opened_at <= from) else { return };
        gate.opened_at += missed;
        gate.enough_at = gate.enough_at.map(|at| at + missed);
    }

    /// What has failed until now does not halt the job again.
    pub(crate) fn forgive(&mut self, job: Id) {
        if let Some(gate) = self.gate_mut(job) {
            gate.round += 1;
            for wave in &mut gate.waves {
                (wave.forgiven, wave.told) = (wave.failures(), 0);
            }
            gate.ended_before = gate.open_wave().ended();
            (gate.offered, gate.succeeded, gate.failed) = (0, 0, 0);
        }
        self.wait_anew(job);
    }

    /// The longest wait of the open wave begins now.
    pub(crate) fn wait_anew(&mut self, job: Id) {
        let now = self.now;
        if let Some(gate) = self.gate_mut(job) {
            gate.opened_at = now;
        }
    }

    /// The clock of a task's silence starts with its first progress.
    pub(crate) fn watch_silence(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task) else { return };
        if let Some(limit) = self.rows.jobs.get(&row.job_id).and_then(|j| j.terms.lost_ms) {
            self.set_timer(Timer::Lost(task), self.now.saturating_add(limit));
        }
    }

    /// Marks a task whose device began and has said nothing for long.
    pub(crate) fn silent(&mut self, task: Id) {
        let Some(row) = self.rows.tasks.get(&task).filter(|t| t.has_begun() && !t.is_lost()) else { return };
        let Some(limit) = self.rows.jobs.get(&row.job_id).and_then(|j| j.terms.lost_ms) else { return };
        // Nobody could speak while the platform stood still.
        let silent_since = row.heard_at.map(|heard| heard.max(self.rows.up_since));
        let Some(at) = silent_since.map(|since| since.saturating_add(limit)) else { return };
        if at > self.now {
            self.set_timer(Timer::Lost(task), at);
            return;
        }
        self.mark_lost(task, true);
        self.task_event(task, EventKind::TaskLost);
    }

    /// A device that was lost has spoken.
    pub(crate) fn found(&mut self, task: Id) {
        if self.rows.tasks.get(&task).is_some_and(Task::is_lost) {
            self.mark_lost(task, false);
            self.watch_silence(task);
            self.task_event(task, EventKind::TaskFound);
        }
    }

    pub(crate) fn mark_lost(&mut self, task: Id, lost: bool) {
        let Some(job) = self.rows.tasks.get(&task).map(|t| t.job_id) else { return };
        let round = self.round_of(job);
        if let Some(row) = self.task_mut(task) {
            row.lost_in = lost.then_some(round);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walds_test_needs_more_evidence_the_closer_the_rates() {
        let failures_needed =
            |p0, p1, succeeded| (0..1_000).find(|failed| speaks_for(p0, p1, *failed, succeeded));
        // ln(0.95 / 0.05) = 2.944; one failure at 1 % against 10 % weighs ln(10) = 2.303.
        assert_eq!(failures_needed(1_000.0, 10_000.0, 0), Some(2));
        // Each success weighs ln(0.9 / 0.99) = -0.0953 against it.
        assert_eq!(failures_needed(1_000.0, 10_000.0, 17), Some(2));
        assert_eq!(failures_needed(1_000.0, 10_000.0, 18), Some(3));
        assert_eq!(failures_needed(1_000.0, 2_000.0, 0), Some(5));
    }

    #[test]
    fn a_limit_is_what_may_still_happen() {
        let gate = |failed, offered| Gate { failed, offered, ..Gate::of(&waves(), 0) };
        let count = FailureLimits { failures: Some(2), ..FailureLimits::default() };
        let exceeded = |limits: &FailureLimits, gate: Gate| exceeded(limits, &gate, limits.min_offers);
        assert_eq!(exceeded(&count, gate(2, 9)), None);
        assert_eq!(exceeded(&count, gate(3, 9)), Some(Halt::Failures { failed: 3, limit: 2 }));
        let rate =
            FailureLimits { failure_thousandths: Some(10_000), min_offers: 10, ..FailureLimits::default() };
        assert_eq!(exceeded(&rate, gate(9, 9)), None, "too few to tell");
        assert_eq!(exceeded(&rate, gate(1, 10)), None);
        let halt = |failed, offered| Some(Halt::FailureRate { failed, offered, limit: 10_000 });
        assert_eq!(exceeded(&rate, gate(2, 10)), halt(2, 10));
        let rate = FailureLimits { min_offers: 0, ..rate };
        assert_eq!(exceeded(&rate, gate(1, 0)), None, "nobody was told since the last resume");
        assert_eq!(exceeded(&rate, gate(2, 1)), halt(2, 2), "not two of one");
    }

    fn waves() -> Terms {
        let wave = |threshold| Wave { share: Share::Count { n: 1 }, threshold };
        Terms { waves: alloc::vec![wave(0), wave(i64::MAX)], ..Terms::default() }
    }

    #[test]
    fn a_wave_needs_a_part_of_its_tasks_and_at_least_one() {
        let by = |min_success| Terms { min_success, ..Terms::default() };
        let percent = by(Share::Percent { thousandths: 90_000 });
        assert_eq!([1, 2, 5, 10, 11, 100].map(|n| percent.enough(n)), [1, 2, 5, 9, 10, 90]);
        assert_eq!([1, 5].map(|n| by(Share::Count { n: 3 }).enough(n)), [1, 3]);
    }
}
