//! Waves and gates: when a job goes on to more devices, and when it halts by itself.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::decide::Decider;
use crate::event::EventKind;
use crate::rows::{Halt, Hold, Id, Job, Ms, Reason, TaskState, Timer, Work};
use crate::terms::{FailureLimits, Share, Terms, Wave};

/// A hundred per cent in thousandths.
const WHOLE: i64 = 100_000;
/// Both error rates of the sequential test.
const ERROR_RATE: f64 = 0.05;

/// How far a job with waves or limits has come.
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
    /// Devices told since the start or the last resume.
    pub offered: i64,
    /// Of the upgrades that ended since then: successes.
    pub succeeded: i64,
    /// Of the upgrades that ended since then: failures.
    pub failed: i64,
    /// Of the lost tasks, those that were silent for so long before the last resume.
    pub lost_before: i64,
    /// The last resume after a halt.
    #[serde(default)]
    pub resumed_at: Option<Ms>,
    /// The open wave as it was at the last resume, if that was in this wave.
    #[serde(default)]
    pub before: WaveCounts,
}

/// The tasks of one wave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveCounts {
    /// All of them.
    pub total: i64,
    /// Those that succeeded.
    pub succeeded: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that began and are silent.
    pub lost: i64,
    /// Those that were cancelled.
    #[serde(default)]
    pub canceled: i64,
    /// Of those that failed, the ones that another job or its filter prevented.
    #[serde(default)]
    pub prevented: i64,
}

impl WaveCounts {
    fn ended(&self) -> i64 {
        self.succeeded + self.failed + self.canceled
    }

    fn unfinished(&self) -> i64 {
        self.total - self.ended()
    }

    /// Failures of the package; who is lost counts as one.
    fn failures(&self) -> i64 {
        self.failed - self.prevented + self.lost
    }
}

/// What a wave is asked for, and what has come of it. It leaves out who was cancelled or prevented, and what had
/// failed at the last resume.
#[derive(Clone, Copy)]
struct WaveResult {
    total: i64,
    needed: i64,
    succeeded: i64,
    failed: i64,
}

impl WaveResult {
    fn is_enough(self) -> bool {
        self.succeeded >= self.needed
    }

    /// Whether somebody succeeded, and of those that ended no smaller part than the wave needs of all.
    fn goes_well(self) -> bool {
        self.succeeded > 0 && self.succeeded * self.total >= self.needed * (self.succeeded + self.failed)
    }

    fn halt(self, wave: i32, terms: &Terms) -> Halt {
        let Self { total, needed, succeeded, failed } = self;
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
    /// The gate of a job that is just being made; `None` if it needs none.
    pub fn of(terms: &Terms, now: Ms) -> Option<Self> {
        let needed = terms.count_waves() > 0 || terms.limits != FailureLimits::default();
        needed.then(|| Self {
            wave: 0,
            opened_at: terms.start_at.unwrap_or(now),
            enough_at: None,
            waves: (0..terms.count_waves().max(1)).map(|_| WaveCounts::default()).collect(),
            offered: 0,
            succeeded: 0,
            failed: 0,
            lost_before: 0,
            resumed_at: None,
            before: WaveCounts::default(),
        })
    }

    fn lost(&self) -> i64 {
        self.waves.iter().map(|w| w.lost).sum()
    }

    /// Failures since the start or the last resume; who is lost counts as one.
    pub fn failures(&self) -> i64 {
        self.failed + (self.lost() - self.lost_before).max(0)
    }

    fn wave_mut(&mut self, wave: i32) -> Option<&mut WaveCounts> {
        self.waves.get_mut(usize::try_from(wave).ok()?)
    }

    fn open_wave(&self) -> WaveCounts {
        usize::try_from(self.wave).ok().and_then(|n| self.waves.get(n)).copied().unwrap_or_default()
    }

    fn result(&self, terms: &Terms) -> WaveResult {
        let (counts, before) = (self.open_wave(), self.before.failures());
        let total = counts.total - counts.canceled - counts.prevented - before;
        let needed = terms.enough(total).max(1);
        WaveResult { total, needed, succeeded: counts.succeeded, failed: (counts.failures() - before).max(0) }
    }

    /// Whether something of the open wave has ended since the last resume: what had ended then does not halt it
    /// again.
    fn has_news(&self) -> bool {
        self.open_wave().ended() != self.before.ended()
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
    let (failed, offered) = (gate.failures(), gate.offered);
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

    /// Keeps the counts of a task's wave.
    pub(crate) fn count_in_wave(&mut self, job: Id, wave: i32, in_state: (TaskState, bool), n: i64) {
        let Some(gate) = self.gate_mut(job) else { return };
        let Some(counts) = gate.wave_mut(wave) else { return };
        let (state, prevented) = in_state;
        counts.total += n;
        match state {
            TaskState::Succeeded => counts.succeeded += n,
            TaskState::Failed => {
                counts.failed += n;
                counts.prevented += if prevented { n } else { 0 };
            }
            TaskState::Canceled => counts.canceled += n,
            _ => {}
        }
        // Who starts again has not failed before.
        if wave == gate.wave {
            let now = gate.open_wave();
            let before = &mut gate.before;
            before.prevented = before.prevented.min(now.prevented);
            before.failed = before.failed.min(now.failed);
            before.canceled = before.canceled.min(now.canceled);
        }
    }

    /// A device was told of a task for the first time in its life.
    pub(crate) fn count_offer(&mut self, job: Id) {
        if let Some(gate) = self.gate_mut(job) {
            gate.offered += 1;
        }
    }

    /// An upgrade ended. One that another job or its filter prevented is none.
    pub(crate) fn count_end(&mut self, job: Id, to: TaskState, reason: &Reason) {
        let Some(gate) = self.gate_mut(job).filter(|_| !reason.prevents()) else { return };
        match to {
            TaskState::Succeeded => gate.succeeded += 1,
            TaskState::Failed => gate.failed += 1,
            _ => {}
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
        if gate.is_last() || matches!(row.work, Some(Work::Enrol { .. })) {
            return;
        }
        if gate.open_wave().total == 0 {
            self.open_next(job);
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
            Next::Opens => self.open_next(job),
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
        let fails = enough_at.is_none() && (due || (over && gate.has_news()));
        match () {
            () if opens => Next::Opens,
            () if fails => Next::Halts(result.halt(gate.wave, terms)),
            () => Next::Waits(at),
        }
    }

    /// Opens the next wave, and looks at its gate in turn.
    fn open_next(&mut self, job: Id) {
        let now = self.now;
        let Some(gate) = self.gate_mut(job) else { return };
        gate.wave += 1;
        gate.opened_at = now;
        gate.enough_at = None;
        gate.before = WaveCounts::default();
        let wave = gate.wave;
        self.clear_timer(Timer::Gate(job));
        self.job_event(job, EventKind::WaveOpened { wave });
        self.release(job);
        self.judge(job);
    }

    /// The operator opens the next wave without waiting for its gate.
    pub(crate) fn skip_wave(&mut self, job: Id) {
        let Some(row) = self.rows.jobs.get(&job).filter(|j| j.speaks(self.now)) else { return };
        if row.gate.as_ref().is_some_and(|gate| !gate.is_last()) {
            self.open_next(job);
        }
    }

    /// What has failed until now does not halt the job again.
    pub(crate) fn forgive(&mut self, job: Id) {
        let now = self.now;
        if let Some(gate) = self.gate_mut(job) {
            gate.resumed_at = Some(now);
            gate.lost_before = gate.lost();
            gate.before = gate.open_wave();
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
        let Some(row) = self.rows.tasks.get(&task).filter(|t| t.has_begun() && !t.lost) else { return };
        let Some(limit) = self.rows.jobs.get(&row.job_id).and_then(|j| j.terms.lost_ms) else { return };
        let Some(at) = row.heard_at.map(|heard| heard.saturating_add(limit)) else { return };
        if at > self.now {
            self.set_timer(Timer::Lost(task), at);
            return;
        }
        self.mark_lost(task, true);
        self.task_event(task, EventKind::TaskLost);
    }

    /// A device that was lost has spoken.
    pub(crate) fn found(&mut self, task: Id) {
        if self.rows.tasks.get(&task).is_some_and(|t| t.lost) {
            self.mark_lost(task, false);
            self.watch_silence(task);
            self.task_event(task, EventKind::TaskFound);
        }
    }

    /// To be called before the task is heard: since when it was silent tells on which side of a resume it counts.
    pub(crate) fn mark_lost(&mut self, task: Id, lost: bool) {
        let Some(row) = self.task_mut(task) else { return };
        row.lost = lost;
        let (job, wave, heard) = (row.job_id, row.wave, row.heard_at);
        let limit = self.rows.jobs.get(&job).and_then(|j| j.terms.lost_ms);
        let lost_at = heard.zip(limit).map(|(heard, limit)| heard.saturating_add(limit));
        let Some(gate) = self.gate_mut(job) else { return };
        let n = if lost { 1 } else { -1 };
        if let Some(counts) = gate.wave_mut(wave) {
            counts.lost += n;
        }
        if lost_at.zip(gate.resumed_at).is_some_and(|(lost, resumed)| lost <= resumed) {
            gate.lost_before += n;
            gate.before.lost += if wave == gate.wave { n } else { 0 };
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
        let gate = |failed, offered| Gate { failed, offered, ..Gate::of(&waves(), 0).unwrap() };
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
